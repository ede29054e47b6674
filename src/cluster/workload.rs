//! Workload clusters, as far as their end concerns the management cluster: the way in, and what they made in the cloud
//! that nobody takes down with them.

use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use super::{Cluster, ClusterError, KUBECONFIG_KEY, ListOptions};
use crate::model::{Gvk, LiveObject, ObjectId, ServedKind};

/// A workload cluster that does not answer in this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the OpenStack cloud provider is told to leave the address of a load balancer behind.
const KEEP_ADDRESS: &str = "loadbalancer.openstack.org/keep-floatingip";

/// The longest name that an object may have.
const MOST_LETTERS: usize = 253;
/// In place of a name that no object can have.
const NO_NAME: &str = "UNREADABLE";

/// Something that would hold up the deletion of its cluster, or be left behind by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// What it is, by name: `Service web/ingress (load balancer 192.0.2.7)`.
    pub what: String,
    /// What to do, as a command or in words.
    pub remedy: String,
}

impl Cluster {
    /// The cluster behind the kubeconfig that Cluster API keeps for a Cluster; `None` when there is none.
    ///
    /// # Errors
    /// [`ClusterError`] when the Secret cannot be read or is no kubeconfig that may be used.
    pub async fn workload(&self, namespace: &str, name: &str) -> Result<Option<Cluster>, ClusterError> {
        let secret = format!("{name}-kubeconfig");
        let id = ObjectId::new("", "Secret", Some(namespace), &secret);
        let Some(found) = self.get(&kind("Secret", "secrets", true), &id).await? else { return Ok(None) };
        let bad = |what: &str| ClusterError::Config { reason: format!("Secret/{namespace}/{secret} {what}") };
        let value = found.body["data"][KUBECONFIG_KEY].as_str().ok_or_else(|| bad("has no key \"value\""))?;
        let text = base64::engine::general_purpose::STANDARD.decode(value).ok();
        let text =
            text.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| bad("holds no text"))?;
        Ok(Some(Cluster::connect_with_text(&text, None).await?.with_timeout(PATIENCE)))
    }

    /// What in this cluster keeps networks, addresses or disks in the cloud: Services of type LoadBalancer, and
    /// volumes that are to be deleted or are in use.
    ///
    /// # Errors
    /// [`ClusterError`] when the cluster does not answer or does not let us look.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, ClusterError> {
        let all = ListOptions::default();
        let services = self.list(&kind("Service", "services", true), &all).await?;
        let volumes = self.list(&kind("PersistentVolume", "persistentvolumes", false), &all).await?;
        let mut found: Vec<Leftover> = services.iter().filter_map(of_service).collect();
        found.extend(volumes.iter().filter_map(of_volume));
        found.sort();
        Ok(found)
    }
}

fn kind(kind: &str, plural: &str, namespaced: bool) -> ServedKind {
    ServedKind { gvk: Gvk::new("v1", kind), plural: plural.to_owned(), namespaced }
}

fn of_service(service: &LiveObject) -> Option<Leftover> {
    let body = &service.body;
    let (namespace, name) = (word(&body["metadata"]["namespace"]), word(&body["metadata"]["name"]));
    if body["spec"]["type"] != "LoadBalancer" {
        return None;
    }
    let ingress = &body["status"]["loadBalancer"]["ingress"][0];
    let address = ["ip", "hostname"].iter().map(|field| &ingress[*field]).find(|it| it.is_string());
    let address = address.map_or("without an address yet", word);
    let mut what = format!("Service {namespace}/{name} (load balancer {address})");
    if service.annotation(KEEP_ADDRESS) == Some("true") {
        what += &format!(", whose floating IP stays behind ({KEEP_ADDRESS})");
    }
    Some(Leftover { what, remedy: format!("kubectl delete service -n {namespace} {name}") })
}

