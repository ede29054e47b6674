//! What the simulated operators know of a cluster, and how they write to it. Nothing is known here that the API server
//! does not hold, but how long something has been under way.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::MANAGER;
use super::cloud::Cloud;
use super::object::{FINALIZER, finalizers, is_deleting, is_owned_by, is_said, name, namespace, uid};
use crate::model::{GroupKind, Gvk, ObjectId, ServedKind};

/// Why an operator could not do its part; it tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the API server refused")]
    Api(#[from] kube::Error),
    #[error("{0} is not served yet")]
    NotServed(String),
    #[error("no workload cluster could be made")]
    Cloud(#[from] std::io::Error),
    #[error("an object is malformed")]
    Malformed(#[from] serde_json::Error),
}

pub(super) struct World {
    client: Client,
    pub cloud: Cloud,
    pace: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    kinds: HashMap<GroupKind, ServedKind>,
    objects: BTreeMap<ObjectId, Arc<Value>>,
    /// When something of an object, by its uid, began.
    begun: HashMap<(String, &'static str), Instant>,
    /// The last status that was sent for an object, and the resourceVersion that came of it.
    told: HashMap<String, (Value, Value)>,
    /// When the earliest of what is under way will be done.
    wake: Option<Instant>,
    wrote: bool,
}

impl World {
    pub fn new(client: Client, cloud: Cloud, pace: Duration) -> World {
        World { client, cloud, pace, known: Mutex::default() }
    }

    /// The kinds that are served. Whether they are others than before.
    pub fn serve(&self, kinds: HashMap<GroupKind, ServedKind>) -> bool {
        let mut known = self.known.lock();
        let changed = known.kinds != kinds;
        known.kinds = kinds;
        changed
    }

    /// Every namespace in which something is known.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let known = self.known.lock();
        known.objects.keys().map(|id| id.namespace().unwrap_or_default().to_owned()).collect()
    }

    pub fn get(&self, kind: (&str, &str), namespace: &str, name: &str) -> Option<Arc<Value>> {
        let id = ObjectId::new(kind.0, kind.1, Some(namespace).filter(|it| !it.is_empty()), name);
        self.known.lock().objects.get(&id).cloned()
    }

    /// Everything in a namespace; what is in none has the empty one.
    pub fn everything(&self, namespace: &str) -> Vec<(ObjectId, Arc<Value>)> {
        let known = self.known.lock();
        let here = |id: &ObjectId| id.namespace().unwrap_or_default() == namespace;
        known.objects.iter().filter(|(id, _)| here(id)).map(|(id, o)| (id.clone(), o.clone())).collect()
    }

    pub fn of_kind(&self, (group, kind): (&str, &str), namespace: &str) -> Vec<Arc<Value>> {
        let of_kind = |id: &ObjectId| id.group() == group && id.kind() == kind;
        let all = self.everything(namespace).into_iter();
        all.filter(|(id, _)| of_kind(id)).map(|(_, object)| object).collect()
    }

    /// Everything of a kind, wherever it is.
    pub fn all_of(&self, kind: &GroupKind) -> Vec<(ObjectId, Arc<Value>)> {
        let known = self.known.lock();
        let all = known.objects.iter().filter(|(id, _)| id.group_kind() == *kind);
        all.map(|(id, object)| (id.clone(), object.clone())).collect()
    }

    /// What this object owns of a kind.
    pub fn owned(&self, owner: &Value, kind: (&str, &str)) -> Vec<Arc<Value>> {
        let all = self.of_kind(kind, namespace(owner)).into_iter();
        all.filter(|object| is_owned_by(object, owner)).collect()
    }

    /// Whether something of an object that takes one step of time is done; it begins with the first question.
    pub fn is_done(&self, object: &Value, what: &'static str) -> bool {
        let mut known = self.known.lock();
        let now = Instant::now();
        let begun = *known.begun.entry((uid(object).to_owned(), what)).or_insert(now);
        let done = begun + self.pace;
        if now >= done {
            return true;
        }
        known.wake = Some(known.wake.map_or(done, |wake| wake.min(done)));
        false
    }

    /// Look again after one step of time.
    pub fn look_again(&self) {
        let mut known = self.known.lock();
        let at = Instant::now() + self.pace.max(Duration::from_millis(50));
        known.wake = Some(known.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Whether something was written, and when to look again, since this was asked last.
    pub fn outcome(&self) -> (bool, Option<Instant>) {
        let mut known = self.known.lock();
        (std::mem::take(&mut known.wrote), known.wake.take())
    }

    /// Take in what the API server holds. Whether it is news.
    pub fn learn(&self, object: Value) -> bool {
        let Ok(id) = ObjectId::of(&object) else { return false };
        let mut known = self.known.lock();
        let version = |object: &Value| {
            object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok())
        };
        let older = known.objects.get(&id).is_some_and(|held| version(held) >= version(&object));
        if !older {
            known.objects.insert(id, Arc::new(object));
        }
        !older
    }

    /// Take in that an object is gone.
    pub fn forget(&self, id: &ObjectId) {
        let mut known = self.known.lock();
        if let Some(object) = known.objects.remove(id) {
            known.begun.retain(|(owner, _), _| owner != uid(&object));
            known.told.remove(uid(&object));
        }
    }

    /// A new object of a kind, to be filled.
    pub fn draft(&self, kind: (&str, &str), namespace: &str, name: &str) -> Result<Value, Error> {
        let key = GroupKind { group: kind.0.into(), kind: kind.1.into() };
        let served = self.known.lock().kinds.get(&key).cloned();
        let served = served.ok_or_else(|| Error::NotServed(format!("{}/{}", kind.0, kind.1)))?;
        let mut metadata = json!({"name": name});
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        Ok(json!({"apiVersion": served.gvk.api_version(), "kind": kind.1, "metadata": metadata}))
    }

    /// Make an object say what this says; nothing is sent if it says so already.
    pub async fn apply(&self, wanted: Value) -> Result<(), Error> {
        self.apply_part(wanted, MANAGER).await
    }

    /// The same for fields that another simulated operator does not name: each has its own manager, so that none takes
    /// back what another says.
    pub async fn apply_part(&self, wanted: Value, manager: &str) -> Result<(), Error> {
        let held = self.get(self::kind(&wanted), namespace(&wanted), name(&wanted));
        if held.is_some_and(|held| is_deleting(&held) || is_said(&held, &wanted)) {
            return Ok(());
        }
        let params = PatchParams::apply(manager).force();
        let answer = self.api(&wanted)?.patch(name(&wanted), &params, &Patch::Apply(&wanted)).await?;
        self.wrote(answer)
    }

    /// Create a definition, unless there is one of its name already. Definitions are not followed.
    pub async fn bring(&self, definition: &Value) -> Result<(), Error> {
        let key = GroupKind {
            group: definition["spec"]["group"].as_str().unwrap_or_default().into(),
            kind: definition["spec"]["names"]["kind"].as_str().unwrap_or_default().into(),
        };
        if self.known.lock().kinds.contains_key(&key) {
            return Ok(());
        }
        let params = PatchParams::apply(MANAGER);
        match self.api(definition)?.patch(name(definition), &params, &Patch::Apply(definition)).await {
            // Somebody else's is as good.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            answer => answer.map(|_| ()).map_err(Error::from),
        }
    }

    /// Make an object's status say what this says.
    pub async fn tell(&self, object: &Value, status: Value) -> Result<(), Error> {
        let told = self.known.lock().told.get(uid(object)).cloned();
        // What the API server did not take is not said again for as long as nothing else changed.
        let said_before = told.is_some_and(|(said, version)| {
            said == status && version == object["metadata"]["resourceVersion"]
        });
        if said_before || is_said(&object["status"], &status) {
            return Ok(());
        }
        // Not applied: a definition may lack fields that Cluster API has, and those are only left out of a merge.
        let body = json!({"metadata": {"uid": uid(object)}, "status": status});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let answer = self.api(object)?.patch_status(name(object), &params, &Patch::Merge(&body)).await?;
        let version = answer.metadata.resource_version.clone().into();
        self.known.lock().told.insert(uid(object).to_owned(), (status, version));
        self.wrote(answer)
    }

    /// Keep an object until [`World::release`].
    pub async fn hold(&self, object: &Value) -> Result<(), Error> {
        let mut kept = finalizers(object);
        if is_deleting(object) || kept.contains(&FINALIZER) {
            return Ok(());
        }
        kept.push(FINALIZER);
        self.write_finalizers(object, &kept).await
    }

    /// Let an object that is being deleted go.
    pub async fn release(&self, object: &Value) -> Result<(), Error> {
        let mut kept = finalizers(object);
        if !kept.contains(&FINALIZER) {
            return Ok(());
        }
        kept.retain(|finalizer| *finalizer != FINALIZER);
        self.write_finalizers(object, &kept).await
    }

    async fn write_finalizers(&self, object: &Value, kept: &[&str]) -> Result<(), Error> {
        let version = &object["metadata"]["resourceVersion"];
        let body = json!({"metadata": {"finalizers": kept, "resourceVersion": version}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let answer = self.api(object)?.patch(name(object), &params, &Patch::Merge(&body)).await?;
        self.wrote(answer)
    }

    /// Delete an object, unless its deletion has begun.
    pub async fn delete(&self, object: &Value) -> Result<(), Error> {
        if is_deleting(object) {
            return Ok(());
        }
        let preconditions = Preconditions { uid: Some(uid(object).to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        match self.api(object)?.delete(name(object), &params).await {
            Ok(answer) => match answer.left() {
                Some(held) => self.wrote(held),
                None => self.gone(object),
            },
            Err(kube::Error::Api(status)) if status.code == 404 => self.gone(object),
            Err(error) => Err(error.into()),
        }
    }

    fn gone(&self, object: &Value) -> Result<(), Error> {
        self.known.lock().wrote = true;
        if let Ok(id) = ObjectId::of(object) {
            self.forget(&id);
        }
        Ok(())
    }

    fn wrote(&self, answer: DynamicObject) -> Result<(), Error> {
        let answer = serde_json::to_value(answer)?;
        if is_deleting(&answer) && finalizers(&answer).is_empty() {
            return self.gone(&answer);
        }
        self.known.lock().wrote = true;
        self.learn(answer);
        Ok(())
    }

    fn api(&self, object: &Value) -> Result<Api<DynamicObject>, Error> {
        let (group, kind) = self::kind(object);
        let key = GroupKind { group: group.into(), kind: kind.into() };
        let served = self.known.lock().kinds.get(&key).cloned();
        let served = served.ok_or_else(|| Error::NotServed(kind.to_owned()))?;
        let gvk = Gvk::new(object["apiVersion"].as_str().unwrap_or_default(), kind);
        let resource = api_resource(&ServedKind { gvk, ..served });
        Ok(match namespace(object) {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        })
    }
}

/// Group and kind of an object.
pub(super) fn kind(object: &Value) -> (&str, &str) {
    (super::object::group(object), object["kind"].as_str().unwrap_or_default())
}

/// A kind as the client knows it.
pub(super) fn api_resource(kind: &ServedKind) -> ApiResource {
    ApiResource {
        group: kind.gvk.group.to_string(),
        version: kind.gvk.version.to_string(),
        api_version: kind.gvk.api_version(),
        kind: kind.gvk.kind.to_string(),
        plural: kind.plural.clone(),
    }
}
