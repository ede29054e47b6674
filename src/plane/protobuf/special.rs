//! Messages that JSON writes in a way of its own.

use serde_json::{Map, Value};

use super::table;
use super::wire::{Content, fields};
use super::{read as read_fields, text_of};

/// The value of such a message, `None` inside when it is broken; `None` for a message like any other.
#[allow(clippy::option_option)]
pub(super) fn read(name: &str, bytes: &[u8], depth: usize) -> Option<Option<Value>> {
    Some(match name {
        "meta.v1.Time" => time(bytes, false),
        "meta.v1.MicroTime" => time(bytes, true),
        "meta.v1.Duration" => first_number(bytes).map(|nanoseconds| duration(nanoseconds).into()),
        "api.resource.Quantity" => first_text(bytes).map(Value::from),
        "util.intstr.IntOrString" => int_or_string(bytes),
        "meta.v1.FieldsV1" | "runtime.RawExtension" | "apiextensions.v1.JSON" => json(bytes),
        "apiextensions.v1.JSONSchemaPropsOrBool" => schema_or(Or::Flag, bytes, depth),
        "apiextensions.v1.JSONSchemaPropsOrArray" => schema_or(Or::Schemas, bytes, depth),
        "apiextensions.v1.JSONSchemaPropsOrStringArray" => schema_or(Or::Texts, bytes, depth),
        _ => return None,
    })
}

/// Seconds and nanoseconds; nothing at all is no time.
fn time(bytes: &[u8], micro: bool) -> Option<Value> {
    if bytes.is_empty() {
        return Some(Value::Null);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in fields(bytes) {
        match field? {
            (1, Content::Number(number)) => seconds = number.cast_signed(),
            (2, Content::Number(number)) => nanoseconds = i32::try_from(number).ok()?,
            _ => {}
        }
    }
    let time = jiff::Timestamp::new(seconds, if micro { nanoseconds } else { 0 }).ok()?;
    Some(if micro { format!("{time:.6}").into() } else { format!("{time:.0}").into() })
}

fn first_number(bytes: &[u8]) -> Option<i64> {
    let mut found = 0;
    for field in fields(bytes) {
        if let (1, Content::Number(number)) = field? {
            found = number.cast_signed();
        }
    }
    Some(found)
}

fn first_text(bytes: &[u8]) -> Option<String> {
    let mut found = String::new();
    for field in fields(bytes) {
        if let (1, Content::Bytes(text)) = field? {
            found = text_of(text)?;
        }
    }
    Some(found)
}

fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in fields(bytes) {
        match field? {
            (1, Content::Number(kind)) => is_text = kind == 1,
            (2, Content::Number(value)) => number = value.cast_signed(),
            (3, Content::Bytes(value)) => text = text_of(value)?,
            _ => {}
        }
    }
    Some(if is_text { text.into() } else { number.into() })
}

/// JSON inside protobuf.
fn json(bytes: &[u8]) -> Option<Value> {
    let mut found = Value::Null;
    for field in fields(bytes) {
        if let (1, Content::Bytes(text)) = field? {
            found = serde_json::from_slice(text).ok()?;
        }
    }
    Some(found)
}

/// What a field may be that is else a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Or {
    Flag,
    Schemas,
    Texts,
}

/// A schema, or something else.
fn schema_or(other: Or, bytes: &[u8], depth: usize) -> Option<Value> {
    let props = table::row("apiextensions.v1.JSONSchemaProps")?;
    let schema = |bytes: &[u8]| {
        let mut object = Map::new();
        read_fields(props, bytes, &mut object, depth).map(|()| Value::Object(object))
    };
    let (mut found, mut list) = (Value::Null, Vec::new());
    for field in fields(bytes) {
        match (other, field?) {
            (Or::Flag, (1, Content::Number(allows))) => found = (allows != 0).into(),
            (Or::Flag, (2, Content::Bytes(bytes))) | (_, (1, Content::Bytes(bytes))) => {
                found = schema(bytes)?
            }
            (Or::Schemas, (2, Content::Bytes(bytes))) => list.push(schema(bytes)?),
            (Or::Texts, (2, Content::Bytes(bytes))) => list.push(text_of(bytes)?.into()),
            _ => {}
        }
    }
    Some(if list.is_empty() { found } else { Value::Array(list) })
}

/// A duration as Go writes it, such as `1h0m30s`.
fn duration(nanoseconds: i64) -> String {
    let (sign, total) =
        if nanoseconds < 0 { ("-", nanoseconds.unsigned_abs()) } else { ("", nanoseconds.unsigned_abs()) };
    let fraction = |value: u64, unit: u64| {
        let digits = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{total}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(total, 1_000_000)),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = fraction(total % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_are_as_go_writes_them() {
        for (nanoseconds, text) in
            [(0, "0s"), (1_500_000, "1.5ms"), (90_000_000_000, "1m30s"), (3_600_000_000_000, "1h0m0s")]
        {
            assert_eq!(duration(nanoseconds), text);
        }
        assert_eq!(time(&[], false), Some(Value::Null));
        let one = [0x08, 0x80, 0xa3, 0x05];
        assert_eq!(time(&one, false).unwrap(), "1970-01-02T00:00:00Z");
        assert_eq!(time(&one, true).unwrap(), "1970-01-02T00:00:00.000000Z");
    }
}
