//! Admission policies and webhook configurations: the plane and the real kube-apiserver answer the same.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::{Duration, Instant};

use http::Request;
use kube::Client;
use moin::plane::Plane;
use serde_json::{Value, json};
use support::real_server::RealServer;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WITHIN: Duration = Duration::from_secs(30);

/// A request and what is compared of its answer.
async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Value {
    use http_body_util::BodyExt as _;
    let content_type = match method {
        "PATCH" => "application/merge-patch+json",
        "APPLY" => "application/apply-patch+yaml",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(if method == "APPLY" { "PATCH" } else { method })
        .uri(path)
        .header("content-type", content_type)
        .body(kube::client::Body::from(serde_json::to_vec(body).unwrap()))
        .unwrap();
    // The real server breaks off where it panics.
    let Ok(response) = client.send(request).await else { return json!({"code": 0}) };
    let code = response.status().as_u16();
    let warnings = response.headers().get_all("warning").iter();
    let warnings: Vec<String> = warnings.map(|value| value.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if code < 300 {
        return json!({"code": code, "data": body["data"], "spec": body["spec"], "webhooks": body["webhooks"],
            "labels": body["metadata"]["labels"], "annotations": body["metadata"]["annotations"],
            "generation": body["metadata"]["generation"], "warnings": warnings});
    }
    json!({"code": code, "message": body["message"], "reason": body["reason"], "details": body["details"],
        "warnings": warnings})
}

/// A policy for ConfigMaps with the label `case: NAME`; `spec` and `binding` say what is special.
fn policy(name: &str, spec: &Value, binding: &Value) -> [(String, Value); 2] {
    let mut whole = json!({
        "matchConstraints": {
            "objectSelector": {"matchLabels": {"case": name}},
            "resourceRules": [{
                "operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"],
                "resources": ["configmaps"]}],
        },
    });
    json_patch::merge(&mut whole, spec);
    let mut bound = json!({"policyName": name, "validationActions": ["Deny"]});
    json_patch::merge(&mut bound, binding);
    [
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", whole),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", bound),
    ]
    .map(|(kind, plural, spec)| {
        let body = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        (format!("{GROUP}/{plural}"), body)
    })
}

fn validate(expression: &str) -> Value {
    json!({"validations": [{ "expression": expression }]})
}

