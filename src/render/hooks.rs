//! Hooks: Jobs that run before and after a stage, as units of their own.

use std::cell::LazyCell;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::documents::{Doc, Reader};
use super::finish::LeftOut;
use super::gather::Piece;
use super::settings::Settings;
use crate::finding::{Code, Finding, Location};
use crate::model::{ObjectId, RepoPath, Snapshot, Unit, UnitName};

/// The longest name of a Job whose pods can still be labelled with it.
const MAX_NAME: usize = 63;

/// Adds the Jobs of all hooks. A hook that cannot be read refuses its unit: a stage does not begin without it.
///
/// A Job with a name runs once. One with `generateName` gets a name that depends on what its stage applies, so that it
/// runs anew whenever that changes.
pub(super) fn add(
    mut pieces: Vec<Piece>,
    snapshot: &Snapshot,
    reader: &mut Reader,
    settings: &Settings,
    units: &mut [Unit],
    out: &mut LeftOut,
) -> Vec<Piece> {
    let mut added = Vec::new();
    for stage in &settings.layout.stages {
        if stage.before.is_empty() && stage.after.is_empty() {
            continue;
        }
        let fingerprint = LazyCell::new(|| fingerprint(&pieces, &stage.unit));
        for (files, unit) in [(&stage.before, stage.before_unit()), (&stage.after, stage.after_unit())] {
            for file in files {
                match jobs(snapshot, reader, settings, file, &fingerprint) {
                    Ok(docs) => added.extend(docs.into_iter().map(|doc| Piece { doc, unit: unit.clone() })),
                    Err(findings) => refuse(&unit, findings, units, out),
                }
            }
        }
    }
    pieces.extend(added);
    pieces
}

/// The Jobs of a hook's file.
fn jobs(
    snapshot: &Snapshot,
    reader: &mut Reader,
    settings: &Settings,
    file: &RepoPath,
    fingerprint: &impl Deref<Target = String>,
) -> Result<Vec<Arc<Doc>>, Vec<Finding>> {
    let in_layers = settings.layout.layers.iter().rev().filter_map(|layer| layer.join(file.as_str()).ok());
    let candidates = settings.base.join(file.as_str()).into_iter().chain(in_layers);
    let Some(path) = candidates.into_iter().find(|path| snapshot.files.contains_key(path)) else {
        let finding = Finding::error(Code::PathMissing, format!("the hook {file} is not in the repository"));
        return Err(vec![match &settings.file {
            Some(settings) => finding.at(Location::line(settings, 1)),
            None => finding,
        }]);
    };
    let docs = reader.file(snapshot, &path);
    if !docs.findings.is_empty() {
        return Err(docs.findings.clone());
    }
    let mut jobs = Vec::new();
    for doc in &docs.docs {
        if doc.id.kind() != "Job" || doc.id.group() != "batch" {
            let message = format!("a hook is a Job, not a {}", doc.id.kind());
            let place = Location::in_source(&doc.source, doc.line, 1);
            return Err(vec![Finding::error(Code::BadRepositoryFile, message).about(&doc.id).at(place)]);
        }
        jobs.push(if doc.generate_name { named(doc, fingerprint) } else { doc.clone() });
    }
    Ok(jobs)
}

/// The Job under a name that changes with its stage.
fn named(doc: &Arc<Doc>, fingerprint: &str) -> Arc<Doc> {
    let prefix: String = doc.id.name().chars().take(MAX_NAME - fingerprint.len()).collect();
    let name = format!("{prefix}{fingerprint}");
    let mut value = (*doc.value).clone();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), name.clone().into());
    }
    let mut named = doc.with_value(value);
    named.id = ObjectId::new(doc.id.group(), doc.id.kind(), doc.id.namespace(), &name);
    named.generate_name = false;
    Arc::new(named)
}

/// Eight characters that change when what a unit applies changes.
fn fingerprint(pieces: &[Piece], unit: &UnitName) -> String {
    let mut docs: Vec<&Arc<Doc>> =
        pieces.iter().filter(|piece| piece.unit == *unit).map(|piece| &piece.doc).collect();
    docs.sort_by(|a, b| a.id.cmp(&b.id));
    let mut hash = Sha256::new();
    for doc in docs {
        hash.update(doc.value.to_string().as_bytes());
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn refuse(unit: &UnitName, findings: Vec<Finding>, units: &mut [Unit], out: &mut LeftOut) {
    let reason = findings.first().map(|finding| finding.message.clone()).unwrap_or_default();
    for known in units.iter_mut().filter(|known| known.name == *unit) {
        known.refused.get_or_insert(reason.clone());
    }
    out.findings.extend(findings);
}
