//! Which rights the daemon needs: those for the kinds that the repository describes, and a few of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::questions::Questions;
use crate::model::{API_GROUP, Gvk, Tenant};
use crate::render::Manifests;
use crate::schema::Schemas;
use crate::status::REPORT_KINDS;

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const CLUSTER_API: &str = "cluster.x-k8s.io";
/// The name of both of the webhook's configurations.
const WEBHOOK_CONFIGURATION: &str = "moin-policies";
const WHOLE: [&str; 7] = ["get", "list", "watch", "create", "patch", "update", "delete"];
const READ: [&str; 3] = ["get", "list", "watch"];
/// Kinds that bring pods, which may run as any account of their namespace.
const WORKLOADS: [&str; 7] =
    ["pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"];

/// What the daemon is allowed.
#[derive(Debug)]
pub struct Rights {
    /// Rules in the whole cluster.
    pub cluster: Vec<Value>,
    /// Rules in its own namespace, but for the account's right to mark its writes.
    pub home: Vec<Value>,
    /// Secrets by which it reaches its peers: namespace and name.
    pub peers: BTreeSet<(String, String)>,
    /// What these rights amount to beyond what they say.
    pub powers: Vec<String>,
    /// What policies ask for, where the text does not tell which right that takes: policy and text.
    pub unknown: BTreeSet<(String, String)>,
    /// Kinds whose name in URLs is a guess, for nobody here defines them.
    pub guessed: Vec<Gvk>,
}

/// The rights for what was rendered; `cluster` is the name of the management cluster in `moin.yaml`, `webhook` whether
/// the daemon is to serve its policies at admission.
pub fn rights(rendered: &Manifests, cluster: Option<&str>, webhook: bool) -> Rights {
    let (kinds, guessed) = resources(rendered);
    let has = |group: &str, plural: &str| kinds.get(group).is_some_and(|plurals| plurals.contains(plural));
    let mut rules: Vec<Value> = kinds
        .iter()
        .map(|(group, plurals)| rule(group, plurals.iter().map(String::as_str), &WHOLE))
        .collect();
    let roles = has(RBAC, "roles") || has(RBAC, "clusterroles");
    let bindings = has(RBAC, "rolebindings") || has(RBAC, "clusterrolebindings");
    if roles || bindings {
        // Nobody may hand out more than he has, unless he may `escalate` and `bind`.
        let verbs: Vec<&str> = [(roles, "escalate"), (bindings, "bind")]
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, verb)| *verb)
            .collect();
        rules.push(rule(RBAC, ["clusterroles", "roles"], &verbs));
    }
    for (group, plural) in [("", "namespaces"), ("apiextensions.k8s.io", "customresourcedefinitions")] {
        if !has(group, plural) {
            rules.push(rule(group, [plural], &READ));
        }
    }
    let all = rendered.manifests.iter().map(|manifest| &**manifest);
    let questions = Questions::of(rendered.policies.iter().map(|policy| &**policy), all);
    rules.extend(questions.rules(|group, plural| has(group, plural)));
    rules.extend(own_rules());
    if rendered.repository.policy_reports != Some(false) {
        rules.extend(report_rules());
    }
    if !has(CLUSTER_API, "clusters") {
        // Before a ClusterStack or a namespace goes: whether somebody's Cluster needs it.
        rules.push(rule(CLUSTER_API, ["clusters"], &["list"]));
    }
    let kubeconfigs = if has("", "secrets") { BTreeSet::new() } else { workload_kubeconfigs(rendered) };
    if has(CLUSTER_API, "clusters") {
        let names: Vec<&str> = kubeconfigs.iter().map(String::as_str).collect();
        if !names.is_empty() {
            rules.push(named("", "secrets", &names, &["get"]));
        }
        rules.push(rule("openstack.k-orc.cloud", ["floatingips"], &["list"]));
    }
    let tenants: BTreeMap<&str, &Tenant> = rendered
        .manifests
        .iter()
        .filter_map(|manifest| manifest.origin.tenant.as_deref())
        .map(|tenant| (tenant.name.as_str(), tenant))
        .collect();
    rules.extend(as_tenants(&tenants));
    let mut home = vec![
        rule(
            API_GROUP,
            ["reconciliations", "reconciliations/status"],
            &["get", "list", "watch", "create", "patch", "update"],
        ),
        rule("coordination.k8s.io", ["leases"], &WHOLE),
        rule("", ["configmaps"], &WHOLE),
    ];
    if webhook {
        for kind in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
            rules.push(named(ADMISSION, kind, &[WEBHOOK_CONFIGURATION], &["create", "patch"]));
        }
        // What is to be created has no name yet for whom rights are asked.
        home.push(rule("", ["secrets"], &["create"]));
        home.push(named("", "secrets", &[super::WEBHOOK], &["get", "update"]));
    }
    let mut powers = Vec::new();
    if roles || bindings {
        powers.push(format!(
            "This is cluster-admin in effect: the repository holds {}, and who may write those may give itself any right.",
            of_group(&kinds, RBAC)
        ));
    }
    if has(ADMISSION, "mutatingwebhookconfigurations") || has(ADMISSION, "mutatingadmissionpolicies") {
        powers.push(format!(
            "It may change any object on its way in: the repository holds {}.",
            of_group(&kinds, ADMISSION)
        ));
    }
    if kinds.values().flatten().any(|plural| WORKLOADS.contains(&plural.as_str())) {
        powers.push("It may run pods as any account of any namespace.".to_owned());
    }
    if has("", "secrets") {
        powers.push("It may read every Secret.".to_owned());
    }
    if !has("", "secrets") && questions.read_secrets() {
        powers.push("It may read the Secrets that policies ask for.".to_owned());
    }
    if !kubeconfigs.is_empty() {
        powers.push(
            "It may read the kubeconfigs of the repository's Clusters, to look what would stay behind when one goes: \
             it could administer them."
                .to_owned(),
        );
    }
    if !tenants.is_empty() {
        let names: Vec<&str> = tenants.keys().copied().collect();
        powers.push(format!("It may act as the tenants {}.", names.join(", ")));
    }
    let unknown = questions.unknown;
    Rights { cluster: rules, home, peers: peers(rendered, cluster), powers, unknown, guessed }
}

