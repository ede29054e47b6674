//! Pods.

use serde_json::{Value, json};

use super::Cells;
use super::row::{Row, is, list, number, text, text_or};
use crate::plane::kinds::Resource;

pub(super) fn cells(resource: &str) -> Option<Cells> {
    (resource == "pods").then_some(pod as Cells)
}

/// What a row says of a pod that has ended.
pub(super) fn conditions(resource: &Resource, body: &Value) -> Option<Value> {
    if !resource.is("", "Pod") {
        return None;
    }
    let phase = text(&body["status"]["phase"]);
    let message = match phase {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

/// What is counted over a pod's containers.
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: String,
}

fn pod(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let summary = summary(row);
    let mut restarts = summary.restarts.to_string();
    if summary.restarts != 0 && !summary.last_restart.is_empty() {
        restarts = format!("{restarts} ({} ago)", row.since(&summary.last_restart.into()));
    }
    vec![
        row.name(),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts.into(),
        row.age(),
        text_or(&status["podIPs"][0]["ip"], "<none>").into(),
        text_or(&spec["nodeName"], "<none>").into(),
        text_or(&status["nominatedNodeName"], "<none>").into(),
        readiness_gates(spec, status).into(),
    ]
}

fn summary(row: &Row<'_>) -> Summary {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let phase = text(&status["phase"]);
    let mut summary = Summary {
        reason: text_or(&status["reason"], phase).to_owned(),
        ready: 0,
        total: list(&spec["containers"]).len(),
        restarts: 0,
        last_restart: String::new(),
    };
    let gated = |c: &Value| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated";
    if list(&status["conditions"]).iter().any(gated) {
        summary.reason = "SchedulingGated".to_owned();
    }
    let sidecars = list(&spec["initContainers"]).iter().filter(|c| c["restartPolicy"] == "Always");
    summary.total += sidecars.count();
    let sidecar_restarts = summary.initialise(spec, status);
    if let Some((restarts, last)) = sidecar_restarts {
        summary.restarts = restarts;
        summary.last_restart = last;
        summary.run(status);
    }
    if row.is_deleting() {
        if status["reason"] == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.reason = "Terminating".to_owned();
        }
    }
    summary
}

impl Summary {
    /// The init containers. Restarts of those that go on beside the others come back when the pod is initialised.
    fn initialise(&mut self, spec: &Value, status: &Value) -> Option<(i64, String)> {
        let (mut restarts, mut last) = (0, String::new());
        let mut initializing = false;
        let declared = list(&spec["initContainers"]);
        for (index, container) in list(&status["initContainerStatuses"]).iter().enumerate() {
            let name = &container["name"];
            let sidecar = declared.iter().any(|c| c["name"] == *name && c["restartPolicy"] == "Always");
            self.restarts += number(&container["restartCount"]);
            later(&mut self.last_restart, container);
            if sidecar {
                restarts += number(&container["restartCount"]);
                later(&mut last, container);
            }
            let (terminated, waiting) = (&container["state"]["terminated"], &container["state"]["waiting"]);
            if terminated.is_object() && number(&terminated["exitCode"]) == 0 {
                continue;
            }
            if sidecar && is(&container["started"]) {
                self.ready += usize::from(is(&container["ready"]));
                continue;
            }
            self.reason = match text(&waiting["reason"]) {
                _ if terminated.is_object() => format!("Init:{}", ended(terminated)),
                "" | "PodInitializing" => format!("Init:{index}/{}", declared.len()),
                reason => format!("Init:{reason}"),
            };
            initializing = true;
            break;
        }
        let initialized = list(&status["conditions"]).iter().find(|c| c["type"] == "Initialized");
        (!initializing || initialized.is_some_and(|c| c["status"] == "True")).then_some((restarts, last))
    }

    /// The containers, the last one first.
    fn run(&mut self, status: &Value) {
        let (mut running, mut failure) = (false, String::new());
        for container in list(&status["containerStatuses"]).iter().rev() {
            self.restarts += number(&container["restartCount"]);
            later(&mut self.last_restart, container);
            let state = &container["state"];
            let waiting = text(&state["waiting"]["reason"]);
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                self.reason = ended(&state["terminated"]);
                if number(&state["terminated"]["exitCode"]) != 0 {
                    failure.clone_from(&self.reason);
                }
            } else if is(&container["ready"]) && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
            if running && list(&status["conditions"]).iter().any(ready) {
                self.reason = "Running".to_owned();
            } else if !failure.is_empty() {
                self.reason = failure;
            } else if running {
                self.reason = "NotReady".to_owned();
            }
        }
    }
}

/// Why a container ended.
fn ended(terminated: &Value) -> String {
    match (text(&terminated["reason"]), number(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Times of the server compare as texts.
fn later(last: &mut String, container: &Value) {
    let finished = text(&container["lastState"]["terminated"]["finishedAt"]);
    if finished > last.as_str() {
        finished.clone_into(last);
    }
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let gates = list(&spec["readinessGates"]);
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let holds = |gate: &&Value| {
        let condition = list(&status["conditions"]).iter().find(|c| c["type"] == gate["conditionType"]);
        condition.is_some_and(|condition| condition["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(holds).count(), gates.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells_of(spec: Value, status: Value) -> Vec<Value> {
        let body = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec, "status": status});
        pod(&Row::new(&body, "2026-01-01T00:01:00Z"))
    }

    #[test]
    fn a_pod_says_what_its_containers_do() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]});
        let waiting = json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}]});
        assert_eq!(cells_of(spec.clone(), waiting)[1..3], [json!("0/2"), json!("Init:ErrImagePull")]);
        let running = json!({"phase": "Running", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "a", "ready": true, "state": {"running": {}}, "restartCount": 0},
                {"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3,
                 "lastState": {"terminated": {"finishedAt": "2026-01-01T00:00:50Z"}}}]});
        assert_eq!(
            cells_of(spec, running)[1..4],
            [json!("1/2"), json!("CrashLoopBackOff"), json!("3 (10s ago)")]
        );
    }
}
