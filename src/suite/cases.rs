//! Case folders: a policy, and beside it what it admits, what it refuses, and what it generates.
//!
//! `admit/*.yaml` and `reject/*.yaml` hold objects. A case that needs more is a folder: `admit/CASE/object.yaml`, with
//! `old.yaml` (what it was before the change), `namespace.yaml` (the namespace it is in) and `values.yaml` (what a cluster
//! would answer, by the names of context entries) beside it. `generate/CASE/trigger.yaml` brings exactly the objects of
//! `generate/CASE/expected.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::expect::{Outcome, SuiteResult};
use super::inputs::{self, documents};
use super::row::{Row, word};
use super::{Moment, Report};
use crate::finding::{Code, Finding};
use crate::model::ObjectId;
use crate::policy::{Operation, PolicySet, Request, RuleOutcome, Values, Verdict};

const POLICY: &str = "policy.yaml";
const OBJECT: &str = "object.yaml";

/// Whether a folder holds a policy and cases for it.
pub(super) fn is_case_folder(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_dir();
    folder.join(POLICY).is_file() && (has("admit") || has("reject") || has("generate"))
}

/// Runs the cases of a folder.
pub(super) fn run(folder: &Path, moment: Moment) -> Report {
    let mut report = Report::default();
    let policies: Vec<_> =
        documents(folder, POLICY, &mut report.problems).into_iter().filter_map(inputs::manifest).collect();
    let name = policies.iter().map(|policy| policy.id.name()).collect::<Vec<_>>().join(",");
    let (set, findings) = PolicySet::compile(&policies);
    // Here a policy judges whether anything binds it or not.
    report.problems.extend(findings.into_iter().filter(|finding| finding.code != Code::PolicyUnbound));
    let set = set.binding_all().at(moment.now, moment.seed);
    for (expected, refused) in [("admit", false), ("reject", true)] {
        for file in yaml_files(&folder.join(expected)) {
            let case = Case { policy: &name, folder, file: format!("{expected}/{file}"), refused };
            judge_file(&set, &case, &Surroundings::default(), &mut report);
        }
        for path in sorted(&folder.join(expected)).into_iter().filter(|path| path.is_dir()) {
            let surroundings = Surroundings::read(&path, &mut report.problems);
            let named = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let case = Case { policy: &name, folder, file: format!("{expected}/{named}/{OBJECT}"), refused };
            judge_file(&set, &case, &surroundings, &mut report);
        }
    }
    for case in sorted(&folder.join("generate")) {
        generate(&set, &name, &case, &mut report);
    }
    report
}

/// A file whose objects are all admitted, or all refused.
struct Case<'a> {
    policy: &'a str,
    folder: &'a Path,
    file: String,
    refused: bool,
}

/// What is known beside the object.
#[derive(Default)]
struct Surroundings {
    old: Option<Value>,
    namespace: Option<BTreeMap<String, String>>,
    values: Values,
}

impl Surroundings {
    fn read(folder: &Path, problems: &mut Vec<Finding>) -> Surroundings {
        let mut first = |file: &str| {
            let found = folder.join(file).is_file().then(|| documents(folder, file, problems));
            found.and_then(|documents| documents.into_iter().next()).map(|document| document.value)
        };
        let labels = |namespace: Value| {
            let labels = namespace["metadata"]["labels"].as_object().cloned().unwrap_or_default();
            let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
            labels.into_iter().map(|(key, value)| (key, text(value))).collect()
        };
        let global = match first("values.yaml") {
            Some(Value::Object(values)) => values,
            _ => Map::new(),
        };
        Surroundings {
            old: first("old.yaml"),
            namespace: first("namespace.yaml").map(labels),
            values: Values { global, ..Values::default() },
        }
    }

    fn request<'a>(&'a self, object: &'a Value) -> Request<'a> {
        Request {
            old_object: self.old.as_ref(),
            operation: if self.old.is_some() { Operation::Update } else { Operation::Create },
            namespace_labels: self.namespace.as_ref(),
            values: Some(&self.values),
            ..Request::create(object)
        }
    }
}

/// Every object of a file must be admitted, or refused by a rule that failed and not by one that could not be
/// evaluated.
fn judge_file(set: &PolicySet, case: &Case<'_>, surroundings: &Surroundings, report: &mut Report) {
    let Case { policy, folder, file, refused } = case;
    for document in documents(folder, file, &mut report.problems) {
        let object = document.value;
        let outcomes = set.evaluate(&surroundings.request(&object));
        let outcome = match outcomes.iter().find(|outcome| outcome.refuses()) {
            None if *refused => Outcome::Unmet("no rule refuses it".to_owned()),
            None => Outcome::Met,
            Some(by) if *refused && by.result == Verdict::Fail => Outcome::Met,
            Some(by) => Outcome::Unmet(format!("{} is {}: {}", by.rule, word(by.result), by.message)),
        };
        let expected = if *refused { "reject" } else { "admit" };
        report.rows.extend(outcomes.into_iter().map(|outcome| row(&object, outcome)));
        report.results.push(result(policy, file, expected, document.line, outcome));
    }
}

fn generate(set: &PolicySet, policy: &str, case: &Path, report: &mut Report) {
    let name = format!("generate/{}", case.file_name().unwrap_or_default().to_string_lossy());
    let triggers = inputs::objects(documents(case, "trigger.yaml", &mut report.problems));
    let expected = inputs::objects(documents(case, "expected.yaml", &mut report.problems));
    let mut made = Vec::new();
    for (trigger, generated) in triggers.iter().flat_map(|t| set.generate(t).into_iter().map(move |g| (t, g)))
    {
        match generated {
            Ok(generated) => {
                let origin = generated.rule;
                let row = Row::of(trigger, origin.policy, origin.rule, Verdict::Pass, String::new());
                report.rows.push(row);
                made.push(generated.object);
            }
            Err(failed) => report.problems.push(*failed.finding),
        }
    }
    let lacks = |all: &[Value], some: &[Value], what: &str| {
        let id = |object: &Value| ObjectId::of(object).map_or_else(|e| e.to_string(), |id| id.to_string());
        some.iter().find(|object| !all.contains(object)).map(|object| format!("{} {what}", id(object)))
    };
    let why =
        lacks(&made, &expected, "was not made so").or_else(|| lacks(&expected, &made, "was not expected"));
    let outcome = why.map_or(Outcome::Met, Outcome::Unmet);
    report.results.push(result(policy, &name, "generate", 1, outcome));
}

fn row(object: &Value, outcome: RuleOutcome) -> Row {
    let result = outcome.reported();
    Row::of(object, outcome.policy, outcome.rule, result, outcome.message)
}

fn result(policy: &str, resource: &str, expected: &str, line: u32, outcome: Outcome) -> SuiteResult {
    SuiteResult {
        policy: policy.to_owned(),
        rule: String::new(),
        resource: resource.to_owned(),
        expected: expected.to_owned(),
        line,
        outcome,
    }
}

fn yaml_files(folder: &Path) -> Vec<String> {
    let names = sorted(folder).into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.filter(|name| name.ends_with(".yaml") || name.ends_with(".yml")).collect()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
