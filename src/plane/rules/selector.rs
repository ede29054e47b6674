//! Label selectors.

use serde_json::Value;

use super::report::Report;
use super::text;

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What is wrong with a label selector.
pub(super) fn label_selector(selector: &Value, at: &str, report: &mut Report) {
    super::metadata::labels(&selector["matchLabels"], &format!("{at}.matchLabels"), report);
    for (index, one) in selector["matchExpressions"].as_array().into_iter().flatten().enumerate() {
        requirement(one, &format!("{at}.matchExpressions[{index}]"), report);
    }
}

fn requirement(one: &Value, at: &str, report: &mut Report) {
    let values = texts(&one["values"]);
    let operator = one["operator"].as_str().unwrap_or_default();
    match operator {
        "In" | "NotIn" => {
            if values.is_empty() {
                report.required(
                    &format!("{at}.values"),
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                report.forbidden(&format!("{at}.values"), why);
            }
        }
        other => report.invalid(&format!("{at}.operator"), other, "not a valid selector operator"),
    }
    let key = one["key"].as_str().unwrap_or_default();
    report.all_invalid(&format!("{at}.key"), key, text::qualified(key));
    for (index, value) in values.iter().enumerate() {
        report.all_invalid(&format!("{at}.values[{index}]"), value, text::label_value(value));
    }
}

/// Whether a selector can be evaluated at all.
pub(super) fn compiles(selector: &Value) -> bool {
    let labels = selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| {
        text::qualified(key).is_empty() && text::label_value(value.as_str().unwrap_or_default()).is_empty()
    });
    labels
        && selector["matchExpressions"].as_array().into_iter().flatten().all(|one| {
            let values = texts(&one["values"]);
            text::qualified(one["key"].as_str().unwrap_or_default()).is_empty()
                && values.iter().all(|value| text::label_value(value).is_empty())
                && match one["operator"].as_str().unwrap_or_default() {
                    "In" | "NotIn" => !values.is_empty(),
                    "Exists" | "DoesNotExist" => values.is_empty(),
                    _ => false,
                }
        })
}

/// Whether a selector says nothing.
pub(super) fn is_empty(selector: &Value) -> bool {
    let none = |field: &str| {
        selector[field].as_object().is_none_or(serde_json::Map::is_empty)
            && selector[field].as_array().is_none_or(Vec::is_empty)
    };
    none("matchLabels") && none("matchExpressions")
}

/// Whether labels are selected. No selector selects nothing.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let has = |key: &str| labels.get(key).and_then(Value::as_str);
    selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| has(key) == value.as_str())
        && selector["matchExpressions"].as_array().into_iter().flatten().all(|one| {
            let value = has(one["key"].as_str().unwrap_or_default());
            let among = value.is_some_and(|value| texts(&one["values"]).contains(&value));
            match one["operator"].as_str().unwrap_or_default() {
                "In" => among,
                "NotIn" => !among,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}
