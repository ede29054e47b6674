use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::yaml;

fn set(text: &str) -> Arc<PolicySet> {
    let (set, findings) = PolicySet::compile(&manifests(text));
    assert_eq!(findings, []);
    Arc::new(set)
}

fn manifests(text: &str) -> Vec<Arc<Manifest>> {
    let documents = yaml::read(&"policies.yaml".parse().unwrap(), text.as_bytes());
    documents.into_iter().map(|document| Arc::new(document.unwrap().into_manifest().unwrap())).collect()
}

fn policies(action: &str) -> Arc<PolicySet> {
    set(&format!(
        r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: owners}}
spec:
  validationFailureAction: {action}
  rules:
    - name: has-owner
      match: {{any: [{{resources: {{kinds: [ConfigMap, Secret], namespaceSelector: {{matchLabels: {{tenant: "yes"}}}}}}}}]}}
      validate:
        message: "it's nobody's: {{{{ request.object.data.key || '' }}}}"
        pattern: {{metadata: {{labels: {{owner: "?*"}}}}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: tags}}
spec:
  rules:
    - name: tag
      match: {{any: [{{resources: {{kinds: [ConfigMap]}}}}]}}
      mutate: {{patchStrategicMerge: {{metadata: {{labels: {{+(tag): made}}}}}}}}
"#
    ))
}

fn judge(set: &Arc<PolicySet>) -> Judge {
    let judge = Judge {
        policies: AdmissionPolicies::default(),
        exempt: Arc::new(Exempt { namespaces: vec![SYSTEM_NAMESPACE.to_owned()] }),
        metrics: Arc::default(),
        questions: Arc::default(),
        open: false,
        patience: PATIENCE,
        turns: Turns::default(),
    };
    judge.policies.publish(set, &Schemas::builtin(), &[], [(&"team-a".to_owned(), &namespace("yes"))]);
    judge
}

fn namespace(tenant: &str) -> LiveObject {
    LiveObject::new(json!({"metadata": {"labels": {"tenant": tenant}}}))
}

fn review(namespace: &str, kind: &str, labels: Value) -> Value {
    let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "namespace": namespace, "labels": labels},
        "data": {"key": "c2VjcmV0LXRoaW5n"}});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": kind}, "namespace": namespace, "name": "a",
        "operation": "CREATE", "userInfo": {"username": "jo"}, "object": object, "oldObject": null}})
}

async fn ask(judge: &Judge, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = http::Request::post(path).body(axum::body::Body::from(body.to_string())).unwrap();
    let response = router(judge.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice::<Value>(&bytes).unwrap_or_default()["response"].take())
}

#[tokio::test]
async fn what_breaks_an_enforced_rule_is_refused_in_kyvernos_words() {
    let judge = judge(&policies("Enforce"));
    let (status, response) = ask(&judge, "/validate", &review("team-a", "ConfigMap", json!({}))).await;
    assert_eq!(
        (status, &response["allowed"], &response["uid"]),
        (StatusCode::OK, &json!(false), &json!("u-1"))
    );
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("\n\nresource ConfigMap/team-a/a was blocked due to the following policies \n\nowners:\n  has-owner: '"), "{message}");
    assert!(message.contains("it''s nobody''s"), "{message}");
    let (_, allowed) = ask(&judge, "/validate", &review("team-a", "ConfigMap", json!({"owner": "x"}))).await;
    assert_eq!(allowed, json!({"uid": "u-1", "allowed": true}));
    let (_, elsewhere) = ask(&judge, "/validate", &review("team-b", "ConfigMap", json!({}))).await;
    assert_eq!(elsewhere["allowed"], true, "the rule is about namespaces with a label");
    let text = judge.metrics.text();
    assert!(text.contains("moin_admission_seconds_count{outcome=\"refused\"} 1"), "{text}");
}

#[tokio::test]
async fn a_rule_that_reports_warns_and_no_answer_holds_a_secret() {
    let reporting = judge(&policies("Audit"));
    let (_, response) = ask(&reporting, "/validate", &review("team-a", "ConfigMap", json!({}))).await;
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().starts_with("policy owners.has-owner: "), "{response}");
    let enforcing = judge(&policies("Enforce"));
    let (_, response) = ask(&enforcing, "/validate", &review("team-a", "Secret", json!({}))).await;
    assert_eq!(response["allowed"], false);
    assert!(!response.to_string().contains("c2VjcmV0"), "{response}");
}

