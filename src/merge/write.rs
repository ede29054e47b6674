//! What all ways of writing share: who loses which fields to whom.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::combine::combine;
use super::compare::{Comparison, compare};
use super::conflict::{ApplyError, Conflict};
use super::fields::fields_of;
use super::kinds::Ty;
use super::managers::{Entry, Identity, Managers};
use super::owners;
use super::reconcile::reconciled;
use super::remove::{remove, with_named_fields};
use super::set::FieldSet;
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

/// The fields that nobody owns.
fn unowned() -> &'static FieldSet {
    static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
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
    });
    &UNOWNED
}

/// A write in progress.
pub(super) struct Context<'a> {
    pub ty: Ty<'a>,
    api_version: String,
    write: &'a Write<'a>,
    /// Types of other versions than the one written in; `None` for one that is not served.
    others: BTreeMap<String, Option<TypeRef>>,
}

impl<'a> Context<'a> {
    pub fn new(
        ty: Option<&'a TypeRef>,
        object: &Value,
        managers: &Managers,
        write: &'a Write<'a>,
    ) -> Context<'a> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let mut others = BTreeMap::new();
        if let Some(schemas) = write.schemas {
            let kind = object["kind"].as_str().unwrap_or_default();
            for version in managers.values().map(|entry| &entry.api_version) {
                if *version != api_version && !others.contains_key(version) {
                    others.insert(version.clone(), schemas.type_of(&Gvk::new(version, kind)));
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

    /// Entries of versions that are not served go, and the others follow changes of the schema.
    pub fn refresh(&self, managers: &mut Managers) {
        managers.retain(|_, entry| !matches!(self.others.get(&entry.api_version), Some(None)));
        for entry in managers.values_mut() {
            if let Some(set) = reconciled(self.type_in(&entry.api_version), &entry.set) {
                entry.set = set;
            }
        }
    }

    pub fn apply(
        &self,
        old: &Value,
        config: &Value,
        mut managers: Managers,
        force: bool,
    ) -> Result<(Value, Managers), ApplyError> {
        let me = Identity::apply(self.write.manager, self.write.subresource);
        let merged = combine(self.ty, Some(old), Some(config)).unwrap_or_else(|| json!({}));
        let mut set = fields_of(self.ty, config).difference(unowned());
        if let Some(reset) = self.write.reset {
            set = set.without(reset);
        }
        let last = managers.get(&me).cloned();
        let time = last.as_ref().and_then(|last| last.time.clone());
        managers.insert(me.clone(), Entry { api_version: self.api_version.clone(), time, set });
        let keeps_all = |last: &Entry| {
            last.api_version == self.api_version && last.set.difference(&managers[&me].set).is_empty()
        };
        let new = match last {
            Some(last) if !keeps_all(&last) => self.prune(merged, &managers, &last),
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
        let nothing = FieldSet::new();
        let reset = self.write.reset.unwrap_or(&nothing);
        let compare_in = |version: &str| compare(self.type_in(version), old, new).without(reset);
        let mine = compare_in(&self.api_version);
        let changed = mine.modified.clone().union(mine.added.clone());
        // Entries of other versions are rare: they are compared once a version.
        let mut elsewhere: BTreeMap<&str, (FieldSet, FieldSet)> = BTreeMap::new();
        for entry in managers.values().filter(|entry| entry.api_version != self.api_version) {
            elsewhere.entry(&entry.api_version).or_insert_with(|| {
                let found = compare_in(&entry.api_version);
                (found.modified.union(found.added), found.removed)
            });
        }
        let mut conflicts = Vec::new();
        let mut changes = Vec::new();
        let mut others: Vec<(&Identity, &Entry)> = managers.iter().filter(|(id, _)| *id != me).collect();
        others.sort_by_cached_key(|(id, _)| id.sort_key());
        for (identity, entry) in others {
            let (changed, removed) = match elsewhere.get(entry.api_version.as_str()) {
                Some((changed, removed)) => (changed, removed),
                None => (&changed, &mine.removed),
            };
            let taken = entry.set.intersection(changed);
            conflicts.extend(taken.paths().into_iter().map(|path| {
                let place = owners::locate(old, &path);
                Conflict::new(identity, path, place)
            }));
            changes.push((identity.clone(), entry.set.difference(&taken).difference(removed)));
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

    pub fn update(&self, old: &Value, new: &Value, mut managers: Managers, write: &Write<'_>) -> Managers {
        // The write is nobody's until it is known to have changed something: its time is that of the last change.
        let current = Identity::update("current-operation", &self.api_version, Some("current-operation"));
        // Forced, it meets no conflicts.
        let Ok(compared) = self.settle_owners(old, new, &mut managers, &current, true) else {
            return managers;
        };
        let set = compared.modified.union(compared.added).difference(unowned());
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
