//! Nothing that stands in a repository or in a cluster stops the work: any part of any document may be anything.

use serde_json::{Value, json};

use super::*;
use crate::model::LiveObject;
use crate::render::testing::repo;
use crate::render::{LiveTriggers, Renderer};
use crate::review::{Surroundings, review};

/// The document with one of its parts replaced by something else, for each part and each else.
fn odd_forms(document: &Value) -> Vec<Value> {
    fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
        out.push(at.to_owned());
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    pointers(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    pointers(value, &format!("{at}/{index}"), out);
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    let others = [json!(null), json!(7), json!("x"), json!([]), json!({}), json!(["x", [["y"]], {"z": 1}])];
    let mut forms = Vec::new();
    for pointer in &all {
        for other in &others {
            let mut form = document.clone();
            if let Some(part) = form.pointer_mut(pointer) {
                *part = other.clone();
                forms.push(form);
            }
        }
    }
    forms
}

fn documents() -> Vec<(&'static str, Value)> {
    let about = |kind: &str| json!({"any": [{"resources": {"kinds": [kind]}}]});
    vec![
        (
            "moin.yaml",
            json!({"apiVersion": "moin.scs.community/v1alpha1", "kind": "Repository",
            "metadata": {"name": "moin"}, "spec": {"policies": ["policies"], "useCases": {"dev": {"layers": ["common"]}},
            "stages": [{"name": "a", "folders": ["*"], "timeout": "1m"}], "protection": {"kinds": ["Secret"],
            "maxDeletions": 3, "annotations": ["x/**"]}, "approvals": [{"action": "delete",
            "object": "Cluster/a/b", "revision": "3f2c1d9"}]}}),
        ),
        (
            "policy.yaml",
            json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
            "spec": {"validationFailureAction": "Enforce", "rules": [
                {"name": "v", "match": about("Pod"), "exclude": about("Pod"),
                 "preconditions": {"all": [{"key": "{{ request.object.kind }}", "operator": "Equals", "value": "Pod"}]},
                 "validate": {"message": "m", "pattern": {"spec": {"containers": [{"(name)": "?*", "image": "*:v*"}]}}}},
                {"name": "d", "match": about("ConfigMap"),
                 "context": [{"name": "c", "variable": {"value": "{{ request.object.data }}"}}],
                 "validate": {"message": "m", "deny": {"conditions": {"any": [{"key": "{{ c.a }}",
                    "operator": "In", "value": ["b"]}]}}}},
                {"name": "m", "match": about("Pod"), "mutate": {"patchStrategicMerge":
                    {"spec": {"containers": [{"(name)": "a", "imagePullPolicy": "Always"}]}}}},
                {"name": "g", "match": about("Namespace"), "generate": {"apiVersion": "v1", "kind": "ConfigMap",
                    "name": "g", "namespace": "{{ request.object.metadata.name }}", "synchronize": true,
                    "data": {"data": {"a": "b"}}}}]}}),
        ),
        (
            "pod.yaml",
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "a",
            "labels": {"l": "m"}, "annotations": {"n": "o"}}, "spec": {"containers": [{"name": "a", "image": "i:v1",
            "ports": [{"containerPort": 1}], "livenessProbe": {"grpc": {"port": 1}}}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "projected": {"sources": []}}]}}),
        ),
        (
            "secret.yaml",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "a",
            "annotations": {}}, "data": {"a": "b2xk"}, "stringData": {"c": "d"}}),
        ),
        ("namespace.yaml", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})),
        (
            "cluster.yaml",
            json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "metadata":
            {"name": "c", "namespace": "a"}, "spec": {"topology": {"class": "openstack-scs-1-31-v2",
            "version": "v1.31.1", "workers": {"machineDeployments": [{"class": "a", "name": "b"}]}}}}),
        ),
        (
            "crd.yaml",
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "foos.a.io"}, "spec": {"group": "a.io", "scope": "Namespaced", "names":
            {"kind": "Foo", "plural": "foos"}, "versions": [{"name": "v1", "served": true, "storage": true, "schema":
            {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "array", "items": {"type": "string"},
            "default": ["x"], "x-kubernetes-list-type": "set"}}}}}]}}),
        ),
        (
            "unit.yaml",
            json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata":
            {"name": "u", "namespace": "f"}, "spec": {"path": "./other", "prune": false, "interval": "1m", "timeout": "1m",
            "dependsOn": [{"name": "w"}], "healthChecks": [{"apiVersion": "v1", "kind": "Pod", "name": "x",
            "namespace": "a"}], "sourceRef": {"kind": "GitRepository", "name": "f"}}}),
        ),
        (
            "folder/kustomization.yaml",
            json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
            "resources": ["a.yaml"]}),
        ),
    ]
}

fn repository(changed: &str, form: &Value) -> crate::render::testing::Repo {
    documents().iter().fold(repo(), |repo, (file, document)| {
        let document = if *file == changed { form } else { document };
        repo.file(file, &document.to_string())
    })
}

#[test]
fn any_part_of_any_document_may_be_anything() {
    let mut renderer = Renderer::default();
    let mut number = 0;
    for (file, document) in documents() {
        for form in odd_forms(&document) {
            let repo = repository(file, &form);
            let made = renderer.render(&repo.snapshot, &repo.options, &LiveTriggers::none());
            review(&made, &Surroundings::none());
            number += 1;
        }
    }
    assert!(number > 1000, "{number}");
}

#[test]
fn any_part_of_a_live_object_may_be_anything() {
    let repo = documents().iter().fold(repo(), |repo, (file, document)| match *file {
        "pod.yaml" | "secret.yaml" | "namespace.yaml" => repo.file(file, &document.to_string()),
        _ => repo,
    });
    let made = repo.render();
    let admitted = review(&made, &Surroundings::none()).admitted;
    let applied = live_state_of(admitted.manifests(), &made.schemas, "2026-01-01T00:00:00Z");
    let recorded = admitted.manifests().iter().map(|m| (m.id.clone(), m.body.clone())).collect();
    let rules = Rules::of(&made.owner, &made.repository, &[]);
    let (accepted, nothing) = (Accepted::default(), HashSet::new());
    for described in [admitted.described(), &nothing] {
        let context = Context {
            revision: &repo.snapshot.revision,
            applied: None,
            schemas: &made.schemas,
            recorded: &recorded,
            described,
            accepted: &accepted,
            rules: &rules,
            now: "2026-01-01T00:00:00Z",
        };
        for (id, object) in &applied.objects {
            for form in odd_forms(&object.body) {
                let mut live = applied.clone();
                live.kinds = served_kinds(admitted.manifests(), &made.schemas);
                let odd = LiveObject::new(form);
                if id.kind() == "Namespace" {
                    live.namespaces.insert(id.name().to_owned(), odd.clone());
                }
                live.objects.insert(id.clone(), odd);
                let plan = plan(&admitted, &live, &context);
                for step in &plan.steps {
                    outcome(step, &live, &context);
                }
            }
        }
    }
}
