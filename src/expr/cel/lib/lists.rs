//! Functions on lists.

use std::cmp::Ordering;

use super::{Answer, fail, refuse};
use crate::expr::cel::cost::Cost;
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::equality::{contains, equals, order};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::operators::add;
use crate::expr::cel::value::Value;

/// A list of the types that have an order.
macro_rules! ordered {
    ($($ty:literal $declared:literal $cel:literal),*) => {
        &[
            $(
                row("isSorted", concat!("list_", $ty, "_is_sorted_bool"), concat!("list(", $declared, ").() -> bool"), Cost::Items, is_sorted),
                row("max", concat!("list_", $ty, "_max_", $ty), concat!("list(", $declared, ").() -> ", $declared), Cost::Items, max),
                row("min", concat!("list_", $ty, "_min_", $ty), concat!("list(", $declared, ").() -> ", $declared), Cost::Items, min),
                row("sort", concat!("list_", $cel, "_sort"), concat!("list(", $declared, ").() -> list(", $declared, ")"), Cost::Sort, sort),
                row("@sortByAssociatedKeys", concat!("list_", $cel, "_sortByAssociatedKeys"), concat!("list(T).(list(", $declared, ")) -> list(T)"), Cost::SortBy, sort_by),
            )*
        ]
    };
}

pub(crate) const ORDERED: &[Row] = ordered!(
    "int" "int" "int",
    "uint" "uint" "uint",
    "double" "double" "double",
    "bool" "bool" "bool",
    "duration" "duration" "google.protobuf.Duration",
    "timestamp" "timestamp" "google.protobuf.Timestamp",
    "string" "string" "string",
    "bytes" "bytes" "bytes"
);

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("sum", "list_int_sum_int", "list(int).() -> int", Cost::Items, |args| sum(args, Value::Int(0))),
    row("sum", "list_uint_sum_uint", "list(uint).() -> uint", Cost::Items, |args| sum(args, Value::Uint(0))),
    row("sum", "list_double_sum_double", "list(double).() -> double", Cost::Items, |args| sum(args, Value::Double(0.0))),
    row("sum", "list_duration_sum_duration", "list(duration).() -> duration", Cost::Items, |args| sum(args, Value::Duration(0))),
    row("indexOf", "list_a_index_of_int", "list(A).(A) -> int", Cost::Items, index_of),
    row("lastIndexOf", "list_a_last_index_of_int", "list(A).(A) -> int", Cost::Items, last_index_of),
    row("slice", "list_slice", "list(T).(int, int) -> list(T)", Cost::Slice, slice),
    row("flatten", "list_flatten", "list(list(T)).() -> list(T)", Cost::Flatten, flatten),
    row("flatten", "list_flatten_int", "list(dyn).(int) -> list(dyn)", Cost::Flatten, flatten),
    row("lists.range", "lists_range", "(int) -> list(int)", Cost::Range, range),
    row("reverse", "list_reverse", "list(T).() -> list(T)", Cost::CopyList, reverse),
    row("distinct", "list_distinct", "list(T).() -> list(T)", Cost::Distinct, distinct),
    row("sets.contains", "list_sets_contains_list", "(list(T), list(T)) -> bool", Cost::Pairs(1), sets_contains),
    row("sets.equivalent", "list_sets_equivalent_list", "(list(T), list(T)) -> bool", Cost::Pairs(2), sets_equivalent),
    row("sets.intersects", "list_sets_intersects_list", "(list(T), list(T)) -> bool", Cost::Pairs(1), sets_intersects),
];

/// The items of a list whose first one decides which overload is meant. The others need only have an order of their
/// own: what cannot be compared with its neighbour is neither larger nor smaller.
fn orderable<'a>(list: &Value<'a>, name: &str) -> Result<Vec<Value<'a>>, EvalError> {
    let items = list.items()?;
    match items.iter().position(|item| !has_order(item)) {
        None => Ok(items),
        Some(0) => Err(EvalError::new(format!("no such overload: {name}(list)"))),
        Some(_) => Err(EvalError::no_such_overload()),
    }
}

fn has_order(value: &Value<'_>) -> bool {
    matches!(value, Value::Double(_)) || order(value, value).is_ok()
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let items = orderable(&args[0], "isSorted")?;
    let falls = |pair: &[Value<'a>]| order(&pair[0], &pair[1]).is_ok_and(Ordering::is_gt);
    Ok(Value::Bool(!items.windows(2).any(falls)))
}

fn sum<'a>(args: &[Value<'a>], zero: Value<'a>) -> Answer<'a> {
    let items = args[0].items()?;
    let has_sum = |item: &Value<'a>| {
        matches!(item, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_))
    };
    if items.first().is_some_and(|first| !has_sum(first)) {
        return fail("no such overload: sum(list)");
    }
    items.iter().try_fold(zero, |sum, item| add(&sum, item))
}

