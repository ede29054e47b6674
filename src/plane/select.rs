//! Label selectors and field selectors.

use serde_json::Value;

use super::kinds::Resource;
use super::status::Failure;
use super::store::Object;

/// What a list, watch or delete-collection is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    name: String,
    path: Vec<String>,
    value: String,
    equal: bool,
}

impl Selection {
    /// From the texts of a query; refused as the server refuses them.
    pub fn parse(labels: Option<&str>, fields: Option<&str>, of: &Resource) -> Result<Selection, Failure> {
        let mut selection = Selection::default();
        for text in split_outside_parentheses(labels.unwrap_or_default()) {
            let requirement = Requirement::parse(text.trim())
                .ok_or_else(|| Failure::bad_request(format!("unable to parse requirement: {text:?}")))?;
            selection.labels.push(requirement);
        }
        for text in fields.unwrap_or_default().split(',').filter(|text| !text.is_empty()) {
            selection.fields.push(field_requirement(text, of)?);
        }
        Ok(selection)
    }

    /// From a `LabelSelector` of an object.
    pub fn of_labels(selector: &Value) -> Selection {
        let mut labels = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            labels.push(Requirement { key: key.clone(), operator: Operator::In(vec![value]) });
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values = || {
                let values = expression["values"].as_array().into_iter().flatten();
                values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
            };
            let operator = match expression["operator"].as_str() {
                Some("NotIn") => Operator::NotIn(values()),
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::Absent,
                // Validation lets nothing else through.
                _ => Operator::In(values()),
            };
            labels.push(Requirement {
                key: expression["key"].as_str().unwrap_or_default().to_owned(),
                operator,
            });
        }
        Selection { labels, fields: Vec::new() }
    }

    /// Whether labels are selected.
    pub fn matches_labels(&self, labels: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.matches(labels[&requirement.key].as_str()))
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Object) -> bool {
        if !self.labels.is_empty() {
            let labels = object.labels();
            if !self.labels.iter().all(|wanted| wanted.matches(labels[&wanted.key].as_str())) {
                return false;
            }
        }
        // Names are at hand; of other fields the object must be read.
        let in_metadata = |name: &str| match name {
            "metadata.name" => Some(object.name()),
            "metadata.namespace" => Some(object.namespace()),
            _ => None,
        };
        let mut body = None;
        self.fields.iter().all(|wanted| match in_metadata(&wanted.name) {
            Some(text) => (text == wanted.value) == wanted.equal,
            None => wanted.matches(body.get_or_insert_with(|| object.body())),
        })
    }
}

impl Requirement {
    fn parse(text: &str) -> Option<Requirement> {
        let requirement = |key: &str, operator| {
            let key = key.trim();
            (!key.is_empty() && !key.contains(char::is_whitespace))
                .then(|| Requirement { key: key.to_owned(), operator })
        };
        let one = |value: &str| vec![value.trim().to_owned()];
        if let Some(open) = text.find('(') {
            let values = text[open + 1..].strip_suffix(')')?;
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            let (key, word) = text[..open].trim_end().rsplit_once(char::is_whitespace)?;
            return match word {
                "in" => requirement(key, Operator::In(values)),
                "notin" => requirement(key, Operator::NotIn(values)),
                _ => None,
            };
        }
        if let Some((key, value)) = text.split_once("!=") {
            requirement(key, Operator::NotIn(one(value)))
        } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            requirement(key, Operator::In(one(value)))
        } else if let Some((key, value)) = text.split_once('>') {
            requirement(key, Operator::Greater(value.trim().parse().ok()?))
        } else if let Some((key, value)) = text.split_once('<') {
            requirement(key, Operator::Less(value.trim().parse().ok()?))
        } else if let Some(key) = text.strip_prefix('!') {
            requirement(key, Operator::Absent)
        } else {
            requirement(text, Operator::Exists)
        }
    }

    fn matches(&self, value: Option<&str>) -> bool {
        match (&self.operator, value) {
            (Operator::In(values), Some(value)) => values.iter().any(|v| v == value),
            (Operator::NotIn(values), Some(value)) => !values.iter().any(|v| v == value),
            (Operator::Exists, Some(_)) | (Operator::Absent | Operator::NotIn(_), None) => true,
            (Operator::Greater(bound), Some(value)) => value.parse::<i64>().is_ok_and(|v| v > *bound),
            (Operator::Less(bound), Some(value)) => value.parse::<i64>().is_ok_and(|v| v < *bound),
            _ => false,
        }
    }
}

impl FieldRequirement {
    fn matches(&self, body: &Value) -> bool {
        let found = self.path.iter().try_fold(body, |at, key| at.get(key));
        let text = match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        (text == self.value) == self.equal
    }
}

/// `metadata.name=a`; other fields only where the kind declares them selectable.
fn field_requirement(text: &str, of: &Resource) -> Result<FieldRequirement, Failure> {
    let (path, value, equal) = if let Some((path, value)) = text.split_once("!=") {
        (path, value, false)
    } else if let Some((path, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (path, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid selector: '{text}'; can't understand '{text}'")));
    };
    let known = path == "metadata.name"
        || (path == "metadata.namespace" && of.namespaced)
        || of.selectable.iter().any(|field| field == path)
        || selectable_builtin(&of.gvk.group, &of.gvk.kind).contains(&path);
    if !known {
        return Err(Failure::bad_request(format!("field label not supported: {path}")));
    }
    Ok(FieldRequirement {
        name: path.to_owned(),
        path: path.split('.').map(str::to_owned).collect(),
        value: value.to_owned(),
        equal,
    })
}

/// Fields that built-in kinds can be selected by.
fn selectable_builtin(group: &str, kind: &str) -> &'static [&'static str] {
    match (group, kind) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "Secret") => &["type"],
        ("", "Service") => &["spec.clusterIP", "spec.type"],
        ("", "ReplicationController") => &["status.replicas"],
        ("", "Event") => &[
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
        ("apps", "ReplicaSet") => &["status.replicas"],
        ("batch", "Job") => &["status.successful"],
        ("certificates.k8s.io", "CertificateSigningRequest") => &["spec.signerName"],
        _ => &[],
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requirements_are_read_in_every_form() {
        let labels = json!({"a": "1", "n": "5"});
        for (text, expected) in [
            ("a=1", true),
            ("a==2", false),
            ("a!=2", true),
            ("b!=2", true),
            ("a in (1, 2)", true),
            ("a notin (1)", false),
            ("b notin (1)", true),
            ("a", true),
            ("!a", false),
            ("!b", true),
            ("n>4", true),
            ("n<5", false),
        ] {
            let requirement = Requirement::parse(text).unwrap();
            assert_eq!(requirement.matches(labels[&requirement.key].as_str()), expected, "{text}");
        }
        assert_eq!(split_outside_parentheses("a in (1,2),b"), ["a in (1,2)", "b"]);
        assert!(Requirement::parse("a b c").is_none());
    }
}
