//! The same scripted calls to the plane and to the real kube-apiserver, and what their answers differ in.
//!
//! A script is a file of steps with an empty line between them (its words are told in [`script`]). Nothing is
//! expected by a script: the real server's answer is what is right. What no two servers have in common (uids,
//! times, resourceVersions) is replaced before the answers are compared ([`normalise`]).

pub mod normalise;
pub mod run;
pub mod script;

use std::path::Path;

use run::{Observed, Side};
use script::Step;
use similar::TextDiff;

/// Runs a script of `tests/differential` against both sides.
///
/// # Panics
/// When an answer differs that is not marked as known to, or does not although it is marked.
pub async fn compare(name: &str, plane: kube::Client, real: kube::Client) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential").join(format!("{name}.calls"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let steps = script::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut plane, mut real) = (Side::new(plane), Side::new(real));
    let mut wrong = Vec::new();
    for step in &steps {
        let (ours, theirs) = tokio::join!(plane.perform(step), real.perform(step));
        if let Some(what) = judge(name, step, &ours, &theirs) {
            wrong.push(what);
        }
    }
    assert!(wrong.is_empty(), "{} of {} steps differ:\n{}", wrong.len(), steps.len(), wrong.join("\n"));
}

/// What is wrong with a step, if anything.
fn judge(script: &str, step: &Step, ours: &Observed, theirs: &Observed) -> Option<String> {
    if step.is_skipped() {
        return None;
    }
    let common = step.has("served").then(|| ours.served());
    let (ours, theirs) = (ours.text(step, None), theirs.text(step, common.as_ref()));
    match (step.known(), ours == theirs) {
        (None, true) | (Some(_), false) => None,
        (Some(_), true) => {
            Some(format!("{script}.calls:{}: does not differ any more: {}", step.line, step.head))
        }
        (None, false) => {
            let difference = TextDiff::from_lines(&theirs, &ours);
            let shown = difference.unified_diff().context_radius(2).header("real", "plane").to_string();
            Some(format!("{script}.calls:{}: {}\n{shown}", step.line, step.head))
        }
    }
}
