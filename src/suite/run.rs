//! A `kyverno-test.yaml` and what it names: read, run, judged.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::compare::{difference, tidy};
use super::demands::Named;
use super::expect::{Expectation, Outcome, SuiteResult, names_object};
use super::inputs::{self, documents, texts};
use super::row::Row;
use super::values::{namespace, namespace_labels, subresource, user, values_for};
use super::{Moment, Report, TEST_FILE};
use super::{keys, known};
use crate::finding::{Code, Finding};
use crate::model::{FieldPath, Manifest, ObjectId, PathSegment};
use crate::policy::{
    Objects, Operation, Outside, PolicySet, Proxy, ProxyRequest, Request, UserInfo, Verdict,
};
use crate::schema::Schemas;
use crate::yaml::{self, Document};

/// Everything a suite is run on.
struct Inputs {
    policies: Vec<Compiled>,
    objects: Vec<Value>,
    /// JSON that is no object of Kubernetes.
    payloads: Vec<Value>,
    /// Requests of proxies.
    requests: Vec<ProxyRequest>,
    values: Value,
    labels: HashMap<String, BTreeMap<String, String>>,
    user: Option<UserInfo>,
    known: Arc<Objects<'static>>,
    schemas: Schemas,
    named: Named,
}

/// What came of the objects under one operation.
#[derive(Default)]
struct Came {
    rows: Vec<Row>,
    made: Vec<Made>,
}

/// A policy, compiled alone: each is given values of its own.
struct Compiled {
    name: String,
    /// Classic policies change an object first, then those of the API server, then those that are all CEL.
    phase: u8,
    set: PolicySet,
}

/// What a policy made of an object.
struct Made {
    /// Empty for an object that all policies left as it was.
    policy: String,
    about: Row,
    /// The object after the policy, or what it generated.
    object: Value,
}

/// Runs each document of the suite's file.
pub(super) fn run(folder: &Path, moment: Moment) -> Report {
    let mut report = Report::default();
    for document in documents(folder, TEST_FILE, &mut report.problems) {
        run_document(folder, &document, moment, &mut report);
    }
    report
}

fn run_document(folder: &Path, document: &Document, moment: Moment, report: &mut Report) {
    let test = &document.value;
    let place = |path: &FieldPath| yaml::locate(&document.source, path);
    // Suites from before the tool had a group of its own say `kyverno.io/v1`.
    let versions = ["cli.kyverno.io/v1alpha1", "kyverno.io/v1"];
    if test["kind"] != "Test" || !versions.iter().any(|version| test["apiVersion"] == *version) {
        let message = "a suite is `kind: Test` of `apiVersion: cli.kyverno.io/v1alpha1`";
        report.problems.push(Finding::error(Code::SuiteBroken, message).at(place(&FieldPath::default())));
        return;
    }
    report.problems.extend(keys::of_test(document));
    let inputs = Inputs::read(folder, test, moment, &mut report.problems);
    let mut came: Vec<(Option<Operation>, Came)> = vec![(None, inputs.run(None))];
    for (at, entry) in test["results"].as_array().into_iter().flatten().enumerate() {
        let mut path = FieldPath::of_keys(["results"]);
        path.0.push(PathSegment::Index(at));
        let location = place(&path);
        let expectation = match Expectation::of(entry, location.line) {
            Ok(expectation) => expectation,
            Err(why) => {
                report.problems.push(Finding::error(Code::SuiteBroken, why).at(location));
                continue;
            }
        };
        if let Err((message, help)) = inputs.named.complete(&expectation, entry) {
            report.problems.push(Finding::error(Code::SuiteBroken, message).at(location).help(help));
            continue;
        }
        let operation = expectation.operation;
        if came.iter().all(|(known, _)| *known != operation) {
            came.push((operation, inputs.run(operation)));
        }
        let Some((_, came)) = came.iter().find(|(known, _)| *known == operation) else { continue };
        let wanted = Wanted::read(folder, entry, &inputs, &mut report.problems);
        let judged = wanted.judge(&expectation, came).into_iter();
        report.results.extend(judged.map(|result| inputs.explain(&expectation, result, came)));
    }
    if report.results.is_empty() && !report.has_errors() {
        report.problems.push(nothing_expected(document));
    }
    report.rows.extend(came.into_iter().flat_map(|(_, came)| came.rows));
}

