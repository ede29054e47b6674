//! `match` and `exclude`: which objects a rule is about.

mod explain;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::expr::wildcard;
use crate::model::Gvk;

use super::cel::Constraints;
use super::kinds::KindSelector;
use super::reader::{Reader, Result};
use super::request::{Request, UserInfo};
use super::selector::Selector;

/// Which objects a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matching(Selection);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Selection {
    /// A classic rule's `match` and `exclude`.
    Filters { include: Filters, exclude: Option<Filters> },
    /// `matchConstraints` of a CEL policy.
    Constraints(Constraints),
}

/// The filters of a block, and how they combine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filters {
    Any(Vec<Filter>),
    All(Vec<Filter>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Filter {
    kinds: Vec<KindSelector>,
    names: Vec<String>,
    /// The older field `name`, which is ANDed with `names`.
    name: Option<String>,
    namespaces: Vec<String>,
    annotations: Vec<(String, String)>,
    selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    operations: Vec<String>,
    roles: Vec<String>,
    cluster_roles: Vec<String>,
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

/// The kinds that can match, for the index.
pub(crate) enum Kinds<'a> {
    /// Exactly these, as the names of their resources.
    These(Vec<Cow<'a, str>>),
    /// Not known without asking the filters.
    Unknown,
}

/// What the filters read of an object, looked up once for all rules.
pub(crate) struct Subjected<'a> {
    pub(crate) gvk: Gvk,
    name: &'a str,
    /// The object's namespace; for a Namespace, its own name.
    namespace: &'a str,
    labels: &'a Map<String, Value>,
    annotations: &'a Map<String, Value>,
    namespace_labels: Map<String, Value>,
    operation: &'static str,
    subresource: &'a str,
    user: Option<&'a UserInfo>,
}

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

impl<'a> Subjected<'a> {
    pub(crate) fn of(request: &Request<'a>) -> Subjected<'a> {
        let object = request.object;
        let metadata = &object["metadata"];
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let own = || Gvk::new(text(&object["apiVersion"]), text(&object["kind"]));
        let gvk = request.parent.cloned().unwrap_or_else(own);
        let mut name = text(&metadata["name"]);
        if name.is_empty() {
            name = text(&metadata["generateName"]);
        }
        let namespace = if &*gvk.kind == "Namespace" { name } else { text(&metadata["namespace"]) };
        Subjected {
            gvk,
            name,
            namespace,
            labels: metadata["labels"].as_object().unwrap_or(&EMPTY),
            annotations: metadata["annotations"].as_object().unwrap_or(&EMPTY),
            namespace_labels: request.namespace_labels.map(labels_of).unwrap_or_default(),
            operation: request.operation.as_str(),
            subresource: request.subresource.unwrap_or_default(),
            user: request.user,
        }
    }
}

impl Subjected<'_> {
    pub(crate) fn namespace(&self) -> &str {
        self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn labels(&self) -> &Map<String, Value> {
        self.labels
    }

    pub(crate) fn operation(&self) -> &str {
        self.operation
    }

    pub(crate) fn subresource(&self) -> &str {
        self.subresource
    }

    pub(crate) fn namespace_labels(&self) -> &Map<String, Value> {
        &self.namespace_labels
    }
}

fn labels_of(labels: &BTreeMap<String, String>) -> Map<String, Value> {
    labels.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect()
}

impl Matching {
    /// Of a rule's `match` and `exclude`.
    pub(crate) fn compile(rule: &Reader<'_>) -> Result<Matching> {
        let include = rule.field("match").ok_or_else(|| rule.error("match is missing"))?;
        let exclude = rule.field("exclude").map(|block| filters(&block)).transpose()?;
        Ok(Matching(Selection::Filters { include: filters(&include)?, exclude }))
    }

    /// Of the constraints of a CEL policy.
    pub(crate) fn of_constraints(constraints: Constraints) -> Matching {
        Matching(Selection::Constraints(constraints))
    }

    /// The kinds that it can be about.
    pub(crate) fn kinds(&self) -> Kinds<'_> {
        let include = match &self.0 {
            Selection::Filters { include, .. } => include,
            Selection::Constraints(constraints) => {
                return constraints.resources().map_or(Kinds::Unknown, |names| {
                    Kinds::These(names.into_iter().map(Cow::Borrowed).collect())
                });
            }
        };
        let (Filters::Any(list) | Filters::All(list)) = include;
        let mut kinds = Vec::new();
        for filter in list {
            if filter.kinds.is_empty() {
                return Kinds::Unknown;
            }
            for kind in &filter.kinds {
                match kind.literal_kind() {
                    Some(kind) => kinds.push(Cow::Owned(resource_name(kind))),
                    None => return Kinds::Unknown,
                }
            }
        }
        Kinds::These(kinds)
    }

    /// For a rule whose `match` cannot be understood: all objects of the kinds it names, or simply all objects.
    pub(crate) fn widest(rule: &Value) -> Matching {
        let block = &rule["match"];
        let filters = ["any", "all"].iter().filter_map(|name| block[name].as_array()).flatten();
        let mut kinds = Some(Vec::new());
        for list in std::iter::once(block).chain(filters).map(|filter| &filter["resources"]["kinds"]) {
            for kind in list.as_array().into_iter().flatten() {
                let selector = kind.as_str().and_then(KindSelector::parse);
                kinds = kinds.zip(selector).map(|(mut kinds, selector)| {
                    kinds.push(selector);
                    kinds
                });
            }
        }
        let kinds = kinds.filter(|kinds| !kinds.is_empty());
        let kinds = kinds.unwrap_or_else(|| KindSelector::parse("*").into_iter().collect());
        let include = Filters::Any(vec![Filter { kinds, ..Filter::default() }]);
        Matching(Selection::Filters { include, exclude: None })
    }

    pub(crate) fn matches(&self, object: &Subjected<'_>) -> bool {
        let (include, exclude) = match &self.0 {
            Selection::Filters { include, exclude } => (include, exclude),
            Selection::Constraints(constraints) => return constraints.matches(object),
        };
        let included = match include {
            Filters::Any(filters) => filters.iter().any(|f| f.includes(object)),
            Filters::All(filters) => filters.iter().all(|f| f.includes(object)),
        };
        included
            && !exclude.as_ref().is_some_and(|exclude| match exclude {
                Filters::Any(filters) => filters.iter().any(|f| f.excludes(object)),
                Filters::All(filters) => filters.iter().all(|f| f.excludes(object)),
            })
    }
}

/// `any`, else `all`, else the block itself is one filter.
fn filters(block: &Reader<'_>) -> Result<Filters> {
    let any = block.list("any")?;
    if !any.is_empty() {
        return Ok(Filters::Any(any.iter().map(filter).collect::<Result<_>>()?));
    }
    let all = block.list("all")?;
    if !all.is_empty() {
        return Ok(Filters::All(all.iter().map(filter).collect::<Result<_>>()?));
    }
    Ok(Filters::Any(vec![filter(block)?]))
}

fn filter(block: &Reader<'_>) -> Result<Filter> {
    block.only(&["any", "all", "resources", "roles", "clusterRoles", "subjects"])?;
    let mut filter = Filter {
        roles: block.strings("roles")?,
        cluster_roles: block.strings("clusterRoles")?,
        subjects: block.list("subjects")?.iter().map(subject).collect::<Result<_>>()?,
        ..Filter::default()
    };
    let Some(resources) = block.field("resources") else { return Ok(filter) };
    resources.only(&[
        "kinds",
        "name",
        "names",
        "namespaces",
        "annotations",
        "selector",
        "namespaceSelector",
        "operations",
    ])?;
    for kind in resources.list("kinds")? {
        let selector = KindSelector::parse(kind.text()?);
        filter.kinds.push(selector.ok_or_else(|| {
            kind.error(
                "not a kind: write Kind, version/Kind, group/version/Kind, each with /subresource behind",
            )
        })?);
    }
    filter.name = resources.string("name")?;
    filter.names = resources.strings("names")?;
    filter.namespaces = resources.strings("namespaces")?;
    filter.annotations = resources.string_map("annotations")?;
    filter.selector = resources.field("selector").map(|s| Selector::compile(&s)).transpose()?;
    filter.namespace_selector =
        resources.field("namespaceSelector").map(|s| Selector::compile(&s)).transpose()?;
    for operation in resources.list("operations")? {
        match operation.text()? {
            text @ ("CREATE" | "UPDATE" | "DELETE" | "CONNECT") => filter.operations.push(text.to_owned()),
            _ => return Err(operation.error("an operation is CREATE, UPDATE, DELETE or CONNECT")),
        }
    }
    Ok(filter)
}

fn subject(reader: &Reader<'_>) -> Result<Subject> {
    Ok(Subject {
        kind: reader.string("kind")?.unwrap_or_default(),
        name: reader.string("name")?.unwrap_or_default(),
        namespace: reader.string("namespace")?.unwrap_or_default(),
    })
}

impl Filter {
    fn has_resources(&self) -> bool {
        !self.kinds.is_empty()
            || !self.names.is_empty()
            || self.name.is_some()
            || !self.namespaces.is_empty()
            || !self.annotations.is_empty()
            || self.selector.is_some()
            || self.namespace_selector.is_some()
            || !self.operations.is_empty()
    }

    fn names_users(&self) -> bool {
        !self.roles.is_empty() || !self.cluster_roles.is_empty() || !self.subjects.is_empty()
    }

    /// As a part of `match`: without user info, who asked does not matter; an empty filter matches nothing.
    fn includes(&self, object: &Subjected<'_>) -> bool {
        (self.has_resources() || object.user.is_some() && self.names_users())
            && self.resources_match(object)
            && object.user.is_none_or(|user| self.user_matches(user))
    }

    /// As a part of `exclude`: without user info, a filter that names users excludes nobody.
    fn excludes(&self, object: &Subjected<'_>) -> bool {
        (self.has_resources() || self.names_users())
            && self.resources_match(object)
            && match object.user {
                Some(user) => self.user_matches(user),
                None => !self.names_users(),
            }
    }

    fn resources_match(&self, object: &Subjected<'_>) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|p| wildcard::matches(p, text))
        };
        (self.kinds.is_empty() || self.kinds.iter().any(|k| k.matches(&object.gvk, object.subresource)))
            && self.name.as_ref().is_none_or(|name| wildcard::matches(name, object.name))
            && any(&self.names, object.name)
            && any(&self.namespaces, object.namespace)
            && (self.operations.is_empty() || self.operations.iter().any(|o| o == object.operation))
            && self.annotations.iter().all(|(key, value)| {
                object.annotations.iter().any(|(k, v)| {
                    wildcard::matches(key, k) && v.as_str().is_some_and(|v| wildcard::matches(value, v))
                })
            })
            && self.selector.as_ref().is_none_or(|s| s.matches(object.labels))
            && self
                .namespace_selector
                .as_ref()
                .is_none_or(|s| &*object.gvk.kind != "Namespace" && s.matches(&object.namespace_labels))
    }

    /// Roles, cluster roles and subjects are ANDed.
    fn user_matches(&self, user: &UserInfo) -> bool {
        let any = |wanted: &[String], has: &[String]| {
            wanted.is_empty() || wanted.iter().any(|w| has.iter().any(|h| h == w))
        };
        any(&self.roles, &user.roles)
            && any(&self.cluster_roles, &user.cluster_roles)
            && (self.subjects.is_empty() || self.subjects.iter().any(|s| s.is(user)))
    }
}

