//! Reading a CustomResourceDefinition.

use std::sync::Arc;

use serde_json::Value;

use super::kinds::KindInfo;
use super::openapi::{self, Names};
use super::types::{MapType, Others, Rules, Type, TypeRef};

/// A version of a custom kind.
#[derive(Debug, Clone)]
pub(super) struct CustomKind {
    pub info: Arc<KindInfo>,
    pub ty: TypeRef,
}

/// The served versions of a CustomResourceDefinition.
pub(super) fn kinds_of(crd: &Value) -> Result<Vec<CustomKind>, String> {
    let spec = &crd["spec"];
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.names.kind", &spec["names"]["kind"]),
        ("spec.names.plural", &spec["names"]["plural"]),
    ] {
        if value.as_str().is_none_or(str::is_empty) {
            return Err(format!("{field} is missing, empty or not text"));
        }
    }
    let versions = spec["versions"].as_array().ok_or("spec.versions is missing or no list")?;
    let served = versions.iter().filter(|version| version["served"] != false);
    served.map(|version| kind_of(spec, version)).collect()
}

fn kind_of(spec: &Value, version: &Value) -> Result<CustomKind, String> {
    if version["name"].as_str().is_none_or(str::is_empty) {
        return Err("spec.versions: a version has no name".to_owned());
    }
    let info = Arc::new(KindInfo::of_crd(spec, version));
    let mut ty = match version["schema"].get("openAPIV3Schema") {
        Some(schema) if schema.is_object() => openapi::type_of(schema, Names::CustomRoot),
        _ => anything(),
    };
    if spec["preserveUnknownFields"] == true {
        ty.rules.preserve_unknown = true;
        if let Some(map) = &mut ty.map {
            map.others = Others::Any;
        }
    }
    Ok(CustomKind { info, ty: TypeRef::new(ty) })
}

/// A kind without a schema: whatever one likes.
fn anything() -> Type {
    Type {
        map: Some(MapType { others: Others::Any, ..MapType::default() }),
        rules: Rules { json_type: Some("object".into()), preserve_unknown: true, ..Rules::default() },
        ..Type::default()
    }
}
