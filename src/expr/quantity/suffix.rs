//! The parts of a quantity, and what its suffix means.

use super::{Format, QuantityError};

const DECIMAL: [(i32, &str); 10] =
    [(-9, "n"), (-6, "u"), (-3, "m"), (0, ""), (3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"), (18, "E")];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A quantity taken apart.
pub(super) struct Parts<'t> {
    pub(super) negative: bool,
    /// The digits before the point, without leading zeros; `0` if there are none.
    pub(super) whole: &'t str,
    pub(super) fraction: &'t str,
    /// Sign, digits and point.
    pub(super) number: &'t str,
    pub(super) suffix: &'t str,
}

impl<'t> Parts<'t> {
    pub(super) fn of(text: &'t str) -> Result<Parts<'t>, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let nonzero = unsigned.trim_start_matches('0');
        let (whole, rest) = digits(nonzero);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        let exponent =
            suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        // What is nothing but zeros has a number of its own.
        let number = if nonzero.is_empty() { "0" } else { &text[..text.len() - suffix.len()] };
        let whole = if whole.is_empty() { "0" } else { whole };
        Ok(Parts { negative: text.starts_with('-'), whole, fraction, number, suffix })
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// What a suffix says: the base, its power, and the way of writing.
pub(super) fn meaning(suffix: &str) -> Option<(i32, i32, Format)> {
    if let Some((power, _)) = DECIMAL.iter().find(|(_, s)| *s == suffix) {
        return Some((10, *power, Format::Decimal));
    }
    if let Some(power) = BINARY.iter().position(|s| *s == suffix) {
        return Some((2, 10 * i32::try_from(power).ok()?, Format::Binary));
    }
    let power: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // An exponent is cut to 32 bits.
    Some((10, power as i32, Format::Exponent))
}

/// The suffix of a power of ten; none for what is beyond them.
pub(super) fn decimal(power: i64) -> &'static str {
    DECIMAL.iter().find(|(known, _)| i64::from(*known) == power).map_or("", |(_, suffix)| suffix)
}

/// The suffix of a power of 1024; none for what is beyond them.
pub(super) fn binary(power: usize) -> &'static str {
    BINARY.get(power).copied().unwrap_or("")
}
