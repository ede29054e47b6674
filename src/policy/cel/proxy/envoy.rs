//! `envoy`: answers to Envoy's external authorization.

use crate::expr::cel::{Cost, EvalError, Row, Value, row};

use super::message::{adding, message, with};
use super::read::free;
use super::schema::{CHECK_RESPONSE, DENIED, HEADER, HEADER_VALUE, HTTP_STATUS, OK, QUERY_PARAMETER, STATUS};

const UNIT: Cost = Cost::Fixed(1);

/// The codes of gRPC that a response bears.
const GRPC_OK: i64 = 0;
const GRPC_PERMISSION_DENIED: i64 = 7;

type Answer<'a> = Result<Value<'a>, EvalError>;

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("envoy.Allowed", "allowed", "() -> envoy.service.auth.v3.OkHttpResponse", UNIT, |_| Ok(message(OK, []))),
    row("envoy.Denied", "denied", "(int) -> envoy.service.auth.v3.DeniedHttpResponse", UNIT, denied),
    row("envoy.Header", "header_key_value", "(string, string) -> envoy.config.core.v3.HeaderValueOption", UNIT, |args| pair(args, header)),
    row("envoy.QueryParam", "queryparam_key_value", "(string, string) -> envoy.config.core.v3.QueryParameter", UNIT, |args| pair(args, parameter)),
    row("WithBody", "denied_with_body", "envoy.service.auth.v3.DeniedHttpResponse.(string) -> envoy.service.auth.v3.DeniedHttpResponse", UNIT, |args| set(args, "body")),
    row("WithHeader", "ok_with_header_header", "envoy.service.auth.v3.OkHttpResponse.(envoy.config.core.v3.HeaderValueOption) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add(args, "headers")),
    row("WithHeader", "ok_with_header_string_string", "envoy.service.auth.v3.OkHttpResponse.(string, string) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add_pair(args, "headers", header)),
    row("WithHeader", "denied_with_header_header", "envoy.service.auth.v3.DeniedHttpResponse.(envoy.config.core.v3.HeaderValueOption) -> envoy.service.auth.v3.DeniedHttpResponse", UNIT, |args| add(args, "headers")),
    row("WithHeader", "denied_with_header_string_string", "envoy.service.auth.v3.DeniedHttpResponse.(string, string) -> envoy.service.auth.v3.DeniedHttpResponse", UNIT, |args| add_pair(args, "headers", header)),
    row("WithoutHeader", "ok_without_header", "envoy.service.auth.v3.OkHttpResponse.(string) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add(args, "headers_to_remove")),
    row("WithResponseHeader", "ok_with_response_header_header", "envoy.service.auth.v3.OkHttpResponse.(envoy.config.core.v3.HeaderValueOption) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add(args, "response_headers_to_add")),
    row("WithResponseHeader", "ok_with_response_header_string_string", "envoy.service.auth.v3.OkHttpResponse.(string, string) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add_pair(args, "response_headers_to_add", header)),
    row("WithQueryParam", "ok_with_queryparam_param", "envoy.service.auth.v3.OkHttpResponse.(envoy.config.core.v3.QueryParameter) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add(args, "query_parameters_to_set")),
    row("WithQueryParam", "ok_with_queryparam_string_string", "envoy.service.auth.v3.OkHttpResponse.(string, string) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add_pair(args, "query_parameters_to_set", parameter)),
    row("WithoutQueryParam", "ok_without_queryparam_string", "envoy.service.auth.v3.OkHttpResponse.(string) -> envoy.service.auth.v3.OkHttpResponse", UNIT, |args| add(args, "query_parameters_to_remove")),
    row("KeepEmptyValue", "header_keep_empty_value", "envoy.config.core.v3.HeaderValueOption.() -> envoy.config.core.v3.HeaderValueOption", UNIT, keep_empty),
    row("KeepEmptyValue", "header_keep_empty_value_bool", "envoy.config.core.v3.HeaderValueOption.(bool) -> envoy.config.core.v3.HeaderValueOption", UNIT, keep_empty),
    row("Response", "ok_response", "envoy.service.auth.v3.OkHttpResponse.() -> envoy.service.auth.v3.CheckResponse", UNIT, |args| response(args, "ok_response", GRPC_OK)),
    row("Response", "denied_response", "envoy.service.auth.v3.DeniedHttpResponse.() -> envoy.service.auth.v3.CheckResponse", UNIT, |args| response(args, "denied_response", GRPC_PERMISSION_DENIED)),
    row("WithMessage", "response_ok_with_message", "envoy.service.auth.v3.CheckResponse.(string) -> envoy.service.auth.v3.CheckResponse", UNIT, with_message),
    row("WithMetadata", "response_ok_with_metadata", "envoy.service.auth.v3.CheckResponse.(map(string, dyn)) -> envoy.service.auth.v3.CheckResponse", UNIT, with_metadata),
];

fn refuse<'a>() -> Answer<'a> {
    Err(EvalError::no_such_overload())
}

fn denied<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Int(code)] = args else { return refuse() };
    if i32::try_from(*code).is_err() {
        return Err(EvalError::new("integer overflow"));
    }
    Ok(message(DENIED, [("status", message(HTTP_STATUS, number("code", *code)))]))
}

/// A number that is set; zero is none.
fn number<'a>(field: &'static str, value: i64) -> Option<(&'static str, Value<'a>)> {
    (value != 0).then_some((field, Value::Int(value)))
}

fn header<'a>(key: &Value<'a>, value: &Value<'a>) -> Value<'a> {
    message(HEADER, [("header", key_value(HEADER_VALUE, key, value))])
}

fn parameter<'a>(key: &Value<'a>, value: &Value<'a>) -> Value<'a> {
    key_value(QUERY_PARAMETER, key, value)
}

fn key_value<'a>(name: &str, key: &Value<'a>, value: &Value<'a>) -> Value<'a> {
    let both = [("key", key.clone()), ("value", value.clone())];
    message(name, both.into_iter().filter(|(_, text)| text.as_str() != Some("")))
}

type Pair = for<'a> fn(&Value<'a>, &Value<'a>) -> Value<'a>;

fn pair<'a>(args: &[Value<'a>], make: Pair) -> Answer<'a> {
    let [key @ Value::String(_), value @ Value::String(_)] = args else { return refuse() };
    Ok(make(key, value))
}

