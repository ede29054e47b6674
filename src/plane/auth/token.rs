//! Tokens of service accounts: JSON web tokens that the plane signs and checks with a key of its own.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::Digest as _;

use super::user::{CREDENTIAL_ID, User, split_service_account};
use crate::plane::server::Server;
use crate::plane::store::{Key, Object};

/// Who signs, and whom a token is for that names nobody.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
/// How far clocks may differ.
const LEEWAY: i64 = 60;
/// How many tokens' signatures are remembered as right.
const REMEMBERED: usize = 4096;

/// The key that signs tokens.
pub(crate) struct Signer {
    pair: EcdsaKeyPair,
    document: Vec<u8>,
    id: String,
    /// Claims of tokens whose signature was found right.
    known: RwLock<HashMap<String, Arc<Value>>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// SubjectPublicKeyInfo up to the point: id-ecPublicKey, prime256v1, a bit string of 66 bytes.
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl Signer {
    /// A new key.
    pub fn generate() -> Signer {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("the system has randomness");
        Signer::of(document.as_ref().to_vec()).expect("a key that was just made can be read")
    }

    /// A key in PKCS #8.
    pub fn of(document: Vec<u8>) -> Option<Signer> {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &SystemRandom::new())
                .ok()?;
        let public = [&SPKI[..], pair.public_key().as_ref()].concat();
        let id = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(public));
        Some(Signer { pair, document, id, known: RwLock::default() })
    }

    /// The key in PKCS #8.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": "ES256", "kid": self.id})), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes());
        let signature = signature.expect("the system has randomness");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// The claims of a token. `Ok(None)`: it is no token of this issuer; the error: its signature is wrong.
    pub fn claims(&self, token: &str) -> Result<Option<Arc<Value>>, String> {
        if let Some(claims) = self.known.read().get(token) {
            return Ok(Some(claims.clone()));
        }
        let Some((text, signature)) = token.rsplit_once('.') else { return Ok(None) };
        let Some((head, body)) = text.split_once('.') else { return Ok(None) };
        let part = |text: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        let (Some(head), Some(claims)) = (part(head), part(body)) else { return Ok(None) };
        if claims["iss"] != ISSUER {
            return Ok(None);
        }
        if head["kid"].as_str().is_some_and(|id| !id.is_empty() && id != self.id) {
            return Err("invalid signature, no keys found".to_owned());
        }
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        if head["alg"] != "ES256" || public.verify(text.as_bytes(), &signature).is_err() {
            return Err("go-jose/go-jose: error in cryptographic primitive".to_owned());
        }
        let claims = Arc::new(claims);
        let mut known = self.known.write();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(token.to_owned(), claims.clone());
        Ok(Some(claims))
    }

    /// The public key as a JSON web key set.
    pub fn jwks(&self) -> Value {
        // An uncompressed point: a byte, then both coordinates.
        let point = &self.pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }
}

