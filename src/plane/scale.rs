//! The `scale` subresource: `autoscaling/v1 Scale` as a view of an object.

use serde_json::{Value, json};

use super::kinds::Scale;
use super::write::set_or_remove;

/// The scale of an object.
pub(crate) fn of(body: &Value, paths: &Scale) -> Value {
    let metadata = &body["metadata"];
    let mut scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {},
        "spec": {}, "status": {"replicas": at(body, &paths.status_replicas).as_i64().unwrap_or(0)},
    });
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        set_or_remove(&mut scale["metadata"], field, metadata[field].clone());
    }
    if let Some(replicas) = at(body, &paths.spec_replicas).as_i64().filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = replicas.into();
    }
    if let Some(selector) = paths.selector.as_ref().map(|path| selector_text(at(body, path))) {
        set_or_remove(&mut scale["status"], "selector", selector);
    }
    scale
}

/// The object with the replicas of a scale.
pub(crate) fn set(body: &Value, paths: &Scale, scale: &Value) -> Value {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    let mut changed = body.clone();
    let mut place = &mut changed;
    for key in &paths.spec_replicas {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key.as_str()];
    }
    *place = replicas.into();
    set_or_remove(&mut changed["metadata"], "resourceVersion", scale["metadata"]["resourceVersion"].clone());
    changed
}

fn at<'a>(body: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(body, |at, key| &at[key.as_str()])
}

/// A selector as text: custom kinds hold text already, built-in ones a label selector.
fn selector_text(selector: &Value) -> Value {
    if selector.is_string() || selector.is_null() {
        return selector.clone();
    }
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    if pairs.is_empty() { Value::Null } else { pairs.join(",").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_a_view() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect();
        let paths = Scale {
            spec_replicas: path("spec.size"),
            status_replicas: path("status.replicas"),
            selector: None,
        };
        let body = json!({"metadata": {"name": "w"}, "spec": {"size": 2}});
        let mut scale = of(&body, &paths);
        assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(2), &json!(0)));
        scale["spec"]["replicas"] = 4.into();
        assert_eq!(set(&body, &paths, &scale)["spec"]["size"], 4);
    }
}
