//! Two management clusters that stand in for each other.

use std::time::{Duration, Instant};

use base64::Engine as _;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use moin::cluster::Cluster;
use moin::daemon::{Daemon, DaemonError, Ended};
use moin::plane::{Plane, Serving};
use moin::render::RenderOptions;
use moin::source::{Place, Reference, Source, SourceSettings};
use moin::web::Probes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::repository::TestRepository;
use crate::support::scenario::{
    CONFIG_MAP, Kind, LEASE, PATIENCE, RECONCILIATION, SECRET, condition, holds, map,
};

pub const SETTINGS: &str = "apiVersion: moin.scs.community/v1alpha1
kind: Repository
metadata:
  name: test
spec:
  useCases:
    all: {layers: [common]}
  clusters:
    mgmt1: {useCase: all, folders: [clusters/of-mgmt1], kubeconfig: {namespace: mgmt, secret: mgmt1-kubeconfig}, peers: [mgmt2]}
    mgmt2: {useCase: all, folders: [clusters/of-mgmt2], kubeconfig: {namespace: mgmt, secret: mgmt2-kubeconfig}, peers: [mgmt1]}
";

/// A management cluster.
pub struct Site {
    pub name: &'static str,
    pub plane: Plane,
    pub serving: Serving,
}

/// Both, and what they are filled from.
pub struct Pair {
    pub repository: TestRepository,
    caches: tempfile::TempDir,
    pub sites: [Site; 2],
}

pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<Ended, DaemonError>>,
}

impl Site {
    pub async fn new(name: &'static str) -> Site {
        let plane = Plane::new();
        let serving = plane.serve("127.0.0.1:0").await.unwrap();
        Site { name, plane, serving }
    }

    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = kind.0.split_once('/').unwrap_or(("", kind.0));
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.1), kind.2);
        Api::namespaced_with(self.plane.client(), namespace, &resource)
    }

    /// Gives this cluster the way to another.
    pub async fn knows(&self, other: &Site) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mgmt"}});
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.plane.client());
        let params = PatchParams::apply("test").force();
        namespaces.patch("mgmt", &params, &Patch::Apply(&namespace)).await.unwrap();
        self.secret(other, &other.plane.kubeconfig(other.serving.url())).await;
    }

    pub async fn secret(&self, other: &Site, text: &str) {
        let name = format!("{}-kubeconfig", other.name);
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "mgmt"}, "stringData": {"value": text}});
        let params = PatchParams::apply("test").force();
        self.api(SECRET, "mgmt").patch(&name, &params, &Patch::Apply(&secret)).await.unwrap();
    }

    pub async fn until(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        wanted: impl Fn(&Value) -> bool + Clone,
    ) {
        let is = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| wanted(&serde_json::to_value(object).unwrap()))
        };
        let met = async {
            // A kind that is not served yet ends the watch with an error; it begins again.
            while await_condition(self.api(kind, namespace), name, is).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, met).await.is_err() {
            let now = self.api(kind, namespace).get_opt(name).await;
            panic!("{} {name} in {} has not become as wanted: {now:#?}", kind.1, self.name);
        }
    }

    pub async fn until_value(&self, name: &str, value: &'static str) {
        self.until(CONFIG_MAP, "default", name, move |map| map["data"]["key"] == value).await;
    }

    pub async fn until_held_by(&self, daemon: &'static str) {
        let is = move |lease: &Value| {
            let holder = lease["spec"]["holderIdentity"].as_str();
            holder.is_some_and(|holder| holder.starts_with(daemon))
        };
        self.until(LEASE, "moin-system", "moin-test", is).await;
    }

    pub async fn until_found(&self, code: &'static str) {
        let is = move |it: &Value| {
            it["status"]["findings"].as_array().into_iter().flatten().any(|finding| finding["code"] == code)
        };
        self.until(RECONCILIATION, "moin-system", "test", is).await;
    }

    pub async fn until_ready(&self) {
        let is = |it: &Value| condition(&it["status"], "Ready") == Some("True");
        self.until(RECONCILIATION, "moin-system", "test", is).await;
    }

    /// Who wrote a ConfigMap last, by its version.
    pub async fn version(&self, name: &str) -> Option<String> {
        self.api(CONFIG_MAP, "default").get(name).await.unwrap().resource_version()
    }
}

impl Pair {
    pub async fn new() -> Pair {
        let repository = TestRepository::new();
        repository.write("moin.yaml", SETTINGS);
        repository.write("common/both.yaml", &map("both", "1"));
        repository.write("clusters/of-mgmt1/one.yaml", &map("one", "1"));
        repository.write("clusters/of-mgmt2/two.yaml", &map("two", "1"));
        repository.commit("First");
        let sites = [Site::new("mgmt1").await, Site::new("mgmt2").await];
        sites[0].knows(&sites[1]).await;
        sites[1].knows(&sites[0]).await;
        Pair { repository, caches: tempfile::tempdir().unwrap(), sites }
    }

