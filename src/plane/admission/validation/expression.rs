//! Expressions in objects: whether they compile, where they stand.

use serde_json::Value;

use super::report::{Report, items, text};
use super::resources;
use crate::expr::admission::{Place, Result_, Variables, compile};
use crate::expr::cel::is_reserved;

/// Conditions of a policy or webhook. They see no variables.
pub(super) fn match_conditions(list: &Value, params: bool, at: &str, report: &mut Report) {
    let count = items(list).count();
    if count > 64 {
        report.too_many(at, count, 64);
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, condition) in items(list).enumerate() {
        let at = format!("{at}[{index}]");
        let expression = text(&condition["expression"]).trim();
        if expression.is_empty() {
            report.required(&format!("{at}.expression"), "");
        } else {
            let at = format!("{at}.expression");
            check(expression, Result_::Bool, Place::condition(params), None, &at, report);
        }
        let name = text(&condition["name"]);
        let at = format!("{at}.name");
        if name.is_empty() {
            report.required(&at, "");
            continue;
        }
        for wrong in resources::qualified_name(name) {
            report.invalid_text(&at, name, &wrong);
        }
        if names.contains(&name) {
            report.duplicate(&at, name);
        }
        names.push(name);
    }
}

/// Variables; those that compile are known to what follows.
pub(super) fn variables(list: &Value, params: bool, at: &str, report: &mut Report) -> Option<Variables> {
    let mut known = Variables::default();
    for (index, variable) in items(list).enumerate() {
        let at = format!("{at}[{index}]");
        let (name, expression) = (text(&variable["name"]), text(&variable["expression"]));
        if name.trim().is_empty() {
            report.required(&format!("{at}.name"), "name is not specified");
        } else if !is_identifier(name) {
            report.invalid_text(&format!("{at}.name"), name, "must be a valid CEL identifier");
        }
        if expression.trim().is_empty() {
            report.required(&format!("{at}.expression"), "expression is not specified");
            continue;
        }
        let compiled = compile(expression, Result_::Anything, Place::condition(params), Some(&known));
        if let Err(why) = &compiled {
            report.invalid_text(&format!("{at}.expression"), expression, why);
        }
        known.add(name, compiled.as_ref().ok());
    }
    (items(list).count() > 0).then_some(known)
}

/// Whether an expression compiles to what is wanted.
pub(super) fn check(
    expression: &str,
    result: Result_,
    place: Place,
    variables: Option<&Variables>,
    at: &str,
    report: &mut Report,
) {
    if let Err(why) = compile(expression, result, place, variables) {
        report.invalid_text(at, expression, &why);
    }
}

fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !is_reserved(name)
}
