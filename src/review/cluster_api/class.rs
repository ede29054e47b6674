//! A Cluster beside its ClusterClass, where that is known: in the repository, or read from the cluster.

use serde_json::Value;

use super::cluster::{class_namespace, class_of};
use super::facts::Facts;
use super::names::ClassName;
use super::{finding_at, variables};
use crate::finding::{Code, Finding, Severity, nearest};
use crate::model::{FieldPath, Manifest, ObjectId};

pub(super) fn judge(manifest: &Manifest, facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let Some((name, _)) = class_of(&manifest.body) else { return };
    let namespace = class_namespace(&manifest.body, manifest.id.namespace());
    let id = ObjectId::new("cluster.x-k8s.io", "ClusterClass", namespace, name);
    let class = facts.object(&id);
    findings.extend(control_plane(manifest, class));
    let Some(class) = class else { return };
    let first = findings.len();
    workers(manifest, name, class, findings);
    variables::judge(manifest, class, findings);
    for finding in &mut findings[first..] {
        finding.related = finding.related.take().or_else(|| facts.place(&id));
    }
}

/// etcd beside the API server needs a majority: kubeadm's control plane takes odd numbers only. Which provider makes
/// it is certain only where the class is known.
fn control_plane(manifest: &Manifest, class: Option<&Value>) -> Option<Finding> {
    let replicas = manifest.body["spec"]["topology"]["controlPlane"]["replicas"].as_i64()?;
    if replicas % 2 == 1 && replicas > 0 {
        return None;
    }
    let kind = class.and_then(|class| {
        let control_plane = &class["spec"]["controlPlane"];
        control_plane["templateRef"]["kind"].as_str().or_else(|| control_plane["ref"]["kind"].as_str())
    });
    let severity = match kind {
        Some("KubeadmControlPlaneTemplate") => Severity::Error,
        Some(_) => return None,
        None => {
            let (class, _) = class_of(&manifest.body)?;
            let hosted = ClassName::parse(class).is_some_and(|class| class.stack.contains("kamaji"));
            if hosted {
                return None;
            }
            Severity::Warning
        }
    };
    let message = match replicas {
        ..=0 => format!("a control plane of {replicas} replicas: there must be at least one"),
        _ => format!("a control plane of {replicas} replicas: etcd needs an odd number"),
    };
    let path = FieldPath::of_keys(["spec", "topology", "controlPlane", "replicas"]);
    let finding = finding_at(severity, Code::ControlPlaneReplicas, message, manifest, &path);
    Some(finding.help("use 1, 3 or 5; 3 survive the loss of one machine"))
}

/// Workers are of classes that the ClusterClass has.
fn workers(manifest: &Manifest, name: &str, class: &Value, findings: &mut Vec<Finding>) {
    for list in ["machineDeployments", "machinePools"] {
        let known = class["spec"]["workers"][list].as_array();
        let known: Vec<&str> = known.into_iter().flatten().filter_map(|of| of["class"].as_str()).collect();
        let workers = manifest.body["spec"]["topology"]["workers"][list].as_array();
        for (index, worker) in workers.into_iter().flatten().enumerate() {
            let Some(wanted) = worker["class"].as_str().filter(|wanted| !known.contains(wanted)) else {
                continue;
            };
            let path = FieldPath::of_keys(["spec", "topology", "workers", list]).index(index).key("class");
            let message = format!("the ClusterClass {name} has no class {wanted:?} in workers.{list}");
            let help = match (nearest(wanted, &known), known.is_empty()) {
                (Some(near), _) => format!("perhaps {near} is meant; it has {}", known.join(", ")),
                (None, true) => format!("this ClusterClass has no {list} at all"),
                (None, false) => format!("it has {}", known.join(", ")),
            };
            findings.push(
                finding_at(Severity::Error, Code::WorkerClassMissing, message, manifest, &path).help(help),
            );
        }
    }
}
