//! Finding members of a JSON object without reading what they hold.

/// A range of bytes; objects are smaller than four gigabytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    from: u32,
    to: u32,
}

impl Span {
    pub fn start(self) -> usize {
        self.from as usize
    }

    pub fn end(self) -> usize {
        self.to as usize
    }

    pub fn is_empty(self) -> bool {
        self.from == self.to
    }
}

/// Calls `found` with each member of the object that begins at `at`: its key as it is written and the span of its
/// value. `None` if no object without spaces, as the store writes them, begins there.
pub(crate) fn members<'a>(json: &'a [u8], at: usize, mut found: impl FnMut(&'a [u8], Span)) -> Option<usize> {
    let mut at = expect(json, at, b'{')?;
    if json.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let end = string(json, at)?;
        let key = &json[at + 1..end - 1];
        let start = expect(json, end, b':')?;
        at = value(json, start)?;
        found(key, Span { from: u32::try_from(start).ok()?, to: u32::try_from(at).ok()? });
        match json.get(at)? {
            b',' => at += 1,
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn expect(json: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*json.get(at)? == byte).then_some(at + 1)
}

/// Where the string that begins at `at` ends.
fn string(json: &[u8], at: usize) -> Option<usize> {
    let mut at = expect(json, at, b'"')?;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the value that begins at `at` ends.
fn value(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0;
    loop {
        match json.get(at)? {
            b'"' => at = string(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            // What ends the surrounding object ends a number or a word before it.
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ => at += 1,
        }
        if depth == 0 && matches!(json.get(at), Some(b',' | b'}' | b']')) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_whatever_they_hold() {
        let json = br#"{"a":"x\"}","b":[1,{"a":2}],"c":{},"d":-1.5,"e":null}"#;
        let mut seen = Vec::new();
        let end = members(json, 0, |key, span| seen.push((key, &json[span.start()..span.end()]))).unwrap();
        assert_eq!(end, json.len());
        let expected: [(&[u8], &[u8]); 5] = [
            (b"a", br#""x\"}""#),
            (b"b", br#"[1,{"a":2}]"#),
            (b"c", b"{}"),
            (b"d", b"-1.5"),
            (b"e", b"null"),
        ];
        assert_eq!(seen, expected);
        assert!(members(b"{}", 0, |_, _| {}).is_some());
        for broken in [&b"{\"a\""[..], b"[", b"{\"a\":1", b"", b"{\"a\\"] {
            assert!(members(broken, 0, |_, _| {}).is_none());
        }
    }
}
