use std::sync::Arc;

use super::super::request::{Operation, Request};
use super::super::validate::Verdict;
use super::{PolicySet, RuleOutcome};
use crate::finding::{Code, Finding};
use crate::model::Manifest;
use crate::yaml;
use serde_json::{Value, json};

/// A policy as a manifest, with its text for the places.
fn manifest(text: &str) -> Arc<Manifest> {
    let document = yaml::read(&"policies/p.yaml".parse().unwrap(), text.as_bytes()).remove(0).unwrap();
    Arc::new(document.into_manifest().unwrap())
}

const VERSIONS: &str = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: versions
spec:
  validationFailureAction: Enforce
  rules:
    - name: supported
      match:
        any:
          - resources:
              kinds: [Cluster]
      validate:
        message: version is not supported
        deny:
          conditions:
            all:
              - key: "{{ semver_compare(trim_prefix('{{ request.object.spec.topology.version }}', 'v'), '1.29.3 || 1.30.1') }}"
                operator: Equals
                value: false
"#;

const PLAYGROUNDS: &str = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: playgrounds
spec:
  generateExisting: true
  rules:
    - name: stack
      match:
        any:
          - resources:
              kinds: [Namespace]
              names: ['*playground*']
      generate:
        synchronize: true
        apiVersion: x.io/v1
        kind: Stack
        name: stack
        namespace: '{{request.object.metadata.name}}'
        data:
          spec:
            owner: '{{request.object.metadata.name}}'
"#;

fn compile(text: &str) -> (PolicySet, Vec<Finding>) {
    PolicySet::compile(&[manifest(text)])
}

fn cluster(version: &str) -> Value {
    json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
           "metadata": {"name": "web", "namespace": "team-a"}, "spec": {"topology": {"version": version}}})
}

#[test]
fn a_denied_object_is_refused_with_its_place() {
    let (set, findings) = compile(VERSIONS);
    assert_eq!(findings, []);
    let outcome = |version: &str| set.evaluate(&Request::create(&cluster(version))).remove(0);
    assert_eq!(outcome("v1.29.3").result, Verdict::Pass);
    let refused = outcome("v1.26.0");
    assert!(refused.refuses() && refused.result == Verdict::Fail, "{refused:?}");
    assert_eq!(refused.message, "version is not supported");
    assert_eq!(refused.path.unwrap().to_string(), "spec.topology.version");
    assert_eq!(set.evaluate(&Request::create(&json!({"apiVersion": "v1", "kind": "Pod"}))), []);
    // A Cluster without a version cannot be judged, and so is refused.
    let mut other = cluster("v1.29.3");
    other["spec"] = json!({});
    let error = set.evaluate(&Request::create(&other)).remove(0);
    assert!(error.refuses() && error.result == Verdict::Error, "{error:?}");
}

#[test]
fn what_is_not_scored_is_reported_as_a_warning() {
    let text = VERSIONS
        .replace("name: versions", "name: versions\n  annotations: {policies.kyverno.io/scored: 'false'}");
    let (set, _) = compile(&text);
    let outcome = set.evaluate(&Request::create(&cluster("v1.26.0"))).remove(0);
    assert!(outcome.refuses() && outcome.reported() == Verdict::Warn);
}

#[test]
fn audit_only_reports() {
    let (set, _) = compile(&VERSIONS.replace("Enforce", "Audit"));
    let outcome = set.evaluate(&Request::create(&cluster("v1.26.0"))).remove(0);
    assert!(!outcome.refuses() && outcome.result == Verdict::Fail);
}

#[test]
fn a_change_may_leave_an_object_as_wrong_as_it_was() {
    let (set, _) = compile(VERSIONS);
    let (new, wrong, right) = (cluster("v1.25.0"), cluster("v1.26.0"), cluster("v1.29.3"));
    let change = |set: &PolicySet, old: &Value| {
        let request =
            Request { old_object: Some(old), operation: Operation::Update, ..Request::create(&new) };
        set.evaluate(&request).remove(0).result
    };
    assert_eq!(change(&set, &wrong), Verdict::Skip);
    assert_eq!(change(&set, &right), Verdict::Fail);
    let (set, _) = compile(&VERSIONS.replace("message:", "allowExistingViolations: false\n        message:"));
    assert_eq!(change(&set, &wrong), Verdict::Fail);
}

