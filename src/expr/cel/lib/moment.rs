//! What depends on when and in which run an expression is evaluated: the present, and random texts.

use std::any::Any;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value as Json;

use super::{Answer, refuse};
use crate::expr::cel::convert::rfc3339;
use crate::expr::cel::cost::UNIT;
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::{Opaque, Timestamp, Value};
use crate::expr::context::Environment;
use crate::expr::gotime::Time;
use crate::expr::jmespath::Expression;

/// The variable that functions get beside their arguments; no text can name it.
pub(crate) const VARIABLE: &str = "@moment";
/// The name of its type.
pub(crate) const TYPE: &str = "moin.Moment";

/// When an evaluation happens, and what is drawn in it.
#[derive(Debug, Default)]
pub struct Moment {
    now: i128,
    seed: u64,
    draws: AtomicU64,
}

impl Moment {
    /// At nanoseconds since 1970. Two runs with one seed draw the same texts in the same order.
    pub fn new(now: i128, seed: u64) -> Moment {
        Moment { now, seed, draws: AtomicU64::new(0) }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn now(&self) -> i128 {
        self.now
    }
}

impl Opaque for Moment {
    fn type_name(&self) -> &str {
        TYPE
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, _other: &dyn Opaque) -> bool {
        false
    }

    fn text(&self) -> String {
        rfc3339(&Timestamp::of(Time { nanos: self.now, offset: 0 }))
    }
}

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("time.now", "time_now", "(moin.Moment()) -> timestamp", UNIT, now),
    row("random", "random_string", "(moin.Moment(), string) -> string", UNIT, random),
    row("random", "random_string_default_expr", "(moin.Moment()) -> string", UNIT, random),
];

fn moment<'v>(args: &'v [Value<'_>]) -> Result<&'v Moment, EvalError> {
    args.first().and_then(Value::downcast::<Moment>).ok_or_else(EvalError::no_such_overload)
}

fn now<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Timestamp(Timestamp::of(Time { nanos: moment(args)?.now, offset: 0 })))
}

static RANDOM: LazyLock<Option<Expression>> = LazyLock::new(|| Expression::compile("random(@)").ok());

/// A text that a regular expression matches; without one, eight letters and digits.
fn random<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let moment = moment(args)?;
    let pattern = match args.get(1) {
        None => "[0-9a-z]{8}",
        Some(Value::String(pattern)) => pattern,
        Some(_) => return refuse(),
    };
    let Some(expression) = &*RANDOM else { return refuse() };
    let draw = moment.draws.fetch_add(1, Ordering::Relaxed);
    let seed = moment.seed.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let environment = Environment { seed, ..Environment::default() };
    let drawn = expression.search_in(&Json::String(pattern.to_owned()), &environment);
    match drawn.map_err(|error| EvalError::new(error.to_string()))? {
        Json::String(text) => Ok(Value::text(text)),
        _ => refuse(),
    }
}
