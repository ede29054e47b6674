//! What `moin install` prints is enough to run the daemon, and no more than it says.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use moin::cluster::Cluster;
use moin::plane::Plane;
use serde_json::{Value, json};
use support::moin::{Finished, Moin};
use support::real_server::RealServer;
use support::repository::TestRepository;
use tokio_util::sync::CancellationToken;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config")
}

fn install(repository: &Path, more: &[&str]) -> Finished {
    let repository = repository.display().to_string();
    let follow = "https://git.example.org:8443/config";
    let mut args = vec!["install", "--repo", &repository, "--cluster", "mgmt1", "--follow", follow];
    args.extend(more);
    let finished = Moin::new().run(&args);
    assert_eq!(finished.code, Some(0), "{}", finished.said());
    finished
}

fn documents(text: &str) -> Vec<Value> {
    let file = "install.yaml".parse().unwrap();
    moin::yaml::read(&file, text.as_bytes()).into_iter().map(|document| document.unwrap().value).collect()
}

fn one<'a>(documents: &'a [Value], kind: &str, namespace: Option<&str>) -> &'a Value {
    let found = documents.iter().find(|object| {
        object["kind"] == kind && namespace.is_none_or(|name| object["metadata"]["namespace"] == name)
    });
    found.unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn it_says_what_its_rights_amount_to_and_is_the_same_each_time() {
    let first = install(&example(), &["--credentials", "repository"]);
    assert_eq!(first.stdout, install(&example(), &["--credentials", "repository"]).stdout);
    let said = "This is cluster-admin in effect: the repository holds clusterrolebindings, clusterroles";
    assert!(first.stderr.contains(said), "{}", first.stderr);
    let head: Vec<&str> = first.stdout.lines().take_while(|line| line.starts_with('#')).collect();
    assert!(head.iter().any(|line| line.contains(said)), "{head:#?}");
    let documents = documents(&first.stdout);
    let rules = one(&documents, "ClusterRole", None)["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["verbs"] == json!(["escalate", "bind"])));
    assert!(!rules.iter().any(|rule| rule["resources"].as_array().unwrap().contains(&json!("*"))));
    let of_group = |group: &str| rules.iter().find(|rule| rule["apiGroups"] == json!([group])).unwrap();
    assert_eq!(of_group("cluster.x-k8s.io")["resources"], json!(["clusters"]));
    assert!(!of_group("")["resources"].as_array().unwrap().contains(&json!("secrets")), "none is rendered");
    let peer = one(&documents, "Role", Some("mgmt"));
    assert_eq!(peer["rules"][0]["resourceNames"], json!(["mgmt2-kubeconfig"]));
    let container = &one(&documents, "Deployment", None)["spec"]["template"]["spec"]["containers"][0];
    let value = |name: &str| {
        let found = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
        found.map(|variable| variable["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(value("MOIN_REPO").as_deref(), Some("https://git.example.org:8443/config"));
    assert_eq!(value("MOIN_CLUSTER").as_deref(), Some("mgmt1"));
    assert_eq!(value("MOIN_TOKEN_FILE").as_deref(), Some("/credentials/token"));
}

#[test]
fn a_repository_without_roles_is_no_administrator() {
    let repository = TestRepository::new();
    repository.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n");
    repository.commit("A map");
    let url = "https://u:secret@git.example.org/x";
    let folder = repository.path().display().to_string();
    let refused = Moin::new().run(&["install", "--repo", &folder, "--follow", url]);
    assert_eq!(refused.code, Some(2));
    assert!(
        !refused.said().contains("secret@") && refused.stderr.contains("--credentials"),
        "{}",
        refused.said()
    );
    let nonsense = Moin::new().run(&["install", "--repo", &folder, "--follow", "notaurl"]);
    assert_eq!(nonsense.code, Some(2));
    assert!(nonsense.stderr.contains("notaurl") && nonsense.stderr.contains("help: "), "{}", nonsense.said());
    let finished = Moin::new().run(&["install", "--repo", &folder]);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.contains("Say --follow URL") && !finished.said().contains("cluster-admin"));
}

#[test]
fn rights_beyond_the_kinds_are_for_names_only() {
    let repository = TestRepository::new();
    repository.write(
        "moin.yaml",
        "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: x}\nspec:\n  tenants:\n    template: template\n    \
         folder: tenants/${tenant}\n    impersonate: {groups: ['team:${tenant}']}\n",
    );
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n";
    repository.write("tenants/a/map.yaml", map);
    let cluster = "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata: {name: web, namespace: a}\nspec: {}\n";
    repository.write("cluster.yaml", cluster);
    repository.commit("A tenant");
    let folder = repository.path().display().to_string();
    let args = ["install", "--repo", &folder, "--follow", "https://git.example.org/x"];
    let printed = |more: &[&str]| {
        let finished = Moin::new().run(&[&args[..], more].concat());
        assert_eq!(finished.code, Some(0), "{}", finished.said());
        finished
    };
    let plain = printed(&[]);
    let documents_of = |finished: &Finished| documents(&finished.stdout);
    let plain_documents = documents_of(&plain);
    let rules = one(&plain_documents, "ClusterRole", None)["rules"].as_array().unwrap();
    let of = |resource: &str| {
        let found = rules.iter().filter(|rule| rule["resources"] == json!([resource]));
        found.map(|rule| (rule["resourceNames"].clone(), rule["verbs"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(of("users"), [(json!(["moin:tenant:a"]), json!(["impersonate"]))]);
    assert_eq!(of("groups"), [(json!(["team:a"]), json!(["impersonate"]))]);
    assert_eq!(of("secrets"), [(json!(["web-kubeconfig"]), json!(["get"]))]);
    assert_eq!(of("validatingwebhookconfigurations"), []);
    assert!(
        plain.stderr.contains("It may act as the tenants a.") && plain.stderr.contains("could administer")
    );
    assert!(!plain_documents.iter().any(|object| object["kind"] == "Service"));
    assert!(!plain.stdout.contains("moin-peer") && !plain.stdout.contains("9443"));
    let reports = |resources: [&str; 2]| rules.iter().find(|rule| rule["resources"] == json!(resources));
    for (group, resources) in [
        ("wgpolicyk8s.io", ["policyreports", "clusterpolicyreports"]),
        ("openreports.io", ["reports", "clusterreports"]),
    ] {
        let rule = reports(resources).unwrap();
        assert_eq!(rule["apiGroups"], json!([group]));
        assert_eq!(rule["verbs"], json!(["list", "create", "patch", "delete"]));
    }
    let more = documents_of(&printed(&["--webhook", "--peer-account"]));
    assert_eq!(one(&more, "Service", None)["metadata"]["name"], "moin-webhook");
    let subjects = one(&more, "ClusterRoleBinding", None)["subjects"].as_array().unwrap();
    let names: Vec<&Value> = subjects.iter().map(|subject| &subject["name"]).collect();
    assert_eq!(names, ["moin", "moin-peer"]);
}

#[test]
fn it_passes_the_schemas_and_the_restricted_profile() {
    let repository = TestRepository::new();
    repository.write("install.yaml", &install(&example(), &[]).stdout);
    repository.write(
        "policies/restricted.yaml",
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: restricted}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  \
         - name: restricted\n    match: {any: [{resources: {kinds: [Deployment]}}]}\n    validate:\n      pattern:\n        spec:\n          \
         template:\n            spec:\n              securityContext: {runAsNonRoot: true, runAsUser: \">0\", seccompProfile: {type: RuntimeDefault}}\n              \
         containers:\n              - securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n",
    );
    repository.write(
        "moin.yaml",
        "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: x}\nspec: {policies: [policies]}\n",
    );
    repository.commit("As printed");
    let folder = repository.path().display().to_string();
    let checked = Moin::new().run(&["check", "--repo", &folder]);
    assert_eq!(checked.code, Some(0), "{}", checked.said());
}

/// The example without its stages: everything at once, so that nothing waits for a simulated operator.
fn whole_example() -> (TestRepository, String) {
    let repository = TestRepository::of_folder(&example());
    let settings = std::fs::read_to_string(repository.path().join("moin.yaml")).unwrap();
    let (before, rest) = settings.split_once("  stages:\n").unwrap();
    let (_, after) = rest.split_once("  # They judge every object").unwrap();
    repository.write("moin.yaml", &format!("{before}  # They judge every object{after}"));
    let commit = repository.commit("At once");
    (repository, commit)
}

async fn apply(client: &kube::Client, object: &Value) {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply("kubectl"), &Patch::Apply(object)).await.unwrap();
}

/// A kubeconfig of the account, with a token as its pod would have one.
async fn account_of(client: &kube::Client, kubeconfig: &str, account: &str) -> String {
    let path = format!("/api/v1/namespaces/moin-system/serviceaccounts/{account}/token");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let request = http::Request::post(path).header("content-type", "application/json");
    let answer: Value = client.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
    let mut config: Value = moin::yaml::parse(kubeconfig, false).unwrap();
    config["users"][0]["user"] = json!({"token": answer["status"]["token"]});
    let name = config["users"][0]["name"].clone();
    config["contexts"][0]["context"]["user"] = name;
    config["current-context"] = config["contexts"][0]["name"].clone();
    config.to_string()
}

/// Its rights beside those for the repository's kinds are for these names and no others.
async fn may_do_what_it_is_for(kubeconfig: &str) {
    let config = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let resource = |version: &str, kind: &str| {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
    };
    let kind = "ValidatingWebhookConfiguration";
    let hooks: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("admissionregistration.k8s.io/v1", kind));
    let dry = PatchParams::apply("moin").dry_run();
    let status = |answer: Result<(), kube::Error>| match answer {
        Ok(()) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    };
    for (name, expected) in [("moin-policies", 200), ("somebodys", 403)] {
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        let answer = hooks.patch(name, &dry, &Patch::Apply(&object)).await;
        assert_eq!(status(answer.map(drop)), expected, "{name}");
    }
    for (namespace, name, expected) in [
        ("moin-system", "moin-webhook", 404),
        ("moin-system", "repository", 403),
        ("kube-system", "moin-webhook", 403),
    ] {
        let secrets: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), namespace, &resource("v1", "Secret"));
        assert_eq!(status(secrets.get(name).await.map(drop)), expected, "{namespace}/{name}");
    }
}

async fn converges_as_the_account(admin: kube::Client, kubeconfig: &str, account: &str) -> Finished {
    let (repository, commit) = whole_example();
    for object in documents(&install(repository.path(), &["--peer-account", "--webhook"]).stdout) {
        apply(&admin, &object).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, account_of(&admin, kubeconfig, account).await).unwrap();
    may_do_what_it_is_for(&std::fs::read_to_string(&file).unwrap()).await;
    let stop = CancellationToken::new();
    let operators = moin::sim::Operators {
        cluster: Cluster::from_client(admin.clone()),
        cloud: moin::sim::Cloud::default(),
        pace: Duration::ZERO,
    };
    let operators = tokio::spawn(operators.run(stop.clone()));
    let url = repository.url();
    let args = [
        "run",
        "--once",
        "--timeout",
        "90s",
        "--repo",
        &url,
        "--branch",
        "main",
        "--cluster",
        "mgmt1",
        "--kubeconfig",
    ];
    let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    args.push(file.display().to_string());
    let finished =
        tokio::task::spawn_blocking(move || Moin::new().start(&args).wait(Duration::from_secs(120)));
    let finished = finished.await.unwrap();
    stop.cancel();
    operators.await.unwrap();
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("moin.scs.community", "v1alpha1", "Reconciliation"));
    let api: Api<DynamicObject> = Api::namespaced_with(admin, "moin-system", &resource);
    let told = api.list(&Default::default()).await.unwrap();
    assert_eq!(told.items.len(), 1, "{}", finished.said());
    assert_eq!(told.items[0].data["status"]["appliedRevision"], commit.as_str(), "{}", finished.said());
    finished
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_can_do_all_that_the_daemon_does() {
    let plane = Plane::builder().root_ca(true).build();
    let serving = plane.serve_tls("127.0.0.1:0").await.unwrap();
    let finished = converges_as_the_account(plane.client(), &plane.kubeconfig(serving.url()), "moin").await;
    assert_eq!(finished.code, Some(0), "{}", finished.said());
    // Kinds that may not be listed are passed over; nothing else is asked for in vain.
    let in_vain: Vec<_> = plane
        .requests()
        .into_iter()
        .filter(|request| {
            request.status == 403 && request.method != "GET" && !request.path.contains("/somebodys")
        })
        .collect();
    assert_eq!(in_vain, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_can_the_account_of_the_peers() {
    let plane = Plane::builder().root_ca(true).build();
    let serving = plane.serve_tls("127.0.0.1:0").await.unwrap();
    let kubeconfig = plane.kubeconfig(serving.url());
    let finished = converges_as_the_account(plane.client(), &kubeconfig, "moin-peer").await;
    assert_eq!(finished.code, Some(0), "{}", finished.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_api_server_lets_the_account_do_it_too() {
    let Some(server) = RealServer::start() else { return };
    let kubeconfig = std::fs::read_to_string(server.kubeconfig("admin")).unwrap();
    let config = kube::config::Kubeconfig::from_yaml(&kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
    let finished =
        converges_as_the_account(kube::Client::try_from(config).unwrap(), &kubeconfig, "moin").await;
    assert_eq!(finished.code, Some(0), "{}", finished.said());
}