#[test]
fn overrides_choose_by_namespace() {
    let text = VERSIONS.replace(
        "  rules:",
        "  validationFailureActionOverrides:\n    - {action: Audit, namespaces: [team-*]}\n  rules:",
    );
    let (set, findings) = compile(&text);
    assert_eq!(findings, []);
    let mut object = cluster("v1.26.0");
    assert!(!set.evaluate(&Request::create(&object)).remove(0).refuses());
    object["metadata"]["namespace"] = "infra".into();
    assert!(set.evaluate(&Request::create(&object)).remove(0).refuses());
}

#[test]
fn a_policy_that_does_not_compile_refuses_what_it_could_match() {
    for (from, to, place) in [
        ("operator: Equals", "operator: Is", "spec.rules[0].validate.deny.conditions.all[0].operator"),
        ("kinds: [Cluster]", "kinds: [Cluster]\n              nams: [x]", "match.any[0].resources.nams"),
        ("key: \"{{", "key: \"{{ a.( }}{{", "conditions.all[0].key"),
        ("deny:", "deni:", "spec.rules[0].validate"),
        ("Action: Enforce", "Action: Enforced", "spec.validationFailureAction"),
    ] {
        let text = VERSIONS.replace(from, to);
        assert_ne!(text, VERSIONS);
        let (set, findings) = compile(&text);
        assert_eq!(findings.first().map(|f| f.code), Some(Code::PolicyInvalid), "{to}");
        assert!(findings[0].message.contains(place), "{}", findings[0].message);
        assert!(findings[0].location.as_ref().unwrap().line > 6);
        let outcome = set.evaluate(&Request::create(&cluster("v1.26.0"))).remove(0);
        assert!(outcome.refuses(), "{to}");
        assert_eq!(set.evaluate(&Request::create(&json!({"apiVersion": "v1", "kind": "Pod"}))), []);
    }
}

#[test]
fn what_is_misspelt_anywhere_breaks_the_rules() {
    let text = VERSIONS.replace("validationFailureAction:", "validationFailureActions:");
    let (set, findings) = compile(&text);
    assert!(findings[0].message.contains("spec.validationFailureActions: unknown field"), "{findings:?}");
    assert_eq!((findings.len(), findings[0].location.as_ref().unwrap().line), (1, 7));
    assert!(set.evaluate(&Request::create(&cluster("v1.29.3"))).remove(0).refuses());
    let exempt =
        "      exclude:\n        any:\n          - subjects: [{kind: User, name: a}]\n      validate:\n";
    let (set, findings) = compile(&VERSIONS.replace("      validate:\n", exempt));
    assert_eq!((findings.len(), findings[0].severity), (1, crate::finding::Severity::Warning));
    assert!(!set.evaluate(&Request::create(&cluster("v1.29.3"))).remove(0).refuses());
}

#[test]
fn of_a_policy_that_applies_one_rule_the_first_verdict_counts() {
    let rule = VERSIONS.find("    - name:").unwrap();
    let second = VERSIONS[rule..].replace("supported", "again");
    let never = VERSIONS[rule..].replace("supported", "never").replace(
        "      validate:",
        "      preconditions: {all: [{key: a, operator: Equals, value: b}]}\n      validate:",
    );
    let rules = format!("{never}{}{second}", VERSIONS[rule..].trim_start_matches('\n'));
    let all = format!("{}{rules}", &VERSIONS[..rule]);
    let names = |text: &str| -> Vec<String> {
        let (set, findings) = compile(text);
        assert_eq!(findings, []);
        set.evaluate(&Request::create(&cluster("v1.26.0"))).into_iter().map(|o| o.rule).collect()
    };
    assert_eq!(names(&all), ["never", "supported", "again"]);
    assert_eq!(
        names(&all.replace("spec:\n  valid", "spec:\n  applyRules: One\n  valid")),
        ["never", "supported"]
    );
}

