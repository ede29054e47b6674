//! Applying a configuration.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::check::check;
use super::conflict::{ApplyError, Conflict};
use super::last_applied;
use super::managers::{self, BEFORE_FIRST_APPLY, Identity};
use super::path::PathElement;
use super::set::FieldSet;
use super::update::zero;
use super::value;
use super::write::{Context, Write};
use crate::model::Gvk;
use crate::schema::TypeRef;

/// Applies a configuration: what `manager` configured before and leaves out now goes, unless somebody else owns it.
/// Without a live object it makes one. The answer has neither defaults nor what an API server fills in.
///
/// # Errors
/// [`ApplyError`], above all where somebody else owns a field that would change and `force` is not given.
pub fn apply(
    ty: Option<&TypeRef>,
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    force: bool,
    now: &str,
) -> Result<Value, ApplyError> {
    apply_as(ty, live, config, force, &Write { manager, now, ..Write::default() })
}

/// [`apply`], with all that a request can say.
///
/// # Errors
/// As [`apply`].
pub fn apply_as(
    ty: Option<&TypeRef>,
    live: Option<&Value>,
    config: &Value,
    force: bool,
    write: &Write<'_>,
) -> Result<Value, ApplyError> {
    let made = live.is_none();
    let old = live.map_or_else(|| nothing(config), managers::stripped);
    let mut managers = live.map(managers::decode).unwrap_or_default();
    let context = Context::new(ty, &old, &managers, write);
    refuse(&context, &old, config)?;
    if managers.is_empty() && !made {
        let before = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        managers = context.update(&zero(ty, config), &old, managers, &before);
    }
    context.refresh(&mut managers);
    let config = match write.reset {
        Some(reset) => Cow::Owned(without(config, reset)),
        None => Cow::Borrowed(config),
    };
    let again = (write.manager == last_applied::KUBECTL).then(|| managers.clone());
    let (mut new, mut managers) = match (context.apply(&old, &config, managers, force), again) {
        (Err(ApplyError::Conflicts(conflicts)), Some(managers)) => {
            let allowed = last_applied::fields(context.ty, &old);
            let refused: Vec<Conflict> =
                conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.field)).collect();
            if !refused.is_empty() {
                return Err(ApplyError::Conflicts(refused));
            }
            context.apply(&old, &config, managers, true)?
        }
        (outcome, _) => outcome?,
    };
    keep_identity(&old, &mut new);
    let changed = made || !value::equal(&old, &new);
    let me = Identity::apply(write.manager, write.subresource);
    if changed && let Some(entry) = managers.get_mut(&me) {
        entry.time = Some(write.now.to_owned());
    }
    let mut new = if changed { new } else { old };
    if write.manager == last_applied::KUBECTL {
        last_applied::renew(&mut new, &config);
    }
    managers::write(&mut new, &managers);
    Ok(new)
}

/// `new`, with the times of `old` where nothing but times of managed fields changed: then nothing was written.
pub fn settle(old: &Value, new: Value) -> Value {
    if *old == new {
        return new;
    }
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
        object
    };
    if timeless(old) == timeless(&new) { old.clone() } else { new }
}

/// What no applier takes away, even with all else in the metadata.
const IDENTITY: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

fn keep_identity(old: &Value, new: &mut Value) {
    for field in IDENTITY {
        if let Some(value) = old["metadata"].get(field)
            && new["metadata"].get(field).is_none()
        {
            new["metadata"][field] = value.clone();
        }
    }
}

/// An object of the kind that says nothing.
fn nothing(like: &Value) -> Value {
    json!({"apiVersion": like["apiVersion"], "kind": like["kind"]})
}

/// An object without some fields.
fn without(object: &Value, fields: &FieldSet) -> Value {
    let mut out = object.clone();
    take(&mut out, fields);
    out
}

fn take(value: &mut Value, fields: &FieldSet) {
    let Some(map) = value.as_object_mut() else { return };
    for (element, member, below) in fields.elements() {
        if let PathElement::Field(name) = element {
            if member {
                map.remove(name);
            } else if let Some(value) = map.get_mut(name) {
                take(value, below);
            }
        }
    }
}

fn refuse(context: &Context<'_>, live: &Value, config: &Value) -> Result<(), ApplyError> {
    if config["metadata"].get("managedFields").is_some_and(|m| !m.is_null()) {
        return Err(ApplyError::ManagedFields);
    }
    if live["apiVersion"] != config["apiVersion"] {
        let text = |v: &Value| v["apiVersion"].as_str().unwrap_or_default().to_owned();
        return Err(ApplyError::WrongVersion { patch: text(config), expected: text(live) });
    }
    let wrong = check(context.ty, config, false);
    if wrong.is_empty() {
        return Ok(());
    }
    let wrong = match &wrong[..] {
        [only] => only.clone(),
        all => format!("errors:\n  {}", all.join("\n  ")),
    };
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&config["metadata"]["namespace"]), text(&config["metadata"]["name"]));
    let gvk = Gvk::new(&text(&config["apiVersion"]), &text(&config["kind"]));
    Err(ApplyError::NotTyped(format!(
        "failed to create typed patch object ({namespace}/{name}; {}/{}, Kind={}): {wrong}",
        gvk.group, gvk.version, gvk.kind
    )))
}

#[cfg(test)]
mod tests {
    use super::super::{owned, update};
    use super::*;
    use crate::schema::Schemas;

