//! `validate.manifests`: an object must be what somebody signed.
//!
//! What was signed and the signatures stand in the object's annotations, so that with the public keys of the policy all is
//! there. Certificates, keys elsewhere and what asks a registry, a log or an API server are not evaluated offline, and are an
//! error that says so.

mod difference;
mod key;
mod message;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::expr::wildcard;

use super::reader::{CompileError, Reader, Result};
use super::validate::{Judgement, Verdict};
use key::PublicKey;

const DOMAIN: &str = "cosign.sigstore.dev";
/// How many signatures of an object are looked at: whoever may write an object could put any number there.
const MOST_SIGNATURES: usize = 10;
/// How much is hashed for one object: each key is held against each signature.
const MOST_HASHED: usize = 64 << 20;

/// A compiled `manifests`.
#[derive(Debug, Clone)]
pub(crate) struct Manifests {
    domain: String,
    ignored: Vec<Ignored>,
    dry_run: bool,
    repository: bool,
    attestors: Vec<AttestorSet>,
}

/// Fields that may differ in some objects.
#[derive(Debug, Clone)]
struct Ignored {
    objects: Vec<[String; 5]>,
    fields: Vec<String>,
}

#[derive(Debug, Clone)]
struct AttestorSet {
    needed: usize,
    entries: Vec<Attestor>,
}

#[derive(Debug, Clone)]
struct Attestor {
    annotations: Vec<(String, String)>,
    by: By,
}

#[derive(Debug, Clone)]
enum By {
    Key(PublicKey),
    Set(AttestorSet),
    /// Somebody would have to be asked: the part of the entry.
    Offline(&'static str),
}

/// What a signer says of an object: it signed it, or why not. An error is that nobody can tell.
type Said = std::result::Result<std::result::Result<String, String>, String>;

impl Manifests {
    pub(crate) fn compile(reader: &Reader<'_>) -> Result<Manifests> {
        let ignored = |entry: &Reader<'_>| {
            let object = |object: &Reader<'_>| {
                let mut parts: [String; 5] = Default::default();
                for (part, name) in parts.iter_mut().zip(["group", "version", "kind", "name", "namespace"]) {
                    *part = object.string(name)?.unwrap_or_default();
                }
                Ok(parts)
            };
            let objects = entry.list("objects")?.iter().map(object).collect::<Result<_>>()?;
            Ok(Ignored { objects, fields: entry.strings("fields")? })
        };
        let attestors = reader.list("attestors")?;
        if attestors.is_empty() {
            return Err(reader.error("attestors are missing"));
        }
        let dry_run = reader.field("dryRun").map(|option| option.bool("enable")).transpose()?.flatten();
        Ok(Manifests {
            domain: reader.string("annotationDomain")?.filter(|d| !d.is_empty()).unwrap_or(DOMAIN.into()),
            ignored: reader.list("ignoreFields")?.iter().map(ignored).collect::<Result<_>>()?,
            dry_run: dry_run.unwrap_or(false),
            repository: reader.string("repository")?.is_some_and(|repository| !repository.is_empty()),
            attestors: attestors.iter().map(AttestorSet::compile).collect::<Result<_>>()?,
        })
    }

    /// What of it can never be evaluated offline, if all of it is that.
    pub(crate) fn unsupported(&self, reader: &Reader<'_>) -> Option<CompileError> {
        let why = if self.repository {
            "repository"
        } else {
            let offline = self.attestors.iter().map(AttestorSet::offline).collect::<Option<Vec<_>>>()?;
            offline.first().copied()?
        };
        Some(reader.error(format!("validate.manifests with {why} is not evaluated offline")))
    }

    /// Judges an object: it passes if each set of attestors has enough that signed it.
    pub(crate) fn evaluate(&self, object: &Value) -> Judgement {
        let object = &Judged::new(self, object);
        let mut told = Vec::new();
        for (at, set) in self.attestors.iter().enumerate() {
            match set.verify(object, &format!(".attestors[{at}]")) {
                Ok(Ok(reason)) => told.push(reason),
                Ok(Err(reason)) => return Judgement::new(Verdict::Fail, reason),
                Err(why) => return Judgement::error("error occurred during manifest verification", why),
            }
        }
        Judgement::new(Verdict::Pass, format!("verified manifest signatures; {}", told.join(",")))
    }
}

/// An object while it is judged: what its annotations hold is unpacked once, and read only when a key signed it.
struct Judged<'o> {
    manifests: &'o Manifests,
    object: &'o Value,
    message: OnceCell<Option<Vec<u8>>>,
    differences: OnceCell<std::result::Result<Vec<Value>, String>>,
    to_hash: Cell<usize>,
}

