//! Directives, tags, anchors and aliases.

use super::error::YamlError;
use super::scanner::{Scanner, TokenKind};

impl Scanner<'_> {
    pub(super) fn scan_directive(&mut self) -> Result<(), YamlError> {
        let start = self.mark;
        self.skip();
        let name = self.scan_word();
        if name.is_empty() || !self.is_blank_or_end(0) {
            return Err(YamlError::syntax(start, "a directive needs a name"));
        }
        let kind = match name.as_str() {
            "YAML" => self.scan_version()?,
            "TAG" => self.scan_tag_directive()?,
            _ => return Err(YamlError::syntax(start, format!("unknown directive %{name}"))),
        };
        self.push(kind, start);
        self.skip_blanks();
        self.skip_comment();
        if !self.is_break_or_end(0) {
            return Err(YamlError::syntax(start, "only a comment may follow a directive"));
        }
        self.skip_line();
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    /// Letters, digits, `_` and `-`.
    fn scan_word(&mut self) -> String {
        let mut word = String::new();
        while matches!(self.at(0), b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-') {
            self.read(&mut word);
        }
        word
    }

    fn scan_version(&mut self) -> Result<TokenKind, YamlError> {
        self.skip_blanks();
        let major = self.scan_version_number()?;
        if self.at(0) != b'.' {
            return Err(self.error("a %YAML directive needs a version such as 1.1"));
        }
        self.skip();
        Ok(TokenKind::Version { major, minor: self.scan_version_number()? })
    }

    fn scan_version_number(&mut self) -> Result<u8, YamlError> {
        let mut digits = String::new();
        while self.at(0).is_ascii_digit() {
            self.read(&mut digits);
        }
        match digits.len() {
            1 | 2 => Ok(digits.parse().unwrap_or(u8::MAX)),
            _ => Err(self.error("a %YAML directive needs a version such as 1.1")),
        }
    }

    fn scan_tag_directive(&mut self) -> Result<TokenKind, YamlError> {
        self.skip_blanks();
        let handle = self.scan_tag_handle(true)?;
        if !self.is_blank(0) {
            return Err(self.error("a %TAG directive needs a space between handle and prefix"));
        }
        self.skip_blanks();
        let prefix = self.scan_tag_uri("")?;
        if !self.is_blank_or_end(0) {
            return Err(self.error("a %TAG directive ends with its prefix"));
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }

    pub(super) fn scan_anchor(&mut self) -> Result<(), YamlError> {
        let start = self.mark;
        let is_alias = self.at(0) == b'*';
        self.skip();
        let name = self.scan_word();
        let ends = self.is_blank_or_end(0)
            || matches!(self.at(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            let what = if is_alias { "an alias" } else { "an anchor" };
            return Err(YamlError::syntax(
                start,
                format!("the name of {what} is made of letters, digits, '_' and '-'"),
            ));
        }
        self.push(if is_alias { TokenKind::Alias(name) } else { TokenKind::Anchor(name) }, start);
        Ok(())
    }

    pub(super) fn scan_tag(&mut self) -> Result<(), YamlError> {
        let start = self.mark;
        let (handle, suffix);
        if self.at(1) == b'<' {
            self.skip();
            self.skip();
            (handle, suffix) = (String::new(), self.scan_tag_uri("")?);
            if self.at(0) != b'>' {
                return Err(YamlError::syntax(start, "a tag lacks its '>'"));
            }
            self.skip();
        } else {
            let head = self.scan_tag_handle(false)?;
            if head.len() > 1 && head.ends_with('!') {
                suffix = self.scan_tag_uri("")?;
                handle = head;
            } else {
                let rest = self.scan_tag_uri(&head)?;
                // A lone `!` is the non-specific tag: it has no handle.
                (handle, suffix) =
                    if rest.is_empty() { (String::new(), "!".to_owned()) } else { ("!".to_owned(), rest) };
            }
        }
        if !self.is_blank_or_end(0) {
            return Err(YamlError::syntax(start, "a tag ends with white space"));
        }
        self.push(TokenKind::Tag { handle, suffix }, start);
        Ok(())
    }

    fn scan_tag_handle(&mut self, directive: bool) -> Result<String, YamlError> {
        if self.at(0) != b'!' {
            return Err(self.error("a tag's handle begins with '!'"));
        }
        let mut handle = String::new();
        self.read(&mut handle);
        handle.push_str(&self.scan_word());
        if self.at(0) == b'!' {
            self.read(&mut handle);
        } else if directive && handle != "!" {
            return Err(self.error("a tag's handle ends with '!'"));
        }
        Ok(handle)
    }

    /// The rest of a tag; `head` is what was already read of it, with its `!`.
    fn scan_tag_uri(&mut self, head: &str) -> Result<String, YamlError> {
        let mut uri = head.get(1..).unwrap_or_default().to_owned();
        let mut any = !head.is_empty();
        loop {
            match self.at(0) {
                b'%' => self.scan_uri_escape(&mut uri)?,
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => self.read(&mut uri),
                byte if b"_-;/?:@&=+$,.!~*'()[]".contains(&byte) => self.read(&mut uri),
                _ => break,
            }
            any = true;
        }
        if any { Ok(uri) } else { Err(self.error("a tag is empty")) }
    }

    /// `%C3%A9`: the octets of one character.
    fn scan_uri_escape(&mut self, uri: &mut String) -> Result<(), YamlError> {
        let mut octets = Vec::new();
        let mut wanted = 1;
        while octets.len() < wanted {
            let hex = |byte: u8| (byte as char).to_digit(16);
            let (Some(high), Some(low), b'%') = (hex(self.at(1)), hex(self.at(2)), self.at(0)) else {
                return Err(self.error("an escape in a tag lacks its two hexadecimal digits"));
            };
            let octet = u8::try_from(high << 4 | low).expect("two hexadecimal digits are one byte");
            if octets.is_empty() {
                wanted = match octet {
                    0..=0x7F => 1,
                    0xC0..=0xDF => 2,
                    0xE0..=0xEF => 3,
                    _ => 4,
                };
            }
            octets.push(octet);
            (0..3).for_each(|_| self.skip());
        }
        uri.push_str(std::str::from_utf8(&octets).map_err(|_| self.error("an escape in a tag is no UTF-8"))?);
        Ok(())
    }
}
