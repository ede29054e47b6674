//! `x509_decode`: a certificate or a request for one, with the names that Go's structures have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Call, Val};
use crate::expr::der::{BIT_STRING, BOOLEAN, Element, INTEGER, OBJECT_ID, OCTET_STRING, Reader, SEQUENCE};
use crate::expr::gotext;
use crate::expr::jmespath::EvalError;

const RSA: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 1];

pub(super) fn decode<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (label, bytes) = pem(call.text(0)?).ok_or_else(|| call.error("failed to decode PEM block"))?;
    let decoded = match label.as_str() {
        "CERTIFICATE" => certificate(&bytes),
        "CERTIFICATE REQUEST" => request(&bytes),
        _ => return Err(call.error("PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST")),
    };
    let mut map = decoded.ok_or_else(|| call.error(format!("malformed {}", label.to_lowercase())))?;
    if map.get("PublicKey").is_none_or(Value::is_null) {
        return Err(call.error("certificate should use rsa algorithm"));
    }
    for absent in ["DNSNames", "EmailAddresses", "IPAddresses", "URIs"] {
        map.entry(absent).or_insert(Value::Null);
    }
    Ok(Val::owned(Value::Object(map)))
}

/// The label and content of the first PEM block.
fn pem(text: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Some((label.to_owned(), STANDARD.decode(body).ok()?))
}

fn certificate(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut outer = Reader(bytes).expect(SEQUENCE)?.inside();
    let signed = outer.expect(SEQUENCE)?;
    let mut fields = signed.inside();
    let version = match fields.optional(0xa0) {
        Some(version) => version.inside().expect(INTEGER)?.content.last().map_or(1, |v| v + 1),
        None => 1,
    };
    let serial = fields.expect(INTEGER)?.decimal().parse::<f64>().ok().and_then(gotext::number)?;
    let algorithm = fields.expect(SEQUENCE)?;
    let issuer = fields.expect(SEQUENCE)?;
    let mut validity = fields.expect(SEQUENCE)?.inside();
    let (not_before, not_after) = (validity.next()?.time()?, validity.next()?.time()?);
    let subject = fields.expect(SEQUENCE)?;
    let key = fields.expect(SEQUENCE)?;
    let mut map = common(signed, algorithm, subject, key)?;
    map.insert("Raw".into(), base64(bytes));
    map.insert("RawTBSCertificate".into(), base64(signed.whole));
    map.insert("RawIssuer".into(), base64(issuer.whole));
    map.insert("Version".into(), version.into());
    map.insert("SerialNumber".into(), serial);
    map.insert("Issuer".into(), name(issuer)?);
    map.insert("NotBefore".into(), not_before.into());
    map.insert("NotAfter".into(), not_after.into());
    map.insert("KeyUsage".into(), 0.into());
    map.insert("IsCA".into(), false.into());
    map.insert("BasicConstraintsValid".into(), false.into());
    map.insert("Signature".into(), signature(&mut outer)?);
    while let Some(field) = fields.next() {
        if field.tag == 0xa3 {
            extensions(&mut map, field.inside().expect(SEQUENCE)?)?;
        }
    }
    Some(map)
}

fn request(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut outer = Reader(bytes).expect(SEQUENCE)?.inside();
    let signed = outer.expect(SEQUENCE)?;
    let algorithm = outer.expect(SEQUENCE)?;
    let mut fields = signed.inside();
    let version = fields.expect(INTEGER)?.content.last().copied().unwrap_or_default();
    let subject = fields.expect(SEQUENCE)?;
    let key = fields.expect(SEQUENCE)?;
    let mut map = common(signed, algorithm, subject, key)?;
    map.insert("Version".into(), version.into());
    map.insert("Raw".into(), base64(bytes));
    map.insert("RawTBSCertificateRequest".into(), base64(signed.whole));
    let bits = outer.expect(BIT_STRING)?;
    map.insert("Signature".into(), base64(bits.content.get(1..)?));
    // The extensions asked for are an attribute.
    let mut attributes = fields.optional(0xa0).map_or(Reader(&[]), |attributes| attributes.inside());
    while let Some(attribute) = attributes.next() {
        let mut parts = attribute.inside();
        if parts.expect(OBJECT_ID)?.object_id() == [1, 2, 840, 113_549, 1, 9, 14] {
            extensions(&mut map, parts.next()?.inside().expect(SEQUENCE)?)?;
        }
    }
    Some(map)
}

