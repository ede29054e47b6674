//! Exclusions: controls, or single fields and values of them, that a pod need not keep.

use crate::expr::wildcard;
use crate::model::PathSegment;
use crate::policy::reader::{Reader, Result};

use super::Violation;
use super::pod::{Pod, written};

/// One entry of `exclude`, or of an exception's `podSecurity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exclusion {
    control: &'static Control,
    images: Vec<String>,
    field: Option<String>,
    values: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Control {
    name: &'static str,
    checks: &'static [&'static str],
    of: Of,
}

/// What the fields of a control are fields of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Pods,
    Containers,
    Both,
}

const CONTROLS: &[Control] = &[
    control("HostProcess", &["windowsHostProcess"], Of::Both),
    control("Host Namespaces", &["hostNamespaces"], Of::Pods),
    control("Privileged Containers", &["privileged"], Of::Containers),
    control("Capabilities", &["capabilities_baseline", "capabilities_restricted"], Of::Containers),
    control("HostPath Volumes", &["hostPathVolumes"], Of::Pods),
    control("Host Ports", &["hostPorts"], Of::Containers),
    control("Host Probes / Lifecycle Hooks", &["hostProbesAndHostLifecycle"], Of::Containers),
    control("AppArmor", &["appArmorProfile"], Of::Pods),
    control("SELinux", &["seLinuxOptions"], Of::Both),
    control("/proc Mount Type", &["procMount", "procMount_restricted"], Of::Containers),
    control("Seccomp", &["seccompProfile_baseline", "seccompProfile_restricted"], Of::Both),
    control("Sysctls", &["sysctls"], Of::Pods),
    control("Volume Types", &["restrictedVolumes"], Of::Pods),
    control("Privilege Escalation", &["allowPrivilegeEscalation"], Of::Containers),
    control("Running as Non-root", &["runAsNonRoot"], Of::Both),
    control("Running as Non-root user", &["runAsUser"], Of::Both),
];

const fn control(name: &'static str, checks: &'static [&'static str], of: Of) -> Control {
    Control { name, checks, of }
}

/// The name of the control that a check belongs to.
pub(super) fn control_of(check: &str) -> &str {
    CONTROLS.iter().find(|control| control.checks.contains(&check)).map_or(check, |control| control.name)
}

impl Exclusion {
    /// The entries of a list field.
    pub(crate) fn list(owner: &Reader<'_>, name: &str) -> Result<Vec<Exclusion>> {
        owner.list(name)?.iter().map(Exclusion::compile).collect()
    }

    fn compile(entry: &Reader<'_>) -> Result<Exclusion> {
        entry.only(&["controlName", "images", "restrictedField", "values"])?;
        let name = entry.string("controlName")?.unwrap_or_default();
        let control = CONTROLS.iter().find(|control| control.name == name).ok_or_else(|| {
            let known: Vec<&str> = CONTROLS.iter().map(|control| control.name).collect();
            entry.error(format!("controlName is one of {}", known.join(", ")))
        })?;
        let exclusion = Exclusion {
            control,
            images: entry.strings("images")?,
            field: entry.string("restrictedField")?.filter(|field| !field.is_empty()),
            values: entry.strings("values")?,
        };
        let wrong = match (control.of, exclusion.images.is_empty()) {
            (Of::Containers, true) => {
                Some("exclude.images must be specified for the container level control")
            }
            (Of::Pods, false) => Some("exclude.images must not be specified for the pod level control"),
            _ => match (&exclusion.field, exclusion.values.is_empty()) {
                (Some(_), true) => Some("values is required with restrictedField"),
                (None, false) => Some("restrictedField is required with values"),
                _ => None,
            },
        };
        wrong.map_or(Ok(exclusion), |wrong| Err(entry.error(wrong)))
    }

    /// Whether it is about a check.
    pub(super) fn names(&self, check: &str) -> bool {
        self.control.checks.contains(&check)
    }

    /// The part of a pod that it is about: containers of its images; without images, what is not of a container.
    pub(super) fn part_of<'a>(&self, pod: &Pod<'a>) -> Pod<'a> {
        if self.images.is_empty() {
            return pod.with_an_empty_container();
        }
        pod.containers_of(|image| self.images.iter().any(|pattern| wildcard::matches(pattern, image)))
    }

    /// Takes out of `broken` what the excluded part of the pod breaks: each once, by field and container.
    pub(super) fn spare(&self, broken: &mut Vec<Violation>, excluded: &[Violation]) {
        for violation in excluded {
            let field = field(violation);
            if self.field.as_ref().is_some_and(|wanted| *wanted != field) || !self.has_values_of(violation) {
                continue;
            }
            let is_same = |other: &Violation| {
                let of_container = !self.images.is_empty() && other.container.is_some();
                self::field(other) == field && (!of_container || other.container == violation.container)
            };
            if let Some(at) = broken.iter().position(is_same) {
                // The last takes the place of what goes, as messages of the reference show.
                broken.swap_remove(at);
            }
        }
    }

    fn has_values_of(&self, violation: &Violation) -> bool {
        let mut found = violation.found.iter().filter(|value| !value.is_empty());
        self.values.is_empty()
            || found.all(|value| self.values.iter().any(|pattern| wildcard::matches(pattern, value)))
    }
}

/// The field, with `*` for places in lists.
fn field(violation: &Violation) -> String {
    let mut path = violation.path.clone();
    for segment in &mut path.0 {
        if let PathSegment::Index(_) = segment {
            *segment = PathSegment::Key("[*]".to_owned());
        }
    }
    written(&path).replace(".[*]", "[*]")
}
