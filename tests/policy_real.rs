//! The policies of a real repository on its real objects.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moin::model::{Manifest, ObjectId};
use moin::policy::{PolicySet, Request, Verdict};
use moin::yaml;
use serde_json::{Value, json};

fn manifests(folder: &Path) -> Vec<Arc<Manifest>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "yaml") => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap().parse().unwrap();
        yaml::read(&name, &std::fs::read(path).unwrap())
    };
    files
        .iter()
        .flat_map(read)
        .flatten()
        .filter_map(|document| document.into_manifest().ok().map(Arc::new))
        .collect()
}

#[test]
fn the_real_policies_judge_and_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/moin-cluster-config");
    if !root.exists() {
        println!("skipped: ../shared/moin-cluster-config is not here");
        return;
    }
    let objects = manifests(&root);
    let (set, findings) = PolicySet::compile(&objects);
    assert_eq!(findings, []);

    for object in &objects {
        let outcomes = set.evaluate(&Request::create(&object.body));
        assert!(outcomes.iter().all(|o| o.result != Verdict::Error), "{}: {outcomes:?}", object.id);
    }
    let judge = |version: &str| {
        let cluster = json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
            "metadata": {"name": "web", "namespace": "team-a"}, "spec": {"topology": {"version": version}}});
        set.evaluate(&Request::create(&cluster)).remove(0)
    };
    assert_eq!(judge("v1.29.3").result, Verdict::Pass);
    let refused = judge("v1.26.0");
    assert!(refused.refuses(), "{refused:?}");
    assert_eq!(refused.message, "validation error: rule check-for-supported-k8s-version failed");
    assert_eq!(refused.path.unwrap().to_string(), "spec.topology.version");

    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made: Vec<Value> =
        set.generate(&namespace("my-playground-1")).into_iter().map(|made| made.unwrap().object).collect();
    let ids: Vec<String> = made.iter().map(|object| ObjectId::of(object).unwrap().to_string()).collect();
    assert_eq!(
        ids,
        [
            "ClusterStack/my-playground-1/scs-cluster-stack",
            "RoleBinding/my-playground-1/scs-tenant-rolebinding",
            "ClusterStack/my-playground-1/kamaji",
        ]
    );
    assert_eq!(made[0]["spec"]["versions"], json!(["v4"]));
    assert_eq!(set.generate(&namespace("production")).len(), 0);
}
