//! How policies came to say what a review tells of an object, to change it, or to make others because of it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::judge::{finding_of, request};
use super::{Namespaces, Surroundings};
use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, Manifest, ObjectId};
use crate::policy::{
    Asking, Does, Explanation, Extent, Neighbours, PolicySet, Request, RuleOutcome, Steps, Values, Verdict,
    Wanted,
};
use crate::render::{LiveTriggers, Manifests, place, place_in_document};

/// How one rule came to its outcome for one object.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The object.
    pub object: ObjectId,
    /// Name of the policy, with the namespace before it if it has one.
    pub policy: String,
    /// Name of the rule; empty for a policy that is all CEL.
    pub rule: String,
    /// What the rule does with the object.
    pub does: Does,
    /// Whether it is about the object at all.
    pub is_about: bool,
    /// The verdict.
    pub result: Verdict,
    /// What the rule says.
    pub message: String,
    /// The code of the finding, if it is one.
    pub code: Option<Code>,
    /// What to do about it, if there is more to say than the code's page does.
    pub help: Option<String>,
    /// The field of the object that it is about, if known.
    pub path: Option<FieldPath>,
    /// Where that stands in the repository, or its nearest parent that is there.
    pub location: Option<Location>,
    /// Where the rule stands.
    pub rule_location: Location,
    /// The parts of the rule and what they came to.
    pub steps: Steps,
}

impl Explained {
    /// `POLICY/RULE`.
    pub fn name(&self) -> String {
        let (policy, rule) = (&self.policy, &self.rule);
        if rule.is_empty() { policy.clone() } else { format!("{policy}/{rule}") }
    }

    /// The verdict in a word; `unmatched` where the rule is not about the object.
    pub fn verdict(&self) -> &'static str {
        match (self.is_about, self.result) {
            (false, _) => "unmatched",
            (true, Verdict::Pass) => "pass",
            (true, Verdict::Fail) => "fail",
            (true, Verdict::Warn) => "warn",
            (true, Verdict::Skip) => "skip",
            (true, Verdict::Error) => "error",
        }
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        let does = match self.does {
            Does::Judges => "judges",
            Does::Changes => "changes",
            Does::Makes => "makes",
        };
        let known = [
            ("policy", json!(self.policy)),
            ("rule", if self.rule.is_empty() { Value::Null } else { json!(self.rule) }),
            ("does", json!(does)),
            ("object", json!(self.object)),
            ("result", json!(self.verdict())),
            ("code", json!(self.code)),
            ("message", json!(self.message)),
            ("help", json!(self.help)),
            ("path", json!(self.path.as_ref().map(ToString::to_string))),
            ("location", json!(self.location)),
            ("ruleLocation", json!(self.rule_location)),
            ("steps", self.steps.to_json()),
            ("truncated", if self.steps.is_full() { Value::Bool(true) } else { Value::Null }),
        ];
        let told = known.into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(told.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}

/// Explains what a review says of objects.
pub struct Explainer<'r> {
    rendered: &'r Manifests,
    live: LiveTriggers<'r>,
    namespaces: Namespaces<'r>,
    around: Neighbours<'r>,
    /// The policies of the revision before, which judge a change as well.
    before: Option<&'r Arc<PolicySet>>,
}

