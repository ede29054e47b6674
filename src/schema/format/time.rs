//! Dates, times and durations.

/// `2006-01-02`.
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(at, b)| if at == 4 || at == 7 { *b == b'-' } else { b.is_ascii_digit() });
    shape && text.parse::<jiff::civil::Date>().is_ok()
}

/// RFC 3339, in small letters too; no leap second.
pub(super) fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    is_date(date)
        && super::matches(time, r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$")
        && &time[0..2] <= "23"
        && &time[3..5] <= "59"
        && &time[6..8] <= "59"
}

/// Go's durations (`1h30m`), or numbers with spelled units (`3 days`).
pub(super) fn is_duration(text: &str) -> bool {
    is_go_duration(text) || has_spelled_duration(text)
}

fn is_go_duration(text: &str) -> bool {
    const PATTERN: &str = r"^[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)$";
    super::matches(text, PATTERN)
}

/// Whether any number in the text has a unit that is known.
fn has_spelled_duration(text: &str) -> bool {
    const UNITS: [&[&str]; 8] = [
        &["ns", "nano"],
        &["us", "µs", "micro"],
        &["ms", "milli"],
        &["s", "sec"],
        &["m", "min"],
        &["h", "hr", "hour"],
        &["d", "day"],
        &["w", "wk", "week"],
    ];
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let after = rest[start..].trim_start_matches(|c: char| c.is_ascii_digit());
        let spaced = after.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let end = spaced.find(|c: char| !(c.is_ascii_alphabetic() || c == 'µ')).unwrap_or(spaced.len());
        let unit = spaced[..end].to_lowercase();
        let known = |variants: &&[&str]| {
            variants.iter().any(|variant| *variant == unit)
                || variants.last().is_some_and(|last| unit.starts_with(last))
        };
        if !unit.is_empty() && UNITS.iter().any(known) {
            return true;
        }
        rest = &spaced[end..];
    }
    false
}
