//! The fence in the API server: a write of an instance that does not hold the Lease is refused there.
//!
//! A ValidatingAdmissionPolicy looks at writes of objects with an owner label and compares the writer's mark
//! ([`HOLDER_EXTRA`]) with the holder of that owner's Lease, which is its parameter. So the fence moves in the same
//! write as the lease; what is left is the moment until the API server's own watch has told it
//! ([`WriteFence::wait`] waits for that). A holder that cannot mark its writes does not say so in its Lease
//! ([`FENCED`]), and then writes without a mark are let through; those with another's mark never are.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ApplyOptions, Cluster, ClusterError};
use crate::finding::{Code, Finding};
use crate::model::{Gvk, OWNER_LABEL, SYSTEM_NAMESPACE, ServedKind};

/// Name of the policy; its refusals are known by it.
pub(super) const POLICY: &str = "one-writer.moin.scs.community";
/// Annotation on the Lease: the holder that marks its writes, so that writes without a mark are not his.
pub const FENCED: &str = "moin.scs.community/fenced";
/// How often a look is taken whether the API server knows the new holder.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The fence of one owner name in one cluster.
#[derive(Debug, Clone)]
pub struct WriteFence {
    plain: Cluster,
    writer: Cluster,
    owner: String,
    identity: String,
}

