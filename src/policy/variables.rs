//! Templates of a policy, and the names that its `context` entries bind.

mod explain;

use serde_json::Value;

use crate::expr::context::Found;
use crate::expr::{Context, EvalError, Expression, LazyVariable, Template};
use crate::model::FieldPath;

use super::lookup::Lookup;
use super::reader::{CompileError, Reader, Result};
use super::request::{Request, bind_value};

pub(crate) use explain::{DEFAULT, explain, explain_preconditions};

/// Compiles a node that may hold `{{ }}`.
pub(crate) fn template(reader: &Reader<'_>) -> Result<Template> {
    Template::compile(reader.value).map_err(|e| CompileError {
        path: FieldPath(reader.path.0.iter().chain(&e.path.0).cloned().collect()),
        message: format!("in {:?}: {}", e.expression, e.error),
    })
}

/// Compiles an expression that stands without braces.
pub(crate) fn expression(reader: &Reader<'_>) -> Result<Expression> {
    let text = reader.text()?;
    Expression::compile(text).map_err(|e| reader.error(format!("not a JMESPath expression: {e}")))
}

/// An entry of `context`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    name: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Variable(Box<Variable>),
    /// It comes from a cluster, a service or a registry: `configMap`, `apiCall` ...
    Outside(Box<Lookup>),
}

#[derive(Debug, Clone)]
struct Variable {
    path: Option<Path>,
    value: Option<Template>,
    default: Option<Template>,
}

/// An expression, which may itself be put together of variables.
#[derive(Debug, Clone)]
pub(super) enum Path {
    Compiled(Expression),
    Template(Template),
}

impl Path {
    pub(super) fn compile(reader: &Reader<'_>) -> Result<Path> {
        if reader.text()?.contains("{{") {
            return template(reader).map(Path::Template);
        }
        expression(reader).map(Path::Compiled)
    }

    /// Searches a value, or what the context knows.
    pub(super) fn search(
        &self,
        context: &Context<'_>,
        value: Option<&Value>,
    ) -> std::result::Result<Value, EvalError> {
        let dynamic;
        let expression = match self {
            Path::Compiled(expression) => expression,
            Path::Template(template) => {
                let text = template.resolve(context).map_err(|e| EvalError::Failed(e.to_string()))?;
                dynamic = Expression::compile(text.as_str().unwrap_or_default())?;
                &dynamic
            }
        };
        match value {
            Some(value) => expression.search_for(value, context),
            None => Ok(context.query(expression)?.into_owned()),
        }
    }
}

/// Compiles a list of `context` entries.
pub(crate) fn entries(owner: &Reader<'_>) -> Result<Vec<Entry>> {
    owner.list("context")?.iter().map(entry).collect()
}

fn entry(reader: &Reader<'_>) -> Result<Entry> {
    let name = reader.string("name")?.ok_or_else(|| reader.error("name is missing"))?;
    let source = match reader.field("variable") {
        Some(variable) => Source::Variable(Box::new(compile(&variable)?)),
        None => Source::Outside(Box::new(Lookup::compile(reader)?)),
    };
    Ok(Entry { name, source })
}

/// Whether any entry has to ask somebody.
pub(crate) fn looks_outside(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(entry.source, Source::Outside(_)))
}

fn compile(reader: &Reader<'_>) -> Result<Variable> {
    reader.only(&["value", "jmesPath", "default"])?;
    Ok(Variable {
        path: reader.field("jmesPath").map(|path| Path::compile(&path)).transpose()?,
        value: reader.field("value").map(|value| template(&value)).transpose()?,
        default: reader.field("default").map(|value| template(&value)).transpose()?,
    })
}

/// Binds what is given for a rule, then the rule's own entries, which are computed when they are first read.
pub(crate) fn bind_rule<'a>(
    context: &mut Context<'a>,
    request: &Request<'a>,
    policy: &str,
    rule: &str,
    entries: &'a [Entry],
) {
    for (path, value) in request.values_of(policy, rule) {
        bind_value(context, path, value);
    }
    if let Some(elements) = request.elements_of(policy, rule) {
        for (name, list) in elements {
            context.bind(&format!("{OF_ELEMENTS}.{name}"), list);
        }
    }
    bind(context, entries);
}

/// Under this name, which no expression can write, stand the values for each element of a list.
const OF_ELEMENTS: &str = "\u{0}elements";

