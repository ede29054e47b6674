//! What is configured: compiled when it changes, looked at by every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use serde_json::Value;

use super::policy::{Binding, MutatingPolicy, ValidatingPolicy};
use super::webhook::Webhook;
use crate::plane::kinds::Resource;
use crate::plane::server::Server;
use crate::plane::store::{Object, Range};

const GROUP: &str = "admissionregistration.k8s.io";

/// Everybody who is asked before something is stored, each list in the order of asking.
#[derive(Default)]
pub(super) struct Configuration {
    pub mutating_webhooks: Vec<Arc<Webhook>>,
    pub validating_webhooks: Vec<Arc<Webhook>>,
    pub mutating_policies: Bound<MutatingPolicy>,
    pub validating_policies: Bound<ValidatingPolicy>,
}

/// Policies with their bindings; one that nothing binds is not asked.
type Bound<P> = Vec<(Arc<P>, Vec<Arc<Binding>>)>;

/// Keeps the configuration.
#[derive(Default)]
pub(crate) struct Admission {
    /// Whether anything is configured: what is not costs a request no more than this.
    any: AtomicBool,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    configuration: Arc<Configuration>,
    /// What was compiled, by uid and resourceVersion, so that what did not change keeps its connections.
    webhooks: HashMap<Version, Vec<Arc<Webhook>>>,
    mutating_policies: HashMap<Version, Arc<MutatingPolicy>>,
    validating_policies: HashMap<Version, Arc<ValidatingPolicy>>,
}

/// The uid and the resourceVersion of an object.
type Version = (String, String);

impl Admission {
    /// After an object was written or removed.
    pub fn noticed(&self, server: &Server, resource: &Resource) {
        if &*resource.gvk.group == GROUP {
            self.reload(server);
        }
    }

    /// Reads all configurations.
    pub fn reload(&self, server: &Server) {
        let mut state = self.state.write();
        let mut known = std::mem::take(&mut state.webhooks);
        let mut compiled = HashMap::new();
        let mut webhooks = |collection: &str| -> Vec<Arc<Webhook>> {
            let mut all = Vec::new();
            for object in objects(server, collection) {
                let key = (object.uid().to_owned(), object.revision().to_owned());
                let hooks = known.remove(&key).unwrap_or_else(|| Webhook::of_configuration(&object.body()));
                all.extend(hooks.iter().cloned());
                compiled.insert(key, hooks);
            }
            all
        };
        let known = std::mem::take(&mut state.mutating_policies);
        let (mutating, mutating_policies) = policies(
            server,
            ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
            &known,
            MutatingPolicy::of,
        );
        let known = std::mem::take(&mut state.validating_policies);
        let (validating, validating_policies) = policies(
            server,
            ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
            &known,
            ValidatingPolicy::of,
        );
        let configuration = Configuration {
            mutating_policies,
            validating_policies,
            mutating_webhooks: webhooks("mutatingwebhookconfigurations"),
            validating_webhooks: webhooks("validatingwebhookconfigurations"),
        };
        self.any.store(!configuration.is_empty(), Ordering::Release);
        state.configuration = Arc::new(configuration);
        state.webhooks = compiled;
        state.mutating_policies = mutating;
        state.validating_policies = validating;
    }

    /// What is configured, unless that is nothing.
    pub(super) fn configured(&self) -> Option<Arc<Configuration>> {
        self.any.load(Ordering::Acquire).then(|| self.state.read().configuration.clone())
    }
}

impl Configuration {
    fn is_empty(&self) -> bool {
        self.mutating_webhooks.is_empty()
            && self.validating_webhooks.is_empty()
            && self.mutating_policies.is_empty()
            && self.validating_policies.is_empty()
    }

    /// Whether somebody may want to change objects of a resource.
    pub fn mutates(&self, resource: &Resource) -> bool {
        let (group, plural) = (&*resource.gvk.group, &*resource.plural);
        // Other groups show the same objects under other names only of events.
        &*resource.stored.group != group
            || resource.is("", "Event")
            || self.mutating_webhooks.iter().any(|hook| hook.constraints.may_match(group, plural))
            || self.mutating_policies.iter().any(|(policy, _)| policy.constraints.may_match(group, plural))
    }

    /// Whether somebody may want to judge objects of a resource.
    pub fn judges(&self, resource: &Resource) -> bool {
        let (group, plural) = (&*resource.gvk.group, &*resource.plural);
        &*resource.stored.group != group
            || resource.is("", "Event")
            || self.validating_webhooks.iter().any(|hook| hook.constraints.may_match(group, plural))
            || self.validating_policies.iter().any(|(policy, _)| policy.constraints.may_match(group, plural))
    }
}

/// Policies that are bound, with their bindings; those that did not change are not compiled again.
fn policies<P>(
    server: &Server,
    [policies, bindings]: [&str; 2],
    known: &HashMap<Version, Arc<P>>,
    compile: fn(&Value) -> P,
) -> (HashMap<Version, Arc<P>>, Bound<P>) {
    let bindings = objects(server, bindings)
        .iter()
        .map(|object| Arc::new(Binding::of(&object.body())))
        .collect::<Vec<_>>();
    let mut compiled = HashMap::new();
    let mut bound = Vec::new();
    for object in objects(server, policies) {
        let own: Vec<_> = bindings.iter().filter(|b| b.policy == object.name()).cloned().collect();
        if own.is_empty() {
            continue;
        }
        let version = (object.uid().to_owned(), object.revision().to_owned());
        let policy = known.get(&version).cloned().unwrap_or_else(|| Arc::new(compile(&object.body())));
        compiled.insert(version, policy.clone());
        bound.push((policy, own));
    }
    (compiled, bound)
}

/// The objects of a collection of the group, by name.
fn objects(server: &Server, plural: &str) -> Vec<Arc<Object>> {
    let page = server.store.list(&format!("{plural}.{GROUP}"), &Range::default(), |_| true);
    page.map(|page| page.objects).unwrap_or_default()
}
