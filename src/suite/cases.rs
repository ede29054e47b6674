//! Case folders: a policy, and beside it what it admits, what it refuses, and what it generates.
//!
//! `admit/*.yaml` and `reject/*.yaml` hold objects. A case that needs more is a folder: `admit/CASE/object.yaml`, with
//! `old.yaml` (what it was before the change), `namespace.yaml` (the namespace it is in) and `values.yaml` (what a cluster
//! would answer, by the names of context entries) beside it. `generate/CASE/trigger.yaml` brings exactly the objects of
//! `generate/CASE/expected.yaml`.

mod layout;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::expect::{Outcome, SuiteResult};
use super::inputs::{self, any_documents, documents};
use super::row::{Row, word};
use super::{Moment, Report};
use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, Manifest, ObjectId};
use crate::policy::{Operation, PolicySet, Request, RuleOutcome, Values, Verdict};
use crate::yaml::{self, Document};

const POLICY: &str = "policy.yaml";
const OBJECT: &str = "object.yaml";
const OLD: &str = "old.yaml";
const NAMESPACE: &str = "namespace.yaml";
const VALUES: &str = "values.yaml";
const TRIGGER: &str = "trigger.yaml";
const EXPECTED: &str = "expected.yaml";
/// The folders of cases.
const FOLDERS: [&str; 3] = ["admit", "reject", "generate"];

/// Whether a folder holds a policy and cases for it.
pub(super) fn is_case_folder(folder: &Path) -> bool {
    folder.join(POLICY).is_file() && FOLDERS.iter().any(|name| folder.join(name).is_dir())
}

/// Runs the cases of a folder.
pub(super) fn run(folder: &Path, moment: Moment) -> Report {
    let mut report = Report::default();
    layout::check(folder, &mut report.problems);
    let documents = documents(folder, POLICY, &mut report.problems);
    let policies = inputs::policies(documents, &mut report.problems);
    let name = policies.iter().map(|policy| policy.id.name()).collect::<Vec<_>>().join(",");
    let (set, findings) = PolicySet::compile(&policies);
    // Here a policy judges whether anything binds it or not.
    report.problems.extend(findings.into_iter().filter(|finding| finding.code != Code::PolicyUnbound));
    let set = set.binding_all().at(moment.now, moment.seed);
    let mut untouched = Vec::new();
    for (expected, refused) in [("admit", false), ("reject", true)] {
        for file in yaml_files(&folder.join(expected)) {
            let case = Case { policy: &name, folder, file: format!("{expected}/{file}"), refused };
            untouched.extend(judge_file(&set, &case, &Surroundings::default(), &mut report));
        }
        for path in sorted(&folder.join(expected)).into_iter().filter(|path| path.is_dir()) {
            let surroundings = Surroundings::read(&path, &mut report.problems);
            let named = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let case = Case { policy: &name, folder, file: format!("{expected}/{named}/{OBJECT}"), refused };
            untouched.extend(judge_file(&set, &case, &surroundings, &mut report));
        }
    }
    for case in sorted(&folder.join("generate")).into_iter().filter(|path| path.is_dir()) {
        generate(&set, &name, &case, &mut report);
    }
    untouched_are_no_cases(&untouched, &mut report);
    say_places(&policies, &mut report.results);
    if report.results.is_empty() && !report.has_errors() {
        let policy = policies.first().map(|policy| policy.origin.source.file.clone()).unwrap_or_default();
        let message = "there is no case in admit, reject or generate, so nothing is tested";
        let finding = Finding::error(Code::SuiteBroken, message).at(Location::line(&policy, 1));
        let help = "write what the policy admits to admit/*.yaml, and what it refuses to reject/*.yaml";
        report.problems.push(finding.help(help));
    }
    report
}

/// An admitted object that no rule said anything of, by its place among the results, and its kind.
type Untouched = (usize, String);

/// An object of a kind that no rule is about is admitted whatever the policy says, so that nothing is tested by it.
fn untouched_are_no_cases(untouched: &[Untouched], report: &mut Report) {
    for (at, kind) in untouched {
        if report.rows.iter().all(|row| row.kind != *kind) {
            let why = format!("no rule of the policy says anything of a {kind} here, so nothing is tested");
            report.results[*at].outcome = Outcome::Unmet(why);
        }
    }
}

