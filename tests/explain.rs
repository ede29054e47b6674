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

const KINDS: &str = r#"apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: pods}
spec:
  validationFailureAction: Enforce
  rules:
    - name: baseline
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate: {podSecurity: {level: baseline, version: latest}}
    - name: tags
      match: {any: [{resources: {kinds: [Pod], selector: {matchLabels: {app: web}}}}]}
      exclude: {any: [{resources: {namespaces: [kube-*]}}]}
      context: [{name: allowed, configMap: {name: registries, namespace: team}}]
      validate:
        message: images come from {{ allowed.data.list }}
        foreach:
        - list: request.object.spec.containers
          deny: {conditions: {all: [{key: "{{ element.image }}", operator: AnyNotIn, value: "{{ parse_json(allowed.data.list) }}"}]}}
    - name: either
      match: {any: [{resources: {kinds: [Pod]}}]}
      preconditions: {all: [{key: "{{ request.object.metadata.labels.app || '' }}", operator: Equals, value: web}]}
      validate:
        message: runs as somebody
        anyPattern:
        - spec: {securityContext: {runAsNonRoot: true}}
        - spec: {containers: [{securityContext: {runAsNonRoot: true}}]}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: changes}
spec:
  rules:
    - name: label
      match: {any: [{resources: {kinds: [Pod, Deployment]}}]}
      mutate: {patchStrategicMerge: {metadata: {labels: {+(team): "{{ request.namespace }}"}}}}
    - name: ns
      match: {any: [{resources: {kinds: [Namespace]}}]}
      generate:
        apiVersion: v1
        kind: ConfigMap
        name: made
        namespace: "{{ request.object.metadata.name }}"
        synchronize: true
        data: {data: {of: "{{ request.object.metadata.name }}"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: replicas}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  matchConditions: [{name: c, expression: "object.metadata.namespace == 'team'"}]
  variables: [{name: most, expression: "int(params.data.most)"}]
  validations: [{expression: "object.spec.replicas <= variables.most", messageExpression: "'at most ' + string(variables.most)", reason: Forbidden}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: everywhere}
spec: {policyName: replicas, validationActions: [Deny], paramRef: {name: limits, namespace: team, parameterNotFoundAction: Deny}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: celpods}
spec:
  validationActions: [Deny]
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "object.spec.containers.all(c, has(c.resources))", message: resources are needed}]
"#;

const OF_KINDS: &str = r#"apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: registries, namespace: team}
data: {list: '["a:1"]'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limits, namespace: team}
data: {most: "3"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: team}
spec:
  replicas: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      hostNetwork: true
      containers:
      - name: web
        image: a:1
      - name: other
        image: b:2
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: team, labels: {app: db}}
spec:
  containers:
  - {name: c, image: a:1}
---
apiVersion: v1
kind: Pod
metadata: {name: q, namespace: team, labels: {app: web}}
spec:
  hostPID: true
  containers:
  - {name: c, image: b:2, resources: {}}
"#;

fn repository() -> tempfile::TempDir {
    repository_of(POLICIES, OBJECTS)
}

