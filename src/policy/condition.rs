//! Conditions of `preconditions` and `deny`: keys, operators and values, joined by `any` and `all`.

use serde_json::Value;

use crate::expr::explain::Steps;
use crate::expr::operator::Operator;
use crate::expr::{Context, ResolveError, Template};
use crate::model::{FieldPath, PathSegment};

use super::reader::{Reader, Result};
use super::variables::template;

/// Conditions that are compiled.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// One of these must hold, if there is an `any` at all.
    any: Option<Vec<Condition>>,
    /// All of these must hold.
    all: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    key: Template,
    operator: Operator,
    value: Template,
    message: Option<String>,
    /// The first place in the object that the key reads.
    reads: Option<FieldPath>,
}

/// What came of conditions.
#[derive(Debug, Default)]
pub(crate) struct Held<'a> {
    pub(crate) holds: bool,
    /// Messages of the conditions that decided.
    pub(crate) messages: Vec<&'a str>,
    /// The first place in the object that a deciding condition reads.
    pub(crate) reads: Option<&'a FieldPath>,
}

impl Conditions {
    /// From `{any: [...], all: [...]}`, or from the older plain list, which is ANDed.
    pub(crate) fn compile(reader: &Reader<'_>) -> Result<Conditions> {
        if reader.value.is_array() {
            let all = reader.items()?.iter().map(condition).collect::<Result<_>>()?;
            return Ok(Conditions { any: None, all });
        }
        reader.only(&["any", "all"])?;
        let list = |name: &str| reader.list(name)?.iter().map(condition).collect::<Result<Vec<_>>>();
        Ok(Conditions { any: reader.field("any").map(|_| list("any")).transpose()?, all: list("all")? })
    }

    /// Each condition up to the one that decides, and its two sides.
    pub(crate) fn explain(&self, context: &Context<'_>) -> Steps {
        let mut steps = Steps::default();
        for (list, conditions, decides) in [("any", self.any.as_ref(), true), ("all", Some(&self.all), false)]
        {
            for (at, condition) in conditions.into_iter().flatten().enumerate() {
                let holds = condition.holds(context);
                let decided = holds == Ok(decides) || holds.is_err();
                let text = format!("{list}[{at}] {}", condition.shown(context));
                steps.add(0, text, holds.map(Value::Bool));
                for (side, template) in [("key", &condition.key), ("value", &condition.value)] {
                    if template.as_static().is_none() {
                        let value = template.resolve(context).map(|value| value.into_owned());
                        steps.add(1, side, value.map_err(|error| error.to_string()));
                        steps.append(2, template.explain(context));
                    }
                }
                if decided {
                    break;
                }
            }
        }
        steps
    }

    /// Evaluates them until they are decided.
    pub(crate) fn evaluate(&self, context: &Context<'_>) -> std::result::Result<Held<'_>, String> {
        let mut held = Held { holds: true, ..Held::default() };
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        if let Some(any) = &self.any {
            held.holds = false;
            for condition in any {
                if condition.holds(context)? {
                    held.holds = true;
                    yes.push(condition);
                    break;
                }
                no.push(condition);
            }
        }
        for condition in &self.all {
            if !condition.holds(context)? {
                held.holds = false;
                no.push(condition);
                break;
            }
            yes.push(condition);
        }
        let decided = if held.holds { yes } else { no };
        held.messages =
            decided.iter().filter_map(|c| c.message.as_deref()).filter(|m| !m.is_empty()).collect();
        held.reads = decided.iter().find_map(|c| c.reads.as_ref());
        Ok(held)
    }
}

impl Condition {
    /// `key Equals "x"`: a side is shown here only if it is written out.
    fn shown(&self, context: &Context<'_>) -> String {
        let side = |name: &str, template: &Template| match template.as_static() {
            Some(_) => template.resolve(context).map_or_else(|_| name.to_owned(), |value| value.to_string()),
            None => name.to_owned(),
        };
        format!("{} {} {}", side("key", &self.key), self.operator.name(), side("value", &self.value))
    }

