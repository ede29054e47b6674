//! Client certificates: written for a user and his groups, and read again.

use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use sha2::Digest as _;

use super::auth::user::{CREDENTIAL_ID, User};
use super::der::{self, element};

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A certificate for a client, in DER. By hand, for a user may be in many groups, and the library takes one
/// organization only.
pub(crate) fn write(
    user: &str,
    groups: &[String],
    years: (i32, i32),
    key: &KeyPair,
    issuer: (&[u8], &KeyPair),
) -> Result<Vec<u8>, rcgen::Error> {
    let (issuer_name, issuer_key) = issuer;
    let algorithm = der::of(der::SEQUENCE, &[&der::of(der::OBJECT, &[ECDSA_WITH_SHA256])]);
    let mut names: Vec<Vec<u8>> = groups.iter().map(|group| name(ORGANIZATION, group)).collect();
    names.push(name(COMMON_NAME, user));
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let time = |year: i32| der::of(der::TIME, &[format!("{year:04}0101000000Z").as_bytes()]);
    let serial = uuid::Uuid::new_v4();
    // A positive number: the first bit is the sign.
    let serial = [&[serial.as_bytes()[0] & 0x7f | 0x40], &serial.as_bytes()[1..]].concat();
    let to_sign = der::of(
        der::SEQUENCE,
        &[
            &der::of(0xa0, &[&der::of(der::INTEGER, &[&[2]])]),
            &der::of(der::INTEGER, &[&serial]),
            &algorithm,
            issuer_name,
            &der::of(der::SEQUENCE, &[&time(years.0), &time(years.1)]),
            &der::of(der::SEQUENCE, &names),
            &key.subject_public_key_info(),
            &der::of(0xa3, &[&extensions()]),
        ],
    );
    let signature = issuer_key.sign(&to_sign)?;
    Ok(der::of(der::SEQUENCE, &[&to_sign, &algorithm, &der::bits(&signature)]))
}

/// One part of a distinguished name.
fn name(kind: &[u8], text: &str) -> Vec<u8> {
    let pair =
        der::of(der::SEQUENCE, &[&der::of(der::OBJECT, &[kind]), &der::of(der::TEXT, &[text.as_bytes()])]);
    der::of(der::SET, &[&pair])
}

/// Good for signing, to prove who a client is.
fn extensions() -> Vec<u8> {
    let extension = |kind: &[u8], value: &[u8]| {
        der::of(der::SEQUENCE, &[&der::of(der::OBJECT, &[kind]), &der::of(der::OCTETS, &[value])])
    };
    // The first bit, of a byte with seven unused ones: digital signature.
    let usage = der::of(der::BITS, &[&[7, 0x80]]);
    let purpose = der::of(der::SEQUENCE, &[&der::of(der::OBJECT, &[CLIENT_AUTH])]);
    der::of(der::SEQUENCE, &[&extension(KEY_USAGE, &usage), &extension(EXTENDED_KEY_USAGE, &purpose)])
}

/// The subject of a certificate, as it is encoded.
pub(crate) fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (_, outer, _) = element(certificate)?;
    let (_, mut fields, _) = element(outer)?;
    let (tag, _, rest) = element(fields)?;
    if tag == 0xa0 {
        fields = rest; // the version
    }
    // Serial number, algorithm, issuer and validity come before the subject.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let rest = element(fields)?.2;
    Some(&fields[..fields.len() - rest.len()])
}

/// The user that a certificate names: his name is the common name, his groups are the organizations.
pub(crate) fn user(certificate: &[u8]) -> Option<User> {
    let (_, mut names, _) = element(subject(certificate)?)?;
    let mut user = User::default();
    while let Some((_, set, rest)) = element(names) {
        let (_, pair, _) = element(set)?;
        let (_, kind, value) = element(pair)?;
        let text = || element(value).map(|(_, text, _)| String::from_utf8_lossy(text).into_owned());
        match kind {
            COMMON_NAME => user.name = text()?,
            ORGANIZATION => user.groups.push(text()?),
            _ => {}
        }
        names = rest;
    }
    let digest: String = sha2::Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={digest}")]);
    (!user.name.is_empty()).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_certificates_are_nobody() {
        assert!(user(&[0x30, 0x03, 0x30, 0x01, 0x02]).is_none());
        assert!(user(&[]).is_none());
    }
}
