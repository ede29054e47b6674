//! The ClusterStack operator: a release is downloaded, its provider does its part, and its ClusterClass is there.

use serde_json::{Value, json};

use super::condition::{Condition, with_severity};
use super::object::{array, is_deleting, name, namespace, owned_by, text};
use super::world::{Error, World};
use super::{class, stack};

pub(super) const KIND: (&str, &str) = ("clusterstack.x-k8s.io", "ClusterStackRelease");
/// Where the provider's part of a release is.
pub(super) const PROVIDER_GROUP: &str = "infrastructure.clusterstack.x-k8s.io";

/// How far a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Downloading,
    Provider,
    Applying,
    Done,
}

impl Phase {
    fn words(self) -> &'static str {
        match self {
            Phase::Downloading => "downloading release assets",
            Phase::Provider => "provider-specific work",
            Phase::Applying => "applying objects",
            Phase::Done => "done",
        }
    }
}

pub(super) async fn reconcile(world: &World, release: &Value) -> Result<(), Error> {
    if is_deleting(release) {
        // Whoever deletes it, the namespace for one: it outlives the Clusters that are made of it.
        return if stack::users(world, release).is_empty() { world.release(release).await } else { Ok(()) };
    }
    world.hold(release).await?;
    if release["status"]["ready"] != true && !world.is_done(release, "release") {
        return tell(world, release, Phase::Downloading, "the assets are on their way").await;
    }
    if let Some(missing) = provide(world, release).await? {
        return tell(world, release, Phase::Provider, &missing).await;
    }
    for object in contents(world, release)? {
        world.apply(object).await?;
    }
    let class = world.get(class::KIND, namespace(release), name(release));
    if !class.is_some_and(|class| class::is_usable(&class)) {
        return tell(world, release, Phase::Applying, "the ClusterClass is not usable yet").await;
    }
    tell(world, release, Phase::Done, "the ClusterClass can be used").await
}

/// What a release says of how far it is.
pub(super) fn phase(release: &Value) -> &str {
    ready_condition(release).map_or(Phase::Downloading.words(), |ready| text(ready, &["reason"]))
}

/// What a release says of what it waits for.
pub(super) fn message(release: &Value) -> &str {
    ready_condition(release).map_or("", |ready| text(ready, &["message"]))
}

fn ready_condition(release: &Value) -> Option<&Value> {
    array(&release["status"]["conditions"]).find(|condition| condition["type"] == "Ready")
}

async fn tell(world: &World, release: &Value, phase: Phase, message: &str) -> Result<(), Error> {
    let done = phase == Phase::Done;
    let ready = [Condition::new("Ready", done, phase.words(), message)];
    let status = json!({"ready": done, "kubernetesVersion": kubernetes_version(world, release),
        "conditions": with_severity(&release["status"]["conditions"], &ready)});
    world.tell(release, status).await
}

/// The minor version of the ClusterStack: a simulated release is made for all of its patch versions.
fn kubernetes_version(world: &World, release: &Value) -> String {
    let stacks = world.of_kind(stack::KIND, namespace(release));
    let owner = stacks.iter().find(|stack| super::object::is_owned_by(release, stack));
    owner.map_or_else(String::new, |stack| format!("v{}", text(stack, &["spec", "kubernetesVersion"])))
}

/// The provider's part. What it lacks, if anything.
async fn provide(world: &World, release: &Value) -> Result<Option<String>, Error> {
    let reference = &release["spec"]["providerRef"];
    if !reference.is_object() {
        return Ok(None);
    }
    let (kind, template) = (text(reference, &["kind"]), text(reference, &["name"]));
    let Some(held) = world.get((PROVIDER_GROUP, kind), namespace(release), template) else {
        return Ok(Some(format!("there is no {kind} {template}")));
    };
    let made = kind.trim_end_matches("Template");
    let mut part = world.draft((PROVIDER_GROUP, made), namespace(release), name(release))?;
    part["metadata"]["ownerReferences"] = owned_by(release);
    part["spec"] = held["spec"]["template"]["spec"].clone();
    world.apply(part).await?;
    if let Some(part) = world.get((PROVIDER_GROUP, made), namespace(release), name(release)) {
        let ready = [Condition::new("Ready", true, "ImagesImported", "no image was needed")];
        let conditions = with_severity(&part["status"]["conditions"], &ready);
        world.tell(&part, json!({"ready": true, "conditions": conditions})).await?;
    }
    Ok(None)
}

/// The objects of a release: a ClusterClass and the templates that it names.
fn contents(world: &World, release: &Value) -> Result<Vec<Value>, Error> {
    let provider = if name(release).starts_with("docker-") { "Docker" } else { "OpenStack" };
    let (infrastructure, control_plane, bootstrap) =
        (super::infrastructure::GROUP, "controlplane.cluster.x-k8s.io", "bootstrap.cluster.x-k8s.io");
    let templates = [
        (infrastructure, format!("{provider}ClusterTemplate")),
        (control_plane, "KubeadmControlPlaneTemplate".to_owned()),
        (infrastructure, format!("{provider}MachineTemplate")),
        (bootstrap, "KubeadmConfigTemplate".to_owned()),
    ];
    let mut objects = Vec::new();
    let mut references = Vec::new();
    for (group, kind) in &templates {
        let mut template = world.draft((group, kind), namespace(release), name(release))?;
        references.push(json!({"templateRef": {"apiVersion": template["apiVersion"], "kind": kind, "name": name(release)}}));
        template["metadata"]["ownerReferences"] = owned_by(release);
        template["spec"] = json!({"template": {"spec": {}}});
        objects.push(template);
    }
    let mut class = world.draft(class::KIND, namespace(release), name(release))?;
    class["metadata"]["ownerReferences"] = owned_by(release);
    let [cluster, control_plane, machine, config] = &references[..] else { return Ok(Vec::new()) };
    class["spec"] = json!({"infrastructure": cluster, "controlPlane": control_plane,
        "workers": {"machineDeployments": [
            {"class": "default-worker", "bootstrap": config, "infrastructure": machine}]}});
    objects.push(class);
    Ok(objects)
}