    fn holds(&self, context: &Context<'_>) -> std::result::Result<bool, String> {
        let failed =
            |what: &str, e: ResolveError| format!("failed to substitute variables in condition {what}: {e}");
        let key = self.key.resolve(context).map_err(|e| failed("key", e))?;
        let value = self.value.resolve(context).map_err(|e| failed("value", e))?;
        context.spend(self.operator.work(&key, &value)).map_err(|e| e.to_string())?;
        Ok(self.operator.evaluate(&key, &value))
    }
}

fn condition(reader: &Reader<'_>) -> Result<Condition> {
    reader.only(&["key", "operator", "value", "message"])?;
    let operator = reader.field("operator").ok_or_else(|| reader.error("operator is missing"))?;
    let parsed = Operator::parse(operator.text()?);
    let node = |name: &str| Reader::new(&reader.value[name], reader.path.key(name));
    if reader.value.get("key").is_none() {
        return Err(reader.error("key is missing"));
    }
    Ok(Condition {
        key: template(&node("key"))?,
        operator: parsed.ok_or_else(|| operator.error("not an operator of conditions"))?,
        value: template(&node("value"))?,
        message: reader.string("message")?,
        reads: first_read(&reader.value["key"]),
    })
}

/// The first path below `request.object` in the text of a key.
pub(crate) fn first_read(key: &Value) -> Option<FieldPath> {
    let text = key.as_str()?;
    text.match_indices("request.object").find_map(|(at, found)| {
        let path = path_at(&text[at + found.len()..]);
        (!path.is_empty()).then_some(FieldPath(path))
    })
}

/// `.spec."a-b".list[0]` as far as it is plain steps.
fn path_at(mut text: &str) -> Vec<PathSegment> {
    let mut path = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix(".\"") {
            let Some((key, rest)) = rest.split_once('"') else { return path };
            path.push(PathSegment::Key(key.to_owned()));
            text = rest;
        } else if let Some(rest) = text.strip_prefix('.') {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            // A name before `(` is a function.
            if end == 0 || rest[end..].starts_with('(') {
                return path;
            }
            path.push(PathSegment::Key(rest[..end].to_owned()));
            text = &rest[end..];
        } else if let Some((index, rest)) = text.strip_prefix('[').and_then(|r| r.split_once(']')) {
            let Ok(index) = index.parse() else { return path };
            path.push(PathSegment::Index(index));
            text = rest;
        } else {
            return path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use serde_json::json;

    fn holds(conditions: Value, document: &Value) -> std::result::Result<bool, String> {
        let conditions = Conditions::compile(&Reader::new(&conditions, FieldPath::default())).unwrap();
        conditions.evaluate(&Context::of_document(Environment::default(), document)).map(|held| held.holds)
    }

    #[test]
    fn any_and_all_are_joined() {
        let document = json!({"a": 1, "b": "x"});
        let is = |key: &str, value: Value| json!({"key": format!("{{{{ {key} }}}}"), "operator": "Equals", "value": value});
        let both =
            |any: Value, all: Value| holds(json!({"any": [any, is("a", json!(7))], "all": [all]}), &document);
        assert_eq!(both(is("a", json!(1)), is("b", json!("x"))), Ok(true));
        assert_eq!(both(is("a", json!(2)), is("b", json!("x"))), Ok(false));
        assert_eq!(both(is("a", json!(1)), is("b", json!("y"))), Ok(false));
        assert_eq!(holds(json!([is("a", json!(1)), is("b", json!("x"))]), &document), Ok(true));
        assert_eq!(holds(json!([is("a", json!(1)), is("b", json!("y"))]), &document), Ok(false));
        assert!(holds(json!([is("missing", json!(1))]), &document).is_err());
    }

    #[test]
    fn a_condition_that_is_none_is_refused_where_it_stands() {
        for (conditions, path) in [
            (json!([{"key": "a", "operator": "Is", "value": "b"}]), "[0].operator"),
            (json!({"any": [{"key": "a", "value": "b"}]}), "any[0]"),
            (json!([{"any": []}]), "[0].any"),
            (json!({"any": [{"key": "{{ a", "operator": "Equals"}], "al": []}), "al"),
        ] {
            let error = Conditions::compile(&Reader::new(&conditions, FieldPath::default())).unwrap_err();
            assert_eq!(error.path.to_string(), path, "{}", error.message);
        }
    }

    #[test]
    fn what_a_key_reads_is_found() {
        for (key, path) in [
            ("{{ request.object.spec.topology.version }}", "spec.topology.version"),
            ("{{ f(request.object, request.object.spec.\"a-b\"[0].c[].d) }}", "spec.a-b[0].c"),
            ("{{ request.object.metadata.labels.keys(@) }}", "metadata.labels"),
        ] {
            assert_eq!(first_read(&json!(key)).map(|p| p.to_string()).as_deref(), Some(path));
        }
        assert_eq!(first_read(&json!("{{ element.a }}")), None);
    }
}
