//! Quantities, such as `100m` and `1Gi`.

use std::any::Any;

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

/// A quantity as a value.
#[derive(Debug, Clone)]
struct Amount(Quantity);

impl Opaque for Amount {
    fn type_name(&self) -> &str {
        "kubernetes.Quantity"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref::<Amount>().is_some_and(|other| self.0 == other.0)
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

fn amount(value: Option<&Value<'_>>) -> Option<Quantity> {
    match value? {
        Value::Int(i) => Some(Quantity::from_whole(*i, Format::Exponent)),
        value => value.downcast::<Amount>().map(|amount| amount.0.clone()),
    }
}

fn pair(args: &[Value<'_>]) -> Option<(Quantity, Quantity)> {
    Some((amount(args.first())?, amount(args.get(1))?))
}

fn quantity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    match Quantity::read(text) {
        Ok(quantity) => Ok(Value::opaque(Amount(quantity))),
        Err(error) => fail(error.to_string()),
    }
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::Bool(Quantity::parse(text).is_some())))
}

fn sign<'a>(args: &[Value<'a>]) -> Answer<'a> {
    amount(args.first()).map_or_else(refuse, |quantity| Ok(Value::Int(quantity.sign())))
}

fn is_greater<'a>(args: &[Value<'a>]) -> Answer<'a> {
    pair(args).map_or_else(refuse, |(a, b)| Ok(Value::Bool(a > b)))
}

fn is_less<'a>(args: &[Value<'a>]) -> Answer<'a> {
    pair(args).map_or_else(refuse, |(a, b)| Ok(Value::Bool(a < b)))
}

fn compare<'a>(args: &[Value<'a>]) -> Answer<'a> {
    pair(args).map_or_else(refuse, |(a, b)| Ok(Value::Int(a.cmp(&b) as i64)))
}

fn float<'a>(args: &[Value<'a>]) -> Answer<'a> {
    amount(args.first()).map_or_else(refuse, |quantity| Ok(Value::Double(quantity.as_f64())))
}

fn integer<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match amount(args.first()).map(|quantity| quantity.as_whole()) {
        Some(Some(whole)) => Ok(Value::Int(whole)),
        Some(None) => fail("cannot convert value to integer"),
        None => refuse(),
    }
}

fn is_integer<'a>(args: &[Value<'a>]) -> Answer<'a> {
    amount(args.first()).map_or_else(refuse, |quantity| Ok(Value::Bool(quantity.as_whole().is_some())))
}

fn combined<'a>(args: &[Value<'a>], with: impl Fn(&Quantity, &Quantity) -> Option<Quantity>) -> Answer<'a> {
    let Some((a, b)) = pair(args) else { return refuse() };
    match with(&a, &b) {
        Some(quantity) => Ok(Value::opaque(Amount(quantity))),
        None => fail("quantity overflow"),
    }
}

fn add<'a>(args: &[Value<'a>]) -> Answer<'a> {
    combined(args, Quantity::checked_add)
}

fn sub<'a>(args: &[Value<'a>]) -> Answer<'a> {
    combined(args, Quantity::checked_sub)
}
