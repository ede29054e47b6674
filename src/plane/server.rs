//! The server behind the requests: what it holds and what it does after each write.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock};
use serde_json::json;
use tokio::sync::watch;

use super::admission::{Admission, Answers, Services, mutating_kinds};
use super::audit::AuditLog;
use super::auth::authenticate::{Tokens, administrator};
use super::auth::rbac::{self, Rbac, Scope};
use super::auth::{User, accounts};
use super::call::Call;
use super::keys::Keys;
use super::kinds::{Registry, Resource};
use super::openapi::Documents;
use super::probe::{Faults, Log};
use super::request::{Form, Query, WriteOptions};
use super::store::{History, Key, Object, Range, Store};
use super::{clock, controllers, crd};

/// How long the garbage collector waits before it looks, as the real one's queue does.
const COLLECT_AFTER: Duration = Duration::from_millis(250);
/// Namespaces that are there from the start.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// The field manager of what the server writes by itself.
pub(crate) const OWN_MANAGER: &str = "kube-apiserver";

/// How a server is set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The administrator's token, if it is not to be a random one.
    pub token: Option<String>,
    /// Others, with their tokens.
    pub users: Vec<(User, String)>,
    /// Whether who brings no token is let in.
    pub anonymous: bool,
    pub audit: Option<AuditLog>,
    pub history: History,
    pub controllers: bool,
    /// Whether each namespace gets the authority's certificate.
    pub root_ca: bool,
    /// Whether requests may ask for faults.
    pub fault_header: bool,
    /// How many requests are remembered.
    pub requests: usize,
    /// The folder that outlives the server.
    pub data: Option<PathBuf>,
    /// Whether the kinds of MutatingAdmissionPolicy are served.
    pub mutating_policies: bool,
    /// Where the services of webhooks are.
    pub services: Option<Services>,
    /// What answers in the place of webhooks.
    pub webhooks: Option<Answers>,
}

/// The server.
pub(crate) struct Server {
    pub store: Store,
    pub settings: Settings,
    pub log: Log,
    pub faults: Faults,
    pub admission: Admission,
    pub documents: Documents,
    pub rbac: Rbac,
    pub tokens: Tokens,
    /// The administrator's token.
    pub token: String,
    pub keys: Keys,
    registry: RwLock<Arc<Registry>>,
    /// Held while definitions are taken in, one after another.
    defining: Mutex<()>,
    stop: watch::Sender<bool>,
    due: AtomicBool,
    /// What the garbage collector is to look at.
    pub garbage: controllers::Queue,
    aggregation_due: AtomicBool,
}

/// What is served before anybody defines anything.
fn first_registry(settings: &Settings) -> Registry {
    let builtin = Registry::builtin();
    if !settings.mutating_policies {
        return builtin;
    }
    mutating_kinds().iter().fold(builtin, |registry, kind| registry.with_own(kind))
}

impl Server {
    /// A server with its first namespaces, or one that goes on with what its folder holds.
    pub fn open(settings: Settings) -> io::Result<Arc<Server>> {
        let store = match &settings.data {
            None => Store::new(settings.history),
            Some(folder) => Store::open(settings.history, &folder.join("store"))?,
        };
        let goes_on = store.revision() > 1;
        let keys = match &settings.data {
            None => Keys::generate(),
            Some(folder) => Keys::keep(&folder.join("keys"))?,
        };
        let token = settings.token.clone().unwrap_or_else(|| keys.token.clone());
        let server = Arc::new(Server {
            store,
            log: Log::new(settings.requests),
            faults: Faults::default(),
            admission: Admission::default(),
            documents: Documents::default(),
            rbac: Rbac::default(),
            tokens: Tokens::new(&token, &settings.users),
            token,
            keys,
            registry: RwLock::new(Arc::new(first_registry(&settings))),
            defining: Mutex::new(()),
            stop: watch::Sender::new(false),
            due: AtomicBool::new(false),
            garbage: controllers::Queue::default(),
            aggregation_due: AtomicBool::new(false),
            settings,
        });
        server.create_namespaces();
        rbac::bootstrap::ensure(&server, &clock::now());
        rbac::bootstrap::index(&server);
        if server.settings.controllers {
            NAMESPACES.iter().for_each(|namespace| accounts::furnish(&server, namespace));
        }
        server.admission.reload(&server);
        if goes_on {
            server.go_on();
        }
        Ok(server)
    }

