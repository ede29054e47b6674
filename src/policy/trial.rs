//! Expressions of policies, tried on one object with all that policies give them.

use std::borrow::Cow;

use serde_json::Value;

use super::cel;
use super::reader::Reader;
use super::request::Request;
use super::variables;
use crate::expr::explain::{Came, Steps};
use crate::expr::{Context, Environment, Expression, Template};
use crate::finding::conceal;
use crate::model::FieldPath;
use crate::yaml;

/// What an expression is tried on.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The object, and what is known about the request that brings it.
    pub request: Request<'a>,
    /// The parameters of an admission policy.
    pub params: &'a Value,
    /// A policy whose variables or contexts expressions may use.
    pub policy: Option<&'a Value>,
    /// The present, in nanoseconds since 1970.
    pub now: i128,
}

/// What comes of a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Tried {
    /// The value of the expression.
    Value(Value),
    /// How it came about.
    Steps(Steps),
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Why; with the place in the expression already shown, if `place` is not known.
    pub message: String,
    /// The place in the expression, in characters.
    pub place: Option<usize>,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), place: None }
    }
}

impl Trial<'_> {
    /// A CEL expression, with the libraries of Kubernetes and of policies. The document is `self` and `object`.
    ///
    /// # Errors
    /// When it does not compile or has no value.
    pub fn cel(&self, text: &str, explain: bool) -> Result<Tried, Mistake> {
        cel::tried(self, text, explain).map(|tried| self.without_secrets(tried))
    }

    /// A JMESPath expression, or a text with such in `{{ }}`. The document's fields are names, and the document is
    /// `request.object`.
    ///
    /// # Errors
    /// When it does not compile or has no value.
    pub fn jmespath(&self, text: &str, explain: bool) -> Result<Tried, Mistake> {
        let yaml = |text: &str| yaml::parse(text, false).map_err(|error| error.to_string());
        let environment = Environment { now: self.now, yaml: Some(yaml), ..Environment::default() };
        let rules = self.rules()?;
        let name = self.policy.and_then(|policy| policy["metadata"]["name"].as_str()).unwrap_or_default();
        let document = self.request.object;
        // What the document names itself stays so; without a `request` of its own it is one's object.
        let mut context =
            match document.get("request").is_none() && text.contains("request") || !rules.is_empty() {
                true => self.request.context(&environment),
                false => Context::new(environment),
            };
        context.bind_fields(document);
        variables::bind_rule(&mut context, &self.request, name, "", &[]);
        for (rule, entries) in &rules {
            variables::bind_rule(&mut context, &self.request, name, rule, entries);
        }
        let tried = if text.contains("{{") {
            in_braces(text, &context, explain)
        } else {
            bare(text, document, &context, explain)
        };
        tried.map(|tried| self.without_secrets(tried))
    }

    /// The contexts of the policy's rules.
    fn rules(&self) -> Result<Vec<(String, Vec<variables::Entry>)>, Mistake> {
        let Some(policy) = self.policy else { return Ok(Vec::new()) };
        let rules = policy["spec"]["rules"].as_array().into_iter().flatten().enumerate();
        let of_rule = |(at, rule): (usize, &Value)| {
            let path = FieldPath::of_keys(["spec", "rules"]).index(at);
            let name = rule["name"].as_str().unwrap_or_default().to_owned();
            let entries = variables::entries(&Reader::new(rule, path));
            entries
                .map(|entries| (name, entries))
                .map_err(|error| Mistake::new(format!("the policy: {}: {}", error.path, error.message)))
        };
        rules.map(of_rule).collect()
    }

    /// What is explained about a Secret is not shown.
    fn without_secrets(&self, tried: Tried) -> Tried {
        match tried {
            Tried::Steps(steps) if self.request.object["kind"] == "Secret" => {
                Tried::Steps(steps.concealed(|text| conceal(text, self.request.object)))
            }
            tried => tried,
        }
    }
}

fn bare(text: &str, document: &Value, context: &Context<'_>, explain: bool) -> Result<Tried, Mistake> {
    let compiled = Expression::compile(text).map_err(|error| Mistake {
        place: Some(text.get(..error.offset).map_or(0, |before| before.chars().count())),
        message: error.message,
    })?;
    let steps = || match document {
        Value::Object(_) => compiled.explain(context),
        other => compiled.explain_on(other, context),
    };
    if explain {
        return Ok(Tried::Steps(steps()));
    }
    let value = match document {
        Value::Object(_) => context.query(&compiled).map(Cow::into_owned),
        other => compiled.search_for(other, context),
    };
    value
        .map(Tried::Value)
        .map_err(|error| Mistake { message: error.to_string(), place: place_of_failure(text, &steps()) })
}

