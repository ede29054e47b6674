//! From policy documents to rules and their index.

use std::sync::Arc;

use serde_json::Value;

use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, Manifest, ObjectId};
use crate::yaml;

use super::super::action::Action;
use super::super::autogen;
use super::super::cel::{self, Binding, CelKind, Constraints, MatchConditions, Part, Unusable};
use super::super::cleanup::Cleanup;
use super::super::exception::Exception;
use super::super::matching::Matching;
use super::super::reader::{CompileError, Reader};
use super::super::rule::{Body, Notes, Rule, Shared};
use super::super::strict;
use super::{Policy, PolicyNotes, PolicySet};

const KINDS: &[&str] = &["ClusterPolicy", "Policy"];
const CLEANUP_KINDS: &[&str] = &["CleanupPolicy", "ClusterCleanupPolicy"];
/// Other kinds that hold rules, by their API groups.
const OTHER_KINDS: &[(&str, &[&str])] =
    &[("kyverno.io", &["PolicyException"]), ("policies.kyverno.io", &["PolicyException"])];

impl PolicySet {
    /// Compiles policies; manifests of other kinds are ignored. Findings say what is wrong in a policy, and what of
    /// it is not evaluated.
    pub fn compile(policies: &[Arc<Manifest>]) -> (PolicySet, Vec<Finding>) {
        let mut set = PolicySet::default();
        set.environment.yaml = Some(|text| yaml::parse(text, false).map_err(|e| e.to_string()));
        let mut findings = Vec::new();
        for manifest in policies {
            let (group, kind) = (&*manifest.gvk.group, &*manifest.gvk.kind);
            if group == "kyverno.io" && KINDS.contains(&kind) {
                set.add(manifest, &mut findings);
            } else if group == "kyverno.io" && CLEANUP_KINDS.contains(&kind) {
                set.add_cleanup(manifest, &mut findings);
            } else if let Some(kind) = CelKind::of(group, kind) {
                let bindings = bindings_of(manifest, kind, policies);
                if kind.binding().is_some() && bindings.as_ref().is_ok_and(Vec::is_empty) {
                    findings.push(unbound(manifest));
                }
                set.add_cel(manifest, kind, bindings, &mut findings);
            } else if OTHER_KINDS.iter().any(|(g, kinds)| *g == group && kinds.contains(&kind)) {
                PolicySet::add_unsupported(manifest, &mut findings);
            }
        }
        (set, findings)
    }

    /// Adds `PolicyException` manifests. They are never taken from among the policies: who may grant an exception is
    /// for the caller to decide. One that does not compile exempts nobody.
    pub fn add_exceptions(&mut self, exceptions: &[Arc<Manifest>]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for manifest in exceptions {
            let root = Reader::new(&manifest.body, FieldPath::default());
            let name = full_name(&manifest.id);
            let added = if &*manifest.gvk.group == "policies.kyverno.io" {
                cel::Exception::compile(&root, name).map(|exception| self.cel_exceptions.push(exception))
            } else {
                Exception::compile(&root, name).map(|exception| self.exceptions.push(exception))
            };
            match added {
                Ok(()) => {}
                Err(error) => {
                    let message =
                        format!("exception {}: {}: {}", manifest.id.name(), error.path, error.message);
                    let place = yaml::locate(&manifest.origin.source, &error.path);
                    findings.push(Finding::error(Code::PolicyInvalid, message).about(&manifest.id).at(place));
                }
            }
        }
        findings
    }

    /// A document of a kind that judges nothing here.
    fn add_unsupported(manifest: &Manifest, findings: &mut Vec<Finding>) {
        let kind = manifest.id.kind();
        let message = format!("{kind} {} is not evaluated", full_name(&manifest.id));
        let place = yaml::locate(&manifest.origin.source, &FieldPath::of_keys(["kind"]));
        findings.push(Finding::warning(Code::PolicyUnsupported, message).about(&manifest.id).at(place));
    }

    /// A policy that selects objects to go. One that does not compile selects none.
    fn add_cleanup(&mut self, manifest: &Manifest, findings: &mut Vec<Finding>) {
        let id = &manifest.id;
        match Cleanup::compile(&manifest.body) {
            Ok((matching, entries, cleanup)) => {
                self.index.add(self.rules.len() as u32, id.namespace(), matching.kinds());
                let part = (matching, Body::Cleanup(Box::new(cleanup)), Action::default());
                let rule = self.rule(id.name().to_owned(), part);
                self.rules.push(Rule { entries, ..rule });
                self.deletes = true;
            }
            Err(errors) => findings.extend(errors.into_iter().map(|error| {
                let message = format!("policy {}: {}: {}", full_name(id), error.path, error.message);
                let place = yaml::locate(&manifest.origin.source, &error.path);
                Finding::error(Code::PolicyInvalid, message).about(id).at(place)
            })),
        }
        self.add_policy(manifest, full_name(id));
    }

