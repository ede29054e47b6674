//! What the author of a suite expects, and whether it came so.

use serde_json::Value;

use super::TEST_FILE;
use super::inputs::texts;
use super::row::Row;
use crate::finding::Location;
use crate::policy::Operation;

/// An entry of `results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Name of the policy, with the namespace before it if the author wrote one.
    pub policy: String,
    /// Name of the rule; `None` for all rules of the policy.
    pub rule: Option<String>,
    /// Kind of the objects; `None` for all kinds.
    pub kind: Option<String>,
    /// Names of objects, with the namespace before them where the author wrote one; empty for all.
    pub resources: Vec<String>,
    /// `pass`, `fail`, `warn`, `skip` or `error`.
    pub result: String,
    /// What is done with the objects, if it is not what the suite's values say.
    pub operation: Option<Operation>,
    /// Line of the entry in its file.
    pub line: u32,
}

/// One expectation about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteResult {
    /// The policy.
    pub policy: String,
    /// The rule; empty for all rules of the policy.
    pub rule: String,
    /// The object, as the author names it; empty for all.
    pub resource: String,
    /// The result that is expected.
    pub expected: String,
    /// Line of the entry in its file.
    pub line: u32,
    /// The file of the expectation, from the suite's folder.
    pub file: String,
    /// Where the rule stands, if it is known.
    pub rule_at: Option<Location>,
    /// Whether it came so.
    pub outcome: Outcome,
}

/// Whether an expectation was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was.
    Met,
    /// It was not, and why.
    Unmet(String),
}

impl Expectation {
    /// From an entry of `results`.
    ///
    /// # Errors
    /// What is missing in it.
    pub(super) fn of(entry: &Value, line: u32) -> Result<Expectation, String> {
        let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let mut resources = texts(&entry["resources"]);
        resources.extend(text("resource"));
        let namespace = text("namespace");
        if let Some(namespace) = namespace {
            for name in resources.iter_mut().filter(|name| !name.contains('/')) {
                *name = format!("{namespace}/{name}");
            }
        }
        let result = text("result").or_else(|| text("status")).ok_or("the entry has no `result`")?;
        if !["pass", "fail", "warn", "skip", "error"].contains(&result.as_str()) {
            return Err(format!("{result:?} is no result: pass, fail, warn, skip or error"));
        }
        let operation = text("operation").map(|operation| {
            let known = Operation::parse(&operation);
            known.ok_or_else(|| format!("{operation:?} is no operation: CREATE, UPDATE, DELETE or CONNECT"))
        });
        Ok(Expectation {
            operation: operation.transpose()?,
            policy: text("policy").ok_or("the entry names no `policy`")?,
            rule: text("rule"),
            kind: text("kind"),
            resources,
            result,
            line,
        })
    }

    /// Whether a row is about the policy, rule and kind.
    pub(super) fn is_about(&self, row: &Row) -> bool {
        let policy = row.policy == self.policy || row.policy.rsplit('/').next() == Some(&self.policy);
        let rule = self.rule.as_deref().is_none_or(|rule| names_rule(rule, &row.rule));
        policy && rule && self.kind.as_deref().is_none_or(|kind| names_kind(kind, row))
    }

    /// Holds the expectation against the rows: one result for each object that it names, or one for all.
    pub(super) fn judge(&self, rows: &[Row]) -> Vec<SuiteResult> {
        let about: Vec<&Row> = rows.iter().filter(|row| self.is_about(row)).collect();
        if self.resources.is_empty() {
            return vec![self.result_for("", self.outcome(&about))];
        }
        let of = |name: &String| {
            let rows: Vec<&Row> = about.iter().copied().filter(|row| names_object(name, row)).collect();
            self.result_for(name, self.outcome(&rows))
        };
        self.resources.iter().map(of).collect()
    }

