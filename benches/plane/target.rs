//! The servers that are compared, each in processes of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Address;
use super::support::real_server::RealServer;

/// A running server.
pub struct Target {
    pub name: &'static str,
    pub address: Address,
    /// From the start of the processes until it answers.
    pub ready_after: Duration,
    processes: Vec<u32>,
    _keep: Box<dyn std::any::Any>,
}

struct Plane {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    /// `moin plane` with TLS, RBAC and an audit log, which keeps what it is told in a folder as etcd does.
    pub fn plane() -> Target {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let begin = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_moin"))
            .args(["plane", "--listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--audit")
            .arg(folder.path().join("audit.log"))
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready_after = begin.elapsed();
        let url = line.trim().strip_prefix("ready ").expect("the ready line").to_owned();
        let file = moin::yaml::parse(&std::fs::read_to_string(kubeconfig).unwrap(), false).unwrap();
        let token = file["users"][0]["user"]["token"].as_str().unwrap().to_owned();
        let authority = file["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
        let tls = url.starts_with("https").then(|| trusting(&decoded(authority.unwrap())));
        let host = url.split("//").nth(1).unwrap().to_owned();
        let processes = vec![child.id()];
        let keep = Box::new(Plane { child, _folder: folder });
        Target { name: "plane", address: Address { host, token, tls }, ready_after, processes, _keep: keep }
    }

    /// kube-apiserver and etcd.
    pub fn real() -> Option<Target> {
        let begin = Instant::now();
        let server = RealServer::start()?;
        let ready_after = begin.elapsed();
        let tls = Some(trusting(&std::fs::read(server.certificate_authority()).unwrap()));
        let host = server.url().strip_prefix("https://").unwrap().to_owned();
        let address = Address { host, token: RealServer::token("admin"), tls };
        let processes = server.processes();
        Some(Target { name: "real", address, ready_after, processes, _keep: Box::new(server) })
    }

    /// The processor time that its processes have used.
    pub fn processor_time(&self) -> Duration {
        let ticks: u64 = self.processes.iter().map(|process| ticks(*process)).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The memory that its processes hold, in MiB.
    pub fn memory(&self) -> f64 {
        let resident = |process: &u32| -> f64 {
            let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0.0)
        };
        self.processes.iter().map(resident).sum::<f64>() / 1024.0
    }
}

/// User and system time, in hundredths of a second.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind_the_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind_the_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    ticks(11) + ticks(12)
}

fn decoded(base64: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

fn trusting(pem: &[u8]) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let certificates: Vec<Vec<u8>> =
        CertificateDer::pem_slice_iter(pem).map(|c| c.unwrap().as_ref().to_vec()).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { certificates, provider }))
        .with_no_client_auth();
    Arc::new(config)
}

/// Trusts what a file of the server says, and so does not measure how chains are built.
#[derive(Debug)]
struct Pinned {
    certificates: Vec<Vec<u8>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl rustls::client::danger::ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        _end_entity: &rustls::pki_types::CertificateDer<'_>,
        _intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _name: &rustls::pki_types::ServerName<'_>,
        _ocsp: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        if self.certificates.is_empty() {
            return Err(rustls::Error::General("nothing is trusted".to_owned()));
        }
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
