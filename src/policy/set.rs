//! All policies, compiled and indexed.

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value;

use crate::expr::{Context, Environment};
use crate::finding::{Code, Finding};
use crate::model::{FieldPath, Manifest, ObjectId, PathSegment, RuleOrigin, SourceText};
use crate::schema::Schemas;
use crate::yaml;

use super::action::Action;
use super::autogen;
use super::exception::Exception;
use super::generate::{CloneSource, Generate};
use super::images::Images;
use super::index::Index;
use super::matching::{Matching, Subjected};
use super::reader::{CompileError, Reader};
use super::request::{Operation, Request};
use super::rule::{Body, Notes, Rule, Shared};
use super::validate::{Judgement, Validate, Verdict};
use super::variables;

/// Policies, compiled once and asked many times.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<Policy>,
    rules: Vec<Rule>,
    index: Index,
    exceptions: Vec<Exception>,
    environment: Environment,
}

#[derive(Debug, Clone)]
struct Policy {
    id: ObjectId,
    /// Its name, with the namespace before it if it has one.
    name: String,
    /// Violations of it are warnings.
    unscored: bool,
    source: SourceText,
    line: u32,
}

/// What a rule says of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleOutcome {
    /// Name of the policy, with the namespace before it (`team-a/limits`) if it has one.
    pub policy: String,
    /// Name of the rule; those made for pod controllers begin with `autogen-`.
    pub rule: String,
    /// The verdict.
    pub result: Verdict,
    /// Whether reports count a failure; else it is a warning there.
    pub scored: bool,
    /// The policy's message, or why there is no verdict.
    pub message: String,
    /// The place in the object, where it is known.
    pub path: Option<FieldPath>,
    /// Whether anything but a pass or a skip holds the object up.
    pub enforce: bool,
    /// The policy's document.
    pub policy_source: SourceText,
    /// The place of the rule in the policy.
    pub rule_path: FieldPath,
}

/// An object that a rule makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The object.
    pub object: Value,
    /// The rule, and the object that made it act.
    pub rule: RuleOrigin,
    /// Whether it is kept equal to the rule, and goes when the rule or the trigger goes.
    pub synchronize: bool,
    /// Whether objects that were there before the policy make the rule act as well.
    pub existing: bool,
    /// The policy's document.
    pub source: SourceText,
    /// Line of the rule's `generate` in its file.
    pub line: u32,
}

const KINDS: &[&str] = &["ClusterPolicy", "Policy"];
/// Other kinds that hold rules, by their API groups.
const OTHER_KINDS: &[(&str, &[&str])] = &[
    ("kyverno.io", &["PolicyException", "CleanupPolicy", "ClusterCleanupPolicy"]),
    (
        "policies.kyverno.io",
        &[
            "ValidatingPolicy",
            "NamespacedValidatingPolicy",
            "MutatingPolicy",
            "NamespacedMutatingPolicy",
            "GeneratingPolicy",
            "NamespacedGeneratingPolicy",
            "DeletingPolicy",
            "NamespacedDeletingPolicy",
            "ImageValidatingPolicy",
            "NamespacedImageValidatingPolicy",
            "PolicyException",
        ],
    ),
];

impl RuleOutcome {
    /// The verdict as reports show it.
    pub fn reported(&self) -> Verdict {
        match self.result {
            Verdict::Fail if !self.scored => Verdict::Warn,
            verdict => verdict,
        }
    }