impl<'r> Explainer<'r> {
    /// With what the review knew.
    pub fn new(
        rendered: &'r Manifests,
        live: LiveTriggers<'r>,
        before: Option<&'r Arc<PolicySet>>,
    ) -> Explainer<'r> {
        let surroundings = Surroundings { live, ..Surroundings::none() };
        let namespaces = Namespaces::of(rendered, &surroundings);
        let around = live.around(&rendered.manifests);
        let before = before.filter(|before| !Arc::ptr_eq(before, &rendered.policy_set));
        Explainer { rendered, live, namespaces, around, before }
    }

    /// What is wanted of one rendered object: what changed it, what judges it, and what it makes.
    pub fn of(&self, manifest: &Manifest, wanted: &Wanted<'_>) -> Vec<Explained> {
        let original = self.rendered.originals.iter().find(|original| original.id == manifest.id);
        let mut all = self.changes(original.map_or(manifest, |original| original), wanted);
        all.extend(self.verdicts(manifest, wanted));
        if manifest.id.kind() == "Namespace" && manifest.id.group().is_empty() {
            all.extend(self.makes(&manifest.id, &manifest.body, Some(manifest), wanted));
        } else if let Some(rule) = &manifest.origin.rule
            && wanted.extent > Extent::Failures
        {
            let of_it = |policy: &str, name: &str| policy == rule.policy && name == rule.rule;
            all.extend(self.trigger(&rule.trigger, &Wanted { rules: &of_it, ..*wanted }));
        }
        all
    }

    /// What mutate rules make of an object as its file has it; also of one that they fail on and that is not rendered.
    pub fn changes(&self, manifest: &Manifest, wanted: &Wanted<'_>) -> Vec<Explained> {
        let (asking, values) = self.asking(&manifest.body);
        let request =
            Request { outside: Some(&asking), values: values.as_ref(), ..Request::create(&manifest.body) };
        let explained = self.rendered.policy_set.explain_changes(&request, &self.rendered.schemas, wanted);
        let code = Code::PolicyError;
        let subject = Subject { id: &manifest.id, body: &manifest.body, manifest: Some(manifest) };
        explained.into_iter().map(|explanation| subject.explained(explanation, code, &asking)).collect()
    }

    fn verdicts(&self, manifest: &Manifest, wanted: &Wanted<'_>) -> Vec<Explained> {
        let (asking, values) = self.asking(&manifest.body);
        let request = request(manifest, &self.namespaces, &asking, values.as_ref());
        let mut explanations = self.rendered.policy_set.explain(&request, wanted);
        if let Some(before) = self.before {
            // As the review does: what the policies before say and those of now do not.
            let told: Vec<RuleOutcome> = explanations.iter().map(|one| one.outcome.clone()).collect();
            let failures = Wanted { extent: Extent::Failures, ..*wanted };
            let is_new = |one: &Explanation| {
                let same = |known: &RuleOutcome| {
                    (&known.policy, &known.rule, &known.message)
                        == (&one.outcome.policy, &one.outcome.rule, &one.outcome.message)
                };
                !told.iter().any(same)
            };
            explanations.extend(before.explain(&request, &failures).into_iter().filter(is_new));
        }
        let subject = Subject { id: &manifest.id, body: &manifest.body, manifest: Some(manifest) };
        let explained = explanations.into_iter();
        explained.map(|one| subject.explained(one, Code::PolicyViolation, &asking)).collect()
    }

    /// What rules make because of an object, rendered or living.
    fn trigger(&self, id: &ObjectId, wanted: &Wanted<'_>) -> Vec<Explained> {
        if let Some(manifest) = self.rendered.manifests.iter().find(|manifest| manifest.id == *id) {
            return self.makes(id, &manifest.body, Some(manifest), wanted);
        }
        match self.live.namespaces.get(id.name()).filter(|_| id.kind() == "Namespace") {
            Some(living) => self.makes(id, &living.body, None, wanted),
            None => Vec::new(),
        }
    }

    fn makes(
        &self,
        id: &ObjectId,
        body: &Value,
        manifest: Option<&Manifest>,
        wanted: &Wanted<'_>,
    ) -> Vec<Explained> {
        let (asking, values) = self.asking(body);
        let request = Request { outside: Some(&asking), values: values.as_ref(), ..Request::create(body) };
        let explained = self.rendered.policy_set.explain_makes(&request, wanted);
        let subject = Subject { id, body, manifest };
        explained.into_iter().map(|one| subject.explained(one, Code::GenerateFailed, &asking)).collect()
    }

    /// What rules make because of namespaces that live and are not rendered.
    pub fn made_by_living(&self, wanted: &Wanted<'_>) -> Vec<Explained> {
        let rendered = |name: &str| {
            let is = |id: &ObjectId| id.kind() == "Namespace" && id.group().is_empty() && id.name() == name;
            self.rendered.manifests.iter().any(|manifest| is(&manifest.id))
        };
        let living = self.live.namespaces.iter().filter(|(name, _)| !rendered(name));
        let made = living.filter_map(|(_, object)| {
            let id = ObjectId::of(&object.body).ok()?;
            Some(self.makes(&id, &object.body, None, wanted))
        });
        made.flatten().collect()
    }

    fn asking<'e>(&'e self, body: &'e Value) -> (Asking<'e, 'r>, Option<Values>) {
        (self.around.of(body), self.around.values_for(body))
    }
}

/// What an explanation is about.
struct Subject<'s> {
    id: &'s ObjectId,
    body: &'s Value,
    manifest: Option<&'s Manifest>,
}

impl Subject<'_> {
    /// With its places, and without what is in a Secret or was made of it. `code` is that of a failure.
    fn explained(&self, explanation: Explanation, code: Code, asking: &Asking<'_, '_>) -> Explained {
        let Explanation { outcome, does, is_about, tells_secrets, steps } = explanation;
        let finding = match (does, self.manifest) {
            (Does::Judges, Some(manifest)) => finding_of(manifest, &outcome),
            _ if matches!(outcome.result, Verdict::Pass | Verdict::Skip) => None,
            _ => Some(Finding::error(code, outcome.message.clone())),
        };
        let finding = finding.map(|mut finding| {
            asking.explain(&mut finding, outcome.lack);
            finding
        });
        let path = outcome.path.clone();
        let conceal = |text: &str| asking.conceal(text, [self.body]);
        let hides = self.id.group().is_empty() && self.id.kind() == "Secret" || tells_secrets;
        Explained {
            object: self.id.clone(),
            location: self.manifest.map(|manifest| place(manifest, &path.clone().unwrap_or_default())),
            rule_location: place_in_document(&outcome.policy_source, &outcome.rule_path),
            message: conceal(&outcome.message),
            code: finding.as_ref().map(|finding| finding.code),
            help: finding.and_then(|finding| finding.help),
            policy: outcome.policy,
            rule: outcome.rule,
            result: outcome.result,
            steps: if hides { steps.concealed(conceal) } else { steps },
            does,
            is_about,
            path,
        }
    }
}
