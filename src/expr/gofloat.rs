//! Texts as floats, by the rules of Go's `strconv.ParseFloat`: underscores between digits, hexadecimal mantissas, and
//! no text that means more than the largest float.

/// The float that a text writes; `None` for a text that writes none, or one too large.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return (lower.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    if lower.contains('_') && !separates_digits(&lower) {
        return None;
    }
    let plain = lower.replace('_', "");
    let value = match plain.strip_prefix("0x") {
        Some(digits) => hexadecimal(digits)?,
        // What Rust reads beside numbers begins with a letter or a second sign.
        None if plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') => plain.parse().ok()?,
        None => return None,
    };
    value.is_finite().then_some(sign * value)
}

/// Whether every underscore stands between digits; a base prefix is as good as a digit.
fn separates_digits(number: &str) -> bool {
    let (hexadecimal, digits) = match number.strip_prefix("0x") {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let mut before = if hexadecimal { '0' } else { '^' };
    for c in digits.chars() {
        let kind = match c {
            c if c.is_ascii_digit() || (hexadecimal && c.is_ascii_hexdigit()) => '0',
            '_' if before != '0' => return false,
            '_' => '_',
            _ if before == '_' => return false,
            _ => '!',
        };
        before = kind;
    }
    before != '_'
}

/// `1.8p3`: a hexadecimal mantissa and a power of two, which must be there.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, power) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = power.strip_prefix(['-', '+']).unwrap_or(power);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power: i32 = power.parse().unwrap_or(if power.starts_with('-') { i32::MIN } else { i32::MAX });
    let mut value = 0_u64;
    let mut shift = power.saturating_sub(4_i32.saturating_mul(i32::try_from(fraction.len()).ok()?));
    for c in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(c.to_digit(16)?);
        if value >> 59 == 0 {
            value = value << 4 | digit;
        } else {
            // What is dropped still decides how the rest is rounded.
            value |= u64::from(digit != 0);
            shift = shift.saturating_add(4);
        }
    }
    // In steps, since a power of two can be beyond a float though the number is not.
    let mut float = value as f64;
    while shift != 0 && float != 0.0 && float.is_finite() {
        let step = shift.clamp(-1000, 1000);
        float *= 2_f64.powi(step);
        shift -= step;
    }
    Some(float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_floats_as_in_go() {
        for (text, float) in [
            ("1", 1.0),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("+1e3", 1000.0),
            ("1_000", 1000.0),
            ("1_0e1_0", 1e11),
            ("0x1p-2", 0.25),
            ("0X_1.8P1", 3.0),
            ("0x.8p0", 0.5),
            ("-Inf", f64::NEG_INFINITY),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse(text), Some(float), "{text}");
        }
        for bad in [
            "", "-", ".", "1__0", "_1", "1_", "0x1", "0xp1", "1e400", "0x1p1024", " 1", "1 ", "+nan", "--1",
            "1e", "e1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(parse("NaN").is_some_and(f64::is_nan));
    }
}
