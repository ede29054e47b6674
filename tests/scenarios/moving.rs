//! Moving in from Flux, moving out again, and going back; with the binary as it is used.

use moin::model::OWNER_LABEL;
use serde_json::{Value, json};

use crate::support::moin::Finished;
use crate::support::scenario::{
    CONFIG_MAP, CRD, Kind, LEASE, NAMESPACE, Scenario, crd, holds, map, settings,
};

use super::operate::Operator;

const KUSTOMIZATION: Kind = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations");

/// A cluster in which Flux has applied two ConfigMaps of the repository, and one of elsewhere.
async fn under_flux() -> Scenario {
    let scenario = Scenario::new();
    scenario
        .somebody_applies("flux", CRD, crd("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "ks"))
        .await;
    for name in ["a", "b"] {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default",
            "labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}},
            "data": {"key": "1"}});
        scenario.somebody_applies("kustomize-controller", CONFIG_MAP, object).await;
    }
    let flux = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}});
    scenario.somebody_applies("flux", crate::support::scenario::NAMESPACE, flux).await;
    kustomization(&scenario, "apps", &["default_a__ConfigMap", "default_b__ConfigMap"]).await;
    kustomization(&scenario, "elsewhere", &["default_c__ConfigMap"]).await;
    scenario.commit(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    scenario
}

async fn kustomization(scenario: &Scenario, name: &str, inventory: &[&str]) {
    let object = json!({"apiVersion": KUSTOMIZATION.0, "kind": KUSTOMIZATION.1,
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"interval": "1m", "prune": true, "path": "./", "sourceRef": {"kind": "GitRepository", "name": "x"}}});
    scenario.somebody_applies("flux", KUSTOMIZATION, object).await;
    let entries: Vec<Value> = inventory.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
    let status = kube::api::Patch::Merge(json!({"status": {"inventory": {"entries": entries}}}));
    let api = scenario.api(KUSTOMIZATION, Some("flux-system"));
    api.patch_status(name, &Default::default(), &status).await.unwrap();
}

fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect()
}

struct Mover {
    operator: Operator,
    source: Vec<String>,
}

impl Mover {
    async fn of(scenario: &Scenario) -> Mover {
        let source = scenario.source_args();
        Mover { operator: Operator::of(scenario).await, source }
    }

