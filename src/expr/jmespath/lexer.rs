//! Cutting an expression into tokens.

use super::ExprError;
use super::ast::{Comparator, Piece};

/// Characters that stand for filled-in values while an outer expression is compiled (a private use area).
pub(crate) const FIRST_SLOT: u32 = 0xF_0000;
const LAST_SLOT: u32 = 0xF_FFFD;

/// The slot a character stands for.
pub(crate) fn slot_of(c: char) -> Option<usize> {
    (FIRST_SLOT..=LAST_SLOT).contains(&(c as u32)).then(|| (c as u32 - FIRST_SLOT) as usize)
}

/// The character that stands for a slot.
pub(crate) fn slot_char(slot: usize) -> Option<char> {
    u32::try_from(slot).ok().map(|s| FIRST_SLOT + s).filter(|c| *c <= LAST_SLOT).and_then(char::from_u32)
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Star,
    Dot,
    Filter,
    Flatten,
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    Or,
    Pipe,
    And,
    Not,
    Number(String),
    Identifier(String),
    Quoted(String),
    Comma,
    Colon,
    Compare(Comparator),
    Json(String),
    Raw(String),
    Current,
    Reference,
    /// A lone `=`.
    Assign,
    End,
}

impl Token {
    /// The name used in error messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Token::Star => "*".into(),
            Token::Dot => ".".into(),
            Token::Filter => "[?".into(),
            Token::Flatten => "[]".into(),
            Token::LeftParen => "(".into(),
            Token::RightParen => ")".into(),
            Token::LeftBracket => "[".into(),
            Token::RightBracket => "]".into(),
            Token::LeftBrace => "{".into(),
            Token::RightBrace => "}".into(),
            Token::Or => "||".into(),
            Token::Pipe => "|".into(),
            Token::And => "&&".into(),
            Token::Not => "!".into(),
            Token::Number(n) => format!("number {n}"),
            Token::Identifier(name) => format!("name {name}"),
            Token::Quoted(name) => format!("name {name:?}"),
            Token::Comma => ",".into(),
            Token::Colon => ":".into(),
            Token::Compare(_) => "comparison".into(),
            Token::Json(_) => "literal".into(),
            Token::Raw(_) => "string".into(),
            Token::Current => "@".into(),
            Token::Reference => "&".into(),
            Token::Assign => "=".into(),
            Token::End => "the end".into(),
        }
    }
}

/// The tokens of a text with their byte offsets; the last one is [`Token::End`].
pub(crate) fn tokenize(text: &str) -> Result<Vec<(Token, usize)>, ExprError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(c) = lexer.next() {
        let start = lexer.at - c.len_utf8();
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        tokens.push((lexer.token(c, start)?, start));
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn accept(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn either(&mut self, second: char, both: Token, one: Token) -> Token {
        if self.accept(second) { both } else { one }
    }

    fn token(&mut self, c: char, start: usize) -> Result<Token, ExprError> {
        Ok(match c {
            '.' => Token::Dot,
            '*' => Token::Star,
            ',' => Token::Comma,
            ':' => Token::Colon,
            '{' => Token::LeftBrace,
            '}' => Token::RightBrace,
            ']' => Token::RightBracket,
            '(' => Token::LeftParen,
            ')' => Token::RightParen,
            '@' => Token::Current,
            '[' if self.accept('?') => Token::Filter,
            '[' if self.accept(']') => Token::Flatten,
            '[' => Token::LeftBracket,
            '|' => self.either('|', Token::Or, Token::Pipe),
            '&' => self.either('&', Token::And, Token::Reference),
            '<' => self.either('=', Token::Compare(Comparator::LessEqual), Token::Compare(Comparator::Less)),
            '>' => self.either(
                '=',
                Token::Compare(Comparator::GreaterEqual),
                Token::Compare(Comparator::Greater),
            ),
            '!' => self.either('=', Token::Compare(Comparator::NotEqual), Token::Not),
            '=' => self.either('=', Token::Compare(Comparator::Equal), Token::Assign),
            '"' => self.quoted(start)?,
            '\'' => self.raw(start)?,
            '`' => Token::Json(self.until('`', start)?.replace("\\`", "`")),
            '-' | '0'..='9' => Token::Number(self.run(start, |c| c.is_ascii_digit())),
            c if c.is_ascii_alphabetic() || c == '_' => {
                Token::Identifier(self.run(start, |c| c.is_ascii_alphanumeric() || c == '_'))
            }
            other => return Err(ExprError::new(start, format!("unknown character {other:?}"))),
        })
    }

    fn run(&mut self, start: usize, belongs: impl Fn(char) -> bool) -> String {
        while self.peek().is_some_and(&belongs) {
            self.next();
        }
        self.text[start..self.at].to_owned()
    }

    /// The text up to an end character that no backslash precedes.
    fn until(&mut self, end: char, start: usize) -> Result<&'t str, ExprError> {
        let from = self.at;
        while let Some(c) = self.next() {
            if c == end {
                return Ok(&self.text[from..self.at - end.len_utf8()]);
            }
            if c == '\\' {
                self.next();
            }
        }
        Err(ExprError::new(start, format!("{end} is not closed")))
    }

    fn quoted(&mut self, start: usize) -> Result<Token, ExprError> {
        let inner = self.until('"', start)?;
        serde_json::from_str(&format!("\"{inner}\""))
            .map(Token::Quoted)
            .map_err(|e| ExprError::new(start, format!("not a quoted name: {e}")))
    }

    /// `\'` is a quote; every other backslash stands for itself.
    fn raw(&mut self, start: usize) -> Result<Token, ExprError> {
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '\'' => return Ok(Token::Raw(text)),
                '\\' if self.accept('\'') => text.push('\''),
                c => text.push(c),
            }
        }
        Err(ExprError::new(start, "' is not closed"))
    }
}

/// The pieces of a text with slot characters, or `None` if it has none.
pub(crate) fn pieces(text: &str) -> Option<Vec<Piece>> {
    text.chars().any(|c| slot_of(c).is_some()).then(|| {
        let mut pieces = Vec::new();
        let mut run = String::new();
        for c in text.chars() {
            match slot_of(c) {
                Some(slot) => {
                    if !run.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut run)));
                    }
                    pieces.push(Piece::Slot(slot));
                }
                None => run.push(c),
            }
        }
        if !run.is_empty() {
            pieces.push(Piece::Text(run));
        }
        pieces
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_names() {
        let tokens: Vec<Token> =
            tokenize(r#"a_1."b c" 'it\'s \n' `"\`"` -12"#).unwrap().into_iter().map(|t| t.0).collect();
        assert_eq!(
            tokens,
            [
                Token::Identifier("a_1".into()),
                Token::Dot,
                Token::Quoted("b c".into()),
                Token::Raw("it's \\n".into()),
                Token::Json("\"`\"".into()),
                Token::Number("-12".into()),
                Token::End
            ]
        );
    }

    #[test]
    fn errors_carry_the_offset() {
        assert_eq!(tokenize("a ? b").unwrap_err().offset, 2);
        assert_eq!(tokenize("ab 'c").unwrap_err().offset, 3);
    }
}
