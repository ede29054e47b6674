//! Flux Kustomization objects as units, and which sources are this repository itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::documents::Doc;
use super::folder::is_empty;
use super::place_in;
use crate::finding::{Code, Finding};
use crate::model::{FieldPath, Gvk, HealthCheck, Manifest, RepoPath, Snapshot, Unit, UnitName};

/// Name that Flux's bootstrap gives the repository itself.
const BOOTSTRAP_SOURCE: &str = "flux-system";

/// Fields that are understood, or that change neither what is rendered nor how safe it is.
const UNDERSTOOD: [&str; 13] = [
    "interval",
    "retryInterval",
    "path",
    "prune",
    "sourceRef",
    "dependsOn",
    "wait",
    "timeout",
    "suspend",
    "healthChecks",
    "decryption",
    "validation",
    "force",
];

/// Where a unit takes its content from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceRef {
    kind: String,
    namespace: String,
    name: String,
}

/// A Kustomization object, read.
#[derive(Debug, Clone)]
pub(super) struct FluxUnit {
    pub unit: Unit,
    /// The object's document.
    pub doc: Arc<Doc>,
    /// The folder it applies, if it can be told.
    pub folder: Option<RepoPath>,
    pub source: SourceRef,
    /// Why it is refused.
    pub findings: Vec<Finding>,
}

/// Whether an object is a unit of Flux.
pub(super) fn is_unit(gvk: &Gvk) -> bool {
    &*gvk.group == "kustomize.toolkit.fluxcd.io" && &*gvk.kind == "Kustomization"
}

/// Reads a Kustomization object. What is not understood refuses it.
pub(super) fn read(doc: &Arc<Doc>) -> FluxUnit {
    let spec = &doc.value["spec"];
    let namespace = doc.id.namespace().unwrap_or_default();
    let mut unit = Unit::new(name_of(namespace, doc.id.name()));
    unit.defined_at = Some((doc.source.file.clone(), doc.line));
    let mut problems = Problems { doc, findings: Vec::new() };
    if namespace.is_empty() {
        problems.add(Code::NamespaceMissing, "the Kustomization has no namespace".to_owned(), &["metadata"]);
    }
    if !matches!(&*doc.gvk.version, "v1" | "v1beta2") {
        let message = format!("a Kustomization of {} is not understood", doc.gvk.api_version());
        problems.add(Code::UnitRefused, message, &["apiVersion"]);
    }
    problems.unknown_fields(spec);
    unit.wait = problems.flag(spec, "wait");
    unit.prune = problems.flag(spec, "prune");
    unit.suspended = problems.flag(spec, "suspend");
    unit.timeout = problems.duration(spec, "timeout");
    unit.depends_on = problems.depends_on(spec, namespace);
    unit.health_checks = problems.health_checks(spec, namespace);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let source_ref = &spec["sourceRef"];
    let source = SourceRef {
        kind: text(&source_ref["kind"]),
        namespace: source_ref["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(namespace).to_owned(),
        name: text(&source_ref["name"]),
    };
    if source.name.is_empty() || source.kind.is_empty() {
        problems.add(Code::UnitRefused, "spec.sourceRef is missing".to_owned(), &["spec", "sourceRef"]);
    }
    let folder = problems.folder(spec);
    FluxUnit { unit, doc: doc.clone(), folder, source, findings: problems.findings }
}

fn name_of(namespace: &str, name: &str) -> UnitName {
    UnitName::new(&format!("{namespace}/{name}"))
}

/// Collects why a unit is refused, each with its place.
struct Problems<'a> {
    doc: &'a Doc,
    findings: Vec<Finding>,
}

