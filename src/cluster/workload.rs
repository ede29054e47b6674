//! Workload clusters, as far as their end concerns the management cluster: the way in, and what they made in the cloud
//! that nobody takes down with them.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use super::objects::PAGE;
use super::{Cluster, ClusterError, KUBECONFIG_KEY, ListOptions};
use crate::model::{Gvk, LiveObject, ObjectId, ServedKind};

/// A workload cluster that does not tell all in this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How many pages of a kind are read.
const MOST_PAGES: usize = 8;
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
        let workload = match Cluster::connect_with_text(&text, None).await {
            Err(ClusterError::Config { reason }) => return Err(bad(&format!("cannot be used: {reason}"))),
            answer => answer?,
        };
        match unfit(workload.url()) {
            Some(what) => Err(bad(&format!("leads to {what}"))),
            None => Ok(Some(workload.with_timeout(PATIENCE).with_most_bytes(MOST_BYTES))),
        }
    }

    /// What in this cluster keeps networks, addresses or disks in the cloud: Services of type LoadBalancer, and
    /// volumes that are to be deleted or are in use. All of it within the time-out of one request.
    ///
    /// # Errors
    /// Why the cluster does not tell, without any text of its own: a tenant is its master.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, String> {
        match tokio::time::timeout(self.timeout, self.look()).await {
            Ok(answer) => answer,
            Err(_) => Err(plainly(&ClusterError::Timeout { after: self.timeout })),
        }
    }

    async fn look(&self) -> Result<Vec<Leftover>, String> {
        let mut found = Vec::new();
        let services = kind("Service", "services", true);
        let volumes = kind("PersistentVolume", "persistentvolumes", false);
        let mut unseen = None;
        for kind in [&services, &volumes] {
            let pages = self.list_pages(kind, &ListOptions::default(), MOST_PAGES).await;
            let (objects, is_all) = pages.map_err(|error| plainly(&error))?;
            let is_service = kind.plural == services.plural;
            found.extend(
                objects
                    .iter()
                    .filter_map(|object| if is_service { of_service(object) } else { of_volume(object) }),
            );
            if !is_all {
                unseen = Some(kind);
            }
        }
        found.sort();
        match unseen {
            Some(kind) if found.is_empty() => {
                Err(format!("it has more than {} {}", MOST_PAGES * PAGE, kind.plural))
            }
            _ => Ok(found),
        }
    }
}

/// What makes a server none that a kubeconfig from a cluster may lead to: a kubeconfig that somebody else had a hand in
/// must not send us to the services of the machine or the cloud that we run in.
fn unfit(url: &str) -> Option<&'static str> {
    let uri: http::Uri = url.parse().unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let is_local = address.is_some_and(|address| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    });
    if is_local {
        return Some("a link-local address");
    }
    let is_here = address.is_some_and(|address| address.is_loopback());
    let is_fit = uri.scheme_str() == Some("https") || is_here;
    (!is_fit).then_some("a server without https")
}

/// An error in our own words: of what a foreign server says there remain status and reason.
fn plainly(error: &ClusterError) -> String {
    match error {
        ClusterError::Refused { status: 0, message, .. } => message.clone(),
        ClusterError::Refused { status, reason, .. } => {
            let is_word = (1..=40).contains(&reason.len()) && reason.bytes().all(|b| b.is_ascii_alphabetic());
            if is_word { format!("HTTP status {status} ({reason})") } else { format!("HTTP status {status}") }
        }
        ClusterError::Retry { .. } => "it asks to try again".to_owned(),
        ClusterError::Unreachable { .. } => "it cannot be reached".to_owned(),
        ClusterError::NotServed { .. } | ClusterError::Timeout { .. } => error.to_string(),
        ClusterError::Conflict { .. }
        | ClusterError::Stale { .. }
        | ClusterError::AlreadyExists { .. }
        | ClusterError::NotHolder { .. }
        | ClusterError::NotFound { .. }
        | ClusterError::Config { .. } => "its answer is none to a list".to_owned(),
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
    use super::super::testing::Server;
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_cluster_without_end_is_not_read_for_ever() {
        let server = Server::new();
        let endless = |items: Value| json!({"metadata": {"continue": "more"}, "items": items});
        let none = json!({"metadata": {}, "items": []});
        server.answer("GET /api/v1/services", 200, endless(json!([])));
        server.answer("GET /api/v1/persistentvolumes", 200, none.clone());
        assert_eq!(server.cluster().leftovers().await.unwrap_err(), "it has more than 2000 services");
        assert_eq!(server.asked.lock().len(), MOST_PAGES + 1);
        let balancer = service("LoadBalancer", json!({})).body;
        server.answer("GET /api/v1/services", 200, endless(json!([balancer])));
        assert_eq!(server.cluster().leftovers().await.unwrap().len(), MOST_PAGES);
        server.answer("GET /api/v1/services", 200, json!({"items": [], "more": "x".repeat(2000)}));
        let small = server.cluster().with_most_bytes(1000);
        assert_eq!(small.leftovers().await.unwrap_err(), "the answer has more than 1000 bytes");
    }

    #[tokio::test]
    async fn a_cluster_has_all_in_all_one_timeout() {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>().await
        });
        let cluster = Cluster::from_client(kube::Client::new(service, "default"));
        let error = cluster.with_timeout(Duration::from_millis(20)).leftovers().await.unwrap_err();
        assert!(error.contains("no answer"), "{error}");
    }

    #[tokio::test]
    async fn nothing_that_a_cluster_says_is_in_an_error() {
        let server = Server::new();
        for (status, reason, told) in [
            (403, "Forbidden", "HTTP status 403 (Forbidden)"),
            (403, "click here", "HTTP status 403"),
            (404, "NotFound", "its answer is none to a list"),
            (503, "click", "it asks to try again"),
        ] {
            let says = json!({"kind": "Status", "reason": reason, "message": "click here", "details": {"name": "x"}});
            server.answer("GET /api/v1/services", status, says);
            assert_eq!(server.cluster().leftovers().await.unwrap_err(), told);
        }
    }

    #[test]
    fn a_kubeconfig_does_not_lead_into_the_cloud_we_run_in() {
        for fit in
            ["https://192.0.2.7:6443/", "https://api.example.org", "http://127.0.0.1:1/", "http://[::1]:1/"]
        {
            assert_eq!(unfit(fit), None, "{fit}");
        }
        for bad in [
            "http://192.0.2.7/",
            "http://api.example.org",
            "https://169.254.169.254/",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "",
        ] {
            assert!(unfit(bad).is_some(), "{bad}");
        }
    }

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