fn extreme<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Answer<'a> {
    let mut best: Option<Value<'a>> = None;
    for item in orderable(&args[0], name)? {
        match &best {
            Some(known) if order(&item, known).ok() != Some(wanted) => {}
            _ => best = Some(item),
        }
    }
    match best {
        Some(best) => Ok(best),
        None => fail(format!("{name} called on empty list")),
    }
}

fn max<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(args, "max", Ordering::Greater)
}

fn min<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(args, "min", Ordering::Less)
}

fn place<'a>(found: Option<usize>) -> Answer<'a> {
    Ok(Value::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

fn index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [list, wanted] = args else { return refuse() };
    place(list.items()?.iter().position(|item| equals(item, wanted).unwrap_or(false)))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [list, wanted] = args else { return refuse() };
    place(list.items()?.iter().rposition(|item| equals(item, wanted).unwrap_or(false)))
}

fn slice<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [list, Value::Int(start), Value::Int(end)] = args else { return refuse() };
    let items = list.items()?;
    let problem = match (usize::try_from(*start), usize::try_from(*end)) {
        (Ok(from), Ok(to)) if from > to => "start index must be less than or equal to end index".to_owned(),
        (Ok(_), Ok(to)) if to > items.len() => format!("list is length {}", items.len()),
        (Ok(from), Ok(to)) => return Ok(Value::list(items[from..to].to_vec())),
        _ => "negative indexes not supported".to_owned(),
    };
    fail(format!("cannot slice({start}, {end}), {problem}"))
}

fn flatten<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let depth = match args.get(1) {
        None => 1,
        Some(Value::Int(depth)) if *depth >= 0 => *depth,
        Some(Value::Int(_)) => return fail("level must be non-negative"),
        Some(_) => return refuse(),
    };
    let mut items = args[0].items()?;
    for _ in 0..depth {
        if items.iter().all(|item| item.list_len().is_none()) {
            break;
        }
        let mut flat = Vec::with_capacity(items.len());
        for item in items {
            match item.list_len() {
                Some(_) => flat.extend(item.items()?),
                None => flat.push(item),
            }
        }
        items = flat;
    }
    Ok(Value::list(items))
}

/// The longest list that is made of nothing: what costs more than a budget has.
const LONGEST: i64 = 2_000_000;

fn range<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Int(end)] if *end > LONGEST => Err(EvalError::over_budget()),
        [Value::Int(end)] => Ok(Value::list((0..*end).map(Value::Int).collect())),
        _ => refuse(),
    }
}

fn reverse<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut items = args[0].items()?;
    items.reverse();
    Ok(Value::list(items))
}

fn distinct<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut out: Vec<Value<'a>> = Vec::new();
    for item in args[0].items()? {
        if !out.iter().any(|known| equals(&item, known).unwrap_or(false)) {
            out.push(item);
        }
    }
    Ok(Value::list(out))
}

fn sort<'a>(args: &[Value<'a>]) -> Answer<'a> {
    sorted(args[0].items()?, args[0].items()?)
}

fn sort_by<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [list, keys] = args else { return refuse() };
    sorted(list.items()?, keys.items()?)
}

fn sorted<'a>(items: Vec<Value<'a>>, keys: Vec<Value<'a>>) -> Answer<'a> {
    let (length, count) = (items.len(), keys.len());
    if length != count {
        return fail(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {length} and \
             {count} elements respectively"
        ));
    }
    if let Some(first) = keys.first() {
        if order(first, first).is_err() && !matches!(first, Value::Double(_)) {
            return fail("list elements must be comparable");
        }
        if keys.iter().any(|key| key.type_name() != first.type_name()) {
            return fail("list elements must have the same type");
        }
    }
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.into_iter().zip(items).collect();
    pairs.sort_by(|a, b| order(&a.0, &b.0).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

fn contains_all<'a>(list: &Value<'a>, part: &Value<'a>) -> Result<bool, EvalError> {
    for item in part.items()? {
        if !contains(list, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sets_contains<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [list, part] = args else { return refuse() };
    contains_all(list, part).map(Value::Bool)
}

fn sets_equivalent<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [a, b] = args else { return refuse() };
    Ok(Value::Bool(contains_all(a, b)? && contains_all(b, a)?))
}

fn sets_intersects<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [a, b] = args else { return refuse() };
    for item in a.items()? {
        if contains(b, &item)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