fn of_volume(volume: &LiveObject) -> Option<Leftover> {
    let (name, spec) = (word(&volume.body["metadata"]["name"]), &volume.body["spec"]);
    // What lies on a machine goes with it, and what lies elsewhere belongs to nobody's cloud project.
    if ["hostPath", "local", "nfs", "iscsi", "fc"].iter().any(|kind| spec[*kind].is_object()) {
        return None;
    }
    let claim = &spec["claimRef"];
    let claim = claim["name"].is_string().then(|| (word(&claim["namespace"]), word(&claim["name"])));
    let in_use = volume.body["status"]["phase"] == "Bound";
    let deletes = spec["persistentVolumeReclaimPolicy"] == "Delete";
    let of = |namespace: &str, claim: &str| format!("PersistentVolume {name} of claim {namespace}/{claim}");
    match claim {
        Some((namespace, claim)) if deletes => Some(Leftover {
            what: of(namespace, claim),
            remedy: format!("kubectl delete persistentvolumeclaim -n {namespace} {claim}"),
        }),
        Some((namespace, claim)) if in_use => Some(Leftover {
            what: of(namespace, claim) + " (Retain: its disk stays)",
            remedy: format!(
                "stop what uses the claim {namespace}/{claim}, then kubectl delete persistentvolume {name}"
            ),
        }),
        None if deletes => Some(Leftover {
            what: format!("PersistentVolume {name}"),
            remedy: format!("kubectl delete persistentvolume {name}"),
        }),
        _ => None,
    }
}

/// A name or address. It comes from a cluster of which a tenant is the master, and goes into commands that a person
/// copies: nothing but what names and addresses are made of gets through.
fn word(value: &Value) -> &str {
    let is_plain = |text: &&str| {
        !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
    };
    value.as_str().filter(|text| (1..=MOST_LETTERS).contains(&text.len())).filter(is_plain).unwrap_or(NO_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(kind: &str, more: Value) -> LiveObject {
        let mut body = json!({"metadata": {"namespace": "web", "name": "x"}, "spec": {"type": kind}});
        json_patch::merge(&mut body, &more);
        LiveObject::new(body)
    }

    #[test]
    fn a_load_balancer_is_named_with_its_address() {
        assert_eq!(of_service(&service("ClusterIP", json!({}))), None);
        let more = json!({"metadata": {"annotations": {KEEP_ADDRESS: "true"}},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}});
        let found = of_service(&service("LoadBalancer", more)).unwrap();
        assert!(found.what.starts_with("Service web/x (load balancer 192.0.2.7), whose floating IP stays"));
        assert_eq!(found.remedy, "kubectl delete service -n web x");
    }

    #[test]
    fn what_a_cluster_says_is_no_command() {
        let more = json!({"metadata": {"name": "x; rm -rf ~", "namespace": "$(id)"},
            "status": {"loadBalancer": {"ingress": [{"hostname": "\u{1b}[2J"}]}}});
        let found = of_service(&service("LoadBalancer", more)).unwrap();
        assert_eq!(found.what, "Service UNREADABLE/UNREADABLE (load balancer UNREADABLE)");
        assert_eq!(found.remedy, "kubectl delete service -n UNREADABLE UNREADABLE");
        let found = of_service(&service("LoadBalancer", json!({"metadata": {"name": "--all"}}))).unwrap();
        assert!(found.remedy.ends_with("-n web UNREADABLE"));
    }

    #[test]
    fn a_volume_counts_when_it_is_deleted_or_in_use() {
        let volume = |policy: &str, phase: &str, more: Value| {
            let mut body = json!({"metadata": {"name": "pv"}, "status": {"phase": phase}, "spec": {
                "persistentVolumeReclaimPolicy": policy, "csi": {"driver": "cinder.csi.openstack.org"},
                "claimRef": {"namespace": "web", "name": "data"}}});
            json_patch::merge(&mut body, &more);
            of_volume(&LiveObject::new(body))
        };
        let found = volume("Delete", "Bound", json!({})).unwrap();
        assert_eq!(found.remedy, "kubectl delete persistentvolumeclaim -n web data");
        assert!(volume("Delete", "Released", json!({})).is_some());
        assert!(volume("Delete", "Available", json!({"spec": {"claimRef": null}})).is_some());
        assert!(volume("Retain", "Bound", json!({})).unwrap().what.contains("Retain"));
        assert_eq!(volume("Retain", "Released", json!({})), None);
        let local = json!({"spec": {"csi": null, "local": {"path": "/x"}}});
        assert_eq!(volume("Delete", "Bound", local), None);
    }
}
