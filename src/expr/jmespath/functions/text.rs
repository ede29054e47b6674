//! Functions on texts.

use serde_json::Value;

use super::{Call, Function, NUMBER, OBJECT, PLAIN, TEXT, Val, row};
use crate::expr::jmespath::EvalError;
use crate::expr::jmespath::value::equal;
use crate::expr::{goregex, semver, wildcard};

pub(super) const TABLE: &[Function] = &[
    row("compare", &[TEXT, TEXT], |call| Ok(Val::owned(Value::from(call.text(0)?.cmp(call.text(1)?) as i8)))),
    row("equal_fold", &[TEXT, TEXT], |call| Ok(Val::bool(folded(call.text(0)?) == folded(call.text(1)?)))),
    row("replace", &[TEXT, TEXT, TEXT, NUMBER], |call| {
        let count = call.number(3)?.trunc();
        replace(call, if count < 0.0 { usize::MAX } else { count as usize })
    }),
    row("replace_all", &[TEXT, TEXT, TEXT], |call| replace(call, usize::MAX)),
    row("to_upper", &[TEXT], |call| Ok(Val::text(upper(call.text(0)?)))),
    row("to_lower", &[TEXT], |call| Ok(Val::text(lower(call.text(0)?)))),
    row("trim", &[TEXT, TEXT], |call| {
        let cut = call.text(1)?;
        Ok(Val::text(call.text(0)?.trim_matches(|c| cut.contains(c))))
    }),
    row("trim_prefix", &[TEXT, TEXT], |call| {
        let text = call.text(0)?;
        Ok(Val::text(text.strip_prefix(call.text(1)?).unwrap_or(text)))
    }),
    row("split", &[TEXT, TEXT], split),
    row("regex_replace_all", &[TEXT, PLAIN, PLAIN], |call| {
        let regex = goregex::compile(call.text(0)?).map_err(|e| call.error(e))?;
        let (text, by) = (call.plain(1)?, call.plain(2)?);
        spend_for(call, regex.find_iter(&text).count(), by.len().saturating_mul(1 + text.len() / 64))?;
        let replaced = regex.replace_all(&text, |captures: &regex::Captures<'_>| {
            let mut filled = String::new();
            goregex::expand(captures, &by, &mut filled);
            filled
        });
        Ok(Val::text(replaced.into_owned()))
    }),
    row("regex_replace_all_literal", &[TEXT, PLAIN, PLAIN], |call| {
        let regex = goregex::compile(call.text(0)?).map_err(|e| call.error(e))?;
        let (text, by) = (call.plain(1)?, call.plain(2)?);
        spend_for(call, regex.find_iter(&text).count(), by.len())?;
        Ok(Val::text(regex.replace_all(&text, regex::NoExpand(&by)).into_owned()))
    }),
    row("regex_match", &[TEXT, PLAIN], |call| {
        let regex = goregex::compile(call.text(0)?).map_err(|e| call.error(e))?;
        Ok(Val::bool(regex.is_match(&call.plain(1)?)))
    }),
    row("pattern_match", &[TEXT, PLAIN], |call| {
        Ok(Val::bool(wildcard::matches(call.text(0)?, &call.plain(1)?)))
    }),
    row("label_match", &[OBJECT, OBJECT], label_match),
    row("path_canonicalize", &[TEXT], |call| Ok(Val::text(clean_path(call.text(0)?)))),
    row("truncate", &[TEXT, NUMBER], |call| {
        let length = call.number(1)?.max(0.0) as usize;
        Ok(Val::text(call.text(0)?.chars().take(length).collect::<String>()))
    }),
    row("semver_compare", &[TEXT, TEXT], |call| {
        let range = semver::Range::parse(call.text(1)?).map_err(|e| call.error(e))?;
        Ok(Val::bool(range.contains(&semver::Version::parse(call.text(0)?).unwrap_or_default())))
    }),
    row("random", &[TEXT], super::random::random),
    row("image_normalize", &[TEXT], super::image::normalize),
    row("is_external_url", &[TEXT], super::image::is_external_url),
];

fn spend_for(call: Call<'_, '_>, times: usize, length: usize) -> Result<(), EvalError> {
    call.interpreter.spend(times.saturating_mul(length) / 64)
}

/// Letter by letter, so that no letter becomes two (`ß` stays as it is).
fn each<I: Iterator<Item = char>>(text: &str, change: impl Fn(char) -> I) -> String {
    text.chars()
        .map(|c| {
            let mut changed = change(c);
            match (changed.next(), changed.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        })
        .collect()
}

/// A Greek letter with a iota below it has one capital, too.
fn upper(text: &str) -> String {
    each(text, |c| {
        match c {
            '\u{1f80}'..='\u{1faf}' if u32::from(c) & 8 == 0 => one(u32::from(c) + 8),
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => one(u32::from(c) + 9),
            c => c.to_uppercase().collect::<Vec<_>>(),
        }
        .into_iter()
    })
}

fn one(code: u32) -> Vec<char> {
    char::from_u32(code).into_iter().collect()
}

fn lower(text: &str) -> String {
    each(text, char::to_lowercase).replace('İ', "i")
}

/// What texts that differ in case alone have in common. The letter `ı` is nothing's other case.
fn folded(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'İ' | 'ı' => c.to_string(),
            c => each(&each(&c.to_string(), char::to_uppercase), char::to_lowercase),
        })
        .collect()
}

fn replace<'a>(call: Call<'a, '_>, count: usize) -> Result<Val<'a>, EvalError> {
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    spend_for(call, text.matches(old).take(count).count(), new.len())?;
    Ok(Val::text(text.replacen(old, new, count)))
}

fn split<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (text, separator) = (call.text(0)?, call.text(1)?);
    let parts: Vec<Val<'a>> = if separator.is_empty() {
        text.chars().map(String::from).map(Val::text).collect()
    } else {
        text.split(separator).map(Val::text).collect()
    };
    call.interpreter.spend(parts.len())?;
    Ok(Val::list(parts))
}

fn label_match<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (wanted, labels) =
        (call.interpreter.copy(call.argument(0)?)?, call.interpreter.copy(call.argument(1)?)?);
    let found = wanted
        .as_object()
        .is_some_and(|w| w.iter().all(|(key, value)| labels.get(key).is_some_and(|l| equal(l, value))));
    Ok(Val::bool(found))
}

/// The shortest way to write a path; the empty path stays empty.
fn clean_path(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, clean) in [
            ("", ""),
            ("a//b/./c", "a/b/c"),
            ("/../a/../..//b/", "/b"),
            ("a/..", "."),
            ("../../a", "../../a"),
            ("/var/run/containerd/containerd.sock/../../../docker.sock", "/var/docker.sock"),
        ] {
            assert_eq!(clean_path(path), clean);
        }
    }
}