/// A suite without an expectation tests nothing. One that does not even say `results` is run for its rows alone.
fn nothing_expected(document: &Document) -> Finding {
    let message = "the suite expects nothing, so nothing is tested";
    let field = if document.value.get("results").is_some() { "results" } else { "metadata" };
    let finding = match field {
        "results" => Finding::error(Code::SuiteBroken, message),
        _ => Finding::warning(Code::SuiteBroken, message),
    };
    let help = "write entries of `results`: policy, rule, kind, resources and result";
    finding.at(yaml::locate(&document.source, &FieldPath::of_keys([field]))).help(help)
}

impl Inputs {
    fn read(folder: &Path, test: &Value, moment: Moment, problems: &mut Vec<Finding>) -> Inputs {
        let schemas = Schemas::builtin();
        let mut files = |field: &str| -> Vec<Document> {
            texts(&test[field]).iter().flat_map(|file| documents(folder, file, problems)).collect()
        };
        let policies = files("policies");
        let exceptions = files("exceptions");
        let objects: Vec<Value> = inputs::objects(files("resources"));
        let mut payloads = files("jsonPayloads");
        if let Some(file) = test["jsonPayload"].as_str() {
            payloads.extend(documents(folder, file, problems));
        }
        let payloads: Vec<Value> = payloads.into_iter().map(|document| document.value).collect();
        let mut requests = Vec::new();
        for (field, proxy) in [("envoyPayloads", Proxy::Envoy), ("httpPayloads", Proxy::Http)] {
            let files = texts(&test[field]);
            requests.extend(files.iter().flat_map(|file| inputs::requests(folder, file, proxy, problems)));
        }
        let first = |file: &Value, check: fn(&Document) -> Vec<Finding>, problems: &mut Vec<Finding>| {
            let document = documents(folder, file.as_str()?, problems).into_iter().next()?;
            problems.extend(check(&document));
            Some(document.value)
        };
        let values = match first(&test["variables"], keys::of_values, problems) {
            Some(values) => values,
            None => test["values"].clone(),
        };
        let user = first(&test["userinfo"], keys::of_user, problems).map(|info| user(&info));
        let (known, mut named) = known::known(folder, test, &schemas, problems);
        let known = Arc::new(known);
        let exceptions = inputs::exceptions(exceptions, problems);
        let (bindings, policies): (Vec<_>, Vec<_>) = inputs::policies(policies, problems)
            .into_iter()
            .partition(|manifest| manifest.id.kind().ends_with("AdmissionPolicyBinding"));
        let objects: Vec<Value> =
            objects.into_iter().map(|object| inputs::with_namespace(object, &schemas)).collect();
        named.extend(objects.iter().map(Row::about));
        let has_payloads = !payloads.is_empty() || !requests.is_empty();
        let named = Named { policies: policies.clone(), objects: named, has_payloads };
        let mut policies: Vec<Compiled> = policies
            .into_iter()
            .map(|manifest| Compiled::of(manifest, &bindings, &exceptions, &known, moment, problems))
            .collect();
        policies.sort_by_key(|policy| policy.phase);
        Inputs {
            policies,
            objects,
            payloads,
            requests,
            labels: namespace_labels(&values),
            values,
            user,
            known,
            schemas,
            named,
        }
    }

    /// Says of what did not come why, if nothing could; and where the rule stands.
    fn explain(&self, expectation: &Expectation, mut result: SuiteResult, came: &Came) -> SuiteResult {
        let resource = result.resource.clone();
        let is_it = |row: &&Row| resource.is_empty() || names_object(&resource, row);
        if !came.rows.iter().filter(is_it).any(|row| expectation.is_about(row)) {
            let all = came.rows.iter().chain(came.made.iter().map(|made| &made.about));
            if let Some(why) = self.named.nothing_named(expectation, &resource, all) {
                result.outcome = Outcome::Unmet(why);
            }
        }
        result.rule_at = self.named.place(expectation).filter(|_| result.outcome != Outcome::Met);
        result
    }