fn common(
    signed: Element<'_>,
    algorithm: Element<'_>,
    subject: Element<'_>,
    key: Element<'_>,
) -> Option<Map<String, Value>> {
    debug_assert_eq!(signed.tag, SEQUENCE);
    let mut map = Map::new();
    map.insert("SignatureAlgorithm".into(), algorithm_number(algorithm)?.into());
    map.insert("Subject".into(), name(subject)?);
    map.insert("RawSubject".into(), base64(subject.whole));
    map.insert("RawSubjectPublicKeyInfo".into(), base64(key.whole));
    let mut parts = key.inside();
    let rsa = parts.expect(SEQUENCE)?.inside().expect(OBJECT_ID)?.object_id() == RSA;
    map.insert("PublicKeyAlgorithm".into(), u8::from(rsa).into());
    let public = if rsa { public_key(parts.expect(BIT_STRING)?)? } else { Value::Null };
    map.insert("PublicKey".into(), public);
    Some(map)
}

fn public_key(bits: Element<'_>) -> Option<Value> {
    let mut numbers = Reader(bits.content.get(1..)?).expect(SEQUENCE)?.inside();
    let (modulus, exponent) = (numbers.expect(INTEGER)?, numbers.expect(INTEGER)?);
    Some(json!({"N": modulus.decimal(), "E": exponent.decimal().parse::<u64>().ok()?}))
}

fn signature(rest: &mut Reader<'_>) -> Option<Value> {
    rest.expect(SEQUENCE)?;
    Some(base64(rest.expect(BIT_STRING)?.content.get(1..)?))
}

fn base64(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}

/// The number Go gives a signature algorithm; 0 is an unknown one.
fn algorithm_number(algorithm: Element<'_>) -> Option<u8> {
    Some(match algorithm.inside().expect(OBJECT_ID)?.object_id().as_slice() {
        [1, 2, 840, 113_549, 1, 1, 5] => 3,
        [1, 2, 840, 113_549, 1, 1, 11] => 4,
        [1, 2, 840, 113_549, 1, 1, 12] => 5,
        [1, 2, 840, 113_549, 1, 1, 13] => 6,
        [1, 2, 840, 10_045, 4, 1] => 9,
        [1, 2, 840, 10_045, 4, 3, 2] => 10,
        [1, 2, 840, 10_045, 4, 3, 3] => 11,
        [1, 2, 840, 10_045, 4, 3, 4] => 12,
        _ => 0,
    })
}

/// The parts of a name that have a field of their own, by the last number of their identifier.
const LISTED: [(u64, &str); 7] = [
    (6, "Country"),
    (10, "Organization"),
    (11, "OrganizationalUnit"),
    (7, "Locality"),
    (8, "Province"),
    (9, "StreetAddress"),
    (17, "PostalCode"),
];

fn name(name: Element<'_>) -> Option<Value> {
    let mut map = Map::new();
    for (_, field) in LISTED {
        map.insert(field.into(), Value::Null);
    }
    map.insert("SerialNumber".into(), "".into());
    map.insert("CommonName".into(), "".into());
    map.insert("ExtraNames".into(), Value::Null);
    let mut names = Vec::new();
    let mut sets = name.inside();
    while let Some(set) = sets.next() {
        let mut parts = set.inside();
        while let Some(part) = parts.next() {
            let mut pair = part.inside();
            let (id, text) = (pair.expect(OBJECT_ID)?.object_id(), pair.next()?.text());
            if let [2, 5, 4, last] = id.as_slice() {
                match last {
                    3 => drop(map.insert("CommonName".into(), text.clone().into())),
                    5 => drop(map.insert("SerialNumber".into(), text.clone().into())),
                    last => {
                        if let Some((_, field)) = LISTED.iter().find(|(number, _)| number == last) {
                            push(&mut map, field, text.clone().into());
                        }
                    }
                }
            }
            names.push(json!({"Type": id, "Value": text}));
        }
    }
    map.insert("Names".into(), if names.is_empty() { Value::Null } else { names.into() });
    Some(Value::Object(map))
}

fn push(map: &mut Map<String, Value>, field: &str, item: Value) {
    match map.entry(field).or_insert(Value::Null) {
        Value::Array(items) => items.push(item),
        other => *other = Value::Array(vec![item]),
    }
}

fn extensions(map: &mut Map<String, Value>, list: Element<'_>) -> Option<()> {
    let mut list = list.inside();
    while let Some(extension) = list.next() {
        let mut parts = extension.inside();
        let id = parts.expect(OBJECT_ID)?.object_id();
        let critical = parts.optional(BOOLEAN).is_some_and(|b| b.content != [0]);
        let value = parts.expect(OCTET_STRING)?;
        push(map, "Extensions", json!({"Id": id, "Critical": critical, "Value": base64(value.content)}));
        match id.as_slice() {
            [2, 5, 29, 15] => {
                let bits = value.inside().expect(BIT_STRING)?;
                map.insert("KeyUsage".into(), key_usage(bits.content.get(1..)?).into());
            }
            [2, 5, 29, 17] => alternative_names(map, value.inside().expect(SEQUENCE)?),
            [2, 5, 29, 19] => {
                let ca = value.inside().expect(SEQUENCE)?.inside().optional(BOOLEAN);
                map.insert("BasicConstraintsValid".into(), true.into());
                map.insert("IsCA".into(), ca.is_some_and(|b| b.content != [0]).into());
            }
            _ => {}
        }
    }
    Some(())
}