#[test]
fn what_is_not_evaluated_is_said_and_fails_closed() {
    let at = VERSIONS.find("        deny:").unwrap();
    let text =
        format!("{}        manifests: {{attestors: [{{entries: [{{keyless: {{}}}}]}}]}}\n", &VERSIONS[..at]);
    let (set, findings) = compile(&text);
    assert_eq!(findings[0].code, Code::PolicyUnsupported);
    assert!(set.evaluate(&Request::create(&cluster("v1.29.3"))).remove(0).refuses());
    let (set, _) = compile(&text.replace("Enforce", "Audit"));
    let outcome = set.evaluate(&Request::create(&cluster("v1.29.3"))).remove(0);
    assert!(outcome.result == Verdict::Error && !outcome.refuses());
}

const IMAGES: &str = "apiVersion: policies.kyverno.io/v1\nkind: ImageValidatingPolicy\nmetadata: {name: v}\nspec:\n  \
    validationActions: [Deny]\n  matchConstraints:\n    resourceRules:\n    - {apiGroups: [''], apiVersions: [v1], \
    operations: [CREATE], resources: [pods]}\n  matchImageReferences: [{glob: 'ghcr.io/*'}]\n  attestors: [{name: a}]\n  \
    validations:\n  - {expression: \"object.metadata.?labels.env.orValue('') == 'prod'\", message: no env}\n  \
    - {expression: \"images.containers.all(i, verifyImageSignatures(i, [attestors.a]) > 0)\"}\n";

#[test]
fn what_asks_no_registry_is_evaluated_of_a_policy_about_images_and_the_rest_says_so() {
    let pod = |image: &str, env: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": "p", "namespace": "n", "labels": {"env": env}},
               "spec": {"containers": [{"name": "c", "image": image}]}})
    };
    let (set, findings) = compile(IMAGES);
    assert_eq!(findings[0].code, Code::PolicyUnsupported);
    let judged = |object: &Value| set.evaluate(&Request::create(object)).remove(0);
    assert_eq!(judged(&pod("nginx", "dev")).result, Verdict::Skip);
    let failed = judged(&pod("ghcr.io/a/b", "dev"));
    assert_eq!((failed.result, failed.message.as_str()), (Verdict::Fail, "no env"));
    let unknown = judged(&pod("ghcr.io/a/b", "prod"));
    assert!(unknown.refuses() && unknown.message.contains("not evaluated offline"), "{}", unknown.message);
    let (set, _) = compile(&IMAGES.replace("Deny", "Audit"));
    assert!(!set.evaluate(&Request::create(&pod("ghcr.io/a/b", "prod"))).remove(0).refuses());
    let mut deployment = pod("", "");
    deployment["kind"] = "Deployment".into();
    deployment["apiVersion"] = "apps/v1".into();
    deployment["spec"] =
        json!({"template": {"metadata": {}, "spec": {"containers": [{"image": "ghcr.io/a/b"}]}}});
    let (set, _) = compile(IMAGES);
    assert_eq!(set.evaluate(&Request::create(&deployment)).remove(0).result, Verdict::Fail);
}

#[test]
fn a_rule_generates_for_its_triggers() {
    let (set, findings) = compile(PLAYGROUNDS);
    assert_eq!(findings, []);
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = set.generate(&namespace("a-playground")).remove(0).unwrap();
    assert_eq!(
        made.object,
        json!({"apiVersion": "x.io/v1", "kind": "Stack", "metadata": {"name": "stack", "namespace": "a-playground"},
               "spec": {"owner": "a-playground"}})
    );
    assert!(made.synchronize && made.existing);
    assert_eq!(made.rule.to_string(), "playgrounds/stack/a-playground");
    assert_eq!(made.line, 15);
    assert_eq!(set.generate(&namespace("team-a")).len(), 0);
    let (set, _) = compile(
        &PLAYGROUNDS
            .replace("owner: '{{request.object.metadata.name}}'", "owner: '{{request.object.spec.x}}'"),
    );
    let finding = set.generate(&namespace("a-playground")).remove(0).unwrap_err().finding;
    assert_eq!(finding.code, Code::GenerateFailed);
    assert_eq!(finding.location.unwrap().line, 15);
}