    pub fn start(&self, site: &Site) -> Running {
        let stop = CancellationToken::new();
        let daemon = self.daemon(site, site.name, None, stop.clone());
        Running { stop, task: tokio::spawn(daemon.run()) }
    }

    /// A daemon in this cluster that takes it for the one of that name.
    pub fn daemon(&self, site: &Site, name: &str, once: Option<Duration>, stop: CancellationToken) -> Daemon {
        let place = Place::Git {
            url: self.repository.url().parse().unwrap(),
            reference: Reference::Branch("main".to_owned()),
        };
        let cache = self.caches.path().join(uuid::Uuid::new_v4().to_string());
        Daemon {
            cluster: Cluster::from_client(site.plane.client()),
            source: Source::open(&SourceSettings::new(place, cache)).unwrap(),
            source_url: self.repository.url(),
            render: RenderOptions { cluster: Some(name.to_owned()), ..RenderOptions::default() },
            once,
            interval: Duration::from_millis(200),
            observe: false,
            fetch_timeout: Duration::from_secs(10),
            probes: Probes::default(),
            stop,
        }
    }
}

impl Running {
    /// It is gone, from one moment to the next.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_stands_in_and_the_home_gets_its_cluster_back() {
    let pair = Pair::new().await;
    let [one, two] = &pair.sites;
    let (first, second) = (pair.start(one), pair.start(two));
    one.until_ready().await;
    two.until_ready().await;
    one.until_value("one", "1").await;
    two.until_value("two", "1").await;
    holds(
        one.api(CONFIG_MAP, "default").get_opt("two").await.unwrap().is_none(),
        &"each has its own folders",
    );
    one.until_held_by("mgmt1_").await;
    two.until_held_by("mgmt2_").await;

    let untouched = one.version("both").await;
    first.kill().await;
    let killed = Instant::now();
    pair.repository.write("clusters/of-mgmt1/one.yaml", &map("one", "2"));
    pair.repository.commit("While its daemon is gone");
    one.until_held_by("mgmt2_").await;
    let taken = killed.elapsed();
    holds(taken < Duration::from_secs(17), &taken);
    one.until_value("one", "2").await;

