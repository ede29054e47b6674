//! Patterns that are no regular expressions, in the words of Go's parser.

use regex_syntax::ast::{ErrorKind, parse::Parser};

use crate::expr::goregex;

/// Why Go takes a text for no regular expression.
pub(super) fn refused(pattern: &str) -> Option<String> {
    let ours = goregex::compile(pattern).err()?;
    let Err(error) = Parser::new().parse(pattern) else { return Some(ours) };
    let (start, end) = (error.span().start.offset, error.span().end.offset);
    let (part, rest) = (&pattern[start..end], &pattern[start..]);
    let (what, shown) = match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing )", pattern),
        ErrorKind::GroupUnopened => ("unexpected )", pattern),
        ErrorKind::ClassUnclosed => ("missing closing ]", rest),
        ErrorKind::ClassRangeInvalid => ("invalid character class range", part),
        ErrorKind::RepetitionCountInvalid => ("invalid repeat count", part),
        ErrorKind::RepetitionMissing => {
            let operator = rest.chars().next().map_or(0, char::len_utf8);
            ("missing argument to repetition operator", &rest[..operator])
        }
        ErrorKind::EscapeUnrecognized | ErrorKind::UnsupportedBackreference => {
            ("invalid escape sequence", part)
        }
        ErrorKind::EscapeUnexpectedEof => ("trailing backslash at end of expression", ""),
        ErrorKind::UnsupportedLookAround if part.starts_with("(?<") => ("invalid named capture", rest),
        ErrorKind::UnsupportedLookAround => ("invalid or unsupported Perl syntax", part),
        ErrorKind::GroupNameInvalid | ErrorKind::GroupNameEmpty => ("invalid named capture", rest),
        ErrorKind::FlagUnrecognized => ("invalid or unsupported Perl syntax", rest),
        _ => return Some(ours),
    };
    Some(format!("error parsing regexp: {what}: `{shown}`"))
}
