//! Functions on text.

use super::{Answer, fail, refuse};
use crate::expr::cel::convert::display;
use crate::expr::cel::cost::{Cost, TRAVERSAL};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::Value;

const READ: Cost = Cost::Receiver { factor: TRAVERSAL, sized: true };

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("charAt", "string_char_at_int", "string.(int) -> string", Cost::Fixed(1), char_at),
    row("indexOf", "string_index_of_string", "string.(string) -> int", Cost::Items, index_of),
    row("indexOf", "string_index_of_string_int", "string.(string, int) -> int", Cost::Items, index_of),
    row("lastIndexOf", "string_last_index_of_string", "string.(string) -> int", Cost::Items, last_index_of),
    row("lastIndexOf", "string_last_index_of_string_int", "string.(string, int) -> int", Cost::Items, last_index_of),
    row("lowerAscii", "string_lower_ascii", "string.() -> string", READ, lower_ascii),
    row("upperAscii", "string_upper_ascii", "string.() -> string", READ, upper_ascii),
    row("trim", "string_trim", "string.() -> string", READ, trim),
    row("replace", "string_replace_string_string", "string.(string, string) -> string", Cost::Replace, replace),
    row("replace", "string_replace_string_string_int", "string.(string, string, int) -> string", Cost::Replace, replace),
    row("split", "string_split_string", "string.(string) -> list(string)", Cost::Split, split),
    row("split", "string_split_string_int", "string.(string, int) -> list(string)", Cost::Split, split),
    row("substring", "string_substring_int", "string.(int) -> string", READ, substring),
    row("substring", "string_substring_int_int", "string.(int, int) -> string", READ, substring),
    row("format", "string_format", "string.(list(dyn)) -> string", Cost::Format, format),
    row("strings.quote", "strings_quote", "(string) -> string", Cost::Quote, quote),
    row("join", "list_join", "list(string).() -> string", Cost::Join, join),
    row("join", "list_join_string", "list(string).(string) -> string", Cost::Join, join),
];

/// What newer versions add.
#[rustfmt::skip]
pub(crate) const NEWER: &[Row] = &[
    row("reverse", "string_reverse", "string.() -> string", Cost::Fixed(1), reverse),
];

fn out_of_range<'a>(index: i64) -> Answer<'a> {
    fail(format!("index out of range: {index}"))
}

/// The place of the `index`th character, or the end; `None` beyond.
fn byte_of(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn char_at<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text), Value::Int(index)] = args else { return refuse() };
    match byte_of(text, *index) {
        Some(at) => Ok(Value::text(text[at..].chars().next().map(String::from).unwrap_or_default())),
        None => out_of_range(*index),
    }
}

fn index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (text, part, offset) = match args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, *offset),
        _ => return refuse(),
    };
    if part.is_empty() {
        return Ok(Value::Int(offset));
    }
    if offset < 0 {
        return out_of_range(offset);
    }
    let found = byte_of(text, offset).and_then(|from| Some(from + text[from..].find(&**part)?));
    Ok(Value::Int(found.map_or(-1, |at| characters(&text[..at]))))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (text, part, offset) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(offset)] => (text, part, Some(*offset)),
        _ => return refuse(),
    };
    let length = characters(text);
    if part.is_empty() {
        return Ok(Value::Int(offset.unwrap_or(length)));
    }
    let offset = match offset {
        Some(offset) if offset < 0 => return out_of_range(offset),
        Some(offset) if offset >= length => return Ok(Value::Int(-1)),
        Some(offset) => offset,
        None => length,
    };
    // What is found begins at the offset at the latest.
    let end = byte_of(text, offset).map_or(text.len(), |at| (at + part.len()).min(text.len()));
    let mut end = end;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let found = text[..end].rfind(&**part);
    Ok(Value::Int(found.map_or(-1, |at| characters(&text[..at]))))
}

fn lower_ascii<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::text(text.to_ascii_lowercase())))
}

fn upper_ascii<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::text(text.to_ascii_uppercase())))
}

fn trim<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::text(text.trim())))
}

fn reverse<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::text(text.chars().rev().collect::<String>())))
}

/// The longest text that is put together: what costs more than a budget has.
const LONGEST: usize = 10_000_000;

fn replace<'a>(args: &[Value<'a>]) -> Answer<'a> {
    if let [Value::String(text), Value::String(old), Value::String(new), most @ ..] = args {
        let most = match most.first() {
            Some(Value::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        // Counted only where it could be too much.
        if text.len().saturating_add(1).saturating_mul(new.len()) > LONGEST
            && text.matches(&**old).take(most).count().saturating_mul(new.len()) > LONGEST
        {
            return Err(EvalError::over_budget());
        }
    }
    Ok(Value::text(match args {
        [Value::String(text), Value::String(old), Value::String(new)] => text.replace(&**old, new),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(most)] => {
            match usize::try_from(*most) {
                Ok(most) => text.replacen(&**old, new, most),
                Err(_) => text.replace(&**old, new),
            }
        }
        _ => return refuse(),
    }))
}

fn split<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (text, separator, most) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(most)] => (text, separator, *most),
        _ => return refuse(),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let parts: Vec<&str> = if separator.is_empty() {
        // Between all characters, not before and after.
        let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).take(most).collect();
        cuts.push(text.len());
        cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
    } else {
        text.splitn(most, &**separator).collect()
    };
    Ok(Value::list(parts.into_iter().map(Value::text).collect()))
}

fn substring<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return refuse(),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return fail(format!("invalid substring range. start: {start}, end: {end}"));
    }
    let Some(from) = byte_of(text, start) else { return out_of_range(start) };
    let to = match end {
        None => text.len(),
        Some(end) => match byte_of(text, end) {
            Some(to) => to,
            None => return out_of_range(end),
        },
    };
    Ok(Value::text(&text[from..to]))
}

fn quote<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' | '"' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(Value::text(out))
}

fn join<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let separator = match args.get(1) {
        None => "",
        Some(Value::String(separator)) => separator,
        Some(_) => return refuse(),
    };
    let mut out = String::new();
    for (i, item) in args[0].items()?.iter().enumerate() {
        if out.len() > LONGEST {
            return Err(EvalError::over_budget());
        }
        if i > 0 {
            out.push_str(separator);
        }
        match item {
            Value::String(text) => out.push_str(text),
            other => return fail(format!("join: invalid input: {}", display(other))),
        }
    }
    Ok(Value::text(out))
}

fn format<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text), list] = args else { return refuse() };
    super::formatting::format(text, list)
}
