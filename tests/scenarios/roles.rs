//! The daemon with no more rights than docs/operations.md says that it needs.

use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, from_value, json};

use crate::support::scenario::{Scenario, map, namespace};

const GROUP: &str = "rbac.authorization.k8s.io";
const USER: &str = "moin";

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

async fn create(scenario: &Scenario, kind: &str, scope: Option<&str>, object: Value) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
    let client = scenario.plane.client();
    let api: Api<DynamicObject> = match scope {
        Some(scope) => Api::namespaced_with(client, scope, &resource),
        None => Api::all_with(client, &resource),
    };
    let mut object = object;
    object["apiVersion"] = format!("{GROUP}/v1").into();
    object["kind"] = kind.into();
    api.create(&PostParams::default(), &from_value(object).unwrap()).await.unwrap();
}

/// Binds the user to a role with these rules, in a namespace or in the cluster.
async fn grant(scenario: &Scenario, scope: Option<&str>, rules: Value) {
    let prefix = if scope.is_some() { "" } else { "Cluster" };
    let (role, binding) = (format!("{prefix}Role"), format!("{prefix}RoleBinding"));
    create(scenario, &role, scope, json!({"metadata": {"name": USER}, "rules": rules})).await;
    let bound = json!({
        "metadata": {"name": USER}, "subjects": [{"kind": "User", "apiGroup": GROUP, "name": USER}],
        "roleRef": {"apiGroup": GROUP, "kind": role, "name": USER},
    });
    create(scenario, &binding, scope, bound).await;
}

/// What the documentation asks for, with these verbs on the kind that the repository describes.
async fn documented(scenario: &Scenario, verbs: &[&str]) {
    let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "moin-system"}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(scenario.plane.client());
    namespaces.create(&PostParams::default(), &from_value(system).unwrap()).await.unwrap();
    let shared = ["get", "list", "watch", "create", "patch"];
    let everywhere = json!([
        rule("", &["configmaps"], verbs),
        rule("", &["namespaces"], &shared),
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], &shared),
        rule("events.k8s.io", &["events"], &["create"]),
    ]);
    grant(scenario, None, everywhere).await;
    let own = ["get", "list", "watch", "create", "patch", "update"];
    let at_home = json!([
        rule("moin.scs.community", &["reconciliations", "reconciliations/status"], &own),
        rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "update"]),
    ]);
    grant(scenario, Some("moin-system"), at_home).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough() {
    let scenario = Scenario::new();
    documented(&scenario, &["get", "list", "watch", "create", "patch", "update", "delete"]).await;
    let first = scenario.commit(&[("a.yaml", map("a", "1")), ("team.yaml", namespace("team"))]);
    scenario.plane.clear_requests();
    let daemon = scenario.forever_as(scenario.client_as(USER));
    scenario.until_applied(&first).await;
    let second = scenario.commit(&[("a.yaml", map("a", "2")), ("b.yaml", map("b", "1"))]);
    scenario.until_applied(&second).await;
    scenario.until_value("a", "2").await;
    daemon.stop().await;
    // Kinds that may not be listed are passed over; nothing else is asked for in vain.
    let asked_in_vain: Vec<_> =
        scenario.refused().into_iter().filter(|request| request.method != "GET").collect();
    assert_eq!(asked_in_vain, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_missed() {
    let scenario = Scenario::new();
    documented(&scenario, &["get", "list", "watch"]).await;
    scenario.commit(&[("a.yaml", map("a", "1"))]);
    let daemon = scenario.forever_as(scenario.client_as(USER));
    let refused = async {
        while !scenario.refused().iter().any(|r| r.method == "PATCH" && r.path.ends_with("/configmaps/a")) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::scenario::PATIENCE, refused).await.expect("the apply is refused");
    assert_eq!(scenario.map("a").await, None);
    daemon.stop().await;
}