    async fn adopt(&self, more: &[&str]) -> Finished {
        let mut args = vec!["adopt"];
        args.extend(self.source.iter().map(String::as_str));
        args.extend(more);
        self.operator.says(&args).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flux_hands_over_without_a_change_and_without_a_loss() {
    let scenario = under_flux().await;
    let mover = Mover::of(&scenario).await;
    let first = mover.adopt(&[]).await;
    holds(first.code == Some(1) && first.stdout.contains("next: `moin adopt --step suspend`"), &first.said());
    holds(first.stdout.contains("flux-system/elsewhere: left alone"), &first.said());
    let before = scenario.versions(CONFIG_MAP).await;
    scenario.plane.clear_requests();
    let dry = mover.adopt(&["--step", "all", "--dry-run"]).await;
    holds(dry.code == Some(0) && dry.stdout.contains("would: suspend"), &dry.said());
    holds(scenario.writes().is_empty(), &scenario.writes());
    let early = mover.adopt(&["--step", "take"]).await;
    holds(early.code == Some(1) && early.stdout.contains("not suspended: flux-system/apps"), &early.said());
    assert_eq!(scenario.versions(CONFIG_MAP).await, before);

    let done = mover.adopt(&["--step", "all"]).await;
    assert_eq!(done.code, Some(0), "{}", done.said());
    assert!(scenario.get(KUSTOMIZATION, Some("flux-system"), "apps").await.is_none());
    let other = scenario.get(KUSTOMIZATION, Some("flux-system"), "elsewhere").await.unwrap();
    assert_eq!((&other["spec"]["prune"], &other["spec"]["suspend"]), (&json!(true), &Value::Null));
    let a = scenario.map("a").await.unwrap();
    assert_eq!(managers(&a), ["moin"]);
    assert_eq!(a["data"]["key"], "1");

    scenario.converges().await;
    scenario.commit(&[("a.yaml", map("a", "1").replace("key", "other"))]);
    scenario.converges().await;
    let a = scenario.map("a").await.unwrap();
    assert_eq!(
        a["data"],
        json!({"other": "1"}),
        "a field that Flux had set goes when the repository drops it"
    );
    let again = mover.adopt(&[]).await;
    holds(again.code == Some(0) && again.stdout.contains("nothing is left to do"), &again.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_or_prunes_is_not_taken_over() {
    let scenario = under_flux().await;
    let mover = Mover::of(&scenario).await;
    scenario.commit(&[("b.yaml", map("b", "2"))]);
    let differs = mover.adopt(&["--step", "all"]).await;
    holds(differs.code == Some(1) && differs.stdout.contains("ConfigMap/default/b: "), &differs.said());
    assert!(scenario.get(KUSTOMIZATION, Some("flux-system"), "apps").await.is_some());
    let early = mover.adopt(&["--step", "remove", "--dry-run"]).await;
    holds(early.stdout.contains("set spec.prune to false"), &early.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_observes_writes_nothing_at_all() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("b.yaml", map("b", "1"))]);
    let mover = Mover::of(&scenario).await;
    let observe = async || {
        scenario.plane.clear_requests();
        let mut args = vec!["run", "--once", "--observe-only"];
        args.extend(mover.source.iter().map(String::as_str));
        let finished = mover.operator.says(&args).await;
        let asked: Vec<_> =
            scenario.plane.requests().into_iter().filter(|it| it.method != "GET").map(|it| it.path).collect();
        holds(asked.is_empty(), &asked);
        finished
    };
    let before = observe().await;
    holds(before.code == Some(1) && before.stdout.contains("0 of 2 objects as in"), &before.said());
    holds(
        before.stdout.starts_with("create ConfigMap/default/a\ncreate ConfigMap/default/b\n"),
        &before.said(),
    );
    scenario.converges().await;
    let settled = observe().await;
    holds(settled.code == Some(0) && settled.stdout.lines().count() == 1, &settled.said());
    scenario
        .somebody_applies(
            "jane",
            CONFIG_MAP,
            json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "default"}, "data": {"key": "by hand"}}),
        )
        .await;
    scenario.repository.remove("b.yaml");
    scenario.commit(&[]);
    let drift = observe().await;
    holds(
        drift.code == Some(1) && drift.stdout.contains("repair ConfigMap/default/a: data.key\n"),
        &drift.said(),
    );
    holds(drift.stdout.contains("delete ConfigMap/default/b ("), &drift.said());
    assert_eq!(scenario.value("a").await.as_deref(), Some("by hand"));
    assert!(scenario.map("b").await.is_some(), "nothing is pruned");
    let webhook =
        mover.operator.says(&["run", "--observe-only", "--webhook", "127.0.0.1:0", "--repo", "."]).await;
    holds(webhook.code == Some(2) && webhook.stderr.contains("leave out one"), &webhook.said());
}

