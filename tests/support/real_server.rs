//! A real kube-apiserver with its etcd, on free loopback ports, for as long as the test binary runs.
//!
//! Nothing else of Kubernetes is there: no controller, no scheduler. A removed namespace stays Terminating until
//! [`RealServer::finish_namespace`] stands in for the namespace controller, unless the kube-controller-manager was
//! asked for with [`RealServer::start_with_controllers`].

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Api, DeleteParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::audit::{self, AuditEvent};
use super::namespaces::Host;

/// Users of the token file; all are in `system:masters`. Named by role, so that the audit log tells them apart.
pub const USERS: [&str; 4] = ["admin", "moin", "standin", "someone"];

const READY_WITHIN: Duration = Duration::from_secs(90);

/// A running kube-apiserver. Dropped, or when the test process dies in whatever way, it goes away with its data.
pub struct RealServer {
    folder: PathBuf,
    binaries: PathBuf,
    url: String,
    processes: Vec<Child>,
}

/// Where the programs are, built first if they are not; `None` with a line that says why.
fn binaries() -> Option<PathBuf> {
    if std::env::var_os("MOIN_SKIP_REAL").is_some() {
        eprintln!("skipped: MOIN_SKIP_REAL is set, so no real kube-apiserver");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder =
        std::env::var_os("MOIN_TEST_BIN").map_or_else(|| root.join("target/apiserver"), PathBuf::from);
    let built = Command::new(root.join("tests/apiserver/build"))
        .env("MOIN_TEST_BIN", &folder)
        .status()
        .is_ok_and(|status| status.success());
    if built {
        return Some(folder);
    }
    assert!(
        std::env::var_os("MOIN_REQUIRE_REAL").is_none(),
        "MOIN_REQUIRE_REAL is set, and tests/apiserver/build failed"
    );
    eprintln!("skipped: no kube-apiserver here, and tests/apiserver/build cannot build one (it needs go)");
    None
}

/// The folder with kubectl; `None` with a line that says why.
pub fn kubectl_folder() -> Option<PathBuf> {
    binaries()
}

impl RealServer {
    /// The one server of this test binary, started by whoever asks first; tests use namespaces of their own.
    /// `None`, after a line that says why, where there can be none.
    pub fn shared() -> Option<&'static RealServer> {
        static SERVER: OnceLock<Option<RealServer>> = OnceLock::new();
        SERVER.get_or_init(RealServer::start).as_ref()
    }

    /// A server of one's own. `None`, after a line that says why, where there can be none.
    ///
    /// # Panics
    /// When the programs are there and do not come up.
    pub fn start() -> Option<RealServer> {
        RealServer::start_with(&[])
    }

    /// A server of one's own with more flags.
    pub fn start_with(flags: &[&str]) -> Option<RealServer> {
        RealServer::start_at(None, flags)
    }

    /// A server of one's own on a host of its own.
    pub fn start_on(host: &Host) -> Option<RealServer> {
        RealServer::start_at(Some(host), &[])
    }

    fn start_at(host: Option<&Host>, flags: &[&str]) -> Option<RealServer> {
        let binaries = binaries()?;
        // A free port can be lost to somebody else before the server takes it, so more than one try.
        let mut said = String::new();
        for _ in 0..3 {
            match RealServer::try_start(&binaries, host, flags) {
                Ok(server) => return Some(server),
                Err(why) => said = why,
            }
        }
        panic!("kube-apiserver does not start: {said}");
    }

    /// A server of one's own with a kube-controller-manager that runs these controllers.
    pub fn start_with_controllers(controllers: &[&str]) -> Option<RealServer> {
        let mut server = RealServer::start()?;
        let at = |name: &str| server.folder.join(name).display().to_string();
        let flags = [
            format!("--kubeconfig={}", server.kubeconfig("standin").display()),
            format!("--controllers={}", controllers.join(",")),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            format!("--root-ca-file={}", at("certs/apiserver.crt")),
            format!("--service-account-private-key-file={}", at("service-account.pem")),
        ];
        server.spawn(None, "kube-controller-manager", &flags);
        Some(server)
    }

    fn try_start(binaries: &Path, host: Option<&Host>, flags: &[&str]) -> Result<RealServer, String> {
        let folder =
            tempfile::Builder::new().prefix("moin-real-").tempdir().map_err(|e| e.to_string())?.keep();
        let [client_port, peer_port, secure_port] = free_ports();
        write_inputs(&folder);
        let address = host.map_or("127.0.0.1", Host::address);
        let url = format!("https://{address}:{secure_port}");
        let mut server =
            RealServer { folder, binaries: binaries.to_owned(), url, processes: Vec::with_capacity(2) };
        let etcd = etcd_flags(&server.folder, client_port, peer_port);
        server.spawn(host, "etcd", &etcd);
        let mut apiserver = apiserver_flags(&server.folder, client_port, address, secure_port);
        apiserver.extend(flags.iter().map(|&flag| flag.to_owned()));
        server.spawn(host, "kube-apiserver", &apiserver);
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a program whose life ends with this process: its guardian reads a pipe that only we hold open.
    fn spawn(&mut self, host: Option<&Host>, program: &str, flags: &[String]) {
        const GUARDED: &str = r#"
            folder=$1; program=$2; shift 2
            exec 3<&0
            ( read -r _ <&3
              [ "$(cat /proc/$$/comm 2>/dev/null)" = "$(basename "$program")" ] && kill -9 $$
              [ -n "${MOIN_KEEP:-}" ] || { sleep 0.2; rm -rf "$folder"; } ) >/dev/null 2>&1 &
            exec "$program" "$@" </dev/null 3<&-"#;
        let log = fs::File::create(self.folder.join(format!("{program}.log"))).expect("a log file");
        let child = host
            .map_or_else(|| Command::new("sh"), |host| host.command("sh"))
            .args(["-c", GUARDED, "sh"])
            .arg(&self.folder)
            .arg(self.binaries.join(program))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("sh starts");
        self.processes.push(child);
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            for child in &mut self.processes {
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(format!("ended with {status}: {}", self.last_words()));
                }
            }
            // The certificate exists as soon as the server serves, and the kubeconfigs need it.
            if let Ok(certificate) = fs::read(self.folder.join("certs/apiserver.crt")) {
                for user in USERS {
                    fs::write(self.kubeconfig(user), kubeconfig(&self.url, &certificate, user))
                        .expect("a kubeconfig");
                }
                if self.kubectl("admin", &["get", "--raw=/readyz"]).status.success() {
                    return Ok(());
                }
            }
            if start.elapsed() > READY_WITHIN {
                return Err(format!("not ready within {READY_WITHIN:?}: {}", self.last_words()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn last_words(&self) -> String {
        let tail = |program: &str| {
            let text = fs::read_to_string(self.folder.join(format!("{program}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(5)..].join("\n")
        };
        format!("{}\n{}", tail("etcd"), tail("kube-apiserver"))
    }

    /// A kubeconfig for one of [`USERS`].
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("kubeconfig-{user}"))
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The processes of etcd and kube-apiserver.
    pub fn processes(&self) -> Vec<u32> {
        self.processes.iter().map(Child::id).collect()
    }

    /// The bearer token of one of [`USERS`], for a bare HTTP client.
    pub fn token(user: &str) -> String {
        format!("{user}-token")
    }

    /// The certificate that signs the server's, in PEM.
    pub fn certificate_authority(&self) -> PathBuf {
        self.folder.join("certs/apiserver.crt")
    }

    /// A client as one of [`USERS`].
    pub async fn client(&self, user: &str) -> kube::Client {
        kube::Client::try_from(self.config(user).await).expect("a client")
    }

    /// A client that shows every answer, also those that call for another try.
    pub async fn plain_client(&self, user: &str) -> kube::Client {
        let mut config = self.config(user).await;
        config.default_retry = false;
        kube::Client::try_from(config).expect("a client")
    }

    async fn config(&self, user: &str) -> kube::Config {
        let file = Kubeconfig::read_from(self.kubeconfig(user)).expect("the kubeconfig that start() wrote");
        kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .expect("a usable kubeconfig")
    }

    /// Runs the kubectl of the server's own version.
    pub fn kubectl(&self, user: &str, args: &[&str]) -> Output {
        Command::new(self.binaries.join("kubectl"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig(user))
            .arg("--cache-dir")
            .arg(self.folder.join("kubectl-cache"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("kubectl starts")
    }

    /// Its audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Every request that the server has answered so far, in the order of its audit log.
    pub fn audit(&self) -> Vec<AuditEvent> {
        audit::read(&self.folder.join("audit.log"))
    }

    /// Stands in for the namespace controller, once: empties a Terminating namespace of what is listed and takes
    /// its finalizer. Objects with finalizers of their own stay, and the namespace with them.
    pub async fn finish_namespace(&self, name: &str) -> kube::Result<()> {
        let client = self.client("standin").await;
        for resource in namespaced_resources(&client).await? {
            let api: Api<kube::core::DynamicObject> = Api::namespaced_with(client.clone(), name, &resource);
            match api.delete_collection(&DeleteParams::default(), &ListParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if [404, 405].contains(&status.code) => {}
                Err(other) => return Err(other),
            }
        }
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
        let Some(mut namespace) = namespaces.get_opt(name).await? else { return Ok(()) };
        if let Some(spec) = &mut namespace.spec {
            spec.finalizers = Some(Vec::new());
        }
        let body = serde_json::to_vec(&namespace).expect("a namespace is JSON");
        let request = http::Request::put(format!("/api/v1/namespaces/{name}/finalize"))
            .header("content-type", "application/json")
            .body(body)
            .expect("a request");
        client.request_text(request).await.map(drop)
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // The guardian of each ends it when our end of the pipe closes.
        for child in &mut self.processes {
            drop(child.stdin.take());
        }
        for child in &mut self.processes {
            let _ = child.wait();
        }
        if std::env::var_os("MOIN_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

async fn namespaced_resources(client: &kube::Client) -> kube::Result<Vec<kube::core::ApiResource>> {
    let discovery = kube::discovery::Discovery::new(client.clone()).run().await?;
    let mut found = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if capabilities.scope == kube::discovery::Scope::Namespaced
                && capabilities.supports_operation(kube::discovery::verbs::DELETE)
            {
                found.push(resource);
            }
        }
    }
    Ok(found)
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All are held at once, so that no port comes twice.
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback"));
    held.map(|listener| listener.local_addr().expect("its address").port())
}

fn write_inputs(folder: &Path) {
    let write =
        |name: &str, text: String| fs::write(folder.join(name), text).expect("a file in our own folder");
    let tokens = USERS.map(|user| format!("{user}-token,{user},{user},\"system:masters\"\n"));
    write("tokens.csv", tokens.concat());
    let (private, public) = service_account_key();
    write("service-account.pem", private);
    write("service-account.pub", public);
    // Metadata of every request that was answered; `watch` counts once, when it begins.
    let policy = serde_json::json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "None", "nonResourceURLs": ["/readyz*", "/livez*"]},
                  {"level": "None", "users": ["system:apiserver"]},
                  // What two writers did to whom is read off these.
                  {"level": "RequestResponse", "omitManagedFields": true, "resources": [
                      {"group": "coordination.k8s.io", "resources": ["leases"]},
                      {"group": "moin.scs.community", "resources": ["reconciliations", "reconciliations/status"]},
                      {"group": "", "resources": ["configmaps"]}]},
                  {"level": "Metadata"}],
    });
    write("audit-policy.yaml", policy.to_string());
}

/// A new P-256 key in PEM: the private key, and the public key as kube-apiserver wants it apart.
fn service_account_key() -> (String, String) {
    // SubjectPublicKeyInfo up to the point: id-ecPublicKey, prime256v1, a bit string of 66 bytes.
    const SPKI: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
        .expect("a new key from the system's randomness");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random)
        .expect("the key just made");
    let public = [&SPKI[..], pair.public_key().as_ref()].concat();
    (pem("PRIVATE KEY", pkcs8.as_ref()), pem("PUBLIC KEY", &public))
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn etcd_flags(folder: &Path, client_port: u16, peer_port: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
    vec![
        format!("--data-dir={}/etcd", folder.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(), // the data does not outlive the test
    ]
}

fn apiserver_flags(folder: &Path, etcd_port: u16, address: &str, secure_port: u16) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--secure-port={secure_port}"),
        format!("--cert-dir={}", at("certs")), // it makes its own certificate there
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/12".to_owned(),
        format!("--token-auth-file={}", at("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", at("service-account.pub")),
        format!("--service-account-signing-key-file={}", at("service-account.pem")),
        "--disable-admission-plugins=ServiceAccount".to_owned(), // no controller makes default accounts
        "--allow-privileged=true".to_owned(),
        format!("--audit-policy-file={}", at("audit-policy.yaml")),
        format!("--audit-log-path={}", at("audit.log")),
        "--audit-log-mode=blocking".to_owned(), // a request that was answered is in the log
    ]
}

fn kubeconfig(url: &str, certificate: &[u8], user: &str) -> String {
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "real",
        "clusters": [{"name": "real", "cluster": {
            "server": url, "certificate-authority-data": STANDARD.encode(certificate)}}],
        "users": [{"name": user, "user": {"token": RealServer::token(user)}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": user}}],
    });
    config.to_string()
}