impl WriteFence {
    /// Puts the policy in place, if it is not, and makes a client whose writes bear the mark of this instance.
    /// `identity` is what the instance writes into the Lease as its holder. When this cannot be done, the finding says
    /// why; writes then go out without a mark.
    ///
    /// # Errors
    /// [`ClusterError`] when the API server does not answer.
    pub async fn raise(
        cluster: &Cluster,
        owner: &str,
        identity: &str,
    ) -> Result<Result<WriteFence, Box<Finding>>, ClusterError> {
        let unfenced = |error: &ClusterError| {
            let message = format!("writes are not fenced in {}: {error}", cluster.url());
            Ok(Err(Box::new(Finding::warning(Code::Unfenced, message))))
        };
        let user = match cluster.whoami().await {
            Ok(user) if !user.name.is_empty() => user,
            Ok(_) => {
                return unfenced(&ClusterError::NotFound { what: "the API server knows no user".to_owned() });
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => return unfenced(&error),
        };
        let writer = cluster.marked(user.to_impersonate(), identity);
        let (owner, identity) = (owner.to_owned(), identity.to_owned());
        let fence = WriteFence { plain: cluster.clone(), writer, owner, identity };
        match fence.prepare().await {
            Ok(()) => Ok(Ok(fence)),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => unfenced(&error),
        }
    }

    /// The client whose writes bear the mark.
    pub fn writer(&self) -> &Cluster {
        &self.writer
    }

    /// What the holder's Lease is to be annotated with: [`FENCED`] and this.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until the API server refuses everybody but us, and answers how long that took. To be called after the Lease
    /// was won and before the first write.
    ///
    /// # Errors
    /// [`ClusterError::NotHolder`] when it did not come to that in time, for example because the lease is lost again.
    pub async fn wait(&self, limit: Duration) -> Result<Duration, ClusterError> {
        let began = Instant::now();
        loop {
            if self.is_up().await? {
                return Ok(began.elapsed());
            }
            if began.elapsed() >= limit {
                let message =
                    format!("the API server did not take {} as the holder in {limit:?}", self.identity);
                return Err(ClusterError::NotHolder { message });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the API server lets us write and nobody else.
    async fn is_up(&self) -> Result<bool, ClusterError> {
        match self.probe(&self.writer).await {
            Ok(()) => {}
            Err(ClusterError::NotHolder { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        let somebody = format!("not-{}", self.identity);
        let user = self.writer.acting.as_ref().map(|acting| acting.user().clone()).unwrap_or_default();
        match self.probe(&self.plain.marked(user, &somebody)).await {
            Err(ClusterError::NotHolder { .. }) => Ok(true),
            Ok(()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A write that changes nothing, to see whether it would be let through.
    async fn probe(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let kind = ServedKind {
            gvk: Gvk::new("v1", "ConfigMap"),
            plural: "configmaps".to_owned(),
            namespaced: true,
        };
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "namespace": SYSTEM_NAMESPACE, "name": format!("moin-{}-probe", self.owner),
            "labels": {OWNER_LABEL: self.owner}}});
        let options = ApplyOptions { force: true, dry_run: true, ..ApplyOptions::default() };
        cluster.apply(&kind, &body, &options).await.map(drop)
    }

    /// The policy, its binding, and the right to mark writes.
    async fn prepare(&self) -> Result<(), ClusterError> {
        for (kind, plural, body) in [
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", policy()),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding(&self.owner)),
        ] {
            let gvk = Gvk::new("admissionregistration.k8s.io/v1", kind);
            let kind = ServedKind { gvk, plural: plural.to_owned(), namespaced: false };
            self.plain.ensure(&kind, &body).await?;
        }
        match self.probe(&self.writer).await {
            // Somebody else holds the lease, or nobody does; the mark was taken.
            Ok(()) | Err(ClusterError::NotHolder { .. }) => Ok(()),
            // Not there yet on a new cluster: then the probe says nothing, and the next write will.
            Err(ClusterError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The policy: one for all owner names.
pub fn policy() -> Value {
    let ours = format!(
        "[object, oldObject].exists(o, o != null && has(o.metadata.labels) && {OWNER_LABEL:?} in o.metadata.labels \
         && 'moin-' + o.metadata.labels[{OWNER_LABEL:?}] == params.metadata.name)"
    );
    let holder = "has(params.spec.holderIdentity) ? params.spec.holderIdentity : ''";
    let mark = format!(
        "has(request.userInfo.extra) && {HOLDER:?} in request.userInfo.extra ? request.userInfo.extra[{HOLDER:?}] : []",
        HOLDER = super::acting::HOLDER_EXTRA
    );
    // A deletion does not say its field manager.
    let by_moin = "request.operation != 'DELETE' && has(request.options.fieldManager) \
                   && request.options.fieldManager == 'moin'";
    let fenced = format!(
        "has(params.metadata.annotations) && {FENCED:?} in params.metadata.annotations \
         && params.metadata.annotations[{FENCED:?}] == variables.holder"
    );
    let holds = "!variables.ours || (size(variables.mark) > 0 ? variables.mark[0] == variables.holder \
                 : !(variables.byMoin && variables.fenced && variables.holder != ''))";
    let creates =
        format!("request.operation == 'CREATE' || !({:?} in variables.mark)", super::acting::CREATES);
    let variable = |name: &str, expression: &str| json!({"name": name, "expression": expression});
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"},
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {"matchExpressions": [{"key": OWNER_LABEL, "operator": "Exists"}]},
                "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "*",
                    "operations": ["CREATE", "UPDATE", "DELETE"]}],
            },
            "variables": [
                variable("ours", &ours),
                variable("holder", holder),
                variable("mark", &mark),
                variable("byMoin", by_moin),
                variable("fenced", &fenced),
            ],
            "validations": [{
                "expression": creates,
                "reason": "Invalid",
                "message": "the write was to make the object, which is there already",
            }, {
                "expression": holds,
                "reason": "Forbidden",
                "messageExpression": "'the writer does not hold the lease ' + params.metadata.name + \
                    (variables.holder == '' ? ', which nobody holds' : ', which ' + variables.holder + ' holds')",
            }],
        },
    })
}

/// What binds the policy to the Lease of an owner name.
pub fn binding(owner: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": format!("{owner}.{POLICY}")},
        "spec": {
            "policyName": POLICY,
            "paramRef": {"namespace": SYSTEM_NAMESPACE, "name": format!("moin-{owner}"),
                "parameterNotFoundAction": "Allow"},
            "validationActions": ["Deny"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::Server;

    #[tokio::test]
    async fn every_write_says_who_writes() {
        let server = Server::new();
        let review = json!({"kind": "SelfSubjectReview", "status": {"userInfo": {
            "username": "system:serviceaccount:moin-system:moin",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:moin-system", "system:authenticated", "g"]}}});
        server.answer("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", 201, review);
        let rows = [
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
        ];
        server.kinds.lock().extend(
            rows.map(|(kind, plural, spaced)| ("admissionregistration.k8s.io", kind, plural, spaced)),
        );
        let fence = WriteFence::raise(&server.cluster(), "test", "me").await.unwrap().unwrap();
        let probe = server.asked.lock().last().unwrap().clone();
        assert_eq!(probe.query["dryRun"], "All");
        assert_eq!(probe.acting, ["system:serviceaccount:moin-system:moin", "g", "me"]);
        let tenant = User { name: "moin:tenant:a".to_owned(), groups: vec!["t".to_owned()] };
        fence.probe(&fence.writer().as_user(tenant)).await.unwrap();
        assert_eq!(server.asked.lock().last().unwrap().acting, ["moin:tenant:a", "t", "me"]);
        let _ = fence.writer().get(&lease_kind(), &lease_id()).await;
        assert!(server.asked.lock().last().unwrap().acting.is_empty(), "reading needs no mark");
    }

    #[tokio::test]
    async fn what_cannot_be_fenced_is_said() {
        let server = Server::new();
        let no = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no reviews"});
        server.answer("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", 403, no);
        let finding = WriteFence::raise(&server.cluster(), "test", "me").await.unwrap().unwrap_err();
        assert_eq!(finding.code, Code::Unfenced);
        assert!(finding.message.ends_with("no reviews"), "{}", finding.message);
    }

    fn lease_kind() -> ServedKind {
        ServedKind {
            gvk: Gvk::new("coordination.k8s.io/v1", "Lease"),
            plural: "leases".into(),
            namespaced: true,
        }
    }

    fn lease_id() -> crate::model::ObjectId {
        crate::model::ObjectId::new("coordination.k8s.io", "Lease", Some("moin-system"), "moin-test")
    }

    use crate::cluster::User;
}
