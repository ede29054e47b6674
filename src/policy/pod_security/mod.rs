//! `validate.podSecurity`: the Pod Security Standards of Kubernetes as a rule, and exclusions from them.
//!
//! A check tells of every field that is not as the standard asks; an exclusion takes fields out again. Where the
//! reference runs all versions of a check up to a pinned one, the one of that version is run here, as Kubernetes does.

mod checks;
mod exclude;
mod explain;
mod pod;

use serde_json::Value;

use crate::model::FieldPath;

use super::reader::{Reader, Result};
use super::validate::{Judgement, Verdict};
use checks::{CHECKS, Check};
pub(crate) use exclude::Exclusion;
use pod::Pod;

/// A compiled `validate.podSecurity`.
#[derive(Debug, Clone)]
pub(crate) struct PodSecurity {
    level: Level,
    /// As the author wrote it, for messages.
    written: (String, String),
    /// The minor version of Kubernetes 1; `None` for the newest.
    minor: Option<u32>,
    exclude: Vec<Exclusion>,
    /// Whether a change may leave an object as wrong as it was.
    pub(crate) allow_existing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A field that is not as the standard asks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Violation {
    /// The field, as it stands in a pod.
    path: FieldPath,
    /// The container that it is a field of.
    container: Option<String>,
    /// It has to be set; else it may not be what it is.
    required: bool,
    /// What it is, as far as that is the problem.
    found: Vec<String>,
    /// Whether what was found are items of a list.
    listed: bool,
}

/// A check with what it has to say of a pod.
struct Broken {
    check: &'static Check,
    violations: Vec<Violation>,
}

impl PodSecurity {
    /// From a rule's `validate`.
    pub(crate) fn compile(validate: &Reader<'_>, part: &Reader<'_>) -> Result<PodSecurity> {
        part.only(&["level", "version", "exclude"])?;
        let level = part.string("level")?.unwrap_or_default();
        let version = part.string("version")?.unwrap_or_default();
        Ok(PodSecurity {
            level: match level.as_str() {
                "privileged" => Level::Privileged,
                "baseline" => Level::Baseline,
                "restricted" => Level::Restricted,
                _ => return Err(part.error("level is privileged, baseline or restricted")),
            },
            minor: minor(&version).ok_or_else(|| part.error("version is `latest`, or like `v1.35`"))?,
            written: (level, version),
            exclude: Exclusion::list(part, "exclude")?,
            allow_existing: validate.bool("allowExistingViolations")?.unwrap_or(true),
        })
    }

    /// Judges an object; exceptions may exclude more than the rule does, and are then named by the verdict.
    pub(crate) fn evaluate(
        &self,
        rule: &str,
        object: &Value,
        exceptions: &[(&str, &[Exclusion])],
    ) -> Judgement {
        let Some((pod, base)) = Pod::of(object) else {
            return Judgement::error(
                "Error while getting new resource",
                "could not find correct resource type",
            );
        };
        let mut broken = self.ask(&pod);
        self.exclude(&mut broken, &self.exclude, &pod);
        if broken.is_empty() {
            return Judgement::new(Verdict::Pass, format!("Validation rule '{rule}' passed."));
        }
        for (_, exclusions) in exceptions {
            self.exclude(&mut broken, exclusions, &pod);
        }
        if broken.is_empty() {
            let names: Vec<&str> = exceptions.iter().map(|(name, _)| *name).collect();
            let message = format!("rule is skipped due to policy exceptions {}", names.join(", "));
            return Judgement::new(Verdict::Skip, message);
        }
        let (level, version) = &self.written;
        let told: String = broken.iter().map(|broken| broken.tell(&base)).collect();
        let message =
            format!("Validation rule '{rule}' failed. It violates PodSecurity \"{level}:{version}\": {told}");
        let path = broken.first().and_then(|broken| Some(joined(&base, &broken.violations.first()?.path)));
        Judgement { path, ..Judgement::new(Verdict::Fail, message) }
    }

    /// The checks of the level.
    fn asked(&self) -> impl Iterator<Item = &'static Check> {
        CHECKS.iter().filter(|check| match self.level {
            Level::Privileged => false,
            Level::Baseline => !check.restricted,
            Level::Restricted => true,
        })
    }

    fn ask(&self, pod: &Pod<'_>) -> Vec<Broken> {
        let broken = self.asked().map(|check| Broken { check, violations: check.ask(pod, self.minor) });
        broken.filter(|broken| !broken.violations.is_empty()).collect()
    }

    fn exclude(&self, broken: &mut Vec<Broken>, exclusions: &[Exclusion], pod: &Pod<'_>) {
        for exclusion in exclusions {
            for excluded in self.ask(&exclusion.part_of(pod)) {
                if exclusion.names(excluded.check.id)
                    && let Some(of) = broken.iter_mut().find(|broken| broken.check.id == excluded.check.id)
                {
                    exclusion.spare(&mut of.violations, &excluded.violations);
                }
            }
            broken.retain(|broken| !broken.violations.is_empty());
            // The reference's order is that of a hash map here; this one does not change from run to run.
            broken.sort_by_key(|broken| !broken.check.restricted);
        }
    }
}

impl Broken {
    fn tell(&self, base: &FieldPath) -> String {
        let fields: Vec<String> = self.violations.iter().map(|violation| violation.tell(base)).collect();
        let several = if self.check.id == "appArmorProfile" && fields.len() > 1 { "s" } else { "" };
        format!(
            "(Forbidden reason: {}{several}, field error list: [{}])",
            self.check.reason,
            fields.join(", ")
        )
    }
}

impl Violation {
    fn tell(&self, base: &FieldPath) -> String {
        let field = pod::written(&joined(base, &self.path));
        match self.found.as_slice() {
            _ if self.required => format!("{field}: Required value"),
            found if self.listed => {
                format!("{field} is forbidden, forbidden values found: [{}]", found.join(" "))
            }
            [found] if !found.is_empty() => format!("{field} is forbidden, forbidden values found: {found}"),
            _ => format!("{field}: Forbidden"),
        }
    }
}

fn joined(base: &FieldPath, path: &FieldPath) -> FieldPath {
    FieldPath(base.0.iter().chain(&path.0).cloned().collect())
}

/// The minor version of `v1.35`; nothing for the newest; `None` for what is no version.
fn minor(version: &str) -> Option<Option<u32>> {
    if matches!(version, "" | "latest") {
        return Some(None);
    }
    let minor = version.strip_prefix("v1.")?;
    let plain = minor.bytes().all(|b| b.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
    plain.then(|| minor.parse().ok()).flatten().map(Some)
}

#[cfg(test)]
mod tests;