/// The first bit of the first byte is bit 0 of Go's number.
fn key_usage(bytes: &[u8]) -> u32 {
    bytes.iter().take(2).enumerate().map(|(at, byte)| u32::from(byte.reverse_bits()) << (8 * at)).sum()
}

fn alternative_names(map: &mut Map<String, Value>, names: Element<'_>) {
    let mut names = names.inside();
    while let Some(name) = names.next() {
        match name.tag {
            0x81 => push(map, "EmailAddresses", name.text().into()),
            0x82 => push(map, "DNSNames", name.text().into()),
            0x86 => push(map, "URIs", name.text().into()),
            0x87 => {
                let four = <[u8; 4]>::try_from(name.content).map(core::net::Ipv4Addr::from);
                let six = <[u8; 16]>::try_from(name.content).map(core::net::Ipv6Addr::from);
                let address = four.map(|ip| ip.to_string()).or(six.map(|ip| ip.to_string()));
                if let Ok(address) = address {
                    push(map, "IPAddresses", address.into());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::expr::Expression;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
        MIICXjCCAcegAwIBAgICEjQwDQYJKoZIhvcNAQELBQAwOTELMAkGA1UEBhMCREUx\n\
        EDAOBgNVBAoMB0V4YW1wbGUxGDAWBgNVBAMMD3dlYi5leGFtcGxlLm9yZzAeFw0y\n\
        NjExMjEwNjU0NDRaFw0zNjExMTgwNjU0NDRaMDkxCzAJBgNVBAYTAkRFMRAwDgYD\n\
        VQQKDAdFeGFtcGxlMRgwFgYDVQQDDA93ZWIuZXhhbXBsZS5vcmcwgZ8wDQYJKoZI\n\
        hvcNAQEBBQADgY0AMIGJAoGBANwAUVhDHzinRg/0WCIO+PmpERqwusuVzzSGd3jJ\n\
        Wc6s63jPm1CifREyKoAMazpN9VCLEt9gbR3ET7paQb1Z1ziCrWuEcUivdX1dOJ9Z\n\
        cmZOdAuNLVEx9gUS3Iq8dwKnEYVsT/xqvn/4TdMHHvKU9Up2VbhRlEP5yZLRxDdr\n\
        gzLRAgMBAAGjdTBzMB0GA1UdDgQWBBRNVRTqKOhYvak8jVLvbIQ1ZVAWDDAfBgNV\n\
        HSMEGDAWgBRNVRTqKOhYvak8jVLvbIQ1ZVAWDDAPBgNVHRMBAf8EBTADAQH/MCAG\n\
        A1UdEQQZMBeCD3dlYi5leGFtcGxlLm9yZ4cECgAAATANBgkqhkiG9w0BAQsFAAOB\n\
        gQBZzadW0NUMNjJzD6/SufOvbU3FMk54lM7rIiXu7qnzRdLbJgrik9Gy5/kE/ylQ\n\
        0rEualSZ9RhZVGkKvHX/+6nroWN77FBreVeoH38aO9nWQJ2bvYvaT6avaKQWn5GU\n\
        BjUnq+oFYKM68DT17NrzicDNmz8YAKmVWaxu+N4kk1FJnw==\n\
        -----END CERTIFICATE-----";

    #[test]
    fn a_certificate_is_decoded() {
        let query = "x509_decode(@).[Version, SerialNumber, Subject.CommonName, Issuer.Country, NotAfter, IsCA, DNSNames, \
                     IPAddresses, SignatureAlgorithm, PublicKey.E, length(PublicKey.N), length(Extensions), EmailAddresses]";
        assert_eq!(
            Expression::compile(query).unwrap().search(&json!(CERTIFICATE)),
            Ok(json!([
                3,
                4660,
                "web.example.org",
                ["DE"],
                "2036-11-18T06:54:44Z",
                true,
                ["web.example.org"],
                ["10.0.0.1"],
                4,
                65537,
                309,
                4,
                null
            ]))
        );
    }

    #[test]
    fn damaged_ones_are_refused() {
        let decode = Expression::compile("x509_decode(@)").unwrap();
        for at in (40..CERTIFICATE.len() - 40).step_by(7) {
            let mut text = CERTIFICATE.to_owned();
            text.replace_range(at..=at, "A");
            let _ = decode.search(&json!(text));
            text.replace_range(at..at + 20, "");
            let _ = decode.search(&json!(text));
        }
        assert!(decode.search(&json!("bad")).is_err());
    }
}
