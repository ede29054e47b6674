//! TLS: a certificate authority of the plane's own, the server's certificate, and clients' certificates.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::auth::authenticate::Certificate;
use super::certificate;

const NAME: &str = "moin-plane-ca";
const CERTIFICATE_FILE: &str = "ca.crt";
const KEY_FILE: &str = "ca.key";
/// The names by which pods know the server, and the loopback.
const NAMES: [&str; 7] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "::1",
];
const YEARS: i32 = 10;

/// A certificate with its key, both in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub certificate: String,
    pub key: String,
}

/// What signs the certificates of the server and of its clients.
pub(crate) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    key: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn wrong(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Certificates hold from the beginning of the first to the beginning of the second of these years.
fn years() -> (i32, i32) {
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    (year - 1, year + YEARS)
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let (from, until) = years();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

fn authority_params() -> CertificateParams {
    let mut params = params(NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    /// A new one.
    pub fn generate() -> io::Result<Authority> {
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = authority_params().self_signed(&key).map_err(wrong)?.pem();
        Ok(Authority::of(certificate, key))
    }

    fn of(certificate: String, key: KeyPair) -> Authority {
        let text = key.serialize_pem();
        Authority { certificate, key: text, issuer: Issuer::new(authority_params(), key) }
    }

    /// The one that is kept in a folder; a new one is made and kept there when there is none.
    pub fn keep(folder: &Path) -> io::Result<Authority> {
        if let Some(authority) = Authority::load(folder)? {
            return Ok(authority);
        }
        let authority = Authority::generate()?;
        authority.save(folder)?;
        Ok(authority)
    }

    /// The one that is kept in a folder, if there is one.
    pub fn load(folder: &Path) -> io::Result<Option<Authority>> {
        let certificate = match std::fs::read_to_string(folder.join(CERTIFICATE_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let key = std::fs::read_to_string(folder.join(KEY_FILE))?;
        let key = KeyPair::from_pem(&key).map_err(wrong)?;
        Ok(Some(Authority::of(certificate, key)))
    }

    /// Keeps it in a folder, the key for its owner's eyes only.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        super::keys::write_private(&folder.join(KEY_FILE), &self.key)?;
        std::fs::write(folder.join(CERTIFICATE_FILE), &self.certificate)
    }

    /// Its certificate in PEM: what clients trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a user and his groups.
    pub fn client(&self, user: &str, groups: &[String]) -> io::Result<Identity> {
        let own = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(wrong)?;
        let name =
            certificate::subject(&own).ok_or_else(|| wrong("the authority's certificate is broken"))?;
        let key = KeyPair::generate().map_err(wrong)?;
        let signed = certificate::write(user, groups, years(), &key, (name, self.issuer.key()));
        Ok(Identity { certificate: pem(&signed.map_err(wrong)?), key: key.serialize_pem() })
    }

    /// A certificate for the server, good for the loopback, the cluster's names and this address.
    fn server(&self, address: IpAddr) -> io::Result<Identity> {
        let mut names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
        let address = address.to_string();
        if !names.contains(&address) {
            names.push(address);
        }
        let mut params = params("kube-apiserver");
        params.subject_alt_names = CertificateParams::new(names).map_err(wrong)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(wrong)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// How a server on this address speaks TLS: HTTP/2 or HTTP/1.1, with or without a client's certificate.
    pub fn server_config(&self, address: IpAddr) -> io::Result<ServerConfig> {
        let identity = self.server(address)?;
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).map_err(wrong)?];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(wrong)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_client_cert_verifier(Arc::new(Later(self.verifier()?)))
            .with_single_cert(chain, key)
            .map_err(wrong)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// What tells the authority's clients from others.
    pub fn verifier(&self) -> io::Result<Arc<dyn ClientCertVerifier>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(wrong)?;
        roots.add(root).map_err(wrong)?;
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(wrong)
    }
}

/// A certificate in PEM.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Whose certificate the client of a connection showed.
pub(crate) fn client_of(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>]) -> Certificate {
    let Some((own, between)) = chain.split_first() else { return Certificate::None };
    let verified = verifier.verify_client_cert(own, between, UnixTime::now());
    match (verified, certificate::user(own)) {
        (Ok(_), Some(user)) => Certificate::Of(Arc::new(user.authenticated())),
        (Ok(_), None) => Certificate::None,
        (Err(_), _) => Certificate::Refused,
    }
}

/// Lets every certificate through the handshake: the server answers a wrong one with 401, not with a broken line.
#[derive(Debug)]
struct Later(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Later {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    #[test]
    fn a_client_is_known_by_its_certificate() {
        let authority = Authority::generate().unwrap();
        let groups = ["dev".to_owned(), "ops".to_owned(), "a".repeat(200)];
        let own = certificate(&authority.client("somebody", &groups).unwrap().certificate);
        let Certificate::Of(user) = client_of(&*authority.verifier().unwrap(), &[own]) else { panic!() };
        assert_eq!((user.name.as_str(), user.groups.len()), ("somebody", 4));
        let stranger = Authority::generate().unwrap();
        let strange = certificate(&stranger.client("somebody", &groups).unwrap().certificate);
        let verifier = authority.verifier().unwrap();
        assert!(matches!(client_of(&*verifier, &[strange]), Certificate::Refused));
        assert!(matches!(client_of(&*verifier, &[]), Certificate::None));
    }

    #[test]
    fn it_is_the_same_after_it_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::keep(folder.path()).unwrap();
        let second = Authority::keep(folder.path()).unwrap();
        assert_eq!(first.certificate(), second.certificate());
        let own = certificate(&second.client("a", &[]).unwrap().certificate);
        assert!(matches!(client_of(&*first.verifier().unwrap(), &[own]), Certificate::Of(_)));
    }
}
