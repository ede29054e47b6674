//! What a policy judges: an object, and what is known about the request that brings it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::expr::{Context, Environment, Outside};
use crate::model::Gvk;

/// What is done with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operation {
    /// It is created.
    #[default]
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// A connection to it is opened (`exec`, `port-forward`).
    Connect,
}

impl Operation {
    /// As admission requests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }

    /// From the word in an admission request.
    pub fn parse(text: &str) -> Option<Operation> {
        [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect]
            .into_iter()
            .find(|operation| operation.as_str() == text)
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInfo {
    /// User name, `system:serviceaccount:team-a:deployer` for a service account.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Roles bound to the user, as `namespace:name`.
    pub roles: Vec<String>,
    /// Cluster roles bound to the user.
    pub cluster_roles: Vec<String>,
}

/// Values that stand in for what only a cluster could answer, by dotted path (`request.operation`, `cm.data.x`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values {
    /// For every rule.
    pub global: Map<String, Value>,
    /// For a rule, by policy and rule name; what is for a rule is for those made of it for pod controllers, too.
    pub rules: HashMap<(String, String), Map<String, Value>>,
    /// For each element of a rule's `foreach`: lists, by policy and rule name.
    pub elements: HashMap<(String, String), Map<String, Value>>,
    /// For every rule of a policy, by its name.
    pub policies: HashMap<String, Map<String, Value>>,
}

impl Values {
    /// From a document of kind Values (cli.kyverno.io), for the policies that judge an object of this name.
    pub fn of_file(file: &Value, object: &str) -> Values {
        let mut values = Values { global: map(&file["globalValues"]), ..Values::default() };
        for entry in file["policies"].as_array().into_iter().flatten() {
            let policy = entry["name"].as_str().unwrap_or_default();
            let named =
                entry["resources"].as_array().into_iter().flatten().filter(|one| one["name"] == object);
            let own = named.flat_map(|one| map(&one["values"]));
            values.policies.entry(policy.to_owned()).or_default().extend(own);
            for rule in entry["rules"].as_array().into_iter().flatten() {
                let key = (policy.to_owned(), rule["name"].as_str().unwrap_or_default().to_owned());
                values.elements.insert(key.clone(), map(&rule["foreachValues"]));
                values.rules.insert(key, map(&rule["values"]));
            }
        }
        values
    }
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// An object to judge.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The object; for [`Operation::Delete`] the one that goes.
    pub object: &'a Value,
    /// What it was before a change.
    pub old_object: Option<&'a Value>,
    /// What is done with it.
    pub operation: Operation,
    /// Labels of its namespace, if known.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
    /// Its namespace itself, if known.
    pub namespace: Option<&'a Value>,
    /// Who asks, if known. Unknown, `match` ignores whom it names and `exclude` excludes nobody.
    pub user: Option<&'a UserInfo>,
    /// The subresource, if it is about one.
    pub subresource: Option<&'a str>,
    /// The kind that the subresource belongs to, if the object is not of it: a `Scale` of a Deployment.
    pub parent: Option<&'a Gvk>,
    /// Values that stand in for a cluster's answers.
    pub values: Option<&'a Values>,
    /// Whether it is a request to an API server, which evaluates its own admission policies by itself.
    pub at_server: bool,
    /// Whom rules may ask for more than the request holds.
    pub outside: Option<&'a dyn Outside>,
}

impl<'a> Request<'a> {
    /// An object about to be applied, and nothing else known.
    pub fn create(object: &'a Value) -> Request<'a> {
        Request {
            object,
            old_object: None,
            operation: Operation::Create,
            namespace_labels: None,
            namespace: None,
            user: None,
            subresource: None,
            parent: None,
            values: None,
            at_server: false,
            outside: None,
        }
    }

    /// What expressions see before a rule adds its own names.
    pub(crate) fn context(&self, environment: &Environment) -> Context<'a> {
        let metadata = &self.object["metadata"];
        let mut context = Context::new(environment.clone());
        if let Some(outside) = self.outside {
            context.ask(outside);
        }
        context.bind("request.object", self.object);
        match (self.operation, self.old_object) {
            (_, Some(old)) => context.bind("request.oldObject", old),
            // A deleted object is known under both names.
            (Operation::Delete, None) => context.bind("request.oldObject", self.object),
            _ => {}
        }
        context.bind_owned("request.operation", self.operation.as_str().into());
        context.bind("request.name", &metadata["name"]);
        context.bind_owned("request.namespace", metadata["namespace"].as_str().unwrap_or_default().into());
        context.bind_owned("request.kind", kind_of(self.object));
        if let Some(user) = self.user {
            let info = json!({"username": user.name, "groups": user.groups});
            context.bind_owned("request.userInfo", info);
            context.bind_owned("request.roles", json!(user.roles));
            context.bind_owned("request.clusterRoles", json!(user.cluster_roles));
            let account = user.name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':'));
            let (namespace, name) = account.unwrap_or_default();
            context.bind_owned("serviceAccountName", name.into());
            context.bind_owned("serviceAccountNamespace", namespace.into());
        }
        context
    }

    /// The values given for a rule.
    pub(crate) fn values_of(&self, policy: &str, rule: &str) -> Vec<(&'a str, &'a Value)> {
        let Some(values) = self.values else { return Vec::new() };
        let own = of_rule(&values.rules, policy, rule);
        let of_policy = values.policies.get(policy);
        let all = values.global.iter().chain(of_policy.into_iter().flatten());
        all.chain(own.into_iter().flatten()).map(|(k, v)| (k.as_str(), v)).collect()
    }

    /// The values given for each element of a rule's lists.
    pub(crate) fn elements_of(&self, policy: &str, rule: &str) -> Option<&'a Map<String, Value>> {
        of_rule(&self.values?.elements, policy, rule)
    }
}

type ByRule = HashMap<(String, String), Map<String, Value>>;

fn of_rule<'a>(all: &'a ByRule, policy: &str, rule: &str) -> Option<&'a Map<String, Value>> {
    let of = |rule: &str| all.get(&(policy.to_owned(), rule.to_owned()));
    let written = || {
        let rule = rule.strip_prefix("autogen-")?;
        of(rule.strip_prefix("cronjob-").unwrap_or(rule))
    };
    of(rule).or_else(written)
}

fn kind_of(object: &Value) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    json!({"group": group, "version": version, "kind": object["kind"]})
}

/// Binds a value for a dotted path; a mapping joins what is there, so that a value for `request` does not take away
/// the object that is judged.
pub(crate) fn bind_value<'a>(context: &mut Context<'a>, path: &str, value: &'a Value) {
    match value {
        Value::Object(map) if !map.is_empty() && map.keys().all(|key| !key.contains('.')) => {
            for (key, value) in map {
                bind_value(context, &format!("{path}.{key}"), value);
            }
        }
        value => context.bind(path, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expression;

    #[test]
    fn values_join_the_request() {
        let (object, value) = (json!({"kind": "A"}), json!({"operation": "UPDATE"}));
        let request = Request::create(&object);
        let mut context = request.context(&Environment::default());
        bind_value(&mut context, "request", &value);
        let ask = |text: &str| {
            let expression = Expression::compile(text).unwrap();
            context.query(&expression).unwrap().into_owned()
        };
        assert_eq!(ask("request.[operation, object.kind]"), json!(["UPDATE", "A"]));
    }
}
