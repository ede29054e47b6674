//! Which rules a kind has.

use serde_json::Value;

use super::report::Report;
use super::{batch, config, limits, metadata, networking, pod, quota, rbac, service, storage, workloads};
use crate::plane::call::Subresource;
use crate::plane::kinds::Resource;
use crate::plane::status::FieldError;

/// Whether what is asked of a built-in kind is known beyond its schema.
pub(crate) fn has_rules(resource: &Resource) -> bool {
    matches!(
        &*resource.collection,
        "configmaps"
            | "secrets"
            | "namespaces"
            | "serviceaccounts"
            | "services"
            | "pods"
            | "podtemplates"
            | "replicationcontrollers"
            | "deployments.apps"
            | "replicasets.apps"
            | "daemonsets.apps"
            | "statefulsets.apps"
            | "jobs.batch"
            | "cronjobs.batch"
            | "ingresses.networking.k8s.io"
            | "networkpolicies.networking.k8s.io"
            | "poddisruptionbudgets.policy"
            | "horizontalpodautoscalers.autoscaling"
            | "roles.rbac.authorization.k8s.io"
            | "clusterroles.rbac.authorization.k8s.io"
            | "rolebindings.rbac.authorization.k8s.io"
            | "clusterrolebindings.rbac.authorization.k8s.io"
            | "resourcequotas"
            | "limitranges"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "storageclasses.storage.k8s.io"
            | "leases.coordination.k8s.io"
            | "priorityclasses.scheduling.k8s.io"
            | "endpointslices.discovery.k8s.io"
    )
}

/// Whether the validation of an update looks at the metadata as that of a new object does.
fn whole_metadata_again(resource: &Resource) -> bool {
    matches!(
        &*resource.collection,
        "configmaps"
            | "secrets"
            | "serviceaccounts"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "roles.rbac.authorization.k8s.io"
            | "clusterroles.rbac.authorization.k8s.io"
            | "rolebindings.rbac.authorization.k8s.io"
            | "clusterrolebindings.rbac.authorization.k8s.io"
    )
}

/// What is wrong with an object; `before` is what it was when this is an update.
pub(crate) fn validate(
    resource: &Resource,
    subresource: Option<&Subresource>,
    body: &Value,
    before: Option<&Value>,
) -> Vec<FieldError> {
    let status = subresource == Some(&Subresource::Status);
    let mut errors = metadata::validate(resource, body, before, !status && whole_metadata_again(resource));
    let mut report = Report::default();
    match (before, status) {
        _ if resource.custom => {}
        (_, true) => of_status(resource, body, &mut report),
        (None, _) => {
            whole(resource, body, None, &mut report);
            if &*resource.collection == "jobs.batch" {
                batch::job_new(body, &mut report);
            }
        }
        (Some(before), _) => update(resource, body, before, &mut report),
    }
    errors.append(&mut report.errors);
    errors
}

fn whole(resource: &Resource, body: &Value, before: Option<&Value>, report: &mut Report) {
    match &*resource.collection {
        "configmaps" => config::config_map(body, report),
        "secrets" => config::secret(body, report),
        "namespaces" => config::namespace(body, report),
        "services" => service::service(body, report),
        "pods" => pod::spec(&body["spec"], "spec", report),
        "podtemplates" => pod::template(&body["template"], "template", report),
        "replicationcontrollers" => workloads::replication_controller(body, report),
        "deployments.apps" => workloads::deployment(body, report),
        "replicasets.apps" => workloads::replica_set(body, report),
        "daemonsets.apps" => workloads::daemon_set(body, report),
        "statefulsets.apps" => workloads::stateful_set(body, before, report),
        "jobs.batch" => batch::job(body, report),
        "cronjobs.batch" => batch::cron_job(body, before, report),
        "ingresses.networking.k8s.io" => networking::ingress(body, report),
        "networkpolicies.networking.k8s.io" => networking::network_policy(body, report),
        "poddisruptionbudgets.policy" => limits::disruption_budget(body, report),
        "horizontalpodautoscalers.autoscaling" => limits::autoscaler(body, report),
        "roles.rbac.authorization.k8s.io" => rbac::role(body, true, report),
        "clusterroles.rbac.authorization.k8s.io" => rbac::role(body, false, report),
        "rolebindings.rbac.authorization.k8s.io" => rbac::binding(body, true, report),
        "clusterrolebindings.rbac.authorization.k8s.io" => rbac::binding(body, false, report),
        "resourcequotas" => quota::quota(body, report),
        "limitranges" => quota::limit_range(body, report),
        "persistentvolumes" => storage::volume(body, report),
        "persistentvolumeclaims" => storage::claim_spec(&body["spec"], "spec", report),
        "storageclasses.storage.k8s.io" => storage::class(body, report),
        "leases.coordination.k8s.io" => limits::lease(body, report),
        "priorityclasses.scheduling.k8s.io" => limits::priority_class(body, report),
        _ => {}
    }
}

/// Some kinds hold an update against the old object first, some last.
fn update(resource: &Resource, body: &Value, before: &Value, report: &mut Report) {
    match &*resource.collection {
        "configmaps" => config::config_map_update(body, before, report),
        "secrets" => config::secret_update(body, before, report),
        "services" => service::update(body, before, report),
        "daemonsets.apps" => workloads::selector_update(body, before, report),
        _ => {}
    }
    if !matches!(&*resource.collection, "namespaces" | "priorityclasses.scheduling.k8s.io") {
        whole(resource, body, Some(before), report);
    }
    // The rules of an update look at the whole of these once more.
    if matches!(&*resource.collection, "networkpolicies.networking.k8s.io" | "persistentvolumes") {
        whole(resource, body, Some(before), report);
    }
    match &*resource.collection {
        "deployments.apps" | "replicasets.apps" => workloads::selector_update(body, before, report),
        "jobs.batch" => batch::job_update(body, before, report),
        "pods" => pod::update(body, before, report),
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            rbac::binding_update(body, before, report);
        }
        "persistentvolumeclaims" => storage::claim_update(body, before, report),
        "storageclasses.storage.k8s.io" => storage::class_update(body, before, report),
        "priorityclasses.scheduling.k8s.io" => limits::priority_class_update(body, before, report),
        "resourcequotas" => quota::quota_update(body, before, report),
        _ => {}
    }
}

fn of_status(resource: &Resource, body: &Value, report: &mut Report) {
    match &*resource.collection {
        "deployments.apps" => workloads::replica_status(body, true, report),
        "replicasets.apps" | "replicationcontrollers" => workloads::replica_status(body, false, report),
        "poddisruptionbudgets.policy" => limits::disruption_status(body, report),
        "horizontalpodautoscalers.autoscaling" => limits::autoscaler_status(body, report),
        "statefulsets.apps" => workloads::stateful_status(body, report),
        "daemonsets.apps" => workloads::daemon_status(body, report),
        "services" | "ingresses.networking.k8s.io" => networking::balancer_status(body, report),
        _ => {}
    }
}
