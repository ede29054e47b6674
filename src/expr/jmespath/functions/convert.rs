//! Functions that read and take apart data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{ARRAY, Call, Function, TEXT, Type, Val, row};
use crate::expr::jmespath::EvalError;
use crate::expr::{gobase64, gotext};

const CONTAINER: &[Type] = &[Type::Object, Type::Array];
const PLACE: &[Type] = &[Type::Text, Type::Number];

pub(super) const TABLE: &[Function] = &[
    row("base64_decode", &[TEXT], |call| {
        let bytes =
            gobase64::decode(call.text(0)?).map_err(|e| call.error(format!("illegal base64 data: {e}")))?;
        Ok(Val::text(gobase64::text(&bytes)))
    }),
    row("base64_encode", &[TEXT], |call| Ok(Val::text(STANDARD.encode(call.text(0)?)))),
    row("parse_json", &[TEXT], |call| {
        serde_json::from_str(call.text(0)?)
            .map(|value| Val::owned(gotext::normalize(value)))
            .map_err(|e| call.error(e))
    }),
    row("parse_yaml", &[TEXT], |call| {
        let read = call.interpreter.environment.yaml.ok_or_else(|| call.error("YAML cannot be read here"))?;
        read(call.text(0)?).map(|value| Val::owned(gotext::normalize(value))).map_err(|e| call.error(e))
    }),
    row("to_boolean", &[TEXT], |call| match call.text(0)?.to_lowercase().as_str() {
        "true" => Ok(Val::bool(true)),
        "false" => Ok(Val::bool(false)),
        other => Err(call.error(format!("the argument must be 'true' or 'false', not '{other}'"))),
    }),
    row("lookup", &[CONTAINER, PLACE], lookup),
    row("items", &[CONTAINER, TEXT, TEXT], items),
    row("object_from_lists", &[ARRAY, ARRAY], object_from_lists),
    row("x509_decode", &[TEXT], super::x509::decode),
];

fn lookup<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let container = call.argument(0)?;
    if let Some(list) = container.items() {
        let at = call.whole(1)?;
        return Ok(usize::try_from(at).ok().and_then(|at| list.get(at)).unwrap_or_else(Val::null));
    }
    Ok(container.field(call.text(1)?)?.flatten().unwrap_or_else(Val::null))
}

fn items<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (key_name, value_name) = (call.text(1)?.to_owned(), call.text(2)?.to_owned());
    let pair = |key: Value, value: Value| {
        let mut map = Map::new();
        map.insert(key_name.clone(), key);
        map.insert(value_name.clone(), value);
        Val::owned(Value::Object(map))
    };
    let pairs = match call.interpreter.copy(call.argument(0)?)? {
        Value::Array(list) => {
            list.into_iter().enumerate().map(|(at, value)| pair(Value::from(at), value)).collect()
        }
        Value::Object(map) => map.into_iter().map(|(key, value)| pair(Value::String(key), value)).collect(),
        _ => Vec::new(),
    };
    call.interpreter.spend(pairs.len())?;
    Ok(Val::list(pairs))
}

fn object_from_lists<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (Some(keys), Some(values)) = (call.argument(0)?.items(), call.argument(1)?.items()) else {
        return Err(call.wrong(0, "an array"));
    };
    let mut map = Map::new();
    for (at, key) in keys.iter().enumerate() {
        let key = key.plain().and_then(gotext::plain).ok_or_else(|| call.wrong(0, "an array of strings"))?;
        let value = values.get(at).map(|v| call.interpreter.copy(&v)).transpose()?.unwrap_or_default();
        map.insert(key, value);
    }
    Ok(Val::owned(Value::Object(map)))
}
