//! What texts must look like: names, labels, keys, ports. Each answers why a text is wrong, in the server's words.

use std::sync::LazyLock;

use regex::Regex;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const MIXED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
/// Longest name of most objects.
const SUBDOMAIN_LIMIT: usize = 253;

/// `words (e.g. 'a',  or 'b', regex used for validation is '...')`.
pub(super) fn expected(words: &str, pattern: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{pattern}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

fn too_long(errors: &mut Vec<String>, text: &str, limit: usize) {
    if text.len() > limit {
        errors.push(format!("must be no more than {limit} bytes"));
    }
}

/// Whether a text is a DNS label.
pub(crate) fn is_label(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.chars().all(|c| alphanumeric(c) || c == '-')
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// Whether a text is a DNS name.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `[A-Za-z0-9]` at both ends, `-`, `_` and `.` between.
fn is_key(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    !text.is_empty()
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// A DNS label.
pub(crate) fn label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, 63);
    if !is_label(text) {
        let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
        errors.push(if is_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            expected(words, LABEL, &["my-name", "123-abc"])
        });
    }
    errors
}

/// A DNS label that begins with a letter.
pub(crate) fn letter_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, 63);
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        errors.push(expected(words, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    errors
}

/// A DNS name.
pub(crate) fn subdomain(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, SUBDOMAIN_LIMIT);
    if !is_subdomain(text) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        errors.push(expected(words, &format!("{LABEL}(\\.{LABEL})*"), &["example.com"]));
    }
    errors
}

/// A DNS name below `*.`.
pub(crate) fn wildcard(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, SUBDOMAIN_LIMIT);
    if !text.strip_prefix("*.").is_some_and(is_subdomain) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        errors.push(expected(words, &format!("\\*\\.{LABEL}(\\.{LABEL})*"), &["*.example.com"]));
    }
    errors
}

/// What fits between two slashes of a path.
pub(crate) fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].into_iter().filter(|c| text.contains(c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// A label's key: `name` or `prefix/name`.
pub(crate) fn qualified(text: &str) -> Vec<String> {
    let examples = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let name = match text.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            name
        }
        _ => {
            let words = expected(&format!("a valid label key {MIXED}"), KEY, &examples);
            return vec![format!(
                "{words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_key(name) {
        errors.push(expected(&format!("name part {MIXED}"), KEY, &examples));
    }
    errors
}

/// A label's value.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, 63);
    if !text.is_empty() && !is_key(text) {
        let words = format!("a valid label must be an empty string or {}", MIXED.trim_start_matches("must "));
        errors.push(expected(&words, &format!("({KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A key of a config map or a secret.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, SUBDOMAIN_LIMIT);
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(expected(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match text {
        "." | ".." => errors.push(format!("must not be '{text}'")),
        text if text.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// The name of an environment variable.
pub(crate) fn variable(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.is_empty() {
        errors.push("environment variable name must be non-empty".to_owned());
    }
    if !text.chars().all(|c| (c == ' ' || c.is_ascii_graphic()) && c != '=') {
        errors.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned());
    }
    errors
}

/// The name of a port.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    too_long(&mut errors, text, 15);
    let mut add = |wrong: bool, why: &str| {
        if wrong {
            errors.push(why.to_owned());
        }
    };
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    add(
        text.is_empty() || !text.chars().all(known),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    add(!text.contains(|c: char| c.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    add(text.contains("--"), "must not contain consecutive hyphens");
    add(text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen");
    errors
}

/// The number of a port.
pub(crate) fn port(number: i64) -> Vec<String> {
    in_range(number, 1, 65535)
}

/// A number between two others.
pub(crate) fn in_range(number: i64, from: i64, to: i64) -> Vec<String> {
    if (from..=to).contains(&number) {
        return Vec::new();
    }
    vec![format!("must be between {from} and {to}, inclusive")]
}

/// `25%`.
pub(crate) fn percent(text: &str) -> Vec<String> {
    static PERCENT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9]+%$").ok());
    if PERCENT.as_ref().is_some_and(|percent| percent.is_match(text)) {
        return Vec::new();
    }
    let words = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![expected(words, "[0-9]+%", &["1%", "93%"])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_rules() {
        assert!(subdomain("a.b-c").is_empty());
        assert!(!subdomain("A_b").is_empty());
        assert!(!subdomain("a..b").is_empty());
        assert!(qualified("example.com/My_name").is_empty());
        assert!(!qualified("a b").is_empty());
        assert!(!qualified("a/b/c").is_empty());
        assert!(path_segment("system:node").is_empty());
        assert_eq!(letter_label("1a").len(), 1);
        assert_eq!(label("a.b"), ["must not contain dots"]);
        assert_eq!(port_name("a--B").len(), 2);
        assert_eq!(port(0), ["must be between 1 and 65535, inclusive"]);
    }
}