fn set<'a>(args: &[Value<'a>], field: &'static str) -> Answer<'a> {
    let [target, value @ Value::String(_)] = args else { return refuse() };
    Ok(with(target, field, value.clone()))
}

fn add<'a>(args: &[Value<'a>], field: &'static str) -> Answer<'a> {
    let [target, item] = args else { return refuse() };
    Ok(adding(target, field, item.clone()))
}

fn add_pair<'a>(args: &[Value<'a>], field: &'static str, make: Pair) -> Answer<'a> {
    let [target, rest @ ..] = args else { return refuse() };
    Ok(adding(target, field, pair(rest, make)?))
}

fn keep_empty<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [header] => Ok(with(header, "keep_empty_value", Value::Bool(true))),
        [header, keep @ Value::Bool(_)] => Ok(with(header, "keep_empty_value", keep.clone())),
        _ => refuse(),
    }
}

fn response<'a>(args: &[Value<'a>], field: &'static str, code: i64) -> Answer<'a> {
    let [answer] = args else { return refuse() };
    Ok(message(CHECK_RESPONSE, [("status", message(STATUS, number("code", code))), (field, answer.clone())]))
}

fn with_message<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [response, text @ Value::String(_)] = args else { return refuse() };
    let status = super::message::get(response, "status").ok_or_else(EvalError::no_such_overload)?;
    Ok(with(response, "status", with(&status, "message", text.clone())))
}

fn with_metadata<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [response, metadata] = args else { return refuse() };
    if metadata.keys().iter().any(|key| key.as_str().is_none()) {
        return Err(EvalError::new("keys of metadata are texts"));
    }
    Ok(with(response, "dynamic_metadata", free(&metadata.to_json())))
}
