//! The policies of the library do what their cases say.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moin::model::{Gvk, Manifest, ObjectId, Origin, RepoPath, UnitName};
use moin::policy::{PolicySet, Request, RuleOutcome, Verdict};
use moin::yaml;
use serde_json::Value;

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn documents(file: &Path) -> Vec<yaml::Document> {
    let name: RepoPath = file.strip_prefix(library()).unwrap().to_str().unwrap().parse().unwrap();
    yaml::read(&name, &fs::read(file).unwrap()).into_iter().map(|d| d.expect("a valid document")).collect()
}

fn compiled(folder: &Path) -> PolicySet {
    let manifests: Vec<Arc<Manifest>> = documents(&folder.join("policy.yaml"))
        .into_iter()
        .map(|document| {
            Arc::new(Manifest {
                id: ObjectId::of(&document.value).unwrap(),
                gvk: Gvk::of(&document.value).unwrap(),
                body: Arc::new(document.value),
                origin: Origin {
                    source: document.source,
                    line: document.line,
                    layer: None,
                    overlays: Vec::new(),
                    rule: None,
                },
                unit: UnitName::root(),
            })
        })
        .collect();
    let (set, findings) = PolicySet::compile(&manifests);
    assert!(findings.is_empty(), "{}: {findings:#?}", folder.display());
    set
}

fn judge(set: &PolicySet, object: &Value) -> Vec<RuleOutcome> {
    set.evaluate(&Request::create(object))
}

#[test]
fn every_case_is_admitted_or_refused_as_its_folder_says() {
    let mut cases = 0;
    for folder in sorted(&library()).iter().filter(|path| path.is_dir()) {
        assert!(folder.join("README.md").exists(), "{} says what it is for", folder.display());
        let set = compiled(folder);
        for (verdict, refused) in [("admit", false), ("reject", true)] {
            let files = sorted(&folder.join(verdict));
            assert!(!files.is_empty(), "{}/{verdict} has cases", folder.display());
            for file in files {
                for document in documents(&file) {
                    let outcomes = judge(&set, &document.value);
                    let refuses = outcomes.iter().any(RuleOutcome::refuses);
                    assert_eq!(refuses, refused, "{}: {outcomes:#?}", file.display());
                    if refused {
                        let failed: Vec<_> = outcomes.iter().filter(|o| o.result == Verdict::Fail).collect();
                        assert!(
                            !failed.is_empty(),
                            "{} is refused by a rule, not by an error",
                            file.display()
                        );
                        assert!(failed.iter().all(|o| !o.message.contains("{{")), "{failed:#?}");
                    }
                    cases += 1;
                }
            }
        }
    }
    assert!(cases >= 16, "only {cases} cases were found");
}

#[test]
fn every_trigger_brings_exactly_what_is_expected() {
    let mut cases = 0;
    for folder in sorted(&library()).iter().filter(|path| path.is_dir()) {
        let set = compiled(folder);
        for case in sorted(&folder.join("generate")) {
            let [trigger] = &documents(&case.join("trigger.yaml"))[..] else { panic!("{}", case.display()) };
            let mut generated: Vec<Value> = set
                .generate(&trigger.value)
                .into_iter()
                .map(|g| g.expect("a generated object").object)
                .collect();
            let mut expected: Vec<Value> =
                documents(&case.join("expected.yaml")).into_iter().map(|document| document.value).collect();
            generated.sort_by_key(|object| ObjectId::of(object).unwrap());
            expected.sort_by_key(|object| ObjectId::of(object).unwrap());
            assert_eq!(generated, expected, "{}", case.display());
            cases += 1;
        }
    }
    assert!(cases >= 6, "only {cases} cases were found");
}
