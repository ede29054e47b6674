//! Text to tokens.

use super::error::Mistakes;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Ident,
    /// `` `a-b` ``
    EscapedIdent,
    Int,
    Uint,
    Float,
    String,
    Bytes,
    True,
    False,
    Null,
    In,
    /// An operator or other mark.
    Mark(&'static str),
    End,
}

/// A token and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexeme<'t> {
    pub(crate) token: Token,
    pub(crate) text: &'t str,
    /// Characters before it.
    pub(crate) place: u32,
}

/// Longer marks first.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%",
];

/// Cuts a text into tokens, the last of which is [`Token::End`]. What is no token is reported and left out.
pub(crate) fn tokens<'t>(text: &'t str, mistakes: &mut Mistakes) -> Vec<Lexeme<'t>> {
    let mut out = Vec::with_capacity(text.len() / 3 + 2);
    let mut at = 0;
    let mut place = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (length, token) = next(rest);
        let length = match token {
            Some(Ok(token)) => {
                out.push(Lexeme { token, text: &rest[..length], place });
                length
            }
            Some(Err(())) => {
                let shown = &rest[..length];
                mistakes.report(place, format!("Syntax error: token recognition error at: '{shown}'"));
                length
            }
            None => length,
        };
        place += u32::try_from(rest[..length].chars().count()).unwrap_or(u32::MAX);
        at += length;
    }
    out.push(Lexeme { token: Token::End, text: "<EOF>", place });
    out
}

/// The length of what comes next, and the token it is (`None` for blanks and comments).
fn next(rest: &str) -> (usize, Option<Result<Token, ()>>) {
    let blank = rest.len() - rest.trim_start_matches(['\t', ' ', '\r', '\n', '\u{c}']).len();
    if blank > 0 {
        return (blank, None);
    }
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    let bytes = rest.as_bytes();
    if let Some(found) = number(bytes) {
        return (found.0, Some(Ok(found.1)));
    }
    // A prefix without a proper string after it is a name.
    let is_name = bytes[0].is_ascii_alphabetic();
    if let Some(found) = string(rest).filter(|found| !is_name || matches!(found.1, Some(Ok(_)))) {
        return found;
    }
    if bytes[0].is_ascii_alphabetic() || bytes[0] == b'_' {
        let length = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let token = match &rest[..length] {
            "true" => Token::True,
            "false" => Token::False,
            "null" => Token::Null,
            "in" => Token::In,
            _ => Token::Ident,
        };
        return (length, Some(Ok(token)));
    }
    if bytes[0] == b'`' {
        let inner =
            bytes[1..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"_.-/ ".contains(b)).count();
        return if inner > 0 && bytes.get(inner + 1) == Some(&b'`') {
            (inner + 2, Some(Ok(Token::EscapedIdent)))
        } else {
            (including_next(rest, inner + 1), Some(Err(())))
        };
    }
    for mark in MARKS {
        if rest.starts_with(mark) {
            return (mark.len(), Some(Ok(Token::Mark(mark))));
        }
    }
    // A lone `&`, `|` or `=` is refused together with what follows it.
    let alone = usize::from(matches!(bytes[0], b'&' | b'|' | b'='));
    (including_next(rest, alone), Some(Err(())))
}

/// `length` bytes and the character after them.
fn including_next(rest: &str, length: usize) -> usize {
    rest.get(length..).and_then(|r| r.chars().next()).map_or(rest.len(), |c| length + c.len_utf8())
}

fn number(bytes: &[u8]) -> Option<(usize, Token)> {
    let digits =
        |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let unsigned = |length: usize, token| match bytes.get(length) {
        Some(b'u' | b'U') => (length + 1, Token::Uint),
        _ => (length, token),
    };
    if bytes.starts_with(b"0x") {
        let hex = bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if hex > 0 {
            return Some(unsigned(2 + hex, Token::Int));
        }
    }
    let whole = digits(0);
    let fraction = if bytes.get(whole) == Some(&b'.') { digits(whole + 1) } else { 0 };
    if whole == 0 && fraction == 0 {
        return None;
    }
    let mut length = if fraction > 0 { whole + 1 + fraction } else { whole };
    let mut float = fraction > 0;
    if let Some(b'e' | b'E') = bytes.get(length) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
            float = true;
        }
    }
    Some(if float { (length, Token::Float) } else { unsigned(length, Token::Int) })
}

fn string(rest: &str) -> Option<(usize, Option<Result<Token, ()>>)> {
    let bytes = rest.as_bytes();
    let mut start = 0;
    let is_bytes = matches!(bytes[0], b'b' | b'B');
    start += usize::from(is_bytes);
    let raw = matches!(bytes.get(start), Some(b'r' | b'R'));
    start += usize::from(raw);
    let quote = *bytes.get(start).filter(|b| matches!(b, b'"' | b'\''))?;
    let token = if is_bytes { Token::Bytes } else { Token::String };
    if bytes[start..].starts_with(&[quote; 3])
        && let Ok(length) = quoted(bytes, start + 3, quote, raw, true)
    {
        return Some((length, Some(Ok(token))));
    }
    Some(match quoted(bytes, start + 1, quote, raw, false) {
        Ok(length) => (length, Some(Ok(token))),
        Err(stopped) => (including_next(rest, stopped), Some(Err(()))),
    })
}