/// `/.well-known/openid-configuration` of a server at a host.
pub(crate) fn openid_configuration(host: &str) -> Value {
    json!({
        "issuer": ISSUER, "jwks_uri": format!("https://{host}/openid/v1/jwks"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

/// Whose token it is, and for which of the wanted audiences (none: the server's own). `Ok(None)`: it is no token of
/// a service account.
pub(crate) fn authenticate(
    server: &Server,
    token: &str,
    wanted: &[String],
) -> Result<Option<(User, Vec<String>)>, String> {
    let Some(claims) = server.keys.signer.claims(token)? else { return Ok(None) };
    let own = [ISSUER.to_owned()];
    let wanted = if wanted.is_empty() { &own[..] } else { wanted };
    let mut given: Vec<String> = match &claims["aud"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if given.is_empty() {
        given = own.to_vec(); // a token out of a Secret
    }
    let both: Vec<String> = given.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
    if both.is_empty() {
        let quoted = super::rbac::quoted;
        return Err(format!(
            "token audiences {} is invalid for the target audiences {}",
            quoted(&given),
            quoted(wanted)
        ));
    }
    let now = jiff::Timestamp::now().as_second();
    check_times(&claims, now)?;
    let user = if claims["kubernetes.io"].is_object() {
        bound(server, &claims["kubernetes.io"], &claims)?
    } else {
        legacy(server, &claims, token)?
    };
    Ok(Some((user.authenticated(), both)))
}

fn check_times(claims: &Value, now: i64) -> Result<(), String> {
    let time = |field: &str| claims[field].as_f64().map(|seconds| seconds as i64);
    if time("nbf").is_some_and(|from| now + LEEWAY < from) {
        return Err("service account token is not valid yet".to_owned());
    }
    if time("exp").is_some_and(|until| now - LEEWAY > until) {
        return Err("service account token has expired".to_owned());
    }
    if time("iat").is_some_and(|issued| now + LEEWAY < issued) {
        return Err("service account token is issued in the future".to_owned());
    }
    Ok(())
}

/// A live object of the core group.
fn live(server: &Server, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
    server.store.get(&Key { resource: resource.into(), namespace: namespace.into(), name: name.into() })
}

/// Whether it was deleted longer ago than clocks may differ.
fn is_gone(object: &Object) -> bool {
    if !object.is_deleting() {
        return false;
    }
    let at =
        object.metadata()["deletionTimestamp"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    at.is_some_and(|at| at.as_second() < jiff::Timestamp::now().as_second() - LEEWAY)
}

/// The service account of a token; its uid must be the one that the token names.
fn account(server: &Server, namespace: &str, name: &str, uid: &str) -> Result<(), String> {
    let account = live(server, "serviceaccounts", namespace, name)
        .ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
    if account.uid() != uid {
        return Err(format!("service account UID ({}) does not match claim ({uid})", account.uid()));
    }
    if is_gone(&account) {
        return Err(format!("service account {namespace}/{name} has been deleted"));
    }
    Ok(())
}

/// A token by request, which may be bound to a pod, a secret or a node.
fn bound(server: &Server, private: &Value, claims: &Value) -> Result<User, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let namespace = text(&private["namespace"]);
    let of = &private["serviceaccount"];
    let (name, uid) = (text(&of["name"]), text(&of["uid"]));
    account(server, &namespace, &name, &uid)?;
    let mut user = User::service_account(&namespace, &name, &uid);
    let mut extra = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
    };
    let pod = &private["pod"];
    for (kind, resource) in [("secret", "secrets"), ("pod", "pods"), ("node", "nodes")] {
        let reference = &private[kind];
        if !reference.is_object() || (kind == "node" && pod.is_object()) {
            continue;
        }
        let scope = if kind == "node" { "" } else { &*namespace };
        check_bound(server, (kind, resource), scope, reference)?;
    }
    if pod.is_object() {
        extra("pod-name", text(&pod["name"]));
        extra("pod-uid", text(&pod["uid"]));
    }
    if private["node"].is_object() {
        extra("node-name", text(&private["node"]["name"]));
        extra("node-uid", text(&private["node"]["uid"]));
    }
    if let Some(id) = claims["jti"].as_str() {
        user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
    }
    Ok(user)
}

/// The object that a token is bound to must still be there.
fn check_bound(
    server: &Server,
    (kind, resource): (&str, &str),
    namespace: &str,
    reference: &Value,
) -> Result<(), String> {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (name, uid) = (text("name"), text("uid"));
    let invalidated = || "service account token has been invalidated".to_owned();
    let object = live(server, resource, namespace, name).ok_or_else(invalidated)?;
    if object.uid() != uid {
        return Err(match kind {
            "secret" => format!(
                "secret UID ({}) does not match service account secret ref claim ({uid})",
                object.uid()
            ),
            "pod" => {
                format!("pod UID ({}) does not match service account pod ref claim ({uid})", object.uid())
            }
            _ => format!("node UID ({}) does not match service account node ref claim ({uid})", object.uid()),
        });
    }
    if is_gone(&object) { Err(invalidated()) } else { Ok(()) }
}

/// A token out of a Secret: it holds as long as the Secret holds it.
fn legacy(server: &Server, claims: &Value, token: &str) -> Result<User, String> {
    let claim = |field: &str| {
        claims[format!("kubernetes.io/serviceaccount/{field}")].as_str().unwrap_or_default().to_owned()
    };
    let (namespace, secret) = (claim("namespace"), claim("secret.name"));
    let (name, uid) = (claim("service-account.name"), claim("service-account.uid"));
    let subject = claims["sub"].as_str().and_then(split_service_account);
    if subject != Some((&namespace, &name)) {
        return Err("sub claim does not match the service account".to_owned());
    }
    let invalidated = || "service account token has been invalidated".to_owned();
    let secret = live(server, "secrets", &namespace, &secret).ok_or_else(invalidated)?;
    let held = secret.body();
    let held = held["data"]["token"]
        .as_str()
        .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    if held.as_deref() != Some(token.as_bytes()) {
        return Err("service account token does not match server's copy".to_owned());
    }
    account(server, &namespace, &name, &uid)?;
    Ok(User::service_account(&namespace, &name, &uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_token_is_read_again() {
        let signer = Signer::generate();
        let token = signer.sign(&json!({"iss": ISSUER, "sub": "x"}));
        assert_eq!(signer.claims(&token).unwrap().unwrap()["sub"], "x");
        let again = Signer::of(signer.document().to_vec()).unwrap();
        assert_eq!(again.claims(&token).unwrap().unwrap()["sub"], "x");
    }

    #[test]
    fn a_changed_or_strange_token_is_not() {
        let signer = Signer::generate();
        let token = signer.sign(&json!({"iss": ISSUER, "sub": "x"}));
        let (head, rest) = token.split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(json!({"iss": ISSUER, "sub": "y"}).to_string());
        let forged = format!("{head}.{forged}.{}", rest.split_once('.').unwrap().1);
        assert!(signer.claims(&forged).is_err());
        assert!(Signer::generate().claims(&token).is_err(), "another key");
        assert_eq!(signer.claims(&signer.sign(&json!({"iss": "other"}))), Ok(None));
        assert_eq!(signer.claims("a.b.c"), Ok(None));
        assert_eq!(signer.claims("nonsense"), Ok(None));
    }

    #[test]
    fn times_are_checked_with_leeway() {
        let claims = json!({"nbf": 1000, "iat": 1000, "exp": 2000});
        assert!(check_times(&claims, 1500).is_ok());
        assert!(check_times(&claims, 2050).is_ok());
        assert_eq!(check_times(&claims, 2061).unwrap_err(), "service account token has expired");
        assert_eq!(check_times(&claims, 900).unwrap_err(), "service account token is not valid yet");
    }
}
