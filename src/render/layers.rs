//! Merges layers: a document of a later layer changes the object that an earlier one describes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Withheld;
use super::documents::Doc;
use super::memo::Memo;
use crate::finding::{Code, Finding, Location};
use crate::merge;
use crate::model::{ObjectId, RepoPath, UnitName};
use crate::schema::Schemas;

/// A document and the layer whose folder holds it.
#[derive(Debug, Clone)]
pub(super) struct Layered {
    pub doc: Arc<Doc>,
    /// Its folder, and its place in the order of layers.
    pub layer: RepoPath,
    pub rank: usize,
}

/// Merged objects by the documents they came from.
pub(super) type MergeMemo = Memo<(u64, Vec<usize>), Merged>;

/// An object merged from documents, which are kept alive so that their addresses stay theirs.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    doc: Arc<Doc>,
    _from: Arc<[Arc<Doc>]>,
}

/// What merging came to.
#[derive(Debug, Default)]
pub(super) struct LayersMerged {
    pub docs: Vec<Arc<Doc>>,
    pub withheld: Vec<Withheld>,
    pub findings: Vec<Finding>,
}

/// Merges documents of the same identity in the order of their layers. Within one layer nothing is merged: two
/// documents stay two, and are found as duplicates later.
///
/// `show_layer` says whether the repository has layers; if not, `$moin` means nothing. The
/// number beside the schemas changes whenever they do.
pub(super) fn merge_layers(
    docs: Vec<Layered>,
    show_layer: bool,
    schemas: (&Schemas, u64),
    memo: &mut MergeMemo,
) -> LayersMerged {
    let mut out = LayersMerged::default();
    if !show_layer {
        out.docs = docs.into_iter().map(|layered| layered.doc).collect();
        return out;
    }
    let mut counts: FxHashMap<ObjectId, u32> = FxHashMap::default();
    for layered in &docs {
        *counts.entry(layered.doc.id.clone()).or_default() += 1;
    }
    let mut groups: BTreeMap<ObjectId, Vec<Layered>> = BTreeMap::new();
    for layered in docs {
        if counts[&layered.doc.id] == 1 && !layered.doc.delete {
            out.docs.push(in_layer(&layered, memo));
        } else {
            groups.entry(layered.doc.id.clone()).or_default().push(layered);
        }
    }
    for (id, mut group) in groups {
        group.sort_by_key(|layered| layered.rank);
        let only_one_rank = group.iter().all(|layered| layered.rank == group[0].rank);
        if only_one_rank && !group.iter().any(|layered| layered.doc.delete) {
            out.docs.extend(group.iter().map(|layered| in_layer(layered, memo)));
            continue;
        }
        if let Some(twice) = group.windows(2).find(|pair| pair[0].rank == pair[1].rank) {
            out.findings.push(twice_in_layer(&id, &twice[0], &twice[1]));
            out.withheld.push(Withheld { id: Some(id), unit: UnitName::root() });
            continue;
        }
        merge_group(&id, &group, schemas, memo, &mut out);
    }
    out
}

/// Merges the documents of one object, one from each layer.
fn merge_group(
    id: &ObjectId,
    group: &[Layered],
    schemas: (&Schemas, u64),
    memo: &mut MergeMemo,
    out: &mut LayersMerged,
) {
    let mut standing: Vec<&Layered> = Vec::new();
    for layered in group {
        if !layered.doc.delete {
            standing.push(layered);
        } else if standing.is_empty() {
            out.findings.push(
                Finding::warning(
                    Code::LayerDirective,
                    "`$moin: delete` removes nothing: no earlier layer describes the object",
                )
                .about(id)
                .at(place(&layered.doc)),
            );
        } else {
            standing.clear();
        }
    }
    match standing[..] {
        [] => {}
        [only] => out.docs.push(in_layer(only, memo)),
        _ => out.docs.push(merged(&standing, schemas, memo)),
    }
}

fn merged(standing: &[&Layered], schemas: (&Schemas, u64), memo: &mut MergeMemo) -> Arc<Doc> {
    let (schemas, generation) = schemas;
    let addresses = standing.iter().map(|layered| address(&layered.doc)).collect();
    memo.get((generation, addresses), || {
        let base = &standing[0];
        let mut value = (*base.doc.value).clone();
        for over in &standing[1..] {
            let ty = schemas.type_of(&over.doc.gvk);
            value = merge::overlay(ty.as_ref(), &value, &over.doc.value);
        }
        let mut doc = base.doc.with_value(value);
        doc.gvk = standing.last().map_or_else(|| doc.gvk.clone(), |last| last.doc.gvk.clone());
        doc.layer = Some(base.layer.clone());
        doc.overlays = standing[1..].iter().map(|over| over.doc.source.clone()).collect();
        doc.encrypted = standing.iter().any(|layered| layered.doc.encrypted);
        let from = standing.iter().map(|layered| layered.doc.clone()).collect();
        Merged { doc: Arc::new(doc), _from: from }
    })
    .doc
}

/// The document itself, marked with its layer.
fn in_layer(layered: &Layered, memo: &mut MergeMemo) -> Arc<Doc> {
    memo.get((layered.rank as u64, vec![address(&layered.doc)]), || {
        let mut doc = (*layered.doc).clone();
        doc.layer = Some(layered.layer.clone());
        Merged { doc: Arc::new(doc), _from: Arc::new([layered.doc.clone()]) }
    })
    .doc
}

pub(super) fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared) as usize
}

fn place(doc: &Doc) -> Location {
    Location::in_source(&doc.source, doc.line, 1)
}

fn twice_in_layer(id: &ObjectId, first: &Layered, second: &Layered) -> Finding {
    let mut places = [place(&first.doc), place(&second.doc)];
    places.sort();
    let [first_place, second_place] = places;
    let message = format!("described twice in the layer {}; it is not applied", second.layer);
    Finding::error(Code::DuplicateObject, message).about(id).at(second_place).related(first_place)
}
