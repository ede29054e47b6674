//! `In`, `AnyIn`, `AllIn` and their negations.

use serde_json::Value;

use crate::expr::{gotext, pattern, wildcard};

/// What a key is looked for in.
enum Values {
    Listed(Vec<String>),
    /// `10-20`
    Range(String),
}

/// The values of a list, of a text that is a JSON array, of a range, or one value alone.
fn values(value: &Value) -> Option<Values> {
    Some(match value {
        Value::Array(items) => Values::Listed(items.iter().map(gotext::sprint).collect()),
        Value::String(text) if pattern::is_range(text) => Values::Range(text.clone()),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(items)) => Values::Listed(
                items.iter().map(|i| i.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?,
            ),
            Ok(Value::Object(_)) => return None,
            _ => Values::Listed(vec![text.clone()]),
        },
        Value::Number(_) | Value::Bool(_) => Values::Listed(vec![gotext::sprint(value)]),
        Value::Null | Value::Object(_) => return None,
    })
}

/// The keys of a list, or one key; numbers and truth values as texts.
fn keys(key: &Value) -> Option<Vec<String>> {
    match key {
        Value::Array(items) => Some(items.iter().map(gotext::sprint).collect()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Some(vec![gotext::sprint(key)]),
        Value::Null | Value::Object(_) => None,
    }
}

impl Values {
    /// Whether a key is among them; a wildcard on either side will do.
    fn has(&self, key: &str) -> bool {
        match self {
            Values::Range(range) => pattern::matches(&range.as_str().into(), Some(&key.into())),
            Values::Listed(values) => {
                values.iter().any(|value| wildcard::matches(value, key) || wildcard::matches(key, value))
            }
        }
    }

    /// Whether a key lies outside. Of a range, what is no amount is neither in nor out.
    fn lacks(&self, key: &str) -> bool {
        match self {
            Values::Range(range) => {
                let outside = range.replacen('-', "!-", 1);
                pattern::matches(&outside.into(), Some(&key.into()))
            }
            Values::Listed(_) => !self.has(key),
        }
    }
}

fn decide(key: &Value, value: &Value, decide: impl Fn(&[String], &Values) -> bool) -> bool {
    match (keys(key), values(value)) {
        (Some(keys), Some(values)) => decide(&keys, &values),
        _ => false,
    }
}

pub(super) fn any_in(key: &Value, value: &Value) -> bool {
    decide(key, value, |keys, values| keys.iter().any(|key| values.has(key)))
}

pub(super) fn all_in(key: &Value, value: &Value) -> bool {
    decide(key, value, |keys, values| keys.iter().all(|key| values.has(key)))
}

pub(super) fn any_not_in(key: &Value, value: &Value) -> bool {
    decide(key, value, |keys, values| keys.iter().any(|key| values.lacks(key)))
}

pub(super) fn all_not_in(key: &Value, value: &Value) -> bool {
    decide(key, value, |keys, values| keys.iter().all(|key| values.lacks(key)))
}

/// The older `In`: a list of keys is compared text by text, without wildcards. `None` where it does not apply.
pub(super) fn is_in(key: &Value, value: &Value) -> Option<bool> {
    let Value::Array(keys) = key else {
        let key = match key {
            Value::String(_) | Value::Number(_) => gotext::sprint(key),
            _ => return None,
        };
        return values(value).map(|values| values.has(&key));
    };
    let keys: Vec<&str> = keys.iter().map(Value::as_str).collect::<Option<_>>()?;
    let read: Value;
    let list = match value {
        Value::Array(list) => list,
        Value::String(text) if keys.as_slice() == [text.as_str()] => return Some(true),
        Value::String(text) => {
            read = serde_json::from_str(text).ok()?;
            read.as_array()?
        }
        _ => return None,
    };
    let list: Vec<&str> = list.iter().map(Value::as_str).collect::<Option<_>>()?;
    Some(keys.iter().all(|key| list.contains(key)))
}