#[test]
fn a_namespaced_policy_stays_in_its_namespace() {
    let text = VERSIONS
        .replace("ClusterPolicy", "Policy")
        .replace("name: versions", "name: versions\n  namespace: team-a");
    let (set, _) = compile(&text);
    let mut object = cluster("v1.26.0");
    assert_eq!(set.evaluate(&Request::create(&object)).remove(0).policy, "team-a/versions");
    object["metadata"]["namespace"] = "team-b".into();
    assert_eq!(set.evaluate(&Request::create(&object)), []);
}

#[test]
fn an_exception_exempts_what_it_names() {
    let exception = "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: ns}\nspec:\n  \
        exceptions: [{policyName: versions, ruleNames: [supp*]}]\n  \
        match: {any: [{resources: {kinds: [Cluster], namespaces: [team-a]}}]}\n";
    let (mut set, _) = compile(VERSIONS);
    assert_eq!(set.add_exceptions(&[manifest(exception)]), []);
    let mut object = cluster("v1.26.0");
    let outcome = set.evaluate(&Request::create(&object)).remove(0);
    assert_eq!(
        (outcome.result, &*outcome.message),
        (Verdict::Skip, "rule is skipped due to policy exceptionsns/e")
    );
    object["metadata"]["namespace"] = "team-b".into();
    assert!(set.evaluate(&Request::create(&object)).remove(0).refuses());
    assert_eq!(
        set.add_exceptions(&[manifest(&exception.replace("any", "anny"))])[0].code,
        Code::PolicyInvalid
    );
}

const REPLICAS: &str = r#"
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: replicas}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
    excludeResourceRules:
    - {apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"], resourceNames: [spared]}
  matchConditions:
  - {name: not-test, expression: "object.metadata.?namespace.orValue('') != 'test'"}
  variables:
  - {name: replicas, expression: "object.spec.?replicas.orValue(1)"}
  - {name: enough, expression: "variables.replicas >= 3"}
  validations:
  - expression: variables.enough
    messageExpression: "'three are needed, not ' + string(variables.replicas)"
"#;

fn deployment(name: &str, namespace: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
           "spec": {"replicas": replicas}})
}

#[test]
fn a_policy_in_cel_judges_what_its_constraints_select() {
    let (set, findings) = compile(REPLICAS);
    assert_eq!(findings, []);
    let judge = |object: &Value| set.evaluate(&Request::create(object));
    let refused = judge(&deployment("web", "shop", 1)).remove(0);
    assert!(refused.refuses() && refused.rule.is_empty(), "{refused:?}");
    assert_eq!(refused.message, "three are needed, not 1");
    assert_eq!(judge(&deployment("web", "shop", 3)).remove(0).message, "success");
    assert_eq!(judge(&deployment("web", "test", 1)).remove(0).result, Verdict::Skip);
    assert_eq!(judge(&deployment("spared", "shop", 1)), []);
    assert_eq!(judge(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})), []);
}

#[test]
fn a_cel_exception_exempts_what_its_conditions_say() {
    let exception = "apiVersion: policies.kyverno.io/v1\nkind: PolicyException\nmetadata: {name: e}\nspec:\n  \
        policyRefs: [{name: replicas, kind: ValidatingPolicy}]\n  \
        matchConditions: [{name: web, expression: \"object.metadata.name == 'web'\"}]\n";
    let (mut set, _) = compile(REPLICAS);
    assert_eq!(set.add_exceptions(&[manifest(exception)]), []);
    let spared = set.evaluate(&Request::create(&deployment("web", "shop", 1))).remove(0);
    assert_eq!((&*spared.rule, spared.result), ("exception", Verdict::Skip));
    assert!(set.evaluate(&Request::create(&deployment("api", "shop", 1))).remove(0).refuses());
}

#[test]
fn an_expression_that_does_not_compile_names_its_place_and_refuses() {
    let (set, findings) = compile(&REPLICAS.replace("variables.enough\n", "variables.enouhg\n"));
    assert_eq!(findings[0].code, Code::PolicyInvalid);
    assert!(findings[0].message.contains("spec.validations[0].expression"), "{}", findings[0].message);
    assert_eq!(findings[0].location.as_ref().unwrap().line, 17);
    assert!(set.evaluate(&Request::create(&deployment("web", "shop", 3))).remove(0).refuses());
}

