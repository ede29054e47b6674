//! From files to documents: what each file of the repository brings, before anything is decided about it.

use std::sync::Arc;

use serde_json::Value;

use super::memo::Memo;
use crate::finding::{Code, Finding, Location};
use crate::model::{API_GROUP, FieldPath, File, Gvk, IdError, ObjectId, RepoPath, Snapshot, SourceText};
use crate::yaml;

/// Begins the annotations that loosen or change a safety.
const SAFETIES: [&str; 4] = [
    "moin.scs.community/prune",
    "moin.scs.community/on-conflict",
    "moin.scs.community/drift",
    "moin.scs.community/adopt",
];

/// An object as documents of the repository describe it.
#[derive(Debug, Clone)]
pub(super) struct Doc {
    /// The object.
    pub value: Arc<Value>,
    pub id: ObjectId,
    pub gvk: Gvk,
    /// The document that brought it in.
    pub source: SourceText,
    /// Line of the object's first node.
    pub line: u32,
    /// The layer it stands in.
    pub layer: Option<RepoPath>,
    /// Documents of later layers that are merged into `value`.
    pub overlays: Vec<SourceText>,
    /// It carries SOPS metadata, so its values are ciphertext.
    pub encrypted: bool,
    /// It has `generateName` instead of a name; only a hook may.
    pub generate_name: bool,
    /// It says `$moin: delete`: the object of earlier layers goes.
    pub delete: bool,
}

/// What a file brings.
#[derive(Debug, Default)]
pub(super) struct FileDocs {
    pub docs: Vec<Arc<Doc>>,
    /// What could not be understood; objects may be missing for each.
    pub findings: Vec<Finding>,
    /// Documents that hold settings of a repository.
    pub settings: Vec<Location>,
}

/// Reads files, each content once.
#[derive(Debug, Default)]
pub(super) struct Reader {
    files: Memo<(RepoPath, Arc<str>), Arc<FileDocs>>,
}

impl Reader {
    /// Begins a render.
    pub fn begin(&mut self) {
        self.files.begin();
    }

    /// Reads these files, all that are new at once.
    pub fn prefetch<'a>(&mut self, snapshot: &'a Snapshot, paths: impl IntoIterator<Item = &'a RepoPath>) {
        let files: Vec<(&RepoPath, &File)> =
            paths.into_iter().filter_map(|path| snapshot.files.get_key_value(path)).collect();
        let keys = files.iter().map(|(path, file)| ((*path).clone(), file.id.clone()));
        self.files.get_all(keys.collect(), |index| {
            let (path, file) = files[index];
            Arc::new(read_file(path, &file.bytes))
        });
    }

    /// What a file brings; nothing if it is not there.
    pub fn file(&mut self, snapshot: &Snapshot, path: &RepoPath) -> Arc<FileDocs> {
        let Some(file) = snapshot.files.get(path) else { return Arc::default() };
        self.files.get((path.clone(), file.id.clone()), || Arc::new(read_file(path, &file.bytes)))
    }
}

/// All objects of a file, lists taken apart.
fn read_file(path: &RepoPath, bytes: &[u8]) -> FileDocs {
    let mut out = FileDocs::default();
    for document in yaml::read(path, bytes) {
        match document {
            Ok(document) => {
                take(document.value, &document.source, document.line, &FieldPath::default(), &mut out)
            }
            Err(finding) => out.findings.push(finding),
        }
    }
    out
}

/// Takes an object, or each item of a list, out of a document.
fn take(value: Value, source: &SourceText, line: u32, at: &FieldPath, out: &mut FileDocs) {
    if value.is_null() {
        return;
    }
    if is_list(&value) {
        let Value::Object(mut map) = value else { return };
        let Some(Value::Array(items)) = map.remove("items") else { return };
        for (index, item) in items.into_iter().enumerate() {
            let at = at.key("items").index(index);
            let line = yaml::locate(source, &at).line;
            take(item, source, line, &at, out);
        }
        return;
    }
    match doc_of(value, source, line) {
        Ok(Some(doc)) => out.docs.push(Arc::new(doc)),
        Ok(None) => out.settings.push(yaml::locate(source, &at.key("kind"))),
        Err((error, message)) => {
            let mut place = yaml::locate(source, &error_path(at, &error));
            place.line = place.line.max(line);
            out.findings.push(Finding::error(Code::NotAnObject, message).at(place));
        }
    }
}

