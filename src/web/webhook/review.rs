//! `AdmissionReview` (admission.k8s.io/v1): from the question of an API server to its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Policies;
use crate::policy::{Asking, Lack, Neighbours, Operation, Request, RuleOutcome, UserInfo, Verdict, World};

/// Which of the two webhooks is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Whether the object may be.
    Validate,
    /// What is to be changed in it.
    Mutate,
}

/// What came of a review, for the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Changed,
    Refused,
}

/// Whom the webhook never judges, whatever its registration says.
#[derive(Debug, Clone, Default)]
pub(super) struct Exempt {
    /// Namespaces, moin's own among them.
    pub(super) namespaces: Vec<String>,
}

/// By what a review is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reviewer<'r> {
    pub(super) policies: &'r Policies,
    pub(super) exempt: &'r Exempt,
    /// Whether rules that lack what they ask for let pass.
    pub(super) open: bool,
}

/// An answer to a review.
#[derive(Debug)]
pub(super) struct Reviewed {
    pub(super) answer: Value,
    pub(super) outcome: Outcome,
    /// Whether policies asked for what nobody knows yet.
    pub(super) waits: bool,
}

impl Reviewer<'_> {
    /// Answers a review by what is known of the world; `None` when it is none.
    pub(super) fn answer(self, ask: Ask, review: &Value, world: &World) -> Option<Reviewed> {
        let asked = review["request"].as_object().map(|_| &review["request"])?;
        let uid = asked["uid"].as_str()?;
        let mut response = json!({"uid": uid, "allowed": true});
        let (mut outcome, mut waits) = (Outcome::Allowed, false);
        if let Some(admission) = Admission::read(asked).filter(|_| !self.exempt.covers(asked)) {
            let around = Neighbours::among(world, &self.policies.described);
            let asking = around.of(admission.object);
            let request = Request { outside: Some(&asking), ..admission.request(self.policies) };
            outcome = match ask {
                Ask::Validate => self.validate(&request, &asking, &mut response),
                Ask::Mutate => self.mutate(&request, &asking, &mut response),
            };
            waits = asking.waits();
        }
        let answer =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        Some(Reviewed { answer, outcome, waits })
    }

    fn validate(self, request: &Request<'_>, asking: &Asking<'_, '_>, response: &mut Value) -> Outcome {
        let outcomes = self.told(self.policies.set.evaluate(request));
        warn(&outcomes, request, asking, response);
        refuse(&outcomes, request, asking, response)
    }

    /// A rule that should change the object and cannot refuses it if it is enforced; what the others made is kept.
    fn mutate(self, request: &Request<'_>, asking: &Asking<'_, '_>, response: &mut Value) -> Outcome {
        if request.operation == Operation::Delete {
            return Outcome::Allowed;
        }
        let (changed, outcomes) = self.policies.set.mutate(request, &self.policies.schemas);
        let outcomes = self.told(outcomes);
        warn(&outcomes, request, asking, response);
        let outcome = refuse(&outcomes, request, asking, response);
        let Some(changed) =
            changed.filter(|changed| outcome == Outcome::Allowed && changed != request.object)
        else {
            return outcome;
        };
        let patch = json_patch::diff(request.object, &changed);
        match serde_json::to_vec(&patch) {
            Ok(patch) => {
                response["patchType"] = "JSONPatch".into();
                response["patch"] = STANDARD.encode(patch).into();
                Outcome::Changed
            }
            // A patch is lists and texts: there is none that cannot be written.
            Err(_) => Outcome::Allowed,
        }
    }

    /// What cannot be judged because something is not known says so, and refuses or not as the webhook itself would that
    /// does not answer.
    fn told(self, mut outcomes: Vec<RuleOutcome>) -> Vec<RuleOutcome> {
        for outcome in &mut outcomes {
            match outcome.lack {
                // Who asks for very much, or for what is not there, gets nothing past a rule by that.
                None | Some(Lack::TooMany | Lack::NotThere) => continue,
                Some(Lack::Open) => outcome.message += " (no answer yet: try again)",
                Some(Lack::Undescribed | Lack::NotSent | Lack::NotPulled) => {}
            }
            outcome.enforce &= !self.open;
        }
        outcomes
    }
}

impl Exempt {
    fn covers(&self, asked: &Value) -> bool {
        let is_namespace = asked["kind"]["kind"] == "Namespace" && asked["kind"]["group"] == "";
        let name = if is_namespace { &asked["name"] } else { &asked["namespace"] };
        name.as_str().is_some_and(|name| self.namespaces.iter().any(|exempt| exempt == name))
    }
}