#[test]
fn a_rule_may_be_written_in_cel() {
    let text = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: host\n    \
        match: {any: [{resources: {kinds: [Pod]}}]}\n    validate:\n      failureAction: Enforce\n      message: no host\n      \
        cel: {expressions: [{expression: \"!object.spec.?hostNetwork.orValue(false)\"}]}\n";
    let (set, findings) = compile(text);
    assert_eq!(findings, []);
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"hostNetwork": true}});
    let refused = set.evaluate(&Request::create(&pod)).remove(0);
    assert!(refused.refuses() && refused.message == "no host", "{refused:?}");
    let mut maker = deployment("web", "shop", 1);
    maker["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    assert_eq!(set.evaluate(&Request::create(&maker)).remove(0).rule, "autogen-host");
}

const TARGETS: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: spread}
spec:
  rules:
  - name: label-secrets
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    mutate:
      targets:
      - apiVersion: v1
        kind: Secret
        namespace: '{{ request.object.metadata.namespace }}'
        name: pull-*
        preconditions: {all: [{key: '{{ target.type || `\"\"` }}', operator: NotEquals, value: skipped}]}
      patchStrategicMerge:
        metadata: {labels: {from: '{{ request.object.metadata.name }}', was: '{{ target.metadata.name }}'}}
";

#[test]
fn a_rule_changes_its_targets_and_not_its_trigger() {
    let (set, findings) = compile(TARGETS);
    assert_eq!(findings, []);
    assert!(set.mutates_existing());
    let secret = |namespace: &str, name: &str, kind: &str| json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "namespace": namespace}});
    let secrets = [
        secret("a", "pull-1", "x"),
        secret("a", "pull-2", "skipped"),
        secret("a", "other", "x"),
        secret("b", "pull-1", "x"),
    ];
    let known = crate::policy::Objects::of(&secrets);
    let trigger =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "t", "namespace": "a"}});
    let schemas = crate::schema::Schemas::builtin();
    let request = Request { outside: Some(&known), ..Request::create(&trigger) };
    let outcomes = set.mutate_existing(&request, &schemas);
    let told: Vec<_> = outcomes.iter().map(|o| (o.outcome.result, o.outcome.message.as_str())).collect();
    assert_eq!(
        told,
        [(Verdict::Pass, "mutated Secret/pull-1 in namespace a"), (Verdict::Skip, "preconditions not met")]
    );
    let changed = outcomes[0].changed.as_ref().unwrap();
    assert_eq!(changed["metadata"]["labels"], json!({"from": "t", "was": "pull-1"}));
    assert_eq!(set.mutate(&request, &schemas), (None, Vec::new()));
    // A policy of a namespace reaches no other, and without anybody to ask there is an error.
    let own = TARGETS
        .replace("kind: ClusterPolicy", "kind: Policy")
        .replace("name: spread}", "name: spread, namespace: a}");
    let own = own.replace("'{{ request.object.metadata.namespace }}'", "b");
    assert_eq!(compile(&own).0.mutate_existing(&request, &schemas).len(), 2);
    assert_eq!(set.mutate_existing(&Request::create(&trigger), &schemas)[0].outcome.result, Verdict::Error);
}

#[test]
fn what_a_policy_in_cel_looks_up_passes_nothing_even_if_failures_are_ignored() {
    use super::super::objects::Objects;
    let policy = |conditions: &str, expression: &str| {
        format!(
            "apiVersion: policies.kyverno.io/v1alpha1\nkind: ValidatingPolicy\nmetadata: {{name: p}}\nspec:\n  failurePolicy: Ignore\n  \
             matchConstraints: {{resourceRules: [{{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}}]}}\n  \
             matchConditions: [{conditions}]\n  validations: [{{expression: '{expression}'}}]\n"
        )
    };
    let get = "resource.Get(\"v1\", \"configmaps\", \"a\", \"b\").data.x == \"y\"";
    let condition = format!("{{name: c, expression: '{get}'}}");
    let object = deployment("a", "a", 1);
    let request = Request::create(&object);
    for text in [
        policy("", get),
        policy(&condition, "true"),
        policy("", "globalContext.Get(\"g\") == null"),
        policy("", "http.Get(\"https://a\") == null"),
    ] {
        let (set, findings) = compile(&text);
        assert_eq!(findings, []);
        let outcome = set.evaluate(&request).remove(0);
        assert_eq!(outcome.result, Verdict::Error, "{text}");
        assert!(outcome.message.contains("is not looked up"), "{}", outcome.message);
        let told = set.knowing(Arc::new(Objects::default())).evaluate(&request).remove(0);
        assert_ne!(told.result, Verdict::Error, "{text}");
    }
}