fn in_braces(text: &str, context: &Context<'_>, explain: bool) -> Result<Tried, Mistake> {
    let template = Template::compile(&Value::String(text.to_owned())).map_err(|error| {
        let place = text.find(&error.expression).map(|at| {
            let before = text.get(..at + error.error.offset).unwrap_or(text);
            before.chars().count()
        });
        Mistake { message: error.error.message.clone(), place }
    })?;
    let value = template.resolve(context).map(Cow::into_owned).map_err(|error| error.to_string());
    if explain {
        let mut steps = Steps::default();
        steps.add(0, text, value);
        steps.append(1, template.explain(context));
        return Ok(Tried::Steps(steps));
    }
    value
        .map(Tried::Value)
        .map_err(|message| Mistake { message, place: place_of_failure(text, &template.explain(context)) })
}

/// Where the innermost part stands that has no value: of a path, the name that is not there.
fn place_of_failure(text: &str, steps: &Steps) -> Option<usize> {
    let failed = steps.as_slice().iter().rfind(|step| matches!(step.came, Came::Error(_)))?;
    let at = text.find(&failed.text)?;
    let is_path = failed.text.chars().all(|c| c.is_alphanumeric() || "._-\"".contains(c));
    let last = if is_path { failed.text.rfind('.').map_or(0, |dot| dot + 1) } else { 0 };
    text.get(..at + last).map(|before| before.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOTHING: &Value = &Value::Null;

    fn trial<'a>(object: &'a Value, policy: Option<&'a Value>) -> Trial<'a> {
        Trial { request: Request::create(object), params: NOTHING, policy, now: 0 }
    }

    fn value(tried: Result<Tried, Mistake>) -> Result<Value, Mistake> {
        match tried? {
            Tried::Value(value) => Ok(value),
            Tried::Steps(steps) => panic!("{}", steps.to_text()),
        }
    }

    #[test]
    fn jmespath_is_tried_as_policies_write_it() {
        let object =
            json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {"a": [1, 2]}});
        let policy = json!({"metadata": {"name": "x"}, "spec": {"rules": [{"name": "r", "context": [
            {"name": "sum", "variable": {"jmesPath": "sum(request.object.spec.a)"}}]}]}});
        let plain = trial(&object, None);
        let with = trial(&object, Some(&policy));
        for (trial, text, expected) in [
            (plain, "spec.a[0]", json!(1)),
            (plain, "request.object.metadata.name", json!("p")),
            (plain, "request.namespace", json!("n")),
            (plain, "keys(@)", json!(["kind", "metadata", "spec"])),
            (plain, "{{ request.operation }}/{{ metadata.name }}", json!("CREATE/p")),
            (with, "sum", json!(3)),
            (with, "{{ sum }}", json!(3)),
        ] {
            assert_eq!(value(trial.jmespath(text, false)), Ok(expected), "{text}");
        }
        let list = json!([{"a": 1}, {"a": 2}]);
        assert_eq!(value(trial(&list, None).jmespath("[*].a", false)), Ok(json!([1, 2])));
        for (text, place) in [("spec.b.c", 5), ("spec ==", 7), ("length(spec.gone)", 12), ("{{ spec.b }}", 8)]
        {
            let mistake = plain.jmespath(text, false).unwrap_err();
            assert_eq!(mistake.place, Some(place), "{text}: {mistake:?}");
        }
    }

    #[test]
    fn cel_is_tried_as_policies_write_it() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}});
        let policy = json!({"spec": {"variables": [{"name": "me", "expression": "object.metadata.name"}]}});
        let params = json!({"data": {"a": "b"}});
        let trial = Trial { params: &params, ..trial(&object, Some(&policy)) };
        for (text, expected) in [
            ("self.kind == object.kind", json!(true)),
            ("variables.me + '-' + request.namespace", json!("p-n")),
            ("oldObject == null && request.operation == 'CREATE'", json!(true)),
            ("params.data.a", json!("b")),
            ("namespaceObject.metadata.name", json!("n")),
            ("json.unmarshal('{\"a\": 1}').a", json!(1)),
            ("image('a.example/b:1').tag()", json!("1")),
        ] {
            assert_eq!(value(trial.cel(text, false)), Ok(expected), "{text}");
        }
        assert_eq!(trial.cel("self.a.b", false).unwrap_err().place, Some(4));
        assert!(trial.cel("self.a +", false).unwrap_err().message.contains('^'));
        assert!(trial.cel("variables.you", false).is_err());
    }

    #[test]
    fn nothing_of_a_secret_is_explained() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "aHVudGVyMg=="}});
        let trial = trial(&secret, None);
        for tried in [trial.cel("object.data.a + 'x'", true), trial.jmespath("base64_decode(data.a)", true)] {
            let Ok(Tried::Steps(steps)) = tried else { panic!("{tried:?}") };
            let text = steps.to_text();
            assert!(
                text.contains("(masked)") && !text.contains("hunter2") && !text.contains("aHVud"),
                "{text}"
            );
        }
    }
}
