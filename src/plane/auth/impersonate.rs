//! Acting as somebody else, for who may: the `Impersonate-*` headers.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::authorize::{Attributes, authorize};
use super::rbac::Rbac;
use super::user::{
    ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, User, service_account_groups, split_service_account,
};
use crate::plane::request::decode;
use crate::plane::status::Failure;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom the headers name.
#[derive(Debug, Default)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

impl Wanted {
    /// `None` when the request impersonates nobody.
    fn of(headers: &HeaderMap) -> Result<Option<Wanted>, Failure> {
        if !headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
            return Ok(None);
        }
        let mut wanted = Wanted {
            user: headers.get(USER).map(text).unwrap_or_default(),
            uid: headers.get(UID).map(text).unwrap_or_default(),
            groups: headers.get_all(GROUP).iter().map(text).collect(),
            extra: BTreeMap::new(),
        };
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix(EXTRA) {
                let key = decode(key, false).unwrap_or_else(|| key.to_owned());
                wanted.extra.entry(key).or_default().extend(headers.get_all(name).iter().map(text));
            }
        }
        if !wanted.user.is_empty() {
            return Ok(Some(wanted));
        }
        if wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty() {
            return Ok(None);
        }
        Err(Failure::bad_request(format!("requested {} without impersonating a user", wanted.references())))
    }

    /// The groups, extras and uid as the server prints its object references.
    fn references(&self) -> String {
        let one = |kind: &str, name: &str, version: &str, path: &str| {
            format!("{{{kind}  {name}  {version}  {path}}}")
        };
        let mut all: Vec<String> = self.groups.iter().map(|name| one("Group", name, "", "")).collect();
        let version = "authentication.k8s.io/v1";
        for (key, values) in &self.extra {
            all.extend(values.iter().map(|value| one("UserExtra", value, version, key)));
        }
        if !self.uid.is_empty() {
            all.push(one("UID", &self.uid, version, ""));
        }
        format!("[{}]", all.join(" "))
    }

    /// What the requestor must be allowed to impersonate.
    fn checks<'a>(&'a self, requestor: &'a User) -> Vec<Attributes<'a>> {
        let of = |group, resource, name| Attributes {
            name,
            ..Attributes::resource(requestor, "impersonate", group, resource)
        };
        let mut checks = vec![match split_service_account(&self.user) {
            Some((namespace, name)) => Attributes { namespace, ..of("", "serviceaccounts", name) },
            None => of("", "users", &self.user),
        }];
        checks.extend(self.groups.iter().map(|group| of("", "groups", group)));
        for (key, values) in &self.extra {
            let extra = |value| Attributes { subresource: key, ..of(AUTHENTICATION, "userextras", value) };
            checks.extend(values.iter().map(|value| extra(value.as_str())));
        }
        if !self.uid.is_empty() {
            checks.push(of(AUTHENTICATION, "uids", &self.uid));
        }
        checks
    }

    fn user(self) -> User {
        let mut groups = self.groups;
        if let Some((namespace, _)) = split_service_account(&self.user)
            && groups.is_empty()
        {
            groups = service_account_groups(namespace);
        }
        let named = |group: &str| groups.iter().any(|own| own == group);
        if self.user == ANONYMOUS {
            if !named(UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !named(AUTHENTICATED) && !named(UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        User { name: self.user, uid: self.uid, groups, extra: self.extra }
    }
}

/// Whom the request acts as; `None` when it is the requestor himself.
pub(crate) fn impersonate(
    rbac: &Rbac,
    requestor: &User,
    headers: &HeaderMap,
) -> Result<Option<Arc<User>>, Failure> {
    let Some(wanted) = Wanted::of(headers)? else { return Ok(None) };
    for check in wanted.checks(requestor) {
        let decision = authorize(rbac, &check);
        if !decision.allowed {
            return Err(check.forbidden(&decision.reason));
        }
    }
    Ok(Some(Arc::new(wanted.user())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn act(all: &[(&'static str, &str)]) -> Result<Option<Arc<User>>, Failure> {
        impersonate(&Rbac::default(), &User::new("root", &["system:masters"]), &headers(all))
    }

    #[test]
    fn groups_are_completed_as_the_server_does() {
        let user = act(&[(USER, "a"), ("impersonate-extra-acme.com%2fproject", "p")]).unwrap().unwrap();
        assert_eq!(user.groups, [AUTHENTICATED]);
        assert_eq!(user.extra["acme.com/project"], ["p"]);
        let bot = act(&[(USER, "system:serviceaccount:n:b")]).unwrap().unwrap();
        assert_eq!(bot.groups, ["system:serviceaccounts", "system:serviceaccounts:n", AUTHENTICATED]);
        let nobody = act(&[(USER, ANONYMOUS)]).unwrap().unwrap();
        assert_eq!(nobody.groups, [UNAUTHENTICATED]);
        assert_eq!(act(&[]).unwrap(), None);
        assert_eq!(act(&[(GROUP, "g")]).unwrap_err().code, 400);
    }

    #[test]
    fn it_needs_leave() {
        let refused = impersonate(&Rbac::default(), &User::new("x", &[]), &headers(&[(USER, "a")]));
        assert_eq!(
            refused.unwrap_err().message,
            r#"users "a" is forbidden: User "x" cannot impersonate resource "users" in API group "" at the cluster scope"#
        );
    }
}