    fn map(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}, "data": data})
    }

    fn config_map() -> Option<TypeRef> {
        Schemas::builtin().type_of(&Gvk::new("v1", "ConfigMap"))
    }

    #[test]
    fn conflicts_are_told_as_the_api_server_tells_them() {
        let ty = config_map();
        let live = apply(ty.as_ref(), None, &map(json!({"x": "1", "y": "1"})), "m1", false, "1").unwrap();
        let one = apply(ty.as_ref(), Some(&live), &map(json!({"x": "2"})), "m2", false, "2").unwrap_err();
        assert_eq!(one.to_string(), r#"Apply failed with 1 conflict: conflict with "m1": .data.x"#);
        let ApplyError::Conflicts(conflicts) = &one else { panic!("{one}") };
        assert_eq!(conflicts[0].path.to_string(), "data.x");
        let two = apply(ty.as_ref(), Some(&live), &map(json!({"x": "2", "y": "2"})), "m2", false, "2");
        let two = two.unwrap_err();
        assert_eq!(
            two.to_string(),
            "Apply failed with 2 conflicts: conflicts with \"m1\":\n- .data.x\n- .data.y"
        );
    }

    #[test]
    fn what_was_there_before_the_first_apply_is_owned_by_nobody_who_applies() {
        let ty = config_map();
        let old = map(json!({"x": "1", "y": "1"}));
        let live = apply(ty.as_ref(), Some(&old), &map(json!({"x": "1"})), "me", false, "1").unwrap();
        assert_eq!(live["data"], json!({"x": "1", "y": "1"}));
        let before = owned(&live, BEFORE_FIRST_APPLY).to_fields_v1();
        assert_eq!(before, json!({"f:data": {".": {}, "f:x": {}, "f:y": {}}}));
        let refused = apply(ty.as_ref(), Some(&old), &map(json!({"x": "2"})), "me", false, "1").unwrap_err();
        let told = r#"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.x"#;
        assert_eq!(refused.to_string(), told);
    }

    #[test]
    fn of_an_unknown_kind_mappings_merge_and_lists_are_one_value() {
        let object =
            |spec: Value| json!({"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a"}, "spec": spec});
        let first = object(json!({"a": {"b": 1}, "list": [{"name": "a"}]}));
        let live = apply(None, None, &first, "m1", false, "1").unwrap();
        let second = object(json!({"a": {"c": 2}, "list": [{"name": "b"}]}));
        let refused = apply(None, Some(&live), &second, "m2", false, "2").unwrap_err();
        assert_eq!(refused.to_string(), r#"Apply failed with 1 conflict: conflict with "m1": .spec.list"#);
        let live = apply(None, Some(&live), &second, "m2", true, "2").unwrap();
        assert_eq!(live["spec"], json!({"a": {"b": 1, "c": 2}, "list": [{"name": "b"}]}));
    }

    #[test]
    fn who_wrote_in_a_version_that_is_gone_owns_nothing() {
        let schemas = Schemas::builtin();
        let ty = config_map();
        let mut live = apply(ty.as_ref(), None, &map(json!({"x": "1"})), "old", false, "1").unwrap();
        live["metadata"]["managedFields"][0]["apiVersion"] = json!("v0");
        let write = Write { manager: "me", now: "2", schemas: Some(&schemas), ..Write::default() };
        let live = apply_as(ty.as_ref(), Some(&live), &map(json!({"x": "2"})), false, &write).unwrap();
        assert!(owned(&live, "old").is_empty());
        assert_eq!(live["data"]["x"], "2");
    }

    #[test]
    fn only_so_many_updates_are_told_apart() {
        let ty = config_map();
        let mut data = serde_json::Map::new();
        let mut live: Option<Value> = None;
        for i in 10..25 {
            data.insert(format!("k{i}"), json!("v"));
            let (manager, now) = (format!("m{i}"), format!("2026-01-01T00:00:{i}Z"));
            let write = Write { manager: &manager, now: &now, ..Write::default() };
            live = Some(update(ty.as_ref(), live.as_ref(), &map(json!(data)), &write));
        }
        let live = live.unwrap();
        let entries = live["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 10);
        assert_eq!(entries[0]["manager"], "ancient-changes");
        assert_eq!(entries[0]["time"], "2026-01-01T00:00:15Z");
        assert_eq!(owned(&live, "ancient-changes").len(), 7);
    }

    #[test]
    fn a_configuration_of_another_type_or_version_is_refused() {
        let ty = config_map();
        let refused = |config: Value| {
            let live = map(json!({}));
            apply(ty.as_ref(), Some(&live), &config, "me", true, "1").unwrap_err().to_string()
        };
        let mut owned = map(json!({}));
        owned["metadata"]["managedFields"] = json!([]);
        assert_eq!(refused(owned), "metadata.managedFields must be nil");
        let mut other = map(json!({}));
        other["apiVersion"] = json!("v2");
        assert!(refused(other).starts_with("Incorrect version specified in apply patch."));
        let mut wrong = map(json!([]));
        wrong["datum"] = json!(1);
        let told = "failed to create typed patch object (n/a; /v1, Kind=ConfigMap): errors:\n  .data: expected map, got &{[]}\n  .datum: field not declared in schema";
        assert_eq!(refused(wrong), told);
    }
}
