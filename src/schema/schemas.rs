//! All kinds that a cluster has.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::crd::{self, CustomKind};
use super::kinds::KindInfo;
use super::table;
use super::types::TypeRef;
use super::validate::{self, Violation};
use super::{builtin, fill, prune};
use crate::model::{FieldPath, GroupKind, Gvk, ObjectId};

/// All kinds that a cluster has: the built-in ones and those of CustomResourceDefinitions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    custom: Arc<HashMap<Gvk, CustomKind>>,
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
        (Schemas { custom: Arc::new(custom) }, refused)
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
        let of_kind = |gvk: &Gvk| gvk.group == kind.group && gvk.kind == kind.kind;
        self.kinds().find(|info| of_kind(&info.gvk)).map(|info| info.namespaced)
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
            Some(ty) => validate::validate(&ty, object, ty.is_builtin()),
            None => Vec::new(),
        }
    }

    /// Takes out of an object the fields that its kind does not know; their paths come back.
    pub fn prune(&self, gvk: &Gvk, object: &mut Value) -> Vec<FieldPath> {
        let mut gone = Vec::new();
        if let Some(ty) = self.type_of(gvk) {
            prune::prune(&ty, object, &FieldPath::default(), &mut gone);
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

    /// Takes `null` and empty lists and dictionaries out of an object of a built-in kind and out of any object's
    /// metadata: the API server does not hold them.
    pub fn drop_empty(&self, gvk: &Gvk, object: &mut Value) {
        if let Some(ty) = self.type_of(gvk) {
            fill::drop_empty(&ty, object);
        }
    }
}
