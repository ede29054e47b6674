//! Tokens to a syntax tree.

use std::sync::Arc;

use super::ast::{Ast, Call, Entry, Expr, FieldInit, Id, Item, Kind, Literal, op};
use super::error::{CompileError, Mistakes};
use super::lexer::{Lexeme, Token, tokens, unquote};

/// How deep expressions may nest.
const DEPTH: u32 = 250;
/// How long a text may be, in characters.
const LENGTH: usize = 100_000;
/// How many nodes a tree may have: a macro may copy its target, and that of a macro around it.
const NODES: usize = 200_000;
/// What an operand may begin with.
const OPERAND: &str = "'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER";

/// Macros that not every environment has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dialect {
    /// `cel.bind`.
    pub(crate) binds: bool,
    /// `time.now` and `random` are given the moment of the evaluation.
    pub(crate) moments: bool,
}

/// Parses a text.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Ast, CompileError> {
    let mut mistakes = Mistakes::default();
    let length = text.chars().count();
    if length > LENGTH {
        mistakes.report_nowhere(format!(
            "expression code point size exceeds limit: size: {length}, limit {LENGTH}"
        ));
        return Err(mistakes.into_error(text));
    }
    let tokens = tokens(text, &mut mistakes);
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        places: vec![0],
        mistakes,
        depth: [0; 4],
        index_at: 0,
        arguments_at: 0,
        dialect,
    };
    let root = parser.whole();
    match root {
        Some(root) if parser.mistakes.is_empty() => Ok(Ast { root, places: parser.places }),
        _ => Err(parser.mistakes.into_error(text)),
    }
}

/// The kinds of nesting that are counted.
#[derive(Clone, Copy)]
enum Nest {
    Expression,
    Relation,
    Sum,
    Member,
}

pub(super) struct Parser<'t> {
    tokens: &'t [Lexeme<'t>],
    at: usize,
    places: Vec<u32>,
    pub(super) mistakes: Mistakes,
    depth: [u32; 4],
    /// The token that an index begins with, before which a `?` could stand.
    index_at: usize,
    /// The token after the parenthesis of a call, which may end it.
    arguments_at: usize,
    pub(super) dialect: Dialect,
}

/// `None` after a syntax error: it is reported, and nothing after it is read.
type Parsed<T> = Option<T>;

impl<'t> Parser<'t> {
    fn whole(&mut self) -> Parsed<Expr> {
        let root = self.expression()?;
        if self.peek().token != Token::End {
            // One token too many is told as that, more as none expected.
            let token = self.peek();
            let what = if self.peek_after(1) == Token::End { "extraneous" } else { "mismatched" };
            return self.refuse(format!("{what} input '{}' expecting <EOF>", token.text));
        }
        Some(root)
    }

