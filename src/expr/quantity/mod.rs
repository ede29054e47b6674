//! Kubernetes quantities: `100m`, `1Gi`, `1e3`.
//!
//! An amount is a 64-bit number and a power of ten while it fits, and a decimal of any size otherwise. What is told of
//! an amount depends on which of the two it is (whether it is an integer, which float is near it), so both are kept
//! as the API server keeps them.

mod decimal;
mod suffix;

use std::cmp::Ordering;
use std::fmt;

use decimal::{Decimal, Rounding};

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

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It has characters that no quantity has.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// It has no digits.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// What follows the digits is no suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount. Two are equal when their amounts are, however they are written.
#[derive(Debug, Clone)]
pub struct Quantity {
    amount: Amount,
    format: Format,
}

#[derive(Debug, Clone)]
enum Amount {
    /// `value * 10^power`
    Small {
        value: i64,
        power: i32,
    },
    Large(Decimal),
}

/// What cannot be calculated without more digits than any amount has.
const DECIMALS: i64 = 9;
/// Digits that surely fit in 64 bits.
const SAFE_DIGITS: i32 = 18;

impl Quantity {
    /// Reads a quantity. What is smaller than a billionth is rounded away from zero, and powers of two are capped at
    /// 2^63-1. A text without digits is zero: `m`, `-` and `k` are quantities.
    ///
    /// # Errors
    /// A text that is no quantity.
    pub fn read(text: &str) -> Result<Quantity, QuantityError> {
        let parts = suffix::Parts::of(text)?;
        let (base, exponent, format) = suffix::meaning(parts.suffix).ok_or(QuantityError::Suffix)?;
        let digits = length(parts.whole).saturating_add(length(parts.fraction));
        let (room, power, factor) = match format {
            // Only whole powers of two are calculated with small numbers.
            Format::Binary if parts.fraction.is_empty() => {
                (15 - length(parts.whole) - exponent * 3 / 10 - 1, 0, 1_i64 << exponent)
            }
            Format::Binary => (-1, 0, 1),
            _ => (SAFE_DIGITS.saturating_sub(digits), exponent, 1),
        };
        let power = power.saturating_sub(length(parts.fraction));
        if room >= 0 && power >= -9 {
            let digits = format!("{}{}", parts.whole, parts.fraction);
            let value: i64 = digits.parse().map_err(|_| QuantityError::Numeric)?;
            if let Some(value) = value.checked_mul(factor) {
                let value = if parts.negative { -value } else { value };
                return Ok(Quantity { amount: Amount::Small { value, power }, format });
            }
        }
        let decimal = Decimal::parse(parts.number).ok_or(QuantityError::Numeric)?;
        Quantity::large(decimal, base, exponent, format).ok_or(QuantityError::Numeric)
    }

    /// [`Quantity::read`] without the reason.
    pub fn parse(text: &str) -> Option<Quantity> {
        Quantity::read(text).ok()
    }

    fn large(decimal: Decimal, base: i32, exponent: i32, mut format: Format) -> Option<Quantity> {
        let negative = decimal.sign() < 0;
        let decimal = if negative { decimal.negated() } else { decimal };
        let scale = decimal.scale();
        let mut decimal = match base {
            10 => decimal.with_scale(scale - i64::from(exponent)),
            _ => decimal.multiply(&Decimal::new(1_i64 << exponent, 0))?.with_scale(scale),
        };
        if decimal.sign() != 0 {
            decimal = decimal.rounded_up(DECIMALS)?;
        }
        if format == Format::Binary {
            decimal = decimal.min(Decimal::new(i64::MAX, 0));
            if decimal.sign() > 0 && decimal < Decimal::new(1, 0) {
                format = Format::Decimal;
            }
        }
        let decimal = if negative { decimal.negated() } else { decimal };
        Some(Quantity { amount: Amount::Large(decimal), format })
    }

