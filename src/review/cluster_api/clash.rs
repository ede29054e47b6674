//! Clusters in one OpenStack project that get in each other's way.
//!
//! Networks, routers and load balancers are found by name. The OpenStack provider names them after namespace and
//! name of the Cluster, joined by a dash: `a-b/c` and `a/b-c` are one to it. The cloud controller inside the clusters names
//! load balancers of Services after the Cluster alone: two Clusters of one name share them. Whether two Clusters are in
//! one project is told by their credentials, as far as the repository holds them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::cluster::{class_namespace, class_of};
use super::facts::Facts;
use super::finding_at;
use crate::finding::{Code, Finding};
use crate::model::{FieldPath, Manifest, ObjectId};
use crate::yaml;

const GROUP: &str = "infrastructure.cluster.x-k8s.io";
const STACK_GROUP: &str = "infrastructure.clusterstack.x-k8s.io";

/// Every Cluster that gets in the way of another one, with its index.
pub(super) fn clashes(facts: &Facts<'_>) -> Vec<(usize, Finding)> {
    let clusters = facts
        .objects()
        .filter(|(_, manifest)| manifest.id.group() == "cluster.x-k8s.io" && manifest.id.kind() == "Cluster");
    let placed: Vec<(usize, &Manifest, Project)> = clusters
        .filter_map(|(index, manifest)| Some((index, &**manifest, project_of(manifest, facts)?)))
        .collect();
    let mut found = Vec::new();
    for (at, (index, one, project)) in placed.iter().enumerate() {
        for (other_index, other, _) in placed[at + 1..].iter().filter(|(_, _, theirs)| theirs == project) {
            let Some(what) = shared_name(&one.id, &other.id) else { continue };
            // What is new is what has to give way.
            let one_is_old = !facts.formers(&one.id).is_empty() && facts.formers(&other.id).is_empty();
            let (index, new, old) =
                if one_is_old { (*other_index, other, one) } else { (*index, one, other) };
            found.push((index, clash(new, old, &what, facts)));
        }
    }
    found
}

fn clash(new: &Manifest, old: &Manifest, what: &str, facts: &Facts<'_>) -> Finding {
    let severity = facts.severity_of_new(&new.id, |_| true);
    let message = format!("{} uses the same OpenStack project, and {what}", old.id);
    let path = FieldPath::of_keys(["metadata", "name"]);
    let mut finding = finding_at(severity, Code::ClusterNameClash, message, new, &path);
    finding.related = facts.place(&old.id);
    finding.help("give one of the two another name, or credentials of a project of its own")
}

/// What two Clusters would both call their own.
fn shared_name(one: &ObjectId, other: &ObjectId) -> Option<String> {
    let resource = |id: &ObjectId| format!("{}-{}", id.namespace().unwrap_or_default(), id.name());
    if one.namespace() == other.namespace() {
        return None;
    }
    if one.name() == other.name() {
        return Some(format!(
            "both are named {}: load balancers of their Services would have the same names",
            one.name()
        ));
    }
    let name = resource(one);
    (name == resource(other)).then(|| {
        format!("both would be k8s-clusterapi-cluster-{name} there: networks, routers and load balancers")
    })
}

/// What two Clusters have in common when they are in one project. Never shown: it comes from credentials.
#[derive(PartialEq, Eq)]
struct Project(String);

/// A reference to credentials, in the forms of the provider's API versions.
#[derive(Default)]
struct Identity {
    name: String,
    cloud: Option<String>,
    /// A cluster-scoped OpenStackClusterIdentity, not a Secret.
    is_shared: bool,
}

fn project_of(cluster: &Manifest, facts: &Facts<'_>) -> Option<Project> {
    let namespace = cluster.id.namespace()?;
    let identity = identity_of(cluster, namespace, facts)?;
    let cloud = identity.cloud.as_deref().unwrap_or("openstack");
    if identity.is_shared {
        return Some(Project(format!("identity {} {cloud}", identity.name)));
    }
    let secret = facts.core_object("Secret", namespace, &identity.name)?;
    let text = clouds_yaml(secret)?;
    let clouds = yaml::parse(&text, false).ok()?;
    let clouds = &clouds["clouds"];
    let only =
        clouds.as_object().filter(|clouds| clouds.len() == 1).and_then(|clouds| clouds.values().next());
    let cloud = clouds.get(cloud).or(only)?;
    project_in(cloud)
}

