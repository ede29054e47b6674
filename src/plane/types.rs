//! The seam to `schema` and `merge`: what the types of kinds mean for a request.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::call::Notes;
use super::crd::object;
use super::kinds::{Resource, Scale, collection};
use super::request::WriteOptions;
use super::rules;
use super::status::{Failure, FieldError};
use crate::expr::rules::Rules;
use crate::merge::{self, ApplyError, Write};
use crate::model::{GroupKind, Gvk};
use crate::schema::{KindInfo, Schemas};

/// Types of all kinds that are served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Types {
    schemas: Schemas,
    /// Validation rules of custom kinds that have some.
    rules: Arc<HashMap<Gvk, Arc<Rules>>>,
}

impl Types {
    pub fn builtin() -> Types {
        Types { schemas: Schemas::builtin(), rules: Arc::default() }
    }

    /// These types and those of a definition, in place of what it said before.
    pub fn with(&self, definition: &Value) -> Types {
        let schemas = self.schemas.with_crds([definition]).0;
        let group_kind = group_kind(definition);
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        let with_rules = versions.filter_map(|version| {
            let gvk = Gvk {
                group: group_kind.group.clone(),
                version: version["name"].as_str()?.into(),
                kind: group_kind.kind.clone(),
            };
            let rules = Rules::of(&schemas.type_of(&gvk)?, &version["schema"]["openAPIV3Schema"])?;
            Some((gvk, Arc::new(rules)))
        });
        let with_rules: Vec<(Gvk, Arc<Rules>)> = with_rules.collect();
        let had_rules = self.rules.keys().any(|gvk| gvk.group_kind() == group_kind);
        let mut rules = self.rules.clone();
        if had_rules || !with_rules.is_empty() {
            let rules = Arc::make_mut(&mut rules);
            rules.retain(|gvk, _| gvk.group_kind() != group_kind);
            rules.extend(with_rules);
        }
        Types { schemas, rules }
    }

    /// These types without those of a custom kind.
    pub fn without(&self, kind: &GroupKind) -> Types {
        let mut rules = self.rules.clone();
        if rules.keys().any(|gvk| gvk.group_kind() == *kind) {
            Arc::make_mut(&mut rules).retain(|gvk, _| gvk.group_kind() != *kind);
        }
        Types { schemas: self.schemas.without(kind), rules }
    }

    /// The built-in resources.
    pub fn resources(&self) -> Vec<Resource> {
        self.schemas.kinds().filter(|kind| kind.builtin).map(builtin).collect()
    }

    /// Fields that the kind does not know.
    pub fn unknown_fields(&self, resource: &Resource, body: &Value) -> Vec<String> {
        let fields = self.schemas.unknown_fields(&resource.gvk, body);
        fields.into_iter().map(|path| path.to_string()).collect()
    }

    /// Why an object does not fit into its kind's struct.
    pub fn undecodable(&self, resource: &Resource, body: &Value) -> Option<String> {
        self.schemas.undecodable(&resource.gvk, body)
    }

    /// An object as the server decodes it: without what the kind does not know, with its defaults, and written as
    /// the server writes it. `null` goes only from what a client sent (`sent`), not from what was merged here.
    pub fn normalise(&self, resource: &Resource, body: &mut Value, sent: bool) {
        self.schemas.prune(&resource.gvk, body);
        self.schemas.fill_defaults(&resource.gvk, body);
        if sent {
            self.schemas.drop_nulls(&resource.gvk, body);
        }
        self.schemas.canonical(&resource.gvk, body);
    }

    /// An object as it is read in the version that it is stored in: what that version does not know is gone, and its
    /// defaults are there.
    pub fn as_stored(&self, stored: &Gvk, body: &mut Value) {
        self.schemas.prune(stored, body);
        self.schemas.fill_defaults(stored, body);
    }

    /// The status of a new object: of a built-in kind the struct with its zero values.
    pub fn zero_status(&self, resource: &Resource) -> Value {
        match self.schemas.type_of(&resource.gvk) {
            Some(ty) if !resource.custom => ty.zero()["status"].clone(),
            _ => Value::Null,
        }
    }

    /// What is wrong with an object of a built-in kind by its schema.
    pub fn validate(&self, resource: &Resource, body: &Value) -> Vec<FieldError> {
        let violations = self.schemas.validate(&resource.gvk, body).into_iter();
        violations
            .map(|v| FieldError { field: v.path.to_string(), message: v.message, reason: v.reason })
            .collect()
    }

    /// What is wrong with a custom resource beside what was `found`. `status`: only that part is written.
    pub fn validate_custom(
        &self,
        resource: &Resource,
        body: &Value,
        before: Option<&Value>,
        status: bool,
        notes: &Notes,
        found: &[FieldError],
    ) -> Vec<FieldError> {
        let Some(ty) = self.schemas.type_of(&resource.gvk) else { return Vec::new() };
        let mut errors = object::validate(&ty, resource, body, before, status);
        if let Some(rules) = self.rules.get(&resource.gvk) {
            match object::rules_not_checked(found.iter().chain(&errors)) {
                Some(error) => errors.push(error),
                None => {
                    let verdict = rules.validate(body, before);
                    for error in verdict.warnings.into_iter().map(object::broken_rule) {
                        notes.warn(format!("{}: {}", error.field, error.message));
                    }
                    errors.extend(verdict.broken.into_iter().map(object::broken_rule));
                }
            }
        }
        errors
    }