fn repository_of(policies: &str, objects: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("moin.yaml", SETTINGS);
    write("policies/checks.yaml", policies);
    write("base/objects.yaml", objects);
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
    how checks/labels judges ConfigMap/team/settings (policies/checks.yaml:15): fail at metadata.labels.team (base/objects.yaml:12:54):
      pattern → false
        metadata → false
          metadata.labels → false
            metadata.labels.team matches "a | b*" → false
              metadata.labels.team → "c"

    how named judges ConfigMap/team/settings (policies/checks.yaml:27): fail at data (base/objects.yaml:13:1):
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

    how checks/secrets judges Secret/team/login (policies/checks.yaml:18): fail at data.password (base/objects.yaml:18:8):
      deny if → true
        any[0] key LessThan 20 → true
          key → "(masked)"
            length(base64_decode(request.object.data.password)) → "(masked)"
              base64_decode(request.object.data.password) → "(masked)"
                request.object.data.password → "(masked)"

    how checks/ports judges Service/team/web (policies/checks.yaml:8): fail at spec.ports (base/objects.yaml:8:8):
      context lowest → 80
        min(request.object.spec.ports[].port) → 80
          request.object.spec.ports[].port → [8080,80]
            request.object.spec.ports[] → [{"port":8080},{"port":80}]
              request.object.spec.ports → [{"port":8080},{"port":80}]
      preconditions → true
        all[0] key NotEquals "kube-system" → true
          key → "team"
            request.object.metadata.namespace → "team"
      deny if → true
        any[0] key LessThan 1024 → true
          key → 80
            lowest → 80

    4 objects: 4 errors; `moin explain MOIN-0502` says more
    "#);
    for secret in ["hunter22", "aHVudGVyMjI", "→ 8\n"] {
        assert!(!checked.stdout.contains(secret), "{secret}: {}", checked.stdout);
    }
    assert!(!check(repository.path(), &[]).stdout.contains("how "));
    let json = check(repository.path(), &["--explain", "-o", "json"]).stdout;
    assert!(!json.contains("hunter22") && !json.contains("aHVudGVyMjI"), "{json}");
}

/// The explanations of what is chosen.
fn explained(repository: &Path, more: &[&str]) -> String {
    let text = check(repository, &[&["--explain"], more].concat()).stdout;
    let begin = ["how ", "what ", "why "].iter().filter_map(|word| text.find(&format!("\n{word}"))).min();
    let end = text.rfind("\n\n").unwrap_or(text.len());
    text[begin.map_or(0, |begin| begin + 1)..end].to_owned()
}

