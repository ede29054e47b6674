//! Label selectors, whose `matchLabels` may hold wildcards in keys and values.

use serde_json::{Map, Value};

use crate::expr::wildcard;

use super::reader::{Reader, Result};

/// A label selector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Selector {
    labels: Vec<(String, String)>,
    expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Selector {
    pub(crate) fn compile(reader: &Reader<'_>) -> Result<Selector> {
        reader.only(&["matchLabels", "matchExpressions"])?;
        let labels = reader.string_map("matchLabels")?;
        let expressions =
            reader.list("matchExpressions")?.iter().map(requirement).collect::<Result<Vec<_>>>()?;
        Ok(Selector { labels, expressions })
    }

    /// What it demands, in words.
    pub(crate) fn written(&self) -> String {
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.expressions.iter().map(|requirement| match requirement {
            Requirement::In(key, values) => format!("{key} in ({})", values.join(", ")),
            Requirement::NotIn(key, values) => format!("{key} not in ({})", values.join(", ")),
            Requirement::Exists(key) => key.clone(),
            Requirement::DoesNotExist(key) => format!("!{key}"),
        });
        labels.chain(expressions).collect::<Vec<_>>().join(", ")
    }

    /// Whether labels (a mapping of texts; other values are ignored) satisfy it.
    pub(crate) fn matches(&self, labels: &Map<String, Value>) -> bool {
        self.labels.iter().all(|(key, value)| has(labels, key, value))
            && self.expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

fn has(labels: &Map<String, Value>, key: &str, value: &str) -> bool {
    if !key.contains(['*', '?']) {
        let Some(actual) = labels.get(key).and_then(Value::as_str) else { return false };
        return wildcard::matches(value, actual);
    }
    labels.iter().any(|(k, v)| {
        wildcard::matches(key, k) && v.as_str().is_some_and(|actual| wildcard::matches(value, actual))
    })
}

impl Requirement {
    fn holds(&self, labels: &Map<String, Value>) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Requirement::In(key, values) => value(key).is_some_and(|v| values.iter().any(|x| x == v)),
            Requirement::NotIn(key, values) => !value(key).is_some_and(|v| values.iter().any(|x| x == v)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::DoesNotExist(key) => value(key).is_none(),
        }
    }
}

fn requirement(reader: &Reader<'_>) -> Result<Requirement> {
    reader.only(&["key", "operator", "values"])?;
    let key = reader.string("key")?.ok_or_else(|| reader.error("key is missing"))?;
    let values = reader.strings("values")?;
    match reader.string("operator")?.as_deref() {
        Some("In") if !values.is_empty() => Ok(Requirement::In(key, values)),
        Some("NotIn") if !values.is_empty() => Ok(Requirement::NotIn(key, values)),
        Some("Exists") if values.is_empty() => Ok(Requirement::Exists(key)),
        Some("DoesNotExist") if values.is_empty() => Ok(Requirement::DoesNotExist(key)),
        _ => Err(reader.error("operator must be In or NotIn with values, or Exists or DoesNotExist without")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;
    use serde_json::json;

    fn compile(value: Value) -> Result<Selector> {
        Selector::compile(&Reader::new(&value, FieldPath::default()))
    }

    #[test]
    fn labels_and_expressions_are_anded() {
        let selector = compile(json!({
            "matchLabels": {"app": "w?b", "team/*": "*"},
            "matchExpressions": [
                {"key": "env", "operator": "NotIn", "values": ["prod"]},
                {"key": "gone", "operator": "DoesNotExist"}
            ]
        }))
        .unwrap();
        let good = json!({"app": "web", "team/a": "x", "env": "dev"});
        let matches = |labels: &Value| selector.matches(labels.as_object().unwrap());
        assert!(matches(&good));
        for (key, value) in [("app", "wb"), ("env", "prod"), ("gone", "")] {
            let mut bad = good.clone();
            bad[key] = json!(value);
            assert!(!matches(&bad), "{key}={value}");
        }
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove("team/a");
        assert!(!matches(&bad));
    }

    #[test]
    fn a_wrong_operator_is_refused_where_it_stands() {
        let error = compile(json!({"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}))
            .unwrap_err();
        assert_eq!(error.path.to_string(), "matchExpressions[0]");
    }
}
