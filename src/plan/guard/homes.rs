//! The Clusters that instances of moin run on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{CLUSTER_API, is_cluster};
use crate::config::Repository;
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, LiveState, ObjectId};

/// How Cluster API names the kubeconfig of a Cluster.
const KUBECONFIG_SUFFIX: &str = "-kubeconfig";

/// The management clusters, as Clusters that one of them may hold. Known by the Secret that leads to each (Cluster API
/// names it after the Cluster), and by the endpoint at which a daemon reaches it, which no repository can change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Homes {
    /// By name in `moin.yaml`.
    clusters: BTreeMap<ObjectId, String>,
    /// `HOST:PORT` of API servers.
    endpoints: BTreeMap<String, String>,
    /// Names of management clusters that are known to exist.
    standing: BTreeSet<String>,
}

impl Homes {
    /// Those that a repository names.
    pub fn of(repository: &Repository) -> Homes {
        let mut homes = Homes::default();
        homes.include(repository);
        homes
    }

    /// Those that another state of the repository names too: who takes a management cluster out of `moin.yaml` does not
    /// have it deleted by the same commit.
    pub fn include(&mut self, repository: &Repository) {
        for (name, cluster) in &repository.clusters {
            let Some(secret) = &cluster.kubeconfig else { continue };
            let Some(of) = secret.secret.strip_suffix(KUBECONFIG_SUFFIX) else { continue };
            let id = ObjectId::new(CLUSTER_API, "Cluster", Some(&secret.namespace), of);
            self.clusters.insert(id, name.clone());
        }
    }

    /// A management cluster that is known to exist: we run on it, or have reached it, at this URL.
    pub fn stands(&mut self, name: &str, url: &str) {
        self.standing.insert(name.to_owned());
        if let Some(endpoint) = endpoint_of_url(url) {
            self.endpoints.insert(endpoint, name.to_owned());
        }
    }

    /// The management cluster that a Cluster is.
    fn name_of(&self, id: &ObjectId, live: Option<&LiveObject>) -> Option<&str> {
        if !is_cluster(id) {
            return None;
        }
        let by_endpoint = || self.endpoints.get(&endpoint_of(&live?.body)?);
        self.clusters.get(id).or_else(by_endpoint).map(String::as_str)
    }

    /// Why an object must not be deleted: it is such a Cluster, or takes one along.
    pub(super) fn refuse_deletion(&self, id: &ObjectId, live: &LiveState) -> Option<Finding> {
        if let Some(name) = self.name_of(id, live.objects.get(id)) {
            return Some(finding(id, &format!("{id} is the management cluster {name}; it is never deleted")));
        }
        let (cluster, name) = self.buried_with(id, live)?;
        let message =
            format!("{id} is never deleted, because {cluster}, the management cluster {name}, goes with it");
        Some(finding(id, &message))
    }

    /// Why a Cluster must not be created: it is a management cluster that exists.
    pub(super) fn refuse_creation(&self, id: &ObjectId) -> Option<Finding> {
        let name = self.clusters.get(id).filter(|name| self.standing.contains(*name))?;
        let message = format!(
            "{id} is the management cluster {name}, which exists although its object is not here; it is never made again"
        );
        Some(finding(id, &message))
    }

    /// A management cluster that would not outlive an object that is no Cluster.
    fn buried_with<'a>(&'a self, id: &ObjectId, live: &'a LiveState) -> Option<(&'a ObjectId, &'a str)> {
        let takes_along = |cluster: &ObjectId, object: Option<&LiveObject>| match (id.group(), id.kind()) {
            ("", "Namespace") => cluster.namespace() == Some(id.name()),
            ("apiextensions.k8s.io", "CustomResourceDefinition") => is_of_cluster_api(id.name()),
            _ => object.is_some_and(|object| is_part(id, cluster, &object.body["spec"])),
        };
        let named = self.clusters.iter().map(|(cluster, name)| (cluster, name.as_str()));
        let reached = live
            .objects
            .iter()
            .filter_map(|(cluster, object)| Some((cluster, self.name_of(cluster, Some(object))?)));
        // Most repositories have no management clusters, and then nothing is looked through.
        if self.clusters.is_empty() && self.endpoints.is_empty() {
            return None;
        }
        named.chain(reached).find(|(cluster, _)| takes_along(cluster, live.objects.get(cluster)))
    }
}

/// Whether a definition is of Cluster API or one of its providers.
fn is_of_cluster_api(definition: &str) -> bool {
    let group = definition.split_once('.').map_or("", |(_, group)| group);
    group == CLUSTER_API || group.ends_with(".cluster.x-k8s.io")
}

/// Whether a Cluster refers to the object as its infrastructure or control plane.
fn is_part(id: &ObjectId, cluster: &ObjectId, spec: &Value) -> bool {
    ["infrastructureRef", "controlPlaneRef"].iter().any(|field| {
        let reference = &spec[field];
        reference["kind"] == id.kind()
            && reference["name"] == id.name()
            && cluster.namespace() == id.namespace()
    })
}

/// `HOST:PORT` of a Cluster's API server.
pub(super) fn endpoint_of(cluster: &Value) -> Option<String> {
    let endpoint = &cluster["spec"]["controlPlaneEndpoint"];
    let host = endpoint["host"].as_str().filter(|host| !host.is_empty())?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_ascii_lowercase() };
    Some(format!("{host}:{}", endpoint["port"].as_u64().filter(|port| *port > 0)?))
}

/// `HOST:PORT` of a URL.
fn endpoint_of_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    if authority.is_empty() {
        return None;
    }
    let default = if scheme == "http" { 80 } else { 443 };
    Some(if has_port { authority } else { format!("{authority}:{default}") })
}

fn finding(id: &ObjectId, message: &str) -> Finding {
    Finding::error(Code::OwnGrave, message).about(id).help(Code::OwnGrave.page().remedy)
}