/// The end of a string whose quotes open before `at`; or where it cannot go on.
fn quoted(bytes: &[u8], mut at: usize, quote: u8, raw: bool, triple: bool) -> Result<usize, usize> {
    while let Some(&b) = bytes.get(at) {
        if b == quote && (!triple || bytes[at..].starts_with(&[quote; 3])) {
            return Ok(at + if triple { 3 } else { 1 });
        }
        if !triple && matches!(b, b'\n' | b'\r') {
            return Err(at);
        }
        at = if b == b'\\' && !raw { escape(bytes, at)? } else { at + 1 };
    }
    Err(bytes.len())
}

/// The end of an escape sequence, or the byte that makes it none.
fn escape(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let hex = |count: usize| {
        (at + 2..at + 2 + count)
            .find(|i| !bytes.get(*i).is_some_and(u8::is_ascii_hexdigit))
            .map_or(Ok(at + 2 + count), |i| Err(i.min(bytes.len())))
    };
    match bytes.get(at + 1) {
        Some(b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`') => {
            Ok(at + 2)
        }
        Some(b'x' | b'X') => hex(2),
        Some(b'u') => hex(4),
        Some(b'U') => hex(8),
        Some(b'0'..=b'3') => (at + 2..at + 4)
            .find(|i| !matches!(bytes.get(*i), Some(b'0'..=b'7')))
            .map_or(Ok(at + 4), |i| Err(i.min(bytes.len()))),
        _ => Err((at + 1).min(bytes.len())),
    }
}

/// The value of a string token, or of a bytes token without its `b`.
pub(crate) fn unquote(text: &str, is_bytes: bool) -> Result<Vec<u8>, &'static str> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let raw = text.starts_with(['r', 'R']);
    let text = if raw { &text[1..] } else { &text[..] };
    let triple = text.len() >= 6 && (text.starts_with("'''") || text.starts_with("\"\"\""));
    let edge = if triple { 3 } else { 1 };
    let inner = text.get(edge..text.len().saturating_sub(edge)).ok_or("unable to unescape string")?;
    if raw || !inner.contains('\\') {
        return Ok(inner.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], is_bytes, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Reads one escape sequence after its backslash; gives what follows it.
fn unescape<'t>(rest: &'t str, is_bytes: bool, out: &mut Vec<u8>) -> Result<&'t str, &'static str> {
    let kind = *rest.as_bytes().first().ok_or("unable to unescape string, found '\\' as last character")?;
    let simple = match kind {
        b'a' => Some(7),
        b'b' => Some(8),
        b'f' => Some(12),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(11),
        b'\\' | b'\'' | b'"' | b'`' | b'?' => Some(kind),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return Ok(&rest[1..]);
    }
    let (from, length, radix) = match kind {
        b'x' | b'X' => (1, 2, 16),
        b'u' if !is_bytes => (1, 4, 16),
        b'U' if !is_bytes => (1, 8, 16),
        b'0'..=b'3' => (0, 3, 8),
        _ => return Err("unable to unescape string"),
    };
    let digits = rest.get(from..from + length).ok_or("unable to unescape string")?;
    let value = u32::from_str_radix(digits, radix).map_err(|_| "unable to unescape string")?;
    if is_bytes {
        out.push(u8::try_from(value).map_err(|_| "unable to unescape string")?);
    } else {
        let c = char::from_u32(value).ok_or("invalid unicode code point")?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(&rest[from + length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Token> {
        let mut mistakes = Mistakes::default();
        let tokens = tokens(text, &mut mistakes);
        assert!(mistakes.is_empty(), "{text}");
        tokens.into_iter().map(|t| t.token).collect()
    }

    #[test]
    fn numbers_and_strings_are_told_apart() {
        use Token::{Bytes, End, Float, Ident, Int, Mark, String, Uint};
        assert_eq!(kinds("1 0x1F 7u .5 1e3 1.5E-2"), [Int, Int, Uint, Float, Float, Float, End]);
        assert_eq!(kinds("1.size()"), [Int, Mark("."), Ident, Mark("("), Mark(")"), End]);
        assert_eq!(
            kinds(
                r#"r'\' br"x" b'\xff' """a"b
c""" ''"#
            ),
            [String, Bytes, Bytes, String, String, End]
        );
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unquote(r"'\u00e9\x41\101\n'", false).unwrap(), "éAA\n".as_bytes());
        assert_eq!(unquote(r"'\xff\377'", true).unwrap(), [255, 255]);
        assert_eq!(unquote(r"r'\n'", false).unwrap(), b"\\n");
        assert!(unquote(r"'\ud800'", false).is_err());
    }
}
