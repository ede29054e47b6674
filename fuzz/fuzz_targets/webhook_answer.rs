//! Any bytes as the answer of a mutating and of a validating webhook; `UID` in them is the uid of the question.
#![no_main]

mod common;

use std::sync::{Arc, LazyLock, Mutex};

use common::bodies::{config_map, endpoints, furnish, send, webhooks};
use moin::plane::Plane;

static ANSWER: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(Arc::default);

async fn plane() -> Plane {
    let answer = |_: &str, question: &[u8]| {
        let uid = serde_json::from_slice::<serde_json::Value>(question).expect("a review")["request"]["uid"]
            .clone();
        let said = ANSWER.lock().expect("no other thread").clone();
        let said = String::from_utf8_lossy(&said).replace("UID", uid.as_str().unwrap_or_default());
        (200, said.into_bytes())
    };
    let plane = Plane::builder().controllers(false).history(100).answer_webhooks(answer).build();
    furnish(&plane).await;
    for endpoint in endpoints().into_iter().filter(|endpoint| endpoint.name == "webhooks") {
        let kind = if endpoint.path.contains("mutating") {
            "MutatingWebhookConfiguration"
        } else {
            "ValidatingWebhookConfiguration"
        };
        let (code, _) = send(&plane.router(), &endpoint, webhooks(kind).to_string().as_bytes()).await;
        assert_eq!(code, 201);
    }
    plane
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    const VALID: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"UID","allowed":true,"patchType":"JSONPatch","patch":"PATCH"}}"#;
    // Half of the time the bytes are the patch alone.
    let answer = match bytes.first() {
        Some(b'[') => {
            use base64::Engine as _;
            VALID.replace("PATCH", &base64::engine::general_purpose::STANDARD.encode(bytes)).into_bytes()
        }
        _ => bytes.to_vec(),
    };
    *ANSWER.lock().expect("no other thread") = answer;
    let Some(endpoint) = endpoints().into_iter().find(|endpoint| endpoint.name == "create") else { return };
    let mut map = config_map("");
    map["metadata"] = serde_json::json!({"generateName": "x", "labels": {"hooked": "yes"}});
    common::with_plane(plane, |running| {
        let (router, body) = (running.plane.router(), map.to_string());
        let (code, answer) = running.runtime.block_on(send(&router, &endpoint, body.as_bytes()));
        assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok(), "{code}");
    });
});
