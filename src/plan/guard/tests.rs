//! What is not done, whoever asks for it.

use serde_json::{Value, json};

use super::*;
use crate::config::{Approval, ApprovalAction, Repository};
use crate::finding::Code;
use crate::model::LiveObject;
use crate::plan::tests::World;
use crate::plan::{Plan, Planner};
use crate::render::testing::{Repo, repo};

const MOIN: &str = "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: moin}\nspec:\n  \
    clusters:\n    mgmt2: {kubeconfig: {namespace: a, secret: mgmt2-kubeconfig}}\n";
const CRD: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
    metadata: {name: clusters.cluster.x-k8s.io}\nspec:\n  group: cluster.x-k8s.io\n  scope: Namespaced\n  \
    names: {kind: Cluster, plural: clusters, singular: cluster, listKind: ClusterList}\n  versions:\n  \
    - {name: v1beta2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, \
    x-kubernetes-preserve-unknown-fields: true}}}\n";

fn cluster(name: &str) -> String {
    format!(
        "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {{name: {name}, namespace: a}}\nspec: {{x: 1}}\n"
    )
}

fn id(name: &str) -> ObjectId {
    ObjectId::new(CLUSTER_API, "Cluster", Some("a"), name)
}

fn all() -> Repo {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    let files = repo().file("moin.yaml", MOIN).file("crd.yaml", CRD).file("ns.yaml", namespace);
    files.file("m.yaml", &cluster("mgmt2")).file("w.yaml", &cluster("web"))
}

fn none() -> Repo {
    repo().file("moin.yaml", MOIN)
}

fn approve(world: &mut World, action: ApprovalAction, object: &ObjectId) {
    let object = Some(object.clone());
    let approval = Approval { action, object, revision: None, cluster: None, reason: None, line: 1 };
    world.rules.approvals.push(approval);
}

fn told(plan: &Plan, code: Code) -> Vec<String> {
    let found = plan.findings.iter().filter(|finding| finding.code == code);
    let mut found: Vec<String> = found.map(|it| it.object.as_ref().unwrap().name().to_owned()).collect();
    found.sort();
    found
}

fn patch(world: &mut World, id: &ObjectId, patch: &Value) {
    let object = world.live.objects.get_mut(id).expect("it is there");
    let mut body = (*object.body).clone();
    json_patch::merge(&mut body, patch);
    *object = LiveObject::new(body);
}

#[test]
fn a_management_cluster_is_never_deleted_nor_what_takes_it_along() {
    let mut world = World::applied(&all()).then(&none());
    let namespace = ObjectId::new("", "Namespace", None, "a");
    let crd =
        ObjectId::new("apiextensions.k8s.io", "CustomResourceDefinition", None, "clusters.cluster.x-k8s.io");
    for object in [&id("mgmt2"), &id("web"), &namespace, &crd] {
        approve(&mut world, ApprovalAction::Delete, object);
    }
    let plan = world.plan();
    let deleted: Vec<&str> = plan.deletions.allowed.iter().map(|deletion| deletion.id.name()).collect();
    assert_eq!(deleted, ["web"], "{plan:#?}");
    assert_eq!(told(&plan, Code::OwnGrave), ["a", "clusters.cluster.x-k8s.io", "mgmt2"]);
    // Without an approval the reason is the same: none would help.
    world.rules.approvals.clear();
    assert_eq!(told(&world.plan(), Code::OwnGrave), ["a", "clusters.cluster.x-k8s.io", "mgmt2"]);
}

#[test]
fn leaving_it_out_of_moin_yaml_in_the_same_commit_does_not_help() {
    let mut world = World::applied(&all()).then(&repo());
    approve(&mut world, ApprovalAction::Delete, &id("mgmt2"));
    let deletes = |world: &World| world.plan().deletions.allowed.iter().any(|it| it.id == id("mgmt2"));
    assert!(deletes(&world), "nothing knows it any more");
    let (before, _) = Repository::read_file(&"moin.yaml".parse().unwrap(), MOIN.as_bytes());
    world.rules.homes.include(&before);
    assert!(!deletes(&world));
    // Nor does another name for the Secret: where a daemon has reached it counts as well.
    world.rules.homes = Homes::default();
    world.rules.homes.stands("mgmt2", "https://[2001:DB8::1]:6443/");
    assert!(deletes(&world));
    patch(
        &mut world,
        &id("mgmt2"),
        &json!({"spec": {"controlPlaneEndpoint": {"host": "2001:db8::1", "port": 6443}}}),
    );
    assert!(!deletes(&world));
}

#[test]
fn a_management_cluster_that_exists_is_not_made_again() {
    let mut world = World::of(&all());
    assert_eq!(told(&world.plan(), Code::OwnGrave), Vec::<String>::new(), "the first time it is made");
    world.rules.homes.stands("mgmt2", "https://10.0.0.1:6443");
    approve(&mut world, ApprovalAction::Create, &id("mgmt2"));
    assert_eq!(told(&world.plan(), Code::OwnGrave), ["mgmt2"]);
    assert!(matches!(world.step("mgmt2").action, Action::Blocked { holds: true, .. }));
    assert_eq!(world.step("web").action, Action::Create);
}

