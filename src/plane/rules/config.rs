//! Config maps, secrets, namespaces.

use serde_json::Value;

use super::report::{Report, same};
use super::text;

/// All values of a config map or secret together.
const LIMIT: usize = 1024 * 1024;
const SEALED: &str = "field is immutable when `immutable` is set";

/// What may not change any more in a config map or secret that is sealed.
fn sealed(body: &Value, before: &Value, fields: &[&str], report: &mut Report) {
    if before["immutable"] != true {
        return;
    }
    if body["immutable"] != true {
        report.forbidden("immutable", SEALED);
    }
    for field in fields {
        // Here nothing and an empty dictionary are two things, but neither is kept.
        if !same(&body[*field], &before[*field]) {
            report.forbidden(field, SEALED);
        }
    }
}

fn keys(values: &Value, at: &str, report: &mut Report) -> usize {
    let mut size = 0;
    for (key, value) in values.as_object().into_iter().flatten() {
        report.all_invalid(&format!("{at}[{key}]"), key, text::config_key(key));
        size += value.as_str().map_or(0, str::len);
    }
    size
}

pub(super) fn config_map(body: &Value, report: &mut Report) {
    let mut size = 0;
    for (key, value) in body["data"].as_object().into_iter().flatten() {
        let at = format!("data[{key}]");
        report.all_invalid(&at, key, text::config_key(key));
        if body["binaryData"].get(key).is_some() {
            report.invalid(&at, key.as_str(), "duplicate of key present in binaryData");
        }
        size += value.as_str().map_or(0, str::len);
    }
    size += keys(&body["binaryData"], "binaryData", report) / 4 * 3;
    if size > LIMIT {
        report.too_long("[]", LIMIT);
    }
}

pub(super) fn config_map_update(body: &Value, before: &Value, report: &mut Report) {
    sealed(body, before, &["data", "binaryData"], report);
}

pub(super) fn secret_update(body: &Value, before: &Value, report: &mut Report) {
    report.immutable("type", &body["type"], &before["type"]);
    sealed(body, before, &["data"], report);
}

pub(super) fn secret(body: &Value, report: &mut Report) {
    if keys(&body["data"], "data", report) / 4 * 3 > LIMIT {
        report.too_long("data", LIMIT);
    }
    let has = |key: &str| body["data"].get(key).is_some();
    let at = |key: &str| format!("data[{key}]");
    match body["type"].as_str().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            if body["metadata"]["annotations"][key].as_str().unwrap_or_default().is_empty() {
                report.required(&format!("metadata.annotations[{key}]"), "");
            }
        }
        "kubernetes.io/dockercfg" => docker(body, ".dockercfg", report),
        "kubernetes.io/dockerconfigjson" => docker(body, ".dockerconfigjson", report),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            report.required(&at("username"), "");
            report.required(&at("password"), "");
        }
        "kubernetes.io/ssh-auth"
            if body["data"]["ssh-privatekey"].as_str().unwrap_or_default().is_empty() =>
        {
            report.required(&at("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !has(key) {
                    report.required(&at(key), "");
                }
            }
        }
        _ => {}
    }
}

fn docker(body: &Value, key: &str, report: &mut Report) {
    use base64::Engine as _;
    let at = format!("data[{key}]");
    let Some(text) = body["data"][key].as_str() else { return report.required(&at, "") };
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    if !serde_json::from_slice::<Value>(&decoded).is_ok_and(|value| value.is_object()) {
        let why = if decoded.is_empty() {
            "unexpected end of JSON input".to_owned()
        } else {
            let first = decoded[0] as char;
            format!("invalid character {first:?} looking for beginning of value")
        };
        report.invalid(&at, "<secret contents redacted>", &why);
    }
}

pub(super) fn namespace(body: &Value, report: &mut Report) {
    for finalizer in body["spec"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        report.all_invalid("spec.finalizers", finalizer, text::qualified(finalizer));
        super::metadata::known_finalizer("spec.finalizers", finalizer, report);
    }
}
