//! `mcp`: requests of the model context protocol, which a body may hold.

use std::any::Any;

use serde_json::{Value as Json, json};

use crate::expr::cel::{Cost, EvalError, Opaque, Row, Value, row};

use super::message::{get, message};
use super::read::{Manner, Reader};
use super::schema::MCP_REQUEST;

pub(super) const LIBRARY: &str = "mcp.MCP";

const UNIT: Cost = Cost::Fixed(1);

type Answer<'a> = Result<Value<'a>, EvalError>;

/// What `mcp` is.
#[derive(Debug)]
pub(super) struct Mcp;

impl Opaque for Mcp {
    fn type_name(&self) -> &str {
        LIBRARY
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.type_name() == LIBRARY
    }
}

/// A method's name in expressions and in requests, and the field that holds its parameters.
struct Method {
    constant: &'static str,
    name: &'static str,
    field: &'static str,
}

const fn method(constant: &'static str, name: &'static str, field: &'static str) -> Method {
    Method { constant, name, field }
}

static METHODS: &[Method] = &[
    method("mcp.InitializeMethod", "initialize", "Initialize"),
    method("mcp.PingMethod", "ping", ""),
    method("mcp.ResourcesListMethod", "resources/list", "Paginated"),
    method("mcp.ResourcesTemplatesListMethod", "resources/templates/list", "Paginated"),
    method("mcp.ResourcesReadMethod", "resources/read", "ResourceRead"),
    method("mcp.PromptsListMethod", "prompts/list", "Paginated"),
    method("mcp.PromptsGetMethod", "prompts/get", "PromptGet"),
    method("mcp.ToolsListMethod", "tools/list", "Paginated"),
    method("mcp.ToolsCallMethod", "tools/call", "ToolCall"),
    method("mcp.SetLogLevelMethod", "logging/setLevel", "SetLogLevel"),
    method("mcp.ElicitationCreateMethod", "elicitation/create", "Elicitation"),
];

/// Names of methods that expressions can use.
pub(super) fn constants() -> impl Iterator<Item = (&'static str, &'static str)> {
    METHODS.iter().map(|method| (method.constant, method.name))
}

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("Parse", "mcp_parse_bytes_dyn", "mcp.MCP().(dyn) -> mcp.MCPRequest", Cost::Argument { factor: 0.1, sized: false }, parse),
    row("GetStringArgument", "mcp_get_string", "mcp.MCPRequest.(string, string) -> string", UNIT, |args| argument(args, as_text)),
    row("GetIntArgument", "mcp_get_int", "mcp.MCPRequest.(string, int) -> int", UNIT, |args| argument(args, as_int)),
    row("GetFloatArgument", "mcp_get_float", "mcp.MCPRequest.(string, double) -> double", UNIT, |args| argument(args, as_float)),
    row("GetBoolArgument", "mcp_get_bool", "mcp.MCPRequest.(string, bool) -> bool", UNIT, |args| argument(args, as_bool)),
    row("GetStringSliceArgument", "mcp_get_string_slice", "mcp.MCPRequest.(string, list(string)) -> list(string)", UNIT, |args| list(args, as_text)),
    row("GetIntSliceArgument", "mcp_get_int_slice", "mcp.MCPRequest.(string, list(int)) -> list(int)", UNIT, |args| list(args, as_int)),
    row("GetFloatSliceArgument", "mcp_get_float_slice", "mcp.MCPRequest.(string, list(double)) -> list(double)", UNIT, |args| list(args, as_float)),
    row("GetBoolSliceArgument", "mcp_get_bool_slice", "mcp.MCPRequest.(string, list(bool)) -> list(bool)", UNIT, |args| list(args, as_bool)),
];

fn parse<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [_, value] = args else { return Err(EvalError::no_such_overload()) };
    let Value::String(text) = value else {
        return Err(EvalError::new(format!("type conversion error from {} to 'string'", value.type_name())));
    };
    let request = serde_json::from_str(text).map_err(|error| error.to_string());
    request.and_then(|json| request_of(&json)).map_err(EvalError::new)
}

/// A request, with the parameters of its method.
fn request_of(json: &Json) -> Result<Value<'static>, String> {
    let name = json["method"].as_str().unwrap_or_default();
    let method = METHODS.iter().find(|method| method.name == name);
    let mut fields = json!({"Method": name, "ID": json["id"]});
    if let Some(field) = method.map(|method| method.field).filter(|field| !field.is_empty()) {
        fields[field] = match &json["params"] {
            Json::Null => json!({}),
            params => params.clone(),
        };
    }
    Reader { manner: Manner::Lenient, unknown: Vec::new() }.message(MCP_REQUEST, &fields, "")
}

/// The request that the body of an HTTP request holds; an empty one if it holds none. Of one whose parameters cannot be
/// read its method is known all the same.
pub(super) fn of_body(body: &[u8]) -> Value<'static> {
    let Ok(json) = serde_json::from_slice::<Json>(body) else { return message(MCP_REQUEST, []) };
    let method = |json: &Json| json["method"].as_str().map(|name| ("Method", Value::text(name)));
    request_of(&json).unwrap_or_else(|_| message(MCP_REQUEST, method(&json)))
}

/// An argument of the tool, the resource or the prompt that a request names.
fn named<'a>(request: &Value<'a>, name: &str) -> Option<Value<'a>> {
    let Value::Struct(message) = request else { return None };
    let holder =
        ["ToolCall", "ResourceRead", "PromptGet"].iter().find_map(|field| message.fields.get(*field))?;
    get(holder, "Arguments")?.entry(name).ok().flatten()
}

type As = for<'a> fn(&Value<'a>) -> Option<Value<'a>>;

fn argument<'a>(args: &[Value<'a>], read: As) -> Answer<'a> {
    let [request, Value::String(name), default] = args else { return Err(EvalError::no_such_overload()) };
    Ok(named(request, name).and_then(|value| read(&value)).unwrap_or_else(|| default.clone()))
}

/// A list; items of another type are left out.
fn list<'a>(args: &[Value<'a>], read: As) -> Answer<'a> {
    let [request, Value::String(name), default] = args else { return Err(EvalError::no_such_overload()) };
    let items = named(request, name).and_then(|value| value.items().ok());
    Ok(items.map_or_else(|| default.clone(), |items| Value::list(items.iter().filter_map(read).collect())))
}

fn as_text<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    value.as_str().map(|_| value.clone())
}

fn as_int<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Double(number) => Some(Value::Int(*number as i64)),
        Value::String(text) => text.parse().ok().map(Value::Int),
        _ => None,
    }
}

fn as_float<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Double(_) => Some(value.clone()),
        Value::String(text) => text.parse().ok().map(Value::Double),
        _ => None,
    }
}

fn as_bool<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Double(number) => Some(Value::Bool(*number != 0.0)),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}
