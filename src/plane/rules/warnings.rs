//! What is accepted and better left.

use serde_json::Value;

use crate::plane::kinds::Resource;

/// The warnings about an object that is written.
pub(crate) fn of(resource: &Resource, body: &Value) -> Vec<String> {
    if resource.is("", "Service") { service(body) } else { Vec::new() }
}

fn service(body: &Value) -> Vec<String> {
    let spec = &body["spec"];
    let set = |field: &str| spec[field].as_str().is_some_and(|text| !text.is_empty());
    let has_external = spec["externalIPs"].as_array().is_some_and(|list| !list.is_empty());
    let external_name = spec["type"] == "ExternalName";
    let mut warnings = Vec::new();
    let mut warn = |applies: bool, text: &str| {
        if applies {
            warnings.push(text.to_owned());
        }
    };
    warn(
        body["metadata"]["annotations"].get("service.kubernetes.io/topology-aware-hints").is_some(),
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead",
    );
    if spec["type"] == "ClusterIP" && spec["clusterIP"] == "None" {
        warn(set("loadBalancerIP"), "spec.loadBalancerIP is ignored for headless services");
        warn(has_external, "spec.externalIPs is ignored for headless services");
        warn(spec["sessionAffinity"] != "None", "spec.SessionAffinity is ignored for headless services");
    }
    warn(external_name && has_external, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    warn(
        !external_name && set("externalName"),
        "spec.externalName is ignored when spec.type is not \"ExternalName\"",
    );
    warn(
        spec["trafficDistribution"] == "PreferClose",
        "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
    );
    warnings
}