const CLEANUP: &str = "apiVersion: kyverno.io/v2
kind: ClusterCleanupPolicy
metadata: {name: idle}
spec:
  match: {any: [{resources: {kinds: [Deployment]}}]}
  exclude: {any: [{resources: {namespaces: [kube-*]}}]}
  context: [{name: most, variable: {value: 2}}]
  conditions:
    any:
    - {key: '{{ target.spec.replicas }}', operator: LessThan, value: '{{ most }}'}
  schedule: '*/5 * * * *'
  deletionPropagationPolicy: Foreground
";

#[test]
fn a_policy_that_cleans_up_tells_which_objects_go() {
    let (set, findings) = compile(CLEANUP);
    assert_eq!(findings, []);
    assert!(set.deletes() && set.validated().is_some_and(|kinds| kinds.is_empty()));
    let said = |object: &Value| {
        assert_eq!(set.evaluate(&Request::create(object)), [], "it judges nothing");
        let outcomes = set.deletions(&Request::create(object)).into_iter();
        outcomes.map(|outcome| (outcome.rule, outcome.result, outcome.message)).collect::<Vec<_>>()
    };
    let outcome = |verdict, message: &str| vec![("idle".to_owned(), verdict, message.to_owned())];
    assert_eq!(said(&deployment("web", "shop", 1)), outcome(Verdict::Pass, "resource matched"));
    assert_eq!(said(&deployment("web", "shop", 2)), outcome(Verdict::Fail, "resource did not match"));
    assert_eq!(said(&deployment("web", "kube-system", 1)), []);
    let mut own = deployment("web", "shop", 1);
    own["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "kyverno"});
    assert_eq!(said(&own)[0].1, Verdict::Skip);
    let mut broken = deployment("web", "shop", 1);
    broken["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(said(&broken)[0].1, Verdict::Error);
    let confined = CLEANUP
        .replace("ClusterCleanupPolicy", "CleanupPolicy")
        .replace("name: idle", "name: idle, namespace: shop");
    let (set, _) = compile(&confined);
    assert_eq!(set.deletions(&Request::create(&deployment("web", "other", 1))), []);
    assert_eq!(set.deletions(&Request::create(&deployment("web", "shop", 1))).len(), 1);
}

#[test]
fn a_policy_that_cleans_up_is_read_strictly() {
    for (from, to, at, why) in [
        ("'*/5 * * * *'", "'*/5 * * *'", "spec.schedule", "five fields"),
        ("schedule:", "scedule:", "spec.scedule", "unknown field"),
        ("Foreground", "Later", "spec.deletionPropagationPolicy", "Foreground, Background or Orphan"),
        (
            "most, variable: {value: 2}",
            "most, configMap: {name: a, namespace: b}",
            "spec.context[0].configMap",
            "not allowed",
        ),
        ("operator: LessThan", "operator: Less", "spec.conditions.any[0].operator", "not an operator"),
        ("{{ most }}", "{{ least }}", "spec.conditions.any[0].value", "is not defined"),
        ("namespaces: [kube-*]", "kinds: [Deployment]", "spec.exclude.any[0]", "about nothing"),
        (
            "{resources: {namespaces: [kube-*]}}",
            "{roles: [a]}",
            "spec.exclude.any[0].roles",
            "nobody is known",
        ),
    ] {
        let (set, findings) = compile(&CLEANUP.replace(from, to));
        let place = format!("{at}: ");
        let told = findings.iter().any(|finding| {
            finding.code == Code::PolicyInvalid
                && finding.message.contains(&place)
                && finding.message.contains(why)
        });
        assert!(told, "{at}: {findings:#?}");
        assert!(!set.deletes());
    }
}

#[test]
fn match_conditions_are_asked_before_the_rules() {
    let text = |conditions: &str| {
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  \
             webhookConfiguration: {{matchConditions: [{conditions}]}}\n  rules:\n  - name: r\n    \
             match: {{any: [{{resources: {{kinds: [Deployment]}}}}]}}\n    \
             validate: {{failureAction: Enforce, message: stop, deny: {{conditions: {{any: [{{key: 1, operator: Equals, value: 1}}]}}}}}}\n"
        )
    };
    let judged = |text: &str| {
        let (set, findings) = compile(text);
        assert_eq!(findings, []);
        set.evaluate(&Request::create(&deployment("web", "shop", 1)))
            .into_iter()
            .map(|o| (o.result, o.message))
            .collect::<Vec<_>>()
    };
    let of = |expression: &str| text(&format!("{{name: a, expression: \"{expression}\"}}"));
    assert_eq!(
        judged(&of("object.metadata.name == 'web' && request.operation == 'CREATE'"))[0].0,
        Verdict::Fail
    );
    assert_eq!(judged(&of("object.metadata.name != 'web'")), []);
    let (verdict, message) = judged(&of("object.spec.nothing == 1")).remove(0);
    assert!(verdict == Verdict::Error && message.contains("in matchConditions"), "{message}");
    let lenient = of("object.spec.nothing == 1")
        .replace("webhookConfiguration: {", "webhookConfiguration: {failurePolicy: Ignore, ");
    assert_eq!(judged(&lenient), []);
    for (wrong, why) in [
        ("{name: a, expression: 'object.'}", "Syntax"),
        ("{name: a, expression: '1'}", "must evaluate to bool"),
        ("{expression: 'true'}", "name is missing"),
    ] {
        let (set, findings) = compile(&text(wrong));
        assert!(
            findings[0].code == Code::PolicyInvalid && findings[0].message.contains(why),
            "{}",
            findings[0].message
        );
        assert!(set.evaluate(&Request::create(&deployment("web", "shop", 1))).remove(0).refuses());
    }
}

const ADMISSION: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: replicas}
spec:
  failurePolicy: Ignore
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  validations: [{expression: object.spec.replicas > 2, message: too few}]
  auditAnnotations: [{key: count, valueExpression: string(object.spec.replicas)}]
