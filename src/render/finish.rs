//! From documents to manifests: ciphertext, scope, duplicates, and the owner label.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use super::Withheld;
use super::documents::Doc;
use super::gather::Piece;
use super::layers::address;
use super::memo::Memo;
use super::tenancy::Tenancy;
use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, GroupKind, Manifest, OWNER_LABEL, ObjectId, Origin, TENANT, Tenant, UnitName};
use crate::schema::Schemas;

/// Manifests by document, unit, owner and tenant, with the document that keeps the address its own.
pub(super) type StampMemo = Memo<(usize, UnitName, Arc<str>, Option<Arc<Tenant>>), (Arc<Manifest>, Arc<Doc>)>;

/// What was left out on the way, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Objects that mutate rules change or fail on, as they were before.
    pub originals: Vec<Arc<Manifest>>,
    pub withheld: Vec<Withheld>,
    pub findings: Vec<Finding>,
}

impl LeftOut {
    /// Leaves an object out.
    pub fn withhold(&mut self, id: Option<ObjectId>, unit: &UnitName, finding: Finding) {
        self.withheld.push(Withheld { id, unit: unit.clone() });
        self.findings.push(finding);
    }
}

/// Leaves out what is encrypted, what has no name, and what deletes where there are no layers.
pub(super) fn readable(pieces: Vec<Piece>, out: &mut LeftOut) -> Vec<Piece> {
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let doc = &piece.doc;
        let (code, message, field, id) = if doc.encrypted {
            let message = "encrypted with SOPS, and there is no key; it is left alone".to_owned();
            (Code::EncryptedFile, message, "sops", Some(doc.id.clone()))
        } else if doc.generate_name {
            let message = "metadata.name is missing; only a hook may have generateName".to_owned();
            (Code::NotAnObject, message, "metadata", None)
        } else if doc.delete {
            let message = "`$moin: delete` means nothing where there are no layers".to_owned();
            (Code::LayerDirective, message, "$moin", None)
        } else {
            kept.push(piece);
            continue;
        };
        let place = super::place_in(&doc.source, &doc.id, &FieldPath::of_keys([field]));
        out.withhold(id, &piece.unit, Finding::error(code, message).about(&doc.id).at(place));
    }
    kept
}

/// Leaves out what has a namespace where its kind has none, and the other way round. What is known of no schema is
/// left as it is.
pub(super) fn in_scope(pieces: Vec<Piece>, schemas: &Schemas, out: &mut LeftOut) -> Vec<Piece> {
    let mut scopes = Scopes::default();
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let id = &piece.doc.id;
        match scope_problem(id, scopes.of(id, schemas)) {
            None => kept.push(piece),
            Some((code, message, path)) => {
                let place = super::place_in(&piece.doc.source, id, &path);
                let finding = Finding::error(code, message).about(id).at(place);
                out.withhold(None, &piece.unit, finding);
            }
        }
    }
    kept
}

/// The same for what rules generated.
pub(super) fn generated_in_scope(
    manifests: Vec<Arc<Manifest>>,
    schemas: &Schemas,
    out: &mut LeftOut,
) -> Vec<Arc<Manifest>> {
    let mut scopes = Scopes::default();
    let mut kept = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let id = &manifest.id;
        match scope_problem(id, scopes.of(id, schemas)) {
            None => kept.push(manifest),
            Some((code, message, path)) => {
                let finding = Finding::error(code, message).about(id).at(super::place(&manifest, &path));
                out.withhold(None, &manifest.unit, finding);
            }
        }
    }
    kept
}

/// Whether kinds live in namespaces, looked up once for each kind.
#[derive(Default)]
struct Scopes(FxHashMap<GroupKind, Option<bool>>);

impl Scopes {
    fn of(&mut self, id: &ObjectId, schemas: &Schemas) -> Option<bool> {
        *self.0.entry(id.group_kind()).or_insert_with_key(|kind| schemas.namespaced(kind))
    }
}

/// What is wrong with an object's namespace, and where.
fn scope_problem(id: &ObjectId, namespaced: Option<bool>) -> Option<(Code, String, FieldPath)> {
    match (namespaced, id.namespace()) {
        (Some(true), None) => Some((
            Code::NamespaceMissing,
            format!("it has no namespace; a {} lives in one, and moin never guesses `default`", id.kind()),
            FieldPath::of_keys(["metadata"]),
        )),
        (Some(false), Some(namespace)) => Some((
            Code::NamespaceOnClusterScoped,
            format!("it has the namespace {namespace}, but a {} lives in none", id.kind()),
            FieldPath::of_keys(["metadata", "namespace"]),
        )),
        _ => None,
    }
}