    let first = pair.start(one);
    one.until(LEASE, "moin-system", "moin-test", |lease| {
        lease["metadata"]["annotations"]["moin.scs.community/hand-back"].is_string()
            || lease["metadata"]["annotations"]["moin.scs.community/role"] == "home"
    })
    .await;
    let asked = Instant::now();
    one.until_held_by("mgmt1_").await;
    holds(asked.elapsed() < Duration::from_secs(1), &asked.elapsed());
    pair.repository.write("clusters/of-mgmt1/one.yaml", &map("one", "3"));
    pair.repository.commit("It is back");
    one.until_value("one", "3").await;
    assert_eq!(one.version("both").await, untouched, "nobody wrote what was already right");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_with_a_peer_is_a_finding_and_no_more() {
    let pair = Pair::new().await;
    let [one, two] = &pair.sites;
    one.secret(two, "no kubeconfig").await;
    let first = pair.start(one);
    one.until_found("MOIN-0808").await;
    one.until_ready().await;
    // It leads to the home itself.
    one.secret(two, &one.plane.kubeconfig(one.serving.url())).await;
    one.until_found("MOIN-0810").await;
    one.until_ready().await;
    // It is the right one, which does not know us.
    let wrong = two.plane.kubeconfig(two.serving.url());
    let token = wrong.split("token: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    one.secret(two, &wrong.replace(token, "of-somebody-else")).await;
    one.until_found("MOIN-0809").await;
    one.until_ready().await;
    one.secret(two, &two.plane.kubeconfig(two.serving.url())).await;
    let well = |it: &Value| it["status"]["findings"].as_array().is_none_or(Vec::is_empty);
    one.until(RECONCILIATION, "moin-system", "test", well).await;
    first.stop().await;
}

/// A Lease as somebody else has written it.
async fn lease_of(site: &Site, cluster: &str, protocol: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "moin-system"}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(site.plane.client());
    let params = PatchParams::apply("test").force();
    namespaces.patch("moin-system", &params, &Patch::Apply(&namespace)).await.unwrap();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "moin-test", "namespace": "moin-system", "annotations": {
            "moin.scs.community/cluster": cluster, "moin.scs.community/protocol": protocol}},
        "spec": {"holderIdentity": "ghost", "leaseDurationSeconds": 86_400, "renewTime": "2036-01-01T00:00:00.000000Z"}});
    site.api(LEASE, "moin-system").patch("moin-test", &params, &Patch::Apply(&lease)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_a_later_protocol_is_left_alone() {
    let pair = Pair::new().await;
    let [one, two] = &pair.sites;
    lease_of(two, "mgmt2", "2").await;
    let first = pair.start(one);
    one.until_found("MOIN-0820").await;
    one.until_ready().await;
    two.until(LEASE, "moin-system", "moin-test", |lease| lease["spec"]["holderIdentity"] == "ghost").await;
    first.stop().await;
    assert!(two.api(CONFIG_MAP, "default").get_opt("two").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_years_ahead_locks_nobody_out() {
    let pair = Pair::new().await;
    let [one, _] = &pair.sites;
    lease_of(one, "mgmt1", "1").await;
    let api = one.api(LEASE, "moin-system");
    // Whatever its holder wrote, nobody waits a day.
    let shorter = json!({"spec": {"leaseDurationSeconds": 15}});
    api.patch("moin-test", &PatchParams::default(), &Patch::Merge(&shorter)).await.unwrap();
    let began = Instant::now();
    let first = pair.start(one);
    one.until_held_by("mgmt1_").await;
    let waited = began.elapsed();
    holds(waited > Duration::from_secs(14) && waited < Duration::from_secs(18), &waited);
    one.until_value("one", "1").await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_take_themselves_for_the_home_do_not_fight() {
    let pair = Pair::new().await;
    let [one, two] = &pair.sites;
    let (first, second) = (pair.start(one), pair.start(one));
    one.until_ready().await;
    let holder = |lease: DynamicObject| lease.data["spec"]["holderIdentity"].as_str().map(str::to_owned);
    let leases = one.api(LEASE, "moin-system");
    let before = holder(leases.get("moin-test").await.unwrap());
    pair.repository.write("clusters/of-mgmt1/one.yaml", &map("one", "2"));
    pair.repository.commit("Another");
    one.until_value("one", "2").await;
    assert_eq!(
        holder(leases.get("moin-test").await.unwrap()),
        before,
        "one of the two is as good as the other"
    );
    // One is told that the other's cluster is its own.
    let third = pair.start(two);
    two.until_value("two", "1").await;
    third.stop().await;
    let stop = CancellationToken::new();
    let ended = pair.daemon(two, "mgmt1", Some(Duration::from_secs(3)), stop).run().await.unwrap();
    let codes: Vec<String> = ended.report.findings.iter().map(|finding| finding.code.to_string()).collect();
    holds(ended.code == 1 && codes.iter().any(|code| code == "MOIN-0810"), &codes);
    assert!(two.api(CONFIG_MAP, "default").get_opt("one").await.unwrap().is_none());
    first.stop().await;
    second.stop().await;
}

/// The kubeconfig with a client certificate that ends in a moment.
fn ending(kubeconfig: &str, left: Duration) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + left;
    let certificate = params.self_signed(&key).unwrap();
    let data = |pem: String| base64::engine::general_purpose::STANDARD.encode(pem);
    let identity = format!(
        "    client-certificate-data: {}\n    client-key-data: {}\n    token:",
        data(certificate.pem()),
        data(key.serialize_pem())
    );
    kubeconfig.replacen("    token:", &identity, 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_that_ends_is_told_and_a_new_one_taken() {
    let pair = Pair::new().await;
    let [one, two] = &pair.sites;
    let daemon = pair.start(one);
    one.until_ready().await;
    two.until_held_by("mgmt1").await;
    let kubeconfig = two.plane.kubeconfig(two.serving.url());
    one.secret(two, &ending(&kubeconfig, Duration::from_secs(4))).await;
    one.until_found("MOIN-0809").await;
    let told = one.api(RECONCILIATION, "moin-system").get("test").await.unwrap();
    let told = told.data["status"]["findings"][0]["message"].as_str().unwrap().to_owned();
    holds(
        told.starts_with(
            "the client certificate in Secret/mgmt/mgmt2-kubeconfig for the cluster mgmt2 ended at 20",
        ),
        &told,
    );
    one.secret(two, &kubeconfig).await;
    one.until(RECONCILIATION, "moin-system", "test", |it| it["status"]["findings"] == json!([])).await;
    pair.repository.write("clusters/of-mgmt2/two.yaml", &map("two", "2"));
    pair.repository.commit("Another");
    two.until_value("two", "2").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_lasts_as_the_repository_says() {
    let pair = Pair::new().await;
    let [one, _] = &pair.sites;
    let lasts = |seconds: u64| move |lease: &Value| lease["spec"]["leaseDurationSeconds"] == seconds;
    let daemon = pair.start(one);
    one.until(LEASE, "moin-system", "moin-test", lasts(15)).await;
    pair.repository.write("moin.yaml", &format!("{SETTINGS}  peers: {{lease: 40s}}\n"));
    pair.repository.commit("Longer");
    one.until(LEASE, "moin-system", "moin-test", lasts(40)).await;
    pair.repository.write("moin.yaml", &format!("{SETTINGS}  peers: {{lease: 5s}}\n"));
    pair.repository.commit("Too short");
    one.until_found("MOIN-0301").await;
    one.until(LEASE, "moin-system", "moin-test", lasts(40)).await;
    daemon.stop().await;
}
