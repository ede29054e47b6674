//! A `kyverno-test.yaml` and what it names: read, run, judged.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::compare::{difference, tidy};
use super::expect::{Expectation, Outcome, SuiteResult, names_object};
use super::inputs::{self, documents, texts};
use super::row::Row;
use super::values::{namespace_labels, subresource, user, values_for};
use super::{Moment, Report, TEST_FILE};
use crate::finding::{Code, Finding};
use crate::model::{FieldPath, Manifest, ObjectId, PathSegment};
use crate::policy::{Known, Operation, PolicySet, Request, UserInfo, Verdict};
use crate::schema::Schemas;
use crate::yaml::{self, Document};

/// Everything a suite is run on.
struct Inputs {
    policies: Vec<Compiled>,
    objects: Vec<Value>,
    values: Value,
    labels: HashMap<String, BTreeMap<String, String>>,
    user: Option<UserInfo>,
    /// Objects that generate rules copy.
    sources: Vec<Value>,
    schemas: Schemas,
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
    policy: String,
    about: Row,
    /// The object after the policy, if it changed it; or what it generated.
    objects: Vec<Value>,
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
    let inputs = Inputs::read(folder, test, moment, &mut report.problems);
    let (rows, made) = inputs.run();
    for (at, entry) in test["results"].as_array().into_iter().flatten().enumerate() {
        let mut path = FieldPath::of_keys(["results"]);
        path.0.push(PathSegment::Index(at));
        let location = place(&path);
        match Expectation::of(entry, location.line) {
            Ok(expectation) => {
                let mut results = expectation.judge(&rows);
                compare_objects(
                    folder,
                    entry,
                    &expectation,
                    &made,
                    &inputs,
                    &mut results,
                    &mut report.problems,
                );
                report.results.extend(results);
            }
            Err(why) => report.problems.push(Finding::error(Code::SuiteBroken, why).at(location)),
        }
    }
    report.rows.extend(rows);
}

impl Inputs {
    fn read(folder: &Path, test: &Value, moment: Moment, problems: &mut Vec<Finding>) -> Inputs {
        let schemas = Schemas::builtin();
        let mut files = |field: &str| -> Vec<Document> {
            texts(&test[field]).iter().flat_map(|file| documents(folder, file, problems)).collect()
        };
        let policies = files("policies");
        let exceptions: Vec<Arc<Manifest>> =
            files("exceptions").into_iter().filter_map(inputs::manifest).collect();
        let objects = inputs::objects(files("resources"));
        let params = inputs::objects(files("paramResources"));
        let first = |file: &Value, problems: &mut Vec<Finding>| {
            let file = file.as_str()?;
            documents(folder, file, problems).into_iter().next().map(|document| document.value)
        };
        let values = match first(&test["variables"], problems) {
            Some(values) => values,
            None => test["values"].clone(),
        };
        let user = first(&test["userinfo"], problems).map(|info| user(&info));
        let clones: Vec<String> = test["results"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|result| result["cloneSourceResource"].as_str().map(str::to_owned))
            .collect();
        let sources =
            inputs::objects(clones.iter().flat_map(|file| documents(folder, file, problems)).collect());
        let mut known = Known::default();
        params.into_iter().for_each(|object| known.add(inputs::with_namespace(object, &schemas)));
        let known = Arc::new(known);
        let (bindings, policies): (Vec<_>, Vec<_>) = policies
            .into_iter()
            .filter_map(inputs::manifest)
            .partition(|manifest| manifest.id.kind().ends_with("AdmissionPolicyBinding"));
        let mut policies: Vec<Compiled> = policies
            .into_iter()
            .map(|manifest| Compiled::of(manifest, &bindings, &exceptions, &known, moment, problems))
            .collect();
        policies.sort_by_key(|policy| policy.phase);
        Inputs {
            policies,
            objects: objects.into_iter().map(|object| inputs::with_namespace(object, &schemas)).collect(),
            labels: namespace_labels(&values),
            values,
            user,
            sources,
            schemas,
        }
    }

