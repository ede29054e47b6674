//! The steps themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::{Kustomization, Takeover, flux};
use crate::cli::{BoxError, output};
use crate::cluster::{ClusterError, DeleteOptions, ListOptions, Preconditions};
use crate::daemon::rules_of;
use crate::finding::counted;
use crate::model::{FIELD_MANAGER, Gvk, LiveObject, LiveState, PathSegment, ServedKind};
use crate::plan::{self, Accepted, Action, Context};

/// The field manager of what this command changes.
const MANAGER: &str = "moin-adopt";
/// How long a Kustomization may take to go, and Flux to finish what it is at.
const PATIENCE: u32 = 60;
/// How often a write is tried again that another one overtook.
const TRIES: u32 = 5;

impl Takeover {
    fn say(&self, what: &str) -> Result<(), BoxError> {
        let prefix = if self.dry_run { "would: " } else { "" };
        Ok(output::words(&format!("{prefix}{what}\n"))?)
    }

    /// Flux leaves its Kustomizations alone; who applies others first, for it would set them back.
    pub(super) async fn suspend(&mut self) -> Result<bool, BoxError> {
        for one in self.ours.iter().filter(|one| !one.is_suspended()) {
            self.say(&format!("suspend {}", one.id))?;
            if !self.dry_run {
                self.change(one, json!({"suspend": true})).await?;
            }
        }
        if self.dry_run {
            return Ok(true);
        }
        for _ in 0..PATIENCE {
            self.look_again().await?;
            if !self.ours.iter().any(Kustomization::is_busy) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.all_suspended()
    }

    fn all_suspended(&self) -> Result<bool, BoxError> {
        let back: Vec<String> =
            self.ours.iter().filter(|one| !one.is_suspended()).map(Kustomization::unit).collect();
        if !back.is_empty() {
            output::words(&format!(
                "not suspended: {}; `moin adopt --step suspend`, and if that was done, see who resumes them\n",
                back.join(", ")
            ))?;
        }
        Ok(back.is_empty())
    }

    /// Objects of the repository with fields of Flux.
    pub(super) async fn to_take(&self) -> Result<Vec<(ServedKind, LiveObject)>, BoxError> {
        let mut found = Vec::new();
        for manifest in self.manifests() {
            if let Some((kind, object)) = self.live(manifest).await?
                && flux::handed_over(&object.body, FIELD_MANAGER).is_some()
            {
                found.push((kind, object));
            }
        }
        Ok(found)
    }

    /// The fields of Flux become moin's; no value changes.
    pub(super) async fn take(&mut self) -> Result<bool, BoxError> {
        if !self.dry_run && !self.all_suspended()? {
            return Ok(false);
        }
        let objects = self.to_take().await?;
        for (kind, object) in &objects {
            let id = crate::model::ObjectId::of(&object.body)?;
            self.say(&format!("take the fields of {id}"))?;
            if self.dry_run {
                continue;
            }
            let (mut object, mut tries) = (object.clone(), TRIES);
            while let Some(fields) = flux::handed_over(&object.body, FIELD_MANAGER) {
                let patch = json!({"metadata": {"managedFields": fields}});
                let preconditions = Preconditions::of(&object);
                match self.cluster.merge_patch(MANAGER, kind, &id, &patch, &preconditions).await {
                    // Its controller wrote its status; what Flux owns is as before.
                    Err(ClusterError::Stale { .. }) if tries > 0 => {
                        match self.cluster.get(kind, &id).await? {
                            Some(newer) => (object, tries) = (newer, tries - 1),
                            None => break,
                        }
                    }
                    answer => {
                        answer?;
                        break;
                    }
                }
            }
        }
        self.say(&format!("{} taken", counted(objects.len(), "object")))?;
        Ok(true)
    }

    /// Whether moin would write nothing but its own mark.
    pub(super) async fn verify(&mut self) -> Result<bool, BoxError> {
        let live = self.live_state().await?;
        let manifests = &self.reviewed.manifests;
        let rules = rules_of(manifests, &[]);
        let recorded = manifests
            .manifests
            .iter()
            .filter(|manifest| live.objects.contains_key(&manifest.id))
            .map(|manifest| (manifest.id.clone(), manifest.body.clone()))
            .collect();
        let revision = crate::model::Revision::new("adopt");
        let context = Context {
            revision: &revision,
            applied: None,
            schemas: &manifests.schemas,
            recorded: &recorded,
            described: self.reviewed.review.admitted.described(),
            accepted: &Accepted::default(),
            rules: &rules,
            now: "1970-01-01T00:00:00Z",
        };
        let plan = plan::plan(&self.reviewed.review.admitted, &live, &context);
        let mut differences = 0;
        for step in &plan.steps {
            let why = match &step.action {
                Action::Unchanged => continue,
                Action::Adopt => {
                    let paths = step.changes.iter().filter(|change| !adds_a_mark(change));
                    let paths: Vec<String> = paths.map(|change| change.path.to_string()).collect();
                    if paths.is_empty() {
                        continue;
                    }
                    format!("moin would change {}", paths.join(", "))
                }
                Action::Create | Action::AwaitKind => "it does not exist; moin would create it".to_owned(),
                Action::Blocked { finding, holds: false } => {
                    output::findings(std::slice::from_ref(finding));
                    continue;
                }
                Action::Blocked { finding, .. } => finding.message.clone(),
                Action::Update(_) | Action::Recreate => {
                    let paths: Vec<String> =
                        step.changes.iter().map(|change| change.path.to_string()).collect();
                    format!("moin would change {}", paths.join(", "))
                }
            };
            differences += 1;
            output::words(&format!("{}: {why}\n", step.id()))?;
        }
        output::words(&match differences {
            0 => format!("as the repository has them: {}\n", counted(plan.steps.len(), "object")),
            n => {
                let differing = counted(n, "object");
                format!("not as the repository has them: {differing}; correct either, then verify again\n")
            }
        })?;
        Ok(differences == 0)
    }

    async fn live_state(&self) -> Result<LiveState, BoxError> {
        let mut live = LiveState { kinds: self.kinds.clone(), ..LiveState::default() };
        let namespace = Gvk::new("v1", "Namespace");
        if let Some(kind) = live.served(&namespace).cloned() {
            let all = self.cluster.list(&kind, &ListOptions::default()).await?;
            let named = |object: LiveObject| {
                (object.body["metadata"]["name"].as_str().unwrap_or_default().to_owned(), object)
            };
            live.namespaces = all.into_iter().map(named).collect::<BTreeMap<_, _>>();
        }
        for manifest in self.manifests() {
            if let Some((_, object)) = self.live(manifest).await? {
                live.objects.insert(manifest.id.clone(), object);
            }
        }
        Ok(live)
    }

    /// The Kustomizations go, what they applied stays.
    pub(super) async fn remove(&mut self) -> Result<bool, BoxError> {
        if self.dry_run {
            for one in &self.ours {
                self.say(&format!("set spec.prune to false in {}, and delete it", one.id))?;
            }
            return Ok(true);
        }
        self.look_again().await?;
        let left = self.to_take().await?.len();
        if left > 0 {
            let left = counted(left, "object");
            output::words(&format!("Flux has fields in {left} still; `moin adopt --step take`\n"))?;
            return Ok(false);
        }
        if !self.all_suspended()? {
            return Ok(false);
        }
        for one in self.ours.iter().filter(|one| one.prunes().is_some()) {
            self.say(&format!("keep {} from pruning", one.id))?;
            self.change(one, json!({"prune": false, "deletionPolicy": "Orphan"})).await?;
        }
        // What was written is read again: somebody may have set it back, and then the deletion would take all along.
        self.look_again().await?;
        for one in self.ours.clone() {
            if let Some(why) = one.prunes() {
                output::words(&format!(
                    "{} is not deleted: {why}, so its {} objects would go with it; see who sets it back\n",
                    one.id,
                    one.inventory.len()
                ))?;
                return Ok(false);
            }
            self.delete(&one).await?;
        }
        self.until_gone().await
    }

    async fn delete(&self, one: &Kustomization) -> Result<(), BoxError> {
        if one.live.is_deleting() {
            return Ok(());
        }
        self.say(&format!("delete {}", one.id))?;
        // Exactly the state that does not prune.
        let options =
            DeleteOptions { preconditions: Preconditions::of(&one.live), ..DeleteOptions::default() };
        match self.cluster.delete(&self.served(one), &one.id, &options).await {
            Ok(_) | Err(ClusterError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn until_gone(&mut self) -> Result<bool, BoxError> {
        for _ in 0..PATIENCE {
            self.look_again().await?;
            if self.ours.is_empty() {
                output::words(
                    "no Kustomization is left; Flux's sources and controllers stay until you remove them (`flux uninstall \
                     --keep-namespace`)\n",
                )?;
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let names: Vec<String> = self.ours.iter().map(Kustomization::unit).collect();
        output::words(&format!(
            "waiting for Flux's finalizer: {}; is kustomize-controller running? None of them prunes any more, so the finalizer \
             may be removed by hand\n",
            names.join(", ")
        ))?;
        Ok(false)
    }

    /// Changes the spec of a Kustomization, whatever its controller writes to its status meanwhile.
    async fn change(&self, one: &Kustomization, spec: serde_json::Value) -> Result<(), BoxError> {
        let this = Preconditions::uid_of(&one.live);
        let patch = json!({ "spec": spec });
        self.cluster.merge_patch(MANAGER, &self.served(one), &one.id, &patch, &this).await?;
        Ok(())
    }

    fn served(&self, one: &Kustomization) -> ServedKind {
        let gvk = one.gvk().unwrap_or_else(|| self.kind.gvk.clone());
        ServedKind { gvk, ..self.kind.clone() }
    }
}

/// A label or annotation that is new.
fn adds_a_mark(change: &crate::merge::FieldChange) -> bool {
    let mark = |field: &str| field == "labels" || field == "annotations";
    matches!(&change.path.0[..], [PathSegment::Key(metadata), PathSegment::Key(field), ..]
        if metadata == "metadata" && mark(field) && change.old.is_none())
}
