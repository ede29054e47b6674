//! How an object stands to each control of the Pod Security Standards.

use serde_json::Value;

use super::pod::{Pod, written};
use super::{Exclusion, PodSecurity, Violation, joined};
use crate::expr::explain::Steps;
use crate::model::{FieldPath, PathSegment};

impl PodSecurity {
    /// The controls that the pod does not keep, which field breaks each and what is allowed there; all of the level if it
    /// keeps all.
    pub(crate) fn explain(&self, object: &Value, exceptions: &[(&str, &[Exclusion])]) -> Steps {
        let mut steps = Steps::default();
        let Some((pod, base)) = Pod::of(object) else { return steps };
        let (level, version) = &self.written;
        steps.head(0, format!("podSecurity {level}:{}", if version.is_empty() { "latest" } else { version }));
        let told = self.ask(&pod);
        let mut left = self.ask(&pod);
        self.exclude(&mut left, &self.exclude, &pod);
        let by_rule: Vec<_> =
            left.iter().map(|broken| (broken.check.id, broken.violations.clone())).collect();
        for (_, exclusions) in exceptions {
            self.exclude(&mut left, exclusions, &pod);
        }
        let by_all: Vec<_> = left.iter().map(|broken| (broken.check.id, broken.violations.clone())).collect();
        let has = |list: &[(&str, Vec<Violation>)], id: &str, violation: &Violation| {
            list.iter().any(|(known, violations)| *known == id && violations.contains(violation))
        };
        for check in
            self.asked().filter(|check| told.is_empty() || told.iter().any(|b| b.check.id == check.id))
        {
            let broken = told.iter().find(|broken| broken.check.id == check.id);
            let violations = broken.map_or(&[][..], |broken| &broken.violations);
            let keeps = !violations.iter().any(|violation| has(&by_all, check.id, violation));
            steps.add(
                1,
                format!("{} ({})", super::exclude::control_of(check.id), check.id),
                Ok(keeps.into()),
            );
            for violation in violations {
                let path = joined(&base, &violation.path);
                let of = violation.container.as_ref();
                let of = of.map_or(String::new(), |name| format!(" of container {name}"));
                let spared = match (has(&by_rule, check.id, violation), has(&by_all, check.id, violation)) {
                    (false, _) => ", excluded by the rule",
                    (true, false) => ", excluded by an exception",
                    (true, true) => "",
                };
                let found = at(object, &path).cloned().ok_or_else(|| "it is not there".to_owned());
                steps.add(2, format!("{}{of}{spared}", written(&path)), found);
                if spared.is_empty() {
                    steps.head(3, format!("allowed: {}", allowed(check.id, self.minor)));
                }
            }
        }
        steps
    }
}

fn at<'a>(object: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    path.0.iter().try_fold(object, |node, segment| match segment {
        PathSegment::Key(key) => node.get(key),
        PathSegment::Index(index) => node.get(index),
    })
}

/// What a check lets a field be.
fn allowed(check: &str, minor: Option<u32>) -> String {
    let since = |version: u32| minor.is_none_or(|minor| version <= minor);
    let text = match check {
        "allowPrivilegeEscalation" => "false",
        "appArmorProfile" => "RuntimeDefault, Localhost, or not set",
        "capabilities_baseline" => {
            return format!("not set, or some of {}", super::checks::DEFAULT_CAPABILITIES.join(", "));
        }
        "capabilities_restricted" => "drop ALL; add at most NET_BIND_SERVICE",
        "hostNamespaces" | "privileged" | "windowsHostProcess" => "false, or not set",
        "hostPathVolumes" => "no hostPath; another type of volume",
        "hostPorts" => "0, or not set",
        "hostProbesAndHostLifecycle" => "not set",
        "procMount" | "procMount_restricted" => "Default, or not set",
        "restrictedVolumes" => {
            return format!("one of {}", super::checks::ALLOWED_VOLUMES.join(", "));
        }
        "runAsNonRoot" => "true, for the pod or for each container",
        "runAsUser" => "not 0, or not set",
        "seLinuxOptions" if since(31) => {
            "type container_t, container_init_t, container_kvm_t, container_engine_t or not set; user and role not set"
        }
        "seLinuxOptions" => {
            "type container_t, container_init_t, container_kvm_t or not set; user and role not set"
        }
        "seccompProfile_baseline" => "RuntimeDefault, Localhost, or not set",
        "seccompProfile_restricted" => "RuntimeDefault or Localhost, for the pod or for each container",
        "sysctls" => return format!("one of {}", super::checks::safe_sysctls(minor).join(", ")),
        _ => "what the standard says",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::reader::Reader;
    use serde_json::json;

    #[test]
    fn each_control_is_told_with_what_breaks_it() {
        let validate = json!({"podSecurity": {"level": "restricted", "version": "v1.29",
            "exclude": [{"controlName": "Running as Non-root"}, {"controlName": "Running as Non-root", "images": ["*"]}]}});
        let reader = Reader::new(&validate, FieldPath::default());
        let rule = PodSecurity::compile(&reader, &reader.field("podSecurity").unwrap()).unwrap();
        let object = json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "volumes": [{"name": "v", "hostPath": {"path": "/etc"}}],
            "containers": [{"name": "web", "image": "a", "securityContext": {
                "privileged": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "Unconfined"}}}]}}}});
        insta::assert_snapshot!(rule.explain(&object, &[]).to_text(), @r#"
        podSecurity restricted:v1.29
          HostPath Volumes (hostPathVolumes) → false
            spec.template.spec.volumes[0].hostPath → {"path":"/etc"}
              allowed: no hostPath; another type of volume
          Privileged Containers (privileged) → false
            spec.template.spec.containers[0].securityContext.privileged of container web → true
              allowed: false, or not set
          Volume Types (restrictedVolumes) → false
            spec.template.spec.volumes[0].hostPath → {"path":"/etc"}
              allowed: one of configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret
          Running as Non-root (runAsNonRoot) → true
            spec.template.spec.containers[0].securityContext.runAsNonRoot of container web, excluded by the rule → error: it is not there
          Seccomp (seccompProfile_baseline) → false
            spec.template.spec.containers[0].securityContext.seccompProfile.type of container web → "Unconfined"
              allowed: RuntimeDefault, Localhost, or not set
          Seccomp (seccompProfile_restricted) → false
            spec.template.spec.containers[0].securityContext.seccompProfile.type of container web → "Unconfined"
              allowed: RuntimeDefault or Localhost, for the pod or for each container
        "#);
    }

    #[test]
    fn every_check_says_what_is_allowed() {
        for check in super::super::CHECKS {
            assert_ne!(allowed(check.id, None), "what the standard says", "{}", check.id);
            assert_ne!(super::super::exclude::control_of(check.id), check.id);
        }
    }
}
