//! Decimal numbers of any size: digits and how many of them stand behind the point.

use std::cmp::Ordering;

/// Numbers with more digits than this are refused: no amount needs them, and they cost time.
const MOST_DIGITS: i64 = 10_000;

/// `digits * 10^-scale`, with a sign.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    negative: bool,
    /// The last digit first; none for zero.
    digits: Vec<u8>,
    scale: i64,
}

/// Where a quotient is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

impl Decimal {
    /// Reads digits with at most one point, after a sign.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits: Vec<u8> = fraction.bytes().rev().chain(whole.bytes().rev()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digits = digits.iter().map(|digit| digit - b'0').collect();
        Some(Decimal { negative, digits, scale: i64::try_from(fraction.len()).ok()? }.trimmed())
    }

    /// `value * 10^-scale`.
    pub(super) fn new(value: i64, scale: i64) -> Decimal {
        let digits = value.unsigned_abs().to_string().bytes().rev().map(|digit| digit - b'0').collect();
        Decimal { negative: value < 0, digits, scale }.trimmed()
    }

    fn trimmed(mut self) -> Decimal {
        let length = self.digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        self.digits.truncate(length);
        self.negative &= length > 0;
        self
    }

    /// How many digits stand behind the point; less than none for what ends in zeros.
    pub(super) fn scale(&self) -> i64 {
        self.scale
    }

    /// -1, 0 or 1.
    pub(super) fn sign(&self) -> i64 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (_, true) => -1,
            _ => 1,
        }
    }

    pub(super) fn negated(mut self) -> Decimal {
        self.negative = !self.negative && !self.digits.is_empty();
        self
    }

    /// The same digits with the point elsewhere.
    pub(super) fn with_scale(mut self, scale: i64) -> Decimal {
        self.scale = scale;
        self
    }

    /// The digits without the point, as a text.
    pub(super) fn unscaled(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let digits = self.digits.iter().rev().map(|digit| char::from(b'0' + digit));
        self.negative.then_some('-').into_iter().chain(digits).collect()
    }

    /// The digits without the point, as a float.
    pub(super) fn unscaled_f64(&self) -> f64 {
        self.unscaled().parse().unwrap_or(f64::NAN)
    }

    /// How often the digits can be divided by ten, and what is left then.
    pub(super) fn without_zeros(&self) -> (Decimal, i64) {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        let kept = Decimal { digits: self.digits[zeros..].to_vec(), ..*self };
        (kept, i64::try_from(zeros).unwrap_or(0))
    }

    /// The same amount with more digits behind the point.
    fn widened(&self, scale: i64) -> Option<Decimal> {
        let more = scale.checked_sub(self.scale)?;
        let length = i64::try_from(self.digits.len()).ok()?;
        if more < 0 || length + more > MOST_DIGITS {
            return (self.digits.is_empty() && more >= 0).then(|| self.clone().with_scale(scale));
        }
        let mut digits = vec![0; usize::try_from(more).ok()?];
        digits.extend(&self.digits);
        Some(Decimal { negative: self.negative, digits, scale }.trimmed())
    }

    /// The sum; `None` if it has too many digits.
    pub(super) fn add(&self, other: &Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.widened(scale)?, other.widened(scale)?);
        if a.negative == b.negative {
            return Some(Decimal { digits: plus(&a.digits, &b.digits), ..a }.trimmed());
        }
        let (larger, smaller) =
            if magnitude(&a.digits, &b.digits) == Ordering::Less { (b, a) } else { (a, b) };
        Some(Decimal { digits: minus(&larger.digits, &smaller.digits), ..larger }.trimmed())
    }

    /// The product; `None` if it has too many digits.
    pub(super) fn multiply(&self, other: &Decimal) -> Option<Decimal> {
        let length = self.digits.len() + other.digits.len();
        if i64::try_from(length).ok()? > MOST_DIGITS {
            return None;
        }
        let mut sums = vec![0_u32; length];
        for (i, a) in self.digits.iter().enumerate() {
            for (j, b) in other.digits.iter().enumerate() {
                sums[i + j] += u32::from(*a) * u32::from(*b);
            }
        }
        let mut carry = 0;
        let digits = sums
            .into_iter()
            .map(|sum| {
                let sum = sum + carry;
                carry = sum / 10;
                (sum % 10) as u8
            })
            .collect();
        let scale = self.scale.checked_add(other.scale)?;
        Some(Decimal { negative: self.negative != other.negative, digits, scale }.trimmed())
    }

    /// The quotient with `scale` digits behind the point; `None` if that are too many, or the divisor is zero.
    pub(super) fn divide(&self, by: &Decimal, scale: i64, rounding: Rounding) -> Option<Decimal> {
        if by.digits.is_empty() {
            return None;
        }
        // Both as whole numbers, such that their quotient has the wanted scale.
        let shift = scale.checked_add(by.scale)?.checked_sub(self.scale)?;
        let dividend = self.clone().with_scale(0).widened(shift.max(0))?;
        let divisor = by.clone().with_scale(0).widened((-shift).max(0))?;
        let (mut digits, rest) = divided(&dividend.digits, &divisor.digits);
        if rounding == Rounding::Up && !rest.is_empty() {
            digits = plus(&digits, &[1]);
        }
        Some(Decimal { negative: self.negative != by.negative, digits, scale }.trimmed())
    }

    /// The amount with exactly `scale` digits behind the point, rounded away from zero.
    pub(super) fn rounded_up(&self, scale: i64) -> Option<Decimal> {
        if scale >= self.scale {
            return self.widened(scale);
        }
        let cut = usize::try_from(self.scale - scale).unwrap_or(usize::MAX).min(self.digits.len());
        let exact = self.digits[..cut].iter().all(|digit| *digit == 0);
        let kept = &self.digits[cut..];
        let digits = if exact { kept.to_vec() } else { plus(kept, &[1]) };
        Some(Decimal { negative: self.negative, digits, scale }.trimmed())
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs.is_ne() || self.digits.is_empty() {
            return signs;
        }
        // The place of the first digit, then the digits from the first on.
        let place = |number: &Decimal| i64::try_from(number.digits.len()).unwrap_or(i64::MAX) - number.scale;
        let significant = |number: &Decimal| number.without_zeros().0.digits;
        let found = place(self)
            .cmp(&place(other))
            .then_with(|| significant(self).iter().rev().cmp(significant(other).iter().rev()));
        if self.negative { found.reverse() } else { found }
    }
}

