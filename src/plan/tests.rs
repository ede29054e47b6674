//! Laws of planning, and one story for each kind of step.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::finding::Code;
use crate::merge;
use crate::model::{FIELD_MANAGER, LiveObject, OWNER_LABEL};
use crate::render::testing::{Repo, repo};
use crate::review::{Review, Surroundings, review};

const NOW: &str = "2026-01-01T00:00:00Z";

/// A repository under test, with what is applied of it.
pub(super) struct World {
    pub review: Review,
    pub manifests: crate::render::Manifests,
    pub live: LiveState,
    pub recorded: HashMap<ObjectId, Arc<Value>>,
    pub rules: Rules,
    pub revision: Revision,
}

impl World {
    /// The repository, nothing of it applied, its kinds served.
    pub fn of(repo: &Repo) -> World {
        let manifests = repo.render();
        let review = review(&manifests, &Surroundings::none());
        assert!(review.blocked.is_empty(), "{:?}", review.findings);
        let mut live = LiveState {
            kinds: served_kinds(&manifests.manifests, &manifests.schemas),
            ..LiveState::default()
        };
        live.namespaces
            .insert("a".into(), LiveObject::new(json!({"kind": "Namespace", "metadata": {"name": "a"}})));
        let rules = Rules::of(&manifests.owner, &manifests.repository, &[]);
        let revision = repo.snapshot.revision.clone();
        World { review, manifests, live, recorded: HashMap::new(), rules, revision }
    }

    /// With everything applied.
    pub fn applied(repo: &Repo) -> World {
        let mut world = World::of(repo);
        let admitted = world.review.admitted.manifests();
        world.live.objects = live_state_of(admitted, &world.manifests.schemas, NOW).objects;
        world.recorded = admitted.iter().map(|m| (m.id.clone(), m.body.clone())).collect();
        world
    }

    /// The same cluster, another commit.
    pub fn then(self, repo: &Repo) -> World {
        let next = World::of(repo);
        World {
            live: LiveState { kinds: next.live.kinds.clone(), ..self.live },
            recorded: self.recorded,
            ..next
        }
    }

    /// Somebody changes an object by hand.
    fn edit(mut self, name: &str, manager: &str, patch: Value) -> World {
        let id = self.id(name);
        let object = &self.live.objects[&id];
        let gvk = crate::model::Gvk::of(&object.body).unwrap();
        let ty = self.manifests.schemas.type_of(&gvk);
        let config = json!({"apiVersion": object.body["apiVersion"], "kind": object.body["kind"],
            "metadata": {"name": id.name(), "namespace": id.namespace()}});
        let mut config = config;
        json_patch::merge(&mut config, &patch);
        let body = merge::apply(ty.as_ref(), Some(&object.body), &config, manager, true, NOW).unwrap();
        self.live.objects.insert(id, LiveObject::new(body));
        self
    }

    fn id(&self, name: &str) -> ObjectId {
        self.live.objects.keys().find(|id| id.name() == name).cloned().expect("an object of that name")
    }

    pub fn plan(&self) -> Plan {
        self.plan_with(&mut Planner::default())
    }

    pub fn plan_with(&self, planner: &mut Planner) -> Plan {
        let accepted = Accepted::default();
        let context = Context {
            revision: &self.revision,
            applied: None,
            schemas: &self.manifests.schemas,
            recorded: &self.recorded,
            described: self.review.admitted.described(),
            accepted: &accepted,
            rules: &self.rules,
            now: NOW,
        };
        planner.plan(&self.review.admitted, &self.live, &context, 0)
    }

    pub fn step(&self, name: &str) -> Arc<Step> {
        self.plan().steps.into_iter().find(|step| step.id().name() == name).expect("a step of that name")
    }
}

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: a}}\ndata: {data}\n")
}

fn one(data: &str) -> Repo {
    repo().file("x.yaml", &config_map("x", data))
}

#[test]
fn planning_a_converged_cluster_is_empty() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: a}\nspec:\n  \
        selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec:\n      \
        containers: [{name: c, image: i, ports: [{containerPort: 80}]}]\n";
    let world = World::applied(&one("{k: v}").file("d.yaml", deployment));
    let plan = world.plan();
    assert!(plan.is_empty() && plan.findings.is_empty(), "{plan:?}");
}

