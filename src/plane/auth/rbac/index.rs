//! Roles and bindings, found by subject: a decision looks at the bindings of the user and his groups alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use super::super::authorize::{Attributes, Decision};
use super::super::user::{User, service_account_name};
use super::Rule;

/// The namespace of a role or binding; empty for the cluster's.
type Namespace = Arc<str>;
/// The bindings of one subject, by name.
type Bindings = BTreeMap<Arc<str>, Arc<Binding>>;

/// A role binding or cluster role binding.
#[derive(Debug)]
struct Binding {
    namespace: Namespace,
    name: Arc<str>,
    role: Reference,
    subjects: Vec<Subject>,
}

/// The role that a binding binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub group: String,
    pub kind: String,
    pub name: String,
}

#[derive(Debug)]
enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String, user: String },
}

/// Whom the bindings of a namespace, or of the cluster, bind.
#[derive(Debug, Default)]
struct Subjects {
    users: HashMap<String, Bindings>,
    groups: HashMap<String, Bindings>,
}

#[derive(Debug, Default)]
struct Tables {
    roles: HashMap<Namespace, HashMap<Arc<str>, Arc<Vec<Rule>>>>,
    bindings: HashMap<Namespace, HashMap<Arc<str>, Arc<Binding>>>,
    subjects: HashMap<Namespace, Subjects>,
}

/// Where a role or binding is, and which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Role,
    Binding,
}

impl Scope {
    /// By the plural of the kind.
    pub fn of(plural: &str) -> Option<Scope> {
        match plural {
            "roles" | "clusterroles" => Some(Scope::Role),
            "rolebindings" | "clusterrolebindings" => Some(Scope::Binding),
            _ => None,
        }
    }
}

/// All roles and bindings, as they were last written.
#[derive(Debug, Default)]
pub(crate) struct Rbac(RwLock<Tables>);

impl Rbac {
    /// Brings one role or binding up to date. What is there is read under the lock, so that of two writers at once
    /// the later state stays.
    pub fn refresh(&self, scope: Scope, namespace: &str, name: &str, now: impl FnOnce() -> Option<Value>) {
        let mut tables = self.0.write();
        let object = now();
        match scope {
            Scope::Role => tables.set_role(namespace, name, object.as_ref()),
            Scope::Binding => tables.set_binding(namespace, name, object.as_ref()),
        }
    }

    pub fn authorize(&self, wanted: &Attributes<'_>) -> Decision {
        let tables = self.0.read();
        for namespace in scopes(wanted.namespace) {
            for binding in tables.of_user(namespace, wanted.user) {
                let rules = tables.rules(&binding.role, namespace);
                if rules.is_some_and(|rules| rules.iter().any(|rule| rule.allows(wanted))) {
                    let reason = format!("RBAC: allowed by {}", binding.describe(wanted.user));
                    return Decision { allowed: true, reason };
                }
            }
        }
        let missing = tables.rules_for(wanted.user, wanted.namespace).1;
        let reason = together(missing.iter().map(Reference::missing).collect());
        let reason = if reason.is_empty() { reason } else { format!("RBAC: {reason}") };
        Decision { allowed: false, reason }
    }

    /// Every rule that a user has in a namespace (empty: in the cluster), and the roles that are bound and not there.
    pub fn rules_for(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<Reference>) {
        self.0.read().rules_for(user, namespace)
    }

    /// The rules of a role, if it is there.
    pub fn rules_of(&self, role: &Reference, namespace: &str) -> Option<Arc<Vec<Rule>>> {
        self.0.read().rules(role, namespace).cloned()
    }
}

