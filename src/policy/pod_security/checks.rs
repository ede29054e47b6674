//! The checks of the Pod Security Standards, by the versions of Kubernetes in which they changed.

use crate::model::FieldPath;

use super::Violation;
use super::pod::{Field, Pod};

/// A control of the standards.
pub(super) struct Check {
    pub(super) id: &'static str,
    /// What is said of a pod that does not keep it.
    pub(super) reason: &'static str,
    /// Whether only the restricted level asks for it.
    pub(super) restricted: bool,
    /// The minor version from which on it is so, oldest first.
    versions: &'static [(u32, Asks)],
}

type Asks = fn(&Pod<'_>) -> Vec<Violation>;

impl Check {
    /// Asks the check as it is in a version of Kubernetes 1; the newest for `None`.
    pub(super) fn ask(&self, pod: &Pod<'_>, minor: Option<u32>) -> Vec<Violation> {
        let known = |(since, _): &&(u32, Asks)| minor.is_none_or(|minor| *since <= minor);
        self.versions.iter().rfind(known).map_or(Vec::new(), |(_, asks)| asks(pod))
    }
}

/// All of them, in the order in which violations are told.
pub(super) const CHECKS: &[Check] = &[
    restricted(
        "allowPrivilegeEscalation",
        "allowPrivilegeEscalation != false",
        &[(8, privilege_escalation), (25, |pod| unless(pod.is_windows(), pod, privilege_escalation))],
    ),
    baseline("appArmorProfile", "forbidden AppArmor profile", &[(0, app_armor)]),
    baseline("capabilities_baseline", "non-default capabilities", &[(0, default_capabilities)]),
    restricted(
        "capabilities_restricted",
        "unrestricted capabilities",
        &[(22, dropped_capabilities), (25, |pod| unless(pod.is_windows(), pod, dropped_capabilities))],
    ),
    baseline("hostNamespaces", "host namespaces", &[(0, host_namespaces)]),
    baseline("hostPathVolumes", "hostPath volumes", &[(0, host_paths)]),
    baseline("hostPorts", "hostPort", &[(0, host_ports)]),
    baseline("hostProbesAndHostLifecycle", "probe or lifecycle host", &[(34, probe_hosts)]),
    baseline("privileged", "privileged", &[(0, privileged)]),
    baseline(
        "procMount",
        "procMount",
        &[(0, proc_mount), (35, |pod| unless(pod.has_user_namespace(), pod, proc_mount))],
    ),
    restricted(
        "procMount_restricted",
        "procMount",
        &[(35, |pod| {
            // Without a user namespace, the baseline has said so already.
            unless(!pod.has_user_namespace(), pod, proc_mount)
        })],
    ),
    restricted("restrictedVolumes", "restricted volume types", &[(0, volume_types)]),
    restricted(
        "runAsNonRoot",
        "runAsNonRoot != true",
        &[(0, non_root), (35, |pod| unless(pod.has_user_namespace(), pod, non_root))],
    ),
    restricted(
        "runAsUser",
        "runAsUser=0",
        &[(23, root_user), (35, |pod| unless(pod.has_user_namespace(), pod, root_user))],
    ),
    baseline(
        "seLinuxOptions",
        "seLinuxOptions",
        &[(0, |pod| se_linux(pod, &SE_LINUX_TYPES[..4])), (31, |pod| se_linux(pod, SE_LINUX_TYPES))],
    ),
    baseline("seccompProfile_baseline", "seccompProfile", &[(0, seccomp_annotations), (19, seccomp_set)]),
    restricted(
        "seccompProfile_restricted",
        "seccompProfile",
        &[(19, seccomp_required), (25, |pod| unless(pod.is_windows(), pod, seccomp_required))],
    ),
    baseline(
        "sysctls",
        "forbidden sysctls",
        &[
            (0, |pod| sysctls(pod, safe_sysctls(Some(0)))),
            (27, |pod| sysctls(pod, safe_sysctls(Some(27)))),
            (29, |pod| sysctls(pod, safe_sysctls(Some(29)))),
            (32, |pod| sysctls(pod, safe_sysctls(Some(32)))),
        ],
    ),
    baseline("windowsHostProcess", "hostProcess", &[(0, host_process)]),
];

pub(super) const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The last one since 1.31.
const SE_LINUX_TYPES: &[&str] =
    &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// In the order in which they became safe: five from the beginning, one in 1.27, four in 1.29, two in 1.32.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Those that are safe in a minor version of Kubernetes 1; in the newest for `None`.
pub(super) fn safe_sysctls(minor: Option<u32>) -> &'static [&'static str] {
    match minor.unwrap_or(u32::MAX) {
        0..27 => &SYSCTLS[..5],
        27..29 => &SYSCTLS[..6],
        29..32 => &SYSCTLS[..10],
        32.. => SYSCTLS,
    }
}

