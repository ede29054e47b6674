//! What offline commands are told of a cluster, in files: its namespaces, and what policies would ask it for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::{BoxError, output};
use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, LiveObject, RepoPath};
use crate::policy::World;
use crate::suite;
use crate::yaml::{self, Document};

/// Namespaces beside those of the repository.
#[derive(Debug, Clone, Default, Args)]
pub struct TriggerArgs {
    /// File with Namespace objects that trigger rules as if they lived in the cluster.
    #[arg(long, value_name = "FILE")]
    namespaces: Option<PathBuf>,
    /// File with values that policies would ask a cluster for: `globalValues`, `policies`, `apiCallResponses` and
    /// `globalContextEntries`, as kyverno-test.yaml and its files of values have them.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
}

impl TriggerArgs {
    /// The namespaces of the file, by name.
    pub fn namespaces(&self) -> Result<BTreeMap<String, LiveObject>, BoxError> {
        let Some(path) = &self.namespaces else { return Ok(BTreeMap::new()) };
        let (mut namespaces, mut wrong) = (BTreeMap::new(), Vec::new());
        for document in documents(path)? {
            let (items, way) = match &document.value["items"] {
                Value::Array(items) => (items.clone(), FieldPath::of_keys(["items"])),
                _ => (vec![document.value.clone()], FieldPath::default()),
            };
            for (at, item) in items.into_iter().enumerate() {
                let way = if way.0.is_empty() { way.clone() } else { way.index(at) };
                match namespace(&item) {
                    Ok(name) => drop(namespaces.insert(name, LiveObject::new(item))),
                    Err((field, message)) => {
                        wrong.push(finding(&document, &field.iter().fold(way, |w, key| w.key(key)), message))
                    }
                }
            }
        }
        refuse("--namespaces", path, &wrong)?;
        Ok(namespaces)
    }

    /// What policies may ask for beside the repository.
    pub fn world(&self) -> Result<World, BoxError> {
        let Some(path) = &self.values else { return Ok(World::nothing()) };
        let mut documents = documents(path)?.into_iter();
        let first = documents.next().ok_or_else(|| format!("--values: {} is empty", path.display()))?;
        let mut wrong: Vec<Finding> = suite::of_given(&first);
        wrong.extend(documents.next().map(|second| {
            finding(&second, &FieldPath::default(), "a file of values is one document".to_owned())
        }));
        refuse("--values", path, &wrong)?;
        let known = ["globalValues", "policies", "apiCallResponses", "globalContextEntries"];
        if !known.iter().any(|field| first.value.get(field).is_some()) {
            return Err(format!("--values: {} holds none of {}", path.display(), known.join(", ")).into());
        }
        Ok(World::nothing().given(first.value))
    }
}

/// The name of a Namespace.
///
/// # Errors
/// The field that is wrong, and why.
fn namespace(item: &Value) -> Result<String, (&'static [&'static str], String)> {
    let kind = item["kind"].as_str().unwrap_or("no kind");
    if item["apiVersion"] != "v1" || kind != "Namespace" {
        return Err((&["kind"], format!("only Namespaces of v1 count here, not {kind}")));
    }
    let labels = &item["metadata"]["labels"];
    let are_texts = labels.as_object().map_or(labels.is_null(), |map| map.values().all(Value::is_string));
    if !are_texts {
        return Err((&["metadata", "labels"], "labels must be a mapping of texts".to_owned()));
    }
    match item["metadata"]["name"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => Ok(name.to_owned()),
        None => Err((&["metadata", "name"], "metadata.name is missing, empty or not text".to_owned())),
    }
}

/// The documents of a file. What cannot be read is said.
fn documents(path: &Path) -> Result<Vec<Document>, BoxError> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let shown: RepoPath = path.file_name().unwrap_or_default().to_string_lossy().parse()?;
    let (mut documents, mut broken) = (Vec::new(), Vec::new());
    for document in yaml::read(&shown, &bytes) {
        match document {
            Ok(document) => documents.push(document),
            Err(finding) => broken.push(finding),
        }
    }
    output::findings(&broken);
    match broken.is_empty() {
        true => Ok(documents),
        false => Err(format!("{} cannot be read", path.display()).into()),
    }
}

fn finding(document: &Document, way: &FieldPath, message: String) -> Finding {
    Finding::error(Code::BadSettings, message).at(yaml::locate(&document.source, way))
}

/// Says what is wrong with a file.
fn refuse(flag: &str, path: &Path, findings: &[Finding]) -> Result<(), BoxError> {
    output::findings(findings);
    match findings.iter().any(|finding| finding.severity == Severity::Error) {
        true => Err(format!("{flag}: {} is not valid", path.display()).into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_namespace_is_not_passed_over() {
        let team = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"a": "b"}}});
        assert_eq!(namespace(&team), Ok("team".to_owned()));
        for (path, value, wrong) in [
            ("/kind", json!("Namespac"), "kind"),
            ("/metadata/name", json!(1), "name"),
            ("/metadata/labels", json!({"a": 1}), "labels"),
        ] {
            let mut other = team.clone();
            *other.pointer_mut(path).unwrap() = value;
            assert_eq!(namespace(&other).unwrap_err().0.last(), Some(&wrong));
        }
    }

    #[test]
    fn a_file_of_values_is_read_strictly() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("values.yaml");
        let is_read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            TriggerArgs { values: Some(path.clone()), namespaces: None }
                .world()
                .map(drop)
                .map_err(|e| e.to_string())
        };
        assert_eq!(is_read("policies: [{name: p, rules: [{name: r, values: {a: b}}]}]\n"), Ok(()));
        assert_eq!(is_read("globalValues: {a: b}\nnamespaceSelector: [{name: a, labels: {b: c}}]\n"), Ok(()));
        for wrong in [
            "globalValue: {a: b}\n",
            "policies: {name: p}\n",
            "policies: [{name: p, rule: []}]\n",
            "globalValues: []\n",
        ] {
            assert!(is_read(wrong).unwrap_err().ends_with("is not valid"), "{wrong}");
        }
        assert!(is_read("a: b: c\n").unwrap_err().ends_with("cannot be read"));
        assert!(is_read("globalValues: {a: b}\n---\na: b\n").unwrap_err().ends_with("is not valid"));
    }
}