/// Names an element: `element`, `elementIndex`, and both with the depth of the loop behind; and the values given for it.
pub(crate) fn bind_element<'a>(context: &mut Context<'a>, element: &'a Value, index: usize, nesting: usize) {
    let given: Vec<(String, Value)> = match context.lookup(OF_ELEMENTS) {
        Ok(Some(Found::Branch(lists))) => lists
            .iter()
            .filter_map(|(name, list)| Some((name.clone(), list.to_value().get(index)?.clone())))
            .collect(),
        _ => Vec::new(),
    };
    for (name, value) in given {
        context.bind_owned(&name, value);
    }
    context.bind("element", element);
    context.bind(&format!("element{nesting}"), element);
    context.bind_owned("elementIndex", index.into());
    context.bind_owned(&format!("elementIndex{nesting}"), index.into());
}

/// Binds entries. A value given for what comes from outside stands in for it.
pub(crate) fn bind<'a>(context: &mut Context<'a>, entries: &'a [Entry]) {
    for entry in entries {
        if matches!(entry.source, Source::Variable(_)) || !context.contains(&entry.name) {
            context.bind_lazy(&entry.name, entry);
        }
    }
}

impl LazyVariable for Entry {
    fn evaluate(&self, context: &Context<'_>) -> std::result::Result<Value, EvalError> {
        let failed = |e: &dyn std::fmt::Display| {
            EvalError::Failed(format!("failed to load context entry {}: {e}", self.name))
        };
        match &self.source {
            Source::Variable(variable) => {
                variable.evaluate(context).map(|(value, _)| value).map_err(|e| failed(&e))
            }
            Source::Outside(lookup) => lookup.evaluate(context).map_err(|e| failed(&e)),
        }
    }
}

impl Variable {
    /// The value, and whether it is the default, which stands in for an error and for null; nothing at all is an error.
    fn evaluate(&self, context: &Context<'_>) -> std::result::Result<(Value, bool), String> {
        let resolve = |template: &Option<Template>| {
            template
                .as_ref()
                .map(|t| t.resolve(context).map(|v| v.into_owned()).map_err(|e| e.to_string()))
                .transpose()
        };
        let default = resolve(&self.default)?;
        let value = resolve(&self.value)?;
        let found = match (&self.path, value) {
            (None, value) => Ok(value.unwrap_or(Value::Null)),
            (Some(path), value) => path.search(context, value.as_ref()).map_err(|e| e.to_string()),
        };
        match (found, default) {
            (Ok(Value::Null), Some(default)) | (Err(_), Some(default)) if !default.is_null() => {
                Ok((default, true))
            }
            (Ok(Value::Null), _) => Err("it evaluated to nil".into()),
            (Ok(value), _) => Ok((value, false)),
            (Err(error), _) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use crate::model::FieldPath;
    use serde_json::json;

    fn ask(list: Value, question: &str) -> std::result::Result<Value, String> {
        let owner = json!({"context": list});
        let entries = entries(&Reader::new(&owner, FieldPath::default())).unwrap();
        let document = json!({"request": {"object": {"a": {"b": 1}}}});
        let mut context = Context::of_document(Environment::default(), &document);
        bind(&mut context, &entries);
        let expression = Expression::compile(question).unwrap();
        context.query(&expression).map(|v| v.into_owned()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_variable_reads_the_request_and_other_variables() {
        let list = json!([
            {"name": "x", "variable": {"jmesPath": "request.object.a.b"}},
            {"name": "y", "variable": {"value": {"k": "{{ x }}"}, "jmesPath": "k"}},
        ]);
        assert_eq!(ask(list, "y"), Ok(json!(1)));
    }

    #[test]
    fn a_default_stands_in_for_an_error_and_for_null() {
        let with = |path: &str| json!([{"name": "x", "variable": {"jmesPath": path, "default": 7}}]);
        assert_eq!(ask(with("request.object.a.b"), "x"), Ok(json!(1)));
        assert_eq!(ask(with("request.object.gone"), "x"), Ok(json!(7)));
        assert_eq!(ask(with("request.object.a.b || `null`"), "x"), Ok(json!(1)));
        assert!(ask(json!([{"name": "x", "variable": {"jmesPath": "gone"}}]), "x").is_err());
    }

    #[test]
    fn what_comes_from_outside_is_an_error_only_when_it_is_read() {
        let list = json!([{"name": "cm", "configMap": {"name": "a"}}]);
        assert!(ask(list.clone(), "cm.data").unwrap_err().contains("configMap"));
        assert!(ask(list, "request.object").is_ok());
    }
}
