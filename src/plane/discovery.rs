//! Discovery: which groups, versions and resources there are.

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::kinds::{Registry, Resource};

/// `/api`.
pub(crate) fn core_versions() -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
    })
}

/// `/apis`.
pub(crate) fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = named_groups(registry).map(|(name, versions)| group(name, versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(crate) fn group_of(registry: &Registry, name: &str) -> Option<Value> {
    let (name, versions) = named_groups(registry).find(|(group, _)| *group == name)?;
    let mut group = group(name, versions);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn named_groups(registry: &Registry) -> impl Iterator<Item = (&str, &[String])> {
    registry
        .groups
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| (name.as_str(), versions.as_slice()))
}

fn group(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let served = registry.of_version(group, version);
    if served.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for resource in served {
        list.push(entry(resource));
        list.extend(subresources(resource));
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut answer = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": list});
    if !group.is_empty() {
        answer["apiVersion"] = "v1".into();
    }
    Some(answer)
}

fn entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": &*resource.gvk.kind, "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = resource.short_names.clone().into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.clone().into();
    }
    if !resource.virtual_kind {
        entry["storageVersionHash"] = storage_version_hash(resource).into();
    }
    entry
}

fn subresources(resource: &Resource) -> Vec<Value> {
    let one = |name: &str| {
        json!({
            "name": format!("{}/{name}", resource.plural), "singularName": "",
            "namespaced": resource.namespaced, "kind": &*resource.gvk.kind,
            "verbs": ["get", "patch", "update"],
        })
    };
    let mut found = Vec::new();
    if resource.is("", "Namespace") {
        let mut finalize = one("finalize");
        finalize["verbs"] = json!(["update"]);
        found.push(finalize);
    }
    if resource.status && resource.custom {
        found.push(one("status"));
    }
    if resource.scale.is_some() {
        let mut scale = one("scale");
        scale["kind"] = "Scale".into();
        scale["group"] = "autoscaling".into();
        scale["version"] = "v1".into();
        found.push(scale);
    }
    if resource.status && !resource.custom {
        found.push(one("status"));
    }
    found
}

pub(crate) fn verbs(resource: &Resource) -> Vec<&'static str> {
    if resource.virtual_kind {
        return vec!["create"];
    }
    if resource.custom {
        return vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    }
    let mut verbs = vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    if resource.is("", "Namespace") {
        verbs.retain(|verb| *verb != "deletecollection");
    }
    verbs
}

fn storage_version_hash(resource: &Resource) -> String {
    let stored = if resource.custom { &resource.stored } else { &resource.gvk };
    let text = format!("{}/{}/{}", stored.group, stored.version, stored.kind);
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(text.as_bytes())[..8])
}

/// Aggregated discovery of `/api` (the core group) or `/apis` (all others).
pub(crate) fn aggregated(registry: &Registry, core: bool) -> Value {
    let items: Vec<Value> = registry
        .groups
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let served = registry.of_version(name, version);
                    let resources: Vec<Value> = served.into_iter().map(|r| aggregated_entry(r)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_entry(resource: &Resource) -> Value {
    // The built-in kinds say no more than their name, for the rest is that of the version.
    let own = match resource.custom {
        true => json!({
            "group": &*resource.gvk.group, "version": &*resource.gvk.version, "kind": &*resource.gvk.kind,
        }),
        false => json!({"group": "", "version": "", "kind": &*resource.gvk.kind}),
    };
    let mut entry = json!({
        "resource": resource.plural, "responseKind": own, "singularResource": resource.singular,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" }, "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = resource.short_names.clone().into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = resource.categories.clone().into();
    }
    let parts: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|part| {
            let name = part["name"].as_str().and_then(|name| name.split('/').nth(1)).unwrap_or_default();
            let mut kind = own.clone();
            for key in ["group", "version", "kind"] {
                if part[key].is_string() {
                    kind[key] = part[key].clone();
                }
            }
            json!({"subresource": name, "responseKind": kind, "verbs": part["verbs"]})
        })
        .collect();
    if !parts.is_empty() {
        entry["subresources"] = parts.into();
    }
    entry
}

/// `/`: where one can go on.
pub(crate) fn paths(registry: &Registry) -> Value {
    let mut paths: Vec<String> =
        ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
            .map(str::to_owned)
            .to_vec();
    for (group, versions) in named_groups(registry) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.sort();
    json!({ "paths": paths })
}

/// `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.4+moin", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }),
        "emulationMajor": "1", "emulationMinor": "35", "minCompatibilityMajor": "1", "minCompatibilityMinor": "34",
    })
}
