//! Variables of a Cluster, judged by the schemas of its ClusterClass.

use serde_json::{Map, Value, json};

use super::finding_at;
use crate::finding::{Code, Finding, Severity, nearest};
use crate::model::{FieldPath, Gvk, Manifest, PathSegment};
use crate::schema::Schemas;

/// The field below which a list of variables becomes a mapping that a schema can judge.
const ROOT: &str = "variables";

/// The definitions of a class.
struct Definitions {
    names: Vec<String>,
    required: Vec<String>,
    schemas: Schemas,
    /// An extension of the runtime adds variables that nobody here knows.
    more_may_exist: bool,
}

pub(super) fn judge(manifest: &Manifest, class: &Value, findings: &mut Vec<Finding>) {
    let definitions = Definitions::of(class);
    let topology = FieldPath::of_keys(["spec", "topology"]);
    let value = &manifest.body["spec"]["topology"];
    definitions.judge(manifest, &value["variables"], &topology.key("variables"), findings);
    definitions.missing(manifest, &value["variables"], &topology.key("variables"), findings);
    let overrides = |path: &FieldPath| path.key("variables").key("overrides");
    let control_plane = &value["controlPlane"]["variables"]["overrides"];
    definitions.judge(manifest, control_plane, &overrides(&topology.key("controlPlane")), findings);
    for list in ["machineDeployments", "machinePools"] {
        let path = topology.key("workers").key(list);
        for (index, worker) in value["workers"][list].as_array().into_iter().flatten().enumerate() {
            let values = &worker["variables"]["overrides"];
            definitions.judge(manifest, values, &overrides(&path.index(index)), findings);
        }
    }
}

/// How the schemas are asked: as those of a kind that nobody else has.
fn gvk() -> Gvk {
    Gvk::new("variables.invalid/v1", "Variables")
}

impl Definitions {
    fn of(class: &Value) -> Definitions {
        let written = class["spec"]["variables"].as_array().into_iter().flatten();
        let mut definitions: Vec<(&str, bool, &Value)> =
            written.filter_map(|variable| definition(variable["name"].as_str()?, variable)).collect();
        // A live class knows the variables of extensions, too.
        for variable in class["status"]["variables"].as_array().into_iter().flatten() {
            let first = &variable["definitions"][0];
            if let Some(found) = variable["name"].as_str().and_then(|name| definition(name, first))
                && definitions.iter().all(|(name, ..)| *name != found.0)
            {
                definitions.push(found);
            }
        }
        let properties: Map<String, Value> =
            definitions.iter().map(|(name, _, schema)| ((*name).to_owned(), (*schema).clone())).collect();
        let schema =
            json!({"type": "object", "properties": {ROOT: {"type": "object", "properties": properties}}});
        let crd = json!({"spec": {
            "group": "variables.invalid", "scope": "Cluster", "names": {"kind": "Variables", "plural": "variables"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        }});
        let patches = class["spec"]["patches"].as_array().into_iter().flatten();
        let mut extensions = patches.map(|patch| &patch["external"]).filter(|external| {
            external["discoverVariablesExtension"].is_string() || external["discoverVariables"].is_string()
        });
        Definitions {
            names: definitions.iter().map(|(name, ..)| (*name).to_owned()).collect(),
            required: definitions
                .iter()
                .filter(|(_, is, _)| *is)
                .map(|(name, ..)| (*name).to_owned())
                .collect(),
            schemas: Schemas::builtin().with_crds([&crd]).0,
            more_may_exist: extensions.next().is_some() && class["status"]["variables"].is_null(),
        }
    }

    /// Judges a list of variables with their values.
    fn judge(&self, manifest: &Manifest, list: &Value, path: &FieldPath, findings: &mut Vec<Finding>) {
        for (index, variable) in list.as_array().into_iter().flatten().enumerate() {
            let Some(name) = variable["name"].as_str() else { continue };
            let path = path.index(index);
            if self.names.iter().any(|known| known == name) {
                self.value(manifest, name, &variable["value"], &path.key("value"), findings);
            } else if !self.more_may_exist {
                findings.push(self.unknown(manifest, name, &path));
            }
        }
    }

    fn unknown(&self, manifest: &Manifest, name: &str, path: &FieldPath) -> Finding {
        let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let help = match nearest(name, &known) {
            Some(near) => format!("perhaps {near} is meant"),
            None if known.is_empty() => "the class has no variables".to_owned(),
            None => format!("the class has {}", known.join(", ")),
        };
        let message = format!("the class has no variable {name:?}");
        let path = path.key("name");
        finding_at(Severity::Error, Code::VariableInvalid, message, manifest, &path).help(help)
    }

    /// One value by its schema: defaults are filled in before, as Cluster API does.
    fn value(
        &self,
        manifest: &Manifest,
        name: &str,
        value: &Value,
        path: &FieldPath,
        findings: &mut Vec<Finding>,
    ) {
        let written = json!({"apiVersion": "variables.invalid/v1", "kind": "Variables", ROOT: {name: value}});
        let mut filled = written.clone();
        self.schemas.fill_defaults(&gvk(), &mut filled);
        // Behind `variables` and the name begins the value's own path.
        let own = |violation: &FieldPath| {
            let mut full = path.clone();
            full.0.extend(violation.0.iter().skip(2).cloned());
            full
        };
        let is_own = |violation: &FieldPath| violation.0.get(1) == Some(&PathSegment::Key(name.to_owned()));
        for violation in self.schemas.validate(&gvk(), &filled).iter().filter(|v| is_own(&v.path)) {
            let at = own(&violation.path);
            let said = violation.message.replace(&format!("{ROOT}.{name}"), name);
            let message = format!("the variable {name}: {at}: {said}");
            findings.push(finding_at(Severity::Error, Code::VariableInvalid, message, manifest, &at));
        }
        for unknown in self.schemas.unknown_fields(&gvk(), &written).iter().filter(|path| is_own(path)) {
            let at = own(unknown);
            let message = format!("the variable {name}: {at} is no field of its schema");
            findings.push(finding_at(Severity::Error, Code::VariableInvalid, message, manifest, &at));
        }
    }

    /// What must be given and is not; a default stands in for a variable that has one.
    fn missing(&self, manifest: &Manifest, list: &Value, path: &FieldPath, findings: &mut Vec<Finding>) {
        let mut filled = json!({ROOT: {}});
        self.schemas.fill_defaults(&gvk(), &mut filled);
        for name in &self.required {
            let given =
                list.as_array().into_iter().flatten().any(|variable| variable["name"] == name.as_str());
            if !given && filled[ROOT].get(name).is_none() {
                let message =
                    format!("the class demands the variable {name:?}, and the Cluster does not give it");
                let finding = finding_at(Severity::Error, Code::VariableInvalid, message, manifest, path);
                findings.push(
                    finding.help(format!("add `- {{name: {name}, value: ...}}` to spec.topology.variables")),
                );
            }
        }
    }
}

/// Whether a variable must be given, and its schema.
fn definition<'a>(name: &'a str, of: &'a Value) -> Option<(&'a str, bool, &'a Value)> {
    let schema = &of["schema"]["openAPIV3Schema"];
    schema.is_object().then_some((name, of["required"] == true, schema))
}
