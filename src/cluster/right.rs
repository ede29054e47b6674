//! Which right a refusal is about, and how it is given.

/// What an account may not do, by the words of the API server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MissingRight<'a> {
    user: &'a str,
    verb: &'a str,
    resource: &'a str,
    group: &'a str,
    /// `None`: in the whole cluster.
    namespace: Option<&'a str>,
}

impl<'a> MissingRight<'a> {
    /// From `... is forbidden: User "U" cannot VERB resource "R" in API group "G" in the namespace "N"`. Refusals for other
    /// reasons (a quota, a policy, an admission webhook) are about no right.
    pub fn of(message: &'a str) -> Option<MissingRight<'a>> {
        let (_, rest) = message.split_once("is forbidden: User \"")?;
        let (user, rest) = rest.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, rest) = rest.split_once('"')?;
        let namespace =
            rest.strip_prefix(" in the namespace \"").and_then(|rest| Some(rest.split_once('"')?.0));
        Some(MissingRight { user, verb, resource, group, namespace })
    }

    /// What to do.
    pub fn help(&self) -> String {
        let MissingRight { user, verb, resource, group, namespace } = self;
        let what = match (*group, resource.split_once('/')) {
            ("", _) => (*resource).to_owned(),
            (group, None) => format!("{resource}.{group}"),
            (group, Some((resource, part))) => format!("{resource}.{group}/{part}"),
        };
        let name = format!("moin-{verb}-{}", resource.replace('/', "-"));
        let (kind, place, at) = match namespace {
            Some(namespace) => ("role", format!(" in the namespace {namespace}"), format!(" -n {namespace}")),
            None => ("clusterrole", " in the whole cluster".to_owned(), String::new()),
        };
        let to = match user.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("--serviceaccount={account}"),
            None => format!("--user={user}"),
        };
        format!(
            "give {user} the right to {verb} {what}{place}. `moin install` prints the rights that the daemon needs; this one \
             alone: `kubectl create {kind} {name}{at} --verb={verb} --resource={what} && kubectl create {kind}binding {name}{at} \
             --{kind}={name} {to}`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_right_and_how_it_is_given() {
        let message = "deployments.apps \"a\" is forbidden: User \"system:serviceaccount:moin-system:moin\" cannot patch \
                       resource \"deployments\" in API group \"apps\" in the namespace \"team-a\"";
        let help = MissingRight::of(message).unwrap().help();
        assert!(help.starts_with(
            "give system:serviceaccount:moin-system:moin the right to patch deployments.apps in the namespace team-a."
        ));
        assert!(help.contains(
            "`kubectl create role moin-patch-deployments -n team-a --verb=patch --resource=deployments.apps && \
             kubectl create rolebinding moin-patch-deployments -n team-a --role=moin-patch-deployments \
             --serviceaccount=moin-system:moin`"
        ), "{help}");
        let message = "secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \"\" at the cluster scope";
        let help = MissingRight::of(message).unwrap().help();
        assert!(help.contains(
            "kubectl create clusterrolebinding moin-list-secrets --clusterrole=moin-list-secrets --user=jane"
        ));
        for other in [
            "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1",
            "admission webhook \"x\" denied the request: no",
            "",
        ] {
            assert_eq!(MissingRight::of(other), None);
        }
    }
}