#[test]
fn a_quantity_written_differently_is_no_difference() {
    let deployment = |resources: &str| {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: a, annotations: {{}}}}\nspec:\n  \
             selector: {{matchLabels: {{a: b}}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    spec:\n      \
             containers: [{{name: c, image: i, env: null, resources: {{limits: {{{resources}}}}}}}]\n"
        );
        repo().file("d.yaml", &text)
    };
    let limits = "/spec/template/spec/containers/0/resources/limits";
    let world = World::applied(&deployment("cpu: 1000m, memory: 1024Mi"));
    let live = &world.live.objects[&world.id("d")].body;
    assert_eq!(live.pointer(limits), Some(&json!({"cpu": "1", "memory": "1Gi"})));
    assert!(world.plan().is_empty(), "{:?}", world.plan());
    let world = world.then(&deployment("cpu: 1, memory: 1Gi"));
    assert!(world.plan().is_empty(), "{:?}", world.plan());
    let world = world.then(&deployment("cpu: 1500m, memory: 1Gi"));
    let paths: Vec<String> = world.step("d").changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["spec.template.spec.containers[0].resources.limits.cpu"]);
}

#[test]
fn a_commit_changes_what_it_says_and_nothing_else() {
    let world = World::applied(&one("{k: v, stays: here}")).then(&one("{k: new, stays: here}"));
    let step = world.step("x");
    assert_eq!((&step.action, step.force), (&Action::Update(Cause::Commit), false));
    let paths: Vec<String> = step.changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["data.k"]);
}

#[test]
fn drift_is_ours_to_force_and_names_who_did_it() {
    let world = World::applied(&one("{k: v}")).edit("x", "kubectl-edit", json!({"data": {"k": "by hand"}}));
    let step = world.step("x");
    let Action::Update(Cause::Drift(actors)) = &step.action else { panic!("{:?}", step.action) };
    assert_eq!(actors[0].manager, "kubectl-edit");
    assert!(step.force && step.precondition.is_some());
}

#[test]
fn fields_that_others_add_are_theirs() {
    let world = World::applied(&one("{k: v}")).edit("x", "somebody", json!({"data": {"other": "x"}}));
    assert_eq!(world.step("x").action, Action::Unchanged);
}

#[test]
fn a_new_field_of_somebody_else_is_a_conflict_that_names_the_owner() {
    let applied = World::applied(&one("{k: v}")).edit("x", "somebody", json!({"data": {"other": "theirs"}}));
    let world = applied.then(&one("{k: v, other: ours}"));
    let step = world.step("x");
    let Action::Blocked { finding, holds: true } = &step.action else { panic!("{:?}", step.action) };
    assert_eq!(finding.code, Code::Conflict);
    assert!(
        finding.message.contains("data.other") && finding.message.contains("somebody"),
        "{}",
        finding.message
    );
    assert!(!step.force);
}

#[test]
fn what_is_there_already_is_adopted_only_if_nothing_differs() {
    let mut world = World::applied(&one("{k: v}"));
    let id = world.id("x");
    let foreign = |data: Value| {
        LiveObject::new(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": "a", "uid": "u", "resourceVersion": "1"}, "data": data}))
    };
    world.live.objects.insert(id.clone(), foreign(json!({"k": "v"})));
    assert_eq!(world.step("x").action, Action::Adopt);
    world.live.objects.insert(id, foreign(json!({"k": "other"})));
    let Action::Blocked { finding, .. } = &world.step("x").action else { panic!() };
    assert_eq!(finding.code, Code::NotAdopted);
}

#[test]
fn a_copied_label_is_no_proof_of_ownership() {
    let mut world = World::applied(&one("{k: v}"));
    let id = ObjectId::new("", "ConfigMap", Some("a"), "copied");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "copied", "namespace": "a",
        "uid": "u", "labels": {OWNER_LABEL: world.manifests.owner}}});
    world.live.objects.insert(id, LiveObject::new(body));
    assert!(world.plan().deletions.allowed.is_empty());
}

#[test]
fn what_is_rendered_no_more_is_deleted_and_what_is_protected_waits() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    let before = one("{k: v}").file("old.yaml", &config_map("old", "{}")).file("ns.yaml", namespace);
    let world = World::applied(&before).then(&one("{k: v}"));
    let deletions = world.plan().deletions;
    let allowed: Vec<String> = deletions.allowed.iter().map(|deletion| deletion.id.to_string()).collect();
    assert_eq!(allowed, ["ConfigMap/a/old"], "{deletions:?}");
    assert_eq!(deletions.held[0].0.to_string(), "Namespace/a");
    assert_eq!(deletions.held[0].1.code, Code::ApprovalNeeded);
}

#[test]
fn above_the_cap_nothing_is_deleted() {
    let mut before = one("{k: v}");
    for n in 0..11 {
        before = before.file(&format!("{n}.yaml"), &config_map(&format!("c{n}"), "{}"));
    }
    let world = World::applied(&before).then(&one("{k: v}"));
    let deletions = world.plan().deletions;
    assert_eq!((deletions.allowed.len(), deletions.held.len()), (0, 11));
}