/// Where a cloud's entry leads: the project, or the credential that is bound to one.
fn project_in(cloud: &Value) -> Option<Project> {
    let auth = &cloud["auth"];
    let text = |field: &str| auth[field].as_str().map(str::to_owned);
    let named = || {
        let domain =
            text("project_domain_name").or_else(|| text("project_domain_id")).or_else(|| text("domain_name"));
        Some(format!(
            "{}/{}",
            domain.unwrap_or_default(),
            text("project_name").or_else(|| text("tenant_name"))?
        ))
    };
    let project = text("project_id").or_else(|| text("tenant_id")).or_else(named);
    let project = project.or_else(|| text("application_credential_id"))?;
    let region = cloud["region_name"].as_str().unwrap_or_default();
    let url = text("auth_url").unwrap_or_default();
    Some(Project(format!("{} {region} {project}", url.trim_end_matches('/'))))
}

fn clouds_yaml(secret: &Value) -> Option<String> {
    if let Some(text) = secret["stringData"]["clouds.yaml"].as_str() {
        return Some(text.to_owned());
    }
    let bytes = STANDARD.decode(secret["data"]["clouds.yaml"].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// The credentials of a Cluster: in its variables, its infrastructure, the template of its class, or that of its stack.
fn identity_of(cluster: &Manifest, namespace: &str, facts: &Facts<'_>) -> Option<Identity> {
    let variables = &cluster.body["spec"]["topology"]["variables"];
    let variable = |name: &str| {
        let found = variables.as_array()?.iter().find(|variable| variable["name"] == name)?;
        Some(&found["value"])
    };
    if let Some(identity) = ["identityRef", "identity_ref"].into_iter().find_map(variable).and_then(read) {
        return Some(identity);
    }
    let cloud = ["cloudName", "cloud_name"].into_iter().find_map(variable).and_then(Value::as_str);
    let secret = ["secretName", "secret_name"].into_iter().find_map(variable).and_then(Value::as_str);
    if let Some(name) = secret {
        return Some(Identity { name: name.to_owned(), cloud: cloud.map(str::to_owned), is_shared: false });
    }
    let own = cluster.body["spec"]["infrastructureRef"]["name"].as_str();
    let own = own.map(|name| ObjectId::new(GROUP, "OpenStackCluster", Some(namespace), name));
    if let Some(own) = own.and_then(|id| facts.object(&id)) {
        return read(&own["spec"]["identityRef"]);
    }
    if let Some(identity) = class_identity(cluster, namespace, facts) {
        return Some(identity);
    }
    let templates = facts.of_kind(STACK_GROUP, "OpenStackClusterStackReleaseTemplate", Some(namespace));
    templates.iter().find_map(|template| read(&template.body["spec"]["template"]["spec"]["identityRef"]))
}

fn class_identity(cluster: &Manifest, namespace: &str, facts: &Facts<'_>) -> Option<Identity> {
    let (class, _) = class_of(&cluster.body)?;
    let home = class_namespace(&cluster.body, Some(namespace));
    let class = facts.object(&ObjectId::new("cluster.x-k8s.io", "ClusterClass", home, class))?;
    let infrastructure = &class["spec"]["infrastructure"];
    let name =
        infrastructure["templateRef"]["name"].as_str().or_else(|| infrastructure["ref"]["name"].as_str())?;
    let template = facts.object(&ObjectId::new(GROUP, "OpenStackClusterTemplate", home, name))?;
    read(&template["spec"]["template"]["spec"]["identityRef"])
}

fn read(reference: &Value) -> Option<Identity> {
    let kind = reference["type"].as_str().or_else(|| reference["kind"].as_str());
    Some(Identity {
        name: reference["name"].as_str()?.to_owned(),
        cloud: reference["cloudName"].as_str().map(str::to_owned),
        is_shared: matches!(kind, Some("ClusterIdentity" | "OpenStackClusterIdentity")),
    })
}