";

fn bound(binding: &str) -> (PolicySet, Vec<Finding>) {
    let binding = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: b}}\n\
         spec: {{policyName: replicas, {binding}}}\n"
    );
    PolicySet::compile(&[manifest(ADMISSION), manifest(&binding)])
}

#[test]
fn an_admission_policy_does_nothing_until_it_is_bound() {
    let few = deployment("web", "shop", 1);
    let (set, findings) = compile(ADMISSION);
    assert_eq!(findings[0].code, Code::PolicyUnbound);
    assert_eq!(set.evaluate(&Request::create(&few)), []);
    assert!(
        set.binding_all().evaluate(&Request::create(&few)).remove(0).refuses(),
        "in tests it is bound everywhere"
    );
    for (binding, refuses) in [
        ("validationActions: [Deny]", Some(true)),
        ("validationActions: [Deny, Audit]", Some(true)),
        ("validationActions: [Warn, Audit]", Some(false)),
        ("validationActions: [Deny], matchResources: {objectSelector: {matchLabels: {a: b}}}", None),
        ("validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {a: b}}}", None),
        ("validationActions: [Deny], matchResources: {namespaceSelector: {}}", Some(true)),
    ] {
        let (set, findings) = bound(binding);
        assert_eq!(findings, [], "{binding}");
        let outcomes = set.evaluate(&Request::create(&few));
        assert_eq!(outcomes.first().map(RuleOutcome::refuses), refuses, "{binding}");
        assert!(outcomes.iter().all(|outcome| outcome.annotations == [("count".to_owned(), "1".to_owned())]));
    }
    let more = bound("validationActions: [Deny]")
        .0
        .evaluate(&Request::create(&deployment("web", "shop", 3)))
        .remove(0);
    assert!(more.result == Verdict::Pass && more.annotations.len() == 1);
    for (binding, why) in [
        ("validationActions: [Deny, Warn]", "cannot stand together"),
        ("validationActions: [Refuse]", "Deny, Warn or Audit"),
        ("validationAction: [Deny]", "unknown field"),
        ("paramRef: {name: a, parameterNotFoundAction: Refuse}", "Allow or Deny"),
        ("paramRef: {name: a, selector: {}}", "cannot stand together"),
    ] {
        let (set, findings) = bound(binding);
        assert!(findings[0].code == Code::PolicyInvalid && findings[0].message.contains(why), "{findings:?}");
        assert!(set.evaluate(&Request::create(&few)).remove(0).refuses());
    }
}