/// Where to point when part of an identity is missing: the nearest thing that is there.
fn error_path(at: &FieldPath, error: &IdError) -> FieldPath {
    match error {
        IdError::Missing(field) => field.split('.').fold(at.clone(), |path, key| path.key(key)),
        _ => at.clone(),
    }
}

/// `List`, or a list of a kind with its items. An object has a name, a list has none.
fn is_list(value: &Value) -> bool {
    value["metadata"].get("name").is_none()
        && value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"))
        && value["items"].is_array()
}

/// The object in a document; `None` for the repository's own settings.
fn doc_of(mut value: Value, source: &SourceText, line: u32) -> Result<Option<Doc>, (IdError, String)> {
    let explain = |error: IdError| {
        let message = match &error {
            IdError::NotAMapping => error.to_string(),
            error => format!("this document is no Kubernetes object: {error}"),
        };
        (error, message)
    };
    let gvk = Gvk::of(&value).map_err(explain)?;
    if &*gvk.group == API_GROUP && &*gvk.kind == "Repository" {
        return Ok(None);
    }
    let directive = value.as_object_mut().and_then(|map| map.remove("$moin"));
    let delete = match &directive {
        None => false,
        Some(Value::String(word)) if word == "delete" && is_identity_alone(&value) => true,
        Some(Value::String(word)) if word == "delete" => {
            let text = "`$moin: delete` must be the only content beside apiVersion, kind and metadata";
            return Err((IdError::Missing("$moin"), text.to_owned()));
        }
        Some(other) => {
            return Err((
                IdError::Missing("$moin"),
                format!("`$moin: {other}` is unknown; there is `delete`"),
            ));
        }
    };
    let (id, generate_name) = match ObjectId::of(&value) {
        Ok(id) => (id, false),
        Err(error) => match value["metadata"]["generateName"].as_str() {
            Some(prefix) if !prefix.is_empty() => {
                let namespace = value["metadata"]["namespace"].as_str();
                (ObjectId::new(&gvk.group, &gvk.kind, namespace, prefix), true)
            }
            _ => return Err(explain(error)),
        },
    };
    let encrypted = value["sops"].is_object();
    Ok(Some(Doc {
        value: Arc::new(value),
        id,
        gvk,
        source: source.clone(),
        line,
        layer: None,
        overlays: Vec::new(),
        encrypted,
        generate_name,
        delete,
    }))
}

/// Whether nothing stands beside apiVersion, kind, and name and namespace in metadata.
fn is_identity_alone(value: &Value) -> bool {
    let only = |value: &Value, keys: &[&str]| {
        value.as_object().is_some_and(|map| map.keys().all(|key| keys.contains(&key.as_str())))
    };
    only(value, &["apiVersion", "kind", "metadata"]) && only(&value["metadata"], &["name", "namespace"])
}

impl Doc {
    /// A copy of it with another body.
    pub fn with_value(&self, value: Value) -> Doc {
        Doc { value: Arc::new(value), ..self.clone() }
    }

    /// The annotations on it that change a safety.
    pub fn safeties(&self) -> impl Iterator<Item = &'static str> + '_ {
        let annotations = self.value["metadata"]["annotations"].as_object();
        SAFETIES.into_iter().filter(move |name| annotations.is_some_and(|map| map.contains_key(*name)))
    }

    /// Without the annotations that change a safety, and a finding for each.
    pub fn without_safeties(&self) -> (Doc, Vec<Finding>) {
        let mut value = (*self.value).clone();
        let mut findings = Vec::new();
        for name in self.safeties() {
            let path = FieldPath::of_keys(["metadata", "annotations", name]);
            findings.push(
                Finding::warning(
                    Code::SafetyNotAllowed,
                    format!(
                        "{name} is not honoured in {}: protection.annotations does not list the file",
                        self.source.file
                    ),
                )
                .about(&self.id)
                .at(super::place_in(&self.source, &self.id, &path)),
            );
            if let Some(map) = value["metadata"]["annotations"].as_object_mut() {
                map.remove(name);
            }
        }
        (self.with_value(value), findings)
    }
}

/// Whether a file's name says that it holds manifests.
pub(super) fn is_manifest_file(path: &RepoPath) -> bool {
    let name = path.file_name();
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending) && name.len() > ending.len())
}
