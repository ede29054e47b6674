//! The standard's functions that order and choose.

use std::cmp::Ordering;

use super::{ARRAY, Call, Function, REFERENCE, SORTABLE, Val, row};
use crate::expr::jmespath::EvalError;

pub(super) const TABLE: &[Function] = &[
    row("max", &[SORTABLE], |call| extreme(call, Ordering::Greater)),
    row("max_by", &[ARRAY, REFERENCE], |call| extreme_by(call, Ordering::Greater)),
    row("min", &[SORTABLE], |call| extreme(call, Ordering::Less)),
    row("min_by", &[ARRAY, REFERENCE], |call| extreme_by(call, Ordering::Less)),
    row("sort_by", &[ARRAY, REFERENCE], sort_by),
];

/// What values are ordered by: all numbers or all texts.
enum Key {
    Number(f64),
    Text(String),
}

impl Key {
    fn of(value: &Val<'_>) -> Option<Key> {
        value.as_f64().map(Key::Number).or_else(|| value.as_str().map(|t| Key::Text(t.to_owned())))
    }

    fn same_type(&self, other: &Key) -> bool {
        matches!((self, other), (Key::Number(_), Key::Number(_)) | (Key::Text(_), Key::Text(_)))
    }

    fn compare(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

fn keyed<'a>(call: Call<'a, '_>) -> Result<Vec<(Key, Val<'a>)>, EvalError> {
    let by = match call.arguments.get(1) {
        Some(Val::Expression(by)) => Some(*by),
        _ => None,
    };
    let items = call.argument(0)?.items();
    let mut keyed: Vec<(Key, Val<'a>)> = Vec::new();
    for item in items.iter().flat_map(|i| i.iter()) {
        let value = match by {
            Some(by) => call.interpreter.lenient(by, &item)?,
            None => item.clone(),
        };
        let key = Key::of(&value).ok_or_else(|| call.error("invalid type, must be number or string"))?;
        if keyed.first().is_some_and(|(first, _)| !first.same_type(&key)) {
            return Err(call.error("invalid type, all must be numbers or all strings"));
        }
        keyed.push((key, item));
    }
    call.interpreter.spend(keyed.len())?;
    Ok(keyed)
}

fn extreme<'a>(call: Call<'a, '_>, wanted: Ordering) -> Result<Val<'a>, EvalError> {
    let mut best: Option<(Key, Val<'a>)> = None;
    for (key, item) in keyed(call)? {
        if best.as_ref().is_none_or(|(top, _)| key.compare(top) == wanted) {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(Val::null, |(_, item)| item))
}

/// One element is the answer whatever its key is.
fn extreme_by<'a>(call: Call<'a, '_>, wanted: Ordering) -> Result<Val<'a>, EvalError> {
    match single(call)? {
        Some(only) => Ok(only),
        None => extreme(call, wanted),
    }
}

fn single<'a>(call: Call<'a, '_>) -> Result<Option<Val<'a>>, EvalError> {
    Ok(call.argument(0)?.items().filter(|items| items.len() == 1).and_then(|items| items.get(0)))
}

pub(super) fn sort<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let mut items = keyed(call)?;
    items.sort_by(|(a, _), (b, _)| a.compare(b));
    Ok(Val::list(items.into_iter().map(|(_, item)| item).collect()))
}

fn sort_by<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    match single(call)? {
        Some(only) => Ok(Val::list(vec![only])),
        None => sort(call),
    }
}