    /// Whether the object must not be applied because of it.
    pub fn refuses(&self) -> bool {
        self.enforce && matches!(self.result, Verdict::Fail | Verdict::Error)
    }
}

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
            } else if OTHER_KINDS.iter().any(|(g, kinds)| *g == group && kinds.contains(&kind)) {
                set.add_unsupported(manifest, &mut findings);
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
            match Exception::compile(&root, full_name(&manifest.id)) {
                Ok(exception) => self.exceptions.push(exception),
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

    /// Sets what the time functions and `random` read.
    #[must_use]
    pub fn at(mut self, now: i128, seed: u64) -> PolicySet {
        self.environment.now = now;
        self.environment.seed = seed;
        self
    }

    /// Whether there is any rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A policy of a kind that is not evaluated. If it would refuse objects, it refuses all that it could be about.
    fn add_unsupported(&mut self, manifest: &Manifest, findings: &mut Vec<Finding>) {
        let (id, kind) = (&manifest.id, manifest.id.kind());
        let name = full_name(id);
        let message = format!("{kind} {name} is not evaluated");
        let place = yaml::locate(&manifest.origin.source, &FieldPath::of_keys(["kind"]));
        findings.push(Finding::warning(Code::PolicyUnsupported, &message).about(id).at(place));
        let spec = Reader::new(&manifest.body["spec"], FieldPath::of_keys(["spec"]));
        let denies = match spec.strings("validationActions") {
            Ok(actions) => actions.is_empty() || actions.iter().any(|action| action == "Deny"),
            Err(_) => true,
        };
        let constraints = spec.field("matchConstraints");
        let (true, true, Some(constraints)) = (kind.contains("ValidatingPolicy"), denies, constraints) else {
            return;
        };
        let matching =
            Matching::of_constraints(&constraints).unwrap_or_else(|_| Matching::widest(&Value::Null));
        self.index.add(self.rules.len() as u32, id.namespace(), matching.kinds());
        self.rules.push(Rule {
            policy: self.policies.len(),
            name: id.name().to_owned(),
            path: spec.path.clone(),
            matching,
            entries: Vec::new(),
            preconditions: None,
            body: Body::Unsupported(message),
            action: Action::enforced(),
        });
        let (source, line) = (manifest.origin.source.clone(), manifest.origin.line);
        self.policies.push(Policy { id: id.clone(), name, unscored: false, source, line });
    }

    fn add(&mut self, manifest: &Manifest, findings: &mut Vec<Finding>) {
        let body = &*manifest.body;
        let id = &manifest.id;
        let number = self.policies.len();
        let name = full_name(id);
        let mut notes = Notes::default();
        let first = self.rules.len();
        self.compile_rules(body, number, &mut notes);
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
        findings.extend(notes.unsupported.into_iter().map(|e| tell(Code::PolicyUnsupported, e)));
        let unscored = body["metadata"]["annotations"]["policies.kyverno.io/scored"] == "false";
        self.policies.push(Policy { id: id.clone(), name, unscored, source, line: manifest.origin.line });
    }

    fn compile_rules(&mut self, policy: &Value, number: usize, notes: &mut Notes) {
        let root = Reader::new(policy, FieldPath::default());
        let Some(spec) = root.field("spec") else {
            notes.errors.push(root.error("spec is missing"));
            return;
        };
        // A wrong action must not turn a refusal into a report.
        let action = Action::of_policy(&spec).unwrap_or_else(|error| {
            notes.errors.push(error);
            Action::enforced()
        });
        let conditions = spec.field("webhookConfiguration").and_then(|w| w.field("matchConditions"));
        let unsupported = conditions.or_else(|| spec.field("matchConditions"));
        let existing = spec.bool("generateExisting").unwrap_or_else(|error| {
            notes.errors.push(error);
            None
        });
        let shared = Shared {
            policy: number,
            action: &action,
            generate_existing: existing.unwrap_or(false),
            unsupported: unsupported.as_ref().map(|_| "matchConditions are not evaluated"),
        };
        notes.unsupported.extend(unsupported.map(|u| u.error("matchConditions are not evaluated")));
        let rules = match spec.list("rules") {
            Ok(rules) => rules,
            Err(error) => {
                notes.errors.push(error);
                return;
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
    }

    /// Judges an object by all `validate` rules that match it, in the order of policies and rules.
    pub fn evaluate(&self, request: &Request<'_>) -> Vec<RuleOutcome> {
        let object = Subjected::of(request);
        let images = Images::of(request.object);
        let base = OnceCell::new();
        let mut outcomes = Vec::new();
        for rule in self.matching(request, &object) {
            if matches!(rule.body, Body::Generate(_) | Body::Mutate(_)) {
                continue;
            }
            let base = base.get_or_init(|| self.context(request, &images));
            let Some(judgement) = self.judge(rule, request, &object, base) else { continue };
            outcomes.push(self.outcome(rule, judgement, rule.action.enforces(&object)));
        }
        outcomes
    }

    /// Applies all `mutate` rules that match an object, each to what the ones before made of it.
    pub fn mutate(&self, request: &Request<'_>, schemas: &Schemas) -> (Option<Value>, Vec<RuleOutcome>) {
        let mut current: Option<Value> = None;
        let mut outcomes = Vec::new();
        for rule in self.matching(request, &Subjected::of(request)) {
            let Body::Mutate(mutate) = &rule.body else { continue };
            let now = current.as_ref().unwrap_or(request.object);
            let request = Request { object: now, ..*request };
            let object = Subjected::of(&request);
            if !rule.matching.matches(&object) {
                continue;
            }
            let images = Images::of(now);
            let base = self.context(&request, &images);
            let mut context = base.child();
            let policy = &self.policies[rule.policy].name;
            variables::bind_rule(&mut context, &request, policy, &rule.name, &rule.entries);
            let (judgement, changed) = match self.spared(rule, &object, &context) {
                Some(judgement) => (judgement, None),
                None => mutate.evaluate(now, schemas.type_of(&object.gvk).as_ref(), &context),
            };
            outcomes.push(self.outcome(rule, judgement, rule.action.enforces(&object)));
            if changed.is_some() {
                current = changed;
            }
        }
        (current, outcomes)
    }

    /// What the `generate` rules that match an object make of it. Objects to copy are not known here; see
    /// [`PolicySet::generate_from`].
    pub fn generate(&self, trigger: &Value) -> Vec<Result<Generated, Finding>> {
        self.generate_from(&Request::create(trigger), &|_| None)
    }

    /// What the `generate` rules that match a request make of it, with a way to look up objects to copy.
    pub fn generate_from(
        &self,
        request: &Request<'_>,
        sources: CloneSource<'_>,
    ) -> Vec<Result<Generated, Finding>> {
        let object = Subjected::of(request);
        let Ok(trigger) = ObjectId::of(request.object) else { return Vec::new() };
        let images = Images::of(request.object);
        let base = OnceCell::new();
        let mut made = Vec::new();
        for rule in self.matching(request, &object) {
            let Body::Generate(generate) = &rule.body else { continue };
            let base = base.get_or_init(|| self.context(request, &images));
            let origin = RuleOrigin {
                policy: self.policies[rule.policy].name.clone(),
                rule: rule.name.clone(),
                trigger: trigger.clone(),
            };
            made.extend(self.make(rule, generate, request, base, origin, sources));
        }
        made
    }

    fn context<'a>(&self, request: &Request<'a>, images: &'a Images<'a>) -> Context<'a> {
        let mut context = request.context(&self.environment);
        context.bind_lazy("images", images);
        context
    }

    /// The rules that match, found by the index.
    fn matching<'s>(
        &'s self,
        request: &Request<'_>,
        object: &Subjected<'_>,
    ) -> impl Iterator<Item = &'s Rule> {
        let namespace = request.object["metadata"]["namespace"].as_str();
        let candidates = self.index.candidates(&object.gvk.kind, namespace);
        candidates.into_iter().map(|at| &self.rules[at as usize]).filter(|rule| rule.matching.matches(object))
    }

    fn judge(
        &self,
        rule: &Rule,
        request: &Request<'_>,
        object: &Subjected<'_>,
        base: &Context<'_>,
    ) -> Option<Judgement> {
        let validate = match &rule.body {
            Body::Broken(why) => return Some(Judgement::error("the policy does not compile", why)),
            Body::Unsupported(why) => {
                return Some(Judgement::error("the rule cannot be evaluated", why));
            }
            Body::Generate(_) | Body::Mutate(_) => return None,
            Body::Validate(validate) => validate,
        };
        let mut context = base.child();
        let policy = &self.policies[rule.policy].name;
        variables::bind_rule(&mut context, request, policy, &rule.name, &rule.entries);
        if let Some(judgement) = self.spared(rule, object, &context) {
            return Some(judgement);
        }
        let deleting = request.operation == Operation::Delete;
        let judgement = validate.evaluate(&rule.name, request.object, &context, deleting)?;
        if judgement.verdict == Verdict::Fail && self.was_wrong_before(rule, validate, request) {
            let message = "skipping the rule evaluation as pre-existing violations are allowed";
            return Some(Judgement::new(Verdict::Skip, message));
        }
        Some(judgement)
    }

    /// Whether an enforced rule lets a change pass because the object broke it before, too.
    fn was_wrong_before(&self, rule: &Rule, validate: &Validate, request: &Request<'_>) -> bool {
        let (Operation::Update, Some(old)) = (request.operation, request.old_object) else { return false };
        if !validate.allow_existing || !rule.action.enforces_by_default() {
            return false;
        }
        let before = Request { object: old, old_object: None, operation: Operation::Create, ..*request };
        let object = Subjected::of(&before);
        if !rule.matching.matches(&object) {
            return false;
        }
        let images = Images::of(old);
        let base = self.context(&before, &images);
        let mut context = base.child();
        let policy = &self.policies[rule.policy].name;
        // Values given for the request are about the change.
        let unnamed = Request { values: None, ..before };
        variables::bind_rule(&mut context, &unnamed, policy, &rule.name, &rule.entries);
        self.spared(rule, &object, &context).is_none()
            && validate
                .evaluate(&rule.name, old, &context, false)
                .is_some_and(|judgement| judgement.verdict == Verdict::Fail)
    }

    /// The judgement when preconditions do not hold, or an exception is about the object.
    fn spared(&self, rule: &Rule, object: &Subjected<'_>, context: &Context<'_>) -> Option<Judgement> {
        match preconditions(rule, context) {
            Ok(None) => {}
            Ok(Some(skip)) => return Some(skip),
            Err(error) => return Some(Judgement::error("failed to evaluate preconditions", error)),
        }
        let policy = &self.policies[rule.policy].name;
        let exempts = |e: &&Exception| e.exempts(policy, &rule.name, object, context);
        let names: Vec<&str> = self.exceptions.iter().filter(exempts).map(|e| e.name.as_str()).collect();
        let message = format!("rule is skipped due to policy exceptions{}", names.join(", "));
        (!names.is_empty()).then(|| Judgement::new(Verdict::Skip, message))
    }

    fn outcome(&self, rule: &Rule, judgement: Judgement, enforce: bool) -> RuleOutcome {
        let policy = &self.policies[rule.policy];
        RuleOutcome {
            policy: policy.name.clone(),
            rule: rule.name.clone(),
            result: judgement.verdict,
            scored: !policy.unscored,
            message: judgement.message,
            path: judgement.path,
            enforce,
            policy_source: policy.source.clone(),
            rule_path: rule.path.clone(),
        }
    }

    /// `None` when the rule's preconditions do not hold.
    fn make(
        &self,
        rule: &Rule,
        generate: &Generate,
        request: &Request<'_>,
        base: &Context<'_>,
        origin: RuleOrigin,
        sources: CloneSource<'_>,
    ) -> Option<Result<Generated, Finding>> {
        let policy = &self.policies[rule.policy];
        let mut context = base.child();
        variables::bind_rule(&mut context, request, &policy.name, &rule.name, &rule.entries);
        let made = match preconditions(rule, &context) {
            Ok(Some(_)) => return None,
            Ok(None) => generate.evaluate(&context, sources),
            Err(error) => Err(error),
        };
        let mut path = rule.path.clone();
        path.0.push(PathSegment::Key("generate".into()));
        let place = || yaml::locate(&policy.source, &path);
        Some(match made {
            Ok(object) => Ok(Generated {
                object,
                rule: origin,
                synchronize: generate.synchronize,
                existing: generate.existing,
                line: place().line.max(policy.line),
                source: policy.source.clone(),
            }),
            Err(error) => {
                let message =
                    format!("policy {}, rule {}, for {}: {error}", policy.name, rule.name, origin.trigger);
                Err(Finding::error(Code::GenerateFailed, message).about(&policy.id).at(place()))
            }
        })
    }
}

