//! Nobody grants what he does not hold: the checks on writes of roles and bindings.

use serde_json::Value;

use super::super::authorize::{Attributes, authorize, forbidden};
use super::super::user::User;
use super::index::{Reference, together};
use super::rule::quoted;
use super::{GROUP, Rbac, Rule};
use crate::plane::status::Failure;

/// A role or binding that somebody is about to write.
pub(crate) struct Grant<'a> {
    pub user: &'a User,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    pub namespace: &'a str,
    /// The name in the path; a create has none.
    pub path_name: &'a str,
    pub before: Option<&'a Value>,
    pub after: &'a Value,
}

/// Refuses a write that would give somebody more than the writer holds.
pub(crate) fn check(rbac: &Rbac, grant: &Grant<'_>) -> Result<(), Failure> {
    if grant.user.is_master() || grant.only_collects_garbage() {
        return Ok(());
    }
    match grant.resource {
        "roles" | "clusterroles" => check_role(rbac, grant),
        "rolebindings" | "clusterrolebindings" => check_binding(rbac, grant),
        _ => Ok(()),
    }
}

fn check_role(rbac: &Rbac, grant: &Grant<'_>) -> Result<(), Failure> {
    let escalate = Attributes {
        name: grant.path_name,
        namespace: grant.namespace,
        ..Attributes::resource(grant.user, "escalate", GROUP, grant.resource)
    };
    if authorize(rbac, &escalate).allowed {
        return Ok(());
    }
    confirm(rbac, grant, &Rule::all(grant.after)).map_err(|why| grant.refused(&why))?;
    let aggregates = |role: &Value| {
        role["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|all| !all.is_empty())
    };
    if (aggregates(grant.after) || grant.before.is_some_and(aggregates))
        && confirm(rbac, grant, &Rule::full_authority()).is_err()
    {
        return Err(grant.refused("must have cluster-admin privileges to use the aggregationRule"));
    }
    Ok(())
}

fn check_binding(rbac: &Rbac, grant: &Grant<'_>) -> Result<(), Failure> {
    let role = Reference::of(grant.after);
    let resource = match &*role.kind {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        _ => "",
    };
    let bind = Attributes {
        name: &role.name,
        namespace: grant.namespace,
        ..Attributes::resource(grant.user, "bind", &role.group, resource)
    };
    if !resource.is_empty() && authorize(rbac, &bind).allowed {
        return Ok(());
    }
    let rules = rbac.rules_of(&role, grant.namespace).ok_or_else(|| not_found(&role, grant.resource))?;
    confirm(rbac, grant, &rules).map_err(|why| grant.refused(&why))
}

/// The answer to a binding of a role that is not there, by somebody who may not bind it unseen. The server tells it
/// of the resource that is written.
fn not_found(role: &Reference, resource: &str) -> Failure {
    let message = role.missing_as(resource);
    if !matches!(&*role.kind, "Role" | "ClusterRole") {
        return Failure::internal(message);
    }
    let about = crate::plane::status::details(GROUP, resource, &role.name);
    Failure { details: Some(about), ..Failure::new(404, "NotFound", message) }
}

/// Whether the writer holds all of these rules; the error says which he does not.
fn confirm(rbac: &Rbac, grant: &Grant<'_>, rules: &[Rule]) -> Result<(), String> {
    let (owned, lost) = rbac.rules_for(grant.user, grant.namespace);
    let missing = Rule::missing(&owned, rules);
    if missing.is_empty() {
        return Ok(());
    }
    let mut texts: Vec<String> = Rule::compact(missing).iter().map(Rule::short).collect();
    texts.sort();
    texts.dedup();
    let mut message = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        grant.user.name,
        quoted(&grant.user.groups),
        texts.join("\n")
    );
    if !lost.is_empty() {
        let errors = lost.iter().map(|role| role.missing_as(grant.resource)).collect();
        message.push_str(&format!("; resolution errors: [{}]", together(errors)));
    }
    Err(message)
}

impl Grant<'_> {
    fn refused(&self, why: &str) -> Failure {
        let name = self.after["metadata"]["name"].as_str().unwrap_or_default();
        forbidden(GROUP, self.resource, name, why)
    }

    /// Whether nothing changes but what the garbage collector writes.
    fn only_collects_garbage(&self) -> bool {
        let rest = |body: &Value| {
            let mut body = body.clone();
            if let Some(metadata) = body["metadata"].as_object_mut() {
                for field in ["ownerReferences", "finalizers", "managedFields"] {
                    metadata.remove(field);
                }
            }
            body
        };
        self.before.is_some_and(|before| rest(before) == rest(self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::auth::rbac::Scope;
    use serde_json::json;

    fn rbac() -> Rbac {
        let rbac = Rbac::default();
        let rules = json!([
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["free"]},
        ]);
        let binding = json!({
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "some"},
            "subjects": [{"kind": "User", "name": "x"}],
        });
        rbac.refresh(Scope::Role, "", "some", || Some(json!({"rules": rules})));
        rbac.refresh(Scope::Role, "", "more", || {
            Some(json!({"rules": [
                {"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]},
            ]}))
        });
        rbac.refresh(Scope::Binding, "", "some", || Some(binding));
        rbac
    }

    fn write(resource: &str, after: Value) -> Result<(), Failure> {
        let user = User::new("x", &["g"]);
        check(
            &rbac(),
            &Grant { user: &user, resource, namespace: "a", path_name: "", before: None, after: &after },
        )
    }

    #[test]
    fn a_role_holds_no_more_than_its_writer() {
        let role = |verb: &str| json!({"metadata": {"name": "r"}, "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]});
        assert!(write("roles", role("get")).is_ok());
        assert_eq!(
            write("roles", role("list")).unwrap_err().message,
            "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"x\" (groups=[\"g\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\"]}"
        );
    }

    #[test]
    fn a_binding_needs_the_rights_or_the_leave_to_bind() {
        let binding =
            |role: &str| json!({"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}});
        assert!(write("rolebindings", binding("some")).is_ok(), "these rights it holds itself");
        assert_eq!(write("rolebindings", binding("more")).unwrap_err().code, 403);
        assert!(write("rolebindings", binding("free")).is_ok());
        assert_eq!(write("rolebindings", binding("none")).unwrap_err().code, 404);
    }
}
