//! The canonical form of a quantity: the API server stores `1000m` as `1` and `1024Mi` as `1Gi`.

/// The canonical form; `None` for what is no quantity, or one that is not held exactly.
pub(super) fn canonical(text: &str) -> Option<String> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = -i32::try_from(fraction.len()).ok()?;
    let (number, suffix) = match unit(suffix)? {
        _ if digits == 0 => (0, String::new()),
        Unit::Decimal(exponent) => {
            let (number, exponent) = decimal(digits, scale + exponent)?;
            (number, decimal_suffix(exponent)?.to_owned())
        }
        Unit::Exponent(exponent) => {
            let (number, exponent) = decimal(digits, scale + exponent)?;
            (number, if exponent == 0 { String::new() } else { format!("e{exponent}") })
        }
        Unit::Binary(power) => binary(digits.checked_mul(1_i128.checked_shl(power)?)?, scale)?,
    };
    let sign = if negative && number != 0 { "-" } else { "" };
    Some(format!("{sign}{number}{suffix}"))
}

/// A quantity as a number; `None` for what is no quantity.
pub fn quantity_value(text: &str) -> Option<f64> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    Some(match unit(suffix)? {
        Unit::Decimal(exponent) | Unit::Exponent(exponent) => number * 10_f64.powi(exponent),
        Unit::Binary(power) => number * 2_f64.powi(i32::try_from(power).ok()?),
    })
}

enum Unit {
    /// `m`, `k`: powers of ten.
    Decimal(i32),
    /// `e3`.
    Exponent(i32),
    /// `Ki`: powers of two.
    Binary(u32),
}

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

fn unit(suffix: &str) -> Option<Unit> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some(Unit::Decimal(*exponent));
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some(Unit::Binary(*power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (-30..=30).contains(&exponent).then_some(Unit::Exponent(exponent))
}

fn decimal_suffix(exponent: i32) -> Option<&'static str> {
    DECIMAL.iter().find(|(_, e)| *e == exponent).map(|(name, _)| *name)
}

/// A whole number with the greatest power of a thousand behind it. What is finer than a billionth is rounded up.
fn decimal(mut digits: i128, mut exponent: i32) -> Option<(i128, i32)> {
    while exponent < -9 {
        digits = digits.div_euclid(10) + i128::from(digits % 10 != 0);
        exponent += 1;
    }
    while exponent.rem_euclid(3) != 0 {
        digits = digits.checked_mul(10)?;
        exponent -= 1;
    }
    while digits % 1000 == 0 && digits != 0 && exponent < 18 {
        digits /= 1000;
        exponent += 3;
    }
    Some((digits, exponent))
}

/// A whole number of the greatest power of 1024, or a decimal where it is small or no whole number.
fn binary(digits: i128, scale: i32) -> Option<(i128, String)> {
    let unit = 10_i128.checked_pow(scale.unsigned_abs())?;
    if digits % unit != 0 || digits / unit < 1024 {
        let (number, exponent) = decimal(digits, scale)?;
        return Some((number, decimal_suffix(exponent)?.to_owned()));
    }
    let mut number = digits / unit;
    let mut power = 0;
    while number % 1024 == 0 && power < BINARY.len() {
        number /= 1024;
        power += 1;
    }
    let suffix = power.checked_sub(1).map_or("", |i| BINARY[i].0);
    Some((number, suffix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_are_stored_in_one_form() {
        for (text, stored) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("2", "2"),
            ("100000k", "100M"),
            ("0", "0"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("12E", "12E"),
            ("1E3", "1e3"),
            ("-1000m", "-1"),
            ("+1", "1"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0001u", "1n"),
            ("128974848", "128974848"),
            ("0.1Mi", "104857600m"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(stored), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_has_no_form() {
        for text in [
            "",
            "-",
            "1.2.3",
            "1Kb",
            "Ki",
            "1 Gi",
            "0x1",
            "99999999999999999999999999999999999999999",
            "1e99",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