/// The name of a kind's resource, as nearly all kinds have it.
pub(crate) fn resource_name(kind: &str) -> String {
    let kind = kind.to_lowercase();
    let vowel_before_y = |stem: &str| stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match kind.strip_suffix('y') {
        Some(stem) if !vowel_before_y(stem) => format!("{stem}ies"),
        _ if kind == "endpoints" => kind,
        _ if kind.ends_with(['s', 'x']) || kind.ends_with("ch") => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

impl Subject {
    fn is(&self, user: &UserInfo) -> bool {
        match self.kind.as_str() {
            "ServiceAccount" => {
                let full = format!("system:serviceaccount:{}:{}", self.namespace, self.name);
                wildcard::matches(&full, &user.name)
            }
            "User" => wildcard::matches(&self.name, &user.name),
            "Group" => user.groups.iter().any(|group| wildcard::matches(&self.name, group)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;
    use crate::policy::request::Operation;
    use serde_json::json;

    fn compile(rule: &Value) -> Matching {
        Matching::compile(&Reader::new(rule, FieldPath::default())).unwrap()
    }

    fn matches(rule: &Value, object: &Value) -> bool {
        compile(rule).matches(&Subjected::of(&Request::create(object)))
    }

    fn pod() -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "web-1", "namespace": "team-a", "labels": {"app": "web"}, "annotations": {"a.io/x": "yes"}}})
    }

    #[test]
    fn everything_in_a_filter_must_match() {
        let rule = json!({"match": {"any": [{"resources": {
            "kinds": ["Pod"], "names": ["web-*"], "namespaces": ["team-?"], "annotations": {"a.io/*": "y*"},
            "selector": {"matchLabels": {"app": "web"}}, "operations": ["CREATE"]}}]}});
        assert!(matches(&rule, &pod()));
        for (field, value) in [
            ("kinds", json!(["Deployment"])),
            ("names", json!(["db-*"])),
            ("namespaces", json!(["team"])),
            ("annotations", json!({"a.io/*": "n*"})),
            ("selector", json!({"matchLabels": {"app": "db"}})),
            ("operations", json!(["UPDATE"])),
        ] {
            let mut other = rule.clone();
            other["match"]["any"][0]["resources"][field] = value;
            assert!(!matches(&other, &pod()), "{field}");
        }
    }

    #[test]
    fn filters_combine_as_their_list_says() {
        let filter = |name: &str| json!({"resources": {"kinds": ["Pod"], "names": [name]}});
        let (yes, no) = (filter("web-1"), filter("x"));
        assert!(matches(&json!({"match": {"any": [no, yes]}}), &pod()));
        assert!(!matches(&json!({"match": {"all": [no, yes]}}), &pod()));
        assert!(matches(&json!({"match": yes}), &pod()));
        assert!(!matches(&json!({"match": yes, "exclude": {"any": [no, yes]}}), &pod()));
        assert!(matches(&json!({"match": yes, "exclude": {"all": [no, yes]}}), &pod()));
        assert!(matches(&json!({"match": yes, "exclude": {}}), &pod()));
        assert!(!matches(&json!({"match": {}}), &pod()));
    }

    #[test]
    fn without_a_user_match_forgets_users_and_exclude_does_not() {
        let users = json!({"resources": {"kinds": ["Pod"]}, "clusterRoles": ["admin"]});
        let all = json!({"resources": {"kinds": ["Pod"]}});
        let only = json!({"subjects": [{"kind": "User", "name": "a"}]});
        assert!(matches(&json!({"match": users}), &pod()));
        assert!(matches(&json!({"match": all, "exclude": users}), &pod()));
        assert!(!matches(&json!({"match": only}), &pod()));
        let pod = pod();
        let asked = |rule: &Value, user: &UserInfo| {
            let request = Request { user: Some(user), ..Request::create(&pod) };
            compile(rule).matches(&Subjected::of(&request))
        };
        let user = |name: &str, role: &str| UserInfo {
            name: name.into(),
            cluster_roles: vec![role.into()],
            ..UserInfo::default()
        };
        assert!(asked(&json!({"match": users}), &user("a", "admin")));
        assert!(!asked(&json!({"match": users}), &user("a", "view")));
        assert!(!asked(&json!({"match": all, "exclude": users}), &user("a", "admin")));
        let account = json!({"subjects": [{"kind": "ServiceAccount", "namespace": "n", "name": "b*"}]});
        assert!(asked(&json!({"match": account}), &user("system:serviceaccount:n:bot", "")));
        assert!(!asked(&json!({"match": account}), &user("system:serviceaccount:m:bot", "")));
    }

    #[test]
    fn a_namespace_is_in_itself_and_never_selected_by_labels() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}});
        let filter = |field: &str, value: Value| json!({"match": {"resources": {"kinds": ["Namespace"], field: value}}});
        assert!(matches(&filter("namespaces", json!(["team-*"])), &namespace));
        assert!(!matches(&filter("namespaceSelector", json!({})), &namespace));
        let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        let pod = pod();
        let request = Request { namespace_labels: Some(&labels), ..Request::create(&pod) };
        for (env, expected) in [("prod", true), ("dev", false)] {
            let rule = json!({"match": {"resources": {"namespaceSelector": {"matchLabels": {"env": env}}}}});
            assert_eq!(compile(&rule).matches(&Subjected::of(&request)), expected);
        }
        assert_eq!(Operation::parse("DELETE"), Some(Operation::Delete));
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        for (rule, path) in [
            (json!({"match": {"any": [{"resources": {"kind": ["Pod"]}}]}}), "match.any[0].resources.kind"),
            (json!({"match": {"resources": {"kinds": ["a/b/c/d/e"]}}}), "match.resources.kinds[0]"),
            (json!({"match": {"resources": {"operations": ["create"]}}}), "match.resources.operations[0]"),
            (json!({}), ""),
        ] {
            let error = Matching::compile(&Reader::new(&rule, FieldPath::default())).unwrap_err();
            assert_eq!(error.path.to_string(), path);
        }
    }

    #[test]
    fn what_cannot_be_understood_matches_widely() {
        let of = |rule: Value| Matching::widest(&rule).matches(&Subjected::of(&Request::create(&pod())));
        assert!(of(json!({"match": {"any": [{"resources": {"kinds": ["Pod"], "nam": ["x"]}}]}})));
        assert!(!of(json!({"match": {"any": [{"resources": {"kinds": ["Service"], "nam": ["x"]}}]}})));
        assert!(of(json!({"match": {"resources": {"kinds": ["Service", 7]}}})));
        assert!(of(json!({"match": 7})));
    }
}