/// What every daemon needs in the cluster, whatever it renders: to tell of events, and to put the fence in place that
/// refuses writes of an instance without the lease.
fn own_rules() -> Vec<Value> {
    vec![
        rule("events.k8s.io", ["events"], &["create"]),
        rule(
            ADMISSION,
            ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
            &["get", "list", "watch", "create", "patch", "update"],
        ),
        // Whoever writes a policy must be able to read its parameter, a Lease.
        rule("coordination.k8s.io", ["leases"], &["get"]),
        // The mark by which the fence knows the writer.
        rule("authentication.k8s.io", ["userextras/moin.scs.community/holder"], &["impersonate"]),
    ]
}

/// What policies say goes into reports, in whichever kinds the cluster serves.
fn report_rules() -> impl Iterator<Item = Value> {
    REPORT_KINDS.into_iter().map(|(group, _, kinds)| {
        let plurals = kinds.map(guess);
        rule(group, plurals.iter().map(String::as_str), &["list", "create", "patch", "delete"])
    })
}

/// The Secrets by which Cluster API's Clusters are reached.
fn workload_kubeconfigs(rendered: &Manifests) -> BTreeSet<String> {
    let ids = rendered.manifests.iter().map(|manifest| &manifest.id);
    ids.filter(|id| id.group() == CLUSTER_API && id.kind() == "Cluster")
        .map(|id| format!("{}-kubeconfig", id.name()))
        .collect()
}

/// The right to write tenants' objects as them, and as nobody else.
fn as_tenants(tenants: &BTreeMap<&str, &Tenant>) -> Vec<Value> {
    let users: BTreeSet<&str> = tenants.values().map(|tenant| tenant.user.as_str()).collect();
    let groups = tenants.values().flat_map(|tenant| &tenant.groups);
    let groups: BTreeSet<&str> = groups.map(String::as_str).collect();
    [("users", users), ("groups", groups)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| named("", kind, &names.into_iter().collect::<Vec<_>>(), &["impersonate"]))
        .collect()
}