#[tokio::test]
async fn no_answer_holds_what_stood_in_a_secret_or_in_one_that_a_policy_looked_up() {
    for action in ["Enforce", "Audit"] {
        let telling = set(&format!(
            r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: tells}}
spec:
  validationFailureAction: {action}
  rules:
    - name: what-was
      match: {{any: [{{resources: {{kinds: [Secret]}}}}]}}
      validate: {{message: "was {{{{ request.oldObject.data.key || '' }}}}", pattern: {{metadata: {{labels: {{owner: "?*"}}}}}}}}
    - name: what-another-holds
      match: {{any: [{{resources: {{kinds: [ConfigMap]}}}}]}}
      context:
        - {{name: one, apiCall: {{urlPath: /api/v1/namespaces/shop/secrets/token}}}}
        - {{name: all, apiCall: {{urlPath: /api/v1/namespaces/shop/secrets}}}}
      validate:
        message: "reads {{{{ one.data.token }}}} and {{{{ all.items[0].data.token }}}}"
        deny: {{}}
"#
        ));
        let judge = judge(&telling);
        let stop = CancellationToken::new();
        tokio::spawn(judge.questions.clone().keep(secrets(), stop.clone()));
        let (_, response) = ask(&judge, "/validate", &review("team-a", "ConfigMap", json!({}))).await;
        let text = response.to_string();
        assert!(text.contains("reads (masked) and (masked)"), "{text}");
        let mut update = review("team-a", "Secret", json!({}));
        update["request"]["operation"] = "UPDATE".into();
        update["request"]["oldObject"] = update["request"]["object"].clone();
        update["request"]["oldObject"]["data"]["key"] = "b2xkLXRoaW5n".into();
        update["request"]["oldObject"]["metadata"]["labels"]["owner"] = "x".into();
        let text = ask(&judge, "/validate", &update).await.1.to_string();
        assert!(text.contains("was (masked)"), "{text}");
        stop.cancel();
    }
}

/// An API server with a Secret, which it lists without its kind.
fn secrets() -> Cluster {
    let one = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "shop"},
        "data": {"token": "c3dvcmRmaXNo"}});
    let all = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {},
        "items": [{"metadata": one["metadata"], "data": {"token": "d29sZnNiYW5l"}}]});
    let get = |answer: Value| axum::routing::get(async move || Json(answer));
    let router = axum::Router::new()
        .route("/api/v1/namespaces/shop/secrets/token", get(one))
        .route("/api/v1/namespaces/shop/secrets", get(all));
    Cluster::from_client(kube::Client::new(router, "default"))
}

