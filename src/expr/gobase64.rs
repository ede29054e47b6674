//! Base64 as Go's standard encoding decodes it: line ends are no part of it, and the bits that fill the last letter
//! may be anything.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine as _, alphabet};

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The bytes that a text encodes.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    if text.contains(['\n', '\r']) {
        return STANDARD.decode(text.replace(['\n', '\r'], ""));
    }
    STANDARD.decode(text)
}

/// Bytes as a text in which every one that is no UTF-8 is a replacement character.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_as_in_go() {
        assert_eq!(decode("aG\nk=\r\n").unwrap(), b"hi");
        assert_eq!(decode("aGl=").unwrap(), b"hi");
        for bad in ["aGk", "a", "aGk==", "_-==", "aG k="] {
            assert!(decode(bad).is_err(), "{bad}");
        }
        assert_eq!(text(b"a\xe2\x82b\xffc\xc3\xa9"), "a\u{fffd}\u{fffd}b\u{fffd}c\u{e9}");
    }
}
