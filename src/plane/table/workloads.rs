//! Workloads and what goes with them: templates, sets, jobs, revisions, autoscalers, budgets.

use serde_json::Value;

use super::row::{Row, containers, is, list, number, shown, text, text_or};
use super::{Cells, selectors, time};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    Some(match resource {
        "podtemplates" => pod_template,
        "replicationcontrollers" => replication_controller,
        "replicasets.apps" => replica_set,
        "deployments.apps" => deployment,
        "statefulsets.apps" => stateful_set,
        "daemonsets.apps" => daemon_set,
        "controllerrevisions.apps" => controller_revision,
        "jobs.batch" => job,
        "cronjobs.batch" => cron_job,
        "horizontalpodautoscalers.autoscaling" => autoscaler,
        "poddisruptionbudgets.policy" => disruption_budget,
        _ => return None,
    })
}

/// The wide cells of a workload: containers, images and selector.
fn wide(template: &Value, selector: String) -> [Value; 3] {
    let [names, images] = containers(&template["spec"]);
    [names, images, selector.into()]
}

fn pod_template(row: &Row<'_>) -> Vec<Value> {
    let template = &row.body["template"];
    let [names, images] = containers(&template["spec"]);
    vec![row.name(), names, images, selectors::labels(&template["metadata"]["labels"]).into()]
}

fn replicas(row: &Row<'_>, selector: String) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let counts =
        [&spec["replicas"], &status["replicas"], &status["readyReplicas"]].map(|value| row.number(value));
    let mut cells = vec![row.name()];
    cells.extend(counts);
    cells.push(row.age());
    cells.extend(wide(&spec["template"], selector));
    cells
}

fn replication_controller(row: &Row<'_>) -> Vec<Value> {
    replicas(row, selectors::labels(&row.body["spec"]["selector"]))
}

fn replica_set(row: &Row<'_>) -> Vec<Value> {
    replicas(row, selectors::selector(&row.body["spec"]["selector"]))
}

fn deployment(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let selector = selectors::requirements(&spec["selector"]).unwrap_or_else(|| "<invalid>".to_owned());
    let mut cells = vec![
        row.name(),
        format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])).into(),
        row.number(&status["updatedReplicas"]),
        row.number(&status["availableReplicas"]),
        row.age(),
    ];
    cells.extend(wide(&spec["template"], selector));
    cells
}

fn stateful_set(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let ready = format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"]));
    let [names, images] = containers(&spec["template"]["spec"]);
    vec![row.name(), ready.into(), row.age(), names, images]
}

fn daemon_set(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells = vec![row.name()];
    cells.extend(counts.map(|count| row.number(&status[count])));
    cells.push(selectors::labels(&spec["template"]["spec"]["nodeSelector"]).into());
    cells.push(row.age());
    cells.extend(wide(&spec["template"], selectors::selector(&spec["selector"])));
    cells
}

fn controller_revision(row: &Row<'_>) -> Vec<Value> {
    let owner = list(&row.body["metadata"]["ownerReferences"]).iter().find(|owner| is(&owner["controller"]));
    let controller = owner.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let kind = text(&owner["kind"]);
            let kind = match text(&owner["apiVersion"]).split_once('/') {
                Some((group, _)) => format!("{kind}.{group}"),
                None => kind.to_owned(),
            };
            format!("{}/{}", kind.to_lowercase(), text(&owner["name"]))
        },
    );
    vec![row.name(), controller.into(), row.number(&row.body["revision"]), row.age()]
}