/// Leaves out objects that are described twice and differently. Two equal descriptions are one object, which is said.
pub(super) fn without_duplicates(manifests: Vec<Arc<Manifest>>, out: &mut LeftOut) -> Vec<Arc<Manifest>> {
    let mut groups: FxHashMap<&ObjectId, u32> = FxHashMap::default();
    groups.reserve(manifests.len());
    for manifest in &manifests {
        *groups.entry(&manifest.id).or_default() += 1;
    }
    if groups.len() == manifests.len() {
        return manifests;
    }
    let doubles: FxHashSet<ObjectId> =
        groups.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id.clone()).collect();
    let mut kept = Vec::with_capacity(manifests.len());
    let mut double: BTreeMap<ObjectId, Vec<Arc<Manifest>>> = BTreeMap::new();
    for manifest in manifests {
        if doubles.contains(&manifest.id) {
            double.entry(manifest.id.clone()).or_default().push(manifest);
        } else {
            kept.push(manifest);
        }
    }
    for (id, mut group) in double {
        group.sort_by_key(|manifest| place_key(manifest));
        let same = group.windows(2).all(|pair| pair[0].body == pair[1].body && pair[0].gvk == pair[1].gvk);
        for other in &group[1..] {
            out.findings.push(duplicate(&id, &group[0], other, same));
        }
        if same {
            kept.extend(group.into_iter().next());
        } else {
            out.withheld.extend(
                group.iter().map(|manifest| Withheld { id: Some(id.clone()), unit: manifest.unit.clone() }),
            );
        }
    }
    kept
}

fn place_key(manifest: &Manifest) -> (String, u32, UnitName) {
    let origin = &manifest.origin;
    (origin.source.file.as_str().to_owned(), origin.line, manifest.unit.clone())
}

fn duplicate(id: &ObjectId, first: &Manifest, second: &Manifest, same: bool) -> Finding {
    let place = |manifest: &Manifest| Location::in_source(&manifest.origin.source, manifest.origin.line, 1);
    let finding = if same {
        Finding::warning(Code::DuplicateObject, "described twice, both times the same")
    } else {
        Finding::error(Code::DuplicateObject, "described twice and differently; neither is applied")
    };
    finding.about(id).at(place(second)).related(place(first))
}

/// The manifests of documents: labelled with their owner, and made once for each.
pub(super) fn stamp(
    pieces: &[Piece],
    owner: &Arc<str>,
    tenancy: &Tenancy,
    memo: &mut StampMemo,
) -> Vec<Arc<Manifest>> {
    let keys = pieces
        .iter()
        .map(|piece| (address(&piece.doc), piece.unit.clone(), owner.clone(), tenancy.tenant_of(&piece.doc)));
    let stamped = memo.get_all(keys.collect(), |index| {
        let piece = &pieces[index];
        (Arc::new(manifest_of(piece, owner, tenancy.tenant_of(&piece.doc))), piece.doc.clone())
    });
    stamped.into_iter().map(|(manifest, _)| manifest).collect()
}

fn manifest_of(piece: &Piece, owner: &str, tenant: Option<Arc<Tenant>>) -> Manifest {
    let doc = &piece.doc;
    let mut body = (*doc.value).clone();
    own(&mut body, owner);
    if let Some(tenant) = &tenant {
        set_text(&mut body, "annotations", TENANT, &tenant.name);
    }
    Manifest {
        id: doc.id.clone(),
        gvk: doc.gvk.clone(),
        body: Arc::new(body),
        origin: Origin {
            source: doc.source.clone(),
            line: doc.line,
            layer: doc.layer.clone(),
            overlays: doc.overlays.clone(),
            rule: None,
            tenant,
        },
        unit: piece.unit.clone(),
    }
}

/// Puts the owner label on an object.
pub(super) fn own(body: &mut Value, owner: &str) {
    set_text(body, "labels", OWNER_LABEL, owner);
}

/// Sets a label or an annotation. Where something stands that is no mapping, it stays for the schema to refuse.
pub(super) fn set_text(body: &mut Value, map: &str, name: &str, text: &str) {
    let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let entry = metadata.entry(map).or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    if let Some(entries) = entry.as_object_mut() {
        entries.insert(name.to_owned(), Value::String(text.to_owned()));
    }
}