impl<'o> Judged<'o> {
    fn new(manifests: &'o Manifests, object: &'o Value) -> Judged<'o> {
        let (message, differences) = (OnceCell::new(), OnceCell::new());
        Judged { manifests, object, message, differences, to_hash: Cell::new(MOST_HASHED) }
    }

    fn annotation(&self, name: &str) -> Option<&'o str> {
        self.object["metadata"]["annotations"][format!("{}/{name}", self.manifests.domain)].as_str()
    }

    /// Whether a key signed what the object's annotations hold, and the object is that.
    fn signed(&self, key: &PublicKey) -> Said {
        if self.manifests.repository || self.annotation("resourceBundleRef").is_some() {
            return Err("the manifest is in a registry: not evaluated offline".to_owned());
        }
        let Some(packed) = self.annotation("message") else {
            return Ok(Err("YAML manifest not found for this resource: message not found".to_owned()));
        };
        let message = self.message.get_or_init(|| message::decoded(packed));
        let message = message.as_deref().ok_or("the message is no base64 of gzip, or too large")?;
        let mut failures = Vec::new();
        for at in 0.. {
            let of = |name: &str| match at {
                0 => self.annotation(name),
                _ => self.annotation(&format!("{name}_{at}")),
            };
            let Some(signature) = of("signature") else { break };
            if at == MOST_SIGNATURES {
                failures.push(format!("only the first {MOST_SIGNATURES} signatures are verified"));
                break;
            }
            if of("certificate").or(of("bundle")).is_some() {
                failures
                    .push("a signature with a certificate or a bundle is not evaluated offline".to_owned());
            } else if self.is_of(key, message, signature)? {
                return self.compared(message);
            } else {
                failures.push(format!("signature {} is not of this key", at + 1));
            }
        }
        match failures.is_empty() {
            true => Ok(Err("failed to verify signature: signature not found".to_owned())),
            false => Err(format!("failed to verify signature: {}", failures.join("; "))),
        }
    }

    fn is_of(&self, key: &PublicKey, message: &[u8], signature: &str) -> std::result::Result<bool, String> {
        let left = self.to_hash.get().checked_sub(message.len());
        self.to_hash.set(left.ok_or("more keys and signatures of a large message than are verified")?);
        Ok(STANDARD.decode(signature.trim()).is_ok_and(|bytes| key.signed(message, &bytes)))
    }

    /// Whether the object is what was signed.
    fn compared(&self, message: &[u8]) -> Said {
        let differences = self.differences.get_or_init(|| self.manifests.differences(message, self.object));
        let differences = differences.as_ref().map_err(String::clone)?;
        if differences.is_empty() {
            Ok(Ok("singed by a valid signer: ".to_owned()))
        } else if self.manifests.dry_run {
            Err("dryRun asks an API server: not evaluated offline".to_owned())
        } else {
            let items = json!({"items": differences});
            Ok(Err(format!("failed to verify signature. diff found; {items}")))
        }
    }
}

impl Manifests {
    /// How the object differs from the manifest that was signed; of several of its kind the closest counts.
    fn differences(&self, message: &[u8], object: &Value) -> std::result::Result<Vec<Value>, String> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let own: Vec<String> = ["resourceBundleRef", "signature", "message", "certificate", "bundle"]
            .iter()
            .map(|name| format!("metadata.annotations.{}/{name}", self.domain))
            .collect();
        let by_policy = self.ignored.iter().filter(|entry| entry.is_about(object));
        let by_policy = by_policy.flat_map(|entry| &entry.fields).chain(&own).map(String::as_str);
        let mut ignored: Vec<&str> = by_policy.collect();
        for field in difference::ignored(kind) {
            ignored.push(field);
        }
        let manifests = message::manifests(message)?;
        let same_kind = manifests.iter().filter(|manifest| manifest["kind"] == kind);
        let found = same_kind.map(|manifest| difference::between(manifest, object, &ignored));
        let found = found.collect::<Option<Vec<_>>>().ok_or("there are more fields than are compared")?;
        let closest = found.into_iter().min_by_key(Vec::len);
        closest.ok_or_else(|| format!("the message holds no manifest of kind {kind}"))
    }
}

