//! The example repository is what it says.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::real_server::RealServer;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config")
}

#[test]
fn its_settings_are_understood() {
    let file: moin::model::RepoPath = "moin.yaml".parse().unwrap();
    let bytes = fs::read(root().join("moin.yaml")).unwrap();
    let (repository, findings) = moin::config::Repository::read_file(&file, &bytes);
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(repository.name.as_deref(), Some("example"));
    assert!(["dev", "ci", "prod"].iter().all(|name| repository.use_cases.contains_key(*name)));
}

#[test]
fn its_kinds_are_understood() {
    let mut definitions = Vec::new();
    for entry in fs::read_dir(root().join("common/crds")).unwrap().map(Result::unwrap) {
        let file: moin::model::RepoPath = entry.file_name().to_str().unwrap().parse().unwrap();
        for document in moin::yaml::read(&file, &fs::read(entry.path()).unwrap()) {
            definitions.push(document.expect("a valid document").value);
        }
    }
    definitions.retain(|value| value["kind"] == "CustomResourceDefinition");
    let (schemas, problems) = moin::schema::Schemas::builtin().with_crds(&definitions);
    assert!(problems.is_empty(), "{problems:?}");
    let cluster = moin::model::Gvk::new("cluster.x-k8s.io/v1beta2", "Cluster");
    assert!(schemas.kind(&cluster).is_some_and(|kind| kind.namespaced));
}

#[test]
fn its_policies_are_those_of_the_library() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for entry in fs::read_dir(root().join("policies")).unwrap().map(Result::unwrap) {
        let name = entry.path().file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(
            fs::read_to_string(entry.path()).unwrap(),
            fs::read_to_string(library.join(&name).join("policy.yaml")).unwrap(),
            "policies/{name}/policy.yaml is the original"
        );
    }
}

#[test]
fn a_real_api_server_takes_what_is_common() {
    let Some(server) = RealServer::shared() else { return };
    let apply = |paths: &[&str]| {
        let mut args = vec!["apply", "--server-side", "-R"];
        let paths: Vec<String> = paths.iter().map(|path| root().join(path).display().to_string()).collect();
        args.extend(paths.iter().flat_map(|path| ["-f", path.as_str()]));
        let output = server.kubectl("admin", &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    apply(&["common/crds"]);
    let established =
        server.kubectl("admin", &["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    assert!(established.status.success(), "{}", String::from_utf8_lossy(&established.stderr));
    apply(&["common"]);
    apply(&["tenants/team-a/namespace.yaml", "tenants/team-b/namespace.yaml"]);
    apply(&["tenants"]);
}
