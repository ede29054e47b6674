//! The example repository is what it says.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use moin::finding::{Finding, Severity};
use moin::render::{LiveTriggers, Manifests, RenderOptions, Renderer};
use moin::review::{Surroundings, review};
use moin::source::{Place, Source, SourceSettings};
use serde_json::Value;
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

fn rendered(use_case: Option<&str>, cluster: Option<&str>) -> Manifests {
    let cache = tempfile::tempdir().unwrap();
    let place = Place::Folder(root());
    let snapshot = Source::open(&SourceSettings::new(place, cache.path())).unwrap().fetch().unwrap();
    let options = RenderOptions {
        use_case: use_case.map(str::to_owned),
        cluster: cluster.map(str::to_owned),
        ..RenderOptions::default()
    };
    let manifests = Renderer::default().render(&snapshot, &options, &LiveTriggers::none());
    let review = review(&manifests, &Surroundings::none());
    let serious = |finding: &&Finding| finding.severity != Severity::Note;
    let findings: Vec<&Finding> = manifests.findings.iter().chain(&review.findings).filter(serious).collect();
    assert!(findings.is_empty(), "{use_case:?} {cluster:?}: {findings:#?}");
    assert!(review.blocked.is_empty());
    manifests
}

fn body<'a>(manifests: &'a Manifests, id: &str) -> Option<&'a Value> {
    manifests.manifests.iter().find(|m| m.id.to_string() == id).map(|m| &*m.body)
}

#[test]
fn each_use_case_and_cluster_renders_without_a_finding() {
    let dev = rendered(Some("dev"), None);
    let issuer = "ClusterIssuer/default";
    assert!(body(&dev, issuer).unwrap()["spec"].get("selfSigned").is_some());
    assert!(body(&dev, "HelmRelease/charts/external-dns").is_none());
    assert!(body(&dev, "ClusterStack/team-dev/scs2-1-34").is_some(), "the namespace brings its ClusterStack");

    let ci = rendered(Some("ci"), None);
    assert!(body(&ci, "InfrastructureProvider/capo-system/openstack").is_none());
    assert!(body(&ci, "InfrastructureProvider/capd-system/docker").is_some());

    for (cluster, team, quota) in [("mgmt1", "team-a", "3"), ("mgmt2", "team-b", "10")] {
        let prod = rendered(None, Some(cluster));
        let spec = &body(&prod, issuer).unwrap()["spec"];
        assert!(spec.get("acme").is_some() && spec.get("selfSigned").is_none(), "{spec}");
        let dns = body(&prod, "HelmRelease/charts/external-dns").unwrap();
        assert_eq!(dns["spec"]["values"]["txtOwnerId"], cluster);
        assert_eq!(dns["spec"]["values"]["policy"], "upsert-only", "the rest of the values stays");
        let operator = body(&prod, "Deployment/cso-system/cso-controller-manager").unwrap();
        assert_eq!(operator["spec"]["replicas"], 2);
        let container = &operator["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
        assert!(container["image"].is_string(), "containers are merged by name");
        let hard = &body(&prod, &format!("ResourceQuota/{team}/tenant")).unwrap()["spec"]["hard"];
        assert_eq!(hard["count/clusters.cluster.x-k8s.io"], quota);
        let binding = body(&prod, &format!("RoleBinding/{team}/tenant")).unwrap();
        assert_eq!(binding["subjects"][0]["name"], format!("oidc:{team}"));
        let teams = prod.manifests.iter().filter(|m| m.id.kind() == "Cluster");
        assert!(teams.clone().count() > 0 && teams.clone().all(|m| m.id.namespace() == Some(team)));
    }
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
    apply(&["tenants/mgmt1/team-a/namespace.yaml", "tenants/mgmt2/team-b/namespace.yaml"]);
    apply(&["tenants"]);
}
