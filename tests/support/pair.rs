//! Two management clusters, the daemon of each, and one repository for both; several such pairs share two API servers,
//! each under an owner name of its own.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::eventually;
use super::invariants::{Handover, LeaseState, Subject, Tally};
use super::moin::{Moin, Running};
use super::repository::TestRepository;
use super::sites::{Lost, Sites, Ways};

/// The management clusters in `moin.yaml`.
pub const NAMES: [&str; 2] = ["mgmt1", "mgmt2"];
/// ConfigMaps in the repository.
const MAPS: usize = 5;
/// Nothing that is waited for may take longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The two of them.
pub struct Pair<'a> {
    sites: &'a Sites,
    owner: &'static str,
    namespace: String,
    repository: TestRepository,
    commits: Vec<String>,
    /// What the daemon of each reads.
    mirrors: [TestRepository; 2],
    held_back: [bool; 2],
    maps: BTreeSet<usize>,
    sides: [Side; 2],
}

/// A management cluster and its daemon.
struct Side {
    client: kube::Client,
    ways: Ways,
    moin: Moin,
    daemon: Option<Running>,
    /// What earlier daemons said.
    said: String,
    home: tempfile::TempDir,
}

impl<'a> Pair<'a> {
    /// Both daemons run, each writes to its own cluster, and both clusters are at the first commit.
    pub async fn at_home(sites: &'a Sites, owner: &'static str) -> Pair<'a> {
        let mut pair = Pair::new(sites, owner).await;
        pair.commit(1);
        pair.run(0);
        pair.run(1);
        pair.converges(1).await;
        for side in [0, 1] {
            pair.is_at_home(side).await;
            pair.stands_by(side).await;
        }
        pair
    }

    async fn new(sites: &'a Sites, owner: &'static str) -> Pair<'a> {
        let sides = [0, 1].map(|me| Side::new(sites, owner, me));
        let sides: Vec<Side> = futures::future::join_all(sides).await;
        let repository = TestRepository::new();
        let pair = Pair {
            sites,
            owner,
            namespace: format!("work-{owner}"),
            repository,
            commits: Vec::new(),
            mirrors: [0, 1].map(|_| TestRepository::new()),
            held_back: [false; 2],
            maps: (0..MAPS).collect(),
            sides: sides.try_into().unwrap_or_else(|_| unreachable!("one for each name")),
        };
        pair.repository.write("moin.yaml", &settings(owner));
        pair.repository.write("common/namespace.yaml", &super::scenario::namespace(&pair.namespace));
        pair
    }

    /// The owner name of all that is of this pair.
    pub fn owner(&self) -> &str {
        self.owner
    }

    /// Commits this revision: every ConfigMap says it.
    pub fn commit(&mut self, revision: u64) {
        for map in &self.maps {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: map-{map}, namespace: {}}}\ndata: {{revision: {:?}}}\n",
                self.namespace,
                revision.to_string()
            );
            self.repository.write(&format!("common/map-{map}.yaml"), &text);
        }
        self.commits.push(self.repository.commit(&format!("Revision {revision}")));
        for side in [0, 1].into_iter().filter(|side| !self.held_back[*side]) {
            self.mirrors[side].follow(&self.repository);
        }
    }

    /// Takes a ConfigMap out of the next commit.
    pub fn remove(&mut self, map: usize) {
        self.maps.remove(&map);
        self.repository.remove(&format!("common/map-{map}.yaml"));
    }

    /// The daemon of this cluster sees no new commits.
    pub fn hold_back_repository(&mut self, side: usize) {
        self.held_back[side] = true;
    }

    /// It sees them again.
    pub fn catch_up_repository(&mut self, side: usize) {
        self.held_back[side] = false;
        self.mirrors[side].follow(&self.repository);
    }

    /// Starts a cluster's daemon.
    pub fn run(&mut self, side: usize) {
        let mirror = self.mirrors[side].url();
        let me = &mut self.sides[side];
        let [cache, kubeconfig] =
            ["cache", "kubeconfig"].map(|file| me.home.path().join(file).display().to_string());
        let source = ["run", "--repo", &mirror, "--branch", "main", "--interval", "1s"];
        let place =
            ["--cluster", NAMES[side], "--kubeconfig", &kubeconfig, "--cache-dir", &cache, "--verbose"];
        me.daemon = Some(me.ways.start(&me.moin, &[&source[..], &place].concat()));
    }

    /// Ends it without a warning.
    pub fn kill(&mut self, side: usize) {
        let daemon = self.sides[side].daemon.take().expect("it runs");
        self.sides[side].said += &daemon.said();
        daemon.kill();
    }

    /// Stops it as a debugger would.
    pub fn freeze(&self, side: usize) {
        self.signal(side, "-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self, side: usize) {
        self.signal(side, "-CONT");
    }

    fn signal(&self, side: usize, signal: &str) {
        let id = self.sides[side].daemon.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill starts").success());
    }

    /// Loses what goes between this cluster's daemon and an API server.
    pub fn cut(&self, side: usize, server: usize, lost: Lost) {
        self.sites.cut(&self.sides[side].ways, server, lost);
    }

    /// Ends that.
    pub fn mend(&self, side: usize, server: usize, lost: Lost) {
        self.sites.mend(&self.sides[side].ways, server, lost);
    }

    /// Waits until both clusters hold this revision and nothing else.
    pub async fn converges(&self, revision: u64) {
        self.converges_at(0, revision).await;
        self.converges_at(1, revision).await;
    }

    /// Waits until this cluster does.
    pub async fn converges_at(&self, side: usize, revision: u64) {
        let what = format!("at revision {revision}");
        self.becomes(side, &what, async || self.is_at(side, revision).await).await;
    }

    /// Waits until its own daemon holds a cluster's Lease.
    pub async fn is_at_home(&self, side: usize) {
        self.becomes(side, "held by its own daemon", async || self.home_holds(side).await == Some(true))
            .await;
    }

    /// Waits until the peer holds it.
    pub async fn is_stood_in_for(&self, side: usize) {
        self.becomes(side, "held by its peer", async || self.home_holds(side).await == Some(false)).await;
    }

    /// Waits until the daemon of a cluster watches over its peer.
    async fn stands_by(&self, side: usize) {
        let daemon = self.sides[side].daemon.as_ref().expect("it runs");
        self.becomes(side, "standing by", async || daemon.said().contains("standing by")).await;
    }

    /// Waits until a cluster's Lease is renewed.
    pub async fn is_renewed(&self, side: usize) {
        let before = self.lease(side).await.and_then(|lease| lease.spec?.renew_time);
        let renewed = async || self.lease(side).await.and_then(|lease| lease.spec?.renew_time) != before;
        self.becomes(side, "renewed", renewed).await;
    }

    /// Waits until what the holder of a cluster's Lease applied as a whole is the newest commit.
    pub async fn records_newest(&self, side: usize) {
        let newest = self.commits.last().expect("a commit");
        let path = format!(
            "/apis/moin.scs.community/v1alpha1/namespaces/moin-system/reconciliations/{}",
            self.owner
        );
        let client = &self.sides[side].client;
        let records = async || {
            let request = http::Request::get(&path).body(Vec::new()).expect("a request");
            let answer: Value = client.request(request).await.unwrap_or_default();
            answer["status"]["appliedRevision"] == newest.as_str()
        };
        self.becomes(side, "recorded at the newest commit", records).await;
    }

    async fn becomes(&self, side: usize, what: &str, is: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !is().await {
            let late = began.elapsed() >= PATIENCE;
            assert!(
                !late,
                "{}: {} is not {what} within {PATIENCE:?}\n{}",
                self.owner,
                NAMES[side],
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a cluster holds this revision.
    pub async fn is_at(&self, side: usize, revision: u64) -> bool {
        let api: Api<ConfigMap> = Api::namespaced(self.sides[side].client.clone(), &self.namespace);
        let Ok(maps) = api.list(&ListParams::default().labels("moin.scs.community/owner")).await else {
            return false;
        };
        let says = |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("revision").cloned());
        let revision = Some(revision.to_string());
        maps.items.len() == self.maps.len() && maps.items.iter().all(|map| says(map) == revision)
    }

    /// Whether a cluster's own daemon holds its Lease; `None` when nobody does.
    async fn home_holds(&self, side: usize) -> Option<bool> {
        let lease = self.lease(side).await?;
        let role = lease.metadata.annotations?.remove("moin.scs.community/role");
        lease.spec?.holder_identity.filter(|holder| !holder.is_empty())?;
        Some(role.as_deref() != Some("peer"))
    }

    async fn lease(&self, side: usize) -> Option<Lease> {
        let api: Api<Lease> = Api::namespaced(self.sides[side].client.clone(), "moin-system");
        api.get_opt(&format!("moin-{}", self.owner)).await.ok()?
    }

    /// The states of a cluster's Lease, by its audit log.
    pub fn leases(&self, side: usize) -> Vec<LeaseState> {
        self.sites.servers[side].audit().leases(self.owner)
    }

    /// The changes of hands of a cluster's Lease, by its audit log.
    pub fn handovers(&self, side: usize) -> Vec<Handover> {
        self.sites.servers[side].audit().handovers(self.subject())
    }

    /// Fails unless the invariants hold in both audit logs.
    #[track_caller]
    pub fn check(&self, deletions: &[&str]) -> [Tally; 2] {
        [0, 1].map(|side| {
            let log = self.sites.servers[side].audit();
            let tally = log.check(self.subject(), &self.commits, deletions);
            let tally = tally.unwrap_or_else(|broken| panic!("{}: {broken}\n{}", self.owner, self.said()));
            assert!(tally.writes >= MAPS * 2, "{}: the log holds the writes", self.owner);
            tally
        })
    }

    fn subject(&self) -> Subject<'_> {
        Subject { owner: self.owner, namespace: &self.namespace }
    }

    /// What the daemons have said.
    fn said(&self) -> String {
        let said = self.sides.iter().zip(NAMES).map(|(side, name)| {
            let said = side.said.clone() + &side.daemon.as_ref().map_or_else(String::new, Running::said);
            let lines: Vec<&str> = said.lines().collect();
            format!("--- {name}\n{}", lines[lines.len().saturating_sub(60)..].join("\n"))
        });
        said.collect::<Vec<_>>().join("\n")
    }

    /// How long it took the API servers to know a new holder, each time, as the daemons said.
    pub fn fence_delays(&self) -> Vec<String> {
        let all = self.sides.iter().flat_map(|side| {
            let said = side.said.clone() + &side.daemon.as_ref().map_or_else(String::new, Running::said);
            let delays = said.lines().filter(|line| line.contains("the API server knows who writes"));
            delays.filter_map(|line| Some(line.split("delay=").nth(1)?.trim().to_owned())).collect::<Vec<_>>()
        });
        all.collect()
    }
}

impl Side {
    async fn new(sites: &Sites, owner: &str, me: usize) -> Side {
        let file = Kubeconfig::from_yaml(&sites.servers[me].kubeconfig()).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let client = kube::Client::try_from(config.expect("usable")).expect("a client");
        let (ways, home) = (sites.ways().await, tempfile::tempdir().expect("a folder"));
        fs::write(home.path().join("kubeconfig"), sites.kubeconfig(&ways, me)).expect("a file");
        lead_to(&client, &format!("{owner}-{}", NAMES[1 - me]), &sites.kubeconfig(&ways, 1 - me)).await;
        Side { client, ways, moin: Moin::new(), daemon: None, said: String::new(), home }
    }
}

/// Puts a kubeconfig where `moin.yaml` says.
async fn lead_to(client: &kube::Client, secret: &str, kubeconfig: &str) {
    let params = PatchParams::apply("test");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mgmt"}});
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = async || namespaces.patch("mgmt", &params, &Patch::Apply(&namespace)).await.ok();
    eventually("a namespace", PATIENCE, made).await;
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret},
        "data": {"value": STANDARD.encode(kubeconfig)}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "mgmt");
    secrets.patch(secret, &params, &Patch::Apply(&body)).await.expect("a new Secret");
}

fn settings(owner: &str) -> String {
    let [one, two] = NAMES;
    let cluster = |name: &str, peer: &str| {
        format!(
            "    {name}: {{useCase: prod, kubeconfig: {{namespace: mgmt, secret: {owner}-{name}}}, peers: [{peer}]}}\n"
        )
    };
    format!(
        "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {{name: {owner}}}\nspec:\n  \
         useCases: {{prod: {{layers: [common]}}}}\n  clusters:\n{}{}",
        cluster(one, two),
        cluster(two, one)
    )
}