fn job(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let succeeded = number(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), number(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let duration = match (status["startTime"].as_str(), status["completionTime"].as_str()) {
        (None, _) => String::new(),
        (Some(_), None) => row.since(&status["startTime"]),
        (Some(start), Some(end)) => time::between(start, end),
    };
    let mut cells = vec![row.name(), job_status(row).into(), completions.into(), duration.into(), row.age()];
    cells.extend(wide(&spec["template"], selectors::selector(&spec["selector"])));
    cells
}

fn job_status(row: &Row<'_>) -> &'static str {
    let conditions = list(&row.body["status"]["conditions"]);
    let has = |kind: &str| {
        conditions.iter().find(|condition| condition["type"] == kind).is_some_and(|c| c["status"] == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if row.is_deleting() {
        "Terminating"
    } else {
        let others = ["Suspended", "FailureTarget", "SuccessCriteriaMet"];
        others.into_iter().find(|kind| has(kind)).unwrap_or("Running")
    }
}

fn cron_job(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let last = match &status["lastScheduleTime"] {
        Value::Null => "<none>".to_owned(),
        time => row.since(time),
    };
    let suspend = match &spec["suspend"] {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    };
    let mut cells = vec![
        row.name(),
        text(&spec["schedule"]).into(),
        spec["timeZone"].as_str().unwrap_or("<none>").into(),
        suspend.into(),
        list(&status["active"]).len().into(),
        last.into(),
        row.age(),
    ];
    let job = &spec["jobTemplate"]["spec"];
    cells.extend(wide(&job["template"], selectors::selector(&job["selector"])));
    cells
}

fn disruption_budget(row: &Row<'_>) -> Vec<Value> {
    let bound = |value: &Value| if value.is_null() { "N/A".to_owned() } else { shown(value) };
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    vec![
        row.name(),
        bound(&spec["minAvailable"]).into(),
        bound(&spec["maxUnavailable"]).into(),
        row.number(&status["disruptionsAllowed"]),
        row.age(),
    ]
}

fn autoscaler(row: &Row<'_>) -> Vec<Value> {
    let (spec, status) = (&row.body["spec"], &row.body["status"]);
    let target = &spec["scaleTargetRef"];
    let least = spec["minReplicas"].as_i64().map_or_else(|| "<unset>".to_owned(), |least| least.to_string());
    vec![
        row.name(),
        format!("{}/{}", text(&target["kind"]), text(&target["name"])).into(),
        metrics(list(&spec["metrics"]), list(&status["currentMetrics"])).into(),
        least.into(),
        row.number(&spec["maxReplicas"]),
        row.number(&status["currentReplicas"]),
        row.age(),
    ]
}

fn metrics(specs: &[Value], statuses: &[Value]) -> String {
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let all: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| metric(spec, statuses.get(index).unwrap_or(&Value::Null)))
        .collect();
    let shown = all[..all.len().min(2)].join(", ");
    if all.len() > 2 { format!("{shown} + {} more...", all.len() - 2) } else { shown }
}

/// What a metric is now, and what it should be.
fn metric(spec: &Value, status: &Value) -> String {
    let (source, named) = match text(&spec["type"]) {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (target, status) = (&spec[source]["target"], &status[source]);
    let current = &status["current"];
    let quantity = |value: &Value, absent: &'static str| text_or(value, absent).to_owned();
    let prefix = if named { format!("{}: ", text(&spec[source]["name"])) } else { String::new() };
    let average = target["averageValue"].is_string();
    if named && !average {
        let percent = |value: &Value, absent: &str| {
            value.as_i64().map_or_else(|| absent.to_owned(), |p| format!("{p}%"))
        };
        let (now, wanted) = (&current["averageUtilization"], &target["averageUtilization"]);
        return format!("{prefix}{}/{}", percent(now, "<unknown>"), percent(wanted, "<auto>"));
    }
    if average || source == "pods" {
        let absent = if status.is_object() && source == "pods" { "0" } else { "<unknown>" };
        let text = format!(
            "{prefix}{}/{}",
            quantity(&current["averageValue"], absent),
            quantity(&target["averageValue"], "0")
        );
        return if named || source == "pods" { text } else { format!("{text} (avg)") };
    }
    let absent = if status.is_object() { "0" } else { "<unknown>" };
    format!("{}/{}", quantity(&current["value"], absent), quantity(&target["value"], "0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metrics_are_shown_beside_their_targets() {
        let cpu =
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}});
        let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "10"}}});
        let now = json!({"resource": {"current": {"averageUtilization": 50}}});
        assert_eq!(metrics(&[cpu.clone(), pods.clone()], &[now]), "cpu: 50%/80%, <unknown>/10");
        assert_eq!(metrics(&[cpu.clone(), pods, cpu], &[]), "cpu: <unknown>/80%, <unknown>/10 + 1 more...");
    }
}
