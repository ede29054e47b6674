//! Objects of a tenant's folder carry no more rights than he has.

use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use moin::finding::Code;
use serde_json::{Value, from_value, json};

use crate::support::scenario::{NAMESPACE, Scenario, finding, map, namespace, place, settings};

const GROUP: &str = "rbac.authorization.k8s.io";

fn tenants() -> String {
    settings(
        "  tenants:\n    template: template\n    folder: tenants/${tenant}\n    impersonate: {groups: ['team:${tenant}']}",
    )
}

async fn create(scenario: &Scenario, kind: &str, object: Value) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(scenario.plane.client(), "default", &resource);
    let mut object = object;
    object["apiVersion"] = format!("{GROUP}/v1").into();
    object["kind"] = kind.into();
    api.create(&PostParams::default(), &from_value(object).unwrap()).await.unwrap();
}

/// The group `team:a` may write ConfigMaps in `default`.
async fn allow_maps(scenario: &Scenario, verbs: &[&str]) {
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs});
    create(scenario, "Role", json!({"metadata": {"name": "team"}, "rules": [rule]})).await;
    let bound = json!({"metadata": {"name": "team"},
        "subjects": [{"kind": "Group", "apiGroup": GROUP, "name": "team:a"}],
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "team"}});
    create(scenario, "RoleBinding", bound).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_team_may_do_is_done_and_nothing_else() {
    let scenario = Scenario::new();
    allow_maps(&scenario, &["get", "create", "patch", "delete"]).await;
    let power = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: power}\n\
        subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: 'team:a'}]\n\
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n";
    scenario.commit(&[
        ("moin.yaml", tenants()),
        ("tenants/a/map.yaml", map("theirs", "1")),
        ("tenants/a/namespace.yaml", namespace("a")),
        ("tenants/a/power.yaml", power.to_owned()),
        ("tenants/a/elsewhere.yaml", map("elsewhere", "1").replace("namespace: default", "namespace: a")),
        ("tenants/b/map.yaml", map("of-b", "1")),
        ("platform.yaml", map("ours", "1")),
    ]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1, "{:#?}", ended.report);
    let refused = finding(&ended, Code::ApplyRefused, "ClusterRoleBinding/power");
    assert!(refused.message.contains(r#"User "moin:tenant:a" cannot"#), "{}", refused.message);
    assert_eq!(place(refused), "tenants/a/power.yaml:1");
    finding(&ended, Code::ApplyRefused, "ConfigMap/a/elsewhere");
    let of_b = finding(&ended, Code::ApplyRefused, "ConfigMap/default/of-b");
    assert!(of_b.message.contains("moin:tenant:b"), "{}", of_b.message);
    assert_eq!(scenario.value("theirs").await.as_deref(), Some("1"));
    assert_eq!(scenario.value("ours").await.as_deref(), Some("1"));
    assert!(scenario.get(NAMESPACE, None, "a").await.is_some(), "moin makes the namespace");
    let live = scenario.map("theirs").await.unwrap();
    assert_eq!(live["metadata"]["managedFields"][0]["manager"], "moin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_a_tenants_folder_is_deleted_as_the_tenant() {
    let scenario = Scenario::new();
    allow_maps(&scenario, &["get", "create", "patch"]).await;
    scenario.commit(&[("moin.yaml", tenants()), ("tenants/a/map.yaml", map("theirs", "1"))]);
    scenario.converges().await;
    scenario.repository.remove("tenants/a/map.yaml");
    scenario.commit(&[]);
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1);
    let refused = finding(&ended, Code::ApplyRefused, "ConfigMap/default/theirs");
    assert!(refused.message.contains(r#"User "moin:tenant:a" cannot delete"#), "{}", refused.message);
    let client = scenario.plane.client();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Role"));
    let roles: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    let more = json!([{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]);
    let more = kube::api::Patch::Json::<()>(from_value(more).unwrap());
    roles.patch("team", &Default::default(), &more).await.unwrap();
    scenario.converges().await;
    assert!(scenario.map("theirs").await.is_none());
}
