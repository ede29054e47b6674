//! The life of a tenant backwards: what goes when, and what is kept.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;
use crate::config::{Approval, Repository};
use crate::model::Revision;
use crate::plan::{Accepted, Rules};
use crate::schema::Schemas;

/// A cluster whose objects are all ours.
#[derive(Default)]
struct World {
    live: LiveState,
    described: HashSet<ObjectId>,
    approvals: Vec<Approval>,
}

impl World {
    fn object(mut self, id: &str, more: Value) -> World {
        let id: ObjectId = id.parse().unwrap();
        let version = if id.group().is_empty() { "v1".to_owned() } else { format!("{}/v1", id.group()) };
        let mut body = json!({"apiVersion": version, "kind": id.kind(), "metadata": {"name": id.name(), "uid": "u",
            "labels": {OWNER_LABEL: "moin"}, "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply"}]}});
        if let Some(namespace) = id.namespace() {
            body["metadata"]["namespace"] = namespace.into();
            let going = json!({"metadata": {"name": namespace}});
            self.live.namespaces.entry(namespace.to_owned()).or_insert_with(|| LiveObject::new(going));
        }
        json_patch::merge(&mut body, &more);
        self.live.objects.insert(id, LiveObject::new(body));
        self
    }

    /// The repository still renders these.
    fn described(mut self, ids: &[&str]) -> World {
        self.described.extend(ids.iter().map(|id| id.parse().unwrap()));
        self
    }

    fn approved(mut self, action: ApprovalAction, ids: &[&str]) -> World {
        self.approvals.extend(ids.iter().map(|id| Approval {
            action,
            object: Some(id.parse().unwrap()),
            revision: None,
            cluster: None,
            reason: None,
            line: 0,
        }));
        self
    }

    fn deletions(&self) -> Deletions {
        let revision = Revision::new("3f2c1d9");
        let rules = Rules::of("moin", &Repository::default(), &self.approvals);
        let (schemas, accepted) = (Schemas::default(), Accepted::default());
        let context = Context {
            revision: &revision,
            applied: None,
            schemas: &schemas,
            recorded: &Default::default(),
            described: &self.described,
            accepted: &accepted,
            rules: &rules,
            now: "now",
        };
        deletions(&self.live, &context)
    }

    /// Deletes what may go now, for good; its names.
    fn wave(&mut self) -> Vec<String> {
        let mut gone: Vec<String> = Vec::new();
        for deletion in self.deletions().allowed {
            self.live.objects.remove(&deletion.id);
            gone.push(deletion.id.to_string());
        }
        gone.sort();
        gone
    }
}

const CLUSTER: &str = "Cluster.cluster.x-k8s.io/a/web";
const CLASS: &str = "ClusterClass.cluster.x-k8s.io/a/openstack-scs-1-34-v1";
const TEMPLATE: &str = "OpenStackClusterTemplate.infrastructure.cluster.x-k8s.io/a/scs";
const STACK: &str = "ClusterStack.clusterstack.x-k8s.io/a/scs";
const BINDING: &str = "RoleBinding.rbac.authorization.k8s.io/a/team";

fn tenant() -> World {
    let class = json!({"spec": {"infrastructure": {"templateRef":
        {"kind": "OpenStackClusterTemplate", "name": "scs"}}}});
    let stack = json!({"spec": {"provider": "openstack", "name": "scs", "kubernetesVersion": "1.34"}});
    World::default()
        .object("Namespace/a", json!({}))
        .object(
            CLUSTER,
            json!({"spec": {"topology": {"classRef": {"name": "openstack-scs-1-34-v1"},
            "variables": [{"name": "identityRef", "value": {"name": "openstack"}}]}}}),
        )
        .object(CLASS, class)
        .object(TEMPLATE, json!({}))
        .object(STACK, stack)
        .object("Secret/a/openstack", json!({}))
        .object("ResourceQuota/a/quota", json!({}))
        .object(BINDING, json!({}))
        .object("ConfigMap/b/elsewhere", json!({}))
}

#[test]
fn a_tenant_goes_from_its_cluster_down_to_its_namespace() {
    let mut world = tenant().approved(ApprovalAction::Delete, &["Namespace/a", CLUSTER, CLASS, STACK]);
    assert_eq!(world.wave(), ["Cluster/a/web", "ConfigMap/b/elsewhere"]);
    assert_eq!(world.wave(), ["ClusterClass/a/openstack-scs-1-34-v1"]);
    assert_eq!(world.wave(), ["OpenStackClusterTemplate/a/scs"]);
    assert_eq!(world.wave(), ["ClusterStack/a/scs"]);
    assert_eq!(world.wave(), ["ResourceQuota/a/quota", "RoleBinding/a/team", "Secret/a/openstack"]);
    assert_eq!(world.wave(), ["Namespace/a"]);
    assert_eq!(world.deletions(), Deletions::default());
}

#[test]
fn a_cluster_that_waits_for_an_approval_keeps_all_that_it_needs() {
    let world = tenant().approved(ApprovalAction::Delete, &["Namespace/a", CLASS, STACK]);
    let deletions = world.deletions();
    let allowed: Vec<String> = deletions.allowed.iter().map(|deletion| deletion.id.to_string()).collect();
    assert_eq!(allowed, ["ConfigMap/b/elsewhere"]);
    assert_eq!(deletions.waiting.len(), 7);
    let (id, finding) = &deletions.held[0];
    let request = finding.approval.as_ref().unwrap();
    assert_eq!(
        (id.full(), request.to_string()),
        (CLUSTER.into(), "moin approve delete Cluster/a/web".into())
    );
}

