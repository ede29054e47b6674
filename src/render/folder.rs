//! Which files a folder brings: all below it, or what its `kustomization.yaml` lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::documents::is_manifest_file;
use super::memo::Memo;
use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, RepoPath, Snapshot};
use crate::yaml;

/// Names that kustomize gives its file.
const KUSTOMIZATION_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields that change nothing that is rendered.
const HARMLESS: [&str; 4] = ["apiVersion", "kind", "metadata", "sortOptions"];

/// An entry of `resources`.
#[derive(Debug, Clone)]
struct Entry {
    text: String,
    place: Location,
}

/// What a kustomization file lists, or why it cannot be followed.
type Kustomization = Arc<Result<Vec<Entry>, Vec<Finding>>>;

/// Finds the files of folders; kustomization files are read once for each content.
#[derive(Debug, Default)]
pub(super) struct Folders {
    kustomizations: Memo<(RepoPath, Arc<str>), Kustomization>,
}

/// The way down to a folder, to see circles.
struct Walk<'a> {
    snapshot: &'a Snapshot,
    stack: Vec<RepoPath>,
    files: BTreeSet<RepoPath>,
    findings: Vec<Finding>,
}

impl Folders {
    /// Begins a render.
    pub fn begin(&mut self) {
        self.kustomizations.begin();
    }

    /// The files that a folder brings, without those in `except`.
    ///
    /// # Errors
    /// Why the folder cannot be rendered as its `kustomization.yaml` means it.
    pub fn files(
        &mut self,
        snapshot: &Snapshot,
        folder: &RepoPath,
        except: &[RepoPath],
    ) -> Result<BTreeSet<RepoPath>, Vec<Finding>> {
        let mut walk = Walk { snapshot, stack: Vec::new(), files: BTreeSet::new(), findings: Vec::new() };
        let (plain, kustomized) = plain_files(snapshot, folder, except);
        walk.files.extend(plain);
        for folder in kustomized {
            self.build(&mut walk, &folder);
        }
        if walk.findings.is_empty() { Ok(walk.files) } else { Err(walk.findings) }
    }

    /// Follows the kustomization file of a folder.
    fn build(&mut self, walk: &mut Walk<'_>, folder: &RepoPath) {
        let files = kustomization_files(walk.snapshot, folder);
        let [file] = &files[..] else {
            let names: Vec<&str> = files.iter().map(RepoPath::file_name).collect();
            let message = format!("{folder} has more than one kustomization file: {}", names.join(", "));
            walk.findings.extend(
                files
                    .get(1)
                    .map(|file| Finding::error(Code::UnitRefused, message).at(Location::line(file, 1))),
            );
            return;
        };
        let blob = &walk.snapshot.files[file];
        let kustomization = self
            .kustomizations
            .get((file.clone(), blob.id.clone()), || Arc::new(read_kustomization(file, &blob.bytes)));
        match &*kustomization {
            Err(findings) => walk.findings.extend(findings.iter().cloned()),
            Ok(entries) => {
                walk.stack.push(folder.clone());
                for entry in entries {
                    self.follow(walk, folder, entry);
                }
                walk.stack.pop();
            }
        }
    }

    /// Follows one entry of `resources`.
    fn follow(&mut self, walk: &mut Walk<'_>, folder: &RepoPath, entry: &Entry) {
        let refuse = |code: Code, message: String| Finding::error(code, message).at(entry.place.clone());
        let text = &entry.text;
        let path = match folder.join(text) {
            Ok(path) if !is_remote(text) => path,
            Ok(_) => {
                let message =
                    format!("the resource {text} lies outside of this repository; it is not fetched");
                walk.findings.push(refuse(Code::UnitRefused, message));
                return;
            }
            Err(error) => {
                walk.findings.push(refuse(Code::UnitRefused, error.to_string()));
                return;
            }
        };
        if walk.snapshot.files.contains_key(&path) {
            if !walk.files.insert(path) {
                let message = format!("the resource {text} is listed twice; kustomize refuses that");
                walk.findings.push(refuse(Code::UnitRefused, message));
            }
        } else if !walk.snapshot.has_folder(&path) {
            walk.findings
                .push(refuse(Code::PathMissing, format!("the resource {text} does not exist ({path})")));
        } else if walk.stack.contains(&path) {
            walk.findings
                .push(refuse(Code::UnitRefused, format!("the resource {text} leads back to itself")));
        } else if kustomization_files(walk.snapshot, &path).is_empty() {
            let message = format!(
                "the resource {text} is a folder without a kustomization.yaml; kustomize refuses that"
            );
            walk.findings.push(refuse(Code::UnitRefused, message));
        } else {
            self.build(walk, &path);
        }
    }
}

