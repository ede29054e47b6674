//! Field selectors: `metadata.name=a,status.phase!=Failed`. Which fields there are, each kind says.

use std::borrow::Cow;

use serde_json::Value;

use crate::plane::kinds::Resource;
use crate::plane::store::Object;

/// What fields must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// From its text; the error is what the server says.
    pub fn parse(text: &str) -> Result<FieldSelector, String> {
        let mut parts = split(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let found = part.char_indices().find_map(|(at, _)| {
                let operator = ["!=", "==", "="].into_iter().find(|op| part[at..].starts_with(op))?;
                Some((&part[..at], operator, &part[at + operator.len()..]))
            });
            let Some((field, operator, value)) = found else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            terms.push(Term { field: field.to_owned(), value: unescape(value)?, equal: operator != "!=" });
        }
        Ok(FieldSelector(terms))
    }

    /// The selector in the names under which the kind's fields are known; refused when it has no such field.
    pub fn for_kind(mut self, resource: &Resource) -> Result<FieldSelector, String> {
        for term in &mut self.0 {
            term.field = known(resource, &term.field)?;
        }
        Ok(self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn matches(&self, object: &Object) -> bool {
        // Names are at hand; for other fields the object must be read.
        let mut body = None;
        self.0.iter().all(|term| {
            let found = match term.field.as_str() {
                "metadata.name" => object.name(),
                "metadata.namespace" => object.namespace(),
                field => field_of(field, body.get_or_insert_with(|| object.body())).into(),
            };
            (found == term.value.as_str()) == term.equal
        })
    }
}

/// At the commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> Result<String, String> {
    let invalid =
        |sequence: &str| Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(other) => return invalid(&format!("\\{other}")),
                None => return invalid("\\"),
            },
            ',' | '=' => {
                let code = u32::from(c);
                return Err(format!("invalid field selector: unescaped character in value: {code}"));
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// The name under which a kind's field is known.
fn known(resource: &Resource, field: &str) -> Result<String, String> {
    let unsupported = || Err(format!("field label not supported: {field}"));
    if resource.custom {
        let of_metadata = field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced);
        let declared = resource.selectable.iter().any(|one| one == field);
        return if of_metadata || declared { Ok(field.to_owned()) } else { unsupported() };
    }
    let (group, kind) = (&*resource.gvk.group, &*resource.gvk.kind);
    let Some(fields) = own_fields(group, kind) else {
        return match field {
            "metadata.name" | "metadata.namespace" => Ok(field.to_owned()),
            _ => Err(format!(
                "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )),
        };
    };
    if field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced) {
        return Ok(field.to_owned());
    }
    let name = match (group, kind) {
        // What old clients send.
        ("", "Pod") if field == "spec.host" => return Ok("spec.nodeName".to_owned()),
        ("events.k8s.io", "Event") => in_core_event(field),
        _ => Some(Cow::Borrowed(field)),
    };
    match name {
        Some(name) if fields.contains(&&*name) => Ok(name.into_owned()),
        _ if (group, kind) == ("batch", "Job") => Err(format!("field label {field:?} not supported for Job")),
        _ => unsupported(),
    }
}

/// The fields of the kinds that declare some of their own.
fn own_fields(group: &str, kind: &str) -> Option<&'static [&'static str]> {
    Some(match (group, kind) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "Secret") => &["type"],
        ("", "Service") => &["spec.clusterIP", "spec.type"],
        ("", "ReplicationController") => &["status.replicas"],
        ("" | "events.k8s.io", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("batch", "Job") => &["status.successful"],
        ("certificates.k8s.io", "CertificateSigningRequest") => &["spec.signerName"],
        _ => return None,
    })
}

/// The name in a core event of a field of an `events.k8s.io` event.
fn in_core_event(field: &str) -> Option<Cow<'_, str>> {
    match field {
        "reason" | "type" => Some(Cow::Borrowed(field)),
        "reportingController" => Some(Cow::Borrowed("reportingComponent")),
        _ => field.strip_prefix("regarding.").map(|rest| Cow::Owned(format!("involvedObject.{rest}"))),
    }
}

/// The text that a field is compared as.
fn field_of(field: &str, body: &Value) -> String {
    let at = |path: &str| path.split('.').fold(body, |at, key| &at[key]);
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let or = |value: &Value, default: &str| if value.is_null() { default.to_owned() } else { text(value) };
    let builtin = |api_version: &str| body["apiVersion"] == api_version;
    match field {
        "spec.hostNetwork" | "spec.unschedulable" if builtin("v1") => or(at(field), "false"),
        "status.replicas" if builtin("v1") => or(at(field), "0"),
        "status.successful" if builtin("batch/v1") => or(at("status.succeeded"), "0"),
        "status.podIP" if builtin("v1") => {
            or(&body["status"]["podIPs"][0]["ip"], &text(&body["status"]["podIP"]))
        }
        // It can be asked for, and is never there.
        "status.podIPs" if builtin("v1") => String::new(),
        "source" if builtin("v1") => match text(&body["source"]["component"]) {
            empty if empty.is_empty() => text(&body["reportingComponent"]),
            component => component,
        },
        _ => text(at(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_split_at_what_is_not_escaped() {
        let term = |field: &str, value: &str, equal| Term {
            field: field.to_owned(),
            value: value.to_owned(),
            equal,
        };
        let parsed = FieldSelector::parse("b!=x\\,y,a==1,").unwrap();
        assert_eq!(parsed.0, [term("a", "1", true), term("b", "x,y", false)]);
        assert!(FieldSelector::parse(",").unwrap().is_empty());
        for (text, expected) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            ("a=\\b", "invalid field selector: invalid escape sequence: \\b"),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap_err(), expected);
        }
    }
}