    /// Server-side apply.
    pub fn apply(
        &self,
        resource: &Resource,
        live: Option<&Value>,
        config: &Value,
        options: &WriteOptions,
        subresource: Option<&str>,
        now: &str,
    ) -> Result<Value, Failure> {
        let ty = self.schemas.type_of(&resource.gvk);
        let write = Write {
            manager: &options.manager,
            now,
            subresource,
            schemas: Some(&self.schemas),
            reset: Some(&rules::reset_fields(resource, subresource)),
        };
        merge::apply_as(ty.as_ref(), live, config, options.force, &write).map_err(|error| refused(&error))
    }

    /// Server-side apply of the `scale` subresource, which is an object of its own.
    pub fn apply_scale(
        &self,
        live: &Value,
        config: &Value,
        options: &WriteOptions,
        now: &str,
    ) -> Result<Value, Failure> {
        let write = Write { manager: &options.manager, now, subresource: Some("scale"), ..Write::default() };
        merge::apply_as(None, Some(live), config, options.force, &write).map_err(|error| refused(&error))
    }

    /// Any other write of the `scale` subresource.
    pub fn update_scale(&self, live: &Value, new: &Value, manager: &str, now: &str) -> Value {
        let write = Write { manager, now, subresource: Some("scale"), ..Write::default() };
        merge::update(None, Some(live), new, &write)
    }

    /// An object with a part merged into it as an apply merges, without owners. What would replace a value as a whole
    /// is refused.
    pub fn overlay(&self, resource: &Resource, object: &Value, part: &Value) -> Result<Value, String> {
        merge::configure(&self.schemas, &resource.gvk, object, part)
    }

    /// A strategic merge patch.
    pub fn strategic(&self, resource: &Resource, before: &Value, patch: &[u8]) -> Result<Value, Failure> {
        let patch: Value = serde_json::from_slice(patch)
            .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
        super::strategic::patch(self.schemas.type_of(&resource.gvk).as_ref(), before, &patch)
    }

    /// Any other write: the object with its managed fields brought up to date.
    pub fn update(
        &self,
        resource: &Resource,
        live: Option<&Value>,
        new: &Value,
        manager: &str,
        subresource: Option<&str>,
        now: &str,
    ) -> Value {
        let ty = self.schemas.type_of(&resource.gvk);
        let reset = rules::reset_fields(resource, subresource);
        let write = Write { manager, now, subresource, schemas: Some(&self.schemas), reset: Some(&reset) };
        merge::update(ty.as_ref(), live, new, &write)
    }
}

/// The kind that a definition is about.
pub(crate) fn group_kind(definition: &Value) -> GroupKind {
    let text = |value: &Value| value.as_str().unwrap_or_default().into();
    let spec = &definition["spec"];
    GroupKind { group: text(&spec["group"]), kind: text(&spec["names"]["kind"]) }
}

/// Why an apply is refused.
fn refused(error: &ApplyError) -> Failure {
    match error {
        ApplyError::Conflicts(conflicts) => Failure::new(409, "Conflict", error.to_string())
            .with_causes(conflicts.iter().map(merge::Conflict::cause).collect()),
        ApplyError::NotTyped(message) => Failure::internal(message.clone()),
        ApplyError::ManagedFields | ApplyError::WrongVersion { .. } => {
            Failure::bad_request(error.to_string())
        }
    }
}

/// A built-in resource.
fn builtin(kind: &KindInfo) -> Resource {
    let virtual_kind =
        !kind.verbs.iter().any(|verb| verb == "create") || !kind.verbs.iter().any(|verb| verb == "get");
    let stored = match &*kind.gvk.group {
        "events.k8s.io" => Gvk::new("v1", &kind.gvk.kind),
        _ => kind.gvk.clone(),
    };
    Resource {
        gvk: kind.gvk.clone(),
        plural: kind.plural.clone(),
        singular: kind.singular.clone(),
        list_kind: kind.list_kind.clone(),
        short_names: kind.short_names.clone(),
        categories: kind.categories.clone(),
        namespaced: kind.namespaced,
        status: kind.has_status,
        scale: kind.subresources.iter().any(|s| s == "scale").then(workload_scale),
        custom: false,
        collection: collection(&kind.plural, &stored.group),
        qualified: collection(&kind.plural, &kind.gvk.group),
        stored,
        selectable: Vec::new(),
        columns: Vec::new(),
        virtual_kind,
        deprecation: deprecation(&kind.gvk),
    }
}

/// What the server says of a kind that people should leave.
fn deprecation(gvk: &Gvk) -> Option<String> {
    let text = match (&*gvk.group, &*gvk.kind) {
        ("", "ComponentStatus") => "v1 ComponentStatus is deprecated in v1.19+",
        ("", "Endpoints") => "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        _ => return None,
    };
    Some(text.to_owned())
}

fn workload_scale() -> Scale {
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    Scale {
        spec_replicas: path("spec.replicas"),
        status_replicas: path("status.replicas"),
        selector: Some(path("spec.selector")),
    }
}

/// The order of groups in discovery, from the most to the least preferred; groups of definitions follow.
pub(crate) const GROUP_ORDER: [&str; 20] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
];

/// Resources in the order of discovery.
pub(crate) fn ordered(mut resources: Vec<Resource>) -> Vec<Resource> {
    let rank =
        |group: &Arc<str>| GROUP_ORDER.iter().position(|g| *g == &**group).unwrap_or(GROUP_ORDER.len());
    resources.sort_by(|a, b| {
        (rank(&a.gvk.group), &a.gvk.group, &a.plural).cmp(&(rank(&b.gvk.group), &b.gvk.group, &b.plural))
    });
    resources
}
