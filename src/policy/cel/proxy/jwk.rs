//! Keys for signatures of tokens (JWK), and the signatures themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use serde_json::Value as Json;

/// Keys among which a token names its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeySet(Vec<JsonWebKey>);

#[derive(Debug, PartialEq, Eq)]
struct JsonWebKey {
    id: Option<String>,
    usage: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

#[derive(PartialEq, Eq)]
enum Material {
    Secret(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    Elliptic(Vec<u8>),
    Edwards(Vec<u8>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("key")
    }
}

/// What a signature is about.
pub(super) struct Signed<'t> {
    pub(super) key_id: Option<&'t str>,
    pub(super) algorithm: &'t str,
    pub(super) content: &'t [u8],
    pub(super) signature: &'t [u8],
}

impl KeySet {
    /// One secret that both sides know.
    pub(super) fn of_secret(secret: &str) -> Result<KeySet, String> {
        if secret.is_empty() {
            return Err("the key is empty".to_owned());
        }
        let material = Material::Secret(secret.as_bytes().to_vec());
        Ok(KeySet(vec![JsonWebKey { id: None, usage: None, algorithm: None, material }]))
    }

    /// A document with `keys`, or one key.
    pub(super) fn of_json(json: &Json) -> Result<KeySet, String> {
        let keys = match json["keys"].as_array() {
            Some(keys) => keys.iter().map(JsonWebKey::of).collect::<Result<_, _>>()?,
            None => vec![JsonWebKey::of(json)?],
        };
        Ok(KeySet(keys))
    }

    /// Holds a signature against the key that it names; only where there is one key need it not name any.
    pub(super) fn verify(&self, signed: &Signed<'_>) -> Result<(), String> {
        let key = match (signed.key_id, &self.0[..]) {
            (None, [key]) => key,
            (None, []) => return Err("the key set is empty".to_owned()),
            (None, _) => {
                return Err("no key ID (\"kid\") specified in token but multiple keys available in key set"
                    .to_owned());
            }
            (Some(id), keys) => {
                let named = keys.iter().find(|key| key.id.as_deref() == Some(id));
                named.ok_or_else(|| format!("failed to find key with key ID {id:?} in key set"))?
            }
        };
        if key.usage.as_deref().is_some_and(|usage| !usage.is_empty() && usage != "sig") {
            return Err("the key is not for signatures".to_owned());
        }
        let algorithms = match &key.algorithm {
            Some(only) => vec![only.as_str()],
            None => key.material.algorithms(),
        };
        if !algorithms.contains(&signed.algorithm) {
            return Err(format!("the key does not make signatures of the kind {:?}", signed.algorithm));
        }
        match key.material.holds(signed) {
            true => Ok(()),
            false => Err("could not verify message using any of the signatures or keys".to_owned()),
        }
    }
}

impl JsonWebKey {
    fn of(json: &Json) -> Result<JsonWebKey, String> {
        let text = |field: &str| json[field].as_str().map(str::to_owned);
        let bytes = |field: &str| {
            let text = json[field].as_str().ok_or_else(|| format!("a key has no {field:?}"))?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("{field:?} of a key is no base64"))
        };
        let material = match json["kty"].as_str().unwrap_or_default() {
            "oct" => Material::Secret(bytes("k")?),
            "RSA" => Material::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
            "EC" => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                Material::Elliptic([&[4], &x[..], &y[..]].concat())
            }
            "OKP" => Material::Edwards(bytes("x")?),
            other => return Err(format!("keys of type {other:?} are not known")),
        };
        Ok(JsonWebKey { id: text("kid"), usage: text("use"), algorithm: text("alg"), material })
    }
}

impl Material {
    /// Names of the kinds of signatures that it makes.
    fn algorithms(&self) -> Vec<&'static str> {
        match self {
            Material::Secret(_) => vec!["HS256", "HS384", "HS512"],
            Material::Rsa { .. } => vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            Material::Elliptic(_) => vec!["ES256", "ES384"],
            Material::Edwards(_) => vec!["EdDSA"],
        }
    }

    fn holds(&self, signed: &Signed<'_>) -> bool {
        match self {
            Material::Secret(secret) => {
                let algorithm = match signed.algorithm {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => return false,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), signed.content, signed.signature).is_ok()
            }
            Material::Rsa { modulus, exponent } => {
                let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
                let parameters = match signed.algorithm {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                    "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                    "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => return false,
                };
                key.verify(parameters, signed.content, signed.signature).is_ok()
            }
            Material::Elliptic(point) => match signed.algorithm {
                "ES256" => by(&signature::ECDSA_P256_SHA256_FIXED, point, signed),
                "ES384" => by(&signature::ECDSA_P384_SHA384_FIXED, point, signed),
                _ => false,
            },
            Material::Edwards(key) => signed.algorithm == "EdDSA" && by(&signature::ED25519, key, signed),
        }
    }
}

fn by(algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8], signed: &Signed<'_>) -> bool {
    signature::UnparsedPublicKey::new(algorithm, key).verify(signed.content, signed.signature).is_ok()
}
