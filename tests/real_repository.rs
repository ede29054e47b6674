//! The main job on real input: the repository that this project exists for, from a commit to a real kube-apiserver.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use support::audit::{AuditEvent, count_by_request};
use support::moin::{Finished, Moin};
use support::real_server::RealServer;
use support::repository::TestRepository;
use support::{eventually, helm, shared_data};

const SECOND: Duration = Duration::from_secs(1);

fn arguments(repository: &TestRepository, server: &RealServer, path: &str, more: &[&str]) -> Vec<String> {
    let url = repository.url();
    let kubeconfig = server.kubeconfig("moin").display().to_string();
    let fixed = ["run", "--repo", &url, "--branch", "main", "--path", path, "--kubeconfig", &kubeconfig];
    fixed.iter().chain(more).map(|text| (*text).to_owned()).collect()
}

/// `NAMESPACE/NAME RESOURCEVERSION` of every object of a resource, as kubectl sees it.
fn names(server: &RealServer, resource: &str) -> BTreeMap<String, String> {
    let columns = "-o=custom-columns=:.metadata.namespace,:.metadata.name,:.metadata.resourceVersion";
    let output = server.kubectl("admin", &["get", resource, "-A", "--no-headers", columns]);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (namespace, name, version) = (words.next()?, words.next()?, words.next()?);
            let namespace = if namespace == "<none>" { "" } else { namespace };
            Some((format!("{namespace}/{name}"), version.to_owned()))
        })
        .collect()
}

/// Every object of every listable resource but Leases, with its resourceVersion.
fn everything(server: &RealServer) -> BTreeMap<String, String> {
    let listed = server.kubectl("admin", &["api-resources", "--verbs=list,get", "-o", "name"]);
    let resources = String::from_utf8_lossy(&listed.stdout).into_owned();
    resources
        .lines()
        .filter(|resource| !["leases.coordination.k8s.io", "componentstatuses"].contains(resource))
        .filter(|resource| !resource.ends_with("flowcontrol.apiserver.k8s.io"))
        .flat_map(|resource| {
            names(server, resource)
                .into_iter()
                .map(move |(name, version)| (format!("{resource} {name}"), version))
        })
        .collect()
}

fn writes_of_moin(events: &[AuditEvent]) -> BTreeMap<String, usize> {
    count_by_request(events.iter().filter(|event| event.user.username == "moin" && event.is_write()))
}

/// `file:line` of the document that holds `needle`: the line of its first node.
fn place(repository: &TestRepository, file: &str, needle: &str) -> String {
    let text = std::fs::read_to_string(repository.path().join(file)).expect("a file of the repository");
    let mut first_line = None;
    let mut found = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("---") {
            first_line = None;
        } else if first_line.is_none() && !line.trim().is_empty() && !line.starts_with('#') {
            first_line = Some(number);
        }
        if line.contains(needle) {
            found = first_line;
        }
    }
    format!("{file}:{}", found.unwrap_or_else(|| panic!("{file} holds {needle:?}")))
}

