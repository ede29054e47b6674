//! An operator's hand: a tenant that goes in the right order, approvals, suspensions; with the binary as it is used.

use std::time::Duration;

use base64::Engine as _;
use moin::finding::Code;
use moin::plane::{Plane, Serving};
use serde_json::{Value, json};

use crate::support::moin::{Finished, Moin};
use crate::support::scenario::{
    CONFIG_MAP, CRD, Kind, NAMESPACE, SECRET, Scenario, condition, crd, holds, map, namespace,
};

const CLUSTER: Kind = ("cluster.x-k8s.io/v1beta1", "Cluster", "clusters");
const HELD: &str = "cluster.cluster.x-k8s.io";

/// Moin's binary against the plane of a scenario.
pub(super) struct Operator {
    moin: Moin,
    kubeconfig: String,
    _serving: Serving,
}

impl Operator {
    pub(super) async fn of(scenario: &Scenario) -> Operator {
        let (serving, kubeconfig) = scenario.serve().await;
        Operator { moin: Moin::new(), kubeconfig, _serving: serving }
    }

    /// With the cluster named.
    pub(super) async fn says(&self, args: &[&str]) -> Finished {
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--kubeconfig".to_owned(), self.kubeconfig.clone()]);
        tokio::task::block_in_place(|| self.moin.run(&args))
    }

    /// As it is, for commands that need no cluster.
    pub(super) async fn runs(&self, args: &[&str]) -> Finished {
        tokio::task::block_in_place(|| self.moin.run(args))
    }

    pub(super) async fn succeeds(&self, args: &[&str]) -> String {
        let finished = self.says(args).await;
        assert_eq!(finished.code, Some(0), "{args:?}: {}", finished.said());
        finished.stdout
    }
}

/// A tenant with a Cluster, its credentials and a role binding of its namespace.
async fn tenant() -> Scenario {
    let scenario = Scenario::new();
    scenario.somebody_applies("capi", CRD, crd("cluster.x-k8s.io", "v1beta1", "Cluster", "cl")).await;
    let cluster = format!(
        "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata:\n  name: web\n  namespace: a\n  \
         finalizers: [{HELD}]\nspec:\n  identityRef: {{name: cloud}}\n"
    );
    let secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: cloud\n  namespace: a\n";
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata:\n  name: q\n  namespace: a\nspec:\n  hard: {pods: 9}\n";
    scenario.commit(&[
        ("a/namespace.yaml", namespace("a")),
        ("a/cluster.yaml", cluster),
        ("a/secret.yaml", secret.to_owned()),
        ("a/quota.yaml", quota.to_owned()),
        ("b.yaml", map("b", "1")),
    ]);
    scenario
}

fn leave(scenario: &Scenario) {
    for file in ["namespace", "cluster", "secret", "quota"] {
        scenario.repository.remove(&format!("a/{file}.yaml"));
    }
    scenario.commit(&[]);
}

async fn finish(scenario: &Scenario, name: &str) {
    let patch = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    scenario.api(CLUSTER, Some("a")).patch(name, &Default::default(), &patch).await.unwrap();
}