/// Kinds of volumes that the restricted level lets a pod have.
pub(super) const ALLOWED_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

const OTHER_VOLUMES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

const fn baseline(id: &'static str, reason: &'static str, versions: &'static [(u32, Asks)]) -> Check {
    Check { id, reason, restricted: false, versions }
}

const fn restricted(id: &'static str, reason: &'static str, versions: &'static [(u32, Asks)]) -> Check {
    Check { id, reason, restricted: true, versions }
}

fn unless(spared: bool, pod: &Pod<'_>, asks: Asks) -> Vec<Violation> {
    if spared { Vec::new() } else { asks(pod) }
}

/// The fields whose value may not be `true`.
fn not_true<'a>(fields: impl Iterator<Item = Field<'a>>) -> Vec<Violation> {
    fields.filter(|field| *field.value == true).map(|field| field.forbidden(["true"])).collect()
}

fn privilege_escalation(pod: &Pod<'_>) -> Vec<Violation> {
    let fields = pod.container_fields(&["allowPrivilegeEscalation"]);
    fields
        .filter_map(|field| match field.value.as_bool() {
            None => Some(field.required()),
            Some(true) => Some(field.forbidden(["true"])),
            Some(false) => None,
        })
        .collect()
}

fn app_armor(pod: &Pod<'_>) -> Vec<Violation> {
    let is_bad =
        |field: &Field<'_>| !field.value.is_null() && !matches!(field.text(), "RuntimeDefault" | "Localhost");
    let types = pod.security_fields(&["appArmorProfile", "type"]);
    let types = types.filter(is_bad).map(|field| field.forbidden([field.text()]));
    types
        .chain(annotations(pod, |key, value| {
            key.starts_with("container.apparmor.security.beta.kubernetes.io/")
                && !(value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
        }))
        .collect()
}

fn annotations(pod: &Pod<'_>, is_bad: impl Fn(&str, &str) -> bool) -> Vec<Violation> {
    let all = pod.annotations.as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| is_bad(key, value))
        .map(|(key, value)| Violation {
            path: FieldPath::of_keys(["metadata", "annotations", key.as_str()]),
            container: None,
            required: false,
            found: vec![value.to_owned()],
            listed: false,
        })
        .collect()
}

fn default_capabilities(pod: &Pod<'_>) -> Vec<Violation> {
    not_among(pod.container_fields(&["capabilities", "add"]), DEFAULT_CAPABILITIES)
}

/// The fields whose list has something else than these in it.
fn not_among<'a>(fields: impl Iterator<Item = Field<'a>>, known: &[&str]) -> Vec<Violation> {
    fields
        .filter_map(|field| {
            let bad: Vec<String> =
                field.texts().filter(|item| !known.contains(item)).map(str::to_owned).collect();
            (!bad.is_empty()).then(|| field.forbidden_items(bad))
        })
        .collect()
}

fn dropped_capabilities(pod: &Pod<'_>) -> Vec<Violation> {
    let dropped = pod.container_fields(&["capabilities", "drop"]).filter_map(|field| {
        let all: Vec<String> = field.texts().map(str::to_owned).collect();
        match all.is_empty() {
            true => Some(field.required()),
            false => (!all.iter().any(|item| item == "ALL")).then(|| field.forbidden_items(all)),
        }
    });
    let mut violations: Vec<Violation> = dropped.collect();
    violations.extend(not_among(pod.container_fields(&["capabilities", "add"]), &["NET_BIND_SERVICE"]));
    violations
}

fn host_namespaces(pod: &Pod<'_>) -> Vec<Violation> {
    not_true(["hostNetwork", "hostPID", "hostIPC"].into_iter().map(|name| Field::of_spec(pod.spec, name)))
}

fn host_paths(pod: &Pod<'_>) -> Vec<Violation> {
    let volumes = Field::of_spec(pod.spec, "volumes").items().map(|volume| volume.below("hostPath"));
    volumes
        .filter(|field| !field.value.is_null())
        .map(|field| field.forbidden(field.value["path"].as_str().filter(|path| !path.is_empty())))
        .collect()
}

fn host_ports(pod: &Pod<'_>) -> Vec<Violation> {
    let ports = pod.containers.iter().flat_map(|container| container.field(&["ports"]).items());
    ports
        .map(|port| port.below("hostPort"))
        .filter(|field| field.value.as_i64().is_some_and(|port| port != 0))
        .map(|field| field.forbidden([field.value.to_string()]))
        .collect()
}

