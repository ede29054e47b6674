//! The form in which the API server keeps a Secret: what is written as `stringData` is stored as `data`, in base64, and
//! never read back. Sent in that form, each value has an owner, and one that is taken out of the repository goes.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::model::Manifest;

/// A manifest as it is stored; any but such a Secret is the very same.
pub(super) fn stored_manifest(manifest: &Arc<Manifest>) -> Arc<Manifest> {
    match stored(&manifest.body) {
        Cow::Borrowed(_) => manifest.clone(),
        Cow::Owned(body) => Arc::new(Manifest { body: Arc::new(body), ..(**manifest).clone() }),
    }
}

/// A body as it is stored.
pub(super) fn stored(body: &Value) -> Cow<'_, Value> {
    if body["kind"] != "Secret" || body["apiVersion"] != "v1" || is_stored(body) {
        return Cow::Borrowed(body);
    }
    let mut secret = body.clone();
    let Some(fields) = secret.as_object_mut() else { return Cow::Borrowed(body) };
    let mut data = match fields.remove("data") {
        Some(Value::Object(data)) => data,
        None | Some(Value::Null) => Map::new(),
        // The server refuses it, and says why.
        Some(_) => return Cow::Borrowed(body),
    };
    for value in data.values_mut() {
        if let Some(plain) = value.as_str().and_then(rewritten) {
            *value = plain.into();
        }
    }
    match fields.remove("stringData") {
        Some(Value::Object(texts)) => {
            for (key, text) in texts {
                let Value::String(text) = text else { return Cow::Borrowed(body) };
                data.insert(key, STANDARD.encode(text).into());
            }
        }
        None | Some(Value::Null) => {}
        Some(_) => return Cow::Borrowed(body),
    }
    if !data.is_empty() {
        fields.insert("data".to_owned(), Value::Object(data));
    }
    Cow::Owned(secret)
}

fn is_stored(body: &Value) -> bool {
    let data = body["data"].as_object().into_iter().flatten();
    body.get("stringData").is_none()
        && data.filter_map(|(_, value)| value.as_str()).all(|it| rewritten(it).is_none())
}

/// Base64 that is broken into lines, without them: the server ignores them, and stores none.
fn rewritten(value: &str) -> Option<String> {
    value.contains(['\r', '\n']).then(|| value.replace(['\r', '\n'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(fields: Value) -> Value {
        let mut body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    }

    #[test]
    fn texts_are_stored_as_data_and_win_over_it() {
        let given =
            secret(json!({"data": {"a": "b2xk", "b": "b2xk"}, "stringData": {"a": "new", "c": "\u{e4}"}}));
        let expected = secret(json!({"data": {"a": "bmV3", "b": "b2xk", "c": "w6Q="}}));
        assert_eq!(*stored(&given), expected);
        assert_eq!(*stored(&secret(json!({"stringData": {}}))), secret(json!({})));
        assert_eq!(
            *stored(&secret(json!({"data": null, "stringData": {"a": ""}}))),
            secret(json!({"data": {"a": ""}}))
        );
        assert_eq!(
            *stored(&secret(json!({"data": {"a": "b2\nxk\n"}}))),
            secret(json!({"data": {"a": "b2xk"}}))
        );
    }

    #[test]
    fn what_the_server_will_refuse_or_has_no_such_field_stays_as_it_is() {
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "stringData": {"a": "b"}});
        let odd = [
            json!({"stringData": "x"}),
            json!({"stringData": {"a": 1}}),
            json!({"data": [], "stringData": {}}),
        ];
        for body in odd.into_iter().map(secret).chain([other, secret(json!({"data": {"a": "b2xk"}}))]) {
            assert!(matches!(stored(&body), Cow::Borrowed(_)), "{body}");
        }
    }
}