fn is_gone(object: Option<&Value>) -> bool {
    object.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_goes_in_order_and_only_with_approvals() {
    let scenario = tenant().await;
    let operator = Operator::of(&scenario).await;
    let daemon = scenario.forever();
    scenario.until_told(|status| status["objects"]["inSync"] == 5).await;
    assert_eq!(operator.succeeds(&["approve"]).await, "nothing waits for an approval\n");
    leave(&scenario);
    scenario.until_found(Code::ApprovalNeeded).await;
    scenario.until_told(|status| status["objects"]["rendered"] == 1).await;
    let waits = operator.succeeds(&["approve"]).await;
    holds(waits.contains("moin approve delete Cluster.cluster.x-k8s.io/a/web"), &waits);
    let status = operator.says(&["status"]).await.stdout;
    holds(status.contains("waits for: moin approve delete Namespace/a"), &status);
    holds(scenario.deletions().is_empty(), &scenario.deletions());

    let shown = operator.succeeds(&["approve", "delete", "Cluster/a/web", "--dry-run"]).await;
    holds(shown.contains("protected kind") && !shown.contains("approved"), &shown);
    operator.succeeds(&["approve", "delete", "Namespace/a", "--reason", "team-a closes"]).await;
    operator.succeeds(&["approve", "delete", "Cluster/a/web"]).await;
    let finding = scenario.until_found(Code::DeletionUnderWay).await;
    holds(finding["message"].as_str().unwrap().contains(HELD), &finding);
    holds(finding["help"].as_str().unwrap().contains("wait for it"), &finding);
    assert!(scenario.get(SECRET, Some("a"), "cloud").await.is_some(), "credentials outlive the Cluster");
    let given = operator.succeeds(&["approve"]).await;
    holds(given.contains("approved: delete Namespace/a") && given.contains("team-a closes"), &given);

    finish(&scenario, "web").await;
    scenario.until(NAMESPACE, None, "a", is_gone).await;
    // By then the answers to all deletions have come, and are noted.
    scenario.until_told(|status| condition(status, "Ready") == Some("True")).await;
    let order: Vec<String> =
        scenario.deletions().iter().map(|path| path.rsplit('/').nth(1).unwrap().to_owned()).collect();
    holds(order.first().is_some_and(|kind| kind == "clusters"), &order);
    holds(order.last().is_some_and(|kind| kind == "namespaces") && order.len() == 4, &order);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_a_load_balancer_waits_for_it_or_for_force() {
    let scenario = tenant().await;
    let workload = Plane::new();
    let serving = workload.serve("127.0.0.1:0").await.unwrap();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ingress", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    let services: kube::Api<k8s_openapi::api::core::v1::Service> =
        kube::Api::namespaced(workload.client(), "default");
    services.create(&Default::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let operator = Operator::of(&scenario).await;
    let daemon = scenario.forever();
    scenario.until_told(|status| status["objects"]["inSync"] == 5).await;
    let kubeconfig = base64::engine::general_purpose::STANDARD.encode(workload.kubeconfig(serving.url()));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-kubeconfig", "namespace": "a"},
        "data": {"value": kubeconfig}});
    scenario.somebody_applies("capi", SECRET, secret).await;
    let up = kube::api::Patch::Merge(json!({"status": {"controlPlaneReady": true}}));
    scenario.api(CLUSTER, Some("a")).patch_status("web", &Default::default(), &up).await.unwrap();
    leave(&scenario);
    scenario.until_found(Code::ApprovalNeeded).await;
    operator.succeeds(&["approve", "delete", "Cluster/a/web"]).await;
    let finding = scenario.until_found(Code::DeletionHeldUp).await;
    holds(finding["message"].as_str().unwrap().contains("Service default/ingress"), &finding);
    holds(finding["help"].as_str().unwrap().contains("kubectl delete service -n default ingress"), &finding);
    holds(scenario.deletions().is_empty(), &scenario.deletions());
    operator.succeeds(&["approve", "force-delete"]).await;
    scenario.until_found(Code::DeletionUnderWay).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_suspended_stays_as_it_is_until_it_is_resumed() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("gone.yaml", map("gone", "1"))]);
    let operator = Operator::of(&scenario).await;
    let daemon = scenario.forever();
    scenario.until_value("a", "1").await;
    scenario.until_told(|status| status["objects"]["inSync"] == 2).await;
    let refused = operator.says(&["suspend", "no-such-unit"]).await;
    assert_eq!(refused.code, Some(2));
    holds(refused.stderr.contains("units are root"), &refused.stderr);
    let said = operator.succeeds(&["suspend", "root", "--reason", "repair"]).await;
    holds(said.contains("root: suspended by ") && said.ends_with(": repair\n"), &said);
    scenario.until_found(Code::SuspendedByOperator).await;
    scenario.repository.remove("gone.yaml");
    let commit = scenario.commit(&[("a.yaml", map("a", "2"))]);
    scenario.until_told(move |status| status["revision"] == commit.as_str()).await;
    scenario.until_told(|status| status["conditions"][0]["reason"] == "Suspended").await;
    let status = operator.says(&["status"]).await;
    holds(status.code == Some(1) && status.stdout.starts_with("test: suspended, "), &status.said());
    let status = status.stdout;
    holds(status.contains("suspended by ") && status.contains("moin resume root"), &status);
    holds(status.contains("unit root is suspended"), &status);
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"));
    let wrong = operator.says(&["resume", "other"]).await;
    holds(wrong.code == Some(2) && wrong.stderr.contains("not suspended"), &wrong.stderr);
    assert_eq!(operator.succeeds(&["resume", "--all"]).await, "nothing is suspended\n");
    scenario.until_value("a", "2").await;
    scenario.until(CONFIG_MAP, Some("default"), "gone", is_gone).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_approved_says_why() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1"))]);
    let operator = Operator::of(&scenario).await;
    let nobody = operator.says(&["approve"]).await;
    holds(nobody.code == Some(2) && nobody.stderr.contains("moin run"), &nobody.stderr);
    let status = operator.says(&["status"]).await;
    holds(
        status.code == Some(2) && status.stderr.contains("moin is not installed in this cluster"),
        &status.said(),
    );
    scenario.converges().await;
    for (args, why) in [
        (vec!["approve", "delete", "ConfigMap/default/none"], "there is no ConfigMap/default/none"),
        (vec!["approve", "delete", "ConfigMap/none"], "Kind/NAMESPACE/NAME"),
        (vec!["approve", "delete", "Widget/a/b"], "nobody serves the kind Widget"),
        (vec!["approve", "delete", "nonsense"], "is not Kind"),
        (vec!["approve", "kill", "x"], "actions are delete"),
        (vec!["approve", "revision", "main"], "no commit id"),
        (vec!["approve", "delete"], "nothing waits for this"),
        (vec!["approve", "--name", "other"], "nothing here is called"),
    ] {
        let finished = operator.says(&args).await;
        holds(finished.code == Some(2) && finished.stderr.contains(why), &finished.said());
    }
    // The same credentials, used as somebody without any role.
    let mut reader: Value = kubeconfig_of(&operator.kubeconfig);
    reader["users"][0]["user"]["as"] = "reader".into();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reader").display().to_string();
    std::fs::write(&file, reader.to_string()).unwrap();
    let moin = Moin::new();
    let args = ["suspend", "--all", "--kubeconfig", &file];
    let refused = tokio::task::block_in_place(|| moin.start(&args).wait(Duration::from_secs(60)));
    holds(refused.code == Some(2) && refused.stderr.contains("lacks the right"), &refused.said());
}

