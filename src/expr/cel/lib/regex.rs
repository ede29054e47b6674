//! Finding what a pattern matches.

use regex::Regex;

use super::{Answer, fail, refuse};
use crate::expr::cel::cost::Cost;
use crate::expr::cel::env::{Implementation, Row};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::Value;

const fn pattern(
    name: &'static str,
    id: &'static str,
    signature: &'static str,
    run: crate::expr::cel::env::WithRegex,
) -> Row {
    Row { name, id, signature, cost: Cost::Find, run: Implementation::Regex(run) }
}

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    pattern("find", "string_find_string", "string.(string) -> string", find),
    pattern("findAll", "string_find_all_string", "string.(string) -> list(string)", find_all),
    pattern("findAll", "string_find_all_string_int", "string.(string, int) -> list(string)", find_all),
];

fn find<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(Value::String(text)) => Ok(Value::text(regex.find(text).map_or("", |found| found.as_str()))),
        _ => refuse(),
    }
}

fn find_all<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    let (text, most) = match args {
        [Value::String(text), _] => (text, -1),
        [Value::String(text), _, Value::Int(most)] => (text, *most),
        _ => return refuse(),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(Value::list(regex.find_iter(text).take(most).map(|found| Value::text(found.as_str())).collect()))
}

/// The `regex` functions, which Kubernetes leaves out.
#[rustfmt::skip]
pub(crate) const NAMED: &[Row] = &[
    pattern("regex.replace", "regex_replace_string_string_string", "(string, string, string) -> string", replace),
    pattern("regex.replace", "regex_replace_string_string_string_int", "(string, string, string, int) -> string", replace),
    pattern("regex.extract", "regex_extract_string_string", "(string, string) -> optional(string)", extract),
    pattern("regex.extractAll", "regex_extractAll_string_string", "(string, string) -> list(string)", extract_all),
];

/// Replaces what matches; `\1` to `\9` stand for groups, `\0` for all of it.
fn replace<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    let (text, by, most) = match args {
        [Value::String(text), _, Value::String(by)] => (text, by, -1),
        [Value::String(text), _, Value::String(by), Value::Int(most)] => (text, by, *most),
        _ => return refuse(),
    };
    if most > i64::from(i32::MAX) {
        return fail("integer overflow");
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let by = parts(by, regex.captures_len() - 1)?;
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for found in regex.captures_iter(text).take(most) {
        let whole = found.get_match();
        out.push_str(&text[end..whole.start()]);
        for part in &by {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(number) => out.push_str(found.get(*number).map_or("", |group| group.as_str())),
            }
        }
        end = whole.end();
        if out.len() > LONGEST {
            return Err(EvalError::over_budget());
        }
    }
    out.push_str(&text[end..]);
    Ok(Value::text(out))
}

/// The longest text that replacing makes.
const LONGEST: usize = 4 << 20;

enum Part {
    Text(String),
    Group(usize),
}

/// A replacement, taken apart.
fn parts(text: &str, groups: usize) -> Result<Vec<Part>, EvalError> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match characters.next() {
            Some('\\') => plain.push('\\'),
            Some(digit) if digit.is_ascii_digit() => {
                let number = digit.to_digit(10).unwrap_or_default() as usize;
                if number > groups {
                    return Err(EvalError::new(format!(
                        "replacement string references group {number} but regex has only {groups} group(s)"
                    )));
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Group(number));
            }
            _ => {
                return Err(EvalError::new(format!(
                    "invalid replacement string: '{text}' \\ must be followed by a digit or \\"
                )));
            }
        }
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

/// What the group matches, or all of it where there is none.
fn extracted(regex: &Regex, found: &regex::Captures<'_>) -> String {
    let group = if regex.captures_len() > 1 { found.get(1) } else { found.get(0) };
    group.map_or_else(String::new, |group| group.as_str().to_owned())
}

fn one_group(regex: &Regex) -> Result<(), EvalError> {
    if regex.captures_len() > 2 {
        return Err(EvalError::new(format!(
            "regular expression has more than one capturing group: {:?}",
            regex.as_str()
        )));
    }
    Ok(())
}

fn extract<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    one_group(regex)?;
    match args.first() {
        Some(Value::String(text)) => Ok(match regex.captures(text) {
            Some(found) => Value::some(Value::text(extracted(regex, &found))),
            None => Value::Optional(None),
        }),
        _ => refuse(),
    }
}

fn extract_all<'a>(regex: &Regex, args: &[Value<'a>]) -> Answer<'a> {
    one_group(regex)?;
    match args.first() {
        Some(Value::String(text)) => {
            let found = regex.captures_iter(text).map(|found| extracted(regex, &found));
            Ok(Value::list(found.filter(|text| !text.is_empty()).map(Value::text).collect()))
        }
        _ => refuse(),
    }
}