impl Problems<'_> {
    fn add(&mut self, code: Code, message: String, path: &[&str]) {
        self.add_at(code, message, &FieldPath::of_keys(path.iter().copied()));
    }

    fn add_at(&mut self, code: Code, message: String, path: &FieldPath) {
        let place = super::place_in(&self.doc.source, &self.doc.id, path);
        self.findings.push(Finding::error(code, message).about(&self.doc.id).at(place));
    }

    fn unknown_fields(&mut self, spec: &Value) {
        let Some(map) = spec.as_object() else {
            self.add(Code::UnitRefused, "the Kustomization has no spec".to_owned(), &["spec"]);
            return;
        };
        for (field, value) in map {
            if UNDERSTOOD.contains(&field.as_str()) || is_empty(value) {
                continue;
            }
            if field == "deletionPolicy" && value != "Orphan" {
                continue;
            }
            let message = format!(
                "spec.{field} is not understood and may change what the unit applies; nothing of it is applied"
            );
            self.add(Code::UnitRefused, message, &["spec", field]);
        }
    }

    fn flag(&mut self, spec: &Value, field: &str) -> bool {
        match &spec[field] {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            _ => {
                self.add(
                    Code::UnitRefused,
                    format!("spec.{field} is neither true nor false"),
                    &["spec", field],
                );
                false
            }
        }
    }

    fn duration(&mut self, spec: &Value, field: &str) -> Option<std::time::Duration> {
        let value = &spec[field];
        if value.is_null() {
            return None;
        }
        let parsed = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        if parsed.is_none() {
            self.add(Code::UnitRefused, format!("spec.{field} is no duration such as 5m"), &["spec", field]);
        }
        parsed
    }

    fn depends_on(&mut self, spec: &Value, namespace: &str) -> Vec<UnitName> {
        let mut names = Vec::new();
        for (index, item) in items(&spec["dependsOn"]).iter().enumerate() {
            let path = FieldPath::of_keys(["spec", "dependsOn"]).index(index);
            let Some(name) = item["name"].as_str() else {
                self.add_at(Code::UnitRefused, "an entry of dependsOn has no name".to_owned(), &path);
                continue;
            };
            if let Some(field) = unknown_key(item, &["name", "namespace"]) {
                self.add_at(
                    Code::UnitRefused,
                    format!("dependsOn: {field} is not understood"),
                    &path.key(field),
                );
            }
            names.push(name_of(item["namespace"].as_str().unwrap_or(namespace), name));
        }
        names
    }

    fn health_checks(&mut self, spec: &Value, namespace: &str) -> Vec<HealthCheck> {
        let mut checks = Vec::new();
        for (index, item) in items(&spec["healthChecks"]).iter().enumerate() {
            let path = FieldPath::of_keys(["spec", "healthChecks"]).index(index);
            let known = ["apiVersion", "kind", "name", "namespace"];
            match (item["kind"].as_str(), item["name"].as_str(), unknown_key(item, &known)) {
                (Some(kind), Some(name), None) => checks.push(HealthCheck {
                    gvk: Gvk::new(item["apiVersion"].as_str().unwrap_or("v1"), kind),
                    namespace: Some(item["namespace"].as_str().unwrap_or(namespace).to_owned())
                        .filter(|namespace| !namespace.is_empty()),
                    name: name.to_owned(),
                }),
                _ => self.add_at(Code::UnitRefused, "this health check is not understood".to_owned(), &path),
            }
        }
        checks
    }

    fn folder(&mut self, spec: &Value) -> Option<RepoPath> {
        let text = spec["path"].as_str().unwrap_or_default();
        match text.trim_start_matches('/').parse::<RepoPath>() {
            Ok(path) => Some(path),
            Err(error) => {
                self.add(Code::PathMissing, format!("spec.path: {error}"), &["spec", "path"]);
                None
            }
        }
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn unknown_key<'a>(value: &'a Value, known: &[&str]) -> Option<&'a str> {
    let map = value.as_object()?;
    map.iter()
        .find(|(key, value)| !known.contains(&key.as_str()) && !is_empty(value))
        .map(|(key, _)| key.as_str())
}

/// GitRepository objects in the repository, by namespace and name, with their URL.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct GitSources(BTreeMap<(String, String), String>);

impl GitSources {
    /// Takes note of a GitRepository.
    pub fn note(&mut self, doc: &Doc) {
        if &*doc.gvk.group == "source.toolkit.fluxcd.io" && &*doc.gvk.kind == "GitRepository" {
            let key = (doc.id.namespace().unwrap_or_default().to_owned(), doc.id.name().to_owned());
            self.0.insert(key, doc.value["spec"]["url"].as_str().unwrap_or_default().to_owned());
        }
    }

