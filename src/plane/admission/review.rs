//! `AdmissionReview`: what a webhook is asked, and whether its answer is one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a webhook answered.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub allowed: bool,
    /// The `Status` of a refusal.
    pub status: Value,
    /// A JSON patch, as text.
    pub patch: Option<Vec<u8>>,
    pub patch_type: String,
    pub warnings: Vec<String>,
    pub annotations: Vec<(String, String)>,
}

/// A review of one request, with its uid.
pub(super) fn ask(version: &str, mut request: Value, object: &Value, old: &Value) -> (String, Value) {
    let uid = uuid::Uuid::new_v4().to_string();
    request["uid"] = uid.as_str().into();
    request["object"] = object.clone();
    request["oldObject"] = old.clone();
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request,
    });
    (uid, review)
}

/// Reads an answer. Only `v1` is strict about its form.
pub(super) fn read(version: &str, uid: &str, mutating: bool, review: &Value) -> Result<Verdict, String> {
    let response = &review["response"];
    if !response.is_object() {
        return Err("webhook response was absent".to_owned());
    }
    let patch = response["patch"].as_str().filter(|patch| !patch.is_empty());
    let patch_type = response["patchType"].as_str();
    if version == "v1" {
        check_identity(uid, review)?;
        check_patch(mutating, patch.is_some(), patch_type)?;
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|error| error.to_string());
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    Ok(Verdict {
        allowed: response["allowed"] == true,
        status: response["status"].clone(),
        patch: patch.filter(|_| mutating).map(decode).transpose()?,
        // The patch type of v1beta1 was never looked at.
        patch_type: if version == "v1" { patch_type.unwrap_or_default() } else { "JSONPatch" }.to_owned(),
        warnings: texts(&response["warnings"]),
        annotations: response["auditAnnotations"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
    })
}

fn check_identity(uid: &str, review: &Value) -> Result<(), String> {
    let answered = review["response"]["uid"].as_str().unwrap_or_default();
    if answered != uid {
        return Err(format!("expected response.uid={uid:?}, got {answered:?}"));
    }
    let text = |field: &str| review[field].as_str().unwrap_or_default();
    if (text("apiVersion"), text("kind")) != ("admission.k8s.io/v1", "AdmissionReview") {
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={}",
            if text("apiVersion").is_empty() { "/" } else { text("apiVersion") },
            text("kind")
        ));
    }
    Ok(())
}

fn check_patch(mutating: bool, patched: bool, patch_type: Option<&str>) -> Result<(), String> {
    let wrong = match (mutating, patched, patch_type) {
        (true, true, None) => "webhook returned response.patch but not response.patchType",
        (true, false, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, true, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (false, true, _) => "validating webhook may not return response.patch",
        (false, false, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(wrong.to_owned())
}

/// The `Status` of a request that a webhook refused.
pub(super) fn refusal(hook: &str, status: &Value) -> Value {
    let mut refusal = if status.is_object() { status.clone() } else { json!({}) };
    let denied = format!("admission webhook {hook:?} denied the request");
    let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
    let message = match (text("message"), text("reason")) {
        (Some(why), _) | (None, Some(why)) => format!("{denied}: {why}"),
        (None, None) => format!("{denied} without explanation"),
    };
    refusal["message"] = message.into();
    if refusal["code"].as_u64().unwrap_or(0) < 400 {
        refusal["code"] = 400.into();
    }
    if matches!(text("status"), None | Some("Success")) {
        refusal["status"] = "Failure".into();
    }
    refusal["kind"] = "Status".into();
    refusal["apiVersion"] = "v1".into();
    if !refusal["metadata"].is_object() {
        refusal["metadata"] = json!({});
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[test]
    fn an_answer_must_be_about_the_question() {
        let read = |review: &Value| read("v1", "u", true, review);
        assert_eq!(read(&json!({})).unwrap_err(), "webhook response was absent");
        let other = answer(json!({"uid": "v", "allowed": true}));
        assert_eq!(read(&other).unwrap_err(), "expected response.uid=\"u\", got \"v\"");
        assert!(read(&answer(json!({"uid": "u", "allowed": true}))).unwrap().allowed);
        let untyped = answer(json!({"uid": "u", "allowed": true, "patch": "W10="}));
        assert_eq!(read(&untyped).unwrap_err(), "webhook returned response.patch but not response.patchType");
    }

    #[test]
    fn a_validating_webhook_changes_nothing() {
        let patched = answer(json!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch"}));
        let wrong = read("v1", "u", false, &patched).unwrap_err();
        assert_eq!(wrong, "validating webhook may not return response.patch");
        assert_eq!(read("v1beta1", "u", false, &patched).unwrap().patch, None);
        assert_eq!(read("v1", "u", true, &patched).unwrap().patch.as_deref(), Some(&b"[]"[..]));
    }

    #[test]
    fn a_refusal_says_who_refused() {
        let of = |status: Value| {
            let refusal = refusal("a.b.c", &status);
            (refusal["code"].as_u64().unwrap(), refusal["message"].as_str().unwrap().to_owned())
        };
        let denied = "admission webhook \"a.b.c\" denied the request";
        assert_eq!(of(Value::Null), (400, format!("{denied} without explanation")));
        assert_eq!(of(json!({"code": 403, "message": "no"})), (403, format!("{denied}: no")));
        assert_eq!(of(json!({"code": 200, "reason": "Why"})), (400, format!("{denied}: Why")));
    }
}
