//! What a review promises, on small repositories and on the real one.

use super::*;
use crate::finding::Code;
use crate::render::testing::{Repo, repo};

fn reviewed(repo: &Repo) -> Review {
    review(&repo.render(), &Surroundings::none())
}

fn said(review: &Review) -> String {
    review.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

fn cluster(name: &str, class: &str, version: &str) -> String {
    format!(
        "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata: {{name: {name}, namespace: team-a}}\nspec:\n  topology:\n    \
         class: {class}\n    version: {version}\n"
    )
}

const NO_LATEST: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: no-latest}
spec:
  validationFailureAction: Enforce
  rules:
  - name: tag
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate:
      message: the tag must not be latest
      pattern:
        data:
          tag: '!latest'
";

fn config_map(name: &str, tag: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: a}}\ndata:\n  tag: {tag}\n"
    )
}

#[test]
fn class_and_version_must_be_of_one_minor() {
    let v1beta2 = "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {name: new, namespace: team-a}\nspec:\n  topology:\n    \
                   classRef: {name: openstack-scs2-1-34-v1}\n    version: v1.33.1\n";
    let repo = repo()
        .file("a.yaml", &cluster("fits", "openstack-scs-1-27-v4", "v1.27.14"))
        .file("b.yaml", &cluster("old", "openstack-scs-1-27-v4", "v1.29.3"))
        .file("c.yaml", v1beta2)
        .file("d.yaml", &cluster("own", "my-class", "v1.29.3"));
    let review = reviewed(&repo);
    let names: Vec<&str> = review.admitted.manifests().iter().map(|manifest| manifest.id.name()).collect();
    assert_eq!(names, ["fits", "own"]);
    insta::assert_snapshot!(said(&review), @r#"
      error[MOIN-0601]: Cluster/team-a/new: the class openstack-scs2-1-34-v1 is for Kubernetes 1.34, but the version is v1.33.1
       --> c.yaml:7:5
        |
      7 |     version: v1.33.1
        |     ^^^^^^^^
        |
       ::: c.yaml:6:16
        |
      6 |     classRef: {name: openstack-scs2-1-34-v1}
        |                -----
        |
        = help: use a version v1.34.x, or the class of the version's minor

      error[MOIN-0601]: Cluster/team-a/old: the class openstack-scs-1-27-v4 is for Kubernetes 1.27, but the version is v1.29.3
       --> b.yaml:7:5
        |
      7 |     version: v1.29.3
        |     ^^^^^^^^
        |
       ::: b.yaml:6:5
        |
      6 |     class: openstack-scs-1-27-v4
        |     ------
        |
        = help: use a version v1.27.x, or the class of the version's minor
    "#);
}

#[test]
fn what_the_topology_controller_makes_is_not_applied() {
    let text = "apiVersion: cluster.x-k8s.io/v1beta1\nkind: MachineDeployment\nmetadata:\n  name: md\n  namespace: a\n  labels:\n    \
                topology.cluster.x-k8s.io/owned: \"\"\n";
    let review = reviewed(&repo().file("a.yaml", text));
    assert!(review.admitted.manifests().is_empty());
    insta::assert_snapshot!(said(&review), @r#"
      error[MOIN-0602]: MachineDeployment/a/md: it is labelled topology.cluster.x-k8s.io/owned: Cluster API's topology controller makes and changes it
       --> a.yaml:7:5
        |
      7 |     topology.cluster.x-k8s.io/owned: ""
        |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn an_enforced_policy_blocks_and_an_audit_reports() {
    let policy = NO_LATEST.to_owned();
    let base = repo().file("x.yaml", &config_map("bad", "latest")).file("y.yaml", &config_map("good", "v1"));
    let enforced = reviewed(&base.clone().file("policy.yaml", &policy));
    assert_eq!(enforced.blocked.len(), 1);
    assert!(enforced.admitted.described().contains(&enforced.blocked[0].manifest.id));
    insta::assert_snapshot!(said(&enforced), @r#"
      error[MOIN-0502]: ConfigMap/a/bad: no-latest/tag: validation error: the tag must not be latest. rule tag failed at path /data/tag/
       --> x.yaml:5:3
        |
      5 |   tag: latest
        |   ^^^^ data.tag
        |
       ::: policy.yaml:7:5
        |
      7 |   - name: tag
        |     -----
    "#);
    let audit = reviewed(&base.file("policy.yaml", &policy.replace("Enforce", "Audit")));
    assert!(audit.blocked.is_empty());
    assert_eq!(audit.findings[0].code, Code::PolicyAudit);
}

#[test]
fn a_policy_that_is_removed_still_judges_the_change() {
    let before = repo().file("policy.yaml", NO_LATEST).file("y.yaml", &config_map("good", "v1"));
    let after = repo().file("y.yaml", &config_map("good", "v1")).file("x.yaml", &config_map("bad", "latest"));
    let applied = before.render();
    let surroundings = Surroundings { applied: Some(&applied), ..Surroundings::none() };
    let review = review(&after.render(), &surroundings);
    assert_eq!(review.blocked.len(), 1);
    insta::assert_snapshot!(said(&review), @r#"
      warning[MOIN-0707]: ClusterPolicy/no-latest: the policy is removed; it still judges this change
       --> policy.yaml:1:1
        |
      1 | apiVersion: kyverno.io/v1
        | ^^^^^^^^^^^

      error[MOIN-0502]: ConfigMap/a/bad: no-latest/tag: validation error: the tag must not be latest. rule tag failed at path /data/tag/
       --> x.yaml:5:3
        |
      5 |   tag: latest
        |   ^^^^ data.tag
        |
       ::: policy.yaml:7:5
        |
      7 |   - name: tag
        |     -----
    "#);
}

#[test]
fn a_verdict_is_made_once_for_each_object() {
    let repo = repo().file("policy.yaml", NO_LATEST).file("x.yaml", &config_map("bad", "latest"));
    let mut renderer = crate::render::Renderer::default();
    let mut reviewer = Reviewer::default();
    let mut once = || {
        let rendered = renderer.render(&repo.snapshot, &repo.options, &LiveTriggers::none());
        reviewer.review(&rendered, &Surroundings::none())
    };
    let (first, second) = (once(), once());
    assert_eq!(said(&first), said(&second));
    assert!(Arc::ptr_eq(&first.blocked[0].manifest, &second.blocked[0].manifest));
}

#[test]
fn the_real_policy_refuses_an_unsupported_version() {
    let Some(repo) = Repo::shared("moin-cluster-config") else { return };
    let repo = repo
        .file(
            "kyverno/config/kustomization.yaml",
            "resources: [k8s-version.yaml, per-playground-resources.yaml, web.yaml, ns.yaml]\n",
        )
        .file("kyverno/config/web.yaml", &cluster("web", "openstack-scs-1-26-v4", "v1.26.0"))
        .file(
            "kyverno/config/ns.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: kaas-playground0}\n",
        )
        .path("flux/config");
    let rendered = repo.render();
    let generated: Vec<String> = rendered
        .manifests
        .iter()
        .filter(|manifest| manifest.origin.rule.is_some())
        .map(|manifest| format!("{} {}", manifest.id, manifest.origin))
        .collect();
    insta::assert_snapshot!(generated.join("\n"), @r#"
      ClusterStack/kaas-playground0/kamaji kyverno/config/per-playground-resources.yaml:77 generated by generate-per-playground-resources/generate-kamaji-clusterstack/kaas-playground0
      ClusterStack/kaas-playground0/scs-cluster-stack kyverno/config/per-playground-resources.yaml:24 generated by generate-per-playground-resources/generate-clusterstack/kaas-playground0
      RoleBinding/kaas-playground0/scs-tenant-rolebinding kyverno/config/per-playground-resources.yaml:51 generated by generate-per-playground-resources/generate-rolebinding/kaas-playground0
    "#);
    let review = review(&rendered, &Surroundings::none());
    assert_eq!(review.blocked.len(), 1);
    insta::assert_snapshot!(said(&review), @r#"
      error[MOIN-0502]: Cluster/team-a/web: enforce-supported-k8s-version/check-for-supported-k8s-version: validation error: rule check-for-supported-k8s-version failed
       --> kyverno/config/web.yaml:7:5
        |
      7 |     version: v1.26.0
        |     ^^^^^^^^ spec.topology.version
        |
       ::: kyverno/config/k8s-version.yaml:8:7
        |
      8 |     - name: check-for-supported-k8s-version
        |       -----
    "#);
}

#[test]
fn what_does_not_fit_its_schema_is_blocked_and_what_would_be_dropped_is_said() {
    let review = reviewed(
        &repo()
            .file(
                "a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: a}\ndata:\n  count: 7\n",
            )
            .file(
                "b.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, namespace: a}\ndatta: {}\n",
            ),
    );
    assert_eq!(review.blocked.len(), 1);
    insta::assert_snapshot!(said(&review), @r#"
      error[MOIN-0603]: ConfigMap/a/one: data.count: Invalid value: "integer": data.count in body must be of type string: "integer"
       --> a.yaml:5:3
        |
      5 |   count: 7
        |   ^^^^^^

      warning[MOIN-0603]: ConfigMap/a/two: datta is no field of a ConfigMap
       --> b.yaml:4:1
        |
      4 | datta: {}
        | ^^^^^^
    "#);
}

#[test]
fn the_real_repository_passes_its_schemas() {
    let Some(repo) = Repo::shared("moin-cluster-config") else { return };
    for path in ["flux/config", "prod/flux/config"] {
        let review = reviewed(&repo.clone().path(path));
        assert_eq!(said(&review), "", "{path}");
    }
}

const ALLOWED_TAGS: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: allowed-tags}
spec:
  validationFailureAction: Enforce
  rules:
  - name: tag
    match: {any: [{resources: {kinds: [ConfigMap], names: ['app*']}}]}
    context:
    - name: allowed
      configMap: {name: tags, namespace: a}
    validate:
      message: the tag is not allowed
      deny:
        conditions:
          all:
          - key: '{{ request.object.data.tag }}'
            operator: AnyNotIn
            value: '{{ parse_yaml(allowed.data.list) }}'
";

/// What the review says of `app`, where policies may ask this world.
fn said_in(world: &crate::policy::World, repo: &Repo) -> Vec<(Code, String)> {
    let live = LiveTriggers { world, ..LiveTriggers::none() };
    let rendered = crate::render::Renderer::default().render(&repo.snapshot, &repo.options, &live);
    let review = review(&rendered, &Surroundings { live, ..Surroundings::none() });
    let about = |finding: &Finding| finding.object.as_ref().is_some_and(|id| id.name() == "app");
    let findings = review.findings.into_iter().filter(about);
    findings.map(|finding| (finding.code, finding.help.unwrap_or_default())).collect()
}

#[test]
fn what_a_policy_asks_for_comes_from_the_repository_a_file_or_a_cluster() {
    use crate::policy::World;
    use serde_json::json;
    let policy = |repo: Repo| repo.file("policy.yaml", ALLOWED_TAGS);
    let good = || policy(repo()).file("app.yaml", &config_map("app", "v1"));
    let bad = || policy(repo()).file("app.yaml", &config_map("app", "v9"));
    let tags =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tags, namespace: a}\ndata: {list: '[v1, v2]'}\n";
    let nothing = World::nothing();
    let missing = said_in(&nothing, &good());
    assert_eq!(missing.len(), 1);
    assert!(missing[0].0 == Code::ContextMissing && missing[0].1.contains("--values"), "{missing:?}");
    assert_eq!(said_in(&nothing, &good().file("tags.yaml", tags)), []);
    assert_eq!(said_in(&nothing, &bad().file("tags.yaml", tags))[0].0, Code::PolicyViolation);
    let given = json!({"policies": [{"name": "allowed-tags", "rules": [{"name": "tag", "values": {"allowed.data.list": "[v1]"}}]}]});
    let world = World::nothing().given(given);
    assert_eq!(said_in(&world, &good()), []);
    assert_eq!(said_in(&world, &bad())[0].0, Code::PolicyViolation);
    let mut world = World::nothing().with_cluster();
    assert_eq!(said_in(&world, &bad())[0].0, Code::ContextMissing);
    let path = "/api/v1/namespaces/a/configmaps/tags";
    assert_eq!(world.open(), [path]);
    world.take([(path.to_owned(), Ok(json!({"kind": "ConfigMap", "data": {"list": "[v9]"}})))]);
    assert_eq!(said_in(&world, &bad()), []);
    assert_eq!(said_in(&world, &good())[0].0, Code::PolicyViolation);
    world.take([(path.to_owned(), Err("configmaps \"tags\" not found".to_owned()))]);
    assert_eq!(said_in(&world, &good())[0].0, Code::ContextMissing);
}

#[test]
fn a_verdict_that_depends_on_others_is_not_kept() {
    use crate::policy::World;
    use serde_json::json;
    let repo = repo().file("policy.yaml", ALLOWED_TAGS).file("app.yaml", &config_map("app", "v1"));
    let mut world = World::nothing().with_cluster();
    let (mut renderer, mut reviewer) = (crate::render::Renderer::default(), Reviewer::default());
    for (list, blocked) in [("[v1]", 0), ("[v2]", 1), ("[v1]", 0)] {
        let answer = json!({"kind": "ConfigMap", "data": {"list": list}});
        world.take([("/api/v1/namespaces/a/configmaps/tags".to_owned(), Ok(answer))]);
        let live = LiveTriggers { world: &world, ..LiveTriggers::none() };
        let rendered = renderer.render(&repo.snapshot, &repo.options, &live);
        let review = reviewer.review(&rendered, &Surroundings { live, ..Surroundings::none() });
        assert_eq!(review.blocked.len(), blocked, "{list}");
    }
}

#[test]
fn parameters_of_admission_policies_come_from_the_repository_or_a_cluster_and_are_never_passed_over() {
    use crate::policy::World;
    let spec = "paramKind: {apiVersion: v1, kind: ConfigMap}, matchConstraints: {resourceRules: \
                [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [secrets]}]}, \
                validations: [{expression: 'object.type == params.data.type', message: wrong type}]";
    let binding = "policyName: p, paramRef: {name: types, namespace: a, parameterNotFoundAction: Allow}, validationActions: [Deny]";
    let head = |kind: &str, name: &str, spec: &str| {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
        )
    };
    let repo = repo()
        .file("p.yaml", &head("ValidatingAdmissionPolicy", "p", spec))
        .file("b.yaml", &head("ValidatingAdmissionPolicyBinding", "b", binding))
        .file("s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: app, namespace: a}\ntype: Opaque\n");
    let codes = |world: &World, repo: &Repo| -> Vec<Code> {
        said_in(world, repo).into_iter().map(|(code, _)| code).collect()
    };
    assert_eq!(codes(&World::nothing(), &repo), [Code::ContextMissing]);
    let mut world = World::nothing().with_cluster();
    assert_eq!(codes(&world, &repo), [Code::ContextMissing]);
    let path = "/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name=types".to_owned();
    assert!(world.open() == std::slice::from_ref(&path));
    let list = |data: &str| {
        let item =
            serde_json::json!({"metadata": {"name": "types", "namespace": "a"}, "data": {"type": data}});
        serde_json::json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [item]})
    };
    world.take([(path.clone(), Ok(list("Opaque")))]);
    assert_eq!(codes(&world, &repo), []);
    world.take([(path.clone(), Ok(list("other")))]);
    assert_eq!(codes(&world, &repo), [Code::PolicyViolation]);
    world.take([(path, Ok(serde_json::json!({"items": []})))]);
    assert_eq!(codes(&world, &repo), [], "there is none, which is allowed");
    let described =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: types, namespace: a}\ndata: {type: other}\n";
    let described = repo.clone().file("c.yaml", described);
    assert_eq!(codes(&World::nothing(), &described), [Code::PolicyViolation]);
    // `Ignore` is about what cannot be evaluated: that is told and blocks nothing; what breaks the policy is refused.
    let ignoring = |repo: Repo| {
        repo.file(
            "p.yaml",
            &head("ValidatingAdmissionPolicy", "p", &format!("failurePolicy: Ignore, {spec}")),
        )
    };
    let unknown = reviewed(&ignoring(repo));
    assert!(
        unknown.blocked.is_empty() && said(&unknown).contains("warning[MOIN-0508]"),
        "{}",
        said(&unknown)
    );
    let broken = reviewed(&ignoring(described));
    assert!(broken.blocked.len() == 1 && said(&broken).contains("wrong type"), "{}", said(&broken));
}

/// A policy in CEL that says this of ConfigMaps whose names begin with `app`.
fn in_cel(expression: &str) -> String {
    format!(
        "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {{name: looks-up}}\nspec:\n  failurePolicy: Ignore\n  \
         matchConstraints: {{resourceRules: [{{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}]}}\n  \
         matchConditions: [{{name: app, expression: object.metadata.name.startsWith('app')}}]\n  \
         variables: [{{name: found, expression: '{expression}'}}]\n  \
         validations: [{{expression: 'object.data.tag in variables.found', message: the tag is not allowed}}]\n"
    )
}

#[test]
fn what_policies_in_cel_look_up_is_answered_as_contexts_are() {
    use crate::policy::World;
    use serde_json::json;
    let get = "[resource.Get(\"v1\", \"configmaps\", \"a\", \"tags\").data.tag]";
    let list = "resource.List(\"v1\", \"configmaps\", \"a\", {\"use\": \"tags\"}).items.map(m, m.data.tag)";
    let global = "globalContext.Get(\"tags\").map(m, m.data.tag)";
    let projection = "globalContext.Get(\"tags\", \"all\")";
    let of = |expression: &str, tag: &str| {
        repo().file("p.yaml", &in_cel(expression)).file("app.yaml", &config_map("app", tag))
    };
    let tags = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tags, namespace: a, labels: {use: tags}}\ndata: {tag: v1}\n";
    let entry = "apiVersion: kyverno.io/v2alpha1\nkind: GlobalContextEntry\nmetadata: {name: tags}\nspec:\n  \
         kubernetesResource: {version: v1, resource: configmaps, namespace: a}\n  projections: [{name: all, jmesPath: '[].data.tag'}]\n";
    // By the repository alone.
    for expression in [get, list, global, projection] {
        let described = |tag: &str| of(expression, tag).file("tags.yaml", tags).file("entry.yaml", entry);
        assert_eq!(said_in(&World::nothing(), &described("v1")), [], "{expression}");
        let broken = said_in(&World::nothing(), &described("v2"));
        assert_eq!(broken[0].0, Code::PolicyViolation, "{expression}");
    }
    // What nobody describes is told, and holds the object up although the policy ignores failures.
    for expression in [get, global, projection, "[http.Get(\"https://tags\").body]"] {
        let review = reviewed(&of(expression, "v1"));
        assert_eq!(review.blocked.len(), 1, "{expression}");
        assert!(said(&review).contains("error[MOIN-0508]"), "{}", said(&review));
    }
    assert_eq!(said_in(&World::nothing(), &of(list, "v1"))[0].0, Code::PolicyViolation, "the list is empty");
    // A cluster is asked once, and what it does not have is an answer.
    let mut world = World::nothing().with_cluster();
    assert_eq!(said_in(&world, &of(get, "v9"))[0].0, Code::ContextMissing);
    let path = "/api/v1/namespaces/a/configmaps/tags".to_owned();
    assert_eq!(world.open(), std::slice::from_ref(&path));
    world.take([(path.clone(), Ok(json!({"kind": "ConfigMap", "data": {"tag": "v9"}})))]);
    assert_eq!(said_in(&world, &of(get, "v9")), []);
    assert_eq!(said_in(&world, &of(get, "v1"))[0].0, Code::PolicyViolation);
    world.take([(path, Err("configmaps \"tags\" not found".to_owned()))]);
    assert_eq!(said_in(&world, &of(get, "v9")), [], "failures are ignored");
    let asked = "/api/v1/namespaces/a/configmaps?labelSelector=use=tags".to_owned();
    assert_eq!(said_in(&world, &of(list, "v9"))[0].0, Code::ContextMissing);
    let item = json!({"metadata": {"name": "other", "namespace": "a"}, "data": {"tag": "v9"}});
    world.take([(asked, Ok(json!({"kind": "ConfigMapList", "items": [item]})))]);
    assert_eq!(said_in(&world, &of(list, "v9")), []);
    // A file of values.
    let values = json!({"globalContextEntries": [{"name": "tags", "data": {"all": ["v3"]}}],
        "apiCallResponses": [{"method": "GET", "url": "https://tags", "response": {"statusCode": 200, "body": "v3"}}]});
    for expression in [projection, "[http.Get(\"https://tags\").body]"] {
        let world = World::nothing().given(values.clone());
        assert_eq!(said_in(&world, &of(expression, "v3")), [], "{expression}");
        assert_eq!(said_in(&world, &of(expression, "v4"))[0].0, Code::PolicyViolation, "{expression}");
    }
}

#[test]
fn one_policy_that_looks_up_without_end_stops_no_other() {
    let endless = "[1, 2, 3, 4, 5, 6, 7, 8].map(a, [1, 2, 3, 4, 5, 6, 7, 8].map(b, \
         resource.List(\"v1\", \"configmaps\", \"n\" + string(a) + string(b)).items.size()).size()).map(n, string(n))";
    let repo = repo()
        .file("endless.yaml", &in_cel(endless))
        .file("policy.yaml", NO_LATEST)
        .file("app.yaml", &config_map("app", "latest"));
    let review = reviewed(&repo);
    assert!(said(&review).contains("looks up at most"), "{}", said(&review));
    assert!(said(&review).contains("the tag must not be latest"), "{}", said(&review));
}
