//! Documents in YAML with `(( expressions ))` in them.
//!
//! A text that is one expression becomes what that is, of any type; one among other text must be a scalar. `\((` is an
//! opening that begins no expression.

use serde_json::{Map, Value as Json};

use crate::expr::cel::{Bindings, Budget, Program, Value};
use crate::model::RepoPath;
use crate::yaml;

use super::super::super::reader::{Reader, Result};
use super::super::environment::Scope;

/// The documents, compiled.
#[derive(Debug, Clone)]
pub(super) struct Template(Vec<Node>);

#[derive(Debug, Clone)]
enum Node {
    Literal(Json),
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
    /// One expression, and nothing else.
    Whole(Program),
    Text(Vec<Piece>),
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Expression(Program),
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Expression(String),
}

impl Template {
    /// Of `template`: `value`, and `interpolate: cel` if there are expressions in it.
    pub(super) fn compile(template: &Reader<'_>, scope: &Scope) -> Result<Template> {
        let value = template.field("value").ok_or_else(|| template.error("value is missing"))?;
        let interpolated = match template.string("interpolate")?.as_deref() {
            Some("cel") => true,
            None | Some("" | "none") => false,
            Some(_) => return Err(template.error("interpolate is none or cel")),
        };
        let mut nodes = Vec::new();
        for document in yaml::read(&RepoPath::default(), value.text()?.as_bytes()) {
            let document = document.map_err(|finding| value.error(finding.message))?;
            let node = if interpolated {
                compile(&document.value, &value, scope)?
            } else {
                Node::Literal(document.value)
            };
            match &node {
                Node::Literal(Json::Null) => continue,
                Node::Map(_) | Node::Whole(_) | Node::Literal(Json::Object(_)) => nodes.push(node),
                _ => return Err(value.error("a document must be a mapping that describes an object")),
            }
        }
        if nodes.is_empty() {
            return Err(value.error("there is no document in it"));
        }
        Ok(Template(nodes))
    }

    /// The objects, one a document.
    pub(super) fn render<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &mut Budget,
    ) -> std::result::Result<Vec<Json>, String> {
        let render = |(at, node): (usize, &'a Node)| {
            let object =
                node.render(bindings, budget).map_err(|why| format!("document {}: {why}", at + 1))?;
            match object.is_object() {
                true => Ok(object),
                false => Err(format!("document {}: a mapping that describes an object is expected", at + 1)),
            }
        };
        self.0.iter().enumerate().map(render).collect()
    }
}

fn compile(value: &Json, place: &Reader<'_>, scope: &Scope) -> Result<Node> {
    Ok(match value {
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| {
                if segments(key).map_err(|why| place.error(why))?.iter().any(Segment::is_expression) {
                    let why = format!(
                        "an expression cannot stand in a key: {key:?}; let one be the whole value above it"
                    );
                    return Err(place.error(why));
                }
                Ok((key.clone(), compile(value, place, scope)?))
            };
            Node::Map(map.iter().map(entry).collect::<Result<_>>()?)
        }
        Json::Array(items) => {
            Node::List(items.iter().map(|item| compile(item, place, scope)).collect::<Result<_>>()?)
        }
        Json::String(text) => compile_text(text, place, scope)?,
        other => Node::Literal(other.clone()),
    })
}

fn compile_text(text: &str, place: &Reader<'_>, scope: &Scope) -> Result<Node> {
    let segments = segments(text).map_err(|why| place.error(why))?;
    let program = |text: &str| {
        let text = Json::String(text.to_owned());
        scope.compile(&Reader::new(&text, place.path.clone()))
    };
    match &segments[..] {
        [] => Ok(Node::Literal(Json::String(String::new()))),
        [Segment::Text(text)] => Ok(Node::Literal(Json::String(text.clone()))),
        [Segment::Expression(text)] => program(text).map(Node::Whole),
        many => {
            let piece = |segment: &Segment| {
                Ok(match segment {
                    Segment::Text(text) => Piece::Text(text.clone()),
                    Segment::Expression(text) => Piece::Expression(program(text)?),
                })
            };
            many.iter().map(piece).collect::<Result<_>>().map(Node::Text)
        }
    }
}

