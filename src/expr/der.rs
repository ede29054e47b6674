//! Reading DER, as far as certificates need it.

/// One element: its tag, what is in it, and its bytes with tag and length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'d> {
    pub(crate) tag: u8,
    pub(crate) content: &'d [u8],
    pub(crate) whole: &'d [u8],
}

/// Elements one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'d>(pub(crate) &'d [u8]);

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_ID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;

impl<'d> Reader<'d> {
    /// The next element, if there is a whole one.
    pub(crate) fn next(&mut self) -> Option<Element<'d>> {
        let bytes = self.0;
        let (&tag, rest) = bytes.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let digits = rest.get(..count)?;
            length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            rest = &rest[count..];
        }
        let content = rest.get(..length)?;
        self.0 = &rest[length..];
        Some(Element { tag, content, whole: &bytes[..bytes.len() - self.0.len()] })
    }

    /// The next element, which must have a tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'d>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it has a tag; otherwise nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Element<'d>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }
}

impl<'d> Element<'d> {
    /// What is inside, as elements.
    pub(crate) fn inside(&self) -> Reader<'d> {
        Reader(self.content)
    }

    /// The numbers of an object identifier.
    pub(crate) fn object_id(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut number = 0_u64;
        for byte in self.content {
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                if numbers.is_empty() {
                    let first = (number / 40).min(2);
                    numbers.push(first);
                    number -= first * 40;
                }
                numbers.push(number);
                number = 0;
            }
        }
        numbers
    }

    /// A text of any of the string types.
    pub(crate) fn text(&self) -> String {
        if self.tag == BMP_STRING {
            let units: Vec<u16> =
                self.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            return String::from_utf16_lossy(&units);
        }
        String::from_utf8_lossy(self.content).into_owned()
    }

    /// A point in time in RFC 3339.
    pub(crate) fn time(&self) -> Option<String> {
        let text = std::str::from_utf8(self.content).ok()?;
        let (year, rest) = match self.tag {
            UTC_TIME => {
                let year: u32 = text.get(..2)?.parse().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
            }
            GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
            _ => return None,
        };
        if rest.len() != 11 || !rest.ends_with('Z') || !rest[..10].bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let part = |at: usize| &rest[at..at + 2];
        Some(format!("{year:04}-{}-{}T{}:{}:{}Z", part(0), part(2), part(4), part(6), part(8)))
    }

    /// A number of any size in decimal digits. Negative ones do not occur.
    pub(crate) fn decimal(&self) -> String {
        // Nine digits a limb, lowest first.
        let mut limbs: Vec<u64> = vec![0];
        for byte in self.content {
            let mut carry = u64::from(*byte);
            for limb in &mut limbs {
                let value = *limb * 256 + carry;
                *limb = value % 1_000_000_000;
                carry = value / 1_000_000_000;
            }
            if carry > 0 {
                limbs.push(carry);
            }
        }
        let mut digits = limbs.pop().unwrap_or_default().to_string();
        for limb in limbs.iter().rev() {
            digits.push_str(&format!("{limb:09}"));
        }
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identifiers() {
        let number = Element { tag: INTEGER, content: &[1, 0, 0, 0, 0, 0, 0, 0, 0], whole: &[] };
        assert_eq!(number.decimal(), "18446744073709551616");
        let id = Element { tag: OBJECT_ID, content: &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d], whole: &[] };
        assert_eq!(id.object_id(), [1, 2, 840, 113_549]);
        let time = Element { tag: UTC_TIME, content: b"261121065444Z", whole: &[] };
        assert_eq!(time.time().as_deref(), Some("2026-11-21T06:54:44Z"));
    }

    #[test]
    fn cut_off_data_is_no_element() {
        for bytes in [&[][..], &[0x30], &[0x30, 5, 1], &[0x30, 0x80], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Reader(bytes).next().is_none());
        }
    }
}
