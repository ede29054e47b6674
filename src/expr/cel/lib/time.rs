//! Parts of points in time and of lengths of time.

use super::{Answer, refuse};
use crate::expr::cel::convert;
use crate::expr::cel::cost::UNIT;
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::Value;
use crate::expr::gotime::{Time, days_of};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("getFullYear", "timestamp_to_year", "timestamp.() -> int", UNIT, full_year),
    row("getFullYear", "timestamp_to_year_with_tz", "timestamp.(string) -> int", UNIT, full_year),
    row("getMonth", "timestamp_to_month", "timestamp.() -> int", UNIT, month),
    row("getMonth", "timestamp_to_month_with_tz", "timestamp.(string) -> int", UNIT, month),
    row("getDayOfYear", "timestamp_to_day_of_year", "timestamp.() -> int", UNIT, day_of_year),
    row("getDayOfYear", "timestamp_to_day_of_year_with_tz", "timestamp.(string) -> int", UNIT, day_of_year),
    row("getDayOfMonth", "timestamp_to_day_of_month", "timestamp.() -> int", UNIT, day_of_month),
    row("getDayOfMonth", "timestamp_to_day_of_month_with_tz", "timestamp.(string) -> int", UNIT, day_of_month),
    row("getDate", "timestamp_to_day_of_month_1_based", "timestamp.() -> int", UNIT, date),
    row("getDate", "timestamp_to_day_of_month_1_based_with_tz", "timestamp.(string) -> int", UNIT, date),
    row("getDayOfWeek", "timestamp_to_day_of_week", "timestamp.() -> int", UNIT, day_of_week),
    row("getDayOfWeek", "timestamp_to_day_of_week_with_tz", "timestamp.(string) -> int", UNIT, day_of_week),
    row("getHours", "timestamp_to_hours", "timestamp.() -> int", UNIT, hours),
    row("getHours", "timestamp_to_hours_with_tz", "timestamp.(string) -> int", UNIT, hours),
    row("getHours", "duration_to_hours", "duration.() -> int", UNIT, hours),
    row("getMinutes", "timestamp_to_minutes", "timestamp.() -> int", UNIT, minutes),
    row("getMinutes", "timestamp_to_minutes_with_tz", "timestamp.(string) -> int", UNIT, minutes),
    row("getMinutes", "duration_to_minutes", "duration.() -> int", UNIT, minutes),
    row("getSeconds", "timestamp_to_seconds", "timestamp.() -> int", UNIT, seconds),
    row("getSeconds", "timestamp_to_seconds_with_tz", "timestamp.(string) -> int", UNIT, seconds),
    row("getSeconds", "duration_to_seconds", "duration.() -> int", UNIT, seconds),
    row("getMilliseconds", "timestamp_to_milliseconds", "timestamp.() -> int", UNIT, milliseconds),
    row("getMilliseconds", "timestamp_to_milliseconds_with_tz", "timestamp.(string) -> int", UNIT, milliseconds),
    row("getMilliseconds", "duration_to_milliseconds", "duration.() -> int", UNIT, milliseconds),
];

/// A part of a point in time where the second argument says, or in UTC; or of a length of time.
fn part<'a>(args: &[Value<'a>], of_time: impl Fn(&Time) -> i64, of_nanos: impl Fn(i64) -> i64) -> Answer<'a> {
    let time = match args {
        [Value::Duration(nanos)] => return Ok(Value::Int(of_nanos(*nanos))),
        [Value::Timestamp(time)] => Ok(Time { offset: 0, ..time.time() }),
        [Value::Timestamp(time), Value::String(zone)] => convert::in_zone(*time, zone),
        _ => Err(EvalError::no_such_overload()),
    }?;
    Ok(Value::Int(of_time(&time)))
}

fn time_part<'a>(args: &[Value<'a>], of_time: impl Fn(&Time) -> i64) -> Answer<'a> {
    match args.first() {
        Some(Value::Timestamp(_)) => part(args, of_time, |_| 0),
        _ => refuse(),
    }
}

fn full_year<'a>(args: &[Value<'a>]) -> Answer<'a> {
    time_part(args, |time| time.civil().0)
}

fn month<'a>(args: &[Value<'a>]) -> Answer<'a> {
    time_part(args, |time| i64::from(time.civil().1) - 1)
}

fn day_of_year<'a>(args: &[Value<'a>]) -> Answer<'a> {
    time_part(args, |time| {
        let (year, month, day, ..) = time.civil();
        days_of(year, month, day) - days_of(year, 1, 1)
    })
}

fn day_of_month<'a>(args: &[Value<'a>]) -> Answer<'a> {
    time_part(args, |time| i64::from(time.civil().2) - 1)
}

fn date<'a>(args: &[Value<'a>]) -> Answer<'a> {
    time_part(args, |time| time.civil().2.into())
}

fn day_of_week<'a>(args: &[Value<'a>]) -> Answer<'a> {
    time_part(args, Time::weekday)
}

fn hours<'a>(args: &[Value<'a>]) -> Answer<'a> {
    part(args, |time| time.civil().3.into(), |nanos| nanos / 3_600_000_000_000)
}

fn minutes<'a>(args: &[Value<'a>]) -> Answer<'a> {
    part(args, |time| time.civil().4.into(), |nanos| nanos / 60_000_000_000)
}

fn seconds<'a>(args: &[Value<'a>]) -> Answer<'a> {
    part(args, |time| time.civil().5.into(), |nanos| nanos / 1_000_000_000)
}

fn milliseconds<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let of_time =
        |time: &Time| i64::try_from(time.nanos.rem_euclid(1_000_000_000) / 1_000_000).unwrap_or_default();
    part(args, of_time, |nanos| nanos / 1_000_000)
}
