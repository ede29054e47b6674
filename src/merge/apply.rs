//! The two ways to write an object: applying a configuration, and everything else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::check::check;
use super::combine::combine;
use super::compare::{Comparison, compare};
use super::conflict::{ApplyError, Conflict};
use super::fields::fields_of;
use super::kinds::Ty;
use super::last_applied;
use super::managers::{self, BEFORE_FIRST_APPLY, Entry, Identity, Managers};
use super::owners;
use super::path::PathElement;
use super::remove::{remove, with_named_fields};
use super::set::FieldSet;
use super::value;
use crate::model::Gvk;
use crate::schema::{Schemas, TypeRef};

/// A write: who, when, to what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Write<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// The time, as managed fields show it.
    pub now: &'a str,
    /// The subresource that is written to.
    pub subresource: Option<&'a str>,
    /// Fields that this way of writing leaves alone, such as `status` where that is a subresource.
    pub reset: Option<&'a FieldSet>,
    /// Kinds that are served: managers of versions that are not lose what they own. Without it all are.
    pub schemas: Option<&'a Schemas>,
}

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
    let context = Context::new(ty, &old, write);
    refuse(&context, &old, config)?;
    let mut managers = managers::decode(&old);
    managers::strip(&mut old);
    if managers.is_empty() && !made {
        let before = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        managers = context.update(&nothing(config), &old, managers, &before);
    }
    context.drop_unserved(&mut managers);
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

