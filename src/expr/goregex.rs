//! Regular expressions in Go's dialect, translated to this crate's engine; both run in linear time.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Captures, Regex};

/// Compiled expressions a thread keeps.
const KEPT: usize = 256;
/// The most memory one may take compiled.
const SIZE_LIMIT: usize = 1 << 20;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Result<Regex, String>>> = RefCell::new(HashMap::new());
}

/// Compiles an expression, or takes it from those compiled before.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    COMPILED.with_borrow_mut(|kept| {
        if let Some(known) = kept.get(pattern) {
            return known.clone();
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let compiled = translate(pattern).and_then(|translated| {
            let built = regex::RegexBuilder::new(&translated).size_limit(SIZE_LIMIT).build();
            built.map_err(|e| told(pattern).unwrap_or_else(|| format!("error parsing regexp: {e}")))
        });
        kept.insert(pattern.to_owned(), compiled.clone());
        compiled
    })
}

/// What Go says of an expression that is none, for the common mistakes.
fn told(pattern: &str) -> Option<String> {
    use regex_syntax::ast::ErrorKind;
    let error = regex_syntax::ast::parse::Parser::new().parse(pattern).err()?;
    let at = pattern.get(error.span().start.offset..error.span().end.offset)?;
    let from = pattern.get(error.span().start.offset..)?;
    let (what, shown) = match error.kind() {
        ErrorKind::ClassUnclosed => ("missing closing ]", from),
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::RepetitionMissing => ("missing argument to repetition operator", from.get(..1)?),
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::EscapeUnrecognized | ErrorKind::UnsupportedBackreference => {
            ("invalid escape sequence", at)
        }
        ErrorKind::UnsupportedLookAround => ("invalid or unsupported Perl syntax", at),
        ErrorKind::ClassRangeInvalid => ("invalid character class range", at),
        _ => return None,
    };
    Some(format!("error parsing regexp: {what}: `{shown}`"))
}

/// The same expression in this crate's dialect: `\d`, `\w`, `\s` and `\b` are ASCII, braces that do not count are
/// themselves, and in a class only `]`, `\`, `^` and `-` are special. What only this crate knows is refused.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut class = Class::Outside;
    // Whether what precedes is a repetition, which cannot be repeated.
    let mut repeated = false;
    let mut named = Vec::new();
    while let Some(c) = rest.chars().next() {
        let was_repeated = std::mem::take(&mut repeated);
        rest = match (c, class) {
            ('\\', _) => escape(rest, class != Class::Outside, &mut out)?,
            ('[', Class::Outside) => {
                class = Class::Start;
                let after = if rest[1..].starts_with('^') { &rest[2..] } else { &rest[1..] };
                out.push_str(&rest[..rest.len() - after.len()]);
                rest = after;
                continue;
            }
            ('[', _) if rest.starts_with("[:") && rest[2..].contains(":]") => {
                let end = rest[2..].find(":]").map_or(rest.len(), |at| at + 4);
                let name = &rest[2..end - 2];
                if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!(
                        "error parsing regexp: invalid character class range: `{}`",
                        &rest[..end]
                    ));
                }
                out.push_str(&rest[..end]);
                &rest[end..]
            }
            (']', Class::Inside) => {
                out.push(']');
                class = Class::Outside;
                rest = &rest[1..];
                continue;
            }
            ('[' | ']' | '&' | '~', Class::Start | Class::Inside) => {
                out.push('\\');
                out.push(c);
                &rest[1..]
            }
            ('-', Class::Inside) if out.ends_with('-') => {
                out.push_str("\\-");
                &rest[1..]
            }
            ('*' | '+' | '?' | '{', Class::Outside) if c != '{' || is_count(rest) => {
                if was_repeated {
                    return Err("error parsing regexp: invalid nested repetition operator".to_owned());
                }
                repeated = true;
                repetition(rest, &mut out)?
            }
            ('{', Class::Outside) => {
                out.push_str("\\{");
                &rest[1..]
            }
            ('(', Class::Outside) if rest.starts_with("(?") => {
                group(&rest[2..])?;
                match name_of(&rest[2..]) {
                    // What only Go takes for a name is none here: the group still counts.
                    Some((name, after)) if !is_name(name) || named.contains(&name) => {
                        out.push('(');
                        after
                    }
                    name => {
                        named.extend(name.map(|(name, _)| name));
                        out.push_str("(?");
                        &rest[2..]
                    }
                }
            }
            (c, _) => {
                out.push(c);
                &rest[c.len_utf8()..]
            }
        };
        if class == Class::Start {
            class = Class::Inside;
        }
    }
    Ok(out)
}

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The name of a group, of what follows its `(?`, and what follows the name.
fn name_of(rest: &str) -> Option<(&str, &str)> {
    rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'))?.split_once('>')
}

/// Whether this crate's engine takes a name, too.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Writes a repetition with what makes it lazy; returns what follows.
fn repetition<'p>(rest: &'p str, out: &mut String) -> Result<&'p str, String> {
    let end = if rest.starts_with('{') { rest.find('}').map_or(rest.len(), |at| at + 1) } else { 1 };
    let counts = rest[..end].trim_matches(['{', '}', '*', '+', '?']);
    if counts.split(',').filter(|n| !n.is_empty()).any(|n| n.parse::<u32>().is_ok_and(|n| n > 1000)) {
        return Err(format!("error parsing regexp: invalid repeat count: `{}`", &rest[..end]));
    }
    let end = if rest[end..].starts_with('?') { end + 1 } else { end };
    out.push_str(&rest[..end]);
    Ok(&rest[end..])
}

