use super::*;
use serde_json::json;

fn judge_with(part: Value, object: &Value, exceptions: &[(&str, &[Exclusion])]) -> Judgement {
    let validate = json!({"podSecurity": part});
    let validate = Reader::new(&validate, FieldPath::default());
    let part = validate.field("podSecurity").unwrap();
    PodSecurity::compile(&validate, &part).unwrap().evaluate("r", object, exceptions)
}

/// The fields that are told, or `pass`.
fn told(part: Value, object: &Value) -> String {
    let judgement = judge_with(part, object, &[]);
    judgement.message.split_once("\": ").map_or("pass".to_owned(), |(_, told)| told.to_owned())
}

fn pod(spec: Value) -> Value {
    json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
}

/// A pod that keeps the restricted level but for what is merged into its only container.
fn with(extra: Value) -> Value {
    let mut container = json!({"name": "a", "image": "app:1", "securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}}});
    merge(&mut container, &extra);
    pod(json!({"containers": [container]}))
}

fn merge(base: &mut Value, extra: &Value) {
    match (base, extra) {
        (Value::Object(base), Value::Object(extra)) => {
            for (key, value) in extra {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, extra) => *base = extra.clone(),
    }
}

#[test]
fn every_check_tells_its_fields() {
    let security = |extra: Value| with(json!({"securityContext": extra}));
    let cases = [
        (with(json!({})), "pass"),
        (
            security(json!({"allowPrivilegeEscalation": true})),
            "(Forbidden reason: allowPrivilegeEscalation != false, field error list: [spec.containers[0].securityContext.allowPrivilegeEscalation is forbidden, forbidden values found: true])",
        ),
        (
            security(json!({"allowPrivilegeEscalation": null})),
            "(Forbidden reason: allowPrivilegeEscalation != false, field error list: [spec.containers[0].securityContext.allowPrivilegeEscalation: Required value])",
        ),
        (
            security(
                json!({"capabilities": {"drop": ["KILL", "CHOWN"], "add": ["NET_BIND_SERVICE", "CHOWN"]}}),
            ),
            "(Forbidden reason: unrestricted capabilities, field error list: [spec.containers[0].securityContext.capabilities.drop is forbidden, forbidden values found: [CHOWN KILL], spec.containers[0].securityContext.capabilities.add is forbidden, forbidden values found: [CHOWN]])",
        ),
        (
            security(json!({"capabilities": null})),
            "(Forbidden reason: unrestricted capabilities, field error list: [spec.containers[0].securityContext.capabilities.drop: Required value])",
        ),
        (
            security(json!({"runAsNonRoot": false})),
            "(Forbidden reason: runAsNonRoot != true, field error list: [spec.containers[0].securityContext.runAsNonRoot is forbidden, forbidden values found: false])",
        ),
        (
            security(json!({"runAsUser": 0})),
            "(Forbidden reason: runAsUser=0, field error list: [spec.containers[0].securityContext.runAsUser is forbidden, forbidden values found: 0])",
        ),
        (
            security(json!({"procMount": "Unmasked"})),
            "(Forbidden reason: procMount, field error list: [spec.containers[0].securityContext.procMount is forbidden, forbidden values found: Unmasked])",
        ),
        (
            security(json!({"seLinuxOptions": {"type": "x", "user": "u", "role": "r"}})),
            "(Forbidden reason: seLinuxOptions, field error list: [spec.containers[0].securityContext.seLinuxOptions.type is forbidden, forbidden values found: x, spec.containers[0].securityContext.seLinuxOptions.user is forbidden, forbidden values found: u, spec.containers[0].securityContext.seLinuxOptions.role is forbidden, forbidden values found: r])",
        ),
        (
            with(json!({"ports": [{"containerPort": 80}, {"hostPort": 80}]})),
            "(Forbidden reason: hostPort, field error list: [spec.containers[0].ports[1].hostPort is forbidden, forbidden values found: 80])",
        ),
        (
            with(
                json!({"livenessProbe": {"httpGet": {"host": "h"}}, "lifecycle": {"preStop": {"tcpSocket": {"host": "i"}}}}),
            ),
            "(Forbidden reason: probe or lifecycle host, field error list: [spec.containers[0].livenessProbe.httpGet.host is forbidden, forbidden values found: h, spec.containers[0].lifecycle.preStop.tcpSocket.host is forbidden, forbidden values found: i])",
        ),
        (
            security(json!({"windowsOptions": {"hostProcess": true}})),
            "(Forbidden reason: hostProcess, field error list: [spec.containers[0].securityContext.windowsOptions.hostProcess is forbidden, forbidden values found: true])",
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(told(json!({"level": "restricted", "version": "latest"}), &object), expected, "{object}");
    }
}

#[test]
fn fields_of_the_pod_are_asked_too() {
    let mut object = with(json!({}));
    merge(
        &mut object,
        &json!({"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}},
        "spec": {"hostNetwork": true, "hostPID": true, "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/etc"}}, {"name": "c", "nfs": {}}],
        "securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}], "appArmorProfile": {"type": "Unconfined"}}}}),
    );
    let all = told(json!({"level": "restricted"}), &object);
    for part in [
        "(Forbidden reason: forbidden AppArmor profiles, field error list: [spec.securityContext.appArmorProfile.type is forbidden, forbidden values found: Unconfined, metadata.annotations[container.apparmor.security.beta.kubernetes.io/a] is forbidden, forbidden values found: unconfined])",
        "(Forbidden reason: host namespaces, field error list: [spec.hostNetwork is forbidden, forbidden values found: true, spec.hostPID is forbidden, forbidden values found: true])",
        "(Forbidden reason: hostPath volumes, field error list: [spec.volumes[1].hostPath is forbidden, forbidden values found: /etc])",
        "(Forbidden reason: restricted volume types, field error list: [spec.volumes[1].hostPath: Forbidden, spec.volumes[2].nfs: Forbidden])",
        "(Forbidden reason: forbidden sysctls, field error list: [spec.securityContext.sysctls[0].name is forbidden, forbidden values found: kernel.msgmax])",
    ] {
        assert!(all.contains(part), "{part}\nis not in\n{all}");
    }
    // The baseline does not know kinds of volumes, and older versions do not know all sysctls.
    assert!(!told(json!({"level": "baseline"}), &object).contains("volume types"));
    assert!(told(json!({"level": "baseline", "version": "v1.31"}), &object).contains("net.ipv4.tcp_rmem"));
    assert_eq!(told(json!({"level": "privileged"}), &object), "pass");
}

#[test]
fn what_a_pod_sets_holds_for_its_containers() {
    let object = |security: Value| {
        pod(
            json!({"securityContext": security, "initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}),
        )
    };
    let none = told(json!({"level": "restricted"}), &object(json!({})));
    assert!(none.contains("[spec.initContainers[0].securityContext.runAsNonRoot: Required value, spec.containers[0].securityContext.runAsNonRoot: Required value]"));
    assert!(
        none.contains("spec.containers[0].securityContext.seccompProfile.type: Required value"),
        "{none}"
    );
    let set = json!({"runAsNonRoot": true, "seccompProfile": {"type": "Localhost"}});
    let some = told(json!({"level": "restricted"}), &object(set));
    assert!(!some.contains("runAsNonRoot") && !some.contains("seccomp"), "{some}");
}

#[test]
fn versions_and_systems_count() {
    let part = |version: &str| json!({"level": "restricted", "version": version});
    let mut windows = with(json!({"securityContext": {"capabilities": null}}));
    windows["spec"]["os"] = json!({"name": "windows"});
    assert_eq!(told(part("v1.25"), &windows), "pass");
    assert!(told(part("v1.24"), &windows).contains("capabilities"));
    assert_eq!(told(part("v1.21"), &windows), "pass");
    let mut apart =
        with(json!({"securityContext": {"runAsNonRoot": false, "runAsUser": 0, "procMount": "Unmasked"}}));
    assert_eq!(told(part("v1.34"), &apart).matches("Forbidden reason").count(), 3);
    apart["spec"]["hostUsers"] = json!(false);
    assert_eq!(told(part("v1.34"), &apart).matches("Forbidden reason").count(), 3);
    assert_eq!(told(part("latest"), &apart).matches("Forbidden reason: procMount").count(), 1);
    assert_eq!(told(json!({"level": "baseline"}), &apart), "pass");
    let probes = with(json!({"livenessProbe": {"httpGet": {"host": "localhost"}}}));
    for (version, allowed) in [("", false), ("v1.35", false), ("v1.34", false), ("v1.33", true)] {
        assert_eq!(
            told(json!({"level": "baseline", "version": version}), &probes) == "pass",
            allowed,
            "{version}"
        );
    }
    assert_eq!(
        [minor("v1.5"), minor("1.5"), minor("v1.05"), minor("v2.0")],
        [Some(Some(5)), None, None, None]
    );
}

#[test]
fn controllers_are_asked_for_their_template() {
    let template = json!({"metadata": {"annotations": {}}, "spec": {"hostIPC": true, "containers": []}});
    for (object, place) in [
        (json!({"kind": "Deployment", "spec": {"template": template}}), "spec.template.spec.hostIPC"),
        (
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}),
            "spec.jobTemplate.spec.template.spec.hostIPC",
        ),
    ] {
        let judgement = judge_with(json!({"level": "baseline", "version": "latest"}), &object, &[]);
        let expected = format!(
            "Validation rule 'r' failed. It violates PodSecurity \"baseline:latest\": (Forbidden reason: host namespaces, field error list: [{place} is forbidden, forbidden values found: true])"
        );
        assert_eq!(judgement.message, expected);
        assert_eq!(judgement.path.unwrap().to_string(), place);
    }
    assert_eq!(
        judge_with(json!({"level": "baseline"}), &json!({"kind": "Service"}), &[]).verdict,
        Verdict::Error
    );
}

#[test]
fn exclusions_take_controls_fields_and_values_out() {
    let object = pod(json!({"hostPID": true, "hostIPC": true, "containers": [
        {"name": "a", "image": "ghcr.io/x/a:1", "securityContext": {"capabilities": {"add": ["SYS_TIME"]}}},
        {"name": "b", "image": "docker.io/b:1", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}));
    let with = |exclude: Value| told(json!({"level": "baseline", "exclude": [exclude]}), &object);
    let capabilities = |images: &str| with(json!({"controlName": "Capabilities", "images": [images]}));
    assert!(!capabilities("*").contains("capabilities"));
    let one = capabilities("ghcr.io/*");
    assert!(one.contains("[spec.containers[1].securityContext.capabilities.add is forbidden"), "{one}");
    assert!(!with(json!({"controlName": "Host Namespaces"})).contains("host namespaces"));
    let field = |field: &str, values: Value| {
        with(json!({"controlName": "Host Namespaces", "restrictedField": field, "values": values}))
    };
    assert!(
        field("spec.hostPID", json!(["true"]))
            .contains("[spec.hostIPC is forbidden, forbidden values found: true]")
    );
    assert!(field("spec.hostPID", json!(["false"])).contains("spec.hostPID"));
    let values = with(json!({"controlName": "Capabilities", "images": ["*"], "values": ["SYS_T*"],
        "restrictedField": "spec.containers[*].securityContext.capabilities.add"}));
    assert!(values.contains("[SYS_ADMIN]") && !values.contains("[SYS_TIME]"), "{values}");
}

#[test]
fn an_exception_excludes_by_name() {
    let entry = json!({"podSecurity": [{"controlName": "HostPath Volumes",
        "restrictedField": "spec.volumes[*].hostPath", "values": ["/var/lib1"]}]});
    let exclusions = Exclusion::list(&Reader::new(&entry, FieldPath::default()), "podSecurity").unwrap();
    let judge = |path: &str| {
        let object = pod(json!({"volumes": [{"name": "a", "hostPath": {"path": path}}]}));
        judge_with(json!({"level": "baseline"}), &object, &[("ns/e", &exclusions)])
    };
    assert_eq!(judge("/var/lib1").message, "rule is skipped due to policy exceptions ns/e");
    assert_eq!(judge("/var/lib2").verdict, Verdict::Fail);
}

#[test]
fn what_is_no_exclusion_is_refused() {
    for (exclude, why) in [
        (json!({"controlName": "Capability"}), "controlName"),
        (json!({"controlName": "Capabilities"}), "images must be specified"),
        (json!({"controlName": "Sysctls", "images": ["*"]}), "must not be specified"),
        (json!({"controlName": "Sysctls", "restrictedField": "spec.x"}), "values is required"),
        (json!({"controlName": "Sysctls", "values": ["x"]}), "restrictedField is required"),
    ] {
        let validate = json!({"podSecurity": {"level": "baseline", "exclude": [exclude]}});
        let validate = Reader::new(&validate, FieldPath::default());
        let error = PodSecurity::compile(&validate, &validate.field("podSecurity").unwrap()).unwrap_err();
        assert!(error.message.contains(why), "{}", error.message);
        assert_eq!(error.path.to_string(), "podSecurity.exclude[0]");
    }
}
