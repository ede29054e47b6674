//! Public keys of signers, and what they signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::expr::der::{BIT_STRING, OBJECT_ID, Reader, SEQUENCE};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// A public key.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Algorithm {
    P256,
    P384,
    Rsa,
    Ed25519,
}

/// Whether a text is keys, and not the place of one.
pub(super) fn is_key(text: &str) -> bool {
    text.trim_start().starts_with(BEGIN)
}

/// Each key of a text that may hold several.
pub(super) fn split(text: &str) -> Vec<&str> {
    let parts = text.split_inclusive(END).map(str::trim);
    parts.filter(|part| part.starts_with(BEGIN) && part.ends_with(END)).collect()
}

impl PublicKey {
    /// Reads a key in PEM.
    pub(super) fn parse(pem: &str) -> Result<PublicKey, String> {
        let body = pem.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let body: String = body.ok_or("it is no PEM")?.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| "it is no base64")?;
        of_der(&der)
            .ok_or_else(|| "it is no key of a kind that is known (ECDSA P-256, P-384, RSA, Ed25519)".into())
    }

    /// Whether it made a signature of a message, over the message's SHA-256 where the kind has a digest.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Algorithm::P384 => &signature::ECDSA_P384_SHA256_ASN1,
            Algorithm::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Ed25519 => &signature::ED25519,
        };
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(message, signature).is_ok()
    }
}

/// A SubjectPublicKeyInfo.
fn of_der(der: &[u8]) -> Option<PublicKey> {
    let mut info = Reader(der).expect(SEQUENCE)?.inside();
    let mut kind = info.expect(SEQUENCE)?.inside();
    let algorithm = match kind.expect(OBJECT_ID)?.object_id()[..] {
        [1, 2, 840, 10045, 2, 1] => match kind.expect(OBJECT_ID)?.object_id()[..] {
            [1, 2, 840, 10045, 3, 1, 7] => Algorithm::P256,
            [1, 3, 132, 0, 34] => Algorithm::P384,
            _ => return None,
        },
        [1, 2, 840, 113549, 1, 1, 1] => Algorithm::Rsa,
        [1, 3, 101, 112] => Algorithm::Ed25519,
        _ => return None,
    };
    // The first byte tells how many bits of the last one are unused.
    let bytes = info.expect(BIT_STRING)?.content.strip_prefix(&[0])?.to_vec();
    Some(PublicKey { algorithm, bytes })
}
