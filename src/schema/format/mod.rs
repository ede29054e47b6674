//! The formats of text that the API server checks, each by the rules of its own validator.

mod address;
mod checksum;
mod time;

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

type Check = fn(&str) -> bool;

/// The formats by their names without dashes, as they are looked up.
const CHECKS: [(&str, Check); 26] = [
    ("bsonobjectid", |text| text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit())),
    ("uri", address::is_uri),
    ("email", address::is_email),
    ("hostname", address::is_hostname),
    ("ipv4", address::is_ipv4),
    ("ipv6", |text| text.parse::<core::net::Ipv6Addr>().is_ok()),
    ("cidr", address::is_cidr),
    ("mac", address::is_mac),
    ("uuid", |text| is_uuid(text, None)),
    ("uuid3", |text| is_uuid(text, Some('3'))),
    ("uuid4", |text| is_uuid(text, Some('4'))),
    ("uuid5", |text| is_uuid(text, Some('5'))),
    ("isbn", |text| checksum::is_isbn10(text) || checksum::is_isbn13(text)),
    ("isbn10", checksum::is_isbn10),
    ("isbn13", checksum::is_isbn13),
    ("creditcard", checksum::is_credit_card),
    ("ssn", |text| text.len() == 11 && matches(text, r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$")),
    ("hexcolor", |text| matches(text, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")),
    ("rgbcolor", is_rgb),
    ("byte", |text| {
        matches(text, r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$")
    }),
    ("password", |_| true),
    ("date", time::is_date),
    ("duration", time::is_duration),
    ("datetime", time::is_date_time),
    ("k8sshortname", |text| text.len() <= 63 && address::is_label(text)),
    ("k8slongname", |text| text.len() <= 253 && text.split('.').all(address::is_label)),
];

static TABLE: LazyLock<HashMap<&str, Check>> = LazyLock::new(|| CHECKS.into_iter().collect());

fn check_of(format: &str) -> Option<Check> {
    if format.contains('-') {
        return TABLE.get(format.replace('-', "").as_str()).copied();
    }
    TABLE.get(format).copied()
}

/// Whether a format is one that is checked.
pub(super) fn is_known(format: &str) -> bool {
    !format.is_empty() && check_of(format).is_some()
}

/// Whether a text is of a format; of a format that nobody checks it is.
pub(super) fn is(format: &str, text: &str) -> bool {
    check_of(format).is_none_or(|check| check(text))
}

/// Whether a text fits one of this module's own patterns.
fn matches(text: &str, pattern: &'static str) -> bool {
    thread_local! {
        static COMPILED: core::cell::RefCell<HashMap<&'static str, Regex>> = core::cell::RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let regex = compiled
            .entry(pattern)
            .or_insert_with(|| Regex::new(pattern).expect("the patterns written here compile"));
        regex.is_match(text)
    })
}

/// 32 hexadecimal digits in groups, with or without dashes; versions 4 and 5 say their variant too.
fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut digits = String::with_capacity(32);
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some(group) = rest.get(..length) else { return false };
        digits.push_str(group);
        rest = &rest[length..];
    }
    let variant = digits.chars().nth(16);
    rest.is_empty()
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && version.is_none_or(|version| digits.chars().nth(12) == Some(version))
        && (!matches!(version, Some('4' | '5'))
            || variant.is_some_and(|v| matches!(v.to_ascii_lowercase(), '8' | '9' | 'a' | 'b')))
}

fn is_rgb(text: &str) -> bool {
    matches(
        text,
        r"^rgb\(\s*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])\s*,\s*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])\s*,\s*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])\s*\)$",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_what_the_server_takes() {
        for (format, good, bad) in [
            ("ipv4", "010.1.2.3", "1.2.3"),
            ("ipv6", "::1", "1.2.3.4"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "01:23:45:67:89:ab", "01:23:45"),
            ("mac", "0123.4567.89ab", "0123.4567"),
            ("uuid", "123e4567e89b12d3a456426614174000", "123e4567"),
            ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("isbn10", "0321751043", "0321751044"),
            ("isbn13", "978-0321751041", "978-0321751042"),
            ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("ssn", "111-22-3333", "111223333"),
            ("hexcolor", "#fff", "#ff"),
            ("rgbcolor", "rgb(255, 0,1)", "rgb(256,0,0)"),
            ("byte", "aGk=", "aGk"),
            ("date", "2024-02-29", "2023-02-29"),
            ("date-time", "2024-02-29t10:00:00z", "2024-02-29 10:00:00"),
            ("duration", "1h30m", "soon"),
            ("duration", "22 ns", "22 parsecs"),
            ("email", "A <a@b.c>", "a@"),
            ("uri", "https://a/b?c", "a/b"),
            ("hostname", "a.example.com", "-a.b"),
            ("k8s-short-name", "a-b", "a.b"),
            ("k8s-long-name", "a.b", "A.b"),
            ("bsonobjectid", "507f1f77bcf86cd799439011", "507f1f77"),
        ] {
            assert!(is(format, good), "{format}: {good}");
            assert!(!is(format, bad), "{format}: {bad}");
        }
        assert!(is("int32", "x") && !is_known("int32") && is_known("date-time"));
    }
}
