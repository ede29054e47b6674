//! Texts about a Secret, without its values: policies and API servers quote what they refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What stands for a value.
const CONCEALED: &str = "(masked)";
/// Fields of a Secret that hold no values.
const OPEN: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];
/// Values shorter than this guard nothing, and every text holds them by chance.
const SHORTEST: usize = 4;

/// A text without the values of the Secret that it is about, encoded or decoded; about any other object as it is.
pub fn conceal(text: &str, object: &Value) -> String {
    if object["kind"] != "Secret" || object["apiVersion"].as_str().is_some_and(|version| version != "v1") {
        return text.to_owned();
    }
    let mut values = Vec::new();
    // A field that no Secret has may be a misspelt `stringData`.
    for (_, value) in
        object.as_object().into_iter().flatten().filter(|(field, _)| !OPEN.contains(&field.as_str()))
    {
        collect(value, &mut values);
    }
    let decoded: Vec<String> = values.iter().filter_map(|value| decode(value)).collect();
    let encoded: Vec<String> = values.iter().map(|value| STANDARD.encode(value)).collect();
    values.extend(decoded.into_iter().chain(encoded));
    // Longest first: one value may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for value in values {
        text = text.replace(&value, CONCEALED);
    }
    text
}

/// A Secret with its values masked; any other object as it is.
pub fn masked(mut object: Value) -> Value {
    fn mask(value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(mask),
            other => *other = CONCEALED.into(),
        }
    }
    if object["kind"] == "Secret"
        && let Some(map) = object.as_object_mut()
    {
        map.iter_mut().filter(|(field, _)| !OPEN.contains(&field.as_str())).for_each(|(_, v)| mask(v));
    }
    object
}

/// All scalars of a part of an object, each of their lines by itself too.
fn collect(value: &Value, values: &mut Vec<String>) {
    let mut take = |text: &str| {
        let whole = [text, text.trim()];
        let all = whole.into_iter().chain(text.lines().map(str::trim));
        values.extend(all.filter(|part| part.len() >= SHORTEST).map(str::to_owned));
    };
    match value {
        Value::String(text) => take(text),
        Value::Number(number) => take(&number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, values)),
        Value::Object(map) => map.values().for_each(|item| collect(item, values)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn decode(value: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(value).ok()?).ok().filter(|text| text.len() >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_concealed_in_both_forms() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "swordfish", "c": "on"}});
        let text = "hunter2 aHVudGVyMg== swordfish c3dvcmRmaXNo is on";
        assert_eq!(conceal(text, &secret), "(masked) (masked) (masked) (masked) is on");
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"b": "swordfish"}});
        assert_eq!(conceal(text, &other), text);
        let odd = json!({"kind": "Secret", "stringData": "swordfish\nand chips"});
        assert_eq!(conceal("swordfish, and chips", &odd), "(masked), (masked)");
    }
}
