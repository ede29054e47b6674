//! All kinds that a cluster has.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::at::At;
use super::crd::{self, CustomKind};
use super::kinds::KindInfo;
use super::table;
use super::types::TypeRef;
use super::validate::{self, Violation};
use super::{builtin, decode, fill, prune};
use crate::model::{FieldPath, GroupKind, Gvk, ObjectId};

/// All kinds that a cluster has: the built-in ones and those of CustomResourceDefinitions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    custom: Arc<HashMap<Gvk, CustomKind>>,
    /// Whether objects of custom kinds live in namespaces.
    scopes: Arc<HashMap<GroupKind, bool>>,
}

impl Schemas {
    /// The built-in kinds.
    pub fn builtin() -> Schemas {
        Schemas::default()
    }

    /// These kinds and those of CustomResourceDefinitions; a later definition replaces an earlier one. Beside it:
    /// the definitions that could not be read, and why.
    pub fn with_crds<'a>(
        &self,
        crds: impl IntoIterator<Item = &'a Value>,
    ) -> (Schemas, Vec<(ObjectId, String)>) {
        let mut custom = (*self.custom).clone();
        let mut refused = Vec::new();
        for crd in crds {
            match crd::kinds_of(crd) {
                Ok(kinds) => {
                    if let Some(first) = kinds.first() {
                        let group_kind = first.info.gvk.group_kind();
                        custom.retain(|gvk, _| gvk.group_kind() != group_kind);
                    }
                    custom.extend(kinds.into_iter().map(|kind| (kind.info.gvk.clone(), kind)));
                }
                Err(why) => {
                    let name = crd["metadata"]["name"].as_str().unwrap_or("?");
                    let id = ObjectId::new("apiextensions.k8s.io", "CustomResourceDefinition", None, name);
                    refused.push((id, why));
                }
            }
        }
        let scopes = custom.values().map(|kind| (kind.info.gvk.group_kind(), kind.info.namespaced)).collect();
        (Schemas { custom: Arc::new(custom), scopes: Arc::new(scopes) }, refused)
    }

    /// These kinds without a custom one.
    #[must_use]
    pub fn without(&self, kind: &GroupKind) -> Schemas {
        let mut custom = (*self.custom).clone();
        custom.retain(|gvk, _| gvk.group_kind() != *kind);
        let mut scopes = (*self.scopes).clone();
        scopes.remove(kind);
        Schemas { custom: Arc::new(custom), scopes: Arc::new(scopes) }
    }

    /// What discovery says about a kind in a version.
    pub fn kind(&self, gvk: &Gvk) -> Option<&KindInfo> {
        match self.custom.get(gvk) {
            Some(custom) => Some(&custom.info),
            None => table::kinds().get(gvk).map(|builtin| &*builtin.info),
        }
    }

    /// All kinds, in no order.
    pub fn kinds(&self) -> impl Iterator<Item = &KindInfo> {
        let builtin = table::kinds().values().map(|builtin| &*builtin.info);
        builtin.chain(self.custom.values().map(|custom| &*custom.info))
    }

    /// Whether objects of a kind live in namespaces; `None` for an unknown kind.
    pub fn namespaced(&self, kind: &GroupKind) -> Option<bool> {
        let custom = self.scopes.get(kind).copied();
        custom.or_else(|| table::scopes().get(kind).copied())
    }

    /// The type of a kind in a version; `None` for an unknown kind.
    pub fn type_of(&self, gvk: &Gvk) -> Option<TypeRef> {
        match self.custom.get(gvk) {
            Some(custom) => Some(custom.ty.clone()),
            None => table::kinds().get(gvk)?.ty.clone(),
        }
    }

    /// What is wrong with an object, beside fields that its kind does not know; of an unknown kind nothing.
    pub fn validate(&self, gvk: &Gvk, object: &Value) -> Vec<Violation> {
        match self.type_of(gvk) {
            Some(ty) if ty.is_builtin() => validate::validate(&ty, object, true),
            Some(ty) => {
                let mut wrong = ty.violations(object);
                wrong.extend(ty.repeated_items(object));
                wrong
            }
            None => Vec::new(),
        }
    }

    /// Why the API server cannot decode an object of a built-in kind, whose struct it must fit into.
    pub fn undecodable(&self, gvk: &Gvk, object: &Value) -> Option<String> {
        let ty = self.type_of(gvk)?;
        if ty.is_builtin() {
            return decode::error(&ty, object);
        }
        // Of a custom kind only the metadata has a struct.
        let metadata = ty.get().map.as_ref()?.fields.get("metadata")?;
        decode::error(&metadata.ty, &object["metadata"])
    }

    /// Takes out of an object the fields that its kind does not know; their paths come back.
    pub fn prune(&self, gvk: &Gvk, object: &mut Value) -> Vec<FieldPath> {
        let mut gone = Vec::new();
        match self.type_of(gvk) {
            Some(ty) if ty.is_builtin() => prune::prune(&ty, object, &At::WHOLE, &mut gone),
            Some(ty) => gone = ty.prune(object),
            None => {}
        }
        gone
    }

    /// The fields of an object that its kind does not know.
    pub fn unknown_fields(&self, gvk: &Gvk, object: &Value) -> Vec<FieldPath> {
        self.prune(gvk, &mut object.clone())
    }

    /// Fills in the defaults that the schema of a custom kind gives, or those of a built-in kind.
    pub fn fill_defaults(&self, gvk: &Gvk, object: &mut Value) {
        if let Some(custom) = self.custom.get(gvk) {
            fill::fill(&custom.ty, object);
        } else if let Some(ty) = self.type_of(gvk) {
            builtin::fill(gvk, &ty, object);
        }
    }

    /// Takes `null` out of a custom resource where it is no value of the field.
    pub fn drop_nulls(&self, gvk: &Gvk, object: &mut Value) {
        if let Some(custom) = self.custom.get(gvk) {
            fill::drop_nulls(&custom.ty, object);
        }
    }

    /// Brings an object into the form in which the API server holds it: quantities of built-in kinds as it prints
    /// them, and what [`Schemas::drop_empty`] does.
    pub fn canonical(&self, gvk: &Gvk, object: &mut Value) {
        if let Some(ty) = self.type_of(gvk) {
            fill::drop_empty(&ty, object, false);
            fill::canonical_quantities(&ty, object);
        }
    }

    /// Takes `null` and empty lists and dictionaries out of an object of a built-in kind and out of any object's
    /// metadata: the API server does not hold them.
    pub fn drop_empty(&self, gvk: &Gvk, object: &mut Value) {
        if let Some(ty) = self.type_of(gvk) {
            fill::drop_empty(&ty, object, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crd(schema: Value) -> Value {
        json!({"metadata": {"name": "things.test"}, "spec": {
            "group": "test", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["th"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                 "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}}},
                {"name": "v0", "served": false, "storage": false}]}})
    }

    fn with(schema: Value) -> (Schemas, Gvk) {
        let (schemas, refused) = Schemas::builtin().with_crds([&crd(schema)]);
        assert!(refused.is_empty(), "{refused:?}");
        (schemas, Gvk::new("test/v1", "Thing"))
    }

    fn thing(spec: Value) -> Value {
        json!({"apiVersion": "test/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn every_built_in_kind_has_a_type() {
        let schemas = Schemas::builtin();
        for info in schemas.kinds() {
            let ty = schemas.type_of(&info.gvk).unwrap_or_else(|| panic!("{}", info.gvk));
            let map = ty.get().map.as_ref().unwrap();
            assert!(map.fields.contains_key("apiVersion") && map.fields.contains_key("kind"), "{}", info.gvk);
        }
        let service = schemas.kind(&Gvk::new("v1", "Service")).unwrap();
        assert_eq!((&*service.plural, &service.short_names[..]), ("services", &["svc".to_owned()][..]));
        assert!(service.namespaced && service.has_status);
    }

    #[test]
    fn a_custom_kind_is_served_in_its_served_versions() {
        let (schemas, gvk) = with(json!({"type": "object"}));
        let info = schemas.kind(&gvk).unwrap();
        assert!(info.has_status && info.namespaced && !info.builtin);
        assert_eq!((&*info.singular, &*info.list_kind), ("thing", "ThingList"));
        assert!(schemas.kind(&Gvk::new("test/v0", "Thing")).is_none());
        assert_eq!(schemas.namespaced(&gvk.group_kind()), Some(true));
        let namespace = Gvk::new("v1", "Namespace").group_kind();
        assert_eq!(schemas.namespaced(&namespace), Some(false));
    }

    #[test]
    fn a_definition_without_names_is_refused_and_the_others_are_taken() {
        let broken = json!({"metadata": {"name": "x"}, "spec": {"group": "test", "names": {"plural": "x"}}});
        let (schemas, refused) = Schemas::builtin().with_crds([&broken, &crd(json!({"type": "object"}))]);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].1, "spec.names.kind is missing, empty or not text");
        assert!(schemas.kind(&Gvk::new("test/v1", "Thing")).is_some());
    }

    #[test]
    fn defaults_fill_what_is_absent_also_in_what_they_filled() {
        let (schemas, gvk) = with(json!({"type": "object", "properties": {
            "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 1}}},
            "c": {"type": "string", "nullable": true, "default": "x"},
            "d": {"type": "array", "items": {"type": "object", "properties": {"e": {"type": "string", "default": "f"}}}}}}));
        let mut object = thing(json!({"c": null, "d": [{}, {"e": "g"}]}));
        schemas.fill_defaults(&gvk, &mut object);
        assert_eq!(object["spec"], json!({"a": {"b": 1}, "c": null, "d": [{"e": "f"}, {"e": "g"}]}));
    }

    #[test]
    fn pruning_leaves_what_is_declared_or_kept() {
        let (schemas, gvk) = with(json!({"type": "object", "properties": {
            "empty": {"type": "object"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                     "properties": {"shut": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "texts": {"type": "object", "additionalProperties": {"type": "string"}}}}));
        let mut object = thing(json!({
            "empty": {"x": 1}, "open": {"x": 1, "shut": {"a": "b", "x": 1}}, "texts": {"x": "y"}, "no": 1}));
        let gone = schemas.prune(&gvk, &mut object);
        assert_eq!(
            object["spec"],
            json!({"empty": {}, "open": {"x": 1, "shut": {"a": "b"}}, "texts": {"x": "y"}})
        );
        let gone: Vec<String> = gone.iter().map(FieldPath::to_string).collect();
        assert_eq!(gone, ["spec.empty.x", "spec.no", "spec.open.shut.x"]);
    }

    #[test]
    fn violations_are_in_the_words_of_the_api_server() {
        let (schemas, gvk) = with(json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"},
            "size": {"type": "integer", "minimum": 1, "maximum": 3, "exclusiveMaximum": true},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "text": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^x"},
            "either": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true},
            "list": {"type": "array", "minItems": 1, "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}));
        let wrong = |spec: Value| -> Vec<String> {
            let found = schemas.validate(&gvk, &thing(spec)).into_iter();
            found.map(|v| format!("{}: {}", v.path, v.message)).collect()
        };
        assert_eq!(wrong(json!({"name": "a", "either": "1", "size": 1})), [""; 0]);
        assert_eq!(wrong(json!({})), ["spec.name: Required value"]);
        assert_eq!(
            wrong(json!({"name": "a", "size": 3, "mode": "c", "text": "y", "list": ["a", "a"]})),
            [
                r#"spec.mode: Unsupported value: "c": supported values: "a", "b""#,
                "spec.size: Invalid value: 3: spec.size in body should be less than 3",
                r#"spec.text: Invalid value: "y": spec.text in body should be at least 2 chars long"#,
                r#"spec.list[1]: Duplicate value: "a""#,
            ]
        );
    }

    #[test]
    fn of_a_built_in_kind_null_is_nothing() {
        let schemas = Schemas::builtin();
        let gvk = Gvk::new("v1", "ConfigMap");
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": null}, "binaryData": {},
            "metadata": {"name": "a", "labels": null, "annotations": {}}});
        assert!(schemas.validate(&gvk, &object).is_empty());
        schemas.drop_empty(&gvk, &mut object);
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": ""}, "metadata": {"name": "a"}})
        );
    }
}
