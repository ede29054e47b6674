//! `http` where HTTP requests are authorised: answers, and what a request bears.

use crate::expr::cel::{Cost, EvalError, Row, Value, row};

use super::message::{get, message};
use super::schema::{HTTP_DENIED, HTTP_OK, HTTP_RESPONSE};

const UNIT: Cost = Cost::Fixed(1);

type Answer<'a> = Result<Value<'a>, EvalError>;

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("http.Allowed", "http_allowed", "() -> http.CheckResponseOk", UNIT, |_| Ok(message(HTTP_OK, []))),
    row("http.Denied", "http_denied_string", "(string) -> http.CheckResponseDenied", UNIT, denied),
    row("Header", "http_get_header_string", "http.CheckRequestAttributes.(string) -> list(string)", UNIT, header),
    row("QueryParam", "http_get_queryparam_string", "http.CheckRequestAttributes.(string) -> list(string)", UNIT, query),
    row("Response", "http_response_ok", "http.CheckResponseOk.() -> http.CheckResponse", UNIT, |args| response(args, "ok")),
    row("Response", "http_response_denied", "http.CheckResponseDenied.() -> http.CheckResponse", UNIT, |args| response(args, "denied")),
];

fn denied<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [reason @ Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    Ok(message(HTTP_DENIED, (!text.is_empty()).then(|| ("reason", reason.clone()))))
}

fn response<'a>(args: &[Value<'a>], field: &'static str) -> Answer<'a> {
    let [answer] = args else { return Err(EvalError::no_such_overload()) };
    Ok(message(HTTP_RESPONSE, [(field, answer.clone())]))
}

fn header<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [attributes, Value::String(name)] = args else { return Err(EvalError::no_such_overload()) };
    values(attributes, "header", &canonical(name))
}

fn query<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [attributes, Value::String(name)] = args else { return Err(EvalError::no_such_overload()) };
    values(attributes, "query", name)
}

fn values<'a>(attributes: &Value<'a>, field: &str, name: &str) -> Answer<'a> {
    let all = get(attributes, field).ok_or_else(EvalError::no_such_overload)?;
    Ok(all.entry(name)?.unwrap_or_else(|| Value::list(Vec::new())))
}

/// The name of a header as it travels: `content-type` as `Content-Type`. What is no name of a header stays as it is.
fn canonical(name: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !name.chars().all(is_token) {
        return name.to_owned();
    }
    let mut upper = true;
    let change = |c: char| {
        let changed = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        changed
    };
    name.chars().map(change).collect()
}
