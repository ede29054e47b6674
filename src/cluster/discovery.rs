//! Which kinds the API server serves.

use std::collections::HashMap;

use serde_json::Value;

use super::request::{Url, group_version_path};
use super::{Cluster, ClusterError};
use crate::model::{GroupKind, Gvk, ServedKind};

/// All groups with all their resources in one answer; a server that cannot answers the plain way.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Served kinds; each kind's preferred version first.
pub type Kinds = HashMap<GroupKind, Vec<ServedKind>>;

impl Cluster {
    /// The kinds that are served: two requests, or a few more with an old server. A group whose own server does not
    /// answer is left out.
    ///
    /// # Errors
    /// [`ClusterError`] when the API server itself does not answer.
    pub async fn discover(&self) -> Result<Kinds, ClusterError> {
        let mut kinds = Kinds::new();
        for path in ["/api", "/apis"] {
            let answer = match self.get_url(Url::new(path), AGGREGATED).await {
                // A server without the core group, or without any other, is odd but no failure.
                Err(ClusterError::NotServed { .. }) => continue,
                answer => answer?,
            };
            if answer["kind"] == "APIGroupDiscoveryList" {
                aggregated(&answer, &mut kinds);
            } else {
                self.one_by_one(&answer, &mut kinds).await?;
            }
        }
        Ok(kinds)
    }

    /// The plain way: a request for each group and version.
    async fn one_by_one(&self, answer: &Value, kinds: &mut Kinds) -> Result<(), ClusterError> {
        for (group, version) in group_versions(answer) {
            let url = Url::new(group_version_path(&group, &version));
            match self.get_url(url, "application/json").await {
                Ok(list) => {
                    for resource in array(&list["resources"]) {
                        let name = text(&resource["name"]);
                        if !name.contains('/') {
                            add(kinds, &group, &version, resource, name, resource["namespaced"] == true);
                        }
                    }
                }
                // An aggregated server that is down takes only its own group with it.
                Err(ClusterError::NotServed { .. } | ClusterError::Retry { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn aggregated(answer: &Value, kinds: &mut Kinds) {
    for item in array(&answer["items"]) {
        let group = text(&item["metadata"]["name"]);
        for version in array(&item["versions"]) {
            for resource in array(&version["resources"]) {
                let kind = &resource["responseKind"];
                let namespaced = resource["scope"] == "Namespaced";
                add(kinds, group, text(&version["version"]), kind, text(&resource["resource"]), namespaced);
            }
        }
    }
}

fn add(kinds: &mut Kinds, group: &str, version: &str, kind: &Value, plural: &str, namespaced: bool) {
    let kind = text(&kind["kind"]);
    if kind.is_empty() || plural.is_empty() {
        return;
    }
    let gvk = Gvk { group: group.into(), version: version.into(), kind: kind.into() };
    let versions = kinds.entry(gvk.group_kind()).or_default();
    // Some kinds are served under two names in one version; the first is the usual one.
    if versions.iter().all(|served| served.gvk != gvk) {
        versions.push(ServedKind { gvk, plural: plural.to_owned(), namespaced });
    }
}

/// Group and version of an `APIVersions` or `APIGroupList`, preferred versions first.
fn group_versions(answer: &Value) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> =
        array(&answer["versions"]).map(|version| (String::new(), text(version).to_owned())).collect();
    for group in array(&answer["groups"]) {
        let preferred = text(&group["preferredVersion"]["version"]);
        let all = array(&group["versions"]).map(|version| text(&version["version"]));
        let rest = all.filter(|version| *version != preferred);
        let name = text(&group["name"]);
        found.extend(
            std::iter::once(preferred)
                .chain(rest)
                .filter(|version| !version.is_empty())
                .map(|version| (name.to_owned(), version.to_owned())),
        );
    }
    found
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