#[tokio::test]
async fn a_mutation_is_a_patch() {
    let judge = judge(&policies("Enforce"));
    let (_, response) = ask(&judge, "/mutate", &review("team-b", "ConfigMap", json!({"owner": "x"}))).await;
    let patch: Value =
        serde_json::from_slice(&STANDARD.decode(response["patch"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(patch, json!([{"op": "add", "path": "/metadata/labels/tag", "value": "made"}]));
    assert_eq!(response["patchType"], "JSONPatch");
    let (_, response) = ask(&judge, "/mutate", &review("team-b", "ConfigMap", json!({"tag": "own"}))).await;
    assert_eq!(response, json!({"uid": "u-1", "allowed": true}));
}

#[tokio::test]
async fn moins_own_namespace_and_nonsense_are_not_judged() {
    let judge = judge(&set(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: none}\nspec: {background: false, validationFailureAction: Enforce, rules: [{name: refuse, match: {any: [{resources: {kinds: ['*']}}]}, validate: {message: never, pattern: {metadata: {labels: {never: here}}}}}]}",
    ));
    let refused = ask(&judge, "/validate", &review("team-a", "ConfigMap", json!({}))).await.1;
    assert_eq!(refused["allowed"], false);
    let own = ask(&judge, "/validate", &review(SYSTEM_NAMESPACE, "ConfigMap", json!({}))).await.1;
    assert_eq!(own["allowed"], true);
    let mut namespace = review("", "Namespace", json!({}));
    namespace["request"]["name"] = SYSTEM_NAMESPACE.into();
    assert_eq!(ask(&judge, "/validate", &namespace).await.1["allowed"], true);
    assert_eq!(ask(&judge, "/validate", &json!({})).await.0, StatusCode::BAD_REQUEST);
    // A collection is deleted: there is no object.
    let mut collection = review("team-a", "ConfigMap", json!({}));
    collection["request"]["operation"] = "DELETE".into();
    assert_eq!(ask(&judge, "/validate", &collection).await.1["allowed"], true);
}

#[tokio::test]
async fn without_policies_there_is_no_answer_and_new_ones_are_taken_up_at_once() {
    let judge = judge(&policies("Enforce"));
    let bare = Judge { policies: AdmissionPolicies::default(), ..judge.clone() };
    let asked = review("team-a", "ConfigMap", json!({}));
    let request = http::Request::post("/validate").body(axum::body::Body::from(asked.to_string())).unwrap();
    let response = router(bare).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let told = response.into_body().collect().await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((&told["kind"], &told["code"]), (&json!("Status"), &json!(503)));
    assert!(told["message"].as_str().unwrap().contains("has no policies yet"), "{told}");
    let mut changes = judge.policies.subscribe();
    changes.mark_unchanged();
    let same = judge.policies.current().unwrap().set.clone();
    judge.policies.publish(&same, &Schemas::builtin(), &[], [(&"team-a".to_owned(), &namespace("no"))]);
    assert_eq!(
        ask(&judge, "/validate", &asked).await.1["allowed"],
        true,
        "the namespace has another label now"
    );
    assert!(!changes.has_changed().unwrap(), "which needs no other registration");
    judge.policies.publish(&policies("Audit"), &Schemas::builtin(), &[], []);
    assert!(changes.has_changed().unwrap());
}

/// Policies that ask for a ConfigMap, in both languages.
fn asking() -> Arc<PolicySet> {
    set(r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: owners}
spec:
  validationFailureAction: Enforce
  rules:
    - name: known-owner
      match: {any: [{resources: {kinds: [ConfigMap]}}]}
      context: [{name: owners, configMap: {name: owners, namespace: shop}}]
      validate:
        message: "nobody knows {{ request.object.metadata.labels.owner }}"
        deny: {conditions: {all: [{key: "{{ request.object.metadata.labels.owner }}", operator: NotEquals, value: "{{ owners.data.first }}"}]}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: not-the-last}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations:
    - expression: object.metadata.labels.owner != resource.Get("v1", "configmaps", "shop", "owners").data.last
      message: the last one owns nothing
"#)
}

/// An API server that knows the owners, and how often it was asked.
fn server() -> (Cluster, Arc<std::sync::atomic::AtomicUsize>) {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let times = asked.clone();
    let owners = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owners", "namespace": "shop"},
        "data": {"first": "ann", "last": "zoe"}});
    let router = axum::Router::new().route(
        "/api/v1/namespaces/shop/configmaps/owners",
        axum::routing::get(move || {
            times.fetch_add(1, Ordering::Relaxed);
            let owners = owners.clone();
            async move { Json(owners) }
        }),
    );
    (Cluster::from_client(kube::Client::new(router, "default")), asked)
}

