//! Kubernetes quantities: `100m`, `1Gi`, `1e3`, exact to a billionth.

use std::cmp::Ordering;
use std::fmt;

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `1500m`, `2k`
    Decimal,
    /// `1Gi`
    Binary,
    /// `1e3`
    Exponent,
}

/// An amount. Two are equal when their amounts are, however they are written.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;
const MOST: i128 = i64::MAX as i128 * NANO;
const DECIMAL_SUFFIXES: [(i32, &str); 10] =
    [(-9, "n"), (-6, "u"), (-3, "m"), (0, ""), (3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"), (18, "E")];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Reads a quantity. Amounts are capped at 2^63-1 and rounded away from zero to a billionth.
    pub fn parse(text: &str) -> Option<Quantity> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (format, base, power) = scale(suffix)?;
        let nanos = match base {
            10 => scaled(whole, fraction, power + 9, 1)?,
            _ => scaled(whole, fraction, 9, 1_i128 << (10 * power))?,
        }
        .min(MOST);
        Some(Quantity { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// A whole amount.
    pub fn from_whole(value: i64, format: Format) -> Quantity {
        Quantity { nanos: i128::from(value) * NANO, format }
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its amount as a float.
    pub fn as_f64(&self) -> f64 {
        if self.nanos % NANO == 0 { (self.nanos / NANO) as f64 } else { self.nanos as f64 / NANO as f64 }
    }

    /// Its amount as a whole number, if it is one.
    pub fn as_whole(&self) -> Option<i64> {
        if self.nanos % NANO == 0 { i64::try_from(self.nanos / NANO).ok() } else { None }
    }

    /// The sum, written as the first (or, if that is zero, as the second).
    pub fn checked_add(self, other: Quantity) -> Option<Quantity> {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Some(Quantity { nanos: self.nanos.checked_add(other.nanos)?, format })
    }

    /// The difference, written as the first (or, if that is zero, as the second).
    pub fn checked_sub(self, other: Quantity) -> Option<Quantity> {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Some(Quantity { nanos: self.nanos.checked_sub(other.nanos)?, format })
    }

    /// The product with a plain number, rounded away from zero to a billionth.
    pub fn checked_mul(self, by: Quantity) -> Option<Quantity> {
        let product = wide_multiply(self.nanos, by.nanos)?;
        Some(Quantity { nanos: product, format: self.format })
    }

    /// The quotient by a plain number, cut to as many decimals as the more precise of the two has.
    pub fn checked_div(self, by: Quantity) -> Option<Quantity> {
        let decimals = self.decimals().max(by.decimals());
        let unit = 10_i128.pow(9 - decimals);
        let quotient = self.nanos.checked_mul(10_i128.pow(decimals))?.checked_div(by.nanos)?;
        Some(Quantity { nanos: quotient.checked_mul(unit)?, format: self.format })
    }

    fn decimals(&self) -> u32 {
        let mut nanos = self.nanos % NANO;
        let mut decimals = 9;
        while decimals > 0 && nanos % 10 == 0 {
            nanos /= 10;
            decimals -= 1;
        }
        decimals
    }
}

/// What a suffix says: the way of writing, the base and its power.
fn scale(suffix: &str) -> Option<(Format, i32, i32)> {
    if let Some((power, _)) = DECIMAL_SUFFIXES.iter().find(|(_, s)| *s == suffix) {
        return Some((Format::Decimal, 10, *power));
    }
    if let Some(power) = BINARY_SUFFIXES.iter().position(|s| *s == suffix) {
        return Some((Format::Binary, 2, i32::try_from(power).ok()?));
    }
    let power = suffix.strip_prefix(['e', 'E'])?;
    let digits = power.trim_start_matches(['+', '-']);
    if digits.is_empty() || digits.len() + 1 < power.len() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((Format::Exponent, 10, power.parse::<i32>().ok()?))
}

/// `whole.fraction * 10^power * factor`, rounded up; capped where it is too large anyway.
fn scaled(whole: &str, fraction: &str, power: i32, factor: i128) -> Option<i128> {
    let fraction = fraction.trim_end_matches('0');
    let digits: String = format!("{whole}{fraction}").trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return Some(0);
    }
    let power = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let length = i32::try_from(digits.len()).ok()?;
    if length.saturating_add(power) > 30 {
        return Some(MOST);
    }
    // Digits this far right only decide whether to round up.
    let (kept, power, dropped) = if digits.len() > 30 {
        let cut = i32::try_from(digits.len() - 30).ok()?;
        (digits[..30].to_owned(), power + cut, digits[30..].bytes().any(|b| b != b'0'))
    } else {
        (digits, power, false)
    };
    let value: i128 = kept.parse().ok()?;
    if power >= 0 {
        let factor = 10_i128.checked_pow(u32::try_from(power).ok()?).and_then(|p| p.checked_mul(factor));
        let product = factor.and_then(|f| value.checked_mul(f)).unwrap_or(MOST);
        return Some(product.saturating_add(i128::from(dropped)));
    }
    let Some(product) = value.checked_mul(factor) else { return Some(MOST) };
    let divisor = u32::try_from(-power).ok().and_then(|p| 10_i128.checked_pow(p));
    let Some(divisor) = divisor else { return Some(1) };
    Some(product / divisor + i128::from(product % divisor != 0 || dropped))
}

/// `a * b / NANO`, rounded away from zero.
fn wide_multiply(a: i128, b: i128) -> Option<i128> {
    let (whole, rest) = (b / NANO, b % NANO);
    let product = a.checked_mul(whole)?;
    let tail = (a / NANO).checked_mul(rest)?;
    let last = (a % NANO) * rest;
    let rounding = if last % NANO == 0 { 0 } else { last.signum() };
    product.checked_add(tail)?.checked_add(last / NANO)?.checked_add(rounding)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos / NANO;
        if self.format == Format::Binary && self.nanos % NANO == 0 && whole.abs() >= 1024 {
            let (mut value, mut power) = (whole, 0);
            while value % 1024 == 0 && power + 1 < BINARY_SUFFIXES.len() {
                value /= 1024;
                power += 1;
            }
            return write!(f, "{value}{}", BINARY_SUFFIXES[power]);
        }
        let (mut value, mut at) = (self.nanos, 0);
        while value % 1000 == 0 && at + 1 < DECIMAL_SUFFIXES.len() {
            value /= 1000;
            at += 1;
        }
        let (power, suffix) = DECIMAL_SUFFIXES[at];
        match self.format {
            Format::Exponent if power != 0 => write!(f, "{value}e{power}"),
            _ => write!(f, "{value}{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (text, canonical) in [
            ("0", "0"),
            ("1100m", "1100m"),
            ("1000m", "1"),
            ("0.1", "100m"),
            ("1.5Gi", "1536Mi"),
            ("1024", "1024"),
            ("1024Ki", "1Mi"),
            ("2000", "2k"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1E", "1E"),
            ("-1Gi", "-1Gi"),
            ("1.", "1"),
            (".5", "500m"),
            ("0.0000000001", "1n"),
            ("0.5Ki", "512"),
            ("99999999999999999999", "9223372036854775807"),
            ("+7", "7"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for bad in ["", ".", "1x", "Gi", "1 Gi", "--1", "1.2.3", "1e", "1ki", "e3", "1e+-3"] {
            assert!(Quantity::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn amounts_compare_however_written() {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read("1Ki"), read("1024"));
        assert!(read("500m") < read("1") && read("1G") < read("1Gi") && read("-1") < read("0"));
        assert_eq!(read("1Gi").checked_div(read("2")).unwrap().to_string(), "512Mi");
        assert_eq!(read("1").checked_div(read("3")).unwrap().to_string(), "0");
        assert_eq!(read("100m").checked_mul(read("2.5")).unwrap().to_string(), "250m");
    }
}