    /// What each rule does with each object. A policy sees an object as the mutate rules of all policies before it left it;
    /// what validates sees what all of them made.
    fn run(&self, operation: Option<Operation>) -> Came {
        let mut came = Came::default();
        // Without anything known, rules learn that nobody can be asked.
        let outside = (!self.known.is_empty()).then_some(&*self.known as &dyn Outside);
        for object in &self.objects {
            let mut current = object.clone();
            for policy in &self.policies {
                let mut left = false;
                let changed = self.ask(policy, &current, operation, outside, |request| {
                    let (changed, outcomes) = policy.set.mutate(request, &self.schemas);
                    left = policy.phase > 0 && outcomes.iter().any(|outcome| outcome.result == Verdict::Pass);
                    came.rows.extend(outcomes.into_iter().map(|outcome| Row::of_outcome(object, outcome)));
                    for of in policy.set.mutate_existing(request, &self.schemas) {
                        if let Some(changed) = of.changed {
                            came.made.push(Made::of(policy, &of.target, changed));
                        }
                        came.rows.push(Row::of_outcome(&of.target, of.outcome));
                    }
                    changed
                });
                if let Some(changed) = changed {
                    came.made.push(Made::of(policy, object, changed.clone()));
                    current = changed;
                } else if left {
                    // A policy in CEL that changes nothing has made the object as it is.
                    came.made.push(Made::of(policy, object, current.clone()));
                }
            }
            if current == *object {
                came.made.push(Made {
                    policy: String::new(),
                    about: Row::about(object),
                    object: object.clone(),
                });
            }
            for policy in &self.policies {
                self.ask(policy, &current, operation, outside, |request| {
                    let outcomes = policy.set.evaluate(request).into_iter();
                    came.rows.extend(outcomes.map(|outcome| Row::of_outcome(object, outcome)));
                    generate(policy, request, object, &mut came);
                });
            }
        }
        for payload in &self.payloads {
            let outcomes = self.policies.iter().flat_map(|policy| policy.set.judge_payload(payload));
            came.rows.extend(outcomes.map(|outcome| Row::of_outcome(payload, outcome)));
        }
        for request in &self.requests {
            let outcomes = self.policies.iter().flat_map(|policy| policy.set.judge_request(request));
            came.rows.extend(outcomes.map(|outcome| Row::of_outcome(&Value::Null, outcome)));
        }
        came
    }

    /// Asks a policy about an object, with what is known about the request.
    fn ask<T>(
        &self,
        policy: &Compiled,
        object: &Value,
        operation: Option<Operation>,
        outside: Option<&dyn Outside>,
        answer: impl FnOnce(&Request<'_>) -> T,
    ) -> T {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let place = object["metadata"]["namespace"].as_str();
        let mut given = values_for(&self.values, &policy.name, name);
        if let Some(operation) = operation {
            given.global.insert("request.operation".to_owned(), operation.as_str().into());
        }
        let operation = given.global.get("request.operation").and_then(Value::as_str);
        let operation = operation.and_then(Operation::parse).unwrap_or_default();
        let scaled = subresource(&self.values, object);
        answer(&Request {
            operation,
            subresource: scaled.as_ref().map(|(name, _)| name.as_str()),
            parent: scaled.as_ref().map(|(_, parent)| parent),
            // A suite has nothing else to compare a change with.
            old_object: (operation == Operation::Update).then_some(object),
            namespace_labels: place.and_then(|name| self.labels.get(name)),
            namespace: place.and_then(|name| namespace(&self.values, name)),
            user: self.user.as_ref(),
            values: Some(&given),
            outside,
            ..Request::create(object)
        })
    }
}

fn generate(policy: &Compiled, request: &Request<'_>, object: &Value, came: &mut Came) {
    came.rows.extend(policy.set.deletions(request).into_iter().map(|o| Row::of_outcome(object, o)));
    if policy.phase > 0 {
        for (outcome, objects) in policy.set.generate_by_policies(request) {
            came.rows.push(Row::of_outcome(object, outcome));
            came.made.extend(objects.into_iter().map(|made| Made::of(policy, object, made.object)));
        }
        return;
    }
    for generated in policy.set.generate_from(request) {
        match generated {
            Ok(generated) => {
                let origin = generated.rule;
                came.rows.push(Row::of(object, origin.policy, origin.rule, Verdict::Pass, String::new()));
                came.made.push(Made::of(policy, object, generated.object));
            }
            Err(failed) => {
                let origin = failed.rule;
                came.rows.push(Row::of(object, origin.policy, origin.rule, Verdict::Error, failed.why));
            }
        }
    }
}

impl Compiled {
    fn of(
        manifest: Arc<Manifest>,
        bindings: &[Arc<Manifest>],
        exceptions: &[Arc<Manifest>],
        known: &Arc<Objects<'static>>,
        moment: Moment,
        problems: &mut Vec<Finding>,
    ) -> Compiled {
        let name = manifest.id.name().to_owned();
        let phase = match manifest.id.group() {
            "kyverno.io" => 0,
            "admissionregistration.k8s.io" => 1,
            _ => 2,
        };
        let mut manifests = vec![manifest];
        manifests.extend_from_slice(bindings);
        let (mut set, findings) = PolicySet::compile(&manifests);
        // Here a policy judges whether anything binds it or not.
        problems.extend(findings.into_iter().filter(|finding| finding.code != Code::PolicyUnbound));
        problems.extend(set.add_exceptions(exceptions));
        let set = set.binding_all();
        Compiled { name, phase, set: set.at(moment.now, moment.seed).knowing(known.clone()) }
    }
}

impl Made {
    fn of(policy: &Compiled, object: &Value, made: Value) -> Made {
        Made { policy: policy.name.clone(), about: Row::about(object), object: made }
    }
}

/// The objects that an expectation wants to have been made.
struct Wanted {
    patched: Vec<Value>,
    generated: Vec<Value>,
}

impl Wanted {
    fn read(folder: &Path, entry: &Value, inputs: &Inputs, problems: &mut Vec<Finding>) -> Wanted {
        let mut read = |file: &Value| -> Vec<Value> {
            let files = file.as_str().map(|file| vec![file.to_owned()]).unwrap_or_else(|| texts(file));
            let documents = files.iter().flat_map(|file| documents(folder, file, problems)).collect();
            inputs::objects(documents)
                .into_iter()
                .map(|object| tidy(&inputs::with_namespace(object, &inputs.schemas)))
                .collect()
        };
        let mut patched = read(&entry["patchedResource"]);
        patched.extend(read(&entry["patchedResources"]));
        Wanted { patched, generated: read(&entry["generatedResource"]) }
    }