/// `team-a/limits`, or `limits` without a namespace.
fn full_name(id: &ObjectId) -> String {
    match id.namespace() {
        Some(namespace) => format!("{namespace}/{}", id.name()),
        None => id.name().to_owned(),
    }
}

/// The judgement to skip when they do not hold.
fn preconditions(rule: &Rule, context: &Context<'_>) -> Result<Option<Judgement>, String> {
    let Some(conditions) = &rule.preconditions else { return Ok(None) };
    let held = conditions.evaluate(context)?;
    if held.holds {
        return Ok(None);
    }
    let mut message = vec!["preconditions not met"];
    message.extend(held.messages);
    Ok(Some(Judgement::new(Verdict::Skip, message.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gvk, Origin, UnitName};
    use serde_json::json;

    /// A policy as a manifest, with its text for the places.
    fn manifest(text: &str) -> Arc<Manifest> {
        let document = yaml::read(&"policies/p.yaml".parse().unwrap(), text.as_bytes()).remove(0).unwrap();
        Arc::new(Manifest {
            id: ObjectId::of(&document.value).unwrap(),
            gvk: Gvk::of(&document.value).unwrap(),
            origin: Origin {
                source: document.source,
                line: document.line,
                layer: None,
                overlays: Vec::new(),
                rule: None,
            },
            body: Arc::new(document.value),
            unit: UnitName::root(),
        })
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
        let text = VERSIONS.replace(
            "name: versions",
            "name: versions\n  annotations: {policies.kyverno.io/scored: 'false'}",
        );
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
        let (set, _) =
            compile(&VERSIONS.replace("message:", "allowExistingViolations: false\n        message:"));
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
    fn what_is_not_evaluated_is_said_and_fails_closed() {
        let text = VERSIONS.replace("deny:", "cel:");
        let (set, findings) = compile(&text);
        assert_eq!(findings[0].code, Code::PolicyUnsupported);
        assert!(set.evaluate(&Request::create(&cluster("v1.29.3"))).remove(0).refuses());
        let (set, _) = compile(&text.replace("Enforce", "Audit"));
        let outcome = set.evaluate(&Request::create(&cluster("v1.29.3"))).remove(0);
        assert!(outcome.result == Verdict::Error && !outcome.refuses());
    }

    #[test]
    fn a_kind_of_policy_that_is_not_evaluated_fails_closed_if_it_denies() {
        let text = "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {name: v}\nspec:\n  \
            validationActions: [Deny]\n  matchConstraints:\n    resourceRules:\n    - {apiGroups: [cluster.x-k8s.io], \
            apiVersions: [v1beta1], operations: [CREATE], resources: [clusters]}\n";
        let (set, findings) = compile(text);
        assert_eq!(findings[0].code, Code::PolicyUnsupported);
        assert!(set.evaluate(&Request::create(&cluster("v1"))).remove(0).refuses());
        assert_eq!(set.evaluate(&Request::create(&json!({"apiVersion": "v1", "kind": "Pod"}))), []);
        let (set, _) = compile(&text.replace("Deny", "Audit"));
        assert_eq!(set.evaluate(&Request::create(&cluster("v1"))), []);
    }

    #[test]
    fn a_rule_generates_for_its_triggers() {
        let (set, findings) = compile(PLAYGROUNDS);
        assert_eq!(findings, []);
        let namespace =
            |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
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
        let finding = set.generate(&namespace("a-playground")).remove(0).unwrap_err();
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
}
