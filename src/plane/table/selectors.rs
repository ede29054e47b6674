//! Labels and selectors as text.

use serde_json::Value;

use super::row::{list, text};

/// Labels in the order of their keys; `<none>` when there are none.
pub(super) fn labels(labels: &Value) -> String {
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    or_none(pairs.join(","))
}

/// A label selector; `<none>` when it says nothing.
pub(super) fn selector(selector: &Value) -> String {
    let requirements = requirements(selector);
    requirements.map_or_else(|| "<error>".to_owned(), or_none)
}

/// The requirements of a label selector; `None` when one of them makes no sense.
pub(super) fn requirements(selector: &Value) -> Option<String> {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut all: Vec<(String, String)> =
        equal.map(|(key, value)| (key.clone(), format!("{key}={}", text(value)))).collect();
    for expression in list(&selector["matchExpressions"]) {
        let key = text(&expression["key"]);
        let mut values: Vec<&str> = list(&expression["values"]).iter().map(text).collect();
        values.sort_unstable();
        let values = values.join(",");
        let requirement = match text(&expression["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        };
        all.push((key.to_owned(), requirement));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Some(all.into_iter().map(|(_, requirement)| requirement).collect::<Vec<_>>().join(","))
}

/// A label selector as Go prints its struct.
pub(super) fn go_struct(selector: &Value) -> String {
    let pairs: String = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {},", text(value)))
        .collect();
    let expressions: String = list(&selector["matchExpressions"])
        .iter()
        .map(|expression| {
            let values: Vec<&str> = list(&expression["values"]).iter().map(text).collect();
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
                text(&expression["key"]),
                text(&expression["operator"]),
                values.join(" ")
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{pairs}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_text() {
        let given = json!({"matchLabels": {"b": "1"}, "matchExpressions": [
            {"key": "a", "operator": "NotIn", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"}]});
        assert_eq!(selector(&given), "a notin (x,y),b=1,!c");
        assert_eq!(selector(&json!({})), "<none>");
        assert_eq!(selector(&json!({"matchExpressions": [{"key": "a", "operator": "Like"}]})), "<error>");
        assert_eq!(labels(&json!({"a": "1", "b": "2"})), "a=1,b=2");
    }
}
