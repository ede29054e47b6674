//! May this user do that? And what is said when he may not.

use serde_json::json;

use super::info::RequestInfo;
use super::rbac::Rbac;
use super::user::User;
use crate::plane::status::{Failure, details};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub user: &'a User,
    pub verb: &'a str,
    pub is_resource: bool,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// Of what is no resource.
    pub path: &'a str,
}

/// Whether it is allowed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub allowed: bool,
    pub reason: String,
}

impl<'a> Attributes<'a> {
    pub fn of(user: &'a User, info: &'a RequestInfo) -> Attributes<'a> {
        Attributes {
            user,
            verb: &info.verb,
            is_resource: info.is_resource,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            path: &info.path,
        }
    }

    /// A verb on a resource, to be narrowed by the caller.
    pub fn resource(user: &'a User, verb: &'a str, group: &'a str, resource: &'a str) -> Attributes<'a> {
        Attributes {
            user,
            verb,
            is_resource: true,
            group,
            resource,
            subresource: "",
            namespace: "",
            name: "",
            path: "",
        }
    }

    /// `User "x" cannot list resource "pods" in API group "" in the namespace "a"`.
    fn refusal(&self) -> String {
        let Attributes { user, verb, group, namespace, .. } = self;
        let name = &user.name;
        if !self.is_resource {
            return format!("User {name:?} cannot {verb} path {:?}", self.path);
        }
        let mut resource = self.resource.to_owned();
        if !self.subresource.is_empty() {
            resource = format!("{resource}/{}", self.subresource);
        }
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        format!("User {name:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
    }

    /// The 403 that says so.
    pub fn forbidden(&self, reason: &str) -> Failure {
        let mut message = self.refusal().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        if !reason.is_empty() {
            message = format!("{message}: {reason}");
        }
        forbidden(self.group, self.resource, self.name, &message)
    }
}

/// A 403 about a resource, which may be unknown or no resource at all.
pub(crate) fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Failure {
    let qualified = match (group, resource) {
        ("", resource) => resource.to_owned(),
        (group, resource) => format!("{resource}.{group}"),
    };
    let message = match (&*qualified, name) {
        ("", _) => format!("forbidden: {why}"),
        (_, "") => format!("{qualified} is forbidden: {why}"),
        (_, name) => format!("{qualified} {name:?} is forbidden: {why}"),
    };
    let about = details(group, resource, name);
    Failure {
        details: Some(if about.is_null() { json!({}) } else { about }),
        ..Failure::new(403, "Forbidden", message)
    }
}

/// Decides by group membership first and by the roles then.
pub(crate) fn authorize(rbac: &Rbac, attributes: &Attributes<'_>) -> Decision {
    if attributes.user.is_master() {
        return Decision { allowed: true, reason: String::new() };
    }
    rbac.authorize(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_what_and_where() {
        let user = User::new("x", &[]);
        let list = Attributes::resource(&user, "list", "", "configmaps");
        let local = Attributes { namespace: "a", ..list };
        assert_eq!(
            local.forbidden("").message,
            r#"configmaps is forbidden: User "x" cannot list resource "configmaps" in API group "" in the namespace "a""#
        );
        let scale =
            Attributes { group: "apps", resource: "deployments", subresource: "scale", name: "d", ..list };
        assert_eq!(
            scale.forbidden("").message,
            r#"deployments.apps "d" is forbidden: User "x" cannot list resource "deployments/scale" in API group "apps" at the cluster scope"#
        );
        let path = Attributes { is_resource: false, resource: "", verb: "get", path: "/metrics", ..list };
        assert_eq!(path.forbidden("").message, r#"forbidden: User "x" cannot get path "/metrics""#);
    }
}