impl Ignored {
    fn is_about(&self, object: &Value) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api_version = text(&object["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let (name, namespace) = (text(&object["metadata"]["name"]), text(&object["metadata"]["namespace"]));
        let own = [group.to_owned(), version.to_owned(), text(&object["kind"]), name, namespace];
        let fits = |pattern: &[String; 5]| {
            pattern.iter().zip(&own).all(|(p, text)| p.is_empty() || wildcard::matches(p, text))
        };
        self.objects.is_empty() || self.objects.iter().any(fits)
    }
}

impl AttestorSet {
    fn compile(reader: &Reader<'_>) -> Result<AttestorSet> {
        let mut entries = Vec::new();
        for entry in reader.list("entries")? {
            entries.extend(Attestor::compile(&entry)?);
        }
        if entries.is_empty() {
            return Err(reader.error("entries are missing"));
        }
        let needed = match reader.field("count").filter(|count| count.value != 0) {
            None => entries.len(),
            Some(count) => count
                .value
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .filter(|count| *count <= entries.len())
                .ok_or_else(|| count.error("a number from 1 up to that of the entries is expected here"))?,
        };
        Ok(AttestorSet { needed, entries })
    }

    /// Why nobody of it can be evaluated offline, if so.
    fn offline(&self) -> Option<&'static str> {
        let each = self.entries.iter().map(|entry| match &entry.by {
            By::Key(_) => None,
            By::Set(set) => set.offline(),
            By::Offline(part) => Some(*part),
        });
        each.collect::<Option<Vec<_>>>()?.first().copied()
    }

    fn verify(&self, object: &Judged<'_>, path: &str) -> Said {
        let (mut verified, mut failed, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (at, entry) in self.entries.iter().enumerate() {
            match entry.verify(object, &format!("{path}.entries[{at}]")) {
                Ok(Ok(reason)) => verified.push(reason),
                Ok(Err(reason)) => failed.push(reason),
                Err(why) => errors.push(why),
            }
            if verified.len() >= self.needed {
                break;
            }
        }
        let told = |what: &str, reasons: &[String]| {
            let (count, needed) = (verified.len(), self.needed);
            let reasons = reasons.join(",");
            format!(
                "manifest verification {what}; verifiedCount {count}; requiredCount {needed}; message {reasons}"
            )
        };
        if verified.len() >= self.needed {
            return Ok(Ok(told("succeeded", &verified)));
        }
        if errors.is_empty() { Ok(Err(told("failed", &failed))) } else { Err(errors.join("; ")) }
    }
}

impl Attestor {
    /// An entry, or one for each key that it names.
    fn compile(entry: &Reader<'_>) -> Result<Vec<Attestor>> {
        let annotations = entry.string_map("annotations")?;
        let attestor = |by: By| Attestor { annotations: annotations.clone(), by };
        if let Some(set) = entry.field("attestor") {
            return Ok(vec![attestor(By::Set(AttestorSet::compile(&set)?))]);
        }
        if entry.string("repository")?.is_some_and(|repository| !repository.is_empty()) {
            return Ok(vec![attestor(By::Offline("repository"))]);
        }
        if let Some(keys) = entry.field("keys") {
            let text = keys.string("publicKeys")?.unwrap_or_default();
            if !key::is_key(&text) {
                return Ok(vec![attestor(By::Offline("keys elsewhere"))]);
            }
            let place = Reader::new(&keys.value["publicKeys"], keys.path.key("publicKeys"));
            let parsed = key::split(&text).into_iter().map(PublicKey::parse);
            let parsed: std::result::Result<Vec<_>, String> = parsed.collect();
            let parsed = parsed.map_err(|why| place.error(format!("not a public key: {why}")))?;
            if parsed.is_empty() {
                return Err(place.error("not a public key: its end is missing"));
            }
            return Ok(parsed.into_iter().map(|key| attestor(By::Key(key))).collect());
        }
        for part in ["certificates", "keyless"] {
            if entry.field(part).is_some() {
                return Ok(vec![attestor(By::Offline(part))]);
            }
        }
        Err(entry.error("one of keys, certificates, keyless, attestor is missing"))
    }

    fn verify(&self, object: &Judged<'_>, path: &str) -> Said {
        let annotations = &object.object["metadata"]["annotations"];
        for (key, value) in &self.annotations {
            if annotations[key] != *value {
                let found = annotations[key].as_str().unwrap_or_default();
                return Err(format!(
                    "annotations mismatch: {found} does not match expected value {value} for key {key}"
                ));
            }
        }
        match &self.by {
            By::Set(set) => {
                let path = format!("{path}.attestor");
                let failed = |why| format!("failed to verify signature; {path}: {why}");
                set.verify(object, &path).map_err(failed)
            }
            By::Offline(part) => Err(format!("{path}: {part}: not evaluated offline")),
            By::Key(key) => {
                let at = |why: String| format!("{path}.keys: {why}");
                object.signed(key).map(|said| said.map_err(at)).map_err(at)
            }
        }
    }
}
