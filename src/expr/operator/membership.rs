//! `In`, `AnyIn`, `AllIn` and their negations.

use std::collections::HashSet;

use serde_json::Value;

use crate::expr::{gotext, pattern, wildcard};

/// What a key is looked for in.
enum Values {
    Listed(Listed),
    /// `10-20`
    Range(String),
}

/// Values, and which of them are patterns.
struct Listed {
    all: Vec<String>,
    patterns: Vec<usize>,
    /// All of them, where they are so many that a search through them takes longer.
    index: HashSet<String>,
}

/// So many values are searched one by one.
const FEW: usize = 8;

impl Listed {
    fn of(all: Vec<String>) -> Listed {
        let is_pattern = |at: &usize| wildcard::contains(&all[*at]);
        let patterns = (0..all.len()).filter(is_pattern).collect();
        let index = if all.len() > FEW { all.iter().cloned().collect() } else { HashSet::new() };
        Listed { all, patterns, index }
    }

    fn has(&self, key: &str) -> bool {
        let same = match self.index.is_empty() {
            true => self.all.iter().any(|value| value == key),
            false => self.index.contains(key),
        };
        same || self.patterns.iter().any(|at| wildcard::matches(&self.all[*at], key))
            || wildcard::contains(key) && self.all.iter().any(|value| wildcard::matches(key, value))
    }
}

/// How many patterns are laid over texts.
pub(super) fn work(key: &Value, value: &Value) -> u64 {
    let count = |value: &Value| -> (u64, u64) {
        match value {
            Value::Array(items) => {
                let patterns =
                    items.iter().filter(|item| item.as_str().is_some_and(wildcard::contains)).count();
                (items.len() as u64, patterns as u64)
            }
            // A text may be a list in JSON.
            Value::String(text) => {
                let items = 1 + text.matches(',').count() as u64;
                (items, if wildcard::contains(text) { items } else { 0 })
            }
            _ => (1, 0),
        }
    };
    let ((keys, key_patterns), (values, value_patterns)) = (count(key), count(value));
    (keys + values) / 16 + keys.saturating_mul(value_patterns) + values.saturating_mul(key_patterns)
}

/// The values of a list, of a text that is a JSON array, of a range, or one value alone.
fn values(value: &Value) -> Option<Values> {
    Some(match value {
        Value::Array(items) => Values::Listed(Listed::of(items.iter().map(gotext::sprint).collect())),
        Value::String(text) if pattern::is_range(text) => Values::Range(text.clone()),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(items)) => Values::Listed(Listed::of(
                items.iter().map(|i| i.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?,
            )),
            Ok(Value::Object(_)) => return None,
            _ => Values::Listed(Listed::of(vec![text.clone()])),
        },
        Value::Number(_) | Value::Bool(_) => Values::Listed(Listed::of(vec![gotext::sprint(value)])),
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
            Values::Listed(values) => values.has(key),
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
    let list: HashSet<&str> = list.into_iter().collect();
    Some(keys.iter().all(|key| list.contains(key)))
}
