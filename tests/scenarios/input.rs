//! A repository with mistakes in it: they are named, and hold up nothing but themselves.

use std::time::Duration;

use moin::finding::Code;
use serde_json::json;

use crate::support::scenario::{
    CONFIG_MAP, CRD, NAMESPACE, Scenario, crd, finding, holds, map, namespace, place, settings,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_holds_up_nothing_but_itself_and_pruning() {
    let files = ["broken", "good", "gone"].map(|name| (format!("{name}.yaml"), map(name, "1")));
    let scenario = Scenario::with(&files.each_ref().map(|(file, text)| (file.as_str(), text.clone())));
    scenario.converges().await;
    scenario.repository.remove("gone.yaml");
    scenario
        .commit(&[("broken.yaml", "apiVersion: v1\nkind: [\n".to_owned()), ("good.yaml", map("good", "2"))]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let broken = finding(&ended, Code::BrokenYaml, "");
    holds(place(broken).starts_with("broken.yaml:"), broken);
    assert_eq!(scenario.value("good").await.as_deref(), Some("2"));
    assert_eq!(scenario.value("broken").await.as_deref(), Some("1"), "what it held stays");
    assert!(scenario.map("gone").await.is_some(), "nobody knows what the broken file holds: pruning waits");
    holds(scenario.deletions().is_empty(), &scenario.deletions());

    scenario.commit(&[("broken.yaml", map("broken", "2"))]);
    scenario.converges().await;
    assert!(scenario.map("gone").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_nobody_serves_waits_alone() {
    let strange = format!(
        "{}---\napiVersion: example.org/v1\nkind: Strange\nmetadata:\n  name: odd\n  namespace: default\n",
        map("a", "1")
    );
    let scenario = Scenario::with(&[("a.yaml", strange), ("b.yaml", map("b", "1"))]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let unserved = finding(&ended, Code::KindNotServed, "Strange/default/odd");
    assert_eq!(place(unserved), "a.yaml:9");
    assert_eq!(ended.report.objects.blocked, 1);
    assert!(scenario.map("a").await.is_some() && scenario.map("b").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_is_never_established_is_waited_for_and_named() {
    let scenario = Scenario::new();
    // Somebody else has the short name that ours wants, so the server never accepts its names.
    scenario.somebody_applies("kubectl", CRD, crd("example.org", "v1", "Widget", "gd")).await;
    let ours = crd("example.org", "v1", "Gadget", "gd");
    let gadget = json!({"apiVersion": "example.org/v1", "kind": "Gadget",
        "metadata": {"name": "one", "namespace": "default"}, "spec": {}});
    scenario.commit(&[("crd.yaml", ours.to_string()), ("a.yaml", map("a", "1"))]);
    scenario.repository.write("gadget.yaml", &gadget.to_string());
    scenario.repository.commit("Use it");
    let ended = scenario.once_within(Duration::from_secs(6)).await;
    assert_eq!(ended.code, 1);
    let late = finding(&ended, Code::UnitTimedOut, "");
    holds(
        late.message.contains("Gadget.example.org/default/one")
            || late.message.contains("Gadget/default/one"),
        late,
    );
    assert!(scenario.map("a").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_does_not_compile_fails_closed() {
    let policy = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: broken
spec:
  validationFailureAction: Enforce
  rules:
    - name: rule
      match:
        any:
          - resources:
              kinds: [ConfigMap]
      validate:
        message: no
        deny:
          conditions:
            any:
              - key: "{{ request.object.( }}"
                operator: Equals
                value: x
"#;
    let scenario = Scenario::with(&[
        ("moin.yaml", settings("  policies: [policies]")),
        ("policies/broken.yaml", policy.to_owned()),
        ("a.yaml", map("a", "1")),
        ("team.yaml", namespace("team")),
    ]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let invalid = finding(&ended, Code::PolicyInvalid, "");
    holds(place(invalid).starts_with("policies/broken.yaml:"), invalid);
    assert!(scenario.map("a").await.is_none(), "what it could match is refused");
    let team = scenario.get(NAMESPACE, None, "team").await;
    assert!(team.is_some(), "what it cannot match is applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_the_server_refuses_is_named_with_its_place() {
    // A name that no schema forbids and the server does.
    let bad = map("a", "1").replace("name: a", "name: Not_A_Name");
    let scenario = Scenario::with(&[("bad.yaml", bad), ("good.yaml", map("good", "1"))]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let refused = ended.report.findings.iter().find(|it| place(it).starts_with("bad.yaml:"));
    holds(refused.is_some_and(|it| it.message.contains("Not_A_Name")), &ended.report.findings);
    assert!(scenario.map("good").await.is_some());
    assert_eq!(scenario.versions(CONFIG_MAP).await.len(), 1);
}