/// A request as it was asked about.
struct Admission<'a> {
    object: &'a Value,
    old: Option<&'a Value>,
    operation: Operation,
    subresource: Option<&'a str>,
    user: UserInfo,
}

impl<'a> Admission<'a> {
    /// `None` when there is no object to judge, as when a whole collection is deleted.
    fn read(asked: &'a Value) -> Option<Admission<'a>> {
        let operation = Operation::parse(asked["operation"].as_str()?)?;
        let there = |field: &str| asked.get(field).filter(|value| value.is_object());
        let (object, old) = match operation {
            Operation::Delete => (there("oldObject")?, None),
            _ => (there("object")?, there("oldObject")),
        };
        let texts = |list: &Value| {
            let items = list.as_array().into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let user = &asked["userInfo"];
        Some(Admission {
            object,
            old,
            operation,
            subresource: asked["subResource"].as_str().filter(|name| !name.is_empty()),
            user: UserInfo {
                name: user["username"].as_str().unwrap_or_default().to_owned(),
                groups: texts(&user["groups"]),
                ..UserInfo::default()
            },
        })
    }

    fn request<'r>(&'r self, policies: &'r Policies) -> Request<'r> {
        let namespace = self.object["metadata"]["namespace"].as_str();
        Request {
            old_object: self.old,
            operation: self.operation,
            namespace_labels: namespace.and_then(|name| policies.namespaces.get(name)),
            user: Some(&self.user),
            subresource: self.subresource,
            at_server: true,
            ..Request::create(self.object)
        }
    }
}

fn is_wrong(outcome: &&RuleOutcome) -> bool {
    matches!(outcome.result, Verdict::Fail | Verdict::Warn | Verdict::Error)
}

/// What breaks rules that only report is told to the user, as Kyverno words it.
fn warn(outcomes: &[RuleOutcome], request: &Request<'_>, asking: &Asking<'_, '_>, response: &mut Value) {
    let told = outcomes.iter().filter(is_wrong).filter(|outcome| !outcome.refuses());
    let warnings: Vec<String> = told
        .map(|outcome| format!("policy {}: {}", name(outcome), outcome.message))
        .map(|text| concealed(&text, request, asking))
        .collect();
    if !warnings.is_empty() {
        response["warnings"] = json!(warnings);
    }
}

/// `policy.rule`; a policy that is all CEL has no named rules.
fn name(outcome: &RuleOutcome) -> String {
    let dot = if outcome.rule.is_empty() { "" } else { "." };
    format!("{}{dot}{}", outcome.policy, outcome.rule)
}

/// A text as its requester may read it: it need not be one who may read the Secrets that policies see.
fn concealed(text: &str, request: &Request<'_>, asking: &Asking<'_, '_>) -> String {
    asking.conceal(text, [request.object].into_iter().chain(request.old_object))
}

fn refuse(
    outcomes: &[RuleOutcome],
    request: &Request<'_>,
    asking: &Asking<'_, '_>,
    response: &mut Value,
) -> Outcome {
    let refusing: Vec<&RuleOutcome> = outcomes.iter().filter(|outcome| outcome.refuses()).collect();
    if refusing.is_empty() {
        return Outcome::Allowed;
    }
    let message = concealed(&blocked(&refusing, request.object), request, asking);
    response["allowed"] = false.into();
    response["status"] = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": message});
    Outcome::Refused
}

/// As Kyverno words it: the object, then each policy with its rules and their messages; policies that are all CEL in one
/// line each.
fn blocked(refusing: &[&RuleOutcome], object: &Value) -> String {
    let (cel, classic): (Vec<&RuleOutcome>, Vec<&RuleOutcome>) =
        refusing.iter().partition(|outcome| outcome.rule.is_empty());
    let mut out = String::new();
    for outcome in cel {
        let what = if outcome.result == Verdict::Error { "error" } else { "failed" };
        let separator = if out.is_empty() { "" } else { "; " };
        out += &format!("{separator}Policy {} {what}: {}", outcome.policy, outcome.message);
    }
    if classic.is_empty() {
        return out;
    }
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = if text("name").is_empty() { text("generateName") } else { text("name") };
    out += &format!(
        "\n\nresource {kind}/{}/{name} was blocked due to the following policies \n\n",
        text("namespace")
    );
    let mut policy = "";
    for outcome in classic {
        if outcome.policy != policy {
            policy = &outcome.policy;
            out += &format!("{policy}:\n");
        }
        out += &format!("  {}: '{}'\n", outcome.rule, outcome.message.replace('\'', "''"));
    }
    out
}
