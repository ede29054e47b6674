//! Applying a configuration.

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
    let mut old = live.cloned().unwrap_or_else(|| nothing(config));
    let mut managers = managers::decode(&old);
    let context = Context::new(ty, &old, &managers, write);
    refuse(&context, &old, config)?;
    managers::strip(&mut old);
    if managers.is_empty() && !made {
        let before = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        managers = context.update(&zero(ty, config), &old, managers, &before);
    }
    context.refresh(&mut managers);
    let config = match write.reset {
        Some(reset) => without(config, reset),
        None => config.clone(),
    };
    let (mut new, mut managers) = match context.apply(&old, &config, managers.clone(), force) {
        Err(ApplyError::Conflicts(conflicts)) if write.manager == last_applied::KUBECTL => {
            let allowed = last_applied::fields(context.ty, &old);
            let refused: Vec<Conflict> =
                conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.field)).collect();
            if !refused.is_empty() {
                return Err(ApplyError::Conflicts(refused));
            }
            context.apply(&old, &config, managers, true)?
        }
        outcome => outcome?,
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
    managers::cap_updaters(&mut managers);
    managers::write(&mut new, &managers);
    Ok(new)
}

/// `new`, with the times of `old` where nothing but times of managed fields changed: then nothing was written.
pub fn settle(old: &Value, new: Value) -> Value {
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
const IDENTITY: [&str; 10] = [
    "name",
    "namespace",
    "generateName",
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
