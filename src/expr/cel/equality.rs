//! Equality, order and membership.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value as Json;

use super::error::EvalError;
use super::schema::Identity;
use super::value::Value;

/// Whether two values are the same. Numbers of different types may be.
pub(crate) fn equals<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => numbers(a, b) == Some(Ordering::Equal),
        (Value::String(a), Value::String(b)) => **a == **b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a.order(b) == Ordering::Equal,
        (Value::Type(a), Value::Type(b)) => **a == **b,
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(a)), Value::Optional(Some(b))) => equals(a, b)?,
        (Value::Opaque(a), Value::Opaque(b)) => a.equals(&**b),
        (Value::Struct(a), Value::Struct(b)) => {
            a.name == b.name
                && a.fields.len() == b.fields.len()
                && a.fields.iter().all(|(name, value)| {
                    b.fields.get(name).is_some_and(|other| equals(value, other).unwrap_or(false))
                })
        }
        (Value::Unknown(a), b) => **a == b.to_json(),
        (Value::JsonList(..) | Value::List(_), _) => return lists(a, b),
        (Value::JsonMap(..) | Value::Map(_), _) => return maps(a, b),
        _ => false,
    })
}

/// The order of two numbers. `None` if one is none, or not a number.
pub(crate) fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    let int_uint = |a: i64, b: u64| i128::from(a).cmp(&i128::from(b));
    let float_int = |d: f64, i: i64| {
        if d < i64::MIN as f64 {
            Some(Ordering::Less)
        } else if d > i64::MAX as f64 {
            Some(Ordering::Greater)
        } else {
            d.partial_cmp(&(i as f64))
        }
    };
    let float_uint = |d: f64, u: u64| {
        if d < 0.0 {
            Some(Ordering::Less)
        } else if d > u64::MAX as f64 {
            Some(Ordering::Greater)
        } else {
            d.partial_cmp(&(u as f64))
        }
    };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(int_uint(*a, *b)),
        (Value::Uint(a), Value::Int(b)) => Some(int_uint(*b, *a).reverse()),
        (Value::Double(a), Value::Int(b)) => float_int(*a, *b),
        (Value::Int(a), Value::Double(b)) => float_int(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => float_uint(*a, *b),
        (Value::Uint(a), Value::Double(b)) => float_uint(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// Which of two values comes first.
pub(crate) fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, EvalError> {
    match (a, b) {
        (Value::Double(d), _) | (Value::Int(_) | Value::Uint(_), Value::Double(d)) if d.is_nan() => {
            Err(EvalError::new("NaN values cannot be ordered"))
        }
        (Value::Double(_), Value::Double(d)) if d.is_nan() => {
            Err(EvalError::new("NaN values cannot be ordered"))
        }
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => {
            numbers(a, b).ok_or_else(EvalError::no_such_overload)
        }
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Ok(str::cmp(a, b)),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Ok(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(a.order(b)),
        _ => Err(EvalError::no_such_overload()),
    }
}

/// Whether values of JSON with a schema: there, what cannot be compared is an error, elsewhere it differs.
fn is_strict(value: &Value<'_>) -> bool {
    matches!(value, Value::JsonList(_, Some(_)) | Value::JsonMap(_, Some(_)))
        || matches!(value, Value::List(list) if list.identity != Identity::Position)
}

fn lists<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
    let (Some(length), Some(other)) = (a.list_len(), b.list_len()) else {
        return if is_strict(a) { Err(EvalError::no_such_overload()) } else { Ok(false) };
    };
    if length != other {
        return Ok(false);
    }
    match a.identity() {
        Identity::Position => in_order(a, b, length),
        Identity::Value => {
            let known: HashSet<String> = a.items()?.iter().map(native).collect();
            Ok(b.items()?.iter().all(|item| known.contains(&native(item))))
        }
        Identity::Keys(keys) => {
            let mine = a.items()?;
            for theirs in b.items()? {
                let key = map_key(&theirs, &keys);
                let Some(found) = mine.iter().rev().find(|item| key.is_some() && map_key(item, &keys) == key)
                else {
                    return Ok(false);
                };
                if !equals(found, &theirs)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

fn in_order<'a>(a: &Value<'a>, b: &Value<'a>, length: usize) -> Result<bool, EvalError> {
    let strict = is_strict(a);
    for i in 0..length {
        let (Some(mine), Some(theirs)) = (a.item(i), b.item(i)) else { return Ok(false) };
        match mine.and_then(|mine| equals(&mine, &theirs?)) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if strict => return Err(error),
            Err(_) => {}
        }
    }
    Ok(true)
}

/// What tells items of a set apart.
pub(crate) fn native(value: &Value<'_>) -> String {
    value.to_json().to_string()
}

/// What tells items of a keyed list apart.
pub(crate) fn map_key(item: &Value<'_>, keys: &[std::sync::Arc<str>]) -> Option<Vec<Json>> {
    match item {
        Value::JsonMap(map, _) => {
            Some(keys.iter().map(|key| map.get(&**key).cloned().unwrap_or_default()).collect())
        }
        _ => None,
    }
}

fn maps<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<bool, EvalError> {
    let strict = is_strict(a);
    let (Some(size), Some(other)) = (a.map_len(), b.map_len()) else {
        return if strict { Err(EvalError::no_such_overload()) } else { Ok(false) };
    };
    if size != other {
        return Ok(false);
    }
    if let Value::JsonMap(map, Some(schema)) = a
        && !unknown_equal(map, schema, b)?
    {
        return Ok(false);
    }
    for key in a.keys() {
        let (mine, theirs) = match (a.find(&key), b.find(&key)) {
            (Ok(mine), Ok(theirs)) => (mine, theirs),
            (Err(error), _) | (_, Err(error)) if strict => return Err(error),
            // A key that the other cannot have: what is no list or object of a schema differs from that.
            (Ok(Some(mine)), Err(_)) if !is_strict(&mine) => return Ok(false),
            _ => continue,
        };
        let same = match (&mine, &theirs) {
            (Some(mine), Some(theirs)) => equals(mine, theirs),
            (None, None) => Ok(true),
            _ => Ok(false),
        };
        match same {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) if strict => return Err(error),
            Err(_) => {}
        }
    }
    Ok(true)
}

/// Whether what a schema does not declare is the same in both, if both have it.
fn unknown_equal(
    map: &serde_json::Map<String, Json>,
    schema: &super::schema::Schema,
    other: &Value<'_>,
) -> Result<bool, EvalError> {
    for (key, value) in map.iter().filter(|(key, _)| schema.of_key(key).is_none()) {
        let Value::JsonMap(theirs, Some(_)) = other else { return Err(EvalError::no_such_overload()) };
        if theirs.get(key).is_some_and(|theirs| theirs != value) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a list has an item, or a map a key.
pub(crate) fn contains<'a>(container: &Value<'a>, value: &Value<'a>) -> Result<bool, EvalError> {
    match container {
        Value::JsonList(..) | Value::List(_) => {
            let length = container.list_len().unwrap_or(0);
            for item in (0..length).filter_map(|i| container.item(i)) {
                if equals(&item?, value).unwrap_or(false) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::JsonMap(..) | Value::Map(_) => Ok(container.find(value)?.is_some()),
        _ => Err(EvalError::no_such_overload()),
    }
}
