//! What policies say of the objects of the repository, as reports in the cluster: one for each namespace, and one for what
//! has none.
//!
//! Input: the results of a review. Output: objects that depend on these results alone, in whatever order they come, so
//! that a report is written only when what it says changes. The time of a result is that of its first report
//! ([`stamped`]) and does not count as a change ([`says_the_same`]).

mod kinds;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::ObjectId;
use crate::policy::Verdict;
use crate::review::{ObjectResults, RuleResult};

pub use kinds::{REPORT_KINDS, ReportKinds};

/// The label on every report: the owner name whose daemon writes it.
pub const REPORTS_OF: &str = "moin.scs.community/reports-of";
/// The annotation on a report that is not whole: how many results have no place in it.
pub const LEFT_OUT: &str = "moin.scs.community/results-left-out";
/// As what moin signs its results.
const SOURCE: &str = "moin";
/// Longer messages are cut.
const LONGEST_MESSAGE: usize = 1024;
/// What etcd takes in one write is 1.5 MiB, with everything that stands around the results.
const LARGEST: usize = 1 << 20;
/// What the time adds to a result.
const STAMP: usize = 48;
/// The severities that the definitions of reports know.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

/// The reports of one owner name, by what they are about: made anew only where results changed.
#[derive(Debug, Default)]
pub struct PolicyReports {
    made: BTreeMap<Option<String>, Made>,
}

/// A report and the results that it was made of.
#[derive(Debug)]
struct Made {
    of: Vec<(ObjectId, Arc<[RuleResult]>)>,
    kinds: ReportKinds,
    report: Arc<Value>,
}

impl PolicyReports {
    /// The reports about these results. What is in a namespace that does not live (yet, or much longer) is left out.
    pub fn about(
        &mut self,
        owner: &str,
        kinds: &ReportKinds,
        results: &[ObjectResults],
        lives: impl Fn(&str) -> bool,
    ) -> Vec<Arc<Value>> {
        let mut groups: BTreeMap<Option<&str>, Vec<&ObjectResults>> = BTreeMap::new();
        for result in results {
            let namespace = result.manifest.id.namespace();
            if namespace.is_none_or(&lives) {
                groups.entry(namespace).or_default().push(result);
            }
        }
        let mut before = std::mem::take(&mut self.made);
        for (namespace, mut group) in groups {
            group.sort_by(|a, b| a.manifest.id.cmp(&b.manifest.id));
            let namespace = namespace.map(str::to_owned);
            let known =
                before.remove(&namespace).filter(|known| known.is_of(&group) && known.kinds == *kinds);
            let made = known.unwrap_or_else(|| Made {
                of: group.iter().map(|one| (one.manifest.id.clone(), one.results.clone())).collect(),
                kinds: kinds.clone(),
                report: Arc::new(policy_report(owner, kinds, namespace.as_deref(), &group)),
            });
            self.made.insert(namespace, made);
        }
        self.made.values().map(|made| made.report.clone()).collect()
    }
}

impl Made {
    fn is_of(&self, group: &[&ObjectResults]) -> bool {
        self.of.len() == group.len()
            && self.of.iter().zip(group).all(|((id, results), one)| {
                *id == one.manifest.id && (Arc::ptr_eq(results, &one.results) || *results == one.results)
            })
    }
}