#[test]
fn one_object_is_explained_rule_by_rule() {
    let repository = repository_of(KINDS, OF_KINDS);
    assert_snapshot!(explained(repository.path(), &["--object", "Pod/team/p"]), @r#"
    what changes/label changes in Pod/team/p (policies/checks.yaml:33): pass:
      mutated Pod/p in namespace team
      patchStrategicMerge
        request.namespace → "team"
        metadata.labels.team: nothing → "team"

    how pods/baseline judges Pod/team/p (policies/checks.yaml:7): pass:
      Validation rule 'baseline' passed.
      podSecurity baseline:latest
        AppArmor (appArmorProfile) → true
        Capabilities (capabilities_baseline) → true
        Host Namespaces (hostNamespaces) → true
        HostPath Volumes (hostPathVolumes) → true
        Host Ports (hostPorts) → true
        Host Probes / Lifecycle Hooks (hostProbesAndHostLifecycle) → true
        Privileged Containers (privileged) → true
        /proc Mount Type (procMount) → true
        SELinux (seLinuxOptions) → true
        Seccomp (seccompProfile_baseline) → true
        Sysctls (sysctls) → true
        HostProcess (windowsHostProcess) → true

    why pods/tags is not about Pod/team/p (policies/checks.yaml:10):
      match → false
        any[0] → false
          kinds Pod → true
          labels app=web → false
            labels → {"app":"db","moin.scs.community/owner":"small","team":"team"}

    how pods/either judges Pod/team/p (policies/checks.yaml:19): skip:
      preconditions not met
      preconditions → false
        all[0] key Equals "web" → false
          key → "db"
            request.object.metadata.labels.app || '' → "db"
              request.object.metadata.labels.app → "db"

    how celpods judges Pod/team/p (policies/checks.yaml:64): fail at spec.containers (base/objects.yaml:35:3):
      expression 1
        object.spec.containers.all(c, has(c.resources)) → false
          object.spec.containers → [{"image":"a:1","name":"c"}]
          c → {"image":"a:1","name":"c"}
            has(c.resources) → false
    "#);
    assert_snapshot!(explained(repository.path(), &["--object", "web", "--policy", "replicas"]), @r#"
    how replicas/replicas judges Deployment/team/web (policies/checks.yaml:49): fail at spec.replicas (base/objects.yaml:19:3):
      binding everywhere is about the object → true
      params (from the repository) → {"apiVersion":"v1","data":{"most":"3"},"kind":"ConfigMap","metadata":{"labels":{"moin.scs.community/owner":"small"},"name":"limits","namespace":"team"}}
      matchCondition 1
        object.metadata.namespace == 'team' → true
          object.metadata.namespace → "team"
      variable most
        int(params.data.most) → 3
          params.data.most → "3"
      expression 1
        object.spec.replicas <= variables.most → false
          object.spec.replicas → 5
          variables.most → 3
      messageExpression
        'at most ' + string(variables.most) → "at most 3"
          string(variables.most) → "3"
            variables.most → 3
    "#);
    assert_snapshot!(explained(repository.path(), &["--object", "team", "--policy", "changes"]), @r#"
    why changes/label is not about Namespace/team (policies/checks.yaml:33):
      match → false
        any[0] → false
          kinds Pod, Deployment → false
            kind → "v1/Namespace"

    what changes/ns makes because of Namespace/team (policies/checks.yaml:36): pass:
      the rule makes one object
      the object to make → {"apiVersion":"v1","kind":"ConfigMap","name":"made","namespace":"team"}
        request.object.metadata.name → "team"
      from data
        request.object.metadata.name → "team"
      makes ConfigMap/team/made → {"apiVersion":"v1","data":{"of":"team"},"kind":"ConfigMap","metadata":{"name":"made","namespace":"team"}}
    "#);
    assert_snapshot!(explained(repository.path(), &["--object", "q", "--policy", "pods"]), @r#"
    how pods/baseline judges Pod/team/q (policies/checks.yaml:7): fail at spec.hostPID (base/objects.yaml:42:3):
      podSecurity baseline:latest
        Host Namespaces (hostNamespaces) → false
          spec.hostPID → true
            allowed: false, or not set

    how pods/tags judges Pod/team/q (policies/checks.yaml:10): fail at spec.containers[0] (base/objects.yaml:44:5):
      context allowed (from the repository) → {"data":{"list":"[\"a:1\"]"},"metadata":{"labels":{"moin.scs.community/owner":"small"},"name":"registries","namespace":"team"}}
        GET /api/v1/namespaces/team/configmaps/registries
      foreach[0] of
        request.object.spec.containers → [{"image":"b:2","name":"c","resources":{}}]
        element 0 → {"image":"b:2","name":"c","resources":{}}
          deny if → true
            all[0] key AnyNotIn value → true
              key → "b:2"
                element.image → "b:2"
              value → ["a:1"]
                parse_json(allowed.data.list) → ["a:1"]
                  allowed.data.list → "[\"a:1\"]"

    how pods/either judges Pod/team/q (policies/checks.yaml:19): fail at spec.securityContext (base/objects.yaml:41:1):
      preconditions → true
        all[0] key Equals "web" → true
          key → "web"
            request.object.metadata.labels.app || '' → "web"
              request.object.metadata.labels.app → "web"
      anyPattern[0] → false
        spec → false
          spec.securityContext → false
            spec.securityContext → error: it is not there
      anyPattern[1] → false
        spec → false
          spec.containers → false
            spec.containers[0] → false
              spec.containers[0].securityContext → false
                spec.containers[0].securityContext → error: it is not there
    "#);
}

#[test]
fn a_name_that_nothing_has_is_an_error() {
    let repository = repository_of(KINDS, OF_KINDS);
    for (option, name, said) in [
        ("--policy", "podz", "the policies are celpods, changes, pods, replicas"),
        ("--object", "wub", "KIND/NAMESPACE/NAME"),
    ] {
        let checked = check(repository.path(), &["--explain", option, name]);
        assert_eq!(checked.code, Some(2), "{}", checked.stdout);
        assert!(checked.stderr.contains(said), "{}", checked.stderr);
    }
    assert_eq!(check(repository.path(), &["--object", "web"]).code, Some(2));
}

#[test]
fn machines_get_the_same_steps() {
    let repository = repository_of(KINDS, OF_KINDS);
    let json = |more: &[&str]| -> serde_json::Value {
        serde_json::from_str(&check(repository.path(), &[more, &["--explain"]].concat()).stdout).unwrap()
    };
    let all = json(&["-o", "json", "--object", "web", "--policy", "replicas"]);
    assert_eq!(all["findings"].as_array().unwrap().len(), 6, "{all}");
    let [one] = all["explanations"].as_array().unwrap().as_slice() else { panic!("{all}") };
    assert_eq!(
        (&one["policy"], &one["rule"], &one["does"], &one["result"], &one["code"], &one["message"]),
        (
            &"replicas".into(),
            &"replicas".into(),
            &"judges".into(),
            &"fail".into(),
            &"MOIN-0502".into(),
            &"at most 3".into()
        )
    );
    assert_eq!(one["object"], all["findings"][4]["object"]);
    assert_eq!((&one["path"], &one["location"]["line"]), (&"spec.replicas".into(), &19.into()));
    assert_eq!(all["findings"][4]["path"], "spec.replicas");
    assert_eq!(one["steps"][1]["from"], "the repository");
    assert_eq!(one["steps"][1]["value"]["data"]["most"], "3");
    let expression = &one["steps"][4];
    assert_eq!(expression["text"], "expression 1");
    assert_eq!(expression["steps"][0]["value"], false);
    assert_eq!(expression["steps"][0]["steps"][0]["text"], "object.spec.replicas");
    assert_eq!(expression["steps"][0]["steps"][0]["value"], 5);

    let sarif = json(&["-o", "sarif"]);
    let run = &sarif["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), 6);
    assert_eq!(run["properties"]["explanations"].as_array().unwrap().len(), 6, "{run}");
    let github = check(repository.path(), &["--explain", "-o", "github"]).stdout;
    let commands = github.lines().filter(|line| line.starts_with("::"));
    assert!(
        commands
            .clone()
            .all(|line| ["::error ", "::group::", "::endgroup::"].iter().any(|c| line.starts_with(c)))
    );
    assert_eq!(commands.filter(|line| *line == "::endgroup::").count(), 6);
}

const ASKING: &str = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: asking}
spec:
  validationFailureAction: Enforce
  rules:
    - name: colors
      match: {any: [{resources: {kinds: [ConfigMap]}}]}
      context:
        - {name: allowed, apiCall: {urlPath: /api/v1/namespaces/team/configmaps/colors, jmesPath: data.list}}
        - {name: most, variable: {jmesPath: request.object.data.most, default: 7}}
        - {name: unread, configMap: {name: nowhere, namespace: team}}
      validate:
        message: a color of {{ allowed }}
        deny: {conditions: {any: [
          {key: "{{ most }}", operator: GreaterThan, value: 7},
          {key: "{{ request.object.data.color }}", operator: AnyNotIn, value: "{{ parse_json(allowed) }}"}]}}
    - name: logins
      match: {any: [{resources: {kinds: [ConfigMap]}}]}
      context: [{name: login, apiCall: {urlPath: /api/v1/namespaces/team/secrets/login, jmesPath: data.password}}]
      validate:
        message: not {{ login }}
        deny: {conditions: {any: [{key: "{{ login }}", operator: Equals, value: aHVudGVyMjI=}]}}
"#;

const ASKED: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: paint, namespace: team}
data: {color: red}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: team}
data: {password: aHVudGVyMjI=}
";

#[test]
fn what_was_asked_for_is_told_and_by_whom_it_was_answered() {
    let repository = repository_of(ASKING, ASKED);
    let open = explained(repository.path(), &["--policy", "asking/colors"]);
    assert_snapshot!(open, @r#"
    how asking/colors judges ConfigMap/team/paint (policies/checks.yaml:8): error at data.color (base/objects.yaml:4:8):
      context allowed → error: failed to load context entry allowed: /api/v1/namespaces/team/configmaps/colors is not described by the repository, and no cluster is asked
        GET /api/v1/namespaces/team/configmaps/colors
      context most (from its default) → 7
        request.object.data.most → error: Unknown key "most" in path
          request.object.data → {"color":"red"}
      deny if → error: failed to substitute variables in condition value: failed to resolve parse_json(allowed): failed to load context entry allowed: /api/v1/namespaces/team/configma... (229 characters)
        any[0] key GreaterThan 7 → false
          key → 7
            most → 7
        any[1] key AnyNotIn value → error: failed to substitute variables in condition value: failed to resolve parse_json(allowed): failed to load context entry allowed: /api/v1/namespaces/team/configma... (229 characters)
          key → "red"
            request.object.data.color → "red"
          value → error: failed to resolve parse_json(allowed): failed to load context entry allowed: /api/v1/namespaces/team/configmaps/colors is not described by the repository, and n... (178 characters)
            parse_json(allowed) → error: failed to load context entry allowed: /api/v1/namespaces/team/configmaps/colors is not described by the repository, and no cluster is asked
              allowed → error: failed to load context entry allowed: /api/v1/namespaces/team/configmaps/colors is not described by the repository, and no cluster is asked
    "#);
    let values = repository.path().join("values.yaml");
    let answer = r#"apiCallResponses: [{urlPath: /api/v1/namespaces/team/configmaps/colors, response: {statusCode: 200, body: {data: {list: '["blue"]'}}}}]"#;
    std::fs::write(&values, answer).unwrap();
    let values = values.to_string_lossy();
    assert_snapshot!(explained(repository.path(), &["--policy", "asking/colors", "--values", &values]), @r#"
    how asking/colors judges ConfigMap/team/paint (policies/checks.yaml:8): fail at data.color (base/objects.yaml:4:8):
      context allowed (from the file of values) → "[\"blue\"]"
        GET /api/v1/namespaces/team/configmaps/colors
      context most (from its default) → 7
        request.object.data.most → error: Unknown key "most" in path
          request.object.data → {"color":"red"}
      deny if → true
        any[0] key GreaterThan 7 → false
          key → 7
            most → 7
        any[1] key AnyNotIn value → true
          key → "red"
            request.object.data.color → "red"
          value → ["blue"]
            parse_json(allowed) → ["blue"]
              allowed → "[\"blue\"]"
    "#);
    let json = check(repository.path(), &["--explain", "-o", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["explanations"][0]["code"], "MOIN-0508", "{json}");
    assert!(json["explanations"][0]["help"].as_str().unwrap().contains("--values"), "{json}");

    // A Secret that a rule was told is shown no more than one that is judged.
    let told = check(repository.path(), &["--explain", "--policy", "asking/logins"]).stdout;
    assert!(told.contains("context login (from the repository) → \"(masked)\""), "{told}");
    assert!(!told.contains("hunter22") && !told.contains("aHVudGVyMjI"), "{told}");
}

#[test]
fn a_diff_explains_what_it_refuses() {
    let repository = repository_of(KINDS, OF_KINDS);
    let folder = repository.path();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-C"];
        let path = folder.to_string_lossy();
        let run =
            std::process::Command::new("git").args(identity).arg(&*path).args(arguments).output().unwrap();
        assert!(run.status.success(), "{run:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    let objects = OF_KINDS.replace("replicas: 5", "replicas: 9");
    std::fs::write(folder.join("base/objects.yaml"), objects).unwrap();
    let path = folder.to_string_lossy();
    let diff = |more: &[&str]| {
        Moin::new().run(&[&["diff", "--repo", &*path, "--use-case", "all", "--explain"], more].concat())
    };
    let heading =
        "how replicas/replicas judges Deployment/team/web (policies/checks.yaml:49): fail at spec.replicas";
    let text = diff(&["--object", "web", "--policy", "replicas"]).stdout;
    assert!(text.contains(heading) && text.contains("object.spec.replicas → 9"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&diff(&["-o", "json"]).stdout).unwrap();
    let has = |one: &serde_json::Value| one["policy"] == "replicas" && one["path"] == "spec.replicas";
    assert!(json["explanations"].as_array().unwrap().iter().any(has), "{json}");
    let comment = diff(&["-o", "markdown"]).stdout;
    assert!(comment.contains("<summary>How policies came to what they say</summary>"), "{comment}");
    assert!(comment.contains("object.spec.replicas &lt;= variables.most → false"), "{comment}");
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
