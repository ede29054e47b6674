//! Label selectors: `app=x,tier in (front, back),!old`.
//!
//! Read as the server reads them, one token after the other, so that what is refused is refused in its words.

use serde_json::Value;

use crate::plane::names;

/// What labels must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    /// In order, each once.
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Greater,
    Less,
}

impl LabelSelector {
    /// From its text; the error is what the server says.
    pub fn parse(text: &str) -> Result<LabelSelector, String> {
        Parser { tokens: scan(text), at: 0 }.parse().map(LabelSelector)
    }

    /// From a `LabelSelector` of an object.
    pub fn of_object(selector: &Value) -> LabelSelector {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let values = vec![value.as_str().unwrap_or_default().to_owned()];
            requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str() {
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::Absent,
                // Validation lets nothing else through.
                _ => Operator::In,
            };
            let values = expression["values"].as_array().into_iter().flatten();
            requirements.push(Requirement {
                key: expression["key"].as_str().unwrap_or_default().to_owned(),
                operator,
                values: values.filter_map(|value| value.as_str().map(str::to_owned)).collect(),
            });
        }
        LabelSelector(requirements)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels (a map of texts, or nothing) are as wanted.
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels[&requirement.key].as_str()))
    }
}

impl Requirement {
    fn new(key: String, operator: Operator, mut values: Vec<String>) -> Result<Requirement, String> {
        values.sort();
        values.dedup();
        let mut errors = Vec::new();
        if matches!(operator, Operator::Greater | Operator::Less) {
            for (index, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err())
            {
                errors.push(format!(
                    "values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                ));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let why = names::label_value_errors(value);
            if !why.is_empty() {
                errors.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", why.join("; ")));
            }
        }
        match &errors[..] {
            [] => Ok(Requirement { key, operator, values }),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }

    fn matches(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.iter().any(|one| one == value);
        let compared = |value: &str| {
            let (given, bound) = (value.parse::<i64>().ok()?, self.values.first()?.parse::<i64>().ok()?);
            Some(given.cmp(&bound))
        };
        match (self.operator, value) {
            (Operator::In, Some(value)) => among(value),
            (Operator::NotIn, Some(value)) => !among(value),
            (Operator::Exists, Some(_)) | (Operator::Absent | Operator::NotIn, None) => true,
            (Operator::Greater, Some(value)) => compared(value).is_some_and(|order| order.is_gt()),
            (Operator::Less, Some(value)) => compared(value).is_some_and(|order| order.is_lt()),
            _ => false,
        }
    }
}

/// A token: a symbol, a keyword or an identifier; the end is the empty text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// One of `=`, `==`, `!=`, `!`, `<`, `>`, `(`, `)`, `,`.
    Symbol(&'static str),
    /// `in` or `notin`, which are names where no operator can stand.
    Keyword(&'static str),
    Name(String),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Token::Symbol(text) | Token::Keyword(text) => text,
            Token::Name(text) => text,
            Token::End => "",
        }
    }

    /// The name that it is where no operator can stand.
    fn name(&self) -> Option<&str> {
        match self {
            Token::Name(text) => Some(text),
            Token::Keyword(text) => Some(text),
            _ => None,
        }
    }
}

fn scan(text: &str) -> Vec<Token> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "<", ">", "(", ")", ","];
    let special = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    // A zero byte ends the text for the server.
    let mut rest = text.split('\0').next().unwrap_or_default().trim_start_matches(space);
    while !rest.is_empty() {
        let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
        let length = match symbol {
            Some(symbol) => {
                tokens.push(Token::Symbol(symbol));
                symbol.len()
            }
            None => {
                let end = rest.find(|c| special(c) || space(c)).unwrap_or(rest.len());
                tokens.push(match &rest[..end] {
                    "in" => Token::Keyword("in"),
                    "notin" => Token::Keyword("notin"),
                    name => Token::Name(name.to_owned()),
                });
                end
            }
        };
        rest = rest[length..].trim_start_matches(space);
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let begins = |token: &Token| token.name().is_some() || *token == Token::Symbol("!");
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(requirements),
                token if begins(token) => {}
                token => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        token.text()
                    ));
                }
            }
            let requirement =
                self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
            requirements.push(requirement);
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") if begins(self.peek()) => {}
                Token::Symbol(",") => {
                    return Err(format!("found '{}', expected: identifier after ','", self.peek().text()));
                }
                token => return Err(format!("found '{}', expected: ',' or 'end of string'", token.text())),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = *self.peek() == Token::Symbol("!");
        if absent {
            self.at += 1;
        }
        let token = self.next();
        let Some(key) = token.name().map(str::to_owned) else {
            return Err(format!("found '{}', expected: identifier", token.text()));
        };
        let why = names::label_key_errors(&key);
        if !why.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", why.join("; ")));
        }
        if absent {
            return Requirement::new(key, Operator::Absent, Vec::new());
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let token = self.next();
        let (operator, set) = match token.text() {
            "in" => (Operator::In, true),
            "notin" => (Operator::NotIn, true),
            "=" | "==" => (Operator::In, false),
            "!=" => (Operator::NotIn, false),
            ">" => (Operator::Greater, false),
            "<" => (Operator::Less, false),
            other => {
                return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        let values = if set { self.set()? } else { vec![self.value()?] };
        Requirement::new(key, operator, values)
    }

    fn value(&mut self) -> Result<String, String> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        let token = self.next();
        match token.name() {
            Some(name) => Ok(name.to_owned()),
            None => Err(format!("found '{}', expected: identifier", token.text())),
        }
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        let token = self.next();
        if token != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", token.text()));
        }
        match self.peek() {
            Token::Symbol(")") => {
                self.at += 1;
                return Ok(vec![String::new()]);
            }
            Token::Symbol(",") | Token::Name(_) | Token::Keyword(_) => {}
            token => return Err(format!("found '{}', expected: ',', ')' or identifier", token.text())),
        }
        let mut values = Vec::new();
        loop {
            let token = self.next();
            if let Some(name) = token.name() {
                values.push(name.to_owned());
                match self.peek() {
                    Token::Symbol(",") => {}
                    Token::Symbol(")") => break,
                    token => return Err(format!("found '{}', expected: ',' or ')'", token.text())),
                }
            } else if token == Token::Symbol(",") {
                // Between commas, and between a comma and a parenthesis, stands the empty value.
                if values.is_empty() || matches!(self.peek(), Token::Symbol("," | ")")) {
                    values.push(String::new());
                }
                if *self.peek() == Token::Symbol(")") {
                    break;
                }
            } else {
                return Err(format!("found '{}', expected: ',', or identifier", token.text()));
            }
        }
        self.at += 1;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requirements_are_read_in_every_form() {
        let labels = json!({"a": "1", "n": "5", "in": "in"});
        for (text, expected) in [
            ("", true),
            ("a=1", true),
            ("a==2", false),
            ("a!=2", true),
            ("b!=2", true),
            ("a in (1, 2)", true),
            ("a notin (1)", false),
            ("b notin (1)", true),
            ("a", true),
            ("!a", false),
            ("!b,a", true),
            ("n>4", true),
            ("n<5", false),
            ("in in (in)", true),
            ("a in (,1)", true),
            ("a in ()", false),
            ("b=", false),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_refused_with_a_reason() {
        for (text, expected) in [
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in x", "unable to parse requirement: found 'x' expected: '('"),
            ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a=b)", "found ')', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