fn kubeconfig_of(file: &str) -> Value {
    let text = std::fs::read(file).unwrap();
    let mut documents = moin::yaml::read(&"kubeconfig".parse().unwrap(), &text);
    documents.remove(0).unwrap().value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diff_against_a_cluster_goes_by_what_is_applied_there() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    let operator = Operator::of(&scenario).await;
    scenario.converges().await;
    let of_another = |name: &str, key: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
            "data": {key: "9"}})
    };
    scenario.somebody_applies("jane", CONFIG_MAP, of_another("a", "other")).await;
    scenario.somebody_applies("jane", CONFIG_MAP, of_another("b", "key")).await;
    scenario.repository.write("a.yaml", &format!("{}  other: mine\n", map("a", "1")));
    let folder = scenario.repository.path().display().to_string();
    let diff = ["diff", "--live", "--repo", folder.as_str()];
    let said = operator.says(&diff).await;
    holds(said.code == Some(1), &said.said());
    holds(said.stdout.contains("! ConfigMap/default/a (blocked)"), &said.said());
    holds(said.stdout.contains("somebody else owns data.other (owned by \"jane\")"), &said.said());
    holds(said.stdout.contains("~ ConfigMap/default/b (repair, in place)"), &said.said());
    holds(said.stdout.contains("changed in the cluster by jane"), &said.said());
    operator.succeeds(&["suspend", "root", "--reason", "repair"]).await;
    let said = operator.says(&diff).await;
    holds(said.stdout.contains("! ConfigMap/default/b (differs, suspended)"), &said.said());
    holds(
        said.stdout.contains("unit root is suspended by ") && said.stdout.contains("2 suspended"),
        &said.said(),
    );
    let said = operator.says(&[&diff[..], &["-o", "json"]].concat()).await;
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    let actions: Vec<&Value> =
        report["objects"].as_array().unwrap().iter().map(|object| &object["action"]).collect();
    assert_eq!(actions, ["suspended", "suspended"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_known_again_after_a_restart_and_by_its_place() {
    let scenario = Scenario::new();
    let operator = Operator::of(&scenario).await;
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = place.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    let folder = |name: &str| place.path().join(name).display().to_string();
    let (one, other, cache) = (folder("one"), folder("other"), folder("cache"));
    file("one/a.yaml", &map("a", "1"));
    file("other/a.yaml", &map("a", "2"));
    let run = ["run", "--once", "--name", "test", "--cache-dir", cache.as_str(), "--repo"];
    operator.succeeds(&[&run[..], &[&one]].concat()).await;
    let by_hand = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"},
        "data": {"key": "9"}});
    scenario.somebody_applies("jane", CONFIG_MAP, by_hand).await;
    file("one/b.yaml", &map("b", "1"));
    operator.succeeds(&[&run[..], &[&one]].concat()).await;
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"), "what was applied before was still known");
    let refused = operator.says(&[&run[..], &[&other]].concat()).await;
    assert_eq!(refused.code, Some(2));
    holds(refused.stderr.contains("MOIN-0706") && refused.stderr.contains("help: "), &refused.said());
}
