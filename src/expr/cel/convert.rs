//! Conversions between types, and values as text.

use super::error::EvalError;
use super::value::{Key, Text, Timestamp, Value};
use crate::expr::duration::Duration;
use crate::expr::gofloat;
use crate::expr::gotime::{self, Time};

/// The first second of the year 1 and the last of 9999.
pub(crate) const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

type Answer<'a> = Result<Value<'a>, EvalError>;

fn refuse<'a>(value: &Value<'a>, to: &str) -> Answer<'a> {
    let from = value.type_name();
    Err(EvalError::new(format!("type conversion error from '{from}' to '{to}'")))
}

pub(crate) fn to_int<'a>(value: &Value<'a>) -> Answer<'a> {
    Ok(Value::Int(match value {
        Value::Int(i) => *i,
        Value::Uint(u) => i64::try_from(*u).map_err(|_| EvalError::new("integer overflow"))?,
        // The bounds themselves are refused since they may be rounded.
        Value::Double(d) if d.is_nan() || *d <= i64::MIN as f64 || *d >= i64::MAX as f64 => {
            return Err(EvalError::new("integer overflow"));
        }
        Value::Double(d) => *d as i64,
        Value::String(text) => match text.parse() {
            Ok(i) => i,
            Err(_) => return refuse(value, "int"),
        },
        Value::Duration(nanos) => *nanos,
        Value::Timestamp(time) => time.seconds,
        _ => return refuse(value, "int"),
    }))
}

pub(crate) fn to_uint<'a>(value: &Value<'a>) -> Answer<'a> {
    Ok(Value::Uint(match value {
        Value::Uint(u) => *u,
        Value::Int(i) => u64::try_from(*i).map_err(|_| EvalError::new("unsigned integer overflow"))?,
        Value::Double(d) if d.is_nan() || *d < 0.0 || *d >= u64::MAX as f64 => {
            return Err(EvalError::new("unsigned integer overflow"));
        }
        Value::Double(d) => *d as u64,
        Value::String(text) if !text.starts_with('+') => match text.parse() {
            Ok(u) => u,
            Err(_) => return refuse(value, "uint"),
        },
        _ => return refuse(value, "uint"),
    }))
}

pub(crate) fn to_double<'a>(value: &Value<'a>) -> Answer<'a> {
    Ok(Value::Double(match value {
        Value::Double(d) => *d,
        Value::Int(i) => *i as f64,
        Value::Uint(u) => *u as f64,
        Value::String(text) => match gofloat::parse(text) {
            Some(d) => d,
            None => return refuse(value, "double"),
        },
        _ => return refuse(value, "double"),
    }))
}

pub(crate) fn to_bool<'a>(value: &Value<'a>) -> Answer<'a> {
    match value {
        Value::Bool(b) => Ok(Value::Bool(*b)),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => refuse(value, "bool"),
        },
        _ => refuse(value, "bool"),
    }
}

pub(crate) fn to_bytes<'a>(value: &Value<'a>) -> Answer<'a> {
    match value {
        Value::Bytes(_) => Ok(value.clone()),
        Value::String(text) => Ok(Value::Bytes(text.as_bytes().into())),
        _ => refuse(value, "bytes"),
    }
}

pub(crate) fn to_string<'a>(value: &Value<'a>) -> Answer<'a> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err(EvalError::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => {
            Ok(Value::text(display(value)))
        }
        Value::Duration(_) | Value::Timestamp(_) | Value::Type(_) => Ok(Value::text(display(value))),
        _ => refuse(value, "string"),
    }
}

pub(crate) fn to_duration<'a>(value: &Value<'a>) -> Answer<'a> {
    match value {
        Value::Duration(nanos) => Ok(Value::Duration(*nanos)),
        Value::String(text) => match Duration::parse(text) {
            Some(duration) => Ok(Value::Duration(duration.0)),
            None => refuse(value, "google.protobuf.Duration"),
        },
        _ => refuse(value, "google.protobuf.Duration"),
    }
}

pub(crate) fn to_timestamp<'a>(value: &Value<'a>) -> Answer<'a> {
    let time = match value {
        Value::Timestamp(time) => return Ok(Value::Timestamp(*time)),
        Value::Int(seconds) => Timestamp { seconds: *seconds, nanos: 0, offset: 0 },
        Value::String(text) => match gotime::parse(gotime::RFC3339, text) {
            Ok(time) => Timestamp::of(time),
            Err(_) => return refuse(value, "google.protobuf.Timestamp"),
        },
        _ => return refuse(value, "google.protobuf.Timestamp"),
    };
    checked_time(time)
}