/// Says of each expectation that was not met where its rule stands, or at least its policy.
fn say_places(policies: &[Arc<Manifest>], results: &mut [SuiteResult]) {
    for result in results.iter_mut().filter(|result| result.outcome != Outcome::Met) {
        let place = |policy: &Manifest, path: &FieldPath| yaml::locate(&policy.origin.source, path);
        let rule = |policy: &Arc<Manifest>| {
            let rules = policy.body["spec"]["rules"].as_array()?;
            let at = rules.iter().position(|rule| rule["name"] == *result.rule)?;
            Some(place(policy, &FieldPath::of_keys(["spec", "rules"]).index(at)))
        };
        let whole = |policy: &Arc<Manifest>| place(policy, &FieldPath::of_keys(["spec"]));
        let known = policies.iter().find_map(rule);
        result.rule_at = known.or_else(|| policies.first().map(whole));
    }
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
            let found = folder.join(file).is_file().then(|| documents(folder, file, problems))?;
            let mut found = found.into_iter();
            let first = found.next()?;
            if let Some(second) = found.next() {
                problems.push(broken(&second, "only the first document of this file is read"));
            }
            let is_fit = match file {
                NAMESPACE => first.value["kind"] == "Namespace",
                _ => first.value.is_object(),
            };
            if !is_fit {
                let what = if file == NAMESPACE { "a Namespace" } else { "a mapping" };
                problems.push(broken(&first, format!("{file} must hold {what}")));
            }
            Some(first.value)
        };
        let labels = |namespace: Value| {
            let labels = namespace["metadata"]["labels"].as_object().cloned().unwrap_or_default();
            let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
            labels.into_iter().map(|(key, value)| (key, text(value))).collect()
        };
        let global = match first(VALUES) {
            Some(Value::Object(values)) => values,
            _ => Map::new(),
        };
        Surroundings {
            old: first(OLD),
            namespace: first(NAMESPACE).map(labels),
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
fn judge_file(
    set: &PolicySet,
    case: &Case<'_>,
    surroundings: &Surroundings,
    report: &mut Report,
) -> Vec<Untouched> {
    let mut untouched = Vec::new();
    let Case { policy, folder, file, refused } = case;
    for document in documents(folder, file, &mut report.problems) {
        if let Err(error) = ObjectId::of(&document.value) {
            report.problems.push(broken(&document, format!("this document is no object: {error}")));
            continue;
        }
        let object = document.value;
        let outcomes = set.evaluate(&surroundings.request(&object));
        let (by, outcome) = judged(&outcomes, *refused);
        let rule = by.map(|by| by.rule.clone()).unwrap_or_default();
        if outcomes.is_empty() && outcome == Outcome::Met {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            untouched.push((report.results.len(), kind));
        }
        let expected = if *refused { "reject" } else { "admit" };
        report.rows.extend(outcomes.into_iter().map(|outcome| row(&object, outcome)));
        let of = result(policy, file, expected, outcome);
        report.results.push(SuiteResult { rule, line: document.line, ..of });
    }
    untouched
}

/// Whether it is as expected, and the rule that decided it. One that could not be evaluated decides nothing, even where it
/// would let the object pass.
fn judged(outcomes: &[RuleOutcome], refused: bool) -> (Option<&RuleOutcome>, Outcome) {
    let is = |verdict: Verdict| outcomes.iter().find(move |outcome| outcome.result == verdict);
    let by = outcomes.iter().find(|outcome| outcome.refuses()).or_else(|| is(Verdict::Error));
    let outcome = match by {
        Some(by) if refused && by.result == Verdict::Fail => Outcome::Met,
        Some(by) => Outcome::Unmet(said_by(by)),
        None if !refused => Outcome::Met,
        None => Outcome::Unmet(match is(Verdict::Fail) {
            Some(reports) => format!("no rule refuses it: {}, which is only reported", said_by(reports)),
            None => "no rule refuses it".to_owned(),
        }),
    };
    (by, outcome)
}

/// What a rule says. Some policies have no names of rules, and an error may say itself that it is one.
fn said_by(by: &RuleOutcome) -> String {
    let name = if by.rule.is_empty() { &by.policy } else { &by.rule };
    let result = word(by.result);
    let message = by.message.strip_prefix(result).and_then(|message| message.strip_prefix(": "));
    format!("{name} is {result}: {}", message.unwrap_or(&by.message))
}

fn generate(set: &PolicySet, policy: &str, case: &Path, report: &mut Report) {
    let name = format!("generate/{}", case.file_name().unwrap_or_default().to_string_lossy());
    let triggers = inputs::objects(documents(case, TRIGGER, &mut report.problems));
    let expected = inputs::objects(any_documents(case, EXPECTED, &mut report.problems));
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
    let of = result(policy, &name, "generate", outcome);
    report.results.push(SuiteResult { file: format!("{name}/{EXPECTED}"), ..of });
}

fn row(object: &Value, outcome: RuleOutcome) -> Row {
    let result = outcome.reported();
    Row::of(object, outcome.policy, outcome.rule, result, outcome.message)
}

/// What is wrong with a document of a case.
fn broken(document: &Document, message: impl Into<String>) -> Finding {
    let place = yaml::locate(&document.source, &FieldPath::default());
    Finding::error(Code::SuiteBroken, message).at(place)
}

fn result(policy: &str, resource: &str, expected: &str, outcome: Outcome) -> SuiteResult {
    SuiteResult {
        policy: policy.to_owned(),
        rule: String::new(),
        resource: resource.to_owned(),
        expected: expected.to_owned(),
        line: 1,
        file: resource.to_owned(),
        rule_at: None,
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
