//! The webhook's own certificate authority and the certificate it shows, and when they are made anew.
//!
//! All instances share them through a Secret. A new authority is trusted together with the one before, so that an
//! instance that still shows the old certificate is believed until it has seen the new one.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

const AUTHORITY: &str = "moin-webhook-ca";
const RENEW: &str = "moin.scs.community/renew-after";
const RENEW_AUTHORITY: &str = "moin.scs.community/renew-authority-after";
const NAMES: &str = "moin.scs.community/names";
/// Clocks differ.
const SKEW: u64 = 300;

/// How long certificates hold, in seconds; each is made anew when a third of its time is left.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// The authority's.
    pub authority: u64,
    /// The server's.
    pub server: u64,
}

impl Default for Lifetimes {
    fn default() -> Lifetimes {
        Lifetimes { authority: 2 * 365 * 86_400, server: 90 * 86_400 }
    }
}

/// What the Secret holds. All texts are PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// The authority, and behind it the one before.
    pub(super) authorities: Vec<String>,
    authority_key: String,
    certificate: String,
    key: String,
    names: Vec<String>,
    renew: u64,
    renew_authority: u64,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("names", &self.names).field("renew", &self.renew).finish_non_exhaustive()
    }
}

fn wrong(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// The moment after which a third of the time is left.
fn due(now: u64, lifetime: u64) -> u64 {
    now + lifetime - lifetime / 3
}

impl Keys {
    /// New ones for a server of these names. An authority that is not due signs the certificate, too; one that is stays
    /// trusted beside the new one.
    pub(super) fn make(
        now: u64,
        names: &[String],
        lifetimes: Lifetimes,
        before: Option<&Keys>,
    ) -> io::Result<Keys> {
        let kept = before.filter(|keys| now < keys.renew_authority);
        let (authorities, authority_key, renew_authority) = match kept {
            Some(keys) => (keys.authorities.clone(), keys.authority_key.clone(), keys.renew_authority),
            None => {
                let key = KeyPair::generate().map_err(wrong)?;
                let own = authority(now, lifetimes.authority).self_signed(&key).map_err(wrong)?.pem();
                let former = before.and_then(|keys| keys.authorities.first().cloned());
                let authorities = std::iter::once(own).chain(former).collect();
                (authorities, key.serialize_pem(), due(now, lifetimes.authority))
            }
        };
        let signer = KeyPair::from_pem(&authority_key).map_err(wrong)?;
        let issuer = Issuer::new(authority(now, lifetimes.authority), signer);
        let key = KeyPair::generate().map_err(wrong)?;
        let mut server = params("moin-webhook", now, lifetimes.server);
        server.subject_alt_names = CertificateParams::new(names).map_err(wrong)?.subject_alt_names;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &issuer).map_err(wrong)?.pem();
        let renew = due(now, lifetimes.server).min(renew_authority);
        let (key, names) = (key.serialize_pem(), names.to_vec());
        Ok(Keys { authorities, authority_key, certificate, key, names, renew, renew_authority })
    }

    /// Whether they still serve a server of these names.
    pub(super) fn serve(&self, now: u64, names: &[String]) -> bool {
        now < self.renew && self.names == names
    }

    /// Seconds until they are to be made anew.
    pub(super) fn left(&self, now: u64) -> u64 {
        self.renew.saturating_sub(now)
    }

    /// What clients are to trust, as a `caBundle` holds it.
    pub(super) fn bundle(&self) -> String {
        STANDARD.encode(self.authorities.concat())
    }

    /// The Secret that holds them.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Value {
        let data = |text: &str| STANDARD.encode(text);
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace, "annotations": {
                RENEW: self.renew.to_string(), RENEW_AUTHORITY: self.renew_authority.to_string(),
                NAMES: self.names.join(","),
            }},
            "data": {
                "ca.crt": data(&self.authorities.concat()), "ca.key": data(&self.authority_key),
                "tls.crt": data(&self.certificate), "tls.key": data(&self.key),
            },
        })
    }

    /// Those that a Secret holds; `None` when something is missing or broken, as after somebody's edit.
    pub(super) fn of_secret(secret: &Value) -> Option<Keys> {
        let text = |name: &str| String::from_utf8(STANDARD.decode(secret["data"][name].as_str()?).ok()?).ok();
        let note = |name: &str| secret["metadata"]["annotations"][name].as_str();
        let bundle = text("ca.crt")?;
        const END: &str = "-----END CERTIFICATE-----\n";
        let keys = Keys {
            authorities: bundle.split_inclusive(END).map(str::to_owned).collect(),
            authority_key: text("ca.key")?,
            certificate: text("tls.crt")?,
            key: text("tls.key")?,
            names: note(NAMES)?.split(',').map(str::to_owned).collect(),
            renew: note(RENEW)?.parse().ok()?,
            renew_authority: note(RENEW_AUTHORITY)?.parse().ok()?,
        };
        KeyPair::from_pem(&keys.authority_key).ok()?;
        keys.certified().ok()?;
        Some(keys)
    }

    fn certified(&self) -> io::Result<CertifiedKey> {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(wrong)?];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(wrong)?;
        CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(wrong)
    }
}

