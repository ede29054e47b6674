//! Regular expressions in Go's dialect, translated to this crate's engine; both run in linear time.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;

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
        let compiled = regex::RegexBuilder::new(&translate(pattern))
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|e| format!("error parsing regexp: {e}"));
        kept.insert(pattern.to_owned(), compiled.clone());
        compiled
    })
}

/// The same expression in this crate's dialect: `\d`, `\w`, `\s` and `\b` are ASCII, braces that do not count are
/// themselves, and in a class only `]`, `\`, `^` and `-` are special.
pub(crate) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut class = Class::Outside;
    while let Some(c) = rest.chars().next() {
        rest = match (c, class) {
            ('\\', _) => escape(rest, class != Class::Outside, &mut out),
            ('[', Class::Outside) => {
                class = Class::Start;
                out.push('[');
                match rest[1..].strip_prefix('^') {
                    Some(after) => {
                        out.push('^');
                        after
                    }
                    None => &rest[1..],
                }
            }
            ('[', _) if rest.starts_with("[:") && rest.contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |at| at + 2);
                out.push_str(&rest[..end]);
                class = Class::Inside;
                &rest[end..]
            }
            (']', Class::Start) => {
                out.push_str("\\]");
                class = Class::Inside;
                &rest[1..]
            }
            (']', Class::Inside) => {
                out.push(']');
                class = Class::Outside;
                &rest[1..]
            }
            ('[' | '&' | '~', Class::Start | Class::Inside) => {
                out.push('\\');
                out.push(c);
                class = Class::Inside;
                &rest[1..]
            }
            ('{', Class::Outside) if !is_count(rest) => {
                out.push_str("\\{");
                &rest[1..]
            }
            (c, _) => {
                out.push(c);
                if class == Class::Start {
                    class = Class::Inside;
                }
                &rest[c.len_utf8()..]
            }
        };
        if class == Class::Start && !out.ends_with(['[', '^']) {
            class = Class::Inside;
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Outside,
    /// Just after `[` or `[^`, where `]` is itself.
    Start,
    Inside,
}

/// Writes the escape `rest` begins with; returns what follows it.
fn escape<'p>(rest: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(c) = rest[1..].chars().next() else {
        out.push('\\');
        return "";
    };
    let after = &rest[1 + c.len_utf8()..];
    match c {
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
        'Q' => {
            let end = after.find("\\E");
            out.push_str(&regex::escape(&after[..end.unwrap_or(after.len())]));
            return end.map_or("", |at| &after[at + 2..]);
        }
        '<' | '>' => out.push(c),
        // The braces of `\p{Greek}` and `\x{41}` count nothing.
        'p' | 'P' | 'x' if after.starts_with('{') && after.contains('}') => {
            let end = after.find('}').map_or(after.len(), |at| at + 1);
            out.push('\\');
            out.push(c);
            out.push_str(&after[..end]);
            return &after[end..];
        }
        c => {
            out.push('\\');
            out.push(c);
        }
    }
    after
}

/// Whether `{...` repeats what precedes it.
fn is_count(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else { return false };
    let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (r"^\p{Greek}\x{41}$", "ΩA", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
        assert!(compile("(").is_err() && compile("(?=a)").is_err() && compile(r"a\").is_err());
    }
}