/// Which of two whole numbers is larger.
fn magnitude(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u8> = (0..a.len().max(b.len()))
        .map(|i| {
            let digit = a.get(i).unwrap_or(&0) + b.get(i).unwrap_or(&0) + carry;
            carry = digit / 10;
            digit % 10
        })
        .collect();
    if carry > 0 {
        sum.push(carry);
    }
    sum
}

/// `a - b`, where `a` is not less.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrowed = 0;
    let mut rest: Vec<u8> = a
        .iter()
        .enumerate()
        .map(|(i, digit)| {
            let take = b.get(i).unwrap_or(&0) + borrowed;
            borrowed = u8::from(*digit < take);
            digit + 10 * borrowed - take
        })
        .collect();
    while rest.last() == Some(&0) {
        rest.pop();
    }
    rest
}

/// Quotient and rest of whole numbers, digit by digit.
fn divided(dividend: &[u8], divisor: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut rest: Vec<u8> = Vec::new();
    let mut quotient = Vec::with_capacity(dividend.len());
    for digit in dividend.iter().rev() {
        rest.insert(0, *digit);
        while rest.last() == Some(&0) {
            rest.pop();
        }
        let mut times = 0;
        while magnitude(&rest, divisor).is_ge() {
            rest = minus(&rest, divisor);
            times += 1;
        }
        quotient.push(times);
    }
    quotient.reverse();
    (quotient, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_calculated_exactly() {
        let large = read("123456789012345678901234567890");
        assert_eq!(large.add(&read("-123456789012345678901234567889.5")), Some(read("0.5")));
        assert_eq!(read("99.5").multiply(&read("-10")).unwrap().unscaled(), "-9950");
        assert_eq!(read("10").divide(&read("3"), 2, Rounding::Down).unwrap().unscaled(), "333");
        assert_eq!(read("10").divide(&read("-3"), 2, Rounding::Up).unwrap().unscaled(), "-334");
        assert_eq!(read("1").divide(&read("8"), 9, Rounding::Down), Some(read("0.125")));
        assert_eq!(read("1.0000000001").rounded_up(9), Some(read("1.000000001")));
        assert_eq!(read("-0.00000000001").rounded_up(9), Some(read("-0.000000001")));
        assert!(read("1").divide(&read("0"), 0, Rounding::Down).is_none());
        assert!(Decimal::new(1, -1_000_000).add(&read("1")).is_none());
    }

    #[test]
    fn numbers_compare_by_amount() {
        assert_eq!(read("1.50").cmp(&read("1.5")), Ordering::Equal);
        assert_eq!(Decimal::new(1, -3), read("1000"));
        assert!(read("-2") < read("-1") && read("-1") < read("0") && read("0") < read("0.001"));
        assert!(Decimal::new(1, -400) > Decimal::new(i64::MAX, 0));
        assert!(
            Decimal::parse(".").is_none() && Decimal::parse("").is_none() && Decimal::parse("1x").is_none()
        );
        assert_eq!(read("1.").unscaled(), "1");
    }
}