fn probe_hosts(pod: &Pod<'_>) -> Vec<Violation> {
    const HANDLERS: &[&[&str]] = &[
        &["livenessProbe"],
        &["readinessProbe"],
        &["startupProbe"],
        &["lifecycle", "postStart"],
        &["lifecycle", "preStop"],
    ];
    let hosts = pod.containers.iter().flat_map(|container| {
        HANDLERS.iter().flat_map(move |handler| {
            ["httpGet", "tcpSocket"].map(|by| container.field(handler).below(by).below("host"))
        })
    });
    hosts.filter(|field| !field.text().is_empty()).map(|field| field.forbidden([field.text()])).collect()
}

fn privileged(pod: &Pod<'_>) -> Vec<Violation> {
    not_true(pod.container_fields(&["privileged"]))
}

fn proc_mount(pod: &Pod<'_>) -> Vec<Violation> {
    let fields = pod.container_fields(&["procMount"]);
    let set = fields.filter(|field| !field.value.is_null() && field.text() != "Default");
    set.map(|field| field.forbidden([field.text()])).collect()
}

fn volume_types(pod: &Pod<'_>) -> Vec<Violation> {
    let has = |volume: &Field<'_>, kind: &str| !volume.value[kind].is_null();
    let volumes = Field::of_spec(pod.spec, "volumes").items();
    volumes
        .filter(|volume| !ALLOWED_VOLUMES.iter().any(|kind| has(volume, kind)))
        .map(|volume| {
            let kind = OTHER_VOLUMES.iter().find(|kind| has(&volume, kind)).unwrap_or(&"unknown");
            volume.below(kind).forbidden::<String>([])
        })
        .collect()
}

/// Nothing may say `false`; and what says nothing needs a pod that says `true`.
fn non_root(pod: &Pod<'_>) -> Vec<Violation> {
    let all = || pod.security_fields(&["runAsNonRoot"]);
    let mut violations: Vec<Violation> =
        all().filter(|field| *field.value == false).map(|field| field.forbidden(["false"])).collect();
    if *pod.own_field(&["runAsNonRoot"]).value != true {
        let unset = pod.container_fields(&["runAsNonRoot"]).filter(|field| !field.value.is_boolean());
        violations.extend(unset.map(|field| field.required()));
    }
    violations
}

fn root_user(pod: &Pod<'_>) -> Vec<Violation> {
    let fields = pod.security_fields(&["runAsUser"]);
    fields.filter(|field| field.value.as_i64() == Some(0)).map(|field| field.forbidden(["0"])).collect()
}

fn se_linux(pod: &Pod<'_>, types: &[&str]) -> Vec<Violation> {
    let options = pod.security_fields(&["seLinuxOptions"]).collect::<Vec<_>>();
    let bad = |options: Field<'_>| {
        let value = options.value;
        let mut bad = Vec::new();
        for (name, allowed) in [("type", types), ("user", &[""]), ("role", &[""])] {
            let text = value[name].as_str().unwrap_or_default();
            if !allowed.contains(&text) {
                bad.push(options.clone().below(name).forbidden([text]));
            }
        }
        bad
    };
    options.into_iter().flat_map(bad).collect()
}

fn is_seccomp(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

fn seccomp_annotations(pod: &Pod<'_>) -> Vec<Violation> {
    let names: Vec<String> = pod
        .containers
        .iter()
        .map(|container| format!("container.seccomp.security.alpha.kubernetes.io/{}", container.name()))
        .collect();
    annotations(pod, |key, value| {
        (key == "seccomp.security.alpha.kubernetes.io/pod" || names.iter().any(|name| name == key))
            && !(matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/"))
    })
}

/// A profile that is set must be a good one.
fn seccomp_set(pod: &Pod<'_>) -> Vec<Violation> {
    let profiles = pod.security_fields(&["seccompProfile"]).collect::<Vec<_>>();
    let set = profiles.into_iter().filter(|profile| !profile.value.is_null()).map(|p| p.below("type"));
    set.filter(|kind| !is_seccomp(kind.text())).map(|kind| kind.forbidden([kind.text()])).collect()
}

/// And there must be one, of the pod or of each container.
fn seccomp_required(pod: &Pod<'_>) -> Vec<Violation> {
    let bad = seccomp_set(pod);
    if !bad.is_empty() || is_seccomp(pod.own_field(&["seccompProfile", "type"]).text()) {
        return bad;
    }
    let profiles = pod.container_fields(&["seccompProfile"]).collect::<Vec<_>>();
    let unset = profiles.into_iter().filter(|profile| profile.value.is_null());
    unset.map(|profile| profile.below("type").required()).collect()
}

fn sysctls(pod: &Pod<'_>, safe: &[&str]) -> Vec<Violation> {
    let names = pod.own_field(&["sysctls"]).items().map(|sysctl| sysctl.below("name"));
    names.filter(|name| !safe.contains(&name.text())).map(|name| name.forbidden([name.text()])).collect()
}

fn host_process(pod: &Pod<'_>) -> Vec<Violation> {
    not_true(pod.security_fields(&["windowsOptions", "hostProcess"]))
}
