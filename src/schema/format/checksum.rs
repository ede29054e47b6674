//! Numbers that check themselves.

/// An ISBN of ten digits, the last of which may be `X`.
pub(super) fn is_isbn10(text: &str) -> bool {
    let digits = without_separators(text);
    let Some((last, rest)) = digits.split_last().filter(|_| digits.len() == 10) else { return false };
    if !rest.iter().all(u8::is_ascii_digit) || !(last.is_ascii_digit() || *last == b'X') {
        return false;
    }
    let weighted: u32 = (1u32..).zip(rest).map(|(place, digit)| place * value(*digit)).sum();
    let check = if *last == b'X' { 10 } else { value(*last) };
    (weighted + 10 * check).is_multiple_of(11)
}

/// An ISBN of thirteen digits.
pub(super) fn is_isbn13(text: &str) -> bool {
    let digits = without_separators(text);
    if digits.len() != 13 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let weighted: u32 =
        digits[..12].iter().enumerate().map(|(place, digit)| value(*digit) * [1, 3][place % 2]).sum();
    value(digits[12]) == (10 - weighted % 10) % 10
}

/// A credit card's number: one of the known forms, and its check digit is right.
pub(super) fn is_credit_card(text: &str) -> bool {
    const FORMS: &str = "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$";
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, value(digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    super::matches(&digits, FORMS) && sum.is_multiple_of(10)
}

fn value(digit: u8) -> u32 {
    u32::from(digit - b'0')
}

fn without_separators(text: &str) -> Vec<u8> {
    text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'-').collect()
}
