//! What the API server is told of the webhook: which requests it is asked about, and where it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Name of both configurations.
pub(super) const NAME: &str = "moin-policies";
/// Written all the time, by everybody, and of no interest to a policy that names no kinds.
const NOISE: &str = "['events', 'leases', 'endpoints', 'endpointslices', 'tokenreviews', 'subjectaccessreviews', \
                     'selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews', 'localsubjectaccessreviews', \
                     'bindings']";

/// What becomes of a request when the webhook does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// It is refused.
    #[default]
    Fail,
    /// It passes unjudged.
    Ignore,
}

/// How an API server reaches the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// By a Service of moin's namespace, on port 443.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// By a URL without a path: `https://10.0.0.1:9443`.
    Url(String),
}

impl Reached {
    /// The names that the certificate must hold.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Reached::Service { namespace, name } => {
                [".svc", ".svc.cluster.local"].map(|end| format!("{name}.{namespace}{end}")).to_vec()
            }
            Reached::Url(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let authority = rest.split('/').next().unwrap_or_default();
                let host = match authority.strip_prefix('[') {
                    Some(v6) => v6.split(']').next().unwrap_or_default(),
                    None => authority.split(':').next().unwrap_or_default(),
                };
                vec![host.to_owned()]
            }
        }
    }

    fn client_config(&self, path: &str, bundle: &str) -> Value {
        match self {
            Reached::Service { namespace, name } => json!({
                "service": {"namespace": namespace, "name": name, "path": path, "port": 443}, "caBundle": bundle,
            }),
            Reached::Url(url) => {
                json!({"url": format!("{}{path}", url.trim_end_matches('/')), "caBundle": bundle})
            }
        }
    }
}

/// What both configurations have in common.
pub(super) struct Registration<'a> {
    pub(super) reached: &'a Reached,
    pub(super) bundle: &'a str,
    pub(super) failure_policy: FailurePolicy,
    /// Namespaces that are not judged.
    pub(super) exempt: &'a [String],
    /// The user that moin is in this cluster: its own writes were judged before.
    pub(super) own_user: &'a str,
}

impl Registration<'_> {
    /// The validating one. `resources`: those that policies are about, `None` for all.
    pub(super) fn validating(&self, resources: Option<&BTreeSet<String>>) -> Value {
        let operations = ["CREATE", "UPDATE", "DELETE"];
        let hook = self.webhook("validate", &operations, resources);
        self.configuration("ValidatingWebhookConfiguration", hook)
    }

    /// The mutating one.
    pub(super) fn mutating(&self, resources: Option<&BTreeSet<String>>) -> Value {
        let hook = self.webhook("mutate", &["CREATE", "UPDATE"], resources).map(|mut hook| {
            hook["reinvocationPolicy"] = "IfNeeded".into();
            hook
        });
        self.configuration("MutatingWebhookConfiguration", hook)
    }

    fn configuration(&self, kind: &str, hook: Option<Value>) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": NAME},
            "webhooks": hook.into_iter().collect::<Vec<Value>>(),
        })
    }

    /// `None` when there is nothing that it could be asked about.
    fn webhook(
        &self,
        verb: &str,
        operations: &[&str],
        resources: Option<&BTreeSet<String>>,
    ) -> Option<Value> {
        let named: Vec<&str> = match resources {
            None => vec!["*"],
            Some(names) => names.iter().map(String::as_str).collect(),
        };
        if named.is_empty() {
            return None;
        }
        let failure = match self.failure_policy {
            FailurePolicy::Fail => "Fail",
            FailurePolicy::Ignore => "Ignore",
        };
        let mut conditions = vec![json!({
            "name": "not-moin-itself",
            "expression": format!("request.userInfo.username != {}", quoted(self.own_user)),
        })];
        if resources.is_none() {
            conditions.push(json!({
                "name": "not-noise", "expression": format!("!(request.resource.resource in {NOISE})"),
            }));
        }
        Some(json!({
            "name": format!("{verb}.policies.moin.scs.community"),
            "clientConfig": self.reached.client_config(&format!("/{verb}"), self.bundle),
            "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": operations, "resources": named, "scope": "*"}],
            "failurePolicy": failure, "matchPolicy": "Equivalent", "sideEffects": "None", "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": self.exempt},
            ]},
            "matchConditions": conditions,
        }))
    }
}

/// A text as CEL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration<'a>(reached: &'a Reached, exempt: &'a [String]) -> Registration<'a> {
        let failure_policy = FailurePolicy::Fail;
        Registration { reached, bundle: "Q0E=", failure_policy, exempt, own_user: "it's moin" }
    }

    #[test]
    fn only_what_policies_are_about_is_asked_and_never_moin_itself() {
        let reached =
            Reached::Service { namespace: "moin-system".to_owned(), name: "moin-webhook".to_owned() };
        let exempt = ["moin-system".to_owned()];
        let registration = registration(&reached, &exempt);
        let hook = &registration.validating(Some(&["clusters".to_owned()].into()))["webhooks"][0];
        assert_eq!(hook["rules"][0]["resources"], json!(["clusters"]));
        assert_eq!(hook["failurePolicy"], "Fail");
        assert_eq!(hook["clientConfig"]["service"]["path"], "/validate");
        assert_eq!(hook["matchConditions"][0]["expression"], "request.userInfo.username != 'it\\'s moin'");
        assert_eq!(hook["namespaceSelector"]["matchExpressions"][0]["values"], json!(["moin-system"]));
        assert_eq!(registration.mutating(Some(&BTreeSet::new()))["webhooks"], json!([]));
        assert_eq!(registration.validating(None)["webhooks"][0]["matchConditions"][1]["name"], "not-noise");
    }

    #[test]
    fn the_certificate_holds_the_name_that_is_asked_for() {
        for (url, name) in [
            ("https://10.0.0.1:9443", "10.0.0.1"),
            ("https://[::1]:9443/", "::1"),
            ("https://moin.example.org", "moin.example.org"),
        ] {
            assert_eq!(Reached::Url(url.to_owned()).names(), [name]);
        }
    }
}