    /// Holds an expectation against what came. A rule that passed but made something else has failed.
    fn judge(&self, expectation: &Expectation, came: &Came) -> Vec<SuiteResult> {
        let mut results = expectation.judge(&came.rows);
        let passing = Expectation { result: "pass".to_owned(), ..expectation.clone() }.judge(&came.rows);
        for (result, passing) in results.iter_mut().zip(passing) {
            if passing.outcome != Outcome::Met {
                continue;
            }
            match (expectation.result.as_str(), self.difference(expectation, &result.resource, came)) {
                ("pass", Some(why)) => result.outcome = Outcome::Unmet(why),
                ("fail", Some(_)) => result.outcome = Outcome::Met,
                ("fail", None) if self.has_only_others(&result.resource) => result.outcome = Outcome::Met,
                _ => {}
            }
        }
        results
    }

    /// Whether objects are wanted, and none of them is the one that was changed.
    fn has_only_others(&self, resource: &str) -> bool {
        !self.patched.is_empty() && !self.patched.iter().any(|wanted| is_named(wanted, resource))
    }

    /// Why an object that is wanted is not among those that were made.
    fn difference(&self, expectation: &Expectation, resource: &str, came: &Came) -> Option<String> {
        let policy = expectation.policy.rsplit('/').next().unwrap_or_default();
        let is_about = |made: &&Made| {
            (made.policy == policy || made.policy.is_empty() && resource.is_empty())
                && (resource.is_empty() || names_object(resource, &made.about))
        };
        let made: Vec<Value> = came.made.iter().filter(is_about).map(|made| tidy(&made.object)).collect();
        let of_name = self.patched.iter().filter(|wanted| is_named(wanted, resource));
        of_name.chain(&self.generated).find_map(|wanted| missing(wanted, &made))
    }
}

fn is_named(object: &Value, name: &str) -> bool {
    name.is_empty() || names_object(name, &Row::about(object))
}

/// Why an object is not among those that were made.
fn missing(wanted: &Value, made: &[Value]) -> Option<String> {
    if made.contains(wanted) {
        return None;
    }
    let name = |object: &Value| {
        let id = ObjectId::of(object).map(|id| id.to_string());
        id.unwrap_or_else(|_| "an object without a name".to_owned())
    };
    let same = made.iter().find(|made| name(made) == name(wanted));
    Some(match same.and_then(|made| difference(wanted, made)) {
        Some(difference) => format!("{}: {difference}", name(wanted)),
        None => format!("{} was not made", name(wanted)),
    })
}
