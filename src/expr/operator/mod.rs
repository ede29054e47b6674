//! The operators of conditions: `Equals`, `AnyIn`, `GreaterThan` and so on.

mod equality;
mod membership;
mod order;

use serde_json::Value;

use super::duration::Duration;

/// An operator of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    kind: Kind,
    /// Whether the name is written exactly; an order that is not never holds.
    exact: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Equals,
    NotEquals,
    In,
    NotIn,
    AnyIn,
    AllIn,
    AnyNotIn,
    AllNotIn,
    Order(Order),
    Duration(Order),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

const NAMES: [(&str, Kind); 18] = [
    ("Equals", Kind::Equals),
    ("Equal", Kind::Equals),
    ("NotEquals", Kind::NotEquals),
    ("NotEqual", Kind::NotEquals),
    ("In", Kind::In),
    ("NotIn", Kind::NotIn),
    ("AnyIn", Kind::AnyIn),
    ("AllIn", Kind::AllIn),
    ("AnyNotIn", Kind::AnyNotIn),
    ("AllNotIn", Kind::AllNotIn),
    ("GreaterThan", Kind::Order(Order::Greater)),
    ("GreaterThanOrEquals", Kind::Order(Order::GreaterEqual)),
    ("LessThan", Kind::Order(Order::Less)),
    ("LessThanOrEquals", Kind::Order(Order::LessEqual)),
    ("DurationGreaterThan", Kind::Duration(Order::Greater)),
    ("DurationGreaterThanOrEquals", Kind::Duration(Order::GreaterEqual)),
    ("DurationLessThan", Kind::Duration(Order::Less)),
    ("DurationLessThanOrEquals", Kind::Duration(Order::LessEqual)),
];

impl Operator {
    /// Finds an operator by its name, in any case of letters.
    pub fn parse(name: &str) -> Option<Operator> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(known, kind)| Operator { kind: *kind, exact: *known == name })
    }

    /// Its name, the first of those that mean the same.
    pub fn name(&self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name)
    }

    /// The names there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// How many comparisons of texts it takes; those of plain texts with plain ones cost nothing.
    pub(crate) fn work(&self, key: &Value, value: &Value) -> u64 {
        match self.kind {
            Kind::In | Kind::NotIn | Kind::AnyIn | Kind::AllIn | Kind::AnyNotIn | Kind::AllNotIn => {
                membership::work(key, value)
            }
            _ => 0,
        }
    }

    /// Whether a condition holds. A key that is null never makes one hold.
    pub fn evaluate(&self, key: &Value, value: &Value) -> bool {
        match self.kind {
            Kind::Equals => equality::equals(key, value),
            Kind::NotEquals => !key.is_null() && !equality::equals(key, value),
            Kind::In => membership::is_in(key, value) == Some(true),
            Kind::NotIn => membership::is_in(key, value) == Some(false),
            Kind::AnyIn => membership::any_in(key, value),
            Kind::AllIn => membership::all_in(key, value),
            Kind::AnyNotIn => membership::any_not_in(key, value),
            Kind::AllNotIn => membership::all_not_in(key, value),
            Kind::Order(order) => self.exact && order::compare(key, value, order),
            Kind::Duration(order) => self.exact && order::durations(key, value, order),
        }
    }
}

impl Order {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Order::Greater => order.is_gt(),
            Order::GreaterEqual => order.is_ge(),
            Order::Less => order.is_lt(),
            Order::LessEqual => order.is_le(),
        }
    }
}

/// A text that is a duration (`0` alone is not taken for one).
fn duration_text(value: &Value) -> Option<Duration> {
    value.as_str().filter(|text| *text != "0").and_then(Duration::parse)
}

/// Both as durations, if one is written as such and the other is too or is a number, of seconds.
fn as_durations(key: &Value, value: &Value) -> Option<(Duration, Duration)> {
    match (duration_text(key), duration_text(value)) {
        (Some(key), Some(value)) => Some((key, value)),
        (Some(key), None) => Some((key, whole_seconds(value)?)),
        (None, Some(value)) => Some((whole_seconds(key)?, value)),
        (None, None) => None,
    }
}

/// A number of seconds, cut to whole ones.
fn whole_seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(|seconds| Duration((seconds.trunc() as i64).saturating_mul(1_000_000_000)))
}

#[cfg(test)]
mod tests;