#[test]
fn what_its_peer_remembers_is_not_built_a_second_time() {
    let mut world = World::applied(&all());
    patch(
        &mut world,
        &id("web"),
        &json!({"metadata": {"uid": "7"}, "status": {"phase": "Provisioned"},
        "spec": {"controlPlaneEndpoint": {"host": "10.0.0.7", "port": 6443}}}),
    );
    let machine = json!({"spec": {"clusterName": "web", "providerID": "openstack:///1"}});
    let machine_id = ObjectId::new(CLUSTER_API, "Machine", Some("a"), "web-1");
    world.live.objects.insert(machine_id, LiveObject::new(machine));
    let record = provisioned(&world.live);
    let expected = json!([{"namespace": "a", "name": "web", "uid": "7", "endpoint": "10.0.0.7:6443",
        "providerIds": ["openstack:///1"]}]);
    assert_eq!(serde_json::to_value(&record).unwrap(), expected, "mgmt2 has not been built yet");
    assert_eq!(serde_json::from_value::<Vec<Provisioned>>(expected).unwrap(), record);

    let mut rebuilt = World::of(&all());
    rebuilt.rules.may_exist = record;
    let plan = rebuilt.plan();
    assert_eq!(told(&plan, Code::MayExistAlready), ["web"]);
    let finding = plan.findings.iter().find(|it| it.code == Code::MayExistAlready).unwrap();
    assert!(
        finding.message.contains("at 10.0.0.7:6443 with the machine openstack:///1"),
        "{}",
        finding.message
    );
    assert!(finding.location.is_some());
    approve(&mut rebuilt, ApprovalAction::Create, &id("mgmt2"));
    assert_eq!(told(&rebuilt.plan(), Code::MayExistAlready), ["web"]);
    approve(&mut rebuilt, ApprovalAction::Create, &id("web"));
    assert_eq!(rebuilt.step("web").action, Action::Create);
}

#[test]
fn nothing_is_written_where_a_move_works() {
    let mut world = World::applied(&all());
    let changed =
        all().file("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: a}\n");
    let changed = changed.file("w.yaml", &cluster("web").replace("x: 1", "x: 2"));
    world = world.then(&changed);
    assert_eq!(world.step("c").action, Action::Create);
    patch(&mut world, &id("web"), &json!({"spec": {"paused": true}}));
    let plan = world.plan();
    assert_eq!(told(&plan, Code::MoveInProgress), ["c", "web"]);
    assert!(plan.is_empty());
    patch(
        &mut world,
        &id("web"),
        &json!({"spec": {"paused": null},
        "metadata": {"annotations": {"clusterctl.cluster.x-k8s.io/delete-for-move": ""}}}),
    );
    assert_eq!(told(&world.plan(), Code::MoveInProgress), ["c", "web"]);
    // What the repository itself pauses is no move.
    let by_git = all().file("w.yaml", &cluster("web").replace("x: 1", "x: 1, paused: true"));
    let mut world = World::applied(&by_git).then(
        &by_git.file("n.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: a}\n"),
    );
    assert_eq!(world.step("more").action, Action::Create);
    // Nothing of a namespace is deleted in the middle of a move either.
    world = World::applied(&changed).then(&all());
    patch(&mut world, &id("web"), &json!({"spec": {"paused": true}}));
    assert!(world.plan().deletions.allowed.is_empty());
}

#[test]
fn what_a_move_took_away_is_not_built_again() {
    let repo = all();
    let mut world = World::applied(&repo);
    let mut planner = Planner::default();
    patch(&mut world, &id("web"), &json!({"spec": {"paused": true}}));
    world.plan_with(&mut planner);
    world.live.objects.remove(&id("web"));
    for _ in 0..2 {
        assert_eq!(told(&world.plan_with(&mut planner), Code::MayExistAlready), ["web"]);
    }
    // Nor by one that begins anew, whether or not it saw the object go.
    let mut another = Planner::default();
    another.recall_moves(&planner.moved());
    assert_eq!(told(&world.plan_with(&mut another), Code::MayExistAlready), ["web"]);
    approve(&mut world, ApprovalAction::Create, &id("web"));
    let plan = world.plan_with(&mut planner);
    assert_eq!(told(&plan, Code::MayExistAlready), Vec::<String>::new());
    // A Cluster that somebody deletes in the usual way comes back.
    let mut world = World::applied(&repo);
    let mut planner = Planner::default();
    world.plan_with(&mut planner);
    world.live.objects.remove(&id("web"));
    assert_eq!(told(&world.plan_with(&mut planner), Code::MayExistAlready), Vec::<String>::new());
}