/// Asserts that some line about `object` has the code, and that its place and reason are said.
fn assert_said(run: &Finished, code: &str, what: &str, place: &str) {
    let said = run.said();
    assert!(said.contains(code), "no {code} for {what} in:\n{said}");
    assert!(said.contains(what), "nothing about {what} in:\n{said}");
    assert!(said.contains(place), "{what} without its place {place} in:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pass_brings_everything_that_can_be_and_says_what_cannot() {
    let Some(data) = shared_data("moin-cluster-config") else { return };
    let Some(server) = RealServer::start() else { return };
    let repository = TestRepository::of_folder(&data);
    let standin = helm::set_ready(server.client("standin").await, "v2beta2");
    let moin = Moin::new();

    let once = arguments(&repository, &server, "flux/config", &["--once", "--timeout", "60s"]);
    let start = Instant::now();
    let run = moin.run(&once);
    eprintln!("the first pass took {:?}", start.elapsed());
    assert_eq!(run.code, Some(1), "blocked objects end it with 1:\n{}", run.said());
    check_what_is_there(&server, &run);
    check_what_is_blocked(&repository, &run);

    // A second pass, with nothing changed, writes nothing but its Lease.
    let (before, requests) = (everything(&server), server.audit().len());
    let again = moin.run(&once);
    assert_eq!(again.code, Some(1), "{}", again.said());
    let writes = writes_of_moin(&server.audit()[requests..]);
    assert!(writes.keys().all(|request| request.contains("leases/moin-system/")), "it wrote {writes:#?}");
    assert_eq!(everything(&server), before);
    standin.abort();
}

fn check_what_is_there(server: &RealServer, run: &Finished) {
    let there = |resource: &str, expected: &[&str]| {
        let found = names(server, resource);
        for name in expected {
            assert!(found.contains_key(*name), "no {resource} {name} among {found:?}\n{}", run.said());
        }
    };
    let crds = names(server, "customresourcedefinitions");
    let theirs = crds.keys().filter(|name| !name.ends_with(".moin.scs.community"));
    assert_eq!(theirs.count(), 13, "{crds:?}\n{}", run.said());
    there(
        "namespaces",
        &[
            "/flux-system",
            "/cso-system",
            "/cspo-system",
            "/capi-system",
            "/capi-kubeadm-bootstrap-system",
            "/capi-kubeadm-control-plane-system",
            "/capi-kamaji-control-plane-system",
            "/openstack-infrastructure-system",
        ],
    );
    there("clusterroles", &["/cso-manager-role", "/cspo-manager-role", "/crd-controller-flux-system"]);
    there("clusterrolebindings", &["/cso-manager-rolebinding", "/cluster-reconciler-flux-system"]);
    there("roles", &["cso-system/cso-leader-election-role"]);
    there(
        "deployments",
        &[
            "flux-system/source-controller",
            "flux-system/helm-controller",
            "flux-system/kustomize-controller",
            "cso-system/cso-controller-manager",
            "cspo-system/cspo-controller-manager",
        ],
    );
    let releases = ["cert-manager", "capi-operator", "kamaji", "kyverno", "capi-visualizer"];
    let releases = releases.map(|name| format!("flux-system/{name}"));
    there("helmreleases.helm.toolkit.fluxcd.io", &releases.each_ref().map(String::as_str));
    let units = names(server, "kustomizations.kustomize.toolkit.fluxcd.io");
    assert!(units.is_empty(), "Kustomizations are consumed, not applied: {units:?}");
}

fn check_what_is_blocked(repository: &TestRepository, run: &Finished) {
    let cso = "cso/installation/cso-infrastructure-components.yaml";
    for (what, file, needle) in [
        ("Certificate/cso-system/cso-serving-cert", cso, "kind: Certificate"),
        ("Issuer/cso-system/cso-selfsigned-issuer", cso, "name: cso-selfsigned-issuer"),
        ("CoreProvider/capi-system/cluster-api", "capi/config/cacp.yaml", "kind: CoreProvider"),
        (
            "ClusterPolicy/enforce-supported-k8s-version",
            "kyverno/config/k8s-version.yaml",
            "kind: ClusterPolicy",
        ),
        (
            "ClusterPolicy/generate-per-playground-resources",
            "kyverno/config/per-playground-resources.yaml",
            "kind: ClusterPolicy",
        ),
    ] {
        assert_said(run, "MOIN-0701", what, &place(repository, file, needle));
    }
    assert_said(run, "MOIN-0410", "kustomize-controller", "flux/installation/flux-installation.yaml");
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_files_without_a_key_are_blocked_one_by_one() {
    let Some(data) = shared_data("moin-cluster-config") else { return };
    let Some(server) = RealServer::start() else { return };
    let repository = TestRepository::of_folder(&data);
    let run = Moin::new().run(&arguments(
        &repository,
        &server,
        "prod/flux/config",
        &["--once", "--timeout", "60s"],
    ));
    assert_eq!(run.code, Some(1), "{}", run.said());
    for file in [
        "prod/cso/config/secret.yaml",
        "prod/cspo/config/secret.yaml",
        "prod/velero/installation/secret.yaml",
        "prod/monitoring/installation/secret-values.yaml",
    ] {
        assert_said(&run, "MOIN-0409", file, &format!("{file}:"));
    }
    let secrets = names(&server, "secrets");
    assert!(secrets.is_empty(), "{secrets:?}");
    let roles = names(&server, "clusterroles");
    assert!(roles.contains_key("/scs-tenant-clusterrole"), "what is not encrypted is there: {roles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_answers_to_namespaces_and_hands() {
    let Some(data) = shared_data("moin-cluster-config") else { return };
    let Some(server) = RealServer::start() else { return };
    let repository = TestRepository::of_folder(&data);
    let standin = helm::set_ready(server.client("standin").await, "v2beta2");
    let moin = Moin::new();
    let daemon = moin.start(&arguments(&repository, &server, "flux/config", &[]));

    let exists = |resource: &str, name: &str| names(&server, resource).contains_key(name);
    eventually("the first pass applies the Deployments", Duration::from_secs(60), async || {
        exists("deployments", "cso-system/cso-controller-manager").then_some(())
    })
    .await;
    settled(&server).await;

    // A namespace that only lives in the cluster.
    let made = server.kubectl("someone", &["create", "namespace", "kaas-playground0"]);
    assert!(made.status.success());
    let expected = [
        ("clusterstacks.clusterstack.x-k8s.io", "kaas-playground0/scs-cluster-stack"),
        ("clusterstacks.clusterstack.x-k8s.io", "kaas-playground0/kamaji"),
        ("rolebindings", "kaas-playground0/scs-tenant-rolebinding"),
    ];
    let created = Instant::now();
    within_a_second(&server, &daemon, "what the namespace brings", || {
        created_by_moin(&server, "kaas-playground0").len() >= expected.len()
    })
    .await;
    eprintln!("the namespace was answered within {:?}", created.elapsed());
    for (resource, name) in expected {
        assert!(exists(resource, name), "no {resource} {name}\n{}", daemon.said());
    }

    // An edit by hand.
    let patch = r#"{"spec":{"replicas":5}}"#;
    let target = ["-n", "cso-system", "deployment", "cso-controller-manager"];
    let edit = [&["patch"], &target[..], &["--field-manager=hand", "--type=merge", "-p", patch]].concat();
    let before = server.audit().len();
    assert!(server.kubectl("someone", &edit).status.success());
    within_a_second(&server, &daemon, "the repair", || {
        server.audit()[before..].iter().any(|e| {
            e.user.username == "moin" && e.is_write() && e.short().contains("cso-controller-manager")
        })
    })
    .await;
    let replicas =
        server.kubectl("admin", &[&["get"], &target[..], &["-o=jsonpath={.spec.replicas}"]].concat());
    assert_eq!(String::from_utf8_lossy(&replicas.stdout), "1");
    eventually("the drift is told with its manager and field", 5 * SECOND, async || {
        let said = daemon.said();
        (said.contains("hand") && said.contains("spec.replicas")).then_some(())
    })
    .await;

    // The namespace goes, and what it brought goes with it.
    server.kubectl("someone", &["delete", "namespace", "kaas-playground0", "--wait=false"]);
    let gone = || !expected.iter().any(|(resource, name)| exists(resource, name));
    eventually("moin takes away what it generated", 10 * SECOND, async || gone().then_some(())).await;
    server.finish_namespace("kaas-playground0").await.unwrap();
    settled(&server).await;
    assert!(gone() && !exists("namespaces", "/kaas-playground0"));

    // Idle: one renewal of the Lease at most every few seconds, and nothing for each object.
    let before = server.audit().len();
    tokio::time::sleep(11 * SECOND).await;
    let idle: Vec<AuditEvent> =
        server.audit().split_off(before).into_iter().filter(|e| e.user.username == "moin").collect();
    let requests = count_by_request(idle.iter().filter(|event| event.verb != "watch"));
    assert!(requests.keys().all(|request| request.contains("leases/moin-system/")), "{requests:#?}");
    assert!(requests.values().sum::<usize>() <= 6, "{requests:#?}");

    standin.abort();
    let end = daemon.terminate(10 * SECOND);
    assert_eq!(end.code, Some(0), "{}", end.said());
}

/// What moin created in a namespace, by the audit log.
fn created_by_moin(server: &RealServer, namespace: &str) -> Vec<String> {
    let in_namespace = |event: &AuditEvent| {
        event.object_ref.as_ref().is_some_and(|object| object.namespace == namespace)
            && event.response_status.as_ref().and_then(|status| status.code) == Some(201)
    };
    let mut found: Vec<String> = server
        .audit()
        .iter()
        .filter(|event| event.user.username == "moin" && event.is_write() && in_namespace(event))
        .map(AuditEvent::short)
        .filter(|request| !request.contains(" events/"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Waits until moin has written nothing but its Lease for a second.
async fn settled(server: &RealServer) {
    let mut quiet_since = Instant::now();
    let mut seen = server.audit().len();
    eventually("moin comes to rest", 60 * SECOND, async || {
        let events = server.audit();
        let wrote = writes_of_moin(&events[seen..]);
        if wrote.keys().any(|request| !request.contains("leases/")) {
            quiet_since = Instant::now();
        }
        seen = events.len();
        (quiet_since.elapsed() > SECOND).then_some(())
    })
    .await;
}

async fn within_a_second(
    server: &RealServer,
    daemon: &support::moin::Running,
    what: &str,
    mut done: impl FnMut() -> bool,
) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < SECOND,
            "not within a second: {what}\n{:#?}\n{}",
            writes_of_moin(&server.audit()),
            daemon.said()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A repository with a Cluster in the unit of Cluster API's own configuration.
fn with_cluster(data: &std::path::Path, class: &str, version: &str) -> TestRepository {
    let repository = TestRepository::of_folder(data);
    let kustomization = repository.path().join("capi/config/kustomization.yaml");
    let resources = std::fs::read_to_string(&kustomization).unwrap();
    repository
        .write("capi/config/kustomization.yaml", &(resources.trim_end().to_owned() + "\n  - cluster.yaml\n"));
    repository.write(
        "capi/config/cluster.yaml",
        &format!(
            "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata:\n  name: demo\n  namespace: capi-system\n\
             spec:\n  topology:\n    class: {class}\n    version: {version}\n"
        ),
    );
    repository.commit("A cluster");
    repository
}

fn check(repository: &TestRepository) -> Finished {
    let folder = repository.path().display().to_string();
    Moin::new().run(&["check", "--repo", &folder, "--path", "flux/config"])
}

#[test]
fn a_cluster_whose_version_is_not_of_its_class_fails_the_check_with_the_line() {
    let Some(data) = shared_data("moin-cluster-config") else { return };
    let run = check(&with_cluster(&data, "openstack-scs-1-27-v4", "v1.29.3"));
    assert_eq!(run.code, Some(1), "{}", run.said());
    assert_said(&run, "MOIN-0601", "Cluster/capi-system/demo", "capi/config/cluster.yaml:9");
}

#[test]
fn a_cluster_at_an_old_version_is_refused_by_the_repositorys_own_policy() {
    let Some(data) = shared_data("moin-cluster-config") else { return };
    let run = check(&with_cluster(&data, "openstack-scs-1-26-v1", "v1.26.0"));
    assert_eq!(run.code, Some(1), "{}", run.said());
    assert_said(&run, "MOIN-0502", "enforce-supported-k8s-version", "capi/config/cluster.yaml:");
    assert!(!run.said().contains("MOIN-0601"), "class and version agree:\n{}", run.said());
}
