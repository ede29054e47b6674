//! Every variable and expression of the recorded policy library compiles.

use std::fs;
use std::path::{Path, PathBuf};

use moin::expr::Template;

fn yaml_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            yaml_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            out.push(path);
        }
    }
}

#[test]
fn the_policy_library_compiles() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let mut files = Vec::new();
    yaml_files(&shared.join("policy-tests"), &mut files);
    yaml_files(&shared.join("policy-tests-engine"), &mut files);
    if files.is_empty() {
        println!("skipped: ../shared/policy-tests is not here");
        return;
    }
    let (mut templates, mut wrong) = (0, Vec::new());
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for part in text.split("\n---") {
            let Ok(document) = moin::yaml::parse(part, false) else { continue };
            let kind = document["kind"].as_str().unwrap_or_default();
            if !matches!(kind, "ClusterPolicy" | "Policy" | "CleanupPolicy" | "ClusterCleanupPolicy") {
                continue;
            }
            templates += 1;
            if let Err(error) = Template::compile(&document["spec"]) {
                wrong.push(format!("{}: {error}", file.display()));
            }
        }
    }
    assert!(templates > 100, "only {templates} policies were found");
    assert!(wrong.is_empty(), "{} of {templates}:\n{}", wrong.len(), wrong.join("\n"));
}