/// The admission webhook and what was remembered of peers go too: nobody would answer the one, or need the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_moin_is_left_to_stand_in_anybodys_way() {
    const WEBHOOK: Kind = (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    );
    const FENCE: Kind = (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    );
    const ROLE: Kind = ("rbac.authorization.k8s.io/v1", "Role", "roles");
    const ROLE_BINDING: Kind = ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings");
    const DEPLOYMENT: Kind = ("apps/v1", "Deployment", "deployments");
    let scenario = Scenario::new();
    let operator = Operator::of(&scenario).await;
    let binding = json!({"policyName": "p", "validationActions": ["Deny"]});
    for (kind, name, spec) in [
        (WEBHOOK, "moin-policies", Value::Null),
        (WEBHOOK, "somebodys", Value::Null),
        (FENCE, "moin.one-writer.moin.scs.community", binding.clone()),
        (FENCE, "somebodys", binding),
    ] {
        let mut object = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": name}});
        if !spec.is_null() {
            object["spec"] = spec;
        }
        scenario.somebody_applies("x", kind, object).await;
    }
    // What `moin install` gives the account where a peer's kubeconfig lies.
    let labels = json!({"app.kubernetes.io/name": "moin"});
    let metadata = json!({"name": "moin", "namespace": "mgmt", "labels": labels});
    let version = "rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": []});
    let binds = json!({"apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "moin"},
        "subjects": [{"kind": "ServiceAccount", "name": "moin", "namespace": "moin-system"}]});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "moin", "namespace": "moin-system"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "moin", "image": "moin"}]}}}});
    for name in ["mgmt", "moin-system"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        scenario.somebody_applies("x", NAMESPACE, namespace).await;
    }
    scenario.somebody_applies("x", ROLE, role).await;
    scenario.somebody_applies("x", ROLE_BINDING, binds).await;
    scenario.somebody_applies("x", DEPLOYMENT, deployment).await;
    operator.succeeds(&["uninstall", "--yes"]).await;
    assert!(scenario.get(ROLE, Some("mgmt"), "moin").await.is_none());
    assert!(scenario.get(ROLE_BINDING, Some("mgmt"), "moin").await.is_none());
    let order = scenario.deletions();
    let first = |part: &str| order.iter().position(|path| path.contains(part));
    holds(first("/validatingwebhookconfigurations/") < first("/deployments/"), &order);
    for kind in [WEBHOOK, FENCE] {
        let left: Vec<String> = scenario.versions(kind).await.into_keys().collect();
        assert_eq!(left, ["/somebodys"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moin_goes_and_everything_stays() {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1"))]);
    let operator = Operator::of(&scenario).await;
    let none = operator.says(&["uninstall"]).await;
    holds(none.code == Some(0) && none.stdout == "nothing of moin is here\n", &none.said());
    scenario.converges().await;
    let list = operator.says(&["uninstall", "--marks"]).await;
    holds(list.code == Some(1) && list.stdout.contains("--yes does it"), &list.said());
    holds(list.stdout.contains("delete Lease/moin-system/moin-test"), &list.stdout);
    holds(list.stdout.contains("take the marks off ConfigMap/default/a"), &list.stdout);
    assert!(scenario.get(LEASE, Some("moin-system"), "moin-test").await.is_some());
    operator.succeeds(&["uninstall", "--marks", "--yes"]).await;
    let a = scenario.map("a").await.unwrap();
    assert_eq!((&a["data"]["key"], &a["metadata"]["labels"][OWNER_LABEL]), (&json!("1"), &Value::Null));
    holds(a["metadata"]["managedFields"].is_null(), &a);
    assert!(scenario.get(LEASE, Some("moin-system"), "moin-test").await.is_none());
    // What it held goes first.
    scenario.until(CRD, None, "reconciliations.moin.scs.community", |it| it.is_none()).await;
    assert_eq!(operator.succeeds(&["uninstall", "--marks"]).await, "nothing of moin is here\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_is_a_new_commit_that_says_what_cannot_go_back() {
    let claim = |size: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: data\n  namespace: default\nspec:\n  \
             accessModes: [ReadWriteOnce]\n  resources: {{requests: {{storage: {size}}}}}\n"
        )
    };
    let scenario = Scenario::with(&[("moin.yaml", settings("")), ("a.yaml", map("a", "1"))]);
    let operator = Operator::of(&scenario).await;
    let first = scenario.commit(&[("claim.yaml", claim("1Gi"))]);
    scenario.commit(&[("a.yaml", map("a", "2"))]);
    scenario.repository.identify();
    let repo = scenario.repository.path().display().to_string();
    let back = async |more: &[&str]| {
        let mut args = vec!["rollback", "--repo", &repo];
        args.extend(more);
        operator.runs(&args).await
    };
    let dry = back(&[&first, "--dry-run"]).await;
    holds(dry.code == Some(0) && dry.stdout.contains("1 to change"), &dry.said());
    let done = back(&[&first, "--reason", "too soon"]).await;
    holds(done.code == Some(0) && done.stdout.contains("committed "), &done.said());
    scenario.converges().await;
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"));

    scenario.commit(&[("claim.yaml", claim("2Gi"))]);
    let refused = back(&["HEAD~1"]).await;
    holds(refused.code == Some(1) && refused.stdout.contains("nothing was committed"), &refused.said());
    holds(refused.stderr.contains("storage (smaller)"), &refused.said());
    scenario.repository.write("a.yaml", &map("a", "by hand"));
    let dirty = back(&["HEAD~1"]).await;
    holds(dirty.code == Some(2) && dirty.stderr.contains("not committed: a.yaml"), &dirty.said());
}