/// Checks what follows `(?`: a name, or flags that Go knows.
fn group(rest: &str) -> Result<(), String> {
    let flags: String = rest.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
    if let Some((name, _)) = name_of(rest) {
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Ok(());
        }
        return Err(format!("error parsing regexp: invalid named capture: `(?P<{name}>`"));
    }
    if flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
        return Ok(());
    }
    Err(format!("error parsing regexp: invalid or unsupported Perl syntax: `(?{flags}`"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Outside,
    /// Just after `[` or `[^`, where `]` is itself.
    Start,
    Inside,
}

/// Writes the escape `rest` begins with; returns what follows it.
fn escape<'p>(rest: &'p str, in_class: bool, out: &mut String) -> Result<&'p str, String> {
    let Some(c) = rest[1..].chars().next() else {
        return Err("error parsing regexp: trailing backslash at end of expression".to_owned());
    };
    let after = &rest[1 + c.len_utf8()..];
    match c {
        '0'..='7' => {
            let digits = rest[1..].bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            if c == '0' || digits > 1 {
                let code = u32::from_str_radix(&rest[1..=digits], 8).unwrap_or_default();
                out.push_str(&format!("\\x{{{code:x}}}"));
                return Ok(&rest[1 + digits..]);
            }
            return Err(invalid_escape(c));
        }
        'd' if in_class => out.push_str("0-9"),
        'w' if in_class => out.push_str("0-9A-Za-z_"),
        's' if in_class => out.push_str("\\t\\n\\f\\r "),
        'd' => out.push_str("[0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\f\\r ]"),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'S' => out.push_str("[^\\t\\n\\f\\r ]"),
        'b' | 'B' if !in_class => {
            out.push_str("(?-u:\\");
            out.push(c);
            out.push(')');
        }
        'Q' if !in_class => {
            let end = after.find("\\E");
            out.push_str(&regex::escape(&after[..end.unwrap_or(after.len())]));
            return Ok(end.map_or("", |at| &after[at + 2..]));
        }
        '<' | '>' => out.push(c),
        c if c.is_alphanumeric() && !"AzpPxafnrtvbB".contains(c) => return Err(invalid_escape(c)),
        // The braces of `\p{Greek}` and `\x{41}` count nothing.
        'p' | 'P' | 'x' if after.starts_with('{') && after.contains('}') => {
            let end = after.find('}').map_or(after.len(), |at| at + 1);
            let negated = after[..end].starts_with("{^");
            out.push('\\');
            out.push(match c {
                'p' if negated => 'P',
                'P' if negated => 'p',
                c => c,
            });
            out.push_str(&after[..end].replacen("{^", "{", 1));
            return Ok(&after[end..]);
        }
        c => {
            out.push('\\');
            out.push(c);
        }
    }
    Ok(after)
}

fn invalid_escape(c: char) -> String {
    format!("error parsing regexp: invalid escape sequence: `\\{c}`")
}

/// Whether `{...` repeats what precedes it.
fn is_count(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else { return false };
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// Fills a template with what the groups of a match hold: `$1`, `${name}`, `$$`. What is no such reference is itself.
pub(crate) fn expand(captures: &Captures<'_>, template: &str, out: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        match reference(after) {
            Some((name, after)) => {
                out.push_str(held(captures, name));
                rest = after;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// The name that a reference begins with, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let start = braced.unwrap_or(text);
    let end = start.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(start.len());
    let (name, after) = start.split_at(end);
    let after = if braced.is_some() { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

fn held<'t>(captures: &Captures<'t>, name: &str) -> &'t str {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let found = match name.parse::<usize>() {
        Ok(number) if is_number && number < 100_000_000 => captures.get(number),
        _ => captures.name(name),
    };
    found.map_or("", |found| found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_as_in_go() {
        let regex = compile(r"(?P<key>\w+)=(\w*)").unwrap();
        for (template, filled) in [
            ("$2", "b"),
            ("${key}: $2", "a: b"),
            ("$2x", ""),
            ("${2}x", "bx"),
            ("$$1", "$1"),
            ("$", "$"),
            ("${key", "${key"),
            ("${key.x}", "${key.x}"),
            ("$9-$02-$none", "--"),
        ] {
            let mut out = String::new();
            expand(&regex.captures("a=b").unwrap(), template, &mut out);
            assert_eq!(out, filled, "{template}");
        }
    }

    #[test]
    fn the_dialects_agree() {
        for (pattern, text, expected) in [
            (r"^\d+$", "١", false),
            (r"^[\d.]+$", "1.2", true),
            (r"^{x}$", "{x}", true),
            (r"^a{2}$", "aa", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"^[]a]+$", "]a", true),
            (r"^[[a&&b~~]+$", "[a&b~", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Qa.b\E.$", "axbc", false),
            (r"\bfoo\b", "a foo b", true),
            (r"^\w+\/\-x$", "a/-x", true),
            (r"(?P<x>a)(?i)B", "ab", true),
            (r"^\101{2}[\60-\71]$", "AA7", true),
            (r"^(?:a|b)+?c*?$", "abc", true),
            (r"^\p{Greek}\x{41}$", "ΩA", true),
            (r"^\p{^Greek}\P{^Greek}$", "AΩ", true),
            (r"(?P<n>a)(?P<n>b)(?P<1>c)", "abc", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
        for bad in [
            "a**",
            "a++",
            r"\u0041",
            "(?x)a b",
            "a{1001}",
            r"\1",
            r"[\Qa\E]",
            "(?=a)",
            "[[:foo:]]",
            "(?P<>a)",
            "(?P<a b>c)",
        ] {
            assert!(compile(bad).is_err(), "{bad}");
        }
        assert!(compile("(").is_err() && compile("(?=a)").is_err() && compile(r"a\").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[\\PC\\[\\]\\\\{}(?*^-]{0,12}") {
            let _ = compile(&text);
        }
    }
}
