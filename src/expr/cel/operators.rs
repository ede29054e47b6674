//! Arithmetic and indexing.

use std::sync::Arc;

use super::convert::{checked_time, display};
use super::equality::{map_key, native};
use super::error::EvalError;
use super::schema::Identity;
use super::value::{List, Timestamp, Value};

type Answer<'a> = Result<Value<'a>, EvalError>;

fn int<'a>(result: Option<i64>) -> Answer<'a> {
    result.map(Value::Int).ok_or_else(|| EvalError::new("integer overflow"))
}

fn uint<'a>(result: Option<u64>) -> Answer<'a> {
    result.map(Value::Uint).ok_or_else(|| EvalError::new("unsigned integer overflow"))
}

fn duration<'a>(result: Option<i64>) -> Answer<'a> {
    result.map(Value::Duration).ok_or_else(|| EvalError::new("integer overflow"))
}

/// The error of an operator that one of the values does not have.
fn refuse<'a>(operator: &str, left: &Value<'_>, takes: impl Fn(&Value<'_>) -> bool) -> Answer<'a> {
    if takes(left) {
        Err(EvalError::no_such_overload())
    } else {
        Err(EvalError::new(format!("no such overload: {operator}")))
    }
}

fn is_number(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn is_time(value: &Value<'_>) -> bool {
    matches!(value, Value::Duration(_) | Value::Timestamp(_))
}

pub(crate) fn add<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => {
            let mut out = String::with_capacity(a.len() + b.len());
            out.push_str(a);
            out.push_str(b);
            Ok(Value::text(out))
        }
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes(a.iter().chain(&**b).copied().collect())),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(*b)),
        (Value::Timestamp(time), Value::Duration(nanos))
        | (Value::Duration(nanos), Value::Timestamp(time)) => shift(*time, (*nanos).into()),
        (Value::JsonList(..) | Value::List(_), Value::JsonList(..) | Value::List(_)) => append(left, right),
        _ => refuse("_+_", left, |v| {
            is_number(v)
                || is_time(v)
                || matches!(v, Value::String(_) | Value::Bytes(_))
                || v.list_len().is_some()
        }),
    }
}

/// Lists one after the other; items of sets and keyed lists that are already there are not added again.
fn append<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    let mut items = left.items()?;
    let more = right.items()?;
    let identity = left.identity();
    match &identity {
        Identity::Position => items.extend(more),
        Identity::Value => {
            let mut known: std::collections::HashSet<String> = items.iter().map(native).collect();
            items.extend(more.into_iter().filter(|item| known.insert(native(item))));
        }
        Identity::Keys(keys) => {
            for item in more {
                let key = map_key(&item, keys);
                match items.iter().position(|known| key.is_some() && map_key(known, keys) == key) {
                    Some(at) => items[at] = item,
                    None => items.push(item),
                }
            }
        }
    }
    Ok(Value::List(Arc::new(List { items, identity })))
}

pub(crate) fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_sub(*b)),
        (Value::Timestamp(time), Value::Duration(nanos)) => shift(*time, -i128::from(*nanos)),
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            duration(i64::try_from(a.time().nanos - b.time().nanos).ok())
        }
        _ => refuse("_-_", left, |v| is_number(v) || is_time(v)),
    }
}

fn shift<'a>(time: Timestamp, by: i128) -> Answer<'a> {
    let mut moved = time.time();
    moved.nanos += by;
    checked_time(Timestamp::of(moved))
}

pub(crate) fn multiply<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_mul(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_mul(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        _ => refuse("_*_", left, is_number),
    }
}

pub(crate) fn divide<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => {
            Err(EvalError::new("division by zero"))
        }
        (Value::Int(a), Value::Int(b)) => int(a.checked_div(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_div(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        _ => refuse("_/_", left, is_number),
    }
}

pub(crate) fn modulo<'a>(left: &Value<'a>, right: &Value<'a>) -> Answer<'a> {
    match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => {
            Err(EvalError::new("modulus by zero"))
        }
        (Value::Int(a), Value::Int(b)) => int(a.checked_rem(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_rem(*b)),
        _ => refuse("_%_", left, |v| matches!(v, Value::Int(_) | Value::Uint(_))),
    }
}

pub(crate) fn negate<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Int(i)] => int(i.checked_neg()),
        [Value::Double(d)] => Ok(Value::Double(-d)),
        [Value::Duration(nanos)] => duration(nanos.checked_neg()),
        _ => Err(EvalError::no_such_overload()),
    }
}

/// `container[index]`. `None` if there is nothing and that is no mistake.
pub(crate) fn index<'a>(
    value: &Value<'a>,
    index: &Value<'a>,
    optional: bool,
) -> Result<Option<Value<'a>>, EvalError> {
    if let Some(length) = value.list_len() {
        let at = position(index)?;
        return match usize::try_from(at).ok().filter(|at| *at < length).and_then(|at| value.item(at)) {
            Some(item) => item.map(Some),
            None if optional => Ok(None),
            None => Err(EvalError::new(format!("index out of bounds: {}", display(index)))),
        };
    }
    let found = match value {
        Value::JsonMap(..) | Value::Map(_) => value.find(index)?,
        Value::Struct(message) => index.as_str().and_then(|name| message.read(name, optional)),
        _ => None,
    };
    match found {
        Some(found) => Ok(Some(found)),
        None if optional => Ok(None),
        None => Err(EvalError::new(format!("no such key: {}", display(index)))),
    }
}

/// The place in a list that a value means.
pub(crate) fn position(index: &Value<'_>) -> Result<i64, EvalError> {
    match index {
        Value::Int(i) => Ok(*i),
        Value::Uint(u) => {
            i64::try_from(*u).map_err(|_| EvalError::new(format!("unsupported index value {u} in list")))
        }
        Value::Double(d) if d.fract() == 0.0 && d.abs() < 9e18 => Ok(*d as i64),
        Value::Double(d) => Err(EvalError::new(format!("unsupported index value {d} in list"))),
        other => Err(EvalError::new(format!("unsupported index type '{}' in list", other.type_name()))),
    }
}
