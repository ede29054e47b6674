//! `{{ }}` variables and `$( )` references in the values of a policy, compiled once a policy.
//!
//! A text that is one variable takes the variable's value with its type; in any other text the value stands as text
//! or JSON. Variables may be nested, the inner ones are resolved first: one inside a string of the outer expression
//! is filled in without parsing that expression again.

mod reference;
mod rescan;
mod text;

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::context::Context;
use super::explain::Steps;
use super::jmespath::{EvalError, ExprError};
use crate::model::FieldPath;
use text::Text;

/// A value with variables, compiled.
#[derive(Debug, Clone)]
pub struct Template {
    root: Node,
}

/// Why a value is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where in the value.
    pub path: FieldPath,
    /// The variable or reference.
    pub expression: String,
    /// What is the matter with it; the offset counts in `expression`.
    pub error: ExprError,
}

/// Why a variable could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// Where in the value.
    pub path: FieldPath,
    /// The variable.
    pub variable: String,
    /// Why.
    pub error: EvalError,
}

#[derive(Debug, Clone)]
enum Node {
    Static(Value),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
enum Key {
    Static(String),
    Text(Text),
}

impl Template {
    /// Compiles a value and everything in it.
    pub fn compile(value: &Value) -> Result<Template, TemplateError> {
        let value = reference::resolve(value)?;
        Ok(Template { root: node(&value, &FieldPath::default())? })
    }

    /// Compiles one text.
    pub fn compile_text(text: &str) -> Result<Template, TemplateError> {
        Template::compile(&Value::String(text.to_owned()))
    }

    /// The value without variables, if there are none.
    pub fn as_static(&self) -> Option<&Value> {
        match &self.root {
            Node::Static(value) => Some(value),
            _ => None,
        }
    }

    /// Resolves every variable. A value without any is not copied.
    pub fn resolve<'a>(&'a self, context: &'a Context<'_>) -> Result<Cow<'a, Value>, ResolveError> {
        self.root.resolve(context)
    }

    /// The variables and the parts of each, with their values.
    pub fn explain(&self, context: &Context<'_>) -> Steps {
        let mut steps = Steps::default();
        self.root.explain(context, &mut steps);
        steps
    }

    /// Resolves to a text: a text as it is, anything else as JSON.
    pub fn resolve_text(&self, context: &Context<'_>) -> Result<String, ResolveError> {
        Ok(match self.resolve(context)?.as_ref() {
            Value::String(text) => text.clone(),
            other => super::gotext::json(other),
        })
    }
}

fn node(value: &Value, path: &FieldPath) -> Result<Node, TemplateError> {
    Ok(match value {
        Value::String(source) => match Text::compile(source, path)? {
            Some(text) => Node::Text(text),
            None => Node::Static(Value::String(text::unescape(source).into_owned())),
        },
        Value::Array(items) => {
            let nodes = items
                .iter()
                .enumerate()
                .map(|(at, item)| node(item, &path.index(at)))
                .collect::<Result<Vec<_>, _>>()?;
            match nodes.iter().map(Node::as_static).collect::<Option<Vec<_>>>() {
                Some(values) => Node::Static(Value::Array(values)),
                None => Node::List(nodes),
            }
        }
        Value::Object(map) => object(map, path)?,
        plain => Node::Static(plain.clone()),
    })
}

fn object(map: &Map<String, Value>, path: &FieldPath) -> Result<Node, TemplateError> {
    let mut fields = Vec::with_capacity(map.len());
    for (name, value) in map {
        let at = path.key(name);
        let key = match Text::compile(name, &at)? {
            Some(text) => Key::Text(text),
            None => Key::Static(text::unescape(name).into_owned()),
        };
        fields.push((key, node(value, &at)?));
    }
    let plain: Option<Map<String, Value>> = fields
        .iter()
        .map(|(key, node)| match key {
            Key::Static(name) => Some((name.clone(), node.as_static()?)),
            Key::Text(_) => None,
        })
        .collect();
    Ok(plain.map_or(Node::Map(fields), |map| Node::Static(Value::Object(map))))
}

impl Node {
    fn explain(&self, context: &Context<'_>, steps: &mut Steps) {
        match self {
            Node::Static(_) => {}
            Node::Text(text) => text.explain(context, steps),
            Node::List(nodes) => nodes.iter().for_each(|node| node.explain(context, steps)),
            Node::Map(fields) => {
                for (key, node) in fields {
                    if let Key::Text(text) = key {
                        text.explain(context, steps);
                    }
                    node.explain(context, steps);
                }
            }
        }
    }

    fn as_static(&self) -> Option<Value> {
        match self {
            Node::Static(value) => Some(value.clone()),
            _ => None,
        }
    }

    fn resolve<'a>(&'a self, context: &'a Context<'_>) -> Result<Cow<'a, Value>, ResolveError> {
        Ok(match self {
            Node::Static(value) => Cow::Borrowed(value),
            Node::Text(text) => text.resolve(context)?,
            Node::List(nodes) => Cow::Owned(Value::Array(
                nodes
                    .iter()
                    .map(|node| node.resolve(context).map(Cow::into_owned))
                    .collect::<Result<_, _>>()?,
            )),
            Node::Map(fields) => {
                let mut map = Map::new();
                for (key, node) in fields {
                    map.insert(key.resolve(context)?, node.resolve(context)?.into_owned());
                }
                Cow::Owned(Value::Object(map))
            }
        })
    }
}

impl Key {
    fn resolve(&self, context: &Context<'_>) -> Result<String, ResolveError> {
        match self {
            Key::Static(name) => Ok(name.clone()),
            Key::Text(text) => match text.resolve(context)?.into_owned() {
                Value::String(name) => Ok(name),
                other => Err(text.error(EvalError::Failed(format!(
                    "a key must be a string, not {}",
                    super::gotext::json(&other)
                )))),
            },
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{ {} }}}} is not an expression: {}", self.expression, self.error)?;
        if self.path.0.is_empty() { Ok(()) } else { write!(f, " (at {})", self.path) }
    }
}

impl std::error::Error for TemplateError {}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to resolve {}", self.variable)?;
        if !self.path.0.is_empty() {
            write!(f, " at path {}", self.path)?;
        }
        write!(f, ": {}", self.error)
    }
}

impl std::error::Error for ResolveError {}

#[cfg(test)]
mod tests;