fn params(common_name: &str, now: u64, lifetime: u64) -> CertificateParams {
    let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = at(now.saturating_sub(SKEW));
    params.not_after = at(now + lifetime);
    params
}

fn authority(now: u64, lifetime: u64) -> CertificateParams {
    let mut params = params(AUTHORITY, now, lifetime);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The certificate that is shown to whoever connects next.
#[derive(Debug, Default)]
pub(super) struct Shown(RwLock<Option<Arc<CertifiedKey>>>);

impl Shown {
    /// From now on this one.
    pub(super) fn show(&self, keys: &Keys) -> io::Result<()> {
        *self.0.write() = Some(Arc::new(keys.certified()?));
        Ok(())
    }

    /// How a server speaks TLS that shows it. Until there is one, nobody gets through.
    pub(super) fn server_config(self: Arc<Shown>) -> io::Result<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes { authority: 3000, server: 300 };
    const NOW: u64 = 1_767_225_600;

    #[test]
    fn a_certificate_is_renewed_before_it_ends_and_the_old_authority_stays_trusted() {
        let names = ["localhost".to_owned()];
        let first = Keys::make(NOW, &names, LIFETIMES, None).unwrap();
        assert!(first.serve(NOW + 199, &names) && !first.serve(NOW + 200, &names));
        assert!(!first.serve(NOW, &["elsewhere".to_owned()]), "other names need another certificate");
        let second = Keys::make(NOW + 200, &names, LIFETIMES, Some(&first)).unwrap();
        assert_eq!(second.authorities, first.authorities, "the authority is not due yet");
        assert_ne!(second.certificate, first.certificate);
        let third = Keys::make(NOW + 2000, &names, LIFETIMES, Some(&second)).unwrap();
        assert_eq!(third.authorities.len(), 2);
        assert_eq!(third.authorities[1], first.authorities[0], "whoever shows the old one is still believed");
        assert_eq!(Keys::make(NOW + 4000, &names, LIFETIMES, Some(&third)).unwrap().authorities.len(), 2);
    }

    #[test]
    fn keys_survive_their_secret_and_a_broken_one_is_none() {
        let keys = Keys::make(NOW, &["a.svc".to_owned(), "127.0.0.1".to_owned()], LIFETIMES, None).unwrap();
        let secret = keys.secret("moin-system", "moin-webhook");
        assert_eq!(Keys::of_secret(&secret), Some(keys));
        let mut broken = secret.clone();
        broken["data"]["tls.key"] = "bm8=".into();
        assert_eq!(Keys::of_secret(&broken), None);
        assert_eq!(Keys::of_secret(&json!({"data": {}})), None);
    }
}