    fn peek(&self) -> Lexeme<'t> {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek_after(&self, skip: usize) -> Token {
        self.tokens.get(self.at + skip).map_or(Token::End, |t| t.token)
    }

    fn take(&mut self) -> Lexeme<'t> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn take_mark(&mut self, mark: &str) -> Option<Lexeme<'t>> {
        (self.peek().token == Token::Mark(self.known(mark)?)).then(|| self.take())
    }

    fn known(&self, mark: &str) -> Option<&'static str> {
        match self.peek().token {
            Token::Mark(found) if found == mark => Some(found),
            _ => None,
        }
    }

    /// Reports a syntax error at the next token.
    fn refuse<T>(&mut self, message: String) -> Parsed<T> {
        let place = self.peek().place;
        self.mistakes.report(place, format!("Syntax error: {message}"));
        None
    }

    fn mismatched<T>(&mut self, expected: &str) -> Parsed<T> {
        let text = self.peek().text;
        self.refuse(format!("mismatched input '{text}' expecting {expected}"))
    }

    fn expect(&mut self, mark: &str) -> Parsed<Lexeme<'t>> {
        if let Some(token) = self.take_mark(mark) {
            return Some(token);
        }
        let text = self.peek().text;
        if matches!(self.peek_after(1), Token::Mark(next) if next == mark) {
            return self.refuse(format!("extraneous input '{text}' expecting '{mark}'"));
        }
        // One mark is told as missing where what stands there could follow it.
        let here = self.peek().token;
        let could_follow = match here {
            _ if mark == ":" => starts_operand(here),
            Token::End => self.depth[Nest::Expression as usize] <= 1,
            Token::Mark(found) => !matches!(found, ")" | "]" | "}" | "," | ":" | "(" | "{" | "!"),
            Token::In => true,
            _ => false,
        };
        if could_follow {
            return self.refuse(format!("missing '{mark}' at '{text}'"));
        }
        self.mismatched(&format!("'{mark}'"))
    }

    /// Goes one deeper, unless that is too deep.
    fn enter(&mut self, nest: Nest) -> Parsed<()> {
        self.deeper(nest, "expression recursion limit exceeded: 250")
    }

    /// Goes one further in a chain, which is one deeper in the tree.
    fn chain(&mut self, nest: Nest) -> Parsed<()> {
        self.deeper(nest, "max recursion depth exceeded")
    }

    fn deeper(&mut self, nest: Nest, message: &str) -> Parsed<()> {
        self.depth[nest as usize] += 1;
        if self.depth[nest as usize] > DEPTH {
            self.mistakes.report_nowhere(message);
            return None;
        }
        Some(())
    }

    /// A node that begins at a place.
    pub(super) fn node(&mut self, place: u32, kind: Kind) -> Expr {
        Expr { id: self.id(place), kind }
    }

    pub(super) fn id(&mut self, place: u32) -> Id {
        self.places.push(place);
        u32::try_from(self.places.len() - 1).unwrap_or(0)
    }

    pub(super) fn place(&self, expr: &Expr) -> u32 {
        self.places.get(expr.id as usize).copied().unwrap_or(0)
    }

    /// Whether a macro may still copy trees.
    pub(super) fn has_room(&mut self) -> bool {
        let room = self.places.len() < NODES;
        if !room && self.mistakes.is_empty() {
            self.mistakes.report_nowhere("expression is too large once its macros are expanded");
        }
        room
    }

    /// Reports a mistake that does not stop parsing.
    pub(super) fn mistake(&mut self, place: u32, message: impl Into<String>) -> Expr {
        self.mistakes.report(place, message);
        self.node(place, Kind::Literal(Literal::Null))
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.enter(Nest::Expression)?;
        let condition = self.logical(true)?;
        let out = match self.take_mark("?") {
            None => condition,
            Some(mark) => {
                let id = self.id(mark.place);
                let then = self.logical(true)?;
                self.expect(":")?;
                let otherwise = self.expression()?;
                call(id, op::CONDITIONAL, vec![condition, then, otherwise])
            }
        };
        self.depth[Nest::Expression as usize] -= 1;
        Some(out)
    }

    /// Terms between `||` (or `&&`), as a balanced tree.
    fn logical(&mut self, or: bool) -> Parsed<Expr> {
        let (mark, function) = if or { ("||", op::OR) } else { ("&&", op::AND) };
        let first = if or { self.logical(false)? } else { self.relation()? };
        let mut terms = vec![Some(first)];
        let mut ids = Vec::new();
        while let Some(token) = self.take_mark(mark) {
            terms.push(Some(if or { self.logical(false)? } else { self.relation()? }));
            ids.push(self.id(token.place));
        }
        if ids.is_empty() {
            terms.pop().flatten()
        } else {
            balance(&mut terms, &ids, function, 0, ids.len() - 1)
        }
    }

    fn relation(&mut self) -> Parsed<Expr> {
        let before = self.depth[Nest::Relation as usize];
        self.enter(Nest::Relation)?;
        let mut left = self.sum(false)?;
        loop {
            let function = match self.peek().token {
                Token::Mark("<") => op::LESS,
                Token::Mark("<=") => op::LESS_EQUALS,
                Token::Mark(">=") => op::GREATER_EQUALS,
                Token::Mark(">") => op::GREATER,
                Token::Mark("==") => op::EQUALS,
                Token::Mark("!=") => op::NOT_EQUALS,
                Token::In => op::IN,
                _ => break,
            };
            self.chain(Nest::Relation)?;
            let place = self.take().place;
            let right = self.sum(false)?;
            let id = self.id(place);
            left = call(id, function, vec![left, right]);
        }
        self.depth[Nest::Relation as usize] = before;
        Some(left)
    }

    /// Terms between `+` and `-`, or factors between `*`, `/` and `%`.
    fn sum(&mut self, factors: bool) -> Parsed<Expr> {
        let before = self.depth[Nest::Sum as usize];
        if !factors {
            self.enter(Nest::Sum)?;
        }
        let mut left = if factors { self.unary()? } else { self.sum(true)? };
        loop {
            let function = match (self.peek().token, factors) {
                (Token::Mark("+"), false) => op::ADD,
                (Token::Mark("-"), false) => op::SUBTRACT,
                (Token::Mark("*"), true) => op::MULTIPLY,
                (Token::Mark("/"), true) => op::DIVIDE,
                (Token::Mark("%"), true) => op::MODULO,
                _ => break,
            };
            self.chain(Nest::Sum)?;
            let place = self.take().place;
            let right = if factors { self.unary()? } else { self.sum(true)? };
            let id = self.id(place);
            left = call(id, function, vec![left, right]);
        }
        self.depth[Nest::Sum as usize] = before;
        Some(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let (mark, function) = match self.peek().token {
            Token::Mark("!") => ("!", op::NOT),
            // One sign before a number is part of the number.
            Token::Mark("-") if !matches!(self.peek_after(1), Token::Int | Token::Float) => ("-", op::NEGATE),
            _ => return self.member(),
        };
        let place = self.peek().place;
        let mut count = 0;
        while self.take_mark(mark).is_some() {
            count += 1;
        }
        if count % 2 == 0 {
            return self.member();
        }
        let id = self.id(place);
        let operand = self.member()?;
        Some(call(id, function, vec![operand]))
    }

    fn member(&mut self) -> Parsed<Expr> {
        let before = self.depth[Nest::Member as usize];
        self.enter(Nest::Member)?;
        let mut left = self.primary()?;
        loop {
            if let Some(dot) = self.take_mark(".") {
                left = self.selection(left, dot)?;
            } else if let Some(bracket) = self.take_mark("[") {
                let function = if self.take_mark("?").is_some() { op::OPT_INDEX } else { op::INDEX };
                self.index_at = self.at;
                let id = self.id(bracket.place);
                let index = self.expression()?;
                self.expect("]")?;
                left = call(id, function, vec![left, index]);
            } else {
                break;
            }
            self.chain(Nest::Member)?;
        }
        self.depth[Nest::Member as usize] = before;
        Some(left)
    }

    /// What follows `operand.`: a field, or a call.
    fn selection(&mut self, operand: Expr, dot: Lexeme<'t>) -> Parsed<Expr> {
        let optional = self.take_mark("?").is_some();
        let name = match self.peek().token {
            Token::Ident => self.take(),
            Token::EscapedIdent => {
                let name = self.take();
                self.mistakes.report(name.place, "unsupported syntax: '`'");
                name
            }
            _ => {
                return match self.peek().token {
                    _ if optional => self.mismatched("{IDENTIFIER, ESC_IDENTIFIER}"),
                    _ => self.no_alternative(),
                };
            }
        };
        if optional {
            let field = self.node(name.place, Kind::Literal(Literal::String(name.text.into())));
            let id = self.id(dot.place);
            return Some(call(id, op::OPT_SELECT, vec![operand, field]));
        }
        let Some(open) = self.take_mark("(") else {
            let kind = Kind::Select { operand: Box::new(operand), field: name.text.into(), test: false };
            return Some(self.node(dot.place, kind));
        };
        let args = self.arguments()?;
        Some(self.call_or_macro(open.place, name.text, Some(operand), args))
    }

    /// Arguments up to and with the closing parenthesis.
    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        let mut args = Vec::new();
        self.arguments_at = self.at;
        if self.take_mark(")").is_some() {
            return Some(args);
        }
        loop {
            args.push(self.expression()?);
            if self.take_mark(")").is_some() {
                return Some(args);
            }
            if self.take_mark(",").is_none() {
                self.expect(")")?;
                return Some(args);
            }
        }
    }

    /// The error where an item must be followed by a comma or the end.
    fn after_item<T>(&mut self, end: &str, comma: &str) -> Parsed<T> {
        let token = self.peek();
        let next = self.peek_after(1);
        let fits = matches!(next, Token::Mark(mark) if comma.contains(mark) || end.contains(mark));
        let what = if fits { "extraneous" } else { "mismatched" };
        self.refuse(format!("{what} input '{}' expecting {{{end}, {comma}}}", token.text))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek();
        match token.token {
            Token::Mark("(") => {
                self.take();
                let inner = self.expression()?;
                self.expect(")")?;
                Some(inner)
            }
            Token::Mark("[") => self.list(),
            Token::Mark("{") => self.map(),
            Token::Ident => self.name(token.place, false),
            Token::Mark(".") if self.peek_after(1) == Token::Ident => {
                self.take();
                self.name(token.place, true)
            }
            Token::Mark(".") => {
                self.take();
                self.no_alternative()
            }
            _ => self.literal(),
        }
    }

    fn name(&mut self, place: u32, rooted: bool) -> Parsed<Expr> {
        if self.names_message() {
            return self.message(rooted);
        }
        let token = self.take();
        let open = self.take_mark("(");
        let args = match open {
            Some(_) => Some(self.arguments()?),
            None => None,
        };
        if super::schema::is_reserved(token.text) {
            return Some(self.mistake(place, format!("reserved identifier: {}", token.text)));
        }
        let name = if rooted { format!(".{}", token.text) } else { token.text.to_owned() };
        Some(match (open, args) {
            (Some(open), Some(args)) => self.call_or_macro(open.place, &name, None, args),
            _ => self.node(token.place, Kind::Ident(name.into())),
        })
    }

    /// Whether names with dots between them and then a brace come next.
    fn names_message(&self) -> bool {
        let mut ahead = 1;
        while self.peek_after(ahead) == Token::Mark(".") && self.peek_after(ahead + 1) == Token::Ident {
            ahead += 2;
        }
        self.peek_after(ahead) == Token::Mark("{")
    }

    fn message(&mut self, rooted: bool) -> Parsed<Expr> {
        let mut name = String::from(if rooted { "." } else { "" });
        name.push_str(self.take().text);
        while self.take_mark(".").is_some() {
            name.push('.');
            name.push_str(self.take().text);
        }
        let open = self.expect("{")?;
        let mut fields = Vec::new();
        while self.take_mark("}").is_none() {
            let optional = self.take_mark("?").is_some();
            let field = match self.peek().token {
                Token::Ident => self.take(),
                _ => return self.mismatched("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
            };
            let colon = self.expect(":")?;
            let id = self.id(colon.place);
            let value = self.expression()?;
            fields.push(FieldInit { id, name: field.text.into(), value, optional });
            self.comma_or("}")?;
        }
        Some(self.node(open.place, Kind::Struct(name.into(), fields)))
    }

    /// A comma, or the end ahead.
    fn comma_or(&mut self, end: &str) -> Parsed<()> {
        if self.take_mark(",").is_some() || self.known(end).is_some() {
            return Some(());
        }
        self.after_item(&format!("'{end}'"), "','")
    }

    fn list(&mut self) -> Parsed<Expr> {
        let open = self.take();
        let mut items = Vec::new();
        // `[,]` is an empty list.
        if self.peek_after(1) == Token::Mark("]") {
            self.take_mark(",");
        }
        while self.take_mark("]").is_none() {
            let optional = self.take_mark("?").is_some();
            let value = self.expression()?;
            items.push(Item { optional, value });
            self.comma_or("]")?;
        }
        Some(self.node(open.place, Kind::List(items)))
    }

    fn map(&mut self) -> Parsed<Expr> {
        let open = self.take();
        let mut entries = Vec::new();
        if self.peek_after(1) == Token::Mark("}") {
            self.take_mark(",");
        }
        while self.take_mark("}").is_none() {
            let optional = self.take_mark("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            entries.push(Entry { key, value, optional });
            self.comma_or("}")?;
        }
        Some(self.node(open.place, Kind::Map(entries)))
    }

    fn literal(&mut self) -> Parsed<Expr> {
        let start = self.peek();
        let negative =
            start.token == Token::Mark("-") && matches!(self.peek_after(1), Token::Int | Token::Float);
        if negative {
            self.take();
        }
        let token = self.peek();
        let value = match token.token {
            Token::Int => {
                whole_number(token.text, negative).map(Literal::Int).ok_or("invalid int literal".to_owned())
            }
            Token::Uint => unsigned(token.text).map(Literal::Uint).ok_or("invalid uint literal".to_owned()),
            Token::Float => match token.text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Literal::Double(if negative { -value } else { value })),
                _ => Err("invalid double literal".to_owned()),
            },
            Token::String => unquote(token.text, false)
                .map(|bytes| Literal::String(String::from_utf8_lossy(&bytes).into()))
                .map_err(str::to_owned),
            Token::Bytes => {
                unquote(&token.text[1..], true).map(|b| Literal::Bytes(b.into())).map_err(str::to_owned)
            }
            Token::True => Ok(Literal::Bool(true)),
            Token::False => Ok(Literal::Bool(false)),
            Token::Null => Ok(Literal::Null),
            _ => return self.no_operand(start),
        };
        self.take();
        Some(match value {
            Ok(literal) => self.node(start.place, Kind::Literal(literal)),
            Err(message) => self.mistake(start.place, message),
        })
    }

    /// The error after a dot that no name follows; it shows the text between.
    fn no_alternative<T>(&mut self) -> Parsed<T> {
        let (dot, token) = (self.tokens[self.at - 1], self.peek());
        if matches!(token.token, Token::True | Token::False | Token::Null) {
            return self.mismatched("IDENTIFIER");
        }
        let blanks = (token.place - dot.place).saturating_sub(1) as usize;
        let text = if token.token == Token::End { "" } else { token.text };
        let shown = if text.is_empty() { ".".to_owned() } else { format!(".{}{text}", " ".repeat(blanks)) };
        self.refuse(format!("no viable alternative at input '{shown}'"))
    }

    /// The error where an operand must be.
    fn no_operand<T>(&mut self, token: Lexeme<'t>) -> Parsed<T> {
        let (index, arguments) = (self.at == self.index_at, self.at == self.arguments_at);
        let expected = match (self.at > 0, index, arguments) {
            (true, true, _) => OPERAND.replace("'!', ", "'!', '?', "),
            (true, _, true) => OPERAND.replace("'(', ", "'(', ')', "),
            _ => OPERAND.to_owned(),
        };
        let next = self.peek_after(1);
        let fits = starts_operand(next)
            || index && next == Token::Mark("?")
            || arguments && next == Token::Mark(")");
        let after_not = self.at > 0 && self.tokens[self.at - 1].token == Token::Mark("!");
        let what = if fits || after_not { "extraneous" } else { "mismatched" };
        self.refuse(format!("{what} input '{}' expecting {{{expected}}}", token.text))
    }

    fn call_or_macro(&mut self, place: u32, name: &str, target: Option<Expr>, args: Vec<Expr>) -> Expr {
        match super::macros::expand(self, place, name, target, args) {
            Ok(expanded) => expanded,
            Err((target, args)) => {
                let function: Arc<str> = name.into();
                self.node(place, Kind::Call(Box::new(Call { function, target, args })))
            }
        }
    }
}