    /// A policy in CEL, and what it means for the controllers of pods. One that does not compile refuses all that it could
    /// be about.
    fn add_cel(
        &mut self,
        manifest: &Manifest,
        kind: CelKind,
        bindings: Result<Vec<Binding>, CompileError>,
        findings: &mut Vec<Finding>,
    ) {
        let id = &manifest.id;
        let name = if kind.names_rules() { id.name() } else { "" };
        let spec = Reader::new(&manifest.body["spec"], FieldPath::of_keys(["spec"]));
        let place = |path: &FieldPath| yaml::locate(&manifest.origin.source, path);
        if kind == CelKind::ImageValidating {
            let message = format!("{} {} verifies no signature or attestation offline", id.kind(), id.name());
            let finding = Finding::warning(Code::PolicyUnsupported, message).about(id);
            findings.push(finding.at(place(&FieldPath::of_keys(["kind"]))));
        }
        if let Some(part) = kind.of_payloads(&spec) {
            match part {
                Ok(part) => {
                    // A policy about requests of a proxy is its own rule.
                    let name = if matches!(part.1, Body::Proxy(_)) { id.name() } else { name };
                    self.payload_rules.push(self.rule(name.to_owned(), part));
                }
                Err(error) => {
                    let message = format!("policy {}: {}: {}", full_name(id), error.path, error.message);
                    let finding = Finding::error(Code::PolicyInvalid, message).about(id);
                    findings.push(finding.at(place(&error.path)));
                }
            }
        }
        for (at, part) in kind.parts(&spec, bindings).into_iter().enumerate() {
            let (matching, body, action) = match part {
                Ok(part) => part,
                Err(Unusable::Elsewhere(path)) => {
                    let message = format!("policy {}: only objects of Kubernetes are judged", id.name());
                    let finding = Finding::warning(Code::PolicyUnsupported, message).about(id);
                    findings.push(finding.at(place(&path)));
                    continue;
                }
                Err(Unusable::Broken(error, constraints)) => {
                    let why = format!("{}: {}", error.path, error.message);
                    // What is wrong with it was said of the spec it was made from.
                    if at == 0 {
                        let message = format!("policy {}: {why}", full_name(id));
                        let finding = Finding::error(Code::PolicyInvalid, message).about(id);
                        findings.push(finding.at(place(&error.path)));
                    }
                    if !kind.refuses() {
                        continue;
                    }
                    let constraints = Constraints::compile(&Reader::new(&constraints, FieldPath::default()));
                    let matching =
                        constraints.map_or_else(|_| Matching::widest(&Value::Null), Matching::of_constraints);
                    (matching, Body::Broken(why), Action::enforced())
                }
            };
            self.push(manifest, name.to_owned(), (matching, body, action));
        }
        self.add_policy(manifest, full_name(id));
    }

    /// Adds a rule of the policy that is added next.
    fn push(&mut self, manifest: &Manifest, name: String, part: Part) {
        self.index.add(self.rules.len() as u32, manifest.id.namespace(), part.0.kinds());
        self.deletes |= part.1.deletes();
        self.rules.push(self.rule(name, part));
    }

    /// A rule of the policy that is added next.
    fn rule(&self, name: String, (matching, body, action): Part) -> Rule {
        Rule {
            policy: self.policies.len(),
            name,
            path: FieldPath::of_keys(["spec"]),
            matching,
            entries: Vec::new(),
            preconditions: None,
            body,
            action,
        }
    }

    fn add_policy(&mut self, manifest: &Manifest, name: String) {
        let (source, line) = (manifest.origin.source.clone(), manifest.origin.line);
        let id = manifest.id.clone();
        let notes = PolicyNotes::of(&manifest.body).into();
        let looks_up = cel::looks_up(&manifest.body["spec"]);
        self.policies.push(Policy {
            id,
            name,
            unscored: false,
            looks_up,
            applies_one: false,
            conditions: None,
            notes,
            source,
            line,
        });
    }

