//! From tokens to a tree: a Pratt parser, cut off where an expression is nested too deep.

use serde_json::Value;

use super::ExprError;
use super::ast::{Ast, Kind, Piece};
use super::lexer::{Token, pieces, tokenize};
use crate::expr::gotext;

/// How deep the tree of an expression may be; evaluation recurses this far.
const MAX_DEPTH: u16 = 160;

/// Compiles a text. `slots` says how many filled-in values its placeholder characters may name.
pub(crate) fn parse(text: &str, slots: usize) -> Result<Ast, ExprError> {
    let mut parser = Parser { tokens: tokenize(text)?, at: 0, nesting: 0, slots };
    let ast = parser.expression(0)?;
    match parser.current() {
        Token::End => Ok(ast),
        other => Err(parser.error(format!("unexpected {} after the expression", other.name()))),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    nesting: u16,
    slots: usize,
}

const PIPE: u8 = 1;
const COMPARE: u8 = 5;
const FLATTEN: u8 = 9;
const STAR: u8 = 20;
const FILTER: u8 = 21;
const DOT: u8 = 40;
const NOT: u8 = 45;

fn binding_power(token: &Token) -> u8 {
    match token {
        Token::Pipe => PIPE,
        Token::Or => 2,
        Token::And => 3,
        Token::Compare(_) => COMPARE,
        Token::Flatten => FLATTEN,
        Token::Star => STAR,
        Token::Filter => FILTER,
        Token::Dot => DOT,
        Token::Not => NOT,
        Token::LeftBrace => 50,
        Token::LeftBracket => 55,
        Token::LeftParen => 60,
        _ => 0,
    }
}

impl Parser {
    fn current(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn ahead(&self, by: usize) -> &Token {
        &self.tokens[(self.at + by).min(self.tokens.len() - 1)].0
    }

    fn offset(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn error(&self, message: impl Into<String>) -> ExprError {
        ExprError::new(self.offset(), message)
    }

    fn take(&mut self) -> (Token, usize) {
        let taken = self.tokens[self.at.min(self.tokens.len() - 1)].clone();
        self.at += 1;
        taken
    }

    fn expect(&mut self, token: &Token) -> Result<(), ExprError> {
        if self.current() == token {
            self.at += 1;
            return Ok(());
        }
        Err(self.error(format!("expected {}, found {}", token.name(), self.current().name())))
    }

    fn node(&self, kind: Kind) -> Result<Ast, ExprError> {
        let depth = 1 + kind.depth_below();
        if depth > MAX_DEPTH {
            return Err(self.error(format!("the expression is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Ast { kind, depth })
    }

    fn identity(&self) -> Box<Ast> {
        Box::new(Ast { kind: Kind::Identity, depth: 1 })
    }

    fn expression(&mut self, power: u8) -> Result<Ast, ExprError> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(self.error(format!("the expression is nested more than {MAX_DEPTH} levels deep")));
        }
        let mut left = self.prefix()?;
        while power < binding_power(self.current()) {
            left = self.infix(left)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Ast, ExprError> {
        let (token, offset) = self.take();
        match token {
            Token::Json(text) => self.literal(&text, offset),
            Token::Raw(text) => self.text(text),
            Token::Identifier(name) => self.node(Kind::Field(name)),
            Token::Quoted(name) => self.quoted(name, offset),
            Token::Star => {
                let right = match self.current() {
                    Token::RightBracket => self.identity(),
                    _ => Box::new(self.projected(STAR)?),
                };
                self.node(Kind::ValueProjection(self.identity(), right))
            }
            Token::Filter => {
                let of = self.identity();
                self.filter(of)
            }
            Token::LeftBrace => self.hash(),
            Token::Flatten => {
                let of = self.node(Kind::Flatten(self.identity()))?;
                self.flattened(of)
            }
            Token::LeftBracket => self.bracket(),
            Token::Current => self.node(Kind::Identity),
            Token::Reference => {
                let inner = self.expression(0)?;
                self.node(Kind::Reference(Box::new(inner)))
            }
            Token::Not => {
                let inner = self.expression(NOT)?;
                self.node(Kind::Not(Box::new(inner)))
            }
            Token::LeftParen => {
                let inner = self.expression(0)?;
                self.expect(&Token::RightParen)?;
                Ok(inner)
            }
            Token::End => Err(ExprError::new(offset, "the expression ends too early")),
            other => Err(ExprError::new(offset, format!("unexpected {}", other.name()))),
        }
    }

    fn literal(&self, text: &str, offset: usize) -> Result<Ast, ExprError> {
        if let Some(found) = self.pieces(text) {
            return match found.as_slice() {
                [Piece::Slot(slot)] => self.node(Kind::SlotLiteral(*slot)),
                _ => Err(ExprError::new(offset, "a variable is only a part of this literal")),
            };
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|e| ExprError::new(offset, format!("the literal `{text}` is not JSON: {e}")))?;
        self.node(Kind::Literal(gotext::normalize(value)))
    }

    fn text(&self, text: String) -> Result<Ast, ExprError> {
        self.node(match self.pieces(&text) {
            Some(pieces) => Kind::TextPieces(pieces),
            None => Kind::Literal(Value::String(text)),
        })
    }

    fn quoted(&self, name: String, offset: usize) -> Result<Ast, ExprError> {
        if *self.current() == Token::LeftParen {
            return Err(ExprError::new(offset, "a function name is not quoted"));
        }
        self.node(match self.pieces(&name) {
            Some(pieces) => Kind::FieldPieces(pieces),
            None => Kind::Field(name),
        })
    }

    fn pieces(&self, text: &str) -> Option<Vec<Piece>> {
        if self.slots == 0 { None } else { pieces(text) }
    }

    fn infix(&mut self, left: Ast) -> Result<Ast, ExprError> {
        let (token, offset) = self.take();
        let left = Box::new(left);
        match token {
            Token::Dot if *self.current() == Token::Star => {
                self.at += 1;
                let right = Box::new(self.projected(DOT)?);
                self.node(Kind::ValueProjection(left, right))
            }
            Token::Dot => {
                let right = Box::new(self.after_dot(DOT)?);
                self.node(Kind::Then(left, right))
            }
            Token::Pipe => {
                let right = Box::new(self.expression(PIPE)?);
                self.node(Kind::Pipe(left, right))
            }
            Token::Or => {
                let right = Box::new(self.expression(binding_power(&Token::Or))?);
                self.node(Kind::Or(left, right))
            }
            Token::And => {
                let right = Box::new(self.expression(binding_power(&Token::And))?);
                self.node(Kind::And(left, right))
            }
            Token::Compare(how) => {
                let right = Box::new(self.expression(COMPARE)?);
                self.node(Kind::Compare(how, left, right))
            }
            Token::LeftParen => self.call(*left, offset),
            Token::Filter => self.filter(left),
            Token::Flatten => {
                let of = self.node(Kind::Flatten(left))?;
                self.flattened(of)
            }
            Token::LeftBracket if matches!(self.current(), Token::Number(_) | Token::Colon) => {
                self.index(left)
            }
            Token::LeftBracket => {
                self.expect(&Token::Star)?;
                self.expect(&Token::RightBracket)?;
                let right = Box::new(self.projected(STAR)?);
                self.node(Kind::Projection(left, right))
            }
            other => Err(ExprError::new(offset, format!("unexpected {}", other.name()))),
        }
    }

    fn call(&mut self, function: Ast, offset: usize) -> Result<Ast, ExprError> {
        let Kind::Field(name) = function.kind else {
            return Err(ExprError::new(offset, "only a name can be called"));
        };
        let mut arguments = Vec::new();
        while *self.current() != Token::RightParen {
            arguments.push(self.expression(0)?);
            if *self.current() == Token::Comma {
                self.at += 1;
            }
        }
        self.expect(&Token::RightParen)?;
        self.node(Kind::Call { name, arguments })
    }

    fn bracket(&mut self) -> Result<Ast, ExprError> {
        match self.current() {
            Token::Number(_) | Token::Colon => {
                let of = self.identity();
                self.index(of)
            }
            Token::Star if *self.ahead(1) == Token::RightBracket => {
                self.at += 2;
                let right = Box::new(self.projected(STAR)?);
                self.node(Kind::Projection(self.identity(), right))
            }
            _ => self.list(),
        }
    }

    /// `[0]` or `[a:b:c]`; a slice projects what follows it.
    fn index(&mut self, of: Box<Ast>) -> Result<Ast, ExprError> {
        if *self.current() != Token::Colon && *self.ahead(1) != Token::Colon {
            let index = self.number()?;
            self.expect(&Token::RightBracket)?;
            let index = self.node(Kind::Index(index))?;
            return self.node(Kind::Then(of, Box::new(index)));
        }
        let mut parts = [None; 3];
        let mut part = 0;
        while *self.current() != Token::RightBracket && part < 3 {
            if *self.current() == Token::Colon {
                part += 1;
                self.at += 1;
            } else {
                parts[part] = Some(self.number()?);
            }
        }
        self.expect(&Token::RightBracket)?;
        let slice = self.node(Kind::Slice(parts))?;
        let left = self.node(Kind::Then(of, Box::new(slice)))?;
        let right = Box::new(self.projected(STAR)?);
        self.node(Kind::Projection(Box::new(left), right))
    }

    fn number(&mut self) -> Result<i64, ExprError> {
        let (token, offset) = self.take();
        match token {
            Token::Number(text) => {
                text.parse().map_err(|_| ExprError::new(offset, format!("{text} is not an index")))
            }
            other => Err(ExprError::new(offset, format!("expected an index, found {}", other.name()))),
        }
    }

    fn list(&mut self) -> Result<Ast, ExprError> {
        let mut items = Vec::new();
        loop {
            items.push(self.expression(0)?);
            if *self.current() == Token::RightBracket {
                break;
            }
            self.expect(&Token::Comma)?;
        }
        self.expect(&Token::RightBracket)?;
        self.node(Kind::List(items))
    }

    fn hash(&mut self) -> Result<Ast, ExprError> {
        let mut fields = Vec::new();
        loop {
            let (token, offset) = self.take();
            let (Token::Identifier(name) | Token::Quoted(name)) = token else {
                return Err(ExprError::new(offset, format!("expected a name, found {}", token.name())));
            };
            self.expect(&Token::Colon)?;
            fields.push((name, self.expression(0)?));
            // The reference parser takes fields without a comma between them, and policies rely on it.
            match self.current() {
                Token::Comma => self.at += 1,
                Token::RightBrace => break,
                _ => {}
            }
        }
        self.expect(&Token::RightBrace)?;
        self.node(Kind::Hash(fields))
    }

    fn filter(&mut self, of: Box<Ast>) -> Result<Ast, ExprError> {
        let condition = Box::new(self.expression(0)?);
        self.expect(&Token::RightBracket)?;
        let then = match self.current() {
            Token::Flatten => self.identity(),
            _ => Box::new(self.projected(FILTER)?),
        };
        self.node(Kind::Filter { of, then, condition })
    }

    fn flattened(&mut self, of: Ast) -> Result<Ast, ExprError> {
        let right = Box::new(self.projected(FLATTEN)?);
        self.node(Kind::Projection(Box::new(of), right))
    }

    fn after_dot(&mut self, power: u8) -> Result<Ast, ExprError> {
        match self.current() {
            Token::Identifier(_) | Token::Quoted(_) | Token::Star => self.expression(power),
            Token::LeftBracket => {
                self.at += 1;
                self.list()
            }
            Token::LeftBrace => {
                self.at += 1;
                self.hash()
            }
            other => {
                Err(self.error(format!("expected a name, [ or {{ after the dot, found {}", other.name())))
            }
        }
    }

    /// What is done with each element of a projection.
    fn projected(&mut self, power: u8) -> Result<Ast, ExprError> {
        match self.current() {
            token if binding_power(token) < 10 => self.node(Kind::Identity),
            Token::LeftBracket | Token::Filter => self.expression(power),
            Token::Dot => {
                self.at += 1;
                self.after_dot(power)
            }
            other => Err(self.error(format!("unexpected {}", other.name()))),
        }
    }
}

impl Kind {
    fn depth_below(&self) -> u16 {
        match self {
            Kind::Then(a, b)
            | Kind::Pipe(a, b)
            | Kind::Projection(a, b)
            | Kind::ValueProjection(a, b)
            | Kind::Or(a, b)
            | Kind::And(a, b)
            | Kind::Compare(_, a, b) => a.depth.max(b.depth),
            Kind::Filter { of, then, condition } => of.depth.max(then.depth).max(condition.depth),
            Kind::Flatten(a) | Kind::Not(a) | Kind::Reference(a) => a.depth,
            Kind::List(items) | Kind::Call { arguments: items, .. } => {
                items.iter().map(|i| i.depth).max().unwrap_or(0)
            }
            Kind::Hash(fields) => fields.iter().map(|(_, f)| f.depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}