/// All kinds that are rendered or generated, as plurals by group.
fn resources(rendered: &Manifests) -> (BTreeMap<String, BTreeSet<String>>, Vec<Gvk>) {
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut guessed = BTreeSet::new();
    let rendered_kinds = rendered.manifests.iter().map(|manifest| manifest.gvk.clone());
    let generated = rendered.policies.iter().flat_map(|policy| generated_kinds(&policy.body));
    for gvk in rendered_kinds.chain(generated) {
        let plural = plural_of(&gvk, &rendered.schemas).unwrap_or_else(|| {
            guessed.insert(gvk.clone());
            guess(&gvk.kind)
        });
        kinds.entry(gvk.group.to_string()).or_default().insert(plural);
    }
    (kinds, guessed.into_iter().collect())
}

/// The kinds that a policy's rules generate: a namespace that only lives may bring what no file does.
fn generated_kinds(policy: &Value) -> Vec<Gvk> {
    let rules = policy["spec"]["rules"].as_array().into_iter().flatten();
    let one = |version: Option<&str>, kind: &Value| Some(Gvk::new(version?, kind.as_str()?));
    rules
        .flat_map(|rule| {
            let generate = &rule["generate"];
            let listed =
                generate["cloneList"]["kinds"].as_array().into_iter().flatten().filter_map(Value::as_str);
            // `v1/Secret`, `apps/v1/Deployment`.
            let listed = listed
                .filter_map(|text| text.rsplit_once('/'))
                .map(|(version, kind)| Gvk::new(version, kind));
            one(generate["apiVersion"].as_str(), &generate["kind"])
                .into_iter()
                .chain(listed)
                .collect::<Vec<_>>()
        })
        // A name with a variable in it is known only when the rule runs.
        .filter(|gvk| !gvk.kind.contains("{{"))
        .collect()
}

/// The kind's name in URLs; any version of it tells.
fn plural_of(gvk: &Gvk, schemas: &Schemas) -> Option<String> {
    let exact = schemas.kind(gvk).map(|kind| kind.plural.clone());
    exact.or_else(|| {
        let mut any: Vec<&str> = schemas
            .kinds()
            .filter(|kind| kind.gvk.group_kind() == gvk.group_kind())
            .map(|kind| kind.plural.as_str())
            .collect();
        any.sort_unstable();
        any.first().map(|plural| (*plural).to_owned())
    })
}

/// As most definitions name their kinds.
fn guess(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with(['s', 'x']) || kind.ends_with("ch") || kind.ends_with("sh") => {
            format!("{kind}es")
        }
        _ => format!("{kind}s"),
    }
}

/// The Secrets of the peers of a management cluster.
fn peers(rendered: &Manifests, cluster: Option<&str>) -> BTreeSet<(String, String)> {
    let clusters = &rendered.repository.clusters;
    let here = cluster.and_then(|name| clusters.get(name));
    let secrets = here
        .into_iter()
        .flat_map(|here| &here.peers)
        .filter_map(|peer| clusters.get(peer)?.kubeconfig.as_ref());
    secrets.map(|secret| (secret.namespace.clone(), secret.secret.clone())).collect()
}

fn of_group(kinds: &BTreeMap<String, BTreeSet<String>>, group: &str) -> String {
    kinds.get(group).map(|plurals| plurals.iter().cloned().collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

/// A rule of a role.
pub fn rule<'a>(group: &str, resources: impl IntoIterator<Item = &'a str>, verbs: &[&str]) -> Value {
    let resources: Vec<&str> = resources.into_iter().collect();
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// A rule for objects of these names.
pub fn named(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_urls() {
        for (kind, plural) in [
            ("Widget", "widgets"),
            ("Policy", "policies"),
            ("Gateway", "gateways"),
            ("Ingress", "ingresses"),
            ("Mesh", "meshes"),
        ] {
            assert_eq!(guess(kind), plural);
        }
    }
}