    fn add(&mut self, manifest: &Manifest, findings: &mut Vec<Finding>) {
        let body = &*manifest.body;
        let id = &manifest.id;
        let number = self.policies.len();
        let name = full_name(id);
        let mut notes = Notes::default();
        let first = self.rules.len();
        let conditions = self.compile_rules(body, number, &mut notes).map(Arc::new);
        for at in first..self.rules.len() {
            let rule = &self.rules[at];
            self.index.add(at as u32, id.namespace(), rule.matching.kinds());
        }
        let source = manifest.origin.source.clone();
        let tell = |code: Code, error: CompileError| {
            let severity = if code == Code::PolicyInvalid { Finding::error } else { Finding::warning };
            severity(code, format!("policy {name}: {}: {}", error.path, error.message))
                .about(id)
                .at(yaml::locate(&source, &error.path))
        };
        findings.extend(notes.errors.into_iter().map(|e| tell(Code::PolicyInvalid, e)));
        findings.extend(notes.warnings.into_iter().map(|e| {
            let said = tell(Code::PolicyInvalid, e);
            Finding { severity: Severity::Warning, ..said }
        }));
        findings.extend(notes.unsupported.into_iter().map(|e| tell(Code::PolicyUnsupported, e)));
        let unscored = body["metadata"]["annotations"]["policies.kyverno.io/scored"] == "false";
        let applies_one = body["spec"]["applyRules"] == "One";
        let line = manifest.origin.line;
        let notes = PolicyNotes::of(body).into();
        let id = id.clone();
        let policy =
            Policy { id, name, unscored, looks_up: false, applies_one, conditions, notes, source, line };
        self.policies.push(policy);
    }

    /// Adds a policy's rules, and gives what a request must be for them to look at it.
    fn compile_rules(&mut self, policy: &Value, number: usize, notes: &mut Notes) -> Option<MatchConditions> {
        let root = Reader::new(policy, FieldPath::default());
        let Some(spec) = root.field("spec") else {
            notes.errors.push(root.error("spec is missing"));
            return None;
        };
        // A wrong action must not turn a refusal into a report.
        let action = Action::of_policy(&spec).unwrap_or_else(|error| {
            notes.errors.push(error);
            Action::enforced()
        });
        let mut found = strict::of_spec(&spec);
        let conditions = MatchConditions::of_spec(&spec).unwrap_or_else(|error| {
            found.errors.push(error);
            None
        });
        let existing = spec.bool("generateExisting").unwrap_or_else(|error| {
            notes.errors.push(error);
            None
        });
        let broken = found.errors.first().cloned();
        notes.errors.extend(found.errors);
        let shared = Shared {
            policy: number,
            broken: broken.as_ref(),
            background: strict::scans_background(&spec),
            action: &action,
            generate_existing: existing.unwrap_or(false),
        };
        let rules = match spec.list("rules") {
            Ok(rules) => rules,
            Err(error) => {
                notes.errors.push(error);
                return None;
            }
        };
        if rules.is_empty() {
            notes.errors.push(spec.error("rules are missing"));
        }
        for rule in &rules {
            self.rules.push(Rule::compile(rule, &shared, notes));
        }
        for (from, rule) in autogen::rules(policy) {
            // What is wrong with it was said of the rule it was made from.
            let mut again = Notes::default();
            let mut made = Rule::compile(&Reader::new(&rule, FieldPath::default()), &shared, &mut again);
            made.path = rules[from].path.clone();
            self.rules.push(made);
        }
        conditions
    }
}

/// That a policy does nothing, for want of a binding.
fn unbound(policy: &Manifest) -> Finding {
    let (kind, name) = (policy.id.kind(), policy.id.name());
    let message = format!("{kind} {name} does nothing: no {kind}Binding names it");
    let place = yaml::locate(&policy.origin.source, &FieldPath::of_keys(["metadata", "name"]));
    Finding::note(Code::PolicyUnbound, message).about(&policy.id).at(place)
}

/// What binds an admission policy.
fn bindings_of(
    policy: &Manifest,
    kind: CelKind,
    all: &[Arc<Manifest>],
) -> Result<Vec<Binding>, CompileError> {
    let Some(wanted) = kind.binding() else { return Ok(Vec::new()) };
    let bindings = all.iter().filter(|one| {
        one.id.kind() == wanted && one.body["spec"]["policyName"].as_str() == Some(policy.id.name())
    });
    bindings
        .map(|one| {
            Binding::compile(one.id.name(), &Reader::new(&one.body["spec"], FieldPath::of_keys(["spec"])))
        })
        .collect()
}

/// `team-a/limits`, or `limits` without a namespace.
fn full_name(id: &ObjectId) -> String {
    match id.namespace() {
        Some(namespace) => format!("{namespace}/{}", id.name()),
        None => id.name().to_owned(),
    }
}
