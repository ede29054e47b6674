//! A deletion that is under way: since when, and what holds it.

use serde_json::Value;

use crate::finding::{Code, Finding};
use crate::model::{LiveObject, ObjectId};

/// Conditions in which Kubernetes and Cluster API say what a deletion waits for.
const TELLING: [&str; 4] = [
    "Deleting",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
    "NamespaceDeletionContentFailure",
];
/// More names than this are counted.
const MOST_NAMES: usize = 5;

/// What a person should know of it; `waiting` is what waits for its end.
pub(super) fn finding(id: &ObjectId, object: &LiveObject, waiting: &[&ObjectId]) -> Finding {
    let metadata = &object.body["metadata"];
    let since = metadata["deletionTimestamp"].as_str().unwrap_or("an unknown time");
    let holds = finalizers(&object.body);
    let mut message = match holds.is_empty() {
        true => format!("is being deleted since {since}"),
        false => format!("is being deleted since {since}, held by {}", holds.join(", ")),
    };
    let told: Vec<&str> = conditions(&object.body).collect();
    if !told.is_empty() {
        message += &format!(": {}", told.join("; "));
    }
    let mut help = "look at what its conditions and the controller of each finalizer say; a finalizer removed by hand leaves \
                    behind what it guards"
        .to_owned();
    if !waiting.is_empty() {
        help = format!("{} for it; {help}", wait(waiting));
    }
    Finding::warning(Code::DeletionUnderWay, message).about(id).help(help)
}

/// `Secret/a/x and Namespace/a wait`.
fn wait(ids: &[&ObjectId]) -> String {
    format!("{} {}", names(ids.iter().copied()), if ids.len() == 1 { "waits" } else { "wait" })
}

/// Names of objects, a few and how many more.
pub(super) fn names<'a>(ids: impl ExactSizeIterator<Item = &'a ObjectId>) -> String {
    let number = ids.len();
    let mut names: Vec<String> = ids.take(MOST_NAMES).map(ToString::to_string).collect();
    if number > MOST_NAMES {
        names.push(format!("{} more", number - MOST_NAMES));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

fn finalizers(body: &Value) -> Vec<&str> {
    // A Namespace has its own in the spec.
    let spec = Some(&body["spec"]["finalizers"]).filter(|_| body["kind"] == "Namespace");
    let lists = [Some(&body["metadata"]["finalizers"]), spec];
    lists.into_iter().flatten().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect()
}

fn conditions(body: &Value) -> impl Iterator<Item = &str> {
    let all = body["status"]["conditions"].as_array();
    all.into_iter().flatten().filter_map(|condition| {
        let telling = TELLING.iter().any(|kind| condition["type"] == *kind) && condition["status"] == "True";
        condition["message"].as_str().filter(|message| telling && !message.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_says_since_when_what_holds_it_and_who_waits() {
        let object = LiveObject::new(json!({"kind": "Cluster",
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["cluster.cluster.x-k8s.io"]},
            "status": {"conditions": [{"type": "Deleting", "status": "True", "message": "waits for 3 Machines"}]}}));
        let id = ObjectId::new("cluster.x-k8s.io", "Cluster", Some("a"), "web");
        let waiting = ObjectId::new("", "Namespace", None, "a");
        let finding = finding(&id, &object, &[&waiting]);
        assert_eq!(
            finding.message,
            "is being deleted since 2026-01-01T00:00:00Z, held by cluster.cluster.x-k8s.io: waits for 3 Machines"
        );
        assert!(finding.help.unwrap().starts_with("Namespace/a waits for it; "));
    }
}
