//! Characters to tokens, by the rules of YAML 1.1 as the API server's reader understands them.
//!
//! The one hard part of YAML is that `a` may turn out to be a key only when a `:` follows. A place where a key could
//! begin is remembered as a [`SimpleKey`]; when the `:` comes, the tokens `Key` (and `BlockMappingStart`) are put in
//! before it. Such a key ends on the line where it began and within 1024 characters.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::error::YamlError;

/// A place in the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Characters before it.
    pub index: usize,
    /// Line, from 0.
    pub line: u32,
    /// Column in characters, from 0.
    pub column: u32,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Version { major: u8, minor: u8 },
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    StreamEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { value: String, plain: bool },
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: Mark,
    pub end: Mark,
}

/// A place where a key may have begun.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    /// In a block mapping a line at its indentation can be nothing but a key.
    required: bool,
    token_number: usize,
    mark: Mark,
}

/// The longest simple key, in characters.
const LONGEST_KEY: usize = 1024;

/// Reads tokens from text that has no control characters (see [`super::error::check_characters`]).
pub(super) struct Scanner<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) pos: usize,
    pub(super) mark: Mark,
    tokens: VecDeque<Token>,
    tokens_taken: usize,
    /// Column of the current block collection; -1 outside of any.
    pub(super) indent: i64,
    indents: Vec<i64>,
    pub(super) flow_level: usize,
    pub(super) simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    keys_by_token: FxHashMap<usize, usize>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Scanner<'a> {
        Scanner {
            bytes: text.as_bytes(),
            pos: 0,
            mark: Mark::default(),
            tokens: VecDeque::new(),
            tokens_taken: 0,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            keys_by_token: FxHashMap::default(),
        }
    }

    /// The next token, left where it is.
    pub(super) fn peek(&mut self) -> Result<&Token, YamlError> {
        while self.needs_more()? {
            self.fetch()?;
        }
        Ok(self.tokens.front().expect("fetching goes on until there is a token"))
    }

    /// Takes the token that `peek` showed.
    pub(super) fn take(&mut self) -> Result<Token, YamlError> {
        self.peek()?;
        self.tokens_taken += 1;
        Ok(self.tokens.pop_front().expect("just peeked"))
    }

    /// Whether the first token could still get a `Key` before it.
    fn needs_more(&mut self) -> Result<bool, YamlError> {
        if self.tokens.is_empty() {
            return Ok(true);
        }
        match self.keys_by_token.get(&self.tokens_taken).copied() {
            Some(level) if level < self.simple_keys.len() => self.key_is_valid(level),
            _ => Ok(false),
        }
    }

    fn fetch(&mut self) -> Result<(), YamlError> {
        self.skip_to_next_token();
        self.unroll_indent(i64::from(self.mark.column));
        let at_line_start = self.mark.column == 0;
        let block = self.flow_level == 0;
        let value_here = !block || self.is_blank_or_end(1);
        match self.at(0) {
            0 => self.fetch_stream_end(),
            b'%' if at_line_start => self.fetch_directive(),
            b'-' if self.at_document_indicator(b'-') => {
                self.fetch_document_indicator(TokenKind::DocumentStart)
            }
            b'.' if self.at_document_indicator(b'.') => self.fetch_document_indicator(TokenKind::DocumentEnd),
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.is_blank_or_end(1) => self.fetch_block_entry(),
            b'?' if value_here => self.fetch_key(),
            b':' if value_here => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(),
            b'!' => self.fetch_tag(),
            b'|' if block => self.fetch_block_scalar(true),
            b'>' if block => self.fetch_block_scalar(false),
            b'\'' => self.fetch_quoted(true),
            b'"' => self.fetch_quoted(false),
            // What is left of these was not an indicator above, so it begins a plain scalar.
            b'-' => self.fetch_plain(),
            b'?' | b':' if block => self.fetch_plain(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'?' | b':' | b'\t' => {
                Err(self.error("found a character that cannot start any token"))
            }
            _ => self.fetch_plain(),
        }
    }

    /// Spaces, comments and line breaks. A tab is no indentation, so it is skipped only where no key may begin.
    fn skip_to_next_token(&mut self) {
        loop {
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            while self.at(0) == b' ' || (tabs && self.at(0) == b'\t') {
                self.skip();
            }
            self.skip_comment();
            if !self.is_break(0) {
                return;
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    pub(super) fn skip_comment(&mut self) {
        if self.at(0) == b'#' {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
    }

    // ---- simple keys ----

    fn key_is_valid(&mut self, level: usize) -> Result<bool, YamlError> {
        let key = self.simple_keys[level];
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < self.mark.line || key.mark.index + LONGEST_KEY < self.mark.index {
            if key.required {
                return Err(YamlError::syntax(key.mark, "could not find the expected ':' of a key"));
            }
            self.simple_keys[level].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Result<(), YamlError> {
        if self.simple_key_allowed {
            let required = self.flow_level == 0 && self.indent == i64::from(self.mark.column);
            let token_number = self.next_token_number();
            self.remove_simple_key()?;
            let level = self.simple_keys.len() - 1;
            self.simple_keys[level] = SimpleKey { possible: true, required, token_number, mark: self.mark };
            self.keys_by_token.insert(token_number, level);
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<(), YamlError> {
        let key = self.simple_keys.last_mut().expect("one level of keys always stays");
        if key.possible {
            if key.required {
                return Err(YamlError::syntax(key.mark, "could not find the expected ':' of a key"));
            }
            key.possible = false;
            self.keys_by_token.remove(&key.token_number);
        }
        Ok(())
    }

    fn next_token_number(&self) -> usize {
        self.tokens_taken + self.tokens.len()
    }

    // ---- indentation ----

    /// Opens a block collection if `column` is deeper than the current one.
    fn roll_indent(&mut self, column: u32, token_number: Option<usize>, kind: TokenKind, mark: Mark) {
        let column = i64::from(column);
        if self.flow_level > 0 || self.indent >= column {
            return;
        }
        self.indents.push(self.indent);
        self.indent = column;
        self.insert(token_number, Token { kind, start: mark, end: mark });
    }

    /// Closes block collections deeper than `column`.
    fn unroll_indent(&mut self, column: i64) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd, self.mark);
            self.indent = self.indents.pop().expect("each open block left its parent's column");
        }
    }

    // ---- tokens ----

    pub(super) fn push(&mut self, kind: TokenKind, start: Mark) {
        let end = self.mark;
        self.tokens.push_back(Token { kind, start, end });
    }

    /// Puts a token before the one with this number; at the end if that one has already been taken.
    fn insert(&mut self, token_number: Option<usize>, token: Token) {
        match token_number.and_then(|number| number.checked_sub(self.tokens_taken)) {
            Some(at) if at <= self.tokens.len() => self.tokens.insert(at, token),
            _ => self.tokens.push_back(token),
        }
    }

    fn push_indicator(&mut self, kind: TokenKind, length: usize) -> Result<(), YamlError> {
        let start = self.mark;
        for _ in 0..length {
            self.skip();
        }
        self.push(kind, start);
        Ok(())
    }

    fn fetch_stream_end(&mut self) -> Result<(), YamlError> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(TokenKind::StreamEnd, self.mark);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<(), YamlError> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_directive()
    }

    fn fetch_document_indicator(&mut self, kind: TokenKind) -> Result<(), YamlError> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push_indicator(kind, 3)
    }

    fn fetch_flow_start(&mut self, kind: TokenKind) -> Result<(), YamlError> {
        self.save_simple_key()?;
        let token_number = self.next_token_number();
        self.simple_keys.push(SimpleKey { token_number, mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        self.simple_key_allowed = true;
        self.push_indicator(kind, 1)
    }

    fn fetch_flow_end(&mut self, kind: TokenKind) -> Result<(), YamlError> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.simple_keys.pop() {
                // Of an empty collection this is the number of its own first token, which so can be no key at the
                // very beginning of a document; the API server's reader is the same.
                self.keys_by_token.remove(&key.token_number);
            }
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind, 1)
    }

    fn fetch_flow_entry(&mut self) -> Result<(), YamlError> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::FlowEntry, 1)
    }

    fn fetch_block_entry(&mut self) -> Result<(), YamlError> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error("block sequence entries are not allowed in this context"));
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockSequenceStart, self.mark);
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry, 1)
    }

    fn fetch_key(&mut self) -> Result<(), YamlError> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.error("mapping keys are not allowed in this context"));
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark);
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(TokenKind::Key, 1)
    }

    fn fetch_value(&mut self) -> Result<(), YamlError> {
        let level = self.simple_keys.len() - 1;
        if self.key_is_valid(level)? {
            let key = self.simple_keys[level];
            let number = Some(key.token_number);
            self.insert(number, Token { kind: TokenKind::Key, start: key.mark, end: key.mark });
            self.roll_indent(key.mark.column, number, TokenKind::BlockMappingStart, key.mark);
            self.simple_keys[level].possible = false;
            self.keys_by_token.remove(&key.token_number);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.error("mapping values are not allowed in this context"));
                }
                self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark);
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(TokenKind::Value, 1)
    }

    fn fetch_anchor(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_anchor()
    }

    fn fetch_tag(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_tag()
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Result<(), YamlError> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.scan_block_scalar(literal)
    }

    fn fetch_quoted(&mut self, single: bool) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_quoted(single)
    }

    fn fetch_plain(&mut self) -> Result<(), YamlError> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_plain()
    }
}

