//! Scalars: block, quoted and plain.

use super::error::YamlError;
use super::scanner::{Mark, Scanner, TokenKind};

/// White space between two words of a scalar, until it is known whether a word follows.
#[derive(Default)]
struct Gap {
    blanks: String,
    first_break: String,
    more_breaks: String,
    has_break: bool,
}

impl Gap {
    /// Line folding: one break is a space, more are themselves without the first.
    fn flush(&mut self, into: &mut String) {
        if self.has_break {
            if self.first_break.starts_with('\n') || self.first_break.is_empty() {
                if self.first_break.is_empty() {
                    into.push_str(&self.more_breaks);
                } else if self.more_breaks.is_empty() {
                    into.push(' ');
                } else {
                    into.push_str(&self.more_breaks);
                }
            } else {
                into.push_str(&self.first_break);
                into.push_str(&self.more_breaks);
            }
            self.first_break.clear();
            self.more_breaks.clear();
            self.has_break = false;
        } else {
            into.push_str(&self.blanks);
        }
        self.blanks.clear();
    }
}

impl Scanner<'_> {
    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Result<(), YamlError> {
        let start = self.mark;
        self.skip();
        let (keep, strip, increment) = self.scan_block_header(start)?;
        let mut indent = match increment {
            0 => 0,
            n => i64::from(n) + self.indent.max(0),
        };
        let (mut value, mut leading_break, mut breaks) = (String::new(), String::new(), String::new());
        self.scan_block_breaks(&mut indent, &mut breaks, start)?;
        let mut after_blank = false;
        while i64::from(self.mark.column) == indent && self.at(0) != 0 {
            let blank = self.is_blank(0);
            if !literal && !after_blank && !blank && leading_break.starts_with('\n') {
                if breaks.is_empty() {
                    value.push(' ');
                }
            } else {
                value.push_str(&leading_break);
            }
            leading_break.clear();
            value.push_str(&breaks);
            breaks.clear();
            after_blank = blank;
            while !self.is_break_or_end(0) {
                self.read(&mut value);
            }
            if self.is_break(0) {
                self.read_line(&mut leading_break);
            }
            self.scan_block_breaks(&mut indent, &mut breaks, start)?;
        }
        if !strip {
            value.push_str(&leading_break);
        }
        if keep {
            value.push_str(&breaks);
        }
        self.push(TokenKind::Scalar { value, plain: false }, start);
        Ok(())
    }

    /// `+`, `-` and a digit in any order: (keep, strip, indentation).
    fn scan_block_header(&mut self, start: Mark) -> Result<(bool, bool, u8), YamlError> {
        let (mut keep, mut strip, mut increment) = (false, false, 0);
        let (mut chomping_seen, mut digit_seen) = (false, false);
        loop {
            match self.at(0) {
                sign @ (b'+' | b'-') if !chomping_seen => {
                    (keep, strip, chomping_seen) = (sign == b'+', sign == b'-', true);
                }
                b'0' if !digit_seen => {
                    return Err(YamlError::syntax(start, "the indentation of a block scalar cannot be 0"));
                }
                digit @ b'1'..=b'9' if !digit_seen => {
                    (increment, digit_seen) = (digit - b'0', true);
                }
                _ => break,
            }
            self.skip();
        }
        while self.is_blank(0) {
            self.skip();
        }
        self.skip_comment();
        if !self.is_break_or_end(0) {
            return Err(YamlError::syntax(
                start,
                "only a comment may stand on the line where a block scalar begins",
            ));
        }
        self.skip_line();
        Ok((keep, strip, increment))
    }

    /// Passes indentation and empty lines; finds the indentation out if it is not known yet (0).
    fn scan_block_breaks(
        &mut self,
        indent: &mut i64,
        breaks: &mut String,
        start: Mark,
    ) -> Result<(), YamlError> {
        let mut deepest = 0;
        loop {
            let inside = |column: u32| *indent == 0 || i64::from(column) < *indent;
            while inside(self.mark.column) && self.at(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(i64::from(self.mark.column));
            if inside(self.mark.column) && self.at(0) == b'\t' {
                return Err(YamlError::syntax(
                    start,
                    "a tab stands where the indentation of a block scalar is expected",
                ));
            }
            if !self.is_break(0) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    pub(super) fn scan_quoted(&mut self, single: bool) -> Result<(), YamlError> {
        let start = self.mark;
        let quote = if single { b'\'' } else { b'"' };
        self.skip();
        let (mut value, mut gap) = (String::new(), Gap::default());
        loop {
            if self.at_document_indicator(b'-') || self.at_document_indicator(b'.') {
                return Err(YamlError::syntax(start, "a quoted text is not closed before the document ends"));
            }
            if self.at(0) == 0 {
                return Err(YamlError::syntax(start, "a quoted text is not closed"));
            }
            while !self.is_blank_or_end(0) {
                match self.at(0) {
                    b'\'' if single && self.at(1) == b'\'' => {
                        value.push('\'');
                        self.skip();
                        self.skip();
                    }
                    byte if byte == quote => break,
                    b'\\' if !single && self.is_break(1) => {
                        self.skip();
                        self.skip_line();
                        gap.has_break = true;
                        break;
                    }
                    b'\\' if !single => self.scan_escape(start, &mut value)?,
                    _ => self.read(&mut value),
                }
            }
            if self.at(0) == quote {
                break;
            }
            self.scan_gap(&mut gap);
            gap.flush(&mut value);
        }
        self.skip();
        self.push(TokenKind::Scalar { value, plain: false }, start);
        Ok(())
    }

    fn scan_gap(&mut self, gap: &mut Gap) {
        loop {
            if self.is_blank(0) {
                if gap.has_break {
                    self.skip();
                } else {
                    self.read(&mut gap.blanks);
                }
            } else if self.is_break(0) {
                if gap.has_break {
                    self.read_line(&mut gap.more_breaks);
                } else {
                    gap.blanks.clear();
                    self.read_line(&mut gap.first_break);
                    gap.has_break = true;
                }
            } else {
                return;
            }
        }
    }

    fn scan_escape(&mut self, start: Mark, value: &mut String) -> Result<(), YamlError> {
        let digits = match self.at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            simple => {
                value.push(match simple {
                    b'0' => '\0',
                    b'a' => '\x07',
                    b'b' => '\x08',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\x0B',
                    b'f' => '\x0C',
                    b'r' => '\r',
                    b'e' => '\x1B',
                    b' ' => ' ',
                    b'"' => '"',
                    b'\'' => '\'',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{a0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    _ => return Err(self.error("unknown escape in a quoted text")),
                });
                self.skip();
                self.skip();
                return Ok(());
            }
        };
        self.skip();
        self.skip();
        let mut code = 0u32;
        for i in 0..digits {
            let digit = (self.at(i) as char).to_digit(16);
            let digit =
                digit.ok_or_else(|| YamlError::syntax(start, "an escape lacks hexadecimal digits"))?;
            code = (code << 4) | digit;
        }
        let c = char::from_u32(code).ok_or_else(|| YamlError::syntax(start, "an escape is no character"))?;
        value.push(c);
        for _ in 0..digits {
            self.skip();
        }
        Ok(())
    }

    pub(super) fn scan_plain(&mut self) -> Result<(), YamlError> {
        let start = self.mark;
        let least = self.indent + 1;
        let (mut value, mut gap) = (String::new(), Gap::default());
        loop {
            if self.at_document_indicator(b'-') || self.at_document_indicator(b'.') || self.at(0) == b'#' {
                break;
            }
            while !self.is_blank_or_end(0) && !self.ends_plain() {
                if gap.has_break || !gap.blanks.is_empty() {
                    gap.flush(&mut value);
                }
                self.read(&mut value);
            }
            if !(self.is_blank(0) || self.is_break(0)) {
                break;
            }
            self.scan_plain_gap(&mut gap, least, start)?;
            if self.flow_level == 0 && i64::from(self.mark.column) < least {
                break;
            }
        }
        self.push(TokenKind::Scalar { value, plain: true }, start);
        if gap.has_break {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    /// `: ` anywhere; in flow collections also their indicators.
    fn ends_plain(&self) -> bool {
        match self.at(0) {
            b':' => self.is_blank_or_end(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }

    fn scan_plain_gap(&mut self, gap: &mut Gap, least: i64, start: Mark) -> Result<(), YamlError> {
        loop {
            if self.is_blank(0) {
                if gap.has_break && i64::from(self.mark.column) < least && self.at(0) == b'\t' {
                    return Err(YamlError::syntax(start, "a tab stands where indentation is expected"));
                }
                if gap.has_break {
                    self.skip();
                } else {
                    self.read(&mut gap.blanks);
                }
            } else if self.is_break(0) {
                if gap.has_break {
                    self.read_line(&mut gap.more_breaks);
                } else {
                    gap.blanks.clear();
                    self.read_line(&mut gap.first_break);
                    gap.has_break = true;
                }
            } else {
                return Ok(());
            }
        }
    }
}
