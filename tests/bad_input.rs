//! Bad input and bad days, end to end: each ends in a finding, never in a crash, and what is good goes on.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use support::faults::{Answer, Fault, FaultyServer};
use support::moin::{Finished, Moin};
use support::real_server::RealServer;
use support::repository::TestRepository;

/// A repository of one namespace, `name`, which is the owner name as well, and a ConfigMap `good` in it.
fn repository(name: &str, spec: &str) -> TestRepository {
    let repository = TestRepository::new();
    repository
        .write(
            "moin.yaml",
            &format!(
                "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
            ),
        )
        .write("namespace.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"))
        .write("good.yaml", &config_map(name, "good", "yes"));
    repository
}

fn config_map(namespace: &str, name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\ndata:\n  value: \"{value}\"\n"
    )
}

fn arguments(repository: &TestRepository, kubeconfig: &std::path::Path, more: &[&str]) -> Vec<String> {
    let (url, kubeconfig) = (repository.url(), kubeconfig.display().to_string());
    let fixed = ["run", "--repo", &url, "--branch", "main", "--kubeconfig", &kubeconfig];
    fixed.iter().chain(more).map(|text| (*text).to_owned()).collect()
}

fn once(repository: &TestRepository, server: &RealServer) -> Finished {
    let more = ["--once", "--timeout", "20s"];
    Moin::new().run(&arguments(repository, &server.kubeconfig("moin"), &more))
}

async fn value(server: &RealServer, namespace: &str, name: &str) -> Option<String> {
    let api: Api<ConfigMap> = Api::namespaced(server.client("admin").await, namespace);
    api.get_opt(name).await.unwrap()?.data?.remove("value")
}

async fn count(server: &RealServer, namespace: &str) -> usize {
    let api: Api<ConfigMap> = Api::namespaced(server.client("admin").await, namespace);
    api.list(&ListParams::default()).await.unwrap().items.len()
}