/// Writes an object in another way than by applying: what changed belongs to the writer. `new` is the object as it
/// shall be, with defaults. Managed fields in it replace those of the live object; empty ones do not.
pub fn update(ty: Option<&TypeRef>, live: Option<&Value>, new: &Value, write: &Write<'_>) -> Value {
    let mut old = live.cloned().unwrap_or_else(|| zero(ty, new));
    let mut managers = given_managers(&old, new, write);
    let mut new = new.clone();
    managers::strip(&mut old);
    managers::strip(&mut new);
    // An object that nobody's fields are known of stays so until somebody applies.
    if !managers.is_empty() || live.is_none() {
        let context = Context::new(ty, &new, write);
        context.drop_unserved(&mut managers);
        managers = context.update(&old, &new, managers, write);
        managers::cap_updaters(&mut managers);
    }
    managers::write(&mut new, &managers);
    new
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

/// The managed fields that an update starts from.
fn given_managers(old: &Value, new: &Value, write: &Write<'_>) -> Managers {
    let given = new["metadata"]["managedFields"].as_array();
    let reset = given.is_some_and(|entries| {
        entries.len() == 1 && entries[0].as_object().is_some_and(|e| e.values().all(is_zero))
    });
    if reset && write.subresource.is_none() {
        return Managers::new();
    }
    let given = managers::decode(new);
    if given.is_empty() || write.subresource.is_some() { managers::decode(old) } else { given }
}

fn is_zero(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_object().is_some_and(serde_json::Map::is_empty)
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

/// What an API server compares a new object with: of a built-in kind the struct with its zero values.
fn zero(ty: Option<&TypeRef>, like: &Value) -> Value {
    let mut zero = match ty {
        Some(ty) if ty.is_builtin() => ty.zero(),
        _ => json!({}),
    };
    zero["apiVersion"] = like["apiVersion"].clone();
    zero["kind"] = like["kind"].clone();
    zero
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

/// The fields that nobody owns.
fn unowned() -> FieldSet {
    FieldSet::of_fields([
        vec!["apiVersion"],
        vec!["kind"],
        vec!["metadata"],
        vec!["metadata", "name"],
        vec!["metadata", "namespace"],
        vec!["metadata", "creationTimestamp"],
        vec!["metadata", "selfLink"],
        vec!["metadata", "uid"],
        vec!["metadata", "clusterName"],
        vec!["metadata", "generation"],
        vec!["metadata", "managedFields"],
        vec!["metadata", "resourceVersion"],
    ])
}

/// A write in progress.
struct Context<'a> {
    ty: Ty<'a>,
    api_version: String,
    write: &'a Write<'a>,
    /// Types of other versions than the one written in; `None` for one that is not served.
    others: BTreeMap<String, Option<TypeRef>>,
}

impl<'a> Context<'a> {
    fn new(ty: Option<&'a TypeRef>, object: &Value, write: &'a Write<'a>) -> Context<'a> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let mut others = BTreeMap::new();
        if let Some(schemas) = write.schemas {
            let kind = object["kind"].as_str().unwrap_or_default();
            for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
                let version = entry["apiVersion"].as_str().unwrap_or_default();
                if version != api_version {
                    others.insert(version.to_owned(), schemas.type_of(&Gvk::new(version, kind)));
                }
            }
        }
        Context { ty: Ty::of(ty), api_version, write, others }
    }

    /// The type of a version.
    fn type_in(&self, version: &str) -> Ty<'_> {
        match self.others.get(version) {
            Some(Some(ty)) => Ty::Known(ty.get()),
            _ => self.ty,
        }
    }

    fn drop_unserved(&self, managers: &mut Managers) {
        managers.retain(|_, entry| !matches!(self.others.get(&entry.api_version), Some(None)));
    }

    fn apply(
        &self,
        old: &Value,
        config: &Value,
        mut managers: Managers,
        force: bool,
    ) -> Result<(Value, Managers), ApplyError> {
        let me = Identity::apply(self.write.manager, self.write.subresource);
        let merged = combine(self.ty, Some(old), Some(config)).unwrap_or_else(|| json!({}));
        let mut set = fields_of(self.ty, config).difference(&unowned());
        if let Some(reset) = self.write.reset {
            set = set.without(reset);
        }
        let last = managers.get(&me).cloned();
        let time = last.as_ref().and_then(|last| last.time.clone());
        managers.insert(me.clone(), Entry { api_version: self.api_version.clone(), time, set });
        let new = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &managers, &last),
            _ => merged,
        };
        self.settle_owners(old, &new, &mut managers, &me, force)?;
        Ok((new, managers))
    }

    /// Takes out what the applier no longer configures and nobody else owns.
    fn prune(&self, merged: Value, managers: &Managers, last: &Entry) -> Value {
        let ty = self.type_in(&last.api_version);
        let whole = |value: Option<Value>| value.unwrap_or_else(|| json!({}));
        let named = |set: &FieldSet| with_named_fields(Some(ty), set);
        let last = named(&last.set);
        let merged_set = named(&fields_of(ty, &merged));
        let mut pruned = whole(remove(ty, &merged, &last));
        let owned = managers.values().fold(FieldSet::new(), |all, entry| all.union(entry.set.clone()));
        let kept = named(&fields_of(ty, &pruned)).union(named(&owned));
        pruned = whole(remove(ty, &merged, &merged_set.difference(&kept)));
        let pruned_set = named(&fields_of(ty, &pruned));
        // What is left dangling was never the applier's.
        let gone = merged_set.difference(&pruned_set).intersection(&last);
        whole(remove(ty, &merged, &gone))
    }

    /// Takes changed and removed fields from their owners, all but `me`.
    fn settle_owners(
        &self,
        old: &Value,
        new: &Value,
        managers: &mut Managers,
        me: &Identity,
        force: bool,
    ) -> Result<Comparison, ApplyError> {
        let mut compared: BTreeMap<String, Comparison> = BTreeMap::new();
        let reset = FieldSet::new();
        let reset = self.write.reset.unwrap_or(&reset);
        let mut in_version = |version: &str| -> Comparison {
            compared
                .entry(version.to_owned())
                .or_insert_with(|| compare(self.type_in(version), old, new).without(reset))
                .clone()
        };
        let mine = in_version(&self.api_version);
        let mut conflicts = Vec::new();
        let mut changes = Vec::new();
        let mut others: Vec<(&Identity, &Entry)> = managers.iter().filter(|(id, _)| *id != me).collect();
        others.sort_by_cached_key(|(id, _)| id.sort_key());
        for (identity, entry) in others {
            let comparison = in_version(&entry.api_version);
            let taken = entry.set.intersection(&comparison.modified.union(comparison.added));
            conflicts.extend(taken.paths().into_iter().map(|path| {
                let place = owners::locate(old, &path);
                Conflict::new(identity, path, place)
            }));
            let left = entry.set.difference(&taken).difference(&comparison.removed);
            changes.push((identity.clone(), left));
        }
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
        for (identity, left) in changes {
            if let Some(entry) = managers.get_mut(&identity) {
                entry.set = left;
            }
        }
        managers.retain(|_, entry| !entry.set.is_empty());
        Ok(mine)
    }

    fn update(&self, old: &Value, new: &Value, mut managers: Managers, write: &Write<'_>) -> Managers {
        // The write is nobody's until it is known to have changed something: its time is that of the last change.
        let current = Identity::update("current-operation", &self.api_version, Some("current-operation"));
        // Forced, it meets no conflicts.
        let Ok(compared) = self.settle_owners(old, new, &mut managers, &current, true) else {
            return managers;
        };
        let set = compared.modified.union(compared.added).difference(&unowned());
        if set.is_empty() {
            return managers;
        }
        let me = Identity::update(write.manager, &self.api_version, write.subresource);
        let entry = managers.entry(me).or_insert_with(|| Entry {
            api_version: self.api_version.clone(),
            time: None,
            set: FieldSet::new(),
        });
        entry.set = std::mem::take(&mut entry.set).union(set);
        entry.time = Some(write.now.to_owned());
        managers
    }
}
