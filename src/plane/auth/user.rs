//! Who a request comes from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::plane::names;

/// Members may do everything, whatever the roles say.
pub(crate) const MASTERS: &str = "system:masters";
/// Everybody who proved who he is.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// Everybody else.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of who brings no credentials.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// The key of `extra` that says by which token or certificate a user came in.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// A user, as authentication or impersonation found him.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    pub fn new(name: impl Into<String>, groups: &[&str]) -> User {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        User { name: name.into(), groups, ..User::default() }
    }

    /// Who brings no credentials.
    pub fn anonymous() -> User {
        User::new(ANONYMOUS, &[UNAUTHENTICATED])
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> User {
        User {
            name: service_account_name(namespace, name),
            uid: uid.to_owned(),
            groups: service_account_groups(namespace),
            extra: BTreeMap::new(),
        }
    }

    /// With the group of everybody who proved who he is.
    #[must_use]
    pub fn authenticated(mut self) -> User {
        let said = |group: &String| group == AUTHENTICATED || group == UNAUTHENTICATED;
        if self.name != ANONYMOUS && !self.groups.iter().any(said) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    pub fn is_master(&self) -> bool {
        self.in_group(MASTERS)
    }

    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// `UserInfo` of `authentication.k8s.io`, as reviews, admission and the audit log show it.
    pub fn info(&self) -> Value {
        let mut info = json!({});
        if !self.name.is_empty() {
            info["username"] = self.name.as_str().into();
        }
        if !self.uid.is_empty() {
            info["uid"] = self.uid.as_str().into();
        }
        if !self.groups.is_empty() {
            info["groups"] = self.groups.clone().into();
        }
        if !self.extra.is_empty() {
            info["extra"] = self.extra.iter().map(|(key, values)| (key.clone(), values.clone())).collect();
        }
        info
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub(crate) fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// The groups of a namespace's service accounts.
pub(crate) fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]
}

/// The namespace and name in the user name of a service account.
pub(crate) fn split_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (!name.contains(':') && names::is_label(namespace) && names::is_subdomain(name))
        .then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_known_by_its_name() {
        assert_eq!(split_service_account("system:serviceaccount:a:b.c"), Some(("a", "b.c")));
        assert_eq!(split_service_account("system:serviceaccount:a:b:c"), None);
        assert_eq!(split_service_account("system:serviceaccount:A:b"), None);
        assert_eq!(split_service_account("somebody"), None);
    }

    #[test]
    fn the_anonymous_are_not_authenticated() {
        assert_eq!(User::anonymous().authenticated().groups, [UNAUTHENTICATED]);
        assert_eq!(User::new("a", &["g"]).authenticated().groups, ["g", AUTHENTICATED]);
    }
}