    /// A whole amount.
    pub fn from_whole(value: i64, format: Format) -> Quantity {
        Quantity { amount: Amount::Small { value, power: 0 }, format }
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i64 {
        match &self.amount {
            Amount::Small { value, .. } => value.signum(),
            Amount::Large(decimal) => decimal.sign(),
        }
    }

    /// Its amount as a float, as near as a float times a power of ten comes.
    pub fn as_f64(&self) -> f64 {
        let (base, power) = match &self.amount {
            Amount::Small { value, power } => (*value as f64, i64::from(*power)),
            Amount::Large(decimal) => (decimal.unscaled_f64(), -decimal.scale()),
        };
        if power == 0 { base } else { base * power_of_ten(power) }
    }

    /// Its amount as a whole number, if it is small and written without decimals.
    pub fn as_whole(&self) -> Option<i64> {
        match &self.amount {
            Amount::Small { value, power: 0 } => Some(*value),
            Amount::Small { value, power } => {
                let power = u32::try_from(*power).ok()?;
                if *value == 0 { Some(0) } else { value.checked_mul(10_i64.checked_pow(power)?) }
            }
            Amount::Large(_) => None,
        }
    }

    fn decimal(&self) -> Decimal {
        match &self.amount {
            Amount::Small { value, power } => Decimal::new(*value, -i64::from(*power)),
            Amount::Large(decimal) => decimal.clone(),
        }
    }

    /// The sum, written as the first (or, if that is zero, as the second); `None` if it has too many digits.
    pub fn checked_add(&self, other: &Quantity) -> Option<Quantity> {
        let format = if self.sign() == 0 { other.format } else { self.format };
        let amount = match small_sum(&self.amount, &other.amount) {
            Some(amount) => amount,
            None => Amount::Large(self.decimal().add(&other.decimal())?),
        };
        Some(Quantity { amount, format })
    }

    /// The difference, written as the first (or, if that is zero, as the second); `None` if it has too many digits.
    pub fn checked_sub(&self, other: &Quantity) -> Option<Quantity> {
        let format = if self.sign() == 0 { other.format } else { self.format };
        // The least of all 64-bit numbers is its own negation here, as it is in the API server.
        let negated = match &other.amount {
            Amount::Small { value, power } => {
                small_sum(&self.amount, &Amount::Small { value: value.wrapping_neg(), power: *power })
            }
            Amount::Large(_) => None,
        };
        let amount = match negated {
            Some(amount) => amount,
            None => Amount::Large(self.decimal().add(&other.decimal().negated())?),
        };
        Some(Quantity { amount, format })
    }

    /// The product with a plain number; `None` if it has too many digits.
    pub fn checked_mul(&self, by: &Quantity) -> Option<Quantity> {
        let product = self.decimal().multiply(&by.decimal())?;
        Some(Quantity { amount: Amount::Large(product), format: self.format })
    }

    /// The quotient by a plain number, cut to as many decimals as the more precise of the two has; `None` if it has
    /// too many digits.
    pub fn checked_div(&self, by: &Quantity) -> Option<Quantity> {
        let (dividend, divisor) = (self.decimal(), by.decimal());
        let scale = dividend.scale().max(divisor.scale());
        let quotient = dividend.divide(&divisor, scale, Rounding::Down)?;
        Some(Quantity { amount: Amount::Large(quotient), format: self.format })
    }
}

/// Texts are bounded by what is read, and no number has 2^31 digits.
fn length(digits: &str) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}

/// The sum of small amounts, if it is one, too.
fn small_sum(a: &Amount, b: &Amount) -> Option<Amount> {
    let (Amount::Small { value: a, power: m }, Amount::Small { value: b, power: n }) = (a, b) else {
        return None;
    };
    let shifted = |value: i64, by: i32| value.checked_mul(10_i64.checked_pow(u32::try_from(by).ok()?)?);
    let (value, power) = match (a, b) {
        (a, 0) => (*a, *m),
        (0, b) => (*b, *n),
        _ if m >= n => (shifted(*a, m - n)?.checked_add(*b)?, *n),
        _ => (shifted(*b, n - m)?.checked_add(*a)?, *m),
    };
    Some(Amount::Small { value, power })
}

/// The float nearest to a power of ten, for those near one; others are a product of two.
fn power_of_ten(power: i64) -> f64 {
    let rest = |power: i64| 10_f64.powi((power % 32) as i32);
    let large = |power: i64| -> f64 { format!("1e{}", power / 32 * 32).parse().unwrap_or(f64::INFINITY) };
    match power {
        0..=308 => large(power) * rest(power),
        -323..0 => large(power) / rest(-power),
        _ if power > 0 => f64::INFINITY,
        _ => 0.0,
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other).is_eq()
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
        match (&self.amount, &other.amount) {
            (Amount::Small { value: a, power: m }, Amount::Small { value: b, power: n }) if m == n => {
                a.cmp(b)
            }
            _ => self.decimal().cmp(&other.decimal()),
        }
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix that leaves no fraction. An amount beyond the suffixes has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sign() == 0 {
            return f.write_str("0");
        }
        let decimal = self.decimal();
        if self.format == Format::Binary
            && let Some((number, power)) = thousands_of_1024(&decimal)
        {
            return write!(f, "{number}{}", suffix::binary(power));
        }
        let (mut kept, zeros) = decimal.without_zeros();
        let mut power = zeros - decimal.scale();
        while power % 3 != 0 {
            kept = kept.multiply(&Decimal::new(10, 0)).ok_or(fmt::Error)?;
            power -= 1;
        }
        let number = kept.unscaled();
        match self.format {
            Format::Exponent if power != 0 => write!(f, "{number}e{power}"),
            Format::Exponent => f.write_str(&number),
            _ => write!(f, "{number}{}", suffix::decimal(power)),
        }
    }
}

/// A whole amount of 1024 or more as a number and a power of 1024.
fn thousands_of_1024(decimal: &Decimal) -> Option<(String, usize)> {
    let mut number = decimal.rounded_up(0).filter(|whole| whole == decimal)?;
    let thousand = Decimal::new(1024, 0);
    let is_less = |number: &Decimal| *number < thousand && *number > thousand.clone().negated();
    if is_less(&number) {
        return None;
    }
    let mut power = 0;
    while !is_less(&number) {
        let quotient = number.divide(&thousand, 0, Rounding::Down)?;
        if quotient.multiply(&thousand)? != number {
            break;
        }
        number = quotient;
        power += 1;
    }
    Some((number.unscaled(), power))
}

#[cfg(test)]
mod tests;
