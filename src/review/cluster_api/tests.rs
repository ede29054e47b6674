//! Each rule on small repositories: what it says where, and what it leaves alone.

use std::collections::HashMap;

use serde_json::json;

use crate::finding::{Code, Finding, Severity};
use crate::model::{LiveObject, ObjectId};
use crate::render::Manifests;
use crate::render::testing::{Repo, repo};
use crate::review::{Surroundings, review};

const CLASS: &str = "apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: small, namespace: a}
spec:
  infrastructure: {templateRef: {kind: OpenStackClusterTemplate, name: small}}
  controlPlane: {templateRef: {kind: KubeadmControlPlaneTemplate, name: small}}
  workers:
    machineDeployments: [{class: default-worker}, {class: gpu-worker}]
  variables:
  - {name: flavor, required: true, schema: {openAPIV3Schema: {type: string, enum: [m1, m2]}}}
  - {name: dns, required: true, schema: {openAPIV3Schema: {type: array, default: [], items: {type: string}}}}
  - name: disk
    required: false
    schema:
      openAPIV3Schema:
        type: object
        required: [size]
        properties: {size: {type: integer, minimum: 10}, kind: {type: string, default: ssd}}
";

/// A Cluster `a/NAME`, with more lines below `spec.topology`.
fn cluster(name: &str, class: &str, version: &str, more: &str) -> String {
    format!(
        "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {{name: {name}, namespace: a}}\nspec:\n  topology:\n    \
         classRef: {{name: {class}}}\n    version: {version}\n{more}"
    )
}

fn judged(now: &Manifests, before: Option<&Manifests>) -> Vec<Finding> {
    review(now, &Surroundings { applied: before, ..Surroundings::none() }).findings
}

fn check(repo: Repo) -> Vec<Finding> {
    judged(&repo.render(), None)
}

/// One line a finding: code, severity, object, place, message.
fn lines(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let at = finding.location.as_ref().map(|at| format!("{}:{}", at.file, at.line)).unwrap_or_default();
        let object = finding.object.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {:?} {object} {at} {}\n", finding.code, finding.severity, finding.message)
    };
    findings.iter().map(line).collect()
}

fn changed(before: &str, after: &str) -> Vec<Finding> {
    let (before, after) = (repo().file("x.yaml", before), repo().file("x.yaml", after));
    judged(&after.render(), Some(&before.render()))
}

#[test]
fn a_version_only_goes_up_one_minor_at_a_time() {
    let step = |from: &str, to: &str| {
        let found = changed(&cluster("web", "c", from, ""), &cluster("web", "c", to, ""));
        found.iter().filter(|finding| finding.code == Code::VersionStep).count()
    };
    for (from, to) in
        [("v1.33.1", "v1.33.1"), ("v1.33.1", "v1.33.4"), ("v1.33.1", "v1.34.9"), ("1.33.1", "v1.33.1")]
    {
        assert_eq!(step(from, to), 0, "{from} {to}");
    }
    for (from, to) in
        [("v1.33.1", "v1.33.0"), ("v1.33.1", "v1.32.9"), ("v1.33.1", "v1.35.0"), ("v1.33.1", "v2.0.0")]
    {
        assert_eq!(step(from, to), 1, "{from} {to}");
    }
    let allowed = "  annotations: {unsafe.topology.cluster.x-k8s.io/disable-update-version-check: ''}\n";
    let loose = |version| {
        cluster("web", "c", version, "").replace(
            "metadata: {name: web, namespace: a}\n",
            &format!("metadata:\n  name: web\n  namespace: a\n{allowed}"),
        )
    };
    assert_eq!(lines(&changed(&loose("v1.33.1"), &loose("v1.31.0"))), "");
    let found = changed(&cluster("web", "c", "v1.34.2", ""), &cluster("web", "c", "v1.33.9", ""));
    insta::assert_snapshot!(lines(&found), @"MOIN-0604 Error Cluster/a/web x.yaml:7 the version goes down from v1.34.2 to v1.33.9: Cluster API refuses that, for ever");
}