/// One pass that ends with 1, says `code` and `words`, and applies what is good all the same.
async fn goes_on(server: &RealServer, repository: &TestRepository, name: &str, code: &str, words: &[&str]) {
    repository.commit("One thing is bad");
    let run = once(repository, server);
    assert_eq!(run.code, Some(1), "{}", run.said());
    for expected in [&[code], words].concat() {
        assert!(run.said().contains(expected), "no {expected:?} in:\n{}", run.said());
    }
    assert_eq!(value(server, name, "good").await.as_deref(), Some("yes"), "{}", run.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_yaml_in_one_file() {
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("broken-yaml", "");
    repository.write("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad\ndata: [\n");
    goes_on(server, &repository, "broken-yaml", "MOIN-0201", &["bad.yaml:"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind() {
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("unknown-kind", "");
    repository.write(
        "strange.yaml",
        "# nobody knows it\napiVersion: example.org/v1\nkind: Strange\nmetadata: {name: thing, namespace: unknown-kind}\n",
    );
    goes_on(server, &repository, "unknown-kind", "MOIN-0701", &["strange.yaml:2", "Strange"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crd_that_never_becomes_established() {
    let Some(server) = RealServer::shared() else { return };
    let crd = |plural: &str, kind: &str, singular: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.never.example.org}}\n\
             spec:\n  group: never.example.org\n  scope: Namespaced\n  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}\n  \
             versions:\n    - name: v1\n      served: true\n      storage: true\n      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n"
        )
    };
    // Somebody has taken the singular already, so that the API server does not accept the names.
    let admin = server.client("admin").await;
    let crds: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(admin);
    let first: serde_json::Value = moin::yaml::parse(&crd("firsts", "First", "taken"), true).unwrap();
    let params = PatchParams::apply("somebody");
    crds.patch("firsts.never.example.org", &params, &Patch::Apply(&first)).await.unwrap();

    let repository = repository("never", "");
    repository.write("crd.yaml", &crd("seconds", "Second", "taken")).write(
        "second.yaml",
        "apiVersion: never.example.org/v1\nkind: Second\nmetadata: {name: thing, namespace: never}\n",
    );
    goes_on(server, &repository, "never", "MOIN-0903", &["Second/never/thing", "not established"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_compile_refuses_what_it_could_be_about() {
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("bad-policy", "policies: [policies]");
    repository.write(
        "policies/bad.yaml",
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: bad}\nspec:\n  validationFailureAction: Enforce\n  rules:\n\
         \x20   - name: secrets\n      match: {any: [{resources: {kinds: [Secret]}}]}\n      validate:\n        message: m\n\
         \x20       deny: {conditions: {all: [{key: \"{{ length( }}\", operator: Equals, value: 1}]}}\n",
    );
    repository.write(
        "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: judged, namespace: bad-policy}\nstringData: {a: b}\n",
    );
    goes_on(server, &repository, "bad-policy", "MOIN-0501", &["policies/bad.yaml:", "secret.yaml:1"]).await;
    let secrets = server.kubectl("admin", &["get", "secret", "-n", "bad-policy", "-o", "name"]);
    assert!(secrets.stdout.is_empty(), "{}", String::from_utf8_lossy(&secrets.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_owned_by_somebody_else() {
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("foreign", "");
    repository.write("theirs.yaml", &config_map("foreign", "theirs", "ours"));
    server.kubectl("admin", &["create", "namespace", "foreign"]);
    let api: Api<ConfigMap> = Api::namespaced(server.client("someone").await, "foreign");
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"value": "theirs"}});
    api.patch("theirs", &PatchParams::apply("the-other-team"), &Patch::Apply(&theirs)).await.unwrap();
    goes_on(server, &repository, "foreign", "MOIN-070", &["theirs.yaml:", "the-other-team", "data.value"])
        .await;
    assert_eq!(value(server, "foreign", "theirs").await.as_deref(), Some("theirs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_rewritten_is_refused() {
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("rewritten", "");
    let first = repository.commit("First");
    repository.write("good.yaml", &config_map("rewritten", "good", "second"));
    repository.commit("Second");
    assert_eq!(once(&repository, server).code, Some(0));
    assert_eq!(value(server, "rewritten", "good").await.as_deref(), Some("second"));

    repository.reset(&first);
    let run = once(&repository, server);
    assert_eq!(run.code, Some(2), "it could not begin:\n{}", run.said());
    assert!(run.said().contains("MOIN-0102"), "{}", run.said());
    assert_eq!(value(server, "rewritten", "good").await.as_deref(), Some("second"));

    repository.write("good.yaml", &config_map("rewritten", "good", "sideways"));
    repository.commit("Another second");
    let run = once(&repository, server);
    assert!(run.said().contains("MOIN-0102"), "{}", run.said());
    assert_eq!(value(server, "rewritten", "good").await.as_deref(), Some("second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_vanishes_and_comes_back() {
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("vanishing", "");
    repository.commit("First");
    let moin = Moin::new();
    let mut daemon = moin.start(&arguments(&repository, &server.kubeconfig("moin"), &["--interval", "1s"]));
    let eventually_is = async |expected: &str| {
        support::eventually(expected, Duration::from_secs(20), async || {
            (value(server, "vanishing", "good").await.as_deref() == Some(expected)).then_some(())
        })
        .await;
    };
    eventually_is("yes").await;

    let (git, hidden) = (repository.path().join(".git"), repository.path().join("hidden"));
    std::fs::rename(&git, &hidden).unwrap();
    support::eventually("it says that the source is away", Duration::from_secs(20), async || {
        daemon.said().contains("MOIN-0101").then_some(())
    })
    .await;
    assert!(daemon.ended().is_none(), "{}", daemon.said());
    assert_eq!(value(server, "vanishing", "good").await.as_deref(), Some("yes"));

    std::fs::rename(&hidden, &git).unwrap();
    repository.write("good.yaml", &config_map("vanishing", "good", "back"));
    repository.commit("Second");
    eventually_is("back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_passing_errors_is_asked_again() {
    let Some(server) = RealServer::shared() else { return };
    let faulty = FaultyServer::before(server.client("moin").await).await;
    for code in [409, 429, 500, 503] {
        let path = "/configmaps/good";
        faulty.add(Fault { method: Method::PATCH, path, answer: Answer::Status(code), times: 1 });
    }
    let repository = repository("passing", "");
    repository.commit("First");
    let moin = Moin::new();
    let home = tempfile::tempdir().unwrap();
    let more = ["--once", "--timeout", "60s"];
    let run = moin.run(&arguments(&repository, &faulty.kubeconfig(home.path()), &more));
    assert_eq!(run.code, Some(0), "{}", run.said());
    assert_eq!(faulty.injected(), 4);
    assert_eq!(value(server, "passing", "good").await.as_deref(), Some("yes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_server_refuses_is_reported_and_the_rest_is_there() {
    let Some(server) = RealServer::shared() else { return };
    let faulty = FaultyServer::before(server.client("moin").await).await;
    faulty.add(Fault {
        method: Method::PATCH,
        path: "/configmaps/refused",
        answer: Answer::Status(422),
        times: usize::MAX,
    });
    let repository = repository("refusing", "");
    repository.write("refused.yaml", &config_map("refusing", "refused", "no"));
    repository.commit("First");
    let home = tempfile::tempdir().unwrap();
    let more = ["--once", "--timeout", "30s"];
    let run = Moin::new().run(&arguments(&repository, &faulty.kubeconfig(home.path()), &more));
    assert_eq!(run.code, Some(1), "{}", run.said());
    for expected in ["MOIN-0801", "refused.yaml:1", "an injected 422"] {
        assert!(run.said().contains(expected), "no {expected:?} in:\n{}", run.said());
    }
    assert_eq!(value(server, "refusing", "good").await.as_deref(), Some("yes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_no_more_than_the_time_out() {
    let Some(server) = RealServer::shared() else { return };
    let faulty = FaultyServer::before(server.client("moin").await).await;
    let path = "/configmaps/good";
    faulty.add(Fault { method: Method::PATCH, path, answer: Answer::Hang, times: usize::MAX });
    let repository = repository("hanging", "");
    repository.commit("First");
    let home = tempfile::tempdir().unwrap();
    let more = ["--once", "--timeout", "10s"];
    let start = std::time::Instant::now();
    let run = Moin::new().run(&arguments(&repository, &faulty.kubeconfig(home.path()), &more));
    assert_eq!(run.code, Some(1), "{}", run.said());
    assert!(start.elapsed() < Duration::from_secs(25), "took {:?}", start.elapsed());
    assert!(run.said().contains("not done in the time of the pass"), "{}", run.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_does_no_harm() {
    let Some(server) = RealServer::shared() else { return };
    let faulty = FaultyServer::before(server.client("moin").await).await;
    let path = "/configmaps/good";
    faulty.add(Fault { method: Method::PATCH, path, answer: Answer::Lost, times: 1 });
    let repository = repository("lost", "");
    repository.commit("First");
    let home = tempfile::tempdir().unwrap();
    let more = ["--once", "--timeout", "90s"];
    let run = Moin::new().run(&arguments(&repository, &faulty.kubeconfig(home.path()), &more));
    assert_eq!(run.code, Some(0), "{}", run.said());
    assert_eq!(value(server, "lost", "good").await.as_deref(), Some("yes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_an_apply_is_mended_by_the_next_pass() {
    const OBJECTS: usize = 400;
    let Some(server) = RealServer::shared() else { return };
    let repository = repository("killed", "");
    for n in 0..OBJECTS {
        repository.write(&format!("many/{n}.yaml"), &config_map("killed", &format!("m{n}"), "yes"));
    }
    repository.commit("Many");
    let moin = Moin::new();
    let running =
        moin.start(&arguments(&repository, &server.kubeconfig("moin"), &["--once", "--timeout", "60s"]));
    support::eventually("it is in the middle of it", Duration::from_secs(30), async || {
        (count(server, "killed").await > 20).then_some(())
    })
    .await;
    running.kill();
    let half = count(server, "killed").await;
    assert!(half < OBJECTS, "it was too fast for this test: {half} objects were there");
    let run = moin.run(&arguments(&repository, &server.kubeconfig("moin"), &["--once", "--timeout", "60s"]));
    assert_eq!(run.code, Some(0), "{}", run.said());
    assert_eq!(count(server, "killed").await, OBJECTS + 1);
}
