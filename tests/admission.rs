//! Admission of the plane: webhooks over HTTPS, as clients of the API meet them.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use http::Request;
use moin::plane::{AuditLog, Plane};
use serde_json::{Value, json};
use support::webhook::{WebhookServer, answered, patched};

/// What was answered: code, body, warnings.
struct Answer {
    code: u16,
    body: Value,
    warnings: Vec<String>,
}

impl Answer {
    fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

async fn call(plane: &Plane, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
    use http_body_util::BodyExt as _;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(kube::client::Body::from(serde_json::to_vec(body).unwrap()))
        .unwrap();
    let response = plane.client().send(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.map(|value| value.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { code, warnings, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

async fn post(plane: &Plane, path: &str, body: Value) -> Answer {
    call(plane, "POST", path, "application/json", &body).await
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

/// A webhook that is asked about every write of ConfigMaps.
fn hook(name: &str, client: Value) -> Value {
    json!({
        "name": name, "clientConfig": client, "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
    })
}

async fn configure(plane: &Plane, kind: &str, name: &str, hooks: Value) {
    let plural = format!("{}s", kind.to_lowercase());
    let body = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "webhooks": hooks,
    });
    let answer = post(plane, &format!("{GROUP}/{plural}"), body).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
}

#[tokio::test]
async fn a_validating_webhook_is_asked_and_obeyed() {
    let server = WebhookServer::start(|_, review| {
        let object = &review["request"]["object"];
        let bad = object["data"]["bad"].is_string();
        let mut response = json!({"allowed": !bad, "warnings": ["seen"], "auditAnnotations": {"k": "v"}});
        if bad {
            response["status"] = json!({"code": 403, "message": "bad data"});
        }
        answered(review, response)
    });
    let log = AuditLog::memory();
    let plane = Plane::builder().audit(log.clone()).build();
    let hooks = json!([hook("a.moin.test", server.client_config("/validate"))]);
    configure(&plane, "ValidatingWebhookConfiguration", "a", hooks).await;
    let made = post(&plane, MAPS, config_map("good", json!({"k": "v"}))).await;
    assert_eq!((made.code, &*made.warnings), (201, &["299 - \"seen\"".to_owned()][..]), "{}", made.body);
    let refused = post(&plane, MAPS, config_map("bad", json!({"bad": "v"}))).await;
    let why = "admission webhook \"a.moin.test\" denied the request: bad data";
    assert_eq!((refused.code, refused.message()), (403, why));
    assert_eq!(refused.warnings.len(), 1);
    let events = log.events();
    let noted = events.iter().filter(|event| event["annotations"]["a.moin.test/k"] == "v");
    assert_eq!(noted.count(), 2, "the audit log is told");
    let reviews = server.take_reviews();
    let (path, review) = &reviews[0];
    let request = &review["request"];
    assert_eq!((path.as_str(), &request["operation"]), ("/validate", &json!("CREATE")));
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!((&request["name"], &request["namespace"]), (&json!("good"), &json!("default")));
    assert!(request["object"]["metadata"]["uid"].is_string(), "what will be stored is shown");
    assert_eq!((&request["oldObject"], &request["dryRun"]), (&Value::Null, &json!(false)));
    assert_eq!(request["options"]["kind"], "CreateOptions");
    let path = format!("{MAPS}/good");
    let deleted = call(&plane, "DELETE", &path, "application/json", &json!({})).await;
    assert_eq!(deleted.code, 200);
    let reviews = server.take_reviews();
    let request = &reviews[0].1["request"];
    assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &Value::Null));
    assert_eq!(request["oldObject"]["data"]["k"], "v");
}

#[tokio::test]
async fn mutating_webhooks_change_and_are_asked_again() {
    let server = WebhookServer::start(|path, review| match path {
        "/first" => {
            let second = review["request"]["object"]["data"]["second"].is_string();
            let value = if second { "after" } else { "before" };
            patched(review, json!([{"op": "add", "path": "/data/first", "value": value}]))
        }
        _ => patched(review, json!([{"op": "add", "path": "/data/second", "value": "x"}])),
    });
    let plane = Plane::new();
    let mut first = hook("first.moin.test", server.client_config("/first"));
    first["reinvocationPolicy"] = "IfNeeded".into();
    configure(&plane, "MutatingWebhookConfiguration", "a", json!([first])).await;
    let second = hook("second.moin.test", server.client_config("/second"));
    configure(&plane, "MutatingWebhookConfiguration", "b", json!([second])).await;
    let made = post(&plane, MAPS, config_map("x", json!({"k": "v"}))).await;
    assert_eq!(made.body["data"], json!({"k": "v", "first": "after", "second": "x"}), "{}", made.body);
    let asked: Vec<String> = server.take_reviews().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked, ["/first", "/second", "/first"]);
    let owned = &made.body["metadata"]["managedFields"][0]["fieldsV1"]["f:data"];
    assert!(owned["f:first"].is_null(), "who asks for an object does not own what others add to it");
}

#[tokio::test]
async fn an_apply_is_merged_before_it_is_changed() {
    let server = WebhookServer::start(|_, review| {
        patched(review, json!([{"op": "add", "path": "/metadata/labels", "value": {"by": "hook"}}]))
    });
    let plane = Plane::new();
    let hooks = json!([hook("a.moin.test", server.client_config("/"))]);
    configure(&plane, "MutatingWebhookConfiguration", "a", hooks).await;
    let path = format!("{MAPS}/x?fieldManager=m");
    for (code, value) in [(201, "1"), (200, "2")] {
        let body = config_map("x", json!({ "k": value }));
        let applied = call(&plane, "PATCH", &path, "application/apply-patch+yaml", &body).await;
        assert_eq!(applied.code, code, "{}", applied.body);
        assert_eq!(applied.body["metadata"]["labels"]["by"], "hook");
    }
    let reviews = server.take_reviews();
    let operations: Vec<&Value> = reviews.iter().map(|(_, review)| &review["request"]["operation"]).collect();
    assert_eq!(operations, ["CREATE", "UPDATE"]);
}

#[tokio::test]
async fn what_cannot_be_asked_fails_as_its_policy_says() {
    let server =
        WebhookServer::start(|path, _| (if path.starts_with("/busy") { 503 } else { 500 }, json!("broken")));
    let plane = Plane::new();
    let mut broken = hook("a.moin.test", server.client_config("/"));
    broken["objectSelector"] = json!({"matchLabels": {"to": "broken"}});
    let mut lenient = hook("b.moin.test", json!({"url": "https://127.0.0.1:1/x"}));
    lenient["failurePolicy"] = "Ignore".into();
    let mut unknown = hook("c.moin.test", json!({"url": format!("https://127.0.0.1:{}/", server.port())}));
    unknown["objectSelector"] = json!({"matchLabels": {"to": "unknown"}});
    let mut service = hook("d.moin.test", json!({"service": {"namespace": "default", "name": "none"}}));
    service["objectSelector"] = json!({"matchLabels": {"to": "service"}});
    let mut refused = hook("e.moin.test", json!({"url": "https://127.0.0.1:1/x"}));
    refused["objectSelector"] = json!({"matchLabels": {"to": "refused"}});
    let mut busy = hook("f.moin.test", server.client_config("/busy"));
    busy["objectSelector"] = json!({"matchLabels": {"to": "busy"}});
    let hooks = json!([broken, lenient, unknown, service, refused, busy]);
    configure(&plane, "ValidatingWebhookConfiguration", "a", hooks).await;
    assert_eq!(post(&plane, MAPS, config_map("x", json!({}))).await.code, 201);
    for (to, why) in [
        (
            "broken",
            "Internal error occurred: failed calling webhook \"a.moin.test\": failed to call webhook: an error on the server (\"\\\"broken\\\"\") has prevented the request from succeeding",
        ),
        (
            "unknown",
            &*format!(
                "Internal error occurred: failed calling webhook \"c.moin.test\": failed to call webhook: Post \"https://127.0.0.1:{}/?timeout=10s\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
                server.port()
            ),
        ),
        (
            "refused",
            "Internal error occurred: failed calling webhook \"e.moin.test\": failed to call webhook: Post \"https://127.0.0.1:1/x?timeout=10s\": dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            "busy",
            "Internal error occurred: failed calling webhook \"f.moin.test\": failed to call webhook: the server is currently unable to handle the request",
        ),
        (
            "service",
            "Internal error occurred: failed calling webhook \"d.moin.test\": failed to call webhook: Post \"https://none.default.svc:443?timeout=10s\": service \"none\" not found",
        ),
    ] {
        let mut body = config_map("y", json!({}));
        body["metadata"]["labels"] = json!({ "to": to });
        let refused = post(&plane, MAPS, body).await;
        assert_eq!((refused.code, refused.message()), (500, why));
    }
    let asked: Vec<String> = server.take_reviews().into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/busy")).count(), 1, "once, whatever the answer");
}

#[tokio::test]
async fn a_service_is_where_the_builder_says() {
    let server = WebhookServer::start(|_, review| answered(review, json!({"allowed": false})));
    let port = server.port();
    let plane = Plane::builder()
        .resolve_services(move |namespace, name, _| {
            ((namespace, name) == ("default", "hook")).then(|| format!("127.0.0.1:{port}"))
        })
        .build();
    let config = json!({
        "service": {"namespace": "default", "name": "hook", "path": "/p"}, "caBundle": server.ca_bundle(),
    });
    let hooks = json!([hook("a.moin.test", config)]);
    configure(&plane, "ValidatingWebhookConfiguration", "a", hooks).await;
    let refused = post(&plane, MAPS, config_map("x", json!({}))).await;
    let why = "admission webhook \"a.moin.test\" denied the request without explanation";
    assert_eq!((refused.code, refused.message()), (400, why));
}

#[tokio::test]
async fn a_slow_webhook_and_side_effects() {
    let server = WebhookServer::start(|_, review| {
        std::thread::sleep(std::time::Duration::from_secs(2));
        answered(review, json!({"allowed": true}))
    });
    let plane = Plane::new();
    let mut slow = hook("a.moin.test", server.client_config("/"));
    slow["timeoutSeconds"] = 1.into();
    slow["sideEffects"] = "NoneOnDryRun".into();
    configure(&plane, "ValidatingWebhookConfiguration", "a", json!([slow])).await;
    let refused = post(&plane, MAPS, config_map("x", json!({}))).await;
    let why = format!(
        "Internal error occurred: failed calling webhook \"a.moin.test\": failed to call webhook: Post \"https://127.0.0.1:{}/?timeout=1s\": context deadline exceeded",
        server.port()
    );
    assert_eq!((refused.code, refused.message()), (500, &*why));
}

/// A policy that judges ConfigMaps, and a binding of the same name.
async fn policy(plane: &Plane, name: &str, spec: Value, binding: Value) {
    let mut whole = json!({
        "matchConstraints": {"resourceRules": [{
            "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
    });
    json_patch::merge(&mut whole, &spec);
    let mut bound = json!({"policyName": name, "validationActions": ["Deny"]});
    json_patch::merge(&mut bound, &binding);
    for (kind, plural, spec) in [
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", whole),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", bound),
    ] {
        let body = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let answer = post(plane, &format!("{GROUP}/{plural}"), body).await;
        assert_eq!(answer.code, 201, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_policy_judges_by_its_parameters() {
    let plane = Plane::new();
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [
            {"name": "limit", "expression": "int(params.data.limit)"},
            {"name": "count", "expression": "has(object.data) ? size(object.data) : 0"},
        ],
        "matchConditions": [{"name": "not-limits", "expression": "object.metadata.name != 'limits'"}],
        "validations": [{
            "expression": "variables.count <= variables.limit",
            "messageExpression": "'at most ' + string(variables.limit) + ' keys in ' + namespaceObject.metadata.name",
            "reason": "Forbidden",
        }],
        "auditAnnotations": [{"key": "count", "valueExpression": "string(variables.count)"}],
    });
    let binding = json!({"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}});
    policy(&plane, "count", spec, binding).await;
    let without = post(&plane, MAPS, config_map("x", json!({}))).await;
    let why = "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'count' with binding 'count' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert_eq!((without.code, without.message()), (422, why));
    let mut limits = config_map("limits", json!({"limit": "1"}));
    limits["metadata"]["labels"] = json!({"is": "limit"});
    // The parameter itself is judged by the binding that needs it, so it comes before.
    call(
        &plane,
        "DELETE",
        &format!("{GROUP}/validatingadmissionpolicybindings/count"),
        "application/json",
        &json!({}),
    )
    .await;
    assert_eq!(post(&plane, MAPS, limits).await.code, 201);
    let bound = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "b"}, "spec": {"policyName": "count", "validationActions": ["Deny"], "paramRef": {
            "selector": {"matchLabels": {"is": "limit"}}, "parameterNotFoundAction": "Allow"}},
    });
    assert_eq!(post(&plane, &format!("{GROUP}/validatingadmissionpolicybindings"), bound).await.code, 201);
    assert_eq!(post(&plane, MAPS, config_map("x", json!({"a": "1"}))).await.code, 201);
    let refused = post(&plane, MAPS, config_map("y", json!({"a": "1", "b": "2"}))).await;
    let why = "configmaps \"y\" is forbidden: ValidatingAdmissionPolicy 'count' with binding 'b' denied request: at most 1 keys in default";
    assert_eq!((refused.code, refused.message()), (403, why), "{}", refused.body);
    assert_eq!(refused.body["reason"], "Forbidden");
}
