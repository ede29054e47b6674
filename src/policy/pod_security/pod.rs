//! What the checks read of a pod.

use serde_json::Value;

use crate::model::{FieldPath, PathSegment};

use super::Violation;

/// A pod, or the part of one that an exclusion is about.
#[derive(Debug, Clone)]
pub(super) struct Pod<'a> {
    pub(super) spec: &'a Value,
    pub(super) annotations: &'a Value,
    pub(super) containers: Vec<Container<'a>>,
}

#[derive(Debug, Clone)]
pub(super) struct Container<'a> {
    pub(super) value: &'a Value,
    path: FieldPath,
}

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

impl<'a> Pod<'a> {
    /// The pod that an object is or makes, and where it stands in it; `None` for other kinds.
    pub(super) fn of(object: &'a Value) -> Option<(Pod<'a>, FieldPath)> {
        let place: &[&str] = match object["kind"].as_str()? {
            "Pod" => &[],
            "CronJob" => &["spec", "jobTemplate", "spec", "template"],
            "DaemonSet" | "Deployment" | "Job" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
                &["spec", "template"]
            }
            _ => return None,
        };
        let template = place.iter().fold(object, |node, key| &node[*key]);
        let spec = &template["spec"];
        let containers = LISTS.iter().flat_map(|list| {
            let items = spec[*list].as_array().into_iter().flatten().enumerate();
            items.map(|(i, value)| Container { value, path: FieldPath::of_keys(["spec", *list]).index(i) })
        });
        let pod =
            Pod { spec, annotations: &template["metadata"]["annotations"], containers: containers.collect() };
        Some((pod, FieldPath::of_keys(place.iter().copied())))
    }

    /// The pod with one container that sets nothing, for exclusions that name no images.
    pub(super) fn with_an_empty_container(&self) -> Pod<'a> {
        let path = FieldPath::of_keys(["spec", "containers"]).index(0);
        Pod { containers: vec![Container { value: &Value::Null, path }], ..self.clone() }
    }

    /// Its containers of some images, and nothing else of it.
    pub(super) fn containers_of(&self, is_of: impl Fn(&str) -> bool) -> Pod<'a> {
        let of = |container: &&Container<'_>| is_of(container.value["image"].as_str().unwrap_or_default());
        let containers = self.containers.iter().filter(of).cloned().collect();
        Pod { spec: &Value::Null, annotations: &Value::Null, containers }
    }

    /// A field of `securityContext`: of the pod, then of each container.
    pub(super) fn security_fields<'p>(&'p self, path: &'p [&'p str]) -> impl Iterator<Item = Field<'a>> + 'p {
        std::iter::once(self.own_field(path)).chain(self.container_fields(path))
    }

    pub(super) fn own_field(&self, path: &[&str]) -> Field<'a> {
        Field::at(&self.spec["securityContext"], FieldPath::of_keys(["spec", "securityContext"]), path, None)
    }

    pub(super) fn container_fields<'p>(
        &'p self,
        path: &'p [&'p str],
    ) -> impl Iterator<Item = Field<'a>> + 'p {
        self.containers.iter().map(|container| container.security_field(path))
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// Whether it runs in a user namespace of its own.
    pub(super) fn has_user_namespace(&self) -> bool {
        self.spec["hostUsers"] == false
    }
}

impl<'a> Container<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.value["name"].as_str().unwrap_or_default()
    }

    pub(super) fn field(&self, path: &[&str]) -> Field<'a> {
        Field::at(self.value, self.path.clone(), path, Some(self.name()))
    }

    fn security_field(&self, path: &[&str]) -> Field<'a> {
        Field::at(&self.value["securityContext"], self.path.key("securityContext"), path, Some(self.name()))
    }
}

/// A field that a check is about, set or not.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    /// Null if it is not set.
    pub(super) value: &'a Value,
    path: FieldPath,
    container: Option<&'a str>,
}

impl<'a> Field<'a> {
    pub(super) fn of_spec(spec: &'a Value, name: &str) -> Field<'a> {
        Field::at(spec, FieldPath::of_keys(["spec"]), &[name], None)
    }

    fn at(value: &'a Value, path: FieldPath, keys: &[&str], container: Option<&'a str>) -> Field<'a> {
        let field = Field { value, path, container };
        keys.iter().fold(field, |field, key| field.below(key))
    }

    pub(super) fn below(self, key: &str) -> Field<'a> {
        Field { value: &self.value[key], path: self.path.key(key), ..self }
    }

    pub(super) fn items(self) -> impl Iterator<Item = Field<'a>> {
        let Field { value, path, container } = self;
        let items = value.as_array().into_iter().flatten().enumerate();
        items.map(move |(i, value)| Field { value, path: path.index(i), container })
    }

    pub(super) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// It may not be as it is.
    pub(super) fn forbidden<T: Into<String>>(&self, found: impl IntoIterator<Item = T>) -> Violation {
        let found = found.into_iter().map(Into::into).collect();
        Violation { required: false, found, listed: false, ..self.required() }
    }

    /// Some values of its list may not be there.
    pub(super) fn forbidden_items(&self, mut found: Vec<String>) -> Violation {
        found.sort();
        found.dedup();
        Violation { required: false, found, listed: true, ..self.required() }
    }

    /// It has to be set.
    pub(super) fn required(&self) -> Violation {
        let container = self.container.map(str::to_owned);
        Violation { path: self.path.clone(), container, required: true, found: Vec::new(), listed: false }
    }
}

/// A path as the API server writes it: the key of an annotation in brackets.
pub(super) fn written(path: &FieldPath) -> String {
    if let [PathSegment::Key(a), PathSegment::Key(b), PathSegment::Key(key)] = path.0.as_slice()
        && (a.as_str(), b.as_str()) == ("metadata", "annotations")
    {
        return format!("{a}.{b}[{key}]");
    }
    let mut text = String::new();
    for segment in &path.0 {
        match segment {
            PathSegment::Index(index) => text.push_str(&format!("[{index}]")),
            PathSegment::Key(key) if text.is_empty() => text.push_str(key),
            PathSegment::Key(key) => text.push_str(&format!(".{key}")),
        }
    }
    text
}