#[test]
fn a_deletion_under_way_holds_back_and_says_what_holds_it() {
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["f"]}});
    let world = World::default().object(CLUSTER, going).object("Secret/a/openstack", json!({}));
    let deletions = world.deletions();
    assert!(deletions.allowed.is_empty());
    assert_eq!(deletions.waiting[0].after[0].full(), CLUSTER);
    let finding = &deletions.going[0].1;
    assert_eq!(finding.code, Code::DeletionUnderWay);
    assert!(finding.help.as_ref().unwrap().starts_with("Secret/a/openstack waits for it"), "{finding:?}");
}

#[test]
fn what_a_standing_cluster_needs_is_kept_and_an_unrelated_secret_is_not() {
    let world = tenant()
        .object("Secret/a/other", json!({}))
        .described(&["Namespace/a", CLUSTER, CLASS, TEMPLATE, "ResourceQuota/a/quota", BINDING])
        .approved(ApprovalAction::Delete, &[STACK]);
    let deletions = world.deletions();
    let allowed: Vec<String> = deletions.allowed.iter().map(|deletion| deletion.id.to_string()).collect();
    assert_eq!(allowed, ["ConfigMap/b/elsewhere", "Secret/a/other"]);
    let mut held: Vec<&str> = deletions.held.iter().map(|(id, _)| id.kind()).collect();
    held.sort_unstable();
    assert_eq!(held, ["ClusterStack", "Secret"]);
    assert!(deletions.held.iter().all(|(_, finding)| finding.code == Code::StillInUse));
}

#[test]
fn a_namespace_with_something_that_stays_is_kept() {
    let world = World::default()
        .object("Namespace/a", json!({}))
        .object("ConfigMap/a/x", json!({}))
        .described(&["ConfigMap/a/x"])
        .approved(ApprovalAction::Delete, &["Namespace/a"]);
    let deletions = world.deletions();
    assert!(deletions.allowed.is_empty() && deletions.held[0].1.message.contains("ConfigMap/a/x"));
    let never = json!({"metadata": {"annotations": {PRUNE: "never"}}});
    let world = World::default().object("Namespace/a", json!({})).object("ConfigMap/a/x", never);
    let world = world.approved(ApprovalAction::Delete, &["Namespace/a"]);
    assert_eq!(world.deletions().held.len(), 1);
}

#[test]
fn what_a_rule_makes_for_a_namespace_does_not_keep_it() {
    let made = |trigger: &str| json!({"metadata": {"annotations": {GENERATED_BY: format!("p/r/{trigger}")}}});
    let world = |trigger: &str| {
        World::default()
            .object("Namespace/a", json!({}))
            .object(STACK, made(trigger))
            .described(&[STACK])
            .approved(ApprovalAction::Delete, &["Namespace/a"])
    };
    assert_eq!(world("a").wave(), ["Namespace/a"]);
    assert!(world("b").wave().is_empty(), "another object triggers it");
    let mut world = world("a").object(CLUSTER, json!({})).described(&[STACK, CLUSTER]);
    assert!(world.wave().is_empty(), "a Cluster in it stays");
}

#[test]
fn a_definition_outlives_its_objects_and_circles_do_not_hang() {
    let definition = "CustomResourceDefinition.apiextensions.k8s.io/widgets.example.org";
    let mut world = World::default()
        .object(definition, json!({"spec": {"group": "example.org", "names": {"kind": "Widget"}}}))
        .object("Widget.example.org/a/x", json!({"spec": {"peerRef": {"kind": "Widget", "name": "y"}}}))
        .object("Widget.example.org/a/y", json!({"spec": {"peerRef": {"kind": "Widget", "name": "x"}}}))
        .approved(ApprovalAction::Delete, &[definition]);
    assert_eq!(world.wave(), ["Widget/a/x"]);
    assert_eq!(world.wave(), ["Widget/a/y"]);
    assert_eq!(world.wave().len(), 1);
}

#[test]
fn what_a_circle_needs_is_not_let_go_for_it() {
    let names = |names: &[&str]| {
        let refs: Vec<Value> = names.iter().map(|name| json!({"kind": "Widget", "name": name})).collect();
        json!({"spec": {"one": {"peerRef": refs[0]}, "two": {"peerRef": refs.get(1)}}})
    };
    // It comes first in order, and both of the circle need it.
    let mut world = World::default()
        .object("Widget.example.org/a/a", json!({}))
        .object("Widget.example.org/a/b", names(&["c", "a"]))
        .object("Widget.example.org/a/c", names(&["b", "a"]));
    assert_eq!(world.wave(), ["Widget/a/b"]);
    assert_eq!(world.wave(), ["Widget/a/c"]);
    assert_eq!(world.wave(), ["Widget/a/a"]);
}

#[test]
fn force_counts_as_an_approval_and_is_handed_on() {
    let world = World::default().object(CLUSTER, json!({})).approved(ApprovalAction::ForceDelete, &[CLUSTER]);
    assert!(world.deletions().allowed[0].forced);
    let world = World::default().object(CLUSTER, json!({})).approved(ApprovalAction::Delete, &[CLUSTER]);
    assert!(!world.deletions().allowed[0].forced);
}