    /// What each rule does with each object. A policy sees an object as the mutate rules of all policies before it left it;
    /// what validates sees what all of them made.
    fn run(&self) -> (Vec<Row>, Vec<Made>) {
        let (mut rows, mut made) = (Vec::new(), Vec::new());
        for object in &self.objects {
            let mut current = object.clone();
            for policy in &self.policies {
                let changed = self.ask(policy, &current, |request| {
                    let (changed, outcomes) = policy.set.mutate(request, &self.schemas);
                    rows.extend(outcomes.into_iter().map(|outcome| {
                        let result = outcome.reported();
                        Row::of(object, outcome.policy, outcome.rule, result, outcome.message)
                    }));
                    changed
                });
                if let Some(changed) = changed {
                    made.push(Made::of(policy, object, vec![changed.clone()]));
                    current = changed;
                }
            }
            for policy in &self.policies {
                self.ask(policy, &current, |request| {
                    rows.extend(policy.set.evaluate(request).into_iter().map(|outcome| {
                        let result = outcome.reported();
                        Row::of(object, outcome.policy, outcome.rule, result, outcome.message)
                    }));
                    self.generate(policy, request, object, &mut rows, &mut made);
                });
            }
        }
        (rows, made)
    }

    /// Asks a policy about an object, with what is known about the request.
    fn ask<T>(&self, policy: &Compiled, object: &Value, answer: impl FnOnce(&Request<'_>) -> T) -> T {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let given = values_for(&self.values, &policy.name, name);
        let operation = given.global.get("request.operation").and_then(Value::as_str);
        let operation = operation.and_then(Operation::parse).unwrap_or_default();
        let scaled = subresource(&self.values, object);
        answer(&Request {
            operation,
            subresource: scaled.as_ref().map(|(name, _)| name.as_str()),
            parent: scaled.as_ref().map(|(_, parent)| parent),
            // A suite has nothing else to compare a change with.
            old_object: (operation == Operation::Update).then_some(object),
            namespace_labels: object["metadata"]["namespace"].as_str().and_then(|n| self.labels.get(n)),
            user: self.user.as_ref(),
            values: Some(&given),
            ..Request::create(object)
        })
    }

    fn generate(
        &self,
        policy: &Compiled,
        request: &Request<'_>,
        object: &Value,
        rows: &mut Vec<Row>,
        made: &mut Vec<Made>,
    ) {
        let source = |id: &ObjectId| {
            self.sources.iter().find(|source| ObjectId::of(source).as_ref() == Ok(id)).cloned()
        };
        for generated in policy.set.generate_from(request, &source) {
            match generated {
                Ok(generated) => {
                    let origin = generated.rule;
                    rows.push(Row::of(object, origin.policy, origin.rule, Verdict::Pass, String::new()));
                    made.push(Made::of(policy, object, vec![generated.object]));
                }
                Err(finding) => {
                    let name = policy.name.clone();
                    rows.push(Row::of(object, name, String::new(), Verdict::Error, finding.message));
                }
            }
        }
    }
}

impl Compiled {
    fn of(
        manifest: Arc<Manifest>,
        bindings: &[Arc<Manifest>],
        exceptions: &[Arc<Manifest>],
        known: &Arc<Known>,
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
        problems.extend(findings);
        problems.extend(set.add_exceptions(exceptions));
        Compiled { name, phase, set: set.at(moment.now, moment.seed).knowing(known.clone()) }
    }
}

impl Made {
    fn of(policy: &Compiled, object: &Value, objects: Vec<Value>) -> Made {
        let about = Row::of(object, String::new(), String::new(), Verdict::Pass, String::new());
        Made { policy: policy.name.clone(), about, objects }
    }
}

/// Holds what was made against the objects that an expectation names.
fn compare_objects(
    folder: &Path,
    entry: &Value,
    expectation: &Expectation,
    made: &[Made],
    inputs: &Inputs,
    results: &mut [SuiteResult],
    problems: &mut Vec<Finding>,
) {
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
    let generated = read(&entry["generatedResource"]);
    for result in results.iter_mut().filter(|result| result.outcome == Outcome::Met) {
        if expectation.result != "pass" {
            continue;
        }
        let of_object: Vec<Value> = made
            .iter()
            .filter(|made| made.policy == expectation.policy.rsplit('/').next().unwrap_or_default())
            .filter(|made| result.resource.is_empty() || names_object(&result.resource, &made.about))
            .flat_map(|made| made.objects.iter().map(tidy))
            .collect();
        let of_name = patched.iter().filter(|wanted| is_named(wanted, &result.resource));
        if let Some(why) = of_name.chain(&generated).find_map(|wanted| missing(wanted, &of_object)) {
            result.outcome = Outcome::Unmet(why);
        }
    }
}

fn is_named(object: &Value, name: &str) -> bool {
    name.is_empty() || object["metadata"]["name"].as_str() == name.rsplit('/').next()
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