#[tokio::test]
async fn what_policies_ask_for_is_asked_once_and_waited_for() {
    let judge = judge(&asking());
    let (cluster, asked) = server();
    let stop = CancellationToken::new();
    tokio::spawn(judge.questions.clone().keep(cluster, stop.clone()));
    for (owner, allowed, said) in
        [("ann", true, ""), ("bob", false, "nobody knows bob"), ("zoe", false, "the last one owns nothing")]
    {
        let (_, response) =
            ask(&judge, "/validate", &review("shop", "ConfigMap", json!({"owner": owner}))).await;
        assert_eq!(response["allowed"], allowed, "{response}");
        assert!(response["status"]["message"].as_str().unwrap_or_default().contains(said), "{response}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    stop.cancel();
}

#[tokio::test]
async fn what_nobody_answers_goes_by_the_webhooks_failure_policy() {
    let closed = Judge { patience: Duration::from_millis(20), ..judge(&asking()) };
    let asked = review("shop", "ConfigMap", json!({"owner": "ann"}));
    let (_, response) = ask(&closed, "/validate", &asked).await;
    assert_eq!(response["allowed"], false);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("/api/v1/namespaces/shop/configmaps/owners is being asked for"), "{message}");
    assert!(message.contains("(no answer yet: try again)"), "{message}");
    let open = Judge { open: true, ..closed };
    let (_, response) = ask(&open, "/validate", &asked).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(response["warnings"].as_array().unwrap().len(), 2, "{response}");
}

#[tokio::test]
async fn what_the_repository_describes_is_not_asked_for() {
    let judge = judge(&asking());
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owners, namespace: shop}\ndata: {first: bob, last: yan}\n";
    let described = manifests(text);
    judge.policies.publish(&asking(), &Schemas::builtin(), &described, []);
    for (owner, allowed) in [("bob", true), ("ann", false), ("yan", false)] {
        let (_, response) =
            ask(&judge, "/validate", &review("shop", "ConfigMap", json!({"owner": owner}))).await;
        assert_eq!(response["allowed"], allowed, "{response}");
    }
    assert!(judge.questions.world().open().is_empty());
}

#[tokio::test]
async fn a_question_of_one_rule_gets_nothing_past_another() {
    let policies = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: signed}
spec:
  validationFailureAction: Enforce
  rules:
    - name: by-us
      match: {any: [{resources: {kinds: [Pod]}}]}
      verifyImages:
        - imageReferences: ["ghcr.io/*"]
          failureAction: Enforce
          attestors: [{entries: [{keyless: {subject: us, issuer: https://issuer.example, rekor: {url: https://rekor.example}}}]}]
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: sizes}
spec:
  validationFailureAction: Audit
  rules:
    - name: size
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate:
        message: too large
        foreach:
          - list: request.object.spec.containers
            context: [{name: data, imageRegistry: {reference: "{{ element.image }}"}}]
            deny: {conditions: {all: [{key: "{{ data.manifest.size }}", operator: GreaterThan, value: 10}]}}
"#;
    let set = Arc::new(PolicySet::compile(&manifests(policies)).0);
    let judge = Judge { open: true, ..judge(&set) };
    let mut pod = review("shop", "Pod", json!({}));
    pod["request"]["object"]["spec"] = json!({"containers": [{"name": "a", "image": "ghcr.io/a/b:1"}]});
    let (_, response) = ask(&judge, "/validate", &pod).await;
    assert_eq!(response["allowed"], false, "{response}");
    assert!(response["warnings"][0].as_str().unwrap().contains("not evaluated offline"), "{response}");
}

#[tokio::test]
async fn what_one_asks_too_much_gets_nothing_past_a_rule_nor_does_what_is_not_there() {
    use crate::policy::Outside as _;
    use crate::policy::{Neighbours, World};
    let judge = Judge { open: true, patience: Duration::from_millis(20), ..judge(&asking()) };
    {
        let world = judge.questions.world();
        let around = Neighbours::new(&world, &[], []);
        (0..2000).for_each(|at| drop(around.of(&Value::Null).get(&format!("/api/v1/{at}"))));
    }
    let asked = review("shop", "ConfigMap", json!({"owner": "ann"}));
    let (_, response) = ask(&judge, "/validate", &asked).await;
    assert_eq!(response["allowed"], false, "{response}");
    assert!(response["status"]["message"].as_str().unwrap().contains("more than 2000 paths"), "{response}");
    let path = "/api/v1/namespaces/shop/configmaps/owners".to_owned();
    let allowed = |reply| {
        let mut world = World::nothing().with_cluster();
        world.hear([(path.clone(), reply)]);
        let policies = judge.policies.current().unwrap();
        let reviewer = Reviewer { policies: &policies, exempt: &judge.exempt, open: true };
        reviewer.answer(Ask::Validate, &asked, &world).unwrap().answer["response"]["allowed"].take()
    };
    assert_eq!(allowed(Ok(Err("configmaps \"owners\" not found".into()))), false);
    assert_eq!(allowed(Err("no answer within 5 s".into())), true, "that is what the failure policy is for");
}