#[test]
fn what_lives_counts_as_what_was_before() {
    let rendered = repo().file("x.yaml", &cluster("web", "c", "v1.33.1", "")).render();
    let body = json!({"spec": {"topology": {"classRef": {"name": "c"}, "version": "v1.34.0"}}});
    let id = ObjectId::new("cluster.x-k8s.io", "Cluster", Some("a"), "web");
    let live = HashMap::from([(id, LiveObject::new(body))]);
    let found = review(&rendered, &Surroundings { objects: Some(&live), ..Surroundings::none() }).findings;
    assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::VersionStep]);
}

#[test]
fn the_form_of_a_version() {
    let form = |version: &str| {
        let found = check(repo().file("x.yaml", &cluster("web", "c", version, "")));
        found
            .first()
            .map(|finding| (finding.code, finding.severity, finding.help.clone().unwrap_or_default()))
    };
    assert_eq!(form("v1.34.2"), None);
    assert_eq!(form("v1.34.2-rc.0"), None);
    assert_eq!(form("1.34.2").unwrap().1, Severity::Warning);
    assert_eq!(form("v1.34").unwrap().2, "say the patch version, too: v1.34.0 or later");
    assert_eq!(form("1.34").unwrap().0, Code::VersionMalformed);
    assert_eq!(form("latest").unwrap().1, Severity::Error);
}

#[test]
fn a_template_is_copied_and_not_changed() {
    let template = |flavor: &str| {
        format!(
            "apiVersion: infrastructure.cluster.x-k8s.io/v1beta1\nkind: OpenStackMachineTemplate\nmetadata: {{name: md-v1, namespace: a}}\nspec:\n  \
             template:\n    metadata: {{labels: {{of: {flavor}}}}}\n    spec:\n      flavor: m1\n      image: {{filter: {{name: {flavor}}}}}\n"
        )
    };
    let class = "---\napiVersion: cluster.x-k8s.io/v1beta2\nkind: ClusterClass\nmetadata: {name: c, namespace: a}\nspec:\n  workers:\n    \
                 machineDeployments: [{class: w, infrastructure: {templateRef: {kind: OpenStackMachineTemplate, name: md-v1}}}]\n";
    let found = changed(&(template("x") + class), &(template("y") + class));
    insta::assert_snapshot!(lines(&found), @"MOIN-0605 Error OpenStackMachineTemplate/a/md-v1 x.yaml:9 spec.template.spec.image.filter.name changes, but a OpenStackMachineTemplate stays as it was made");
    insta::assert_snapshot!(found[0].help.clone().unwrap(), @"leave md-v1 as it is, write the change into a copy under a new name, such as md-v2, and name that in ClusterClass/a/c: the machines are then replaced one after the other; remove md-v1 when none uses it any more");
    let labels = template("x").replace("{of: x}", "{of: y}");
    assert_eq!(lines(&changed(&template("x"), &labels)), "", "metadata of a template may change");
    let unknown = |text: String| text.replace("OpenStack", "Strange");
    let found = changed(&unknown(template("x")), &unknown(template("y")));
    assert_eq!(found[0].severity, Severity::Warning);
}

#[test]
fn what_a_cluster_was_made_with_stays() {
    let with = |pods: &str, topology: bool| {
        let topology = if topology { "  topology: {classRef: {name: c}, version: v1.34.2}\n" } else { "" };
        format!(
            "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {{name: web, namespace: a}}\nspec:\n  clusterNetwork:\n    \
             pods: {{cidrBlocks: [{pods}]}}\n{topology}"
        )
    };
    let found = changed(&with("10.0.0.0/16", true), &with("10.1.0.0/16", true));
    insta::assert_snapshot!(lines(&found), @"MOIN-0605 Error Cluster/a/web x.yaml:6 spec.clusterNetwork.pods.cidrBlocks changes: it stays as it was when the Cluster was made");
    let found = changed(&with("10.0.0.0/16", true), &with("10.0.0.0/16", false));
    insta::assert_snapshot!(lines(&found), @"MOIN-0605 Error Cluster/a/web x.yaml:4 spec.topology cannot be removed from a Cluster that exists; Cluster API refuses it");
    let found = changed(
        &cluster("web", "openstack-scs-1-34-v1", "v1.34.2", ""),
        &cluster("web", "docker-scs-1-34-v1", "v1.34.2", ""),
    );
    assert_eq!(found[0].code, Code::FieldImmutable);
    let bad = check(repo().file("x.yaml", &with("10.0.0.0/33, nonsense, 10.0.0.0/16, 'fd00::/108'", true)));
    assert_eq!(bad.iter().filter(|finding| finding.code == Code::SchemaViolation).count(), 2);
}