#[test]
fn a_kind_that_nobody_serves_blocks_itself_alone() {
    let mut world = World::of(
        &one("{k: v}")
            .file("w.yaml", "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w, namespace: a}\n"),
    );
    world.live.kinds.remove(&crate::model::GroupKind { group: "example.org".into(), kind: "Widget".into() });
    let Action::Blocked { finding, holds: false } = &world.step("w").action else { panic!() };
    assert_eq!(
        (finding.code, finding.location.as_ref().map(|at| at.file.as_str())),
        (Code::KindNotServed, Some("w.yaml"))
    );
    assert_eq!(world.step("x").action, Action::Create);
}

#[test]
fn nothing_is_created_in_a_namespace_that_goes() {
    let mut world = World::of(&one("{k: v}"));
    let going = json!({"kind": "Namespace", "metadata": {"name": "a"}, "status": {"phase": "Terminating"}});
    world.live.namespaces.insert("a".into(), LiveObject::new(going));
    let Action::Blocked { finding, holds: false } = &world.step("x").action else { panic!() };
    assert_eq!(finding.code, Code::TerminatingNamespace);
}

#[test]
fn a_cluster_version_cannot_go_back() {
    let cluster = |version: &str| {
        let text = format!(
            "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {{name: web, namespace: a}}\nspec:\n  \
             topology: {{classRef: {{name: openstack-scs-1-34-v1}}, version: {version}}}\n"
        );
        repo().file("c.yaml", &text)
    };
    let world = World::applied(&cluster("v1.34.1")).then(&cluster("v1.34.2"));
    let step = world.step("web");
    assert_eq!((step.risk, step.exact), (Risk::NotRevertible, false));
}

#[test]
fn an_unchanged_pair_is_answered_from_memory() {
    let world = World::applied(&one("{k: v}"));
    let accepted = Accepted::default();
    let context = Context {
        revision: &world.revision,
        applied: None,
        schemas: &world.manifests.schemas,
        recorded: &world.recorded,
        described: world.review.admitted.described(),
        accepted: &accepted,
        rules: &world.rules,
        now: NOW,
    };
    let mut planner = Planner::default();
    let first = planner.plan(&world.review.admitted, &world.live, &context, 1);
    let second = planner.plan(&world.review.admitted, &world.live, &context, 1);
    assert!(Arc::ptr_eq(&first.steps[0], &second.steps[0]));
    let other = planner.plan(&world.review.admitted, &world.live, &context, 2);
    assert!(!Arc::ptr_eq(&first.steps[0], &other.steps[0]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Applying a plan and planning again yields nothing, whatever was there before and whatever comes.
    #[test]
    fn applying_a_plan_leaves_nothing_to_plan(
        before in proptest::collection::btree_map("[a-c]", "[a-z]{0,3}", 0..3),
        after in proptest::collection::btree_map("[a-c]", "[a-z]{0,3}", 0..3),
        by_hand in proptest::collection::btree_map("[a-d]", "[a-z]{0,3}", 0..2),
    ) {
        let text = |data: &std::collections::BTreeMap<String, String>| serde_json::to_string(data).unwrap();
        let mut world = World::applied(&one(&text(&before)));
        if !by_hand.is_empty() {
            world = world.edit("x", "somebody", json!({ "data": by_hand }));
        }
        let mut world = world.then(&one(&text(&after)));
        let step = world.step("x");
        if let Action::Blocked { .. } = step.action {
            return Ok(());
        }
        let ty = world.manifests.schemas.type_of(&step.manifest.gvk);
        let live = world.live.objects[step.id()].body.clone();
        let applied =
            merge::apply(ty.as_ref(), Some(&live), &step.manifest.body, FIELD_MANAGER, step.force, NOW).unwrap();
        world.live.objects.insert(step.id().clone(), LiveObject::new(applied));
        world.recorded.insert(step.id().clone(), step.manifest.body.clone());
        prop_assert!(world.plan().is_empty(), "{:?}", world.plan());
    }
}

#[test]
fn a_secret_with_texts_is_settled_and_a_value_that_goes_is_taken_out() {
    let secret = |texts: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: a}}\nstringData: {texts}\n"
        );
        repo().file("s.yaml", &text)
    };
    let world = World::applied(&secret("{a: one, b: two}"));
    let live = &world.live.objects.values().next().unwrap().body;
    assert_eq!((&live["data"]["a"], live.get("stringData")), (&json!("b25l"), None));
    assert!(world.plan().steps.iter().all(|step| step.is_settled()), "{:?}", world.plan().steps);
    let next = world.then(&secret("{a: one}")).plan();
    let paths: Vec<String> = next.steps[0].changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["data.b"]);
    assert_eq!(next.steps[0].action, Action::Update(Cause::Commit));
    assert!(next.steps[0].manifest.body.get("stringData").is_none(), "it is sent as it is stored");
}
