//! Semantic versions.

use std::any::Any;
use std::cmp::Ordering;

use super::formatting::quoted;
use super::{Answer, fail, refuse};
use crate::expr::cel::cost::{READ, UNIT};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::value::{Opaque, Value};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("semver", "string_to_semver", "(string) -> kubernetes.Semver", READ, semver),
    row("semver", "string_bool_to_semver", "(string, bool) -> kubernetes.Semver", READ, semver),
    row("isSemver", "is_semver_string", "(string) -> bool", READ, is_semver),
    row("isSemver", "is_semver_string_bool", "(string, bool) -> bool", READ, is_semver),
    row("isGreaterThan", "semver_is_greater_than", "kubernetes.Semver.(kubernetes.Semver) -> bool", UNIT, is_greater),
    row("isLessThan", "semver_is_less_than", "kubernetes.Semver.(kubernetes.Semver) -> bool", UNIT, is_less),
    row("compareTo", "semver_compare_to", "kubernetes.Semver.(kubernetes.Semver) -> int", UNIT, compare),
    row("major", "semver_major", "kubernetes.Semver.() -> int", UNIT, |args| number(args, 0)),
    row("minor", "semver_minor", "kubernetes.Semver.() -> int", UNIT, |args| number(args, 1)),
    row("patch", "semver_patch", "kubernetes.Semver.() -> int", UNIT, |args| number(args, 2)),
];

#[derive(Debug, Clone)]
struct Version {
    numbers: [u64; 3],
    pre: Vec<Identifier>,
    text: String,
}

/// A part of a pre-release; numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

impl Version {
    fn order(&self, other: &Version) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}

impl Opaque for Version {
    fn type_name(&self) -> &str {
        "kubernetes.Semver"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref().is_some_and(|other| self.order(other) == Ordering::Equal)
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

fn read(args: &[Value<'_>]) -> Option<Result<Version, String>> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Some(parse(text)),
        [Value::String(text), Value::Bool(true)] => Some(normalize(text).and_then(|text| parse(&text))),
        _ => None,
    }
}

fn semver<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match read(args) {
        Some(Ok(version)) => Ok(Value::opaque(version)),
        Some(Err(message)) => fail(message),
        None => refuse(),
    }
}

fn is_semver<'a>(args: &[Value<'a>]) -> Answer<'a> {
    read(args).map_or_else(refuse, |version| Ok(Value::Bool(version.is_ok())))
}

fn ordered(args: &[Value<'_>]) -> Option<Ordering> {
    let (a, b): (&Version, &Version) = (args.first()?.downcast()?, args.get(1)?.downcast()?);
    Some(a.order(b))
}

fn is_greater<'a>(args: &[Value<'a>]) -> Answer<'a> {
    ordered(args).map_or_else(refuse, |order| Ok(Value::Bool(order == Ordering::Greater)))
}

fn is_less<'a>(args: &[Value<'a>]) -> Answer<'a> {
    ordered(args).map_or_else(refuse, |order| Ok(Value::Bool(order == Ordering::Less)))
}

fn compare<'a>(args: &[Value<'a>]) -> Answer<'a> {
    ordered(args).map_or_else(refuse, |order| Ok(Value::Int(order as i64)))
}

fn number<'a>(args: &[Value<'a>], which: usize) -> Answer<'a> {
    let version = args.first().and_then(Value::downcast::<Version>);
    version.map_or_else(refuse, |version| {
        // A number beyond 63 bits wraps around.
        Ok(Value::Int(version.numbers[which] as i64))
    })
}

/// `v1.02` to `1.2.0`.
fn normalize(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(str::to_owned).collect();
    for part in parts.iter_mut().filter(|part| part.len() > 1) {
        let trimmed = part.trim_start_matches('0');
        *part = if trimmed.starts_with(|c: char| c.is_ascii_digit()) {
            trimmed.to_owned()
        } else {
            format!("0{trimmed}")
        };
    }
    if parts.len() < 3 {
        if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("short version cannot contain PreRelease/Build meta data".to_owned());
        }
        parts.resize(3, "0".to_owned());
    }
    Ok(parts.join("."))
}

fn parse(text: &str) -> Result<Version, String> {
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let [major, minor, rest] = parts[..] else {
        return Err("No Major.Minor.Patch elements found".to_owned());
    };
    let part = |name: &str, digits: &str| {
        let shown = quoted(digits);
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("Invalid character(s) found in {} number {shown}", name.to_lowercase()));
        }
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(format!("{name} number must not contain leading zeroes {shown}"));
        }
        digits.parse::<u64>().map_err(|_| {
            let why = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
            format!("strconv.ParseUint: parsing {shown}: {why}")
        })
    };
    let (major, minor) = (part("Major", major)?, part("Minor", minor)?);
    let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
    let (patch, pre) = rest.split_once('-').map_or((rest, None), |(patch, pre)| (patch, Some(pre)));
    let patch = part("Patch", patch)?;
    let pre = match pre {
        Some(pre) => pre.split('.').map(identifier).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    for part in build.into_iter().flat_map(|build| build.split('.')) {
        if part.is_empty() {
            return Err("Build meta data is empty".to_owned());
        }
        if !is_word(part) {
            return Err(format!("Invalid character(s) found in build meta data {}", quoted(part)));
        }
    }
    Ok(Version { numbers: [major, minor, patch], pre, text: text.to_owned() })
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn identifier(text: &str) -> Result<Identifier, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(format!(
                "Numeric PreRelease version must not contain leading zeroes {}",
                quoted(text)
            ));
        }
        return text
            .parse()
            .map(Identifier::Number)
            .map_err(|_| format!("strconv.ParseUint: parsing {}: value out of range", quoted(text)));
    }
    if is_word(text) {
        Ok(Identifier::Word(text.to_owned()))
    } else {
        Err(format!("Invalid character(s) found in prerelease {}", quoted(text)))
    }
}
