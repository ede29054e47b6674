//! Functions on points in time.

use super::{Call, Function, TEXT, Val, row};
use crate::expr::duration::Duration;
use crate::expr::gotime::{self, Time};
use crate::expr::jmespath::EvalError;

pub(super) const TABLE: &[Function] = &[
    row("time_since", &[TEXT, TEXT, TEXT], since),
    row("time_now", &[], |call| Ok(Val::text(now(call).to_string()))),
    row("time_now_utc", &[], |call| Ok(Val::text(now(call).to_string()))),
    row("time_add", &[TEXT, TEXT], |call| Ok(Val::text(time(call, 0)?.plus(duration(call, 1)?).to_string()))),
    row("time_parse", &[TEXT, TEXT], parse),
    row("time_to_cron", &[TEXT], |call| {
        let time = time(call, 0)?;
        let (_, month, day, hour, minute, _) = time.civil();
        Ok(Val::text(format!("{minute} {hour} {day} {month} {}", time.weekday())))
    }),
    row("time_utc", &[TEXT], |call| Ok(Val::text(Time::utc(time(call, 0)?.nanos).to_string()))),
    row("time_diff", &[TEXT, TEXT], |call| Ok(Val::text(time(call, 1)?.since(&time(call, 0)?).to_string()))),
    row("time_before", &[TEXT, TEXT], |call| Ok(Val::bool(time(call, 0)?.nanos < time(call, 1)?.nanos))),
    row("time_after", &[TEXT, TEXT], |call| Ok(Val::bool(time(call, 0)?.nanos > time(call, 1)?.nanos))),
    row("time_between", &[TEXT, TEXT, TEXT], |call| {
        let (time, start, end) = (time(call, 0)?.nanos, time(call, 1)?.nanos, time(call, 2)?.nanos);
        Ok(Val::bool(start < time && time < end))
    }),
    row("time_truncate", &[TEXT, TEXT], |call| {
        Ok(Val::text(time(call, 0)?.truncate(duration(call, 1)?).to_string()))
    }),
];

fn now(call: Call<'_, '_>) -> Time {
    Time::utc(call.interpreter.environment.now)
}

fn time(call: Call<'_, '_>, at: usize) -> Result<Time, EvalError> {
    Time::parse(call.text(at)?).map_err(|e| call.error(e))
}

fn duration(call: Call<'_, '_>, at: usize) -> Result<Duration, EvalError> {
    let text = call.text(at)?;
    Duration::parse(text).ok_or_else(|| call.error(format!("invalid duration {text:?}")))
}

fn since<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let layout = match call.text(0)? {
        "" => gotime::RFC3339,
        layout => layout,
    };
    let read = |at| gotime::parse(layout, call.text(at)?).map_err(|e| call.error(e));
    let end = if call.text(2)?.is_empty() { now(call) } else { read(2)? };
    Ok(Val::text(end.since(&read(1)?).to_string()))
}

/// A layout that is a number says that the time is in seconds since 1970.
fn parse<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (layout, text) = (call.text(0)?, call.text(1)?);
    if layout.parse::<i64>().is_ok() {
        let seconds: i64 = text.parse().map_err(|_| call.error(format!("{text:?} is not a number")))?;
        return Ok(Val::text(Time::utc(i128::from(seconds) * 1_000_000_000).to_string()));
    }
    gotime::parse(layout, text).map(|time| Val::text(time.to_string())).map_err(|e| call.error(e))
}