impl Node {
    fn render<'a>(
        &'a self,
        bindings: &Bindings<'a>,
        budget: &mut Budget,
    ) -> std::result::Result<Json, String> {
        Ok(match self {
            Node::Literal(value) => value.clone(),
            Node::Map(entries) => {
                let mut map = Map::new();
                for (key, node) in entries {
                    map.insert(key.clone(), node.render(bindings, budget)?);
                }
                Json::Object(map)
            }
            Node::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(item.render(bindings, budget)?);
                }
                Json::Array(list)
            }
            Node::Whole(program) => run(program, bindings, budget)?.to_json(),
            Node::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(plain) => text.push_str(plain),
                        Piece::Expression(program) => {
                            text.push_str(&scalar(&run(program, bindings, budget)?)?)
                        }
                    }
                }
                Json::String(text)
            }
        })
    }
}

fn run<'a>(
    program: &'a Program,
    bindings: &Bindings<'a>,
    budget: &mut Budget,
) -> std::result::Result<Value<'a>, String> {
    program.run(bindings, budget).map_err(|error| error.to_string())
}

fn scalar(value: &Value<'_>) -> std::result::Result<String, String> {
    match value.to_json() {
        Json::String(text) => Ok(text),
        plain @ (Json::Bool(_) | Json::Number(_)) => Ok(plain.to_string()),
        _ => Err(format!("an expression among other text is {}, not a scalar", value.type_name())),
    }
}

impl Segment {
    fn is_expression(&self) -> bool {
        matches!(self, Segment::Expression(_))
    }
}

/// A text, taken apart. Parentheses and texts within an expression are understood.
fn segments(text: &str) -> std::result::Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("((") {
        if let Some(before) = rest[..at].strip_suffix('\\') {
            plain.push_str(before);
            plain.push_str("((");
            rest = &rest[at + 2..];
            continue;
        }
        plain.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = end_of(inner).map_err(|why| format!("{why} in {text:?}"))?;
        let expression = inner[..end].trim();
        if expression.is_empty() {
            return Err(format!("there is no expression between the parentheses in {text:?}"));
        }
        if !plain.is_empty() {
            segments.push(Segment::Text(std::mem::take(&mut plain)));
        }
        segments.push(Segment::Expression(expression.to_owned()));
        rest = &inner[end + 2..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        segments.push(Segment::Text(plain));
    }
    Ok(segments)
}

/// Where the `))` stands that ends an expression.
fn end_of(text: &str) -> std::result::Result<usize, &'static str> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth > 0 => depth -= 1,
            (None, ')') if text[at + 1..].starts_with(')') => return Ok(at),
            (None, ')') => return Err("a parenthesis closes nothing"),
            _ => {}
        }
    }
    Err(if quote.is_some() { "a text does not end" } else { "`))` is missing" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Segment {
        Segment::Text(text.to_owned())
    }

    fn expression(text: &str) -> Segment {
        Segment::Expression(text.to_owned())
    }

    #[test]
    fn expressions_stand_between_double_parentheses() {
        assert_eq!(segments("(( a ))-b").unwrap(), [expression("a"), text("-b")]);
        assert_eq!(segments("x(( f(g(1)) ))").unwrap(), [text("x"), expression("f(g(1))")]);
        assert_eq!(segments(r#"(( ":))".size() ))"#).unwrap(), [expression(r#"":))".size()"#)]);
        assert_eq!(segments(r"\((a))").unwrap(), [text("((a))")]);
        assert_eq!(segments("ä(( 'ü' ))").unwrap(), [text("ä"), expression("'ü'")]);
    }

    #[test]
    fn what_does_not_end_is_told() {
        for wrong in ["(( a", "(( 'a ))", "(( ))", "(( a) b ))"] {
            assert!(segments(wrong).is_err(), "{wrong}");
        }
    }
}
