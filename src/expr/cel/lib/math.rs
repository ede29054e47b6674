//! Mathematics that Kubernetes leaves out.

use std::cmp::Ordering;

use super::{Answer, fail, refuse};
use crate::expr::cel::cost::{Cost, UNIT};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::equality::order;
use crate::expr::cel::value::Value;

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("math.greatest", "math_greatest_one", "(dyn) -> dyn", Cost::Items, greatest),
    row("math.greatest", "math_greatest_two", "(dyn, dyn) -> dyn", UNIT, greatest),
    row("math.greatest", "math_greatest_three", "(dyn, dyn, dyn) -> dyn", UNIT, greatest),
    row("math.greatest", "math_greatest_four", "(dyn, dyn, dyn, dyn) -> dyn", UNIT, greatest),
    row("math.least", "math_least_one", "(dyn) -> dyn", Cost::Items, least),
    row("math.least", "math_least_two", "(dyn, dyn) -> dyn", UNIT, least),
    row("math.least", "math_least_three", "(dyn, dyn, dyn) -> dyn", UNIT, least),
    row("math.least", "math_least_four", "(dyn, dyn, dyn, dyn) -> dyn", UNIT, least),
    row("math.ceil", "math_ceil_double", "(double) -> double", UNIT, |args| float(args, f64::ceil)),
    row("math.floor", "math_floor_double", "(double) -> double", UNIT, |args| float(args, f64::floor)),
    row("math.round", "math_round_double", "(double) -> double", UNIT, |args| float(args, f64::round)),
    row("math.round", "math_round_float_int", "(double, int) -> double", UNIT, round_to),
    row("math.trunc", "math_trunc_double", "(double) -> double", UNIT, |args| float(args, f64::trunc)),
    row("math.sqrt", "math_sqrt_double", "(double) -> double", UNIT, |args| float(args, f64::sqrt)),
    row("math.sqrt", "math_sqrt_int", "(int) -> double", UNIT, |args| float(args, f64::sqrt)),
    row("math.isNaN", "math_isNaN_double", "(double) -> bool", UNIT, |args| is(args, f64::is_nan)),
    row("math.isInf", "math_isInf_double", "(double) -> bool", UNIT, |args| is(args, f64::is_infinite)),
    row("math.isFinite", "math_isFinite_double", "(double) -> bool", UNIT, |args| is(args, f64::is_finite)),
    row("math.abs", "math_abs_int", "(int) -> int", UNIT, abs),
    row("math.abs", "math_abs_uint", "(uint) -> uint", UNIT, abs),
    row("math.abs", "math_abs_double", "(double) -> double", UNIT, abs),
    row("math.sign", "math_sign_int", "(int) -> int", UNIT, sign),
    row("math.sign", "math_sign_uint", "(uint) -> uint", UNIT, sign),
    row("math.sign", "math_sign_double", "(double) -> double", UNIT, sign),
    row("math.bitAnd", "math_bitAnd_int_int", "(int, int) -> int", UNIT, |args| bits(args, |a, b| a & b)),
    row("math.bitOr", "math_bitOr_int_int", "(int, int) -> int", UNIT, |args| bits(args, |a, b| a | b)),
    row("math.bitXor", "math_bitXor_int_int", "(int, int) -> int", UNIT, |args| bits(args, |a, b| a ^ b)),
    row("math.bitNot", "math_bitNot_int_int", "(int) -> int", UNIT, bit_not),
    row("math.bitShiftLeft", "math_bitShiftLeft_int_int", "(int, int) -> int", UNIT, |args| shift(args, |a, by| a.checked_shl(by))),
    row("math.bitShiftRight", "math_bitShiftRight_int_int", "(int, int) -> int", UNIT, |args| shift(args, |a, by| (a as u64).checked_shr(by).map(|a| a as i64))),
];

fn extreme<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Answer<'a> {
    let listed;
    let items = match args {
        [list] if list.list_len().is_some() => {
            listed = list.items()?;
            &listed[..]
        }
        items => items,
    };
    if items.iter().any(|item| !matches!(item, Value::Int(_) | Value::Uint(_) | Value::Double(_))) {
        return refuse();
    }
    let mut items = items.iter();
    let Some(first) = items.next() else {
        return fail(format!("math.@{name}(list) argument must not be empty"));
    };
    let mut best = first;
    for item in items {
        if order(item, best)? == wanted {
            best = item;
        }
    }
    Ok(best.clone())
}

fn greatest<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(args, "max", Ordering::Greater)
}

fn least<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(args, "min", Ordering::Less)
}

fn float<'a>(args: &[Value<'a>], of: fn(f64) -> f64) -> Answer<'a> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(of(*number))),
        [Value::Int(number)] => Ok(Value::Double(of(*number as f64))),
        _ => refuse(),
    }
}

fn is<'a>(args: &[Value<'a>], of: fn(f64) -> bool) -> Answer<'a> {
    match args {
        [Value::Double(number)] => Ok(Value::Bool(of(*number))),
        _ => refuse(),
    }
}

/// With so many digits after the point.
fn round_to<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Double(number), Value::Int(digits)] = args else { return refuse() };
    let factor = 10_f64.powi(i32::try_from(*digits).unwrap_or(i32::MAX));
    let rounded = (number * factor).round() / factor;
    Ok(Value::Double(if rounded.is_finite() { rounded } else { *number }))
}

fn abs<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Int(number)] => {
            number.checked_abs().map_or_else(|| fail("integer overflow"), |n| Ok(Value::Int(n)))
        }
        [Value::Uint(number)] => Ok(Value::Uint(*number)),
        [Value::Double(number)] => Ok(Value::Double(number.abs())),
        _ => refuse(),
    }
}

fn sign<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Int(number)] => Ok(Value::Int(number.signum())),
        [Value::Uint(number)] => Ok(Value::Uint((*number).min(1))),
        [Value::Double(number)] if *number == 0.0 || number.is_nan() => Ok(Value::Double(*number)),
        [Value::Double(number)] => Ok(Value::Double(number.signum())),
        _ => refuse(),
    }
}

fn bits<'a>(args: &[Value<'a>], of: fn(i64, i64) -> i64) -> Answer<'a> {
    match args {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(of(*a, *b))),
        _ => refuse(),
    }
}

fn bit_not<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args {
        [Value::Int(number)] => Ok(Value::Int(!number)),
        _ => refuse(),
    }
}

fn shift<'a>(args: &[Value<'a>], of: fn(i64, u32) -> Option<i64>) -> Answer<'a> {
    let [Value::Int(number), Value::Int(by)] = args else { return refuse() };
    if *by < 0 {
        return fail(format!("math.bitShift() negative offset: {by}"));
    }
    // All bits are gone after as many as there are.
    Ok(Value::Int(u32::try_from(*by).ok().and_then(|by| of(*number, by)).unwrap_or(0)))
}