/// Whether an operand may begin with a token.
fn starts_operand(token: Token) -> bool {
    match token {
        Token::Mark(mark) => matches!(mark, "[" | "{" | "(" | "." | "-" | "!"),
        Token::EscapedIdent | Token::In | Token::End => false,
        _ => true,
    }
}

/// A call of a function or operator.
pub(super) fn call(id: Id, function: &str, args: Vec<Expr>) -> Expr {
    Expr { id, kind: Kind::Call(Box::new(Call { function: function.into(), target: None, args })) }
}

fn balance(terms: &mut [Option<Expr>], ids: &[Id], function: &str, low: usize, high: usize) -> Parsed<Expr> {
    let middle = (low + high).div_ceil(2);
    let left =
        if middle == low { terms[middle].take()? } else { balance(terms, ids, function, low, middle - 1)? };
    let right = if middle == high {
        terms[middle + 1].take()?
    } else {
        balance(terms, ids, function, middle + 1, high)?
    };
    Some(call(ids[middle], function, vec![left, right]))
}

fn whole_number(text: &str, negative: bool) -> Option<i64> {
    let sign = if negative { "-" } else { "" };
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16).ok(),
        None => format!("{sign}{text}").parse().ok(),
    }
}

fn unsigned(text: &str) -> Option<u64> {
    let text = &text[..text.len() - 1];
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDS: Dialect = Dialect { binds: true, moments: false };

    fn error(text: &str) -> String {
        parse(text, BINDS).unwrap_err().message
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        assert!(
            error("a ==")
                .starts_with("ERROR: <input>:1:5: Syntax error: mismatched input '<EOF>' expecting {'[', ")
        );
        assert!(error("if + 1").starts_with("ERROR: <input>:1:1: reserved identifier: if"));
        assert!(error("has(x)").contains("invalid argument to has() macro"));
        assert!(error("99999999999999999999").contains("invalid int literal"));
    }

    #[test]
    fn nesting_has_a_limit() {
        crate::expr::cel::stack::with_room(usize::MAX, limits).unwrap();
    }

    fn limits() {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("-(", ")"),
            ("{1:", "}"),
            ("a ? b : ", ""),
            ("x.map(y, ", ")"),
            ("a.", ""),
        ] {
            let text = format!("{}a{}", open.repeat(20_000 / open.len()), close.repeat(20_000 / open.len()));
            assert!(error(&text).contains("recursion"), "{open}");
        }
        assert!(error(&vec!["1"; 300].join(" + ")).contains("max recursion depth exceeded"));
        assert!(parse(&format!("{}1{}", "(".repeat(240), ")".repeat(240)), BINDS).is_ok());
        assert!(parse(&vec!["a"; 5000].join(" && "), BINDS).is_ok());
        assert!(error(&format!("a{}", ".optMap(x, x)".repeat(100))).contains("too large"));
    }
}