#[test]
fn variables_fit_their_class() {
    let variables = "    variables:\n    - {name: flavour, value: m1}\n    - {name: flavor, value: m3}\n    - name: disk\n      value:\n        \
                     size: 5\n        colour: red\n    workers:\n      machineDeployments:\n      - class: defualt-worker\n        name: w\n        \
                     variables:\n          overrides: [{name: flavor, value: 7}]\n    controlPlane: {replicas: 2}\n";
    let found =
        check(repo().file("c.yaml", CLASS).file("x.yaml", &cluster("web", "small", "v1.34.2", variables)));
    insta::assert_snapshot!(lines(&found), @r#"
    MOIN-0607 Error Cluster/a/web x.yaml:21 a control plane of 2 replicas: etcd needs an odd number
    MOIN-0611 Error Cluster/a/web x.yaml:17 the ClusterClass small has no class "defualt-worker" in workers.machineDeployments
    MOIN-0610 Error Cluster/a/web x.yaml:9 the class has no variable "flavour"
    MOIN-0610 Error Cluster/a/web x.yaml:10 the variable flavor: spec.topology.variables[1].value: Unsupported value: "m3": supported values: "m1", "m2"
    MOIN-0610 Error Cluster/a/web x.yaml:13 the variable disk: spec.topology.variables[2].value.size: Invalid value: 5: disk.size in body should be greater than or equal to 10
    MOIN-0610 Error Cluster/a/web x.yaml:14 the variable disk: spec.topology.variables[2].value.colour is no field of its schema
    MOIN-0610 Error Cluster/a/web x.yaml:20 the variable flavor: spec.topology.workers.machineDeployments[0].variables.overrides[0].value: Invalid value: "integer": flavor in body must be of type string: "integer"
    MOIN-0610 Error Cluster/a/web x.yaml:20 the variable flavor: spec.topology.workers.machineDeployments[0].variables.overrides[0].value: Unsupported value: 7: supported values: "m1", "m2"
    "#);
    assert!(found[1].help.as_deref().unwrap().starts_with("perhaps default-worker is meant"));
    assert_eq!(found[2].help.as_deref(), Some("perhaps flavor is meant"));
    let found = check(repo().file("c.yaml", CLASS).file("x.yaml", &cluster("web", "small", "v1.34.2", "")));
    insta::assert_snapshot!(lines(&found), @r#"MOIN-0610 Error Cluster/a/web x.yaml:5 the class demands the variable "flavor", and the Cluster does not give it"#);
    let good = "    variables: [{name: flavor, value: m2}, {name: disk, value: {size: 10}}]\n";
    assert_eq!(
        lines(&check(repo().file("c.yaml", CLASS).file("x.yaml", &cluster("web", "small", "v1.34.2", good)))),
        ""
    );
    let v1beta1 = "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata: {name: old, namespace: a}\nspec:\n  topology:\n    \
                   class: small\n    version: v1.34.2\n    variables: [{name: flavor, value: m9}]\n";
    assert_eq!(check(repo().file("c.yaml", CLASS).file("x.yaml", v1beta1)).len(), 1);
}

#[test]
fn an_extension_may_bring_variables_that_nobody_here_knows() {
    let class = CLASS.to_owned() + "  patches: [{name: p, external: {discoverVariablesExtension: x}}]\n";
    let text = cluster(
        "web",
        "small",
        "v1.34.2",
        "    variables: [{name: flavor, value: m1}, {name: more, value: 1}]\n",
    );
    assert_eq!(lines(&check(repo().file("c.yaml", &class).file("x.yaml", &text))), "");
}

#[test]
fn a_class_comes_from_a_cluster_stack() {
    let stack = "apiVersion: clusterstack.x-k8s.io/v1alpha1\nkind: ClusterStack\nmetadata: {name: s, namespace: a}\nspec:\n  provider: openstack\n  \
                 name: scs2\n  kubernetesVersion: '1.34'\n  channel: stable\n  autoSubscribe: false\n  noProvider: true\n  versions: [v1, v2]\n";
    let of = |class: &str| repo().file("s.yaml", stack).file("x.yaml", &cluster("web", class, "v1.34.2", ""));
    assert_eq!(lines(&check(of("openstack-scs2-1-34-v2"))), "");
    assert_eq!(lines(&check(of("my-class"))), "");
    let found = check(of("openstack-scs2-1-34-v3"));
    assert_eq!((found[0].code, found[0].severity), (Code::ClassNotReleased, Severity::Warning));
    assert_eq!(
        found[0].help.as_deref(),
        Some(
            "use one of openstack-scs2-1-34-v1, openstack-scs2-1-34-v2, or add the version to a ClusterStack first"
        )
    );
    let base = repo().file("s.yaml", stack).render();
    let found = judged(&of("openstack-scs2-1-34-v3").render(), Some(&base));
    assert_eq!(found[0].severity, Severity::Error, "what is new must be right");
    let running = of("openstack-scs2-1-34-v3").render();
    assert_eq!(judged(&running, Some(&running))[0].severity, Severity::Warning);
    let custom = stack.replace("[v1, v2]", "[v1, v0-sha.abc, 3]").replace("  noProvider: true\n", "");
    insta::assert_snapshot!(lines(&check(repo().file("s.yaml", &custom))), @r#"
    MOIN-0608 Error ClusterStack/a/s s.yaml:10 the version v0-sha.abc is of the channel custom, and the channel is stable
    MOIN-0608 Error ClusterStack/a/s s.yaml:4 spec.providerRef is missing: only a ClusterStack with `noProvider: true` needs none
    "#);
}

#[test]
fn clusters_of_one_project_do_not_share_names() {
    let tenant = |namespace: &str, name: &str, project: &str| {
        format!(
            "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  topology:\n    \
             classRef: {{name: c}}\n    version: v1.34.2\n    variables: [{{name: identityRef, value: {{name: openstack, cloudName: os}}}}]\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: openstack, namespace: {namespace}}}\nstringData:\n  clouds.yaml: |\n    clouds:\n      \
             os: {{auth: {{auth_url: https://cloud.example.org/v3, project_id: {project}, password: hidden-{namespace}}}}}\n"
        )
    };
    let two = |one: (&str, &str, &str), other: (&str, &str, &str)| {
        let repo = repo()
            .file("a.yaml", &tenant(one.0, one.1, one.2))
            .file("b.yaml", &tenant(other.0, other.1, other.2));
        lines(&check(repo))
    };
    assert_eq!(two(("a", "web", "p1"), ("b", "web", "p2")), "");
    assert_eq!(two(("a", "web", "p1"), ("b", "api", "p1")), "");
    insta::assert_snapshot!(two(("a", "web", "p1"), ("b", "web", "p1")), @"MOIN-0612 Warning Cluster/a/web a.yaml:3 Cluster/b/web uses the same OpenStack project, and both are named web: load balancers of their Services would have the same names");
    insta::assert_snapshot!(two(("a-b", "c", "p1"), ("a", "b-c", "p1")), @"MOIN-0612 Warning Cluster/a/b-c b.yaml:3 Cluster/a-b/c uses the same OpenStack project, and both would be k8s-clusterapi-cluster-a-b-c there: networks, routers and load balancers");
    let base = repo().file("a.yaml", &tenant("a", "web", "p1")).render();
    let now =
        repo().file("a.yaml", &tenant("a", "web", "p1")).file("b.yaml", &tenant("b", "web", "p1")).render();
    let found = judged(&now, Some(&base));
    assert_eq!(found[0].severity, Severity::Error);
    assert_eq!(found[0].object.as_ref().unwrap().to_string(), "Cluster/b/web", "the new one gives way");
    assert!(!lines(&found).contains("hidden") && !format!("{found:?}").contains("hidden"));
}