#[test]
fn of_several_bindings_the_strictest_that_is_violated_counts() {
    let binding = |name: &str, action: &str| {
        manifest(&format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\n\
             spec: {{policyName: replicas, validationActions: [{action}]}}\n"
        ))
    };
    let all = [manifest(ADMISSION), binding("a", "Audit"), binding("b", "Deny")];
    let (set, _) = PolicySet::compile(&all);
    let outcomes = set.evaluate(&Request::create(&deployment("web", "shop", 1)));
    assert!(
        outcomes.len() == 1 && outcomes[0].refuses() && outcomes[0].annotations.len() == 1,
        "{outcomes:?}"
    );
}

#[test]
fn audit_annotations_of_a_policy_are_told_of_what_fails() {
    let text = REPLICAS.replace(
        "  validations:",
        "  auditAnnotations: [{key: name, valueExpression: object.metadata.name}]\n  validations:",
    );
    let (set, findings) = compile(&text);
    assert_eq!(findings, []);
    let told =
        |replicas| set.evaluate(&Request::create(&deployment("web", "shop", replicas))).remove(0).annotations;
    assert_eq!(told(1), [("name".to_owned(), "web".to_owned())]);
    assert_eq!(told(3), []);
}

#[test]
fn images_are_chosen_by_patterns_and_expressions() {
    let judged = |entry: &str| {
        let (set, findings) = compile(&IMAGES.replace("{glob: 'ghcr.io/*'}", entry));
        let broken: Vec<_> =
            findings.into_iter().filter(|finding| finding.code == Code::PolicyInvalid).collect();
        assert_eq!(broken, [], "{entry}");
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "a"},
            "spec": {"containers": [{"name": "c", "image": "ghcr.io/team/app:v1"}]}});
        set.evaluate(&Request::create(&pod)).remove(0).result
    };
    assert_eq!(judged("{glob: 'ghcr.io/*'}"), Verdict::Fail);
    assert_eq!(judged("{expression: \"ref.startsWith('ghcr.io/team')\"}"), Verdict::Fail);
    assert_eq!(judged("{expression: \"image(ref).registry() == 'docker.io'\"}"), Verdict::Skip);
    assert_eq!(judged("{expression: \"ref.split('/')[9] == 'a'\"}"), Verdict::Error);
    for wrong in [
        "{expression: ref}",
        "{expression: 'nothing == 1'}",
        "{}",
        "{glob: a, expression: 'true'}",
        "{blob: a}",
    ] {
        let (_, findings) = compile(&IMAGES.replace("{glob: 'ghcr.io/*'}", wrong));
        assert!(findings.iter().any(|finding| finding.code == Code::PolicyInvalid), "{wrong}");
    }
}

#[test]
fn a_rule_about_images_says_nothing_of_objects_without_them() {
    let text = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: signed\n    \
        match: {any: [{resources: {kinds: [Pod]}}]}\n    verifyImages:\n    - imageReferences: ['ghcr.io/*']\n      \
        failureAction: Enforce\n      attestors: [{entries: [{keys: {publicKeys: k}}]}]\n";
    let (set, findings) = compile(text);
    assert!(findings.len() == 1 && findings[0].code == Code::PolicyUnsupported, "{findings:?}");
    let judged = |image: &str| {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"image": image}]}});
        set.evaluate(&Request::create(&pod))
    };
    assert_eq!(judged("quay.io/a:1"), []);
    let refused = judged("ghcr.io/a:1").remove(0);
    assert!(
        refused.refuses()
            && refused.result == Verdict::Error
            && refused.message.contains("not evaluated offline")
    );
}