/// Name, spec, binding and the data of a ConfigMap that is created, and then changed to other data.
fn cases() -> Vec<(&'static str, Value, Value, Value, Value)> {
    let one = || json!({"k": "1"});
    let plain = |name, expression: &str| (name, validate(expression), json!({}), one(), json!({"k": "2"}));
    let with = |name, spec: Value| (name, spec, json!({}), one(), json!({"k": "2"}));
    let bound = |name, spec: Value, binding: Value| (name, spec, binding, one(), json!({"k": "2"}));
    let params = |reference: Value, expression: &str| {
        (
            json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{ "expression": expression }]}),
            json!({ "paramRef": reference }),
        )
    };
    let by_name = |name: &str, action: &str| json!({"name": name, "namespace": "default", "parameterNotFoundAction": action});
    let (found, found_ref) = params(by_name("limits", "Deny"), "object.data.k == params.data.wanted");
    let (missing, missing_ref) = params(by_name("nowhere", "Deny"), "true");
    let (allowed, allowed_ref) = params(by_name("nowhere", "Allow"), "false");
    let (chosen, chosen_ref) = params(
        json!({"selector": {"matchLabels": {"is": "limits"}}, "parameterNotFoundAction": "Deny"}),
        "object.data.k == params.data.wanted",
    );
    let (_, unbound_ref) = params(json!(null), "");
    vec![
        plain("true", "true"),
        plain("false", "false"),
        plain("first-only", "object.data.k == '1'"),
        plain("no-such-key", "object.data.nope == 'x'"),
        plain("overload", "object.data.k > 1"),
        plain("divides", "1 / int(object.data.k) == 1 / (int(object.data.k) - 1)"),
        plain("names", "object.metadata.name.startsWith('y') && request.name == object.metadata.name"),
        plain("old", "oldObject == null || oldObject.data.k != '1'"),
        plain("operation", "request.operation != 'UPDATE'"),
        plain(
            "kind",
            "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps' && request.kind.group == 'x'",
        ),
        plain("options", "request.options.kind == 'DeleteOptions'"),
        plain(
            "namespace",
            "namespaceObject.metadata.name == 'default' && namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 'x'",
        ),
        plain("optional", "object.?data.?nope.orValue('1') == '2'"),
        plain(
            "authorizer",
            "authorizer.group('').resource('pods').namespace('default').check('delete').allowed()",
        ),
        plain(
            "account",
            "authorizer.serviceAccount('default', 'nobody').group('apps').resource('deployments').subresource('scale').namespace('x').check('get').allowed()",
        ),
        plain(
            "request-resource",
            "authorizer.requestResource.check('get').allowed() && authorizer.path('/healthz').check('get').reason() == 'x'",
        ),
        plain("managers", "object.metadata.managedFields.size() == 0"),
        with("message", json!({"validations": [{"expression": "false", "message": " told so "}]})),
        with("reason", json!({"validations": [{"expression": "false", "reason": "Forbidden"}]})),
        with(
            "too-large",
            json!({"validations": [{"expression": "false", "reason": "RequestEntityTooLarge"}]}),
        ),
        with(
            "expression",
            json!({"validations": [{"expression": "object.data.k == '1'", "messageExpression": "'k is ' + object.data.k"}]}),
        ),
        with(
            "bad-message",
            json!({"validations": [{"expression": "false", "message": "m", "messageExpression": "object.data.nope"}]}),
        ),
        with("empty-message", json!({"validations": [{"expression": "false", "messageExpression": "' '"}]})),
        with(
            "several",
            json!({"validations": [{"expression": "true"}, {"expression": "false", "message": "a"}, {"expression": "false", "message": "b"}]}),
        ),
        with(
            "ignore",
            json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.data.nope == 'x'"}]}),
        ),
        with("ignore-false", json!({"failurePolicy": "Ignore", "validations": [{"expression": "false"}]})),
        with(
            "condition",
            json!({"matchConditions": [{"name": "c", "expression": "object.data.k == '2'"}], "validations": [{"expression": "false"}]}),
        ),
        with(
            "broken-condition",
            json!({"matchConditions": [{"name": "c", "expression": "object.data.nope == '2'"}], "validations": [{"expression": "false"}]}),
        ),
        with(
            "two-conditions",
            json!({"matchConditions": [{"name": "c", "expression": "object.data.nope == '2'"}, {"name": "d", "expression": "object.data.nope2 == '2'"}], "validations": [{"expression": "false"}]}),
        ),
        with(
            "false-wins",
            json!({"matchConditions": [{"name": "c", "expression": "object.data.nope == '2'"}, {"name": "d", "expression": "false"}], "validations": [{"expression": "false"}]}),
        ),
        with(
            "variables",
            json!({"variables": [{"name": "a", "expression": "object.data.k"}, {"name": "b", "expression": "variables.a + '!'"}], "validations": [{"expression": "variables.b == '1!'", "messageExpression": "'b is ' + variables.b"}]}),
        ),
        with(
            "bad-variable",
            json!({"variables": [{"name": "a", "expression": "object.data.nope"}], "validations": [{"expression": "variables.a == 'x'"}]}),
        ),
        with(
            "unused-variable",
            json!({"variables": [{"name": "a", "expression": "object.data.nope"}], "validations": [{"expression": "object.data.k == '1' || variables.a == 'x'"}]}),
        ),
        with("audit", json!({"auditAnnotations": [{"key": "k", "valueExpression": "object.data.nope"}]})),
        with("audit-fine", json!({"auditAnnotations": [{"key": "k", "valueExpression": "object.data.k"}]})),
        with(
            "cost",
            json!({"validations": [{"expression": "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, a + b + c + d + e + f >= 0))))))"}]}),
        ),
        with(
            "updates",
            json!({"matchConstraints": {"resourceRules": [{"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"]}]}, "validations": [{"expression": "false"}]}),
        ),
        with(
            "excluded",
            json!({"matchConstraints": {"excludeResourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps"], "resourceNames": ["map-excluded"]}]}, "validations": [{"expression": "false"}]}),
        ),
        with(
            "other-name",
            json!({"matchConstraints": {"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "resourceNames": ["other"]}]}, "validations": [{"expression": "false"}]}),
        ),
        with(
            "cluster-scope",
            json!({"matchConstraints": {"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "Cluster"}]}, "validations": [{"expression": "false"}]}),
        ),
        with(
            "namespace-selector",
            json!({"matchConstraints": {"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["default"]}]}}, "validations": [{"expression": "false"}]}),
        ),
        with(
            "paramless",
            json!({"paramKind": {"apiVersion": "g.example.com/v1", "kind": "Unknown"}, "validations": [{"expression": "true"}]}),
        ),
        with(
            "null-params",
            json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{"expression": "params == null"}, {"expression": "params.data.x == 'y'"}]}),
        ),
        bound("warn", validate("false"), json!({"validationActions": ["Warn"]})),
        bound(
            "warn-audit",
            validate("object.data.k == '1'"),
            json!({"validationActions": ["Warn", "Audit"]}),
        ),
        bound("unbound", validate("false"), json!({"policyName": "some-other"})),
        bound(
            "bound-elsewhere",
            validate("false"),
            json!({"matchResources": {"objectSelector": {"matchLabels": {"no": "body"}}}}),
        ),
        bound(
            "bound-to-updates",
            validate("false"),
            json!({"matchResources": {"resourceRules": [{"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}}),
        ),
        ("param-found", found, found_ref, one(), json!({"k": "2"})),
        ("param-missing", missing, missing_ref, one(), json!({"k": "2"})),
        ("param-allowed", allowed, allowed_ref, one(), json!({"k": "2"})),
        ("param-chosen", chosen, chosen_ref, one(), json!({"k": "2"})),
        (
            "param-unknown",
            json!({"paramKind": {"apiVersion": "g.example.com/v1", "kind": "Unknown"}, "validations": [{"expression": "true"}]}),
            unbound_ref,
            one(),
            json!({"k": "2"}),
        ),
    ]
}

/// Objects that the server has something against, or changes.
fn configurations() -> Vec<(&'static str, Value)> {
    let object = |kind: &str, rest: Value| {
        let mut body = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "refused"}});
        json_patch::merge(&mut body, &rest);
        body
    };
    let rules = json!({"resourceRules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]});
    let policy = |spec: Value| {
        let mut whole = json!({ "matchConstraints": rules.clone() });
        json_patch::merge(&mut whole, &spec);
        ("validatingadmissionpolicies", object("ValidatingAdmissionPolicy", json!({ "spec": whole })))
    };
    let expression = |text: &str| policy(json!({"validations": [{ "expression": text }]}));
    let binding = |spec: Value| {
        (
            "validatingadmissionpolicybindings",
            object("ValidatingAdmissionPolicyBinding", json!({ "spec": spec })),
        )
    };
    let hook = |changes: Value| {
        let mut hook = json!({
            "name": "a.b.example", "clientConfig": {"url": "https://127.0.0.1:1/"}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"]});
        json_patch::merge(&mut hook, &changes);
        (
            "validatingwebhookconfigurations",
            object("ValidatingWebhookConfiguration", json!({ "webhooks": [hook] })),
        )
    };
    let rule = |changes: Value| {
        let mut rule =
            json!({"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["none"]});
        json_patch::merge(&mut rule, &changes);
        hook(json!({ "rules": [rule] }))
    };
    vec![
        expression("object.spec.x"),
        expression("nope == 1"),
        expression("1 + 1"),
        expression("object.x ==="),
        expression("  "),
        expression("params.x == 1"),
        expression("variables.x == 1"),
        expression("request.nope == 'x'"),
        expression("'a'.startsWith(1)"),
        policy(json!({})),
        policy(json!({"matchConstraints": null, "validations": [{"expression": "true"}]})),
        policy(json!({"matchConstraints": {"resourceRules": []}, "validations": [{"expression": "true"}]})),
        policy(
            json!({"failurePolicy": "Sometimes", "validations": [{"expression": "true", "reason": "Because"}]}),
        ),
        policy(
            json!({"validations": [{"expression": "true", "messageExpression": "1"}, {"expression": "true", "message": "a\nb"}]}),
        ),
        policy(
            json!({"validations": [{"expression": "true", "messageExpression": "authorizer.group('').resource('pods').check('get').allowed() ? '' : ''"}]}),
        ),
        policy(
            json!({"variables": [{"name": "a-b", "expression": "1"}, {"name": "c", "expression": "nope"}], "validations": [{"expression": "variables.c == 1"}]}),
        ),
        policy(
            json!({"matchConditions": [{"name": "", "expression": "true"}, {"name": "a", "expression": ""}, {"name": "a", "expression": "1"}], "validations": [{"expression": "true"}]}),
        ),
        policy(
            json!({"paramKind": {"apiVersion": "a/b/c", "kind": ""}, "validations": [{"expression": "true"}]}),
        ),
        policy(
            json!({"auditAnnotations": [{"key": "", "valueExpression": "1"}, {"key": "a b", "valueExpression": ""}]}),
        ),
        policy(json!({"validations": [{"expression": "true"}]})),
        binding(json!({})),
        binding(json!({"policyName": "A_b", "validationActions": ["Deny", "Warn"]})),
        binding(json!({"policyName": "a", "validationActions": ["Deny", "Deny", "Nope"]})),
        binding(
            json!({"policyName": "a", "validationActions": ["Deny"], "paramRef": {"name": "a/b", "selector": {}}}),
        ),
        binding(
            json!({"policyName": "a", "validationActions": ["Deny"], "paramRef": {"parameterNotFoundAction": "Nope"}}),
        ),
        binding(json!({"policyName": "a", "validationActions": ["Audit"], "matchResources": {}})),
        hook(json!({})),
        hook(json!({"name": "short", "sideEffects": null})),
        hook(json!({"sideEffects": "Some", "timeoutSeconds": 31, "failurePolicy": "x", "matchPolicy": "y"})),
        hook(json!({"clientConfig": {"url": "http://u@h/?q#f"}})),
        hook(json!({"clientConfig": {"url": null}})),
        hook(
            json!({"clientConfig": {"url": null, "service": {"name": "a", "namespace": "b", "path": "c//d", "port": 70000}}}),
        ),
        hook(json!({"admissionReviewVersions": []})),
        hook(json!({"admissionReviewVersions": ["v2", "v2", "V"]})),
        hook(json!({"matchConditions": [{"name": "x", "expression": "nope"}]})),
        hook(json!({"objectSelector": {"matchExpressions": [{"key": "a b", "operator": "Is"}]}})),
        rule(json!({"resources": ["*", "pods"]})),
        rule(json!({"resources": ["pods/*", "pods/log", "*/*"]})),
        rule(json!({"operations": ["*", "CREATE"], "apiGroups": [], "apiVersions": [""], "scope": "Both"})),
        rule(json!({"operations": ["READ"], "resources": [""]})),
    ]
}

/// What two servers said to the same request, if it differs.
struct Comparison {
    real: Client,
    plane: Client,
    differences: Vec<String>,
    compared: usize,
}

impl Comparison {
    async fn of(&mut self, what: &str, method: &str, path: &str, body: &Value) -> Value {
        let real = send(&self.real, method, path, body).await;
        let plane = send(&self.plane, method, path, body).await;
        self.compared += 1;
        if real != plane {
            self.differences.push(format!("{what}\n   real: {real}\n  plane: {plane}"));
        }
        real
    }
}

#[tokio::test]
async fn policies_and_configurations_are_answered_as_the_real_server_does() {
    let Some(server) = RealServer::start() else { return };
    let plane = Plane::new();
    let mut both = Comparison {
        real: server.client("admin").await,
        plane: plane.client(),
        differences: Vec::new(),
        compared: 0,
    };
    let limits = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"wanted": "1"},
        "metadata": {"name": "limits", "labels": {"is": "limits"}}});
    both.of("parameters", "POST", MAPS, &limits).await;
    let cases = cases();
    for (name, spec, binding, ..) in &cases {
        for (path, body) in policy(name, spec, binding) {
            both.of(&format!("{name}: {}", body["kind"]), "POST", &path, &body).await;
        }
    }
    wait_for_policies(&both.real).await;
    for (name, _, _, first, second) in &cases {
        let map = |data: &Value| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
                "metadata": {"name": format!("map-{name}"), "labels": {"case": name}}})
        };
        let path = format!("{MAPS}/map-{name}");
        let made = both.of(&format!("{name}: create"), "POST", MAPS, &map(first)).await;
        if made["code"] == 201 {
            both.of(&format!("{name}: update"), "PUT", &path, &map(second)).await;
            let apply = format!("{path}?fieldManager=m&force=true");
            both.of(&format!("{name}: apply"), "APPLY", &apply, &map(second)).await;
            both.of(&format!("{name}: patch"), "PATCH", &path, &json!({"data": {"k": "3"}})).await;
            both.of(&format!("{name}: delete"), "DELETE", &path, &json!({})).await;
        }
    }
    for (plural, body) in configurations() {
        let path = format!("{GROUP}/{plural}");
        let made = both.of(&format!("{plural}: {body}"), "POST", &path, &body).await;
        if made["code"] == 201 {
            let path = format!("{path}/refused");
            send(&both.real, "DELETE", &path, &json!({})).await;
            send(&both.plane, "DELETE", &path, &json!({})).await;
        }
    }
    let (differences, compared) = (both.differences, both.compared);
    assert!(differences.is_empty(), "{} of {compared} differ\n{}", differences.len(), differences.join("\n"));
}

/// A policy that changes objects with the label `case: NAME`, and its binding.
fn mutating(name: &str, mutations: Value, spec: &Value, binding: &Value) -> [(String, Value); 2] {
    let [(_, mut policy), (_, mut bound)] = policy(name, &json!({}), binding);
    policy["spec"]["matchConstraints"]["resourceRules"] = json!([{
        "operations": ["CREATE", "UPDATE"], "apiGroups": ["", "apps"], "apiVersions": ["v1"],
        "resources": ["configmaps", "deployments"]}]);
    policy["spec"]["mutations"] = mutations;
    policy["spec"]["reinvocationPolicy"] = "Never".into();
    json_patch::merge(&mut policy["spec"], spec);
    bound["spec"].as_object_mut().unwrap().remove("validationActions");
    let group = GROUP.replace("/v1", "/v1beta1");
    for (body, kind) in
        [(&mut policy, "MutatingAdmissionPolicy"), (&mut bound, "MutatingAdmissionPolicyBinding")]
    {
        body["apiVersion"] = "admissionregistration.k8s.io/v1beta1".into();
        body["kind"] = kind.into();
    }
    [
        (format!("{group}/mutatingadmissionpolicies"), policy),
        (format!("{group}/mutatingadmissionpolicybindings"), bound),
    ]
}

fn applies(expression: &str) -> Value {
    json!([{"patchType": "ApplyConfiguration", "applyConfiguration": { "expression": expression }}])
}

fn patches(expression: &str) -> Value {
    json!([{"patchType": "JSONPatch", "jsonPatch": { "expression": expression }}])
}

/// Name, mutations, and what is special about the policy.
fn mutations() -> Vec<(&'static str, Value, Value)> {
    let none = || json!({});
    vec![
        ("label", applies("Object{metadata: Object.metadata{labels: {'added': 'yes'}}}"), none()),
        ("data", applies("Object{data: {'added': object.data.k + '!'}}"), none()),
        ("wrong-name", applies("Object{metadata: Object.wrong{labels: {'x': 'y'}}}"), none()),
        ("no-such-key", applies("Object{data: {'x': object.data.nope}}"), none()),
        ("unknown-field", applies("Object{nope: 'x'}"), none()),
        ("wrong-type", applies("Object{metadata: Object.metadata{labels: 'x'}}"), none()),
        ("choice", applies("has(object.data.x) ? Object{} : Object{data: {'c': 'd'}}"), none()),
        (
            "namespace",
            applies("Object{data: {'in': namespaceObject.metadata.name, 'by': request.operation}}"),
            none(),
        ),
        (
            "set",
            applies("Object{metadata: Object.metadata{annotations: {'a': string(size(object.data))}}}"),
            none(),
        ),
        ("optional", applies("Object{data: {'o': object.?data.?nope.orValue('none')}}"), none()),
        ("add", patches("[JSONPatch{op: 'add', path: '/data/added', value: 'x'}]"), none()),
        (
            "tested",
            patches(
                "[JSONPatch{op: 'test', path: '/data/k', value: 'zzz'}, JSONPatch{op: 'add', path: '/data/y', value: 'z'}]",
            ),
            none(),
        ),
        ("not-there", patches("[JSONPatch{op: 'remove', path: '/data/none'}]"), none()),
        ("nowhere", patches("[JSONPatch{op: 'add', path: '/nope/none/x', value: 'x'}]"), none()),
        (
            "escaped",
            patches(
                "[JSONPatch{op: 'add', path: '/metadata/annotations', value: {'a/b': 'c'}}, JSONPatch{op: 'replace', path: '/metadata/annotations/' + jsonpatch.escapeKey('a/b'), value: 'd'}]",
            ),
            none(),
        ),
        ("moved", patches("[JSONPatch{op: 'move', from: '/data/k', path: '/data/m'}]"), none()),
        ("no-patch", patches("[]"), none()),
        (
            "unmet",
            applies("Object{data: {'x': 'y'}}"),
            json!({"matchConditions": [{"name": "c", "expression": "object.data.k == '9'"}]}),
        ),
        (
            "broken-condition",
            applies("Object{data: {'x': 'y'}}"),
            json!({"matchConditions": [{"name": "c", "expression": "object.data.nope == '9'"}]}),
        ),
        ("ignored", applies("Object{data: {'x': object.data.nope}}"), json!({"failurePolicy": "Ignore"})),
        (
            "variables",
            applies("Object{data: {'x': variables.v}}"),
            json!({"variables": [{"name": "v", "expression": "object.data.k + '?'"}]}),
        ),
        (
            "params",
            applies("Object{data: {'x': params.data.wanted}}"),
            json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}),
        ),
        (
            "unknown-params",
            applies("Object{}"),
            json!({"paramKind": {"apiVersion": "g.example.com/v1", "kind": "Unknown"}}),
        ),
        (
            "twice",
            json!([
                applies("Object{data: {'n': '1'}}")[0],
                patches("[JSONPatch{op: 'replace', path: '/data/n', value: object.data.n + '2'}]")[0]
            ]),
            none(),
        ),
        ("deploy-replicas", applies("Object{spec: Object.spec{replicas: 3}}"), none()),
        (
            "deploy-sidecar",
            applies(
                "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [Object.spec.template.spec.containers{name: 'side', image: 'i'}]}}}}",
            ),
            none(),
        ),
        (
            "deploy-env",
            applies(
                "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: object.spec.template.spec.containers.map(c, Object.spec.template.spec.containers{name: c.name, env: [Object.spec.template.spec.containers.env{name: 'A', value: 'b'}]})}}}}",
            ),
            none(),
        ),
        (
            "deploy-atomic",
            applies("Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}"),
            none(),
        ),
        (
            "deploy-args",
            applies(
                "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: [Object.spec.template.spec.containers{name: 'c', args: ['x']}]}}}}",
            ),
            none(),
        ),
    ]
}

/// Mutating policies that the server has something against.
fn wrong_mutations() -> Vec<(Value, Value)> {
    let none = || json!({});
    vec![
        (applies("1"), none()),
        (applies("Object{metadata: nope}"), none()),
        (applies(" "), none()),
        (patches("Object{}"), none()),
        (patches("[1]"), none()),
        (patches("[JSONPatch{op: 1}]"), none()),
        (patches("[JSONPatch{nope: 'x'}]"), none()),
        (json!([]), none()),
        (json!([{"patchType": "Magic"}, {"patchType": "JSONPatch"}, {}]), none()),
        (
            json!([{"patchType": "JSONPatch", "applyConfiguration": {"expression": "Object{}"}, "jsonPatch": {"expression": "[]"}}]),
            none(),
        ),
        (applies("Object{}"), json!({"reinvocationPolicy": "Always"})),
        (applies("Object{}"), json!({"reinvocationPolicy": null})),
        (
            applies("Object{}"),
            json!({"matchConstraints": {"resourceRules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}}),
        ),
        (applies("Object{}"), json!({"variables": [{"name": "a", "expression": "nope"}]})),
    ]
}

#[tokio::test]
async fn objects_are_changed_as_the_real_server_changes_them() {
    let flags = [
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
        "--feature-gates=MutatingAdmissionPolicy=true",
    ];
    let Some(server) = RealServer::start_with(&flags) else { return };
    let plane = Plane::builder().mutating_admission_policies(true).build();
    let mut both = Comparison {
        real: server.client("admin").await,
        plane: plane.client(),
        differences: Vec::new(),
        compared: 0,
    };
    let limits = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"wanted": "1"},
        "metadata": {"name": "limits", "labels": {"is": "limits"}}});
    both.of("parameters", "POST", MAPS, &limits).await;
    let cases = mutations();
    for (name, mutations, spec) in &cases {
        let binding = match spec["paramKind"].is_object() {
            true => {
                json!({"paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}})
            }
            false => json!({}),
        };
        for (path, body) in mutating(name, mutations.clone(), spec, &binding) {
            both.of(&format!("{name}: {}", body["kind"]), "POST", &path, &body).await;
        }
    }
    wait_for_policies(&both.real).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (name, ..) in &cases {
        let metadata = json!({"name": format!("map-{name}"), "labels": {"case": name}});
        let (collection, body, changed) = if name.starts_with("deploy") {
            let spec = json!({
                "selector": {"matchLabels": {"app": "a"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            });
            let body =
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec});
            let changed = json!({"spec": {"paused": true}});
            ("/apis/apps/v1/namespaces/default/deployments", body, changed)
        } else {
            let body =
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "1"}});
            (MAPS, body, json!({"data": {"k": "9"}}))
        };
        let made = both.of(&format!("{name}: create"), "POST", collection, &body).await;
        if made["code"] == 201 {
            let path = format!("{collection}/map-{name}");
            both.of(&format!("{name}: patch"), "PATCH", &path, &changed).await;
            both.of(&format!("{name}: apply"), "APPLY", &format!("{path}?fieldManager=m&force=true"), &body)
                .await;
        }
    }
    for (mutations, spec) in wrong_mutations() {
        let [(path, body), _] = mutating("refused", mutations, &spec, &json!({}));
        both.of(&body.to_string(), "POST", &path, &body).await;
    }
    let (differences, compared) = (both.differences, both.compared);
    assert!(differences.is_empty(), "{} of {compared} differ\n{}", differences.len(), differences.join("\n"));
}

/// The real server takes up policies some time after they were written.
async fn wait_for_policies(real: &Client) {
    let start = Instant::now();
    for (path, body) in policy("sentinel", &validate("false"), &json!({})) {
        assert_eq!(send(real, "POST", &path, &body).await["code"], 201);
    }
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "probe", "labels": {"case": "sentinel"}}});
    let path = format!("{MAPS}?dryRun=All");
    while send(real, "POST", &path, &probe).await["code"] != 422 {
        assert!(start.elapsed() < WITHIN, "the real server does not take up a policy");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
