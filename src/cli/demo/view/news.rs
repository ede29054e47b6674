//! What a change of an object means to somebody who watches.

use serde_json::Value;

use super::{Kind, holder, is_true, name_of, short};

/// What happened, in words; nothing if it is not worth any.
pub(super) fn of_change(kind: Kind, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    match kind {
        Kind::Lease => new.and_then(|new| of_lease(old, new)).into_iter().collect(),
        Kind::Reconciliation => new.map(|new| of_report(old, new)).unwrap_or_default(),
        Kind::Cluster => of_cluster(old, new).into_iter().collect(),
        Kind::ClusterStack => of_stack(old, new).into_iter().collect(),
        Kind::Machine => Vec::new(),
    }
}

fn of_lease(old: Option<&Value>, new: &Value) -> Option<String> {
    let now = holder(new);
    if old.map(holder) == Some(now) {
        return None;
    }
    Some(match now {
        None => "nobody holds the lease".to_owned(),
        Some((name, true)) => format!("the daemon of {name} stands in: it holds the lease"),
        Some((name, false)) => format!("its own daemon, {name}, holds the lease"),
    })
}

fn of_report(old: Option<&Value>, new: &Value) -> Vec<String> {
    let applied = |report: &Value| report["status"]["appliedRevision"].as_str().map(str::to_owned);
    let mut texts = Vec::new();
    if let Some(revision) = applied(new).filter(|it| old.and_then(applied).as_ref() != Some(it)) {
        texts.push(format!("commit {} is applied", short(&revision)));
    }
    let was_ready = old.is_some_and(|old| is_true(old, "Ready"));
    if is_true(new, "Ready") && !was_ready {
        texts.push("all is applied and healthy".to_owned());
    }
    let known = old.map(findings).unwrap_or_default();
    texts.extend(findings(new).into_iter().filter(|finding| !known.contains(finding)));
    texts
}

/// The findings of a report, each as one line.
pub(super) fn findings(report: &Value) -> Vec<String> {
    let all = report["status"]["findings"].as_array().into_iter().flatten();
    let line = |finding: &Value| {
        let part = |field: &str| finding[field].as_str().unwrap_or_default();
        let subject = [part("location"), part("object")].into_iter().find(|text| !text.is_empty());
        let message = part("message").lines().next().unwrap_or_default();
        match subject {
            Some(subject) => format!("{} {subject}: {message}", part("code")),
            None => format!("{} {message}", part("code")),
        }
    };
    all.filter(|finding| finding["severity"] != "note").map(line).collect()
}

fn of_cluster(old: Option<&Value>, new: Option<&Value>) -> Option<String> {
    let (old, new) = match (old, new) {
        (Some(old), None) => return Some(format!("Cluster {} is gone", name_of(old))),
        (None, Some(new)) => return Some(format!("Cluster {} is there", name_of(new))),
        (old, new) => (old?, new?),
    };
    let name = name_of(new);
    let topology = |cluster: &Value, field: &str| cluster["spec"]["topology"][field].clone();
    if topology(old, "version") != topology(new, "version") {
        let version = topology(new, "version");
        return Some(format!(
            "Cluster {name} is to become {}",
            version.as_str().unwrap_or("another version")
        ));
    }
    if topology(old, "controlPlane") != topology(new, "controlPlane") {
        let replicas = &topology(new, "controlPlane")["replicas"];
        return Some(format!("Cluster {name} is to have {replicas} machines in its control plane"));
    }
    let phase = |cluster: &Value| cluster["status"]["phase"].as_str().unwrap_or_default().to_owned();
    if phase(old) != phase(new) {
        return Some(format!("Cluster {name}: {}", phase(new)));
    }
    let turned = |kind: &str| is_true(new, kind) && !is_true(old, kind);
    if turned("Available") {
        return Some(format!("Cluster {name} is available"));
    }
    turned("RollingOut").then(|| format!("Cluster {name}: its machines roll"))
}

fn of_stack(old: Option<&Value>, new: Option<&Value>) -> Option<String> {
    match (old, new) {
        (Some(old), None) => Some(format!("ClusterStack {} is gone", name_of(old))),
        (None, Some(new)) => Some(format!("ClusterStack {} is there", name_of(new))),
        (old, new) => {
            let (old, new) = (old?, new?);
            let turned = is_true(new, "Ready") && !is_true(old, "Ready");
            turned.then(|| format!("ClusterStack {} can be used", name_of(new)))
        }
    }
}