/// The files below a folder that stand for themselves, and the folders that are read through kustomize.
fn plain_files(
    snapshot: &Snapshot,
    folder: &RepoPath,
    except: &[RepoPath],
) -> (Vec<RepoPath>, BTreeSet<RepoPath>) {
    let visible = |path: &RepoPath| {
        path.relative_to(folder).is_some_and(|rest| !rest.split('/').any(|part| part.starts_with('.')))
            && !except.iter().any(|out| path.is_in(out) && !folder.is_in(out))
    };
    let below: Vec<&RepoPath> =
        snapshot.below(folder).map(|(path, _)| path).filter(|path| visible(path)).collect();
    let kustomized: BTreeSet<RepoPath> = below
        .iter()
        .filter(|path| KUSTOMIZATION_NAMES.contains(&path.file_name()))
        .map(|path| path.parent())
        .collect();
    let topmost = |path: &RepoPath| {
        if kustomized.is_empty() {
            return None;
        }
        let mut at = path.parent();
        let mut top = None;
        loop {
            if kustomized.contains(&at) {
                top = Some(at.clone());
            }
            if at == *folder || at.is_root() {
                return top;
            }
            at = at.parent();
        }
    };
    let mut plain = Vec::new();
    let mut tops = BTreeSet::new();
    for path in below {
        match topmost(path) {
            Some(top) => {
                tops.insert(top);
            }
            None if is_manifest_file(path) => plain.push(path.clone()),
            None => {}
        }
    }
    (plain, tops)
}

/// The kustomization files that stand in a folder itself.
fn kustomization_files(snapshot: &Snapshot, folder: &RepoPath) -> Vec<RepoPath> {
    KUSTOMIZATION_NAMES
        .iter()
        .filter_map(|name| folder.join(name).ok())
        .filter(|path| snapshot.files.contains_key(path))
        .collect()
}

/// A URL or a git address, as kustomize takes them.
fn is_remote(text: &str) -> bool {
    text.contains("://")
        || text.contains("?ref=")
        || text.starts_with("git@")
        || text.starts_with("github.com/")
        || text.contains("//")
}

/// The entries of a kustomization file.
fn read_kustomization(file: &RepoPath, bytes: &[u8]) -> Result<Vec<Entry>, Vec<Finding>> {
    let mut documents = Vec::new();
    for document in yaml::read(file, bytes) {
        documents.push(document.map_err(|finding| vec![finding])?);
    }
    let refused = |message: String, line: u32| {
        vec![Finding::error(Code::UnitRefused, message).at(Location::line(file, line))]
    };
    let document = match documents.len() {
        0 => return Err(refused(format!("{file} is empty"), 1)),
        1 => documents.remove(0),
        _ => return Err(refused(format!("{file} holds more than one document"), documents[1].line)),
    };
    let Some(map) = document.value.as_object() else {
        return Err(refused(format!("{file} is no mapping"), document.line));
    };
    let at = |path: &FieldPath| yaml::locate(&document.source, path);
    let mut findings = Vec::new();
    let mut refuse = |message: String, path: FieldPath| {
        findings.push(Finding::error(Code::UnitRefused, message).at(at(&path)));
    };
    if let Some(kind) = map.get("kind").and_then(Value::as_str).filter(|kind| *kind != "Kustomization") {
        refuse(format!("a {kind} of kustomize is not understood"), FieldPath::of_keys(["kind"]));
    }
    let mut entries = Vec::new();
    for (field, value) in map {
        match field.as_str() {
            "resources" | "bases" if !is_empty(value) => {
                let Some(items) = value.as_array() else {
                    refuse(format!("{field} is no list"), FieldPath::of_keys([field.as_str()]));
                    continue;
                };
                for (index, item) in items.iter().enumerate() {
                    let path = FieldPath::of_keys([field.as_str()]).index(index);
                    match item.as_str() {
                        Some(text) => entries.push(Entry { text: text.to_owned(), place: at(&path) }),
                        None => refuse(format!("an entry of {field} is no text"), path),
                    }
                }
            }
            name if HARMLESS.contains(&name) || is_empty(value) => {}
            name => refuse(
                format!("`{name}` in {file} is not understood and may change what is rendered"),
                FieldPath::of_keys([name]),
            ),
        }
    }
    if findings.is_empty() { Ok(entries) } else { Err(findings) }
}

/// Whether a field says nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