    /// Which of the units' sources are this repository itself.
    ///
    /// A GitRepository that the repository does not describe can only be the one that brought the unit here. One that
    /// it describes is this one if its URL says so, if it has bootstrap's name, or if a unit takes from it the very
    /// folder in which the unit is described. Failing that, one that all units name, and that no other competes with,
    /// if their folders are here.
    pub fn of_this_repository(
        &self,
        units: &BTreeMap<UnitName, FluxUnit>,
        source_url: Option<&str>,
        snapshot: &Snapshot,
    ) -> BTreeSet<SourceRef> {
        let named: BTreeSet<&SourceRef> =
            units.values().map(|unit| &unit.source).filter(|source| source.kind == "GitRepository").collect();
        let url_of = |source: &SourceRef| self.0.get(&(source.namespace.clone(), source.name.clone()));
        let applies_itself = |source: &SourceRef| {
            units.values().any(|unit| {
                unit.source == *source
                    && unit
                        .folder
                        .as_ref()
                        .is_some_and(|folder| !folder.is_root() && unit.doc.source.file.is_in(folder))
            })
        };
        let evident: BTreeSet<SourceRef> = named
            .iter()
            .filter(|source| match url_of(source) {
                None => true,
                Some(url) => {
                    source_url.is_some_and(|own| same_repository(own, url))
                        || source.name == BOOTSTRAP_SOURCE
                        || applies_itself(source)
                }
            })
            .map(|source| (*source).clone())
            .collect();
        if !evident.is_empty() || named.len() != 1 {
            return evident;
        }
        let here = |unit: &FluxUnit| unit.folder.as_ref().is_some_and(|folder| snapshot.has_folder(folder));
        let all_here = units.values().filter(|unit| unit.source.kind == "GitRepository").all(here);
        if all_here { named.into_iter().cloned().collect() } else { evident }
    }
}

/// Whether two URLs name one repository, whichever way they reach it.
fn same_repository(a: &str, b: &str) -> bool {
    let parts = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let rest = rest.trim_end_matches('/').trim_end_matches(".git").replace(':', "/");
        rest.split('/').filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect::<Vec<_>>()
    };
    parts(a) == parts(b)
}

/// The finding for a unit that takes its content from elsewhere.
pub(super) fn foreign(unit: &FluxUnit) -> Finding {
    let source = &unit.source;
    let message = format!(
        "the unit takes its content from {} {}/{}, which is not this repository; nothing of it is applied",
        source.kind, source.namespace, source.name
    );
    let place = super::place_in(&unit.doc.source, &unit.doc.id, &FieldPath::of_keys(["spec", "sourceRef"]));
    Finding::error(Code::ForeignSource, message).about(&unit.doc.id).at(place)
}
/// Flux's own controller would apply the same units.
pub(super) fn fighting_controller(manifests: &[Arc<Manifest>], units: &[Unit]) -> Option<Finding> {
    if !units.iter().any(is_of_flux) {
        return None;
    }
    let controller = manifests.iter().find(|manifest| {
        manifest.id.kind() == "Deployment" && manifest.id.name() == "kustomize-controller"
    })?;
    let path = FieldPath::of_keys(["metadata", "name"]);
    let message = "the repository installs Flux's kustomize-controller, which would apply the same units";
    Some(Finding::warning(Code::FightingController, message).about(&controller.id).at(place_in(
        &controller.origin.source,
        &controller.id,
        &path,
    )))
}

/// One note about all units that came from Kustomization objects.
pub(super) fn consumed(units: &[Unit]) -> Option<Finding> {
    let names: Vec<&str> =
        units.iter().filter(|unit| is_of_flux(unit)).map(|unit| unit.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        let message = format!("Kustomization objects taken as units, and not applied: {}", names.join(", "));
        Finding::note(Code::UnitConsumed, message)
    })
}

fn is_of_flux(unit: &Unit) -> bool {
    unit.defined_at.is_some() && !unit.name.as_str().starts_with("stage/")
}