    fn create_namespaces(&self) {
        for name in NAMESPACES {
            let key = Key { resource: "namespaces".into(), namespace: "".into(), name: name.into() };
            let body = json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {
                    "name": name, "uid": uuid::Uuid::new_v4().to_string(),
                    "creationTimestamp": clock::now(), "labels": {"kubernetes.io/metadata.name": name},
                },
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
            });
            // If it is there, that is as well.
            let _ = self.store.put(&key, None, body);
        }
    }

    /// Takes up what another process left off: definitions are served, deletions go on.
    fn go_on(self: &Arc<Self>) {
        for object in self.definitions() {
            self.establish(&object.name());
        }
        self.garbage.add(self.store.dependents());
        self.schedule(COLLECT_AFTER);
    }

    pub fn registry(&self) -> Arc<Registry> {
        self.registry.read().clone()
    }

    /// Changes what is served.
    pub fn redefine(&self, change: impl FnOnce(&mut Registry)) {
        let mut next = (*self.registry()).clone();
        change(&mut next);
        *self.registry.write() = Arc::new(next);
    }

    /// Definitions are taken in one after another.
    pub fn defining(&self) -> MutexGuard<'_, ()> {
        self.defining.lock()
    }

    /// Becomes true when the server stops.
    pub fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Writes what is still on the way to the audit log.
    pub fn close(&self) {
        if let Some(audit) = &self.settings.audit {
            audit.close();
        }
    }

    /// A request of the server to itself.
    pub fn own_call(self: &Arc<Self>, resource: Arc<Resource>, namespace: &str, name: &str) -> Call<'_> {
        Call {
            server: self,
            user: administrator(),
            resource,
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: Some(name.to_owned()),
            subresource: None,
            query: Query::default(),
            options: WriteOptions { manager: OWN_MANAGER.to_owned(), ..WriteOptions::default() },
            form: Form::Whole,
            now: clock::now(),
            notes: Arc::default(),
        }
    }

    /// After an object was written.
    pub fn wrote(self: &Arc<Self>, resource: &Resource, key: &Key, object: &Arc<Object>) {
        self.granted(resource, key);
        accounts::wrote(self, resource, key, object);
        if resource.is(crd::GROUP, crd::KIND) {
            self.establish(&key.name);
        }
        self.admission.noticed(self, resource);
        if object.has_owners() {
            self.garbage.add([key.clone()]);
            self.schedule(COLLECT_AFTER);
        }
        if object.is_deleting() {
            let at_once = resource.is("", "Namespace") || resource.is(crd::GROUP, crd::KIND);
            self.schedule(if at_once { Duration::ZERO } else { COLLECT_AFTER });
        }
    }

    /// After a role or binding was written or removed.
    fn granted(self: &Arc<Self>, resource: &Resource, key: &Key) {
        if &*resource.gvk.group != rbac::GROUP {
            return;
        }
        let Some(scope) = Scope::of(&resource.plural) else { return };
        let now = || self.store.get(key).map(|object| object.body());
        self.rbac.refresh(scope, &key.namespace, &key.name, now);
        if resource.plural == "clusterroles" {
            self.aggregate();
        }
    }

    /// Lets the controller of aggregated roles look, once for many changes.
    fn aggregate(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.settings.controllers && !self.aggregation_due.swap(true, Ordering::AcqRel) {
            let server = self.clone();
            runtime.spawn(async move {
                server.aggregation_due.store(false, Ordering::Release);
                rbac::aggregate::run(&server).await;
            });
        }
    }

    /// After an object was removed.
    pub fn removed(self: &Arc<Self>, resource: &Resource, key: &Key, last: &Object) {
        self.admission.noticed(self, resource);
        accounts::removed(self, resource, key);
        self.granted(resource, key);
        if resource.is(crd::GROUP, crd::KIND) {
            self.establish(&key.name);
        }
        let dependents = self.store.dependents_of(last.uid());
        // Somebody's deletion may wait for what is gone now.
        if !dependents.is_empty() || last.has_owners() {
            self.garbage.add(dependents);
            self.schedule(COLLECT_AFTER);
        }
        if self.is_waited_for(resource, key) {
            self.schedule(Duration::ZERO);
        }
    }

    /// Whether a deletion of something else waits for this object to be gone.
    fn is_waited_for(&self, resource: &Resource, key: &Key) -> bool {
        let namespace =
            Key { resource: "namespaces".into(), namespace: "".into(), name: key.namespace.clone() };
        let definition = Key {
            resource: "customresourcedefinitions.apiextensions.k8s.io".into(),
            namespace: "".into(),
            name: key.resource.clone(),
        };
        [Some(namespace), resource.custom.then_some(definition)]
            .into_iter()
            .flatten()
            .any(|key| self.store.get(&key).is_some_and(|object| object.is_deleting()))
    }

    /// The CustomResourceDefinitions.
    pub fn definitions(&self) -> Vec<Arc<Object>> {
        self.store
            .list(crd::COLLECTION, &Range::default(), |_| true)
            .map(|page| page.objects)
            .unwrap_or_default()
    }

    /// Lets the controllers look, once, after a while.
    pub fn schedule(self: &Arc<Self>, delay: Duration) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let waits = !delay.is_zero();
        if waits && self.due.swap(true, Ordering::AcqRel) {
            return;
        }
        let server = self.clone();
        runtime.spawn(async move {
            if waits {
                tokio::time::sleep(delay).await;
                server.due.store(false, Ordering::Release);
                if server.settings.controllers {
                    controllers::collect_garbage(&server).await;
                }
            }
            controllers::finish_deletions(&server).await;
        });
    }
}