/// Characters.
impl Scanner<'_> {
    /// The byte `offset` bytes ahead; 0 behind the end.
    pub(super) fn at(&self, offset: usize) -> u8 {
        self.bytes.get(self.pos + offset).copied().unwrap_or(0)
    }

    pub(super) fn error(&self, message: &str) -> YamlError {
        YamlError::syntax(self.mark, message)
    }

    /// Length in bytes of the line break `offset` bytes ahead; 0 if there is none.
    fn break_length(&self, offset: usize) -> usize {
        // Most characters are seen at a glance to be none.
        if !matches!(self.at(offset), b'\r' | b'\n' | 0xC2 | 0xE2) {
            return 0;
        }
        match (self.at(offset), self.at(offset + 1), self.at(offset + 2)) {
            (b'\r', b'\n', _) => 2,
            (b'\r' | b'\n', _, _) => 1,
            (0xC2, 0x85, _) => 2,
            (0xE2, 0x80, 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    pub(super) fn is_blank(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t')
    }

    pub(super) fn is_break(&self, offset: usize) -> bool {
        self.break_length(offset) > 0
    }

    pub(super) fn is_break_or_end(&self, offset: usize) -> bool {
        self.at(offset) == 0 || self.is_break(offset)
    }

    pub(super) fn is_blank_or_end(&self, offset: usize) -> bool {
        self.is_blank(offset) || self.is_break_or_end(offset)
    }

    /// `---` or `...` alone at the beginning of a line.
    pub(super) fn at_document_indicator(&self, byte: u8) -> bool {
        self.mark.column == 0 && (0..3).all(|i| self.at(i) == byte) && self.is_blank_or_end(3)
    }

    fn width(&self) -> usize {
        match self.at(0) {
            0..=0x7F => 1,
            0x80..=0xDF => 2,
            0xE0..=0xEF => 3,
            _ => 4,
        }
    }

    /// Passes one character that is no line break.
    pub(super) fn skip(&mut self) {
        self.pos = (self.pos + self.width()).min(self.bytes.len());
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Passes a line break, if there is one.
    pub(super) fn skip_line(&mut self) {
        let length = self.break_length(0);
        if length > 0 {
            self.pos += length;
            self.mark.index += if self.bytes[self.pos - length..].starts_with(b"\r\n") { 2 } else { 1 };
            self.mark.column = 0;
            self.mark.line += 1;
        }
    }

    /// Moves one character that is no line break into `into`.
    pub(super) fn read(&mut self, into: &mut String) {
        let byte = self.at(0);
        if byte.is_ascii() {
            into.push(byte as char);
            self.pos = (self.pos + 1).min(self.bytes.len());
            self.mark.index += 1;
            self.mark.column += 1;
            return;
        }
        let end = (self.pos + self.width()).min(self.bytes.len());
        into.push_str(std::str::from_utf8(&self.bytes[self.pos..end]).unwrap_or("\u{fffd}"));
        self.skip();
    }

    /// Moves a line break into `into`: `\n` for all but the two separators of Unicode.
    pub(super) fn read_line(&mut self, into: &mut String) {
        match (self.at(0), self.at(2)) {
            (0xE2, 0xA8) => into.push('\u{2028}'),
            (0xE2, 0xA9) => into.push('\u{2029}'),
            _ => into.push('\n'),
        }
        self.skip_line();
    }
}