/// The report about objects of one namespace, or about those without.
fn policy_report(
    owner: &str,
    kinds: &ReportKinds,
    namespace: Option<&str>,
    group: &[&ObjectResults],
) -> Value {
    let mut entries: Vec<Entry> =
        group.iter().flat_map(|one| one.results.iter().map(|result| Entry::of(one, result))).collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    let mut summary: Map<String, Value> =
        ["error", "fail", "pass", "skip", "warn"].iter().map(|word| ((*word).to_owned(), 0.into())).collect();
    for entry in &entries {
        let count = &mut summary[word(entry.verdict)];
        *count = (count.as_u64().unwrap_or_default() + 1).into();
    }
    let all = entries.len();
    let entries = fitting(entries);
    let kind = kinds.of(namespace);
    let mut metadata = json!({
        "name": report_name(owner),
        "labels": {"app.kubernetes.io/managed-by": SOURCE, REPORTS_OF: owner},
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    if entries.len() < all {
        metadata["annotations"] = json!({LEFT_OUT: (all - entries.len()).to_string()});
    }
    json!({
        "apiVersion": kind.gvk.api_version(), "kind": &*kind.gvk.kind, "metadata": metadata,
        "results": entries.into_iter().map(|entry| entry.body).collect::<Vec<_>>(), "summary": summary,
    })
}

/// The name of all reports of an owner name.
fn report_name(owner: &str) -> String {
    format!("moin-{owner}")
}

/// A result on its way into a report.
struct Entry {
    /// What it is sorted by: the object, the policy and its rule, and its text for what is left.
    key: (ObjectId, String, String, String),
    verdict: Verdict,
    body: Value,
    size: usize,
}

impl Entry {
    fn of(about: &ObjectResults, result: &RuleResult) -> Entry {
        let manifest = &about.manifest;
        let mut resource = json!({
            "apiVersion": manifest.gvk.api_version(), "kind": &*manifest.gvk.kind, "name": manifest.id.name(),
        });
        if let Some(namespace) = manifest.id.namespace() {
            resource["namespace"] = namespace.into();
        }
        let mut body = json!({
            "source": SOURCE, "policy": result.policy, "result": word(result.verdict), "scored": result.scored,
            "message": cut(&result.message), "resources": [resource],
        });
        let severity = result.notes.severity.as_deref().filter(|word| SEVERITIES.contains(word));
        let rule = Some(result.rule.as_str()).filter(|rule| !rule.is_empty());
        for (field, text) in
            [("rule", rule), ("severity", severity), ("category", result.notes.category.as_deref())]
        {
            if let Some(text) = text {
                body[field] = text.into();
            }
        }
        let text = body.to_string();
        let size = text.len() + STAMP;
        Entry {
            key: (manifest.id.clone(), result.policy.clone(), result.rule.clone(), text),
            verdict: result.verdict,
            body,
            size,
        }
    }

    /// What goes first when not all have a place.
    fn importance(&self) -> u8 {
        match self.verdict {
            Verdict::Fail => 0,
            Verdict::Error => 1,
            Verdict::Warn => 2,
            Verdict::Pass => 3,
            Verdict::Skip => 4,
        }
    }
}

/// As many as a report can hold, the worst first, in their order.
fn fitting(entries: Vec<Entry>) -> Vec<Entry> {
    if entries.iter().map(|entry| entry.size).sum::<usize>() <= LARGEST {
        return entries;
    }
    let mut by_importance: Vec<usize> = (0..entries.len()).collect();
    by_importance.sort_by_key(|at| entries[*at].importance());
    let mut left = LARGEST;
    let mut stays = vec![false; entries.len()];
    for at in by_importance {
        let Some(rest) = left.checked_sub(entries[at].size) else { break };
        left = rest;
        stays[at] = true;
    }
    entries.into_iter().zip(stays).filter(|(_, stays)| *stays).map(|(entry, _)| entry).collect()
}

/// As reports say it.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Warn => "warn",
        Verdict::Skip => "skip",
        Verdict::Error => "error",
    }
}

fn cut(message: &str) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    let end = (0..=LONGEST_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
    format!("{} …", &message[..end])
}

/// A report with the time of each result: that of the report before for what it said already, else now (in seconds).
pub fn stamped(report: &Value, before: Option<&Value>, now: i64) -> Value {
    let old = before.map_or(&[][..], results_of);
    let times: HashMap<String, &Value> = old
        .iter()
        .filter(|result| result["timestamp"].is_object())
        .map(|result| (unstamped(result).to_string(), &result["timestamp"]))
        .collect();
    let mut report = report.clone();
    for result in report["results"].as_array_mut().into_iter().flatten() {
        let time = times.get(&result.to_string()).map(|time| (*time).clone());
        result["timestamp"] = time.unwrap_or_else(|| json!({"seconds": now, "nanos": 0}));
    }
    report
}

/// Whether a report that lives says what it should.
pub fn says_the_same(live: &Value, report: &Value) -> bool {
    let has = |field: &str, wanted: &Value| {
        let wanted = wanted.as_object().into_iter().flatten();
        wanted.into_iter().all(|(key, value)| live["metadata"][field][key] == *value)
    };
    let (old, new) = (results_of(live), results_of(report));
    has("labels", &report["metadata"]["labels"])
        && live["metadata"]["annotations"][LEFT_OUT] == report["metadata"]["annotations"][LEFT_OUT]
        && live["summary"] == report["summary"]
        && old.len() == new.len()
        && old.iter().zip(new).all(|(old, new)| unstamped(old) == *new)
}

fn results_of(report: &Value) -> &[Value] {
    report["results"].as_array().map_or(&[], Vec::as_slice)
}

fn unstamped(result: &Value) -> Value {
    let mut result = result.clone();
    if let Some(fields) = result.as_object_mut() {
        fields.remove("timestamp");
    }
    result
}
