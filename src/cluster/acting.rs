//! Whom a write is made as: impersonation, and the mark by which the API server knows which instance writes.
//!
//! Two instances may use the same credentials, and both use the same field manager. What tells them apart is an extra
//! field of the user that each impersonates for its writes: usually itself, for a tenant's objects that tenant.

use http::request::Builder;
use serde_json::json;

use super::request::Url;
use super::{Cluster, ClusterError};

/// The key of the user's extra field that holds the writer's identity, as in the holder of the Lease.
pub const HOLDER_EXTRA: &str = "moin.scs.community/holder";
/// Its second value, on a write that is to make an object and not to change one that is there.
pub(super) const CREATES: &str = "creates";

/// A user as the API server knows him.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct User {
    /// His name.
    pub name: String,
    /// His groups.
    pub groups: Vec<String>,
}

/// Whom writes are made as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acting {
    user: User,
    mark: Option<String>,
    creates: bool,
}

impl Acting {
    /// The headers that say so.
    pub(super) fn sign(&self, mut request: Builder) -> Builder {
        request = request.header("Impersonate-User", &self.user.name);
        for group in &self.user.groups {
            request = request.header("Impersonate-Group", group);
        }
        if let Some(mark) = &self.mark {
            // A name of a header has no slash; the API server takes it so.
            let name = "Impersonate-Extra-moin.scs.community%2Fholder";
            request = request.header(name, mark);
            if self.creates {
                request = request.header(name, CREATES);
            }
        }
        request
    }

    /// Who that is.
    pub(super) fn user(&self) -> &User {
        &self.user
    }
}

impl Cluster {
    /// Who we are to the API server.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn whoami(&self) -> Result<User, ClusterError> {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let url = Url::new("/apis/authentication.k8s.io/v1/selfsubjectreviews");
        let plain = Cluster { acting: None, ..self.clone() };
        let answer = plain.post(url, &body).await?;
        let info = &answer["status"]["userInfo"];
        let groups = info["groups"].as_array().into_iter().flatten().filter_map(|group| group.as_str());
        Ok(User {
            name: info["username"].as_str().unwrap_or_default().to_owned(),
            groups: groups.map(str::to_owned).collect(),
        })
    }

    /// The same cluster, its writes made as this user, still with our mark if they have one.
    #[must_use]
    pub fn as_user(&self, user: User) -> Cluster {
        let mark = self.acting.as_ref().and_then(|acting| acting.mark.clone());
        Cluster { acting: Some(Acting { user, mark, creates: false }.into()), ..self.clone() }
    }

    /// The same cluster, its writes made as this user and marked with the writer's identity.
    #[must_use]
    pub fn marked(&self, user: User, identity: &str) -> Cluster {
        let acting = Acting { user, mark: Some(identity.to_owned()), creates: false };
        Cluster { acting: Some(acting.into()), ..self.clone() }
    }

    /// The same cluster, for writes that make objects: where writes are marked, the API server refuses one that finds its
    /// object there. An apply has no precondition for that, and one that was long under way would set the object back.
    #[must_use]
    pub fn creating(&self) -> Cluster {
        let acting = self.acting.as_ref().map(|acting| Acting { creates: true, ..(**acting).clone() }.into());
        Cluster { acting, ..self.clone() }
    }
}

impl User {
    /// The user as one impersonates himself: the API server adds to an account the groups that come with being one,
    /// so that nobody needs a right to impersonate those.
    #[must_use]
    pub fn to_impersonate(mut self) -> User {
        self.groups.retain(|group| group != "system:authenticated");
        if self.name.starts_with("system:serviceaccount:") {
            self.groups.retain(|group| !group.starts_with("system:serviceaccounts"));
        }
        self
    }
}
