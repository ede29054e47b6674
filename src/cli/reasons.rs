//! `--explain` of `check` and `diff`: which rules and objects are explained, and how that is printed.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::Value;

use super::offline::Reviewed;
use crate::expr::wildcard;
use crate::finding::{Code, Finding};
use crate::model::{Manifest, ObjectId};
use crate::policy::{Does, Extent, Verdict, Wanted};
use crate::review::{Explained, Explainer};

/// What to explain.
#[derive(Debug, Clone, Default, Args)]
pub struct ReasonArgs {
    /// Show how each rule that an object breaks came to its verdict: every part of its expressions and patterns with its
    /// value. What is in a Secret stays masked.
    #[arg(long, help_heading = "Explanations")]
    explain: bool,
    /// Explain what this policy, or rule of it, says of every object that it is about, passes too. With wildcards.
    #[arg(long, value_name = "POLICY[/RULE]", requires = "explain", help_heading = "Explanations")]
    policy: Option<String>,
    /// Explain what every rule says of this object, changes in it or makes because of it; and why a rule for its kind
    /// is not about it. Named as it is printed, or by its name; with wildcards. With --policy, also why that policy is not.
    #[arg(long, value_name = "[KIND/[NAMESPACE/]]NAME", requires = "explain", help_heading = "Explanations")]
    object: Option<String>,
}

impl ReasonArgs {
    /// The explanations that are asked for; `None` without `--explain`.
    ///
    /// # Errors
    /// When there is no such policy, rule or object.
    pub fn explained(
        &self,
        reviewed: &Reviewed,
        findings: &[Finding],
    ) -> Result<Option<Vec<Explained>>, String> {
        if !self.explain {
            return Ok(None);
        }
        let is_rule = |policy: &str, rule: &str| self.is_rule(policy, rule);
        let wanted = Wanted { extent: self.extent(), rules: &is_rule };
        let explainer = reviewed.explainer();
        let mut explained = Vec::new();
        let objects = self.objects(reviewed, findings);
        self.check_names(reviewed, objects.is_empty())?;
        for manifest in objects {
            explained.extend(match is_rendered(reviewed, manifest) {
                true => explainer.of(manifest, &wanted),
                false => explainer.changes(manifest, &wanted),
            });
        }
        explained.extend(self.by_living(&explainer, &wanted));
        Ok(Some(explained))
    }

    fn extent(&self) -> Extent {
        match (&self.policy, &self.object) {
            (None, None) => Extent::Failures,
            (Some(_), None) => Extent::Verdicts,
            (None, Some(_)) => Extent::Near,
            (Some(_), Some(_)) => Extent::All,
        }
    }

    fn is_rule(&self, policy: &str, rule: &str) -> bool {
        let Some(wanted) = &self.policy else { return true };
        wildcard::matches(wanted, policy) || wildcard::matches(wanted, &format!("{policy}/{rule}"))
    }

    fn is_object(&self, id: &ObjectId) -> bool {
        let Some(wanted) = &self.object else { return true };
        let of_namespace = id.namespace().map(|namespace| format!("{namespace}/{}", id.name()));
        wildcard::matches(wanted, id.name())
            || wildcard::matches(wanted, &id.to_string())
            || wildcard::matches(wanted, &id.full())
            || of_namespace.is_some_and(|name| wildcard::matches(wanted, &name))
    }

    /// The objects to explain: those that are named, else all; where only failures count, those that have some.
    fn objects<'r>(&self, reviewed: &'r Reviewed, findings: &[Finding]) -> Vec<&'r Manifest> {
        let by_policy = |finding: &&Finding| {
            use Code::{ContextMissing, PolicyAudit, PolicyError, PolicyViolation};
            matches!(finding.code, PolicyViolation | PolicyAudit | PolicyError | ContextMissing)
        };
        let failing: BTreeSet<&ObjectId> =
            findings.iter().filter(by_policy).filter_map(|finding| finding.object.as_ref()).collect();
        let makes_fail = findings.iter().any(|finding| finding.code == Code::GenerateFailed);
        let is_asked = |id: &ObjectId| match self.extent() {
            Extent::Failures => failing.contains(id) || makes_fail && id.kind() == "Namespace",
            _ => self.is_object(id),
        };
        let rendered = reviewed.manifests.manifests.iter();
        let others = reviewed.manifests.originals.iter().filter(|one| !is_rendered(reviewed, one));
        rendered.chain(others).map(|manifest| &**manifest).filter(|one| is_asked(&one.id)).collect()
    }

    /// What rules make because of namespaces that only live.
    fn by_living(&self, explainer: &Explainer<'_>, wanted: &Wanted<'_>) -> Vec<Explained> {
        let made = explainer.made_by_living(wanted).into_iter();
        made.filter(|one| self.is_object(&one.object)).collect()
    }

    fn check_names(&self, reviewed: &Reviewed, no_object: bool) -> Result<(), String> {
        let set = &reviewed.manifests.policy_set;
        if let Some(wanted) = &self.policy
            && !set.names().any(|(policy, rule)| self.is_rule(policy, rule))
        {
            let known: BTreeSet<&str> = set.names().map(|(policy, _)| policy).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return Err(match known.as_slice() {
                [] => format!("no policy is called {wanted:?}: the repository has none"),
                known => {
                    format!("no policy or rule is called {wanted:?}; the policies are {}", known.join(", "))
                }
            });
        }
        let lives = || reviewed.live().namespaces.keys().any(|name| Some(name) == self.object.as_ref());
        match &self.object {
            Some(wanted) if no_object && !lives() => Err(format!(
                "no object is called {wanted:?}: write NAME, KIND/NAME or KIND/NAMESPACE/NAME as `moin render` shows them"
            )),
            _ => Ok(()),
        }
    }
}

fn is_rendered(reviewed: &Reviewed, manifest: &Manifest) -> bool {
    reviewed.manifests.manifests.iter().any(|rendered| rendered.id == manifest.id)
}

/// For people: a heading for each explanation, and its steps below.
pub fn text(explained: &[Explained]) -> String {
    let mut out = String::new();
    for one in explained {
        out += &format!("{}:\n", heading(one));
        // The message of a failure is told by its finding.
        if matches!(one.result, Verdict::Skip | Verdict::Pass) && one.is_about && !one.message.is_empty() {
            out += &format!("  {}\n", one.message.replace('\n', " "));
        }
        for line in one.steps.to_text().lines() {
            out += &format!("  {line}\n");
        }
        out.push('\n');
    }
    super::diff::escape::visible_lines(&out)
}

/// `how POLICY/RULE judges OBJECT (FILE:LINE): fail at PATH (FILE:LINE:COLUMN)`.
fn heading(one: &Explained) -> String {
    let (rule, object, at) = (one.name(), &one.object, &one.rule_location);
    let at = format!("{}:{}", at.file, at.line);
    if !one.is_about {
        return format!("why {rule} is not about {object} ({at})");
    }
    let verb = match one.does {
        Does::Judges => format!("how {rule} judges {object} ({at})"),
        Does::Changes => format!("what {rule} changes in {object} ({at})"),
        Does::Makes => format!("what {rule} makes because of {object} ({at})"),
    };
    let place = match (&one.path, &one.location) {
        (Some(path), Some(place)) => {
            format!(" at {path} ({}:{}:{})", place.file, place.line, place.column)
        }
        _ => String::new(),
    };
    format!("{verb}: {}{place}", one.verdict())
}

/// For machines.
pub fn json(explained: &[Explained]) -> Value {
    explained.iter().map(Explained::to_json).collect()
}