/// Several errors as one text, each once.
pub(crate) fn together(mut errors: Vec<String>) -> String {
    let mut seen = std::collections::HashSet::new();
    errors.retain(|error| seen.insert(error.clone()));
    match &errors[..] {
        [one] => one.clone(),
        [] => String::new(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// The cluster, then the namespace.
fn scopes(namespace: &str) -> impl Iterator<Item = &str> {
    [Some(""), (!namespace.is_empty()).then_some(namespace)].into_iter().flatten()
}

impl Reference {
    pub fn of(binding: &Value) -> Reference {
        let text = |field: &str| binding["roleRef"][field].as_str().unwrap_or_default().to_owned();
        Reference { group: text("apiGroup"), kind: text("kind"), name: text("name") }
    }

    pub fn missing(&self) -> String {
        self.missing_as(&self.kind.to_lowercase())
    }

    /// The same, told of a resource by this name.
    pub fn missing_as(&self, resource: &str) -> String {
        match &*self.kind {
            "Role" | "ClusterRole" => format!("{resource}.{} {:?} not found", super::GROUP, self.name),
            kind => format!("unsupported role reference kind: {kind:?}"),
        }
    }
}

impl Tables {
    fn set_role(&mut self, namespace: &str, name: &str, role: Option<&Value>) {
        let roles = self.roles.entry(namespace.into()).or_default();
        match role {
            Some(role) => roles.insert(name.into(), Arc::new(Rule::all(role))),
            None => roles.remove(name),
        };
        if roles.is_empty() {
            self.roles.remove(namespace);
        }
    }

    fn set_binding(&mut self, namespace: &str, name: &str, body: Option<&Value>) {
        let namespace: Namespace = namespace.into();
        let name: Arc<str> = name.into();
        if let Some(old) = self.bindings.get_mut(&namespace).and_then(|bindings| bindings.remove(&name)) {
            self.unbind(&old);
        }
        if let Some(body) = body {
            let binding = Arc::new(Binding::of(namespace.clone(), name.clone(), body));
            self.bind(&binding);
            self.bindings.entry(namespace).or_default().insert(name, binding);
        } else if self.bindings.get(&namespace).is_some_and(HashMap::is_empty) {
            self.bindings.remove(&namespace);
        }
    }

    fn bind(&mut self, binding: &Arc<Binding>) {
        let subjects = self.subjects.entry(binding.namespace.clone()).or_default();
        for subject in &binding.subjects {
            let (table, key) = subjects.of(subject);
            table.entry(key.to_owned()).or_default().insert(binding.name.clone(), binding.clone());
        }
    }

    fn unbind(&mut self, binding: &Binding) {
        let Some(subjects) = self.subjects.get_mut(&binding.namespace) else { return };
        for subject in &binding.subjects {
            let (table, key) = subjects.of(subject);
            if let Some(bindings) = table.get_mut(key) {
                bindings.remove(&binding.name);
                if bindings.is_empty() {
                    table.remove(key);
                }
            }
        }
        if subjects.users.is_empty() && subjects.groups.is_empty() {
            self.subjects.remove(&binding.namespace);
        }
    }

    /// The bindings of a user and of his groups. One that names several of them comes several times.
    fn of_user<'a>(&'a self, namespace: &str, user: &'a User) -> impl Iterator<Item = &'a Arc<Binding>> {
        let subjects = self.subjects.get(namespace);
        let own = subjects.and_then(|subjects| subjects.users.get(&user.name));
        let groups = subjects
            .into_iter()
            .flat_map(|subjects| user.groups.iter().filter_map(|group| subjects.groups.get(group)));
        own.into_iter().chain(groups).flat_map(BTreeMap::values)
    }

    fn rules(&self, role: &Reference, namespace: &str) -> Option<&Arc<Vec<Rule>>> {
        match &*role.kind {
            "ClusterRole" => self.roles.get("")?.get(&*role.name),
            "Role" if !namespace.is_empty() => self.roles.get(namespace)?.get(&*role.name),
            _ => None,
        }
    }

    fn rules_for(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<Reference>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        for namespace in scopes(namespace) {
            let bindings: Bindings =
                self.of_user(namespace, user).map(|b| (b.name.clone(), b.clone())).collect();
            for binding in bindings.values() {
                match self.rules(&binding.role, namespace) {
                    Some(found) => rules.extend(found.iter().cloned()),
                    None => missing.push(binding.role.clone()),
                }
            }
        }
        (rules, missing)
    }
}

impl Subjects {
    fn of<'a>(&mut self, subject: &'a Subject) -> (&mut HashMap<String, Bindings>, &'a str) {
        match subject {
            Subject::Group(name) => (&mut self.groups, name),
            Subject::User(name) | Subject::ServiceAccount { user: name, .. } => (&mut self.users, name),
        }
    }
}

impl Binding {
    fn of(namespace: Namespace, name: Arc<str>, body: &Value) -> Binding {
        let subjects = body["subjects"].as_array().into_iter().flatten();
        let subjects = subjects.filter_map(|subject| Subject::of(subject, &namespace)).collect();
        Binding { role: Reference::of(body), subjects, namespace, name }
    }

    /// `ClusterRoleBinding "a" of ClusterRole "b" to Group "c"`.
    fn describe(&self, user: &User) -> String {
        let subject = self.subjects.iter().find(|subject| subject.is(user));
        let subject = subject.map(Subject::describe).unwrap_or_default();
        let Reference { kind, name: role, .. } = &self.role;
        if self.namespace.is_empty() {
            format!("ClusterRoleBinding {:?} of {kind} {role:?} to {subject}", self.name)
        } else {
            let name = format!("{}/{}", self.name, self.namespace);
            format!("RoleBinding {name:?} of {kind} {role:?} to {subject}")
        }
    }
}

impl Subject {
    fn of(subject: &Value, namespace: &str) -> Option<Subject> {
        let text = |field: &str| subject[field].as_str().unwrap_or_default();
        let name = text("name").to_owned();
        match text("kind") {
            "User" => Some(Subject::User(name)),
            "Group" => Some(Subject::Group(name)),
            "ServiceAccount" => {
                let own = text("namespace");
                let namespace = if own.is_empty() { namespace } else { own };
                (!namespace.is_empty()).then(|| Subject::ServiceAccount {
                    user: service_account_name(namespace, &name),
                    namespace: namespace.to_owned(),
                    name,
                })
            }
            _ => None,
        }
    }

    fn is(&self, user: &User) -> bool {
        match self {
            Subject::Group(name) => user.in_group(name),
            Subject::User(name) | Subject::ServiceAccount { user: name, .. } => *name == user.name,
        }
    }

    fn describe(&self) -> String {
        match self {
            Subject::User(name) => format!("User {name:?}"),
            Subject::Group(name) => format!("Group {name:?}"),
            Subject::ServiceAccount { namespace, name, .. } => {
                format!("ServiceAccount \"{name}/{namespace}\"")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(verbs: &[&str], resource: &str) -> Value {
        json!({"rules": [{"verbs": verbs, "apiGroups": [""], "resources": [resource]}]})
    }

    fn binding(role: (&str, &str), subject: (&str, &str)) -> Value {
        json!({"roleRef": {"kind": role.0, "name": role.1}, "subjects": [{"kind": subject.0, "name": subject.1}]})
    }

    fn rbac() -> Rbac {
        let rbac = Rbac::default();
        rbac.refresh(Scope::Role, "", "reader", || Some(role(&["get", "list"], "pods")));
        rbac.refresh(Scope::Role, "a", "writer", || Some(role(&["*"], "configmaps")));
        rbac.refresh(Scope::Binding, "", "readers", || {
            Some(binding(("ClusterRole", "reader"), ("Group", "dev")))
        });
        rbac.refresh(Scope::Binding, "a", "writers", || {
            Some(binding(("Role", "writer"), ("ServiceAccount", "bot")))
        });
        rbac
    }

    #[test]
    fn bindings_bind_where_they_are() {
        let rbac = rbac();
        let dev = User::new("x", &["dev"]);
        let bot = User::service_account("a", "bot", "");
        let get = Attributes { namespace: "b", ..Attributes::resource(&dev, "get", "", "pods") };
        assert_eq!(
            rbac.authorize(&get).reason,
            r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "dev""#
        );
        assert!(!rbac.authorize(&Attributes { verb: "delete", ..get }).allowed);
        let put = Attributes { namespace: "a", ..Attributes::resource(&bot, "update", "", "configmaps") };
        assert_eq!(
            rbac.authorize(&put).reason,
            r#"RBAC: allowed by RoleBinding "writers/a" of Role "writer" to ServiceAccount "bot/a""#
        );
        assert!(!rbac.authorize(&Attributes { namespace: "b", ..put }).allowed);
        assert!(!rbac.authorize(&Attributes { namespace: "", ..put }).allowed);
    }

    #[test]
    fn what_is_removed_no_longer_allows() {
        let rbac = rbac();
        let dev = User::new("x", &["dev"]);
        let get = Attributes::resource(&dev, "get", "", "pods");
        rbac.refresh(Scope::Role, "", "reader", || None);
        let refused = rbac.authorize(&get);
        assert!(!refused.allowed);
        assert_eq!(refused.reason, r#"RBAC: clusterrole.rbac.authorization.k8s.io "reader" not found"#);
        rbac.refresh(Scope::Binding, "", "readers", || None);
        assert_eq!(rbac.authorize(&get).reason, "");
        assert!(!rbac.0.read().subjects.contains_key(""));
    }
}
