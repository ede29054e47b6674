//! `--explain`, as people meet it: each refusal of a policy in its parts, and nothing of a Secret.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::path::Path;

use insta::assert_snapshot;
use support::moin::{Finished, Moin};

const SETTINGS: &str = "\
apiVersion: moin.scs.community/v1alpha1
kind: Repository
metadata: {name: small}
spec:
  useCases:
    all: {layers: [base]}
  policies: [policies]
";

const POLICIES: &str = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: checks}
spec:
  validationFailureAction: Enforce
  rules:
    - name: ports
      match: {any: [{resources: {kinds: [Service]}}]}
      context: [{name: lowest, variable: {jmesPath: "min(request.object.spec.ports[].port)"}}]
      preconditions: {all: [{key: "{{ request.object.metadata.namespace }}", operator: NotEquals, value: kube-system}]}
      validate:
        message: "{{ lowest }} is too low"
        deny: {conditions: {any: [{key: "{{ lowest }}", operator: LessThan, value: 1024}]}}
    - name: labels
      match: {any: [{resources: {kinds: [ConfigMap]}}]}
      validate: {message: a team is needed, pattern: {metadata: {labels: {team: "a | b*"}}}}
    - name: secrets
      match: {any: [{resources: {kinds: [Secret]}}]}
      validate:
        message: no short passwords
        deny: {conditions: {any: [{key: "{{ length(base64_decode(request.object.data.password)) }}", operator: LessThan, value: 20}]}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: named}
spec:
  validationActions: [Deny]
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  variables: [{name: keys, expression: "object.data.map(k, k)"}, {name: unused, expression: "object.kind"}]
  validations: [{expression: "variables.keys.all(k, k.startsWith('x-'))", message: keys begin with x-}]
"#;

const OBJECTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: team}
spec: {ports: [{port: 8080}, {port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: team, labels: {team: c}}
data: {x-a: '1', b: '2'}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: team}
data: {password: aHVudGVyMjI=}
";

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("moin.yaml", SETTINGS);
    write("policies/checks.yaml", POLICIES);
    write("base/objects.yaml", OBJECTS);
    folder
}

fn check(repository: &Path, more: &[&str]) -> Finished {
    let folder = repository.to_string_lossy();
    Moin::new().run(&[&["check", "--repo", &*folder, "--use-case", "all"], more].concat())
}

#[test]
fn check_explains_each_refusal_and_shows_nothing_of_a_secret() {
    let repository = repository();
    let checked = check(repository.path(), &["--explain"]);
    assert_eq!(checked.code, Some(1), "{}{}", checked.stdout, checked.stderr);
    let begin = checked.stdout.find("how ").unwrap_or(0);
    assert_snapshot!(&checked.stdout[begin..], @r#"
    how checks/labels judges ConfigMap/team/settings (policies/checks.yaml:15):
      pattern
        metadata → false
          metadata.labels → false
            metadata.labels.team matches "a | b*" → false
              metadata.labels.team → "c"

    how named judges ConfigMap/team/settings (policies/checks.yaml:27):
      variable keys
        object.data.map(k, k) → ["b","x-a"]
          object.data → {"b":"2","x-a":"1"}
          k → "b"
          k → "x-a"
      expression 1
        variables.keys.all(k, k.startsWith('x-')) → false
          variables.keys → ["b","x-a"]
          k → "b"
            k.startsWith('x-') → false

    how checks/secrets judges Secret/team/login (policies/checks.yaml:18):
      deny if
        any[0] key LessThan 20 → true
          key → "(masked)"
            length(base64_decode(request.object.data.password)) → "(masked)"
              base64_decode(request.object.data.password) → "(masked)"
                request.object.data.password → "(masked)"

    how checks/ports judges Service/team/web (policies/checks.yaml:8):
      context lowest → 80
        min(request.object.spec.ports[].port) → 80
          request.object.spec.ports[].port → [8080,80]
            request.object.spec.ports[] → [{"port":8080},{"port":80}]
              request.object.spec.ports → [{"port":8080},{"port":80}]
      preconditions
        all[0] key NotEquals "kube-system" → true
          key → "team"
            request.object.metadata.namespace → "team"
      deny if
        any[0] key LessThan 1024 → true
          key → 80
            lowest → 80

    4 objects: 4 errors; `moin explain MOIN-0502` says more
    "#);
    for secret in ["hunter22", "aHVudGVyMjI", "→ 8\n"] {
        assert!(!checked.stdout.contains(secret), "{secret}: {}", checked.stdout);
    }
    assert!(!check(repository.path(), &[]).stdout.contains("how "));
    let refused = check(repository.path(), &["--explain", "-o", "json"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[test]
fn eval_explains_an_expression() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pod.yaml");
    std::fs::write(&file, "spec: {containers: [{image: 'a:1'}, {image: 'b:latest'}]}\n").unwrap();
    let eval = |language: &str, text: &str| {
        Moin::new().run(&["eval", language, text, "-i", &file.to_string_lossy(), "--explain"])
    };
    let cel =
        eval("cel", "object.spec.containers.all(c, !c.image.endsWith(':latest')) || object.kind == 'x'");
    assert_snapshot!(cel.stdout, @r#"
    object.spec.containers.all(c, !c.image.endsWith(':latest')) || object.kind == 'x' → error: no such key: kind
      object.spec.containers.all(c, !c.image.endsWith(':latest')) → false
        object.spec.containers → [{"image":"a:1"},{"image":"b:latest"}]
        c → {"image":"b:latest"}
          !c.image.endsWith(':latest') → false
            c.image.endsWith(':latest') → true
              c.image → "b:latest"
      object.kind == 'x' → error: no such key: kind
        object.kind → error: no such key: kind
          object → {"spec":{"containers":[{"image":"a:1"},{"image":"b:latest"}]}}
    "#);
    assert_eq!(cel.code, Some(1));
    let jmespath = eval("jmespath", "length(spec.containers[?ends_with(image, ':latest')]) == `0`");
    assert_snapshot!(jmespath.stdout, @r#"
    length(spec.containers[?ends_with(image, ':latest')]) == `0` → false
      length(spec.containers[?ends_with(image, ':latest')]) → 1
        spec.containers[?ends_with(image, ':latest')] → [{"image":"b:latest"}]
          spec.containers → [{"image":"a:1"},{"image":"b:latest"}]
          element 0 → {"image":"a:1"}
            ends_with(image, ':latest') → false
              image → "a:1"
          element 1 → {"image":"b:latest"}
            ends_with(image, ':latest') → true
              image → "b:latest"
    "#);
    assert_eq!(jmespath.code, Some(0));
    assert_eq!(eval("cel", "object.").code, Some(1));
}