/// A point in time, if it is one that CEL knows.
pub(crate) fn checked_time<'a>(time: Timestamp) -> Answer<'a> {
    if TIMES.contains(&time.seconds) {
        Ok(Value::Timestamp(time))
    } else {
        Err(EvalError::new("timestamp overflow"))
    }
}

/// The type of a value, as a value.
pub(crate) fn type_of<'a>(value: &Value<'a>) -> Value<'a> {
    let known = [
        "null_type",
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "type",
        "optional_type",
    ];
    let name = value.type_name();
    Value::Type(match known.into_iter().find(|known| *known == name) {
        Some(known) => Text::Borrowed(known),
        None => Text::Shared(name.into()),
    })
}

/// A float as Go's `%g` writes it.
pub(crate) fn float(d: f64) -> String {
    if d.is_nan() {
        return "NaN".to_owned();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{d:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{d}")
}

/// A duration as its seconds.
pub(crate) fn seconds(nanos: i64) -> String {
    format!("{}s", Duration(nanos).seconds())
}

/// A point in time in RFC 3339, with as many digits after the second as it needs.
pub(crate) fn rfc3339(time: &Timestamp) -> String {
    let (year, month, day, hour, minute, second) = time.time().civil();
    let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if time.nanos > 0 {
        let fraction = format!("{:09}", time.nanos);
        out.push('.');
        out.push_str(fraction.trim_end_matches('0'));
    }
    if time.offset == 0 {
        out.push('Z');
    } else {
        let minutes = time.offset.abs() / 60;
        let sign = if time.offset < 0 { '-' } else { '+' };
        out.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
    }
    out
}

/// A value as messages show it.
pub(crate) fn display(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => u.to_string(),
        Value::Double(d) => float(*d),
        Value::String(text) | Value::Type(text) => text.to_string(),
        Value::Bytes(bytes) => format!("{:?}", &**bytes),
        Value::Duration(nanos) => seconds(*nanos),
        Value::Timestamp(time) => rfc3339(time),
        Value::Optional(None) => "optional.none()".to_owned(),
        Value::Optional(Some(value)) => format!("optional({})", display(value)),
        Value::Opaque(value) => value.text(),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(display).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entry = |(key, value): (&Key<'_>, &Value<'_>)| {
                format!("{}: {}", display(&key.value()), display(value))
            };
            let entries: Vec<String> = map.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_json().to_string(),
    }
}

/// A point in time at another place.
pub(crate) fn in_zone(time: Timestamp, zone: &str) -> Result<Time, EvalError> {
    let offset = match zone.split_once(':') {
        Some((hours, minutes)) => {
            let number = |text: &str| {
                text.parse::<i32>()
                    .map_err(|_| EvalError::new(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))
            };
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            let minutes = if zone.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes };
            minutes.saturating_mul(60)
        }
        // Servers keep no other local time.
        None if matches!(zone, "" | "UTC" | "Local") => 0,
        None => {
            let unknown = || EvalError::new(format!("unknown time zone {zone}"));
            // Names are told apart by case, too.
            let found = jiff::tz::TimeZone::get(zone).ok();
            let tz = found.filter(|tz| tz.iana_name() == Some(zone)).ok_or_else(unknown)?;
            let known = jiff::Timestamp::MIN.as_second()..=jiff::Timestamp::MAX.as_second();
            let at = time.seconds.clamp(*known.start(), *known.end());
            tz.to_offset(jiff::Timestamp::from_second(at).map_err(|_| unknown())?).seconds()
        }
    };
    Ok(Time { offset, ..time.time() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_in_go() {
        for (d, text) in [
            (2.5, "2.5"),
            (1e6, "1e+06"),
            (123456789.0, "1.23456789e+08"),
            (1e-5, "1e-05"),
            (100000.0, "100000"),
            (0.0001, "0.0001"),
            (-1.0, "-1"),
        ] {
            assert_eq!(float(d), text);
        }
    }

    #[test]
    fn times_look_as_in_go() {
        let time = |text| display(&to_timestamp(&Value::text(text)).unwrap());
        assert_eq!(time("2024-05-23T10:00:00.120Z"), "2024-05-23T10:00:00.12Z");
        assert_eq!(time("2024-05-23T10:00:00+02:00"), "2024-05-23T10:00:00+02:00");
        assert_eq!(seconds(5_400_500_000_000), "5400.5s");
    }
}