    pub(super) fn result_for(&self, resource: &str, outcome: Outcome) -> SuiteResult {
        SuiteResult {
            policy: self.policy.clone(),
            rule: self.rule.clone().unwrap_or_default(),
            resource: resource.to_owned(),
            expected: self.result.clone(),
            line: self.line,
            file: TEST_FILE.to_owned(),
            rule_at: None,
            outcome,
        }
    }

    fn outcome(&self, rows: &[&Row]) -> Outcome {
        if rows.is_empty() {
            return match self.result.as_str() {
                "skip" => Outcome::Met,
                _ => Outcome::Unmet("no rule of this name ran on it".to_owned()),
            };
        }
        match rows.iter().find(|row| row.result != self.result) {
            None => Outcome::Met,
            Some(row) => {
                let message =
                    if row.message.is_empty() { String::new() } else { format!(": {}", row.message) };
                Outcome::Unmet(format!("{} on {} is {}{message}", row.rule, row.object(), row.result))
            }
        }
    }
}

/// A rule is also known by what it is turned into for pod controllers.
pub(super) fn names_rule(wanted: &str, rule: &str) -> bool {
    let own = rule.strip_prefix("autogen-").unwrap_or(rule);
    rule == wanted || own == wanted || own.strip_prefix("cronjob-") == Some(wanted)
}

/// `Deployment`, or with its group or version before it (`apps/v1/Deployment`).
pub(super) fn names_kind(wanted: &str, row: &Row) -> bool {
    let (before, kind) = wanted.rsplit_once('/').unwrap_or(("", wanted));
    let group = row.api_version.split_once('/').map_or("", |(group, _)| group);
    kind == row.kind && (before.is_empty() || before == row.api_version || before == group)
}

pub(super) fn names_object(wanted: &str, row: &Row) -> bool {
    match wanted.rsplit_once('/') {
        // `kind/namespace/name` is written, too.
        Some((before, name)) => name == row.name && before.rsplit('/').next() == Some(&row.namespace),
        None => wanted == row.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Verdict;
    use serde_json::json;

    fn row(kind: &str, rule: &str, result: Verdict) -> Row {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "namespace": "n"}});
        Row::of(&object, "p".into(), rule.into(), result, "why".into())
    }

    fn outcome(entry: Value, rows: &[Row]) -> Outcome {
        Expectation::of(&entry, 1).unwrap().judge(rows).remove(0).outcome
    }

    fn entry(result: &str) -> Value {
        json!({"policy": "p", "rule": "r", "kind": "Pod", "resources": ["a"], "result": result})
    }

    #[test]
    fn a_rule_that_never_ran_has_not_passed() {
        for result in ["pass", "fail", "warn", "error"] {
            assert!(matches!(outcome(entry(result), &[]), Outcome::Unmet(_)), "{result}");
        }
        assert_eq!(outcome(entry("skip"), &[]), Outcome::Met);
    }

    #[test]
    fn the_kind_counts() {
        let rows = [row("Service", "r", Verdict::Pass)];
        assert!(matches!(outcome(entry("pass"), &rows), Outcome::Unmet(_)));
        assert_eq!(outcome(entry("pass"), &[row("Pod", "r", Verdict::Pass)]), Outcome::Met);
    }

    #[test]
    fn rules_for_pod_controllers_go_by_the_name_they_were_made_from() {
        assert_eq!(outcome(entry("fail"), &[row("Pod", "autogen-cronjob-r", Verdict::Fail)]), Outcome::Met);
        let rows = [row("Pod", "r", Verdict::Fail)];
        let Outcome::Unmet(why) = outcome(entry("pass"), &rows) else { panic!("it fails") };
        assert_eq!(why, "r on Pod n/a is fail: why");
    }

    #[test]
    fn an_entry_says_what_it_lacks() {
        assert_eq!(Expectation::of(&json!({"policy": "p"}), 1).unwrap_err(), "the entry has no `result`");
        let odd = json!({"policy": "p", "result": "maybe"});
        assert!(Expectation::of(&odd, 1).unwrap_err().contains("\"maybe\" is no result"));
    }
}
