//! Events of both groups.

use serde_json::Value;

use super::Cells;
use super::row::{Row, number, text, text_or};

pub(super) fn cells(resource: &str) -> Option<Cells> {
    matches!(resource, "events" | "events.events.k8s.io").then_some(event as Cells)
}

/// An event as it is stored: of the core group.
fn event(row: &Row<'_>) -> Vec<Value> {
    let body = row.body;
    let first = match &body["firstTimestamp"] {
        Value::Null => row.since(&body["eventTime"]),
        time => row.since(time),
    };
    let mut last = match &body["lastTimestamp"] {
        Value::Null => first.clone(),
        time => row.since(time),
    };
    let mut count = number(&body["count"]);
    let series = &body["series"];
    if series.is_object() {
        last = row.since(&series["lastObservedTime"]);
        count = number(&series["count"]);
    } else if count == 0 {
        count = 1;
    }
    let about = &body["involvedObject"];
    let kind = text(&about["kind"]).to_lowercase();
    let about_text = match text(&about["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        last.into(),
        text(&body["type"]).into(),
        text(&body["reason"]).into(),
        about_text.into(),
        text(&about["fieldPath"]).into(),
        source(body).into(),
        text(&body["message"]).trim().into(),
        first.into(),
        count.into(),
        row.name(),
    ]
}

fn source(event: &Value) -> String {
    let component = text_or(&event["source"]["component"], text(&event["reportingComponent"]));
    match text_or(&event["source"]["host"], text(&event["reportingInstance"])) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}
