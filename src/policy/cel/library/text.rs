//! Texts taken apart and put together: JSON, YAML, digests, certificates, names of service accounts.

use std::any::Any;
use std::sync::LazyLock;

use serde_json::{Value as Json, json};

use crate::expr::cel::{Cost, EvalError, Key, Opaque, Row, Timestamp, Value, row};
use crate::expr::jmespath::Expression;

pub(super) const JSON: &str = "json.Json";
pub(super) const YAML: &str = "yaml.Yaml";

const UNIT: Cost = Cost::Fixed(1);

type Answer<'a> = Result<Value<'a>, EvalError>;

/// What `json` and `yaml` are.
#[derive(Debug)]
pub(super) struct Format(pub(super) &'static str);

impl Opaque for Format {
    fn type_name(&self) -> &str {
        self.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.type_name() == self.0
    }
}

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("unmarshal", "unmarshal_string_dyn", "json.Json().(dyn) -> dyn", Cost::Argument { factor: 0.1, sized: false }, unmarshal),
    row("Unmarshal", "unmarshal_string_dyn_pascal", "json.Json().(dyn) -> dyn", Cost::Argument { factor: 0.1, sized: false }, unmarshal),
    row("marshal", "marshal_dyn_string", "json.Json().(dyn) -> string", UNIT, marshal),
    row("parse", "parse_string_dyn", "yaml.Yaml().(string) -> dyn", Cost::Argument { factor: 0.1, sized: false }, parse),
    row("sha1", "sha1_string_non_prefixed", "(string) -> string", UNIT, |args| by(&SHA1, args)),
    row("hash.sha1", "sha1_string_prefixed", "(string) -> string", UNIT, |args| by(&SHA1, args)),
    row("sha256", "sha256_string_non_prefixed", "(string) -> string", UNIT, |args| by(&SHA256, args)),
    row("hash.sha256", "sha256_string_prefixed", "(string) -> string", UNIT, |args| by(&SHA256, args)),
    row("md5", "md5_string_non_prefixed", "(string) -> string", UNIT, |args| by(&MD5, args)),
    row("hash.md5", "md5_string_prefixed", "(string) -> string", UNIT, |args| by(&MD5, args)),
    row("x509.decode", "x509_decode_string", "(string) -> dyn", UNIT, |args| by(&X509, args)),
    row("listObjToMap", "list_of_object_to_map_non_prefixed", "(list(dyn), list(dyn), string, string) -> map(string, dyn)", Cost::Items, to_map),
    row("transform.listObjToMap", "list_of_object_to_map_prefixed", "(list(dyn), list(dyn), string, string) -> map(string, dyn)", Cost::Items, to_map),
    row("parseServiceAccount", "parse_service_account_string_non_prefixed", "(string) -> map(string, string)", UNIT, service_account),
    row("user.parseServiceAccount", "parse_service_account_string_prefixed", "(string) -> map(string, string)", UNIT, service_account),
    row("time.truncate", "time_truncate", "(timestamp, duration) -> timestamp", UNIT, truncate),
    row("time.toCron", "time_to_cron", "(timestamp) -> string", UNIT, to_cron),
];

/// Functions that the other language of policies has, too.
static SHA1: LazyLock<Option<Expression>> = LazyLock::new(|| Expression::compile("sha1(@)").ok());
static SHA256: LazyLock<Option<Expression>> = LazyLock::new(|| Expression::compile("sha256(@)").ok());
static MD5: LazyLock<Option<Expression>> = LazyLock::new(|| Expression::compile("md5(@)").ok());
static X509: LazyLock<Option<Expression>> = LazyLock::new(|| Expression::compile("x509_decode(@)").ok());

fn by<'a>(expression: &Option<Expression>, args: &[Value<'a>]) -> Answer<'a> {
    let (Some(expression), [Value::String(text)]) = (expression, args) else {
        return Err(EvalError::no_such_overload());
    };
    let found = expression.search(&Json::String(text.to_string()));
    found.map(|found| Value::owned(&found)).map_err(|error| EvalError::new(error.to_string()))
}

fn unmarshal<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [_, Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    match serde_json::from_str::<Json>(text) {
        Ok(value) => Ok(Value::owned(&value)),
        Err(error) => Err(EvalError::new(format!("the text is no JSON: {error}"))),
    }
}

fn marshal<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [_, value] = args else { return Err(EvalError::no_such_overload()) };
    Ok(Value::text(value.to_json().to_string()))
}

fn parse<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [_, Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    match crate::yaml::parse(text, false) {
        Ok(value) => Ok(Value::owned(&value)),
        Err(error) => Err(EvalError::new(format!("the text is no YAML: {error}"))),
    }
}

/// `{k: v}` of each pair of objects from two lists, the key from one and the value from the other.
fn to_map<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [keys, values, Value::String(key), Value::String(value)] = args else {
        return Err(EvalError::no_such_overload());
    };
    let (keys, values) = (keys.items()?, values.items()?);
    if keys.len() != values.len() {
        return Err(EvalError::new(format!(
            "listObjToMap must take lists of equal length. list1: {}, list2: {}",
            keys.len(),
            values.len()
        )));
    }
    let mut entries = Vec::with_capacity(keys.len());
    for (from, to) in keys.iter().zip(&values) {
        let name = from.entry(key)?.filter(|name| name.as_str().is_some());
        let name = name.as_ref().and_then(Key::of).ok_or_else(|| {
            EvalError::new("the passed key name cannot be handled as a string in the key object list")
        })?;
        entries.push((name, to.entry(value)?.unwrap_or(Value::Null)));
    }
    Ok(Value::map(entries))
}

fn service_account<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(user)] = args else { return Err(EvalError::no_such_overload()) };
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, name) = account.unwrap_or_default();
    Ok(Value::owned(&json!({"Name": name, "Namespace": namespace})))
}

/// Down to a multiple of a length of time since the year 1.
fn truncate<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Timestamp(time), Value::Duration(step)] = args else {
        return Err(EvalError::no_such_overload());
    };
    if *step <= 0 {
        return Ok(Value::Timestamp(*time));
    }
    const YEAR_1: i128 = 62_135_596_800_000_000_000;
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let nanos = nanos - (nanos + YEAR_1).rem_euclid(i128::from(*step));
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(time.seconds);
    let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
    Ok(Value::Timestamp(Timestamp { seconds, nanos, offset: time.offset }))
}

/// The minute, hour, day, month and day of the week.
fn to_cron<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::Timestamp(time)] = args else { return Err(EvalError::no_such_overload()) };
    Ok(Value::text(time.cron()))
}
