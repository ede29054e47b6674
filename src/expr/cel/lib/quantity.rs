//! Quantities, such as `100m` and `1Gi`.

use std::any::Any;
use std::cmp::Ordering;

use super::{Answer, fail, refuse};
use crate::expr::cel::cost::{READ, UNIT};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::value::{Opaque, Value};
use crate::expr::quantity::{Format, Quantity};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("quantity", "string_to_quantity", "(string) -> kubernetes.Quantity", READ, quantity),
    row("isQuantity", "is_quantity_string", "(string) -> bool", READ, is_quantity),
    row("sign", "quantity_sign", "(kubernetes.Quantity) -> int", UNIT, sign),
    row("isGreaterThan", "quantity_is_greater_than", "kubernetes.Quantity.(kubernetes.Quantity) -> bool", UNIT, is_greater),
    row("isLessThan", "quantity_is_less_than", "kubernetes.Quantity.(kubernetes.Quantity) -> bool", UNIT, is_less),
    row("compareTo", "quantity_compare_to", "kubernetes.Quantity.(kubernetes.Quantity) -> int", UNIT, compare),
    row("asApproximateFloat", "quantity_get_float", "kubernetes.Quantity.() -> double", UNIT, float),
    row("asInteger", "quantity_get_int", "kubernetes.Quantity.() -> int", UNIT, integer),
    row("isInteger", "quantity_is_integer", "kubernetes.Quantity.() -> bool", UNIT, is_integer),
    row("add", "quantity_add", "kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity", UNIT, add),
    row("add", "quantity_add_int", "kubernetes.Quantity.(int) -> kubernetes.Quantity", UNIT, add),
    row("sub", "quantity_sub", "kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity", UNIT, sub),
    row("sub", "quantity_sub_int", "kubernetes.Quantity.(int) -> kubernetes.Quantity", UNIT, sub),
];

/// A quantity, and whether it was written without decimals: only those are integers, whatever their amount.
#[derive(Debug, Clone, Copy)]
struct Amount {
    quantity: Quantity,
    whole: bool,
}

impl Opaque for Amount {
    fn type_name(&self) -> &str {
        "kubernetes.Quantity"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref::<Amount>().is_some_and(|other| self.quantity == other.quantity)
    }

    fn text(&self) -> String {
        self.quantity.to_string()
    }
}

fn parse(text: &str) -> Option<Amount> {
    // A lone sign is read as nothing at all.
    if matches!(text, "-" | "+" | ".") {
        return Some(Amount { quantity: Quantity::from_whole(0, Format::Decimal), whole: true });
    }
    let quantity = Quantity::parse(text)?;
    let digits = text.trim_start_matches(['+', '-']);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let decimals = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let power: i64 = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        "" => 0,
        // Powers of two are no powers of ten.
        suffix if suffix.ends_with('i') => 0,
        suffix => suffix.trim_start_matches(['e', 'E']).parse().unwrap_or(0),
    };
    let whole = power >= i64::try_from(decimals).unwrap_or(i64::MAX) && quantity.as_f64().abs() < 9.2e18;
    Some(Amount { quantity, whole })
}

fn amount(value: Option<&Value<'_>>) -> Option<Amount> {
    match value? {
        Value::Int(i) => Some(Amount { quantity: Quantity::from_whole(*i, Format::Exponent), whole: true }),
        value => value.downcast().copied(),
    }
}

fn pair(args: &[Value<'_>]) -> Option<(Amount, Amount)> {
    Some((amount(args.first())?, amount(args.get(1))?))
}

fn quantity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    match parse(text) {
        Some(amount) => Ok(Value::opaque(amount)),
        None => fail(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    }
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::Bool(parse(text).is_some())))
}

fn order(a: Amount, b: Amount) -> Ordering {
    a.quantity.partial_cmp(&b.quantity).unwrap_or(Ordering::Equal)
}

fn sign<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let zero = Amount { quantity: Quantity::from_whole(0, Format::Decimal), whole: true };
    amount(args.first()).map_or_else(refuse, |amount| Ok(Value::Int(order(amount, zero) as i64)))
}

fn is_greater<'a>(args: &[Value<'a>]) -> Answer<'a> {
    pair(args).map_or_else(refuse, |(a, b)| Ok(Value::Bool(order(a, b) == Ordering::Greater)))
}

fn is_less<'a>(args: &[Value<'a>]) -> Answer<'a> {
    pair(args).map_or_else(refuse, |(a, b)| Ok(Value::Bool(order(a, b) == Ordering::Less)))
}

fn compare<'a>(args: &[Value<'a>]) -> Answer<'a> {
    pair(args).map_or_else(refuse, |(a, b)| Ok(Value::Int(order(a, b) as i64)))
}

fn float<'a>(args: &[Value<'a>]) -> Answer<'a> {
    amount(args.first()).map_or_else(refuse, |amount| Ok(Value::Double(amount.quantity.as_f64())))
}

fn integer<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match amount(args.first()) {
        Some(amount) => match amount.quantity.as_whole().filter(|_| amount.whole) {
            Some(whole) => Ok(Value::Int(whole)),
            None => fail("cannot convert value to integer"),
        },
        None => refuse(),
    }
}

fn is_integer<'a>(args: &[Value<'a>]) -> Answer<'a> {
    amount(args.first())
        .map_or_else(refuse, |amount| Ok(Value::Bool(amount.whole && amount.quantity.as_whole().is_some())))
}

fn combined<'a>(args: &[Value<'a>], with: impl Fn(Quantity, Quantity) -> Option<Quantity>) -> Answer<'a> {
    let Some((a, b)) = pair(args) else { return refuse() };
    match with(a.quantity, b.quantity) {
        Some(quantity) => Ok(Value::opaque(Amount { quantity, whole: a.whole && b.whole })),
        None => fail("quantity overflow"),
    }
}

fn add<'a>(args: &[Value<'a>]) -> Answer<'a> {
    combined(args, Quantity::checked_add)
}

fn sub<'a>(args: &[Value<'a>]) -> Answer<'a> {
    combined(args, Quantity::checked_sub)
}
