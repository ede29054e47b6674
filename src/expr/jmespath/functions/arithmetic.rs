//! `add`, `sum`, `subtract`, `multiply`, `divide`, `modulo` and `round` over numbers, quantities and durations.

use serde_json::Value;

use super::{ANY, ARRAY, Call, Function, NUMBER, Val, number, row};
use crate::expr::duration::Duration;
use crate::expr::gotext;
use crate::expr::jmespath::EvalError;
use crate::expr::quantity::Quantity;

pub(super) const TABLE: &[Function] = &[
    row("add", &[ANY, ANY], |call| add(call, call.argument(0)?, call.argument(1)?)),
    row("sum", &[ARRAY], sum),
    row("subtract", &[ANY, ANY], subtract),
    row("multiply", &[ANY, ANY], multiply),
    row("divide", &[ANY, ANY], divide),
    row("modulo", &[ANY, ANY], modulo),
    row("round", &[NUMBER, NUMBER], round),
];

/// What a value is in arithmetic. A text is a quantity first, so `10m` is a hundredth, not ten minutes.
enum Operand {
    Number(f64),
    Quantity(Quantity),
    Duration(Duration),
}

use Operand as O;

fn operand(call: Call<'_, '_>, value: &Val<'_>) -> Result<Operand, EvalError> {
    if let Some(number) = value.as_f64() {
        return Ok(O::Number(number));
    }
    value
        .as_str()
        .and_then(|text| {
            Quantity::parse(text).map(O::Quantity).or_else(|| Duration::parse(text).map(O::Duration))
        })
        .ok_or_else(|| call.error("invalid operand"))
}

fn operands(call: Call<'_, '_>) -> Result<(Operand, Operand), EvalError> {
    Ok((operand(call, call.argument(0)?)?, operand(call, call.argument(1)?)?))
}

fn mismatch(call: Call<'_, '_>) -> EvalError {
    call.error("Types mismatch")
}

fn zero(call: Call<'_, '_>) -> EvalError {
    call.error("Zero divisor passed")
}

fn quantity<'a>(call: Call<'a, '_>, result: Option<Quantity>) -> Result<Val<'a>, EvalError> {
    result.map(|q| Val::text(q.to_string())).ok_or_else(|| call.error("the result is too large"))
}

fn duration<'a>(result: i64) -> Result<Val<'a>, EvalError> {
    Ok(Val::text(Duration(result).to_string()))
}

/// A plain number as a quantity, to calculate exactly.
fn exact(call: Call<'_, '_>, value: f64) -> Result<Quantity, EvalError> {
    Quantity::parse(&gotext::general(value)).ok_or_else(|| call.error("invalid operand"))
}

fn add<'a>(call: Call<'a, '_>, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, EvalError> {
    match (operand(call, a)?, operand(call, b)?) {
        (O::Number(a), O::Number(b)) => number(call, a + b),
        (O::Quantity(a), O::Quantity(b)) => quantity(call, a.checked_add(&b)),
        (O::Duration(a), O::Duration(b)) => duration(a.0.wrapping_add(b.0)),
        _ => Err(mismatch(call)),
    }
}

fn sum<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let items = call.argument(0)?.items();
    let mut items = items.iter().flat_map(|i| i.iter());
    let first = items.next().ok_or_else(|| call.error("at least one element in the array is required"))?;
    items.try_fold(first, |total, item| {
        call.interpreter.spend(1)?;
        add(call, &total, &item)
    })
}

fn subtract<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    match operands(call)? {
        (O::Number(a), O::Number(b)) => number(call, a - b),
        (O::Quantity(a), O::Quantity(b)) => quantity(call, a.checked_sub(&b)),
        (O::Duration(a), O::Duration(b)) => duration(a.0.wrapping_sub(b.0)),
        _ => Err(mismatch(call)),
    }
}

fn multiply<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    match operands(call)? {
        (O::Number(a), O::Number(b)) => number(call, a * b),
        (O::Quantity(q), O::Number(n)) | (O::Number(n), O::Quantity(q)) => {
            quantity(call, q.checked_mul(&exact(call, n)?))
        }
        (O::Duration(d), O::Number(n)) | (O::Number(n), O::Duration(d)) => {
            duration(Duration::from_seconds(d.seconds() * n).0)
        }
        _ => Err(mismatch(call)),
    }
}

fn divide<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    match operands(call)? {
        (_, O::Number(0.0)) => Err(zero(call)),
        (O::Number(a), O::Number(b)) => number(call, a / b),
        (O::Quantity(_), O::Quantity(b)) if b.as_f64() == 0.0 => Err(zero(call)),
        (O::Quantity(a), O::Quantity(b)) => number(call, a.as_f64() / b.as_f64()),
        (O::Quantity(a), O::Number(b)) => quantity(call, a.checked_div(&exact(call, b)?)),
        (O::Duration(_), O::Duration(Duration(0))) => Err(zero(call)),
        (O::Duration(a), O::Duration(b)) => number(call, a.seconds() / b.seconds()),
        (O::Duration(a), O::Number(b)) => duration(Duration::from_seconds(a.seconds() / b).0),
        _ => Err(mismatch(call)),
    }
}

fn modulo<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    match operands(call)? {
        (O::Number(a), O::Number(b)) => number(call, whole_remainder(call, a, b)? as f64),
        (O::Quantity(a), O::Quantity(b)) => {
            let rest = whole_remainder(call, a.as_f64(), b.as_f64())?;
            quantity(call, Some(Quantity::from_whole(rest, a.format())))
        }
        (O::Duration(_), O::Duration(Duration(0))) => Err(zero(call)),
        (O::Duration(a), O::Duration(b)) => duration(a.0.wrapping_rem(b.0)),
        _ => Err(mismatch(call)),
    }
}

fn whole_remainder(call: Call<'_, '_>, a: f64, b: f64) -> Result<i64, EvalError> {
    // Whole numbers are those that 64 bits can say.
    let whole = |n: f64| n.fract() == 0.0 && n >= i64::MIN as f64 && n < i64::MAX as f64;
    if !whole(a) || !whole(b) {
        return Err(call.error("Non-integer argument(s) passed for modulo"));
    }
    if b == 0.0 {
        return Err(zero(call));
    }
    Ok((a as i64).wrapping_rem(b as i64))
}

fn round<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let places = call.whole(1)?;
    if places < 0 {
        return Err(call.error("the number of places is out of bounds"));
    }
    let shift = 10_f64.powi(i32::try_from(places).unwrap_or(i32::MAX));
    let rounded = (call.number(0)? * shift).round() / shift;
    if rounded.is_finite() { number(call, rounded) } else { Ok(Val::owned(Value::Null)) }
}
