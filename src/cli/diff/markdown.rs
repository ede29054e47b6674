//! A plan as a comment on a pull request, for people who may never have heard of moin: what would happen in one line,
//! what stands in the way, a table, then each object's diff folded away.

use std::fmt::Write as _;

use super::{Entry, Summary, text};
use crate::finding::{Finding, Severity};
use crate::model::{ObjectId, Origin};
use crate::plan::Risk;

/// GitHub refuses comments beyond 65,536 characters; what does not fit is counted.
const MAX_LENGTH: usize = 60_000;
/// Of these, at most so many for findings, and so many for findings and table together.
const MAX_FINDINGS: usize = 20_000;
const MAX_TABLE: usize = 40_000;
/// More fields of one object are counted.
const MAX_FIELDS: usize = 3;

/// The comment. `live` says whether it was compared with a cluster or with another revision.
pub fn comment(entries: &[Entry], findings: &[Finding], summary: &Summary, live: bool) -> String {
    let mut out = format!("### moin: {summary}\n\n");
    out.push_str(match live {
        true => "Compared with the cluster as it is; nothing was applied.\n\n",
        false => "What merging this would do to the cluster, worked out from the files alone; nothing was applied.\n\n",
    });
    problems(&mut out, findings);
    table(&mut out, entries);
    diffs(&mut out, entries);
    out
}

fn problems(out: &mut String, findings: &[Finding]) {
    for (severity, heading) in [
        (Severity::Error, "Refused or wrong: not applied until it is mended"),
        (Severity::Warning, "Worth a look"),
    ] {
        let some: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == severity).collect();
        if some.is_empty() {
            continue;
        }
        let _ = writeln!(out, "**{heading}**\n");
        let mut left_out = 0;
        for finding in some {
            let item = problem(finding);
            if out.len() + item.len() > MAX_FINDINGS {
                left_out += 1;
            } else {
                out.push_str(&item);
            }
        }
        if left_out > 0 {
            let _ = writeln!(out, "- and {left_out} more; `moin check` shows all");
        }
        out.push('\n');
    }
}

/// One finding as an item of a list: which object, where, what, and what to do.
fn problem(finding: &Finding) -> String {
    let object = finding.object.as_ref().map(object);
    let place = finding.location.as_ref().map(|at| format!("`{}:{}`", at.file, at.line));
    let subject: Vec<String> = [object, place].into_iter().flatten().collect();
    let subject = if subject.is_empty() { String::new() } else { format!("{}: ", subject.join(" in ")) };
    let help = finding.help.as_deref().unwrap_or(finding.code.page().remedy);
    format!("- {subject}{} ({})<br>What to do: {}\n", cell(&finding.message), finding.code, cell(help))
}

fn table(out: &mut String, entries: &[Entry]) {
    if entries.is_empty() {
        return;
    }
    out.push_str("| | object | what happens | where it comes from |\n|---|---|---|---|\n");
    let mut left_out = 0;
    for entry in entries {
        let row = format!(
            "| {} | {} | {} | {} |\n",
            entry.sign(),
            object(&entry.object),
            what(entry),
            origin(entry)
        );
        if out.len() + row.len() > MAX_TABLE {
            left_out += 1;
        } else {
            out.push_str(&row);
        }
    }
    out.push('\n');
    if left_out > 0 {
        let _ = writeln!(out, "{left_out} more objects do not fit here; `moin diff` shows them.\n");
    }
    if entries.iter().any(|entry| entry.origin.as_ref().is_some_and(|origin| origin.rule.is_some())) {
        out.push_str("Objects \"made by a rule\" stand in no file of their own: a policy of this repository adds them.\n\n");
    }
}

fn what(entry: &Entry) -> String {
    let mut what = entry.verb().to_owned();
    match entry.risk() {
        Some(Risk::Rolls) => what += ", **replaces machines or pods**",
        Some(Risk::NotRevertible) => what += ", **cannot be taken back**",
        Some(Risk::InPlace | Risk::Deletes) | None => {}
    }
    if !entry.is_exact() {
        what += ", predicted without its schema";
    }
    for field in entry.fields().iter().take(MAX_FIELDS) {
        let _ = write!(what, "<br>{}", code(&field.path));
        if let Some((old, new)) = &field.values {
            let _ = write!(what, " from {} to {}", code(old), code(new));
        }
    }
    if let Some(more) = entry.fields().len().checked_sub(MAX_FIELDS).filter(|more| *more > 0) {
        let _ = write!(what, "<br>and {more} more");
    }
    // Why something cannot be stands above, with its place and what to do.
    match (entry.sign(), entry.reason()) {
        ('!', _) => format!("{what}, see above"),
        ('-', _) | (_, None) => what,
        (_, Some(reason)) => format!("{what}: {}", cell(reason)),
    }
}

fn origin(entry: &Entry) -> String {
    match &entry.origin {
        None => cell(entry.reason().filter(|_| entry.sign() == '-').unwrap_or("no longer in the repository")),
        Some(Origin { rule: Some(rule), .. }) => format!(
            "made by a rule: {} of policy {}, for {}",
            code(&rule.rule),
            code(&rule.policy),
            object(&rule.trigger)
        ),
        Some(origin) => {
            let mut places = code(&format!("{}:{}", origin.source.file, origin.line));
            for overlay in &origin.overlays {
                let _ =
                    write!(places, ", changed by {}", code(&format!("{}:{}", overlay.file, overlay.line)));
            }
            places
        }
    }
}

fn diffs(out: &mut String, entries: &[Entry]) {
    let mut left_out = 0;
    for entry in entries.iter().filter(|entry| entry.has_diff()) {
        let details = details(entry);
        if out.len() + details.len() > MAX_LENGTH {
            left_out += 1;
        } else {
            out.push_str(&details);
        }
    }
    if left_out > 0 {
        let _ =
            writeln!(out, "The diffs of {left_out} more objects do not fit here; `moin diff` shows them.");
    }
}

fn details(entry: &Entry) -> String {
    let hunks = text::plain_hunks(entry);
    // A fence longer than any run of backticks inside cannot be closed by the content.
    let longest = hunks.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!(
        "<details><summary>{} <code>{}</code></summary>\n\n{fence}diff\n{hunks}{fence}\n\n</details>\n\n",
        entry.verb(),
        entry.object
    )
}

/// ``Cluster `team-a/web` ``.
fn object(id: &ObjectId) -> String {
    match id.namespace() {
        Some(namespace) => format!("{} {}", id.kind(), code(&format!("{namespace}/{}", id.name()))),
        None => format!("{} {}", id.kind(), code(id.name())),
    }
}

/// A code span that its text cannot end, nor a table cell around it.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|").replace(['\n', '\r'], " "))
}

/// Text that cannot break out of a table cell or start HTML.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Code;

    #[test]
    fn what_a_repository_says_cannot_break_out() {
        assert_eq!(code("a`b|c\nd"), "`a'b\\|c d`");
        assert_eq!(cell("<script>|\n"), "&lt;script>\\| ");
        let finding = Finding::error(Code::PolicyViolation, "no\n\n# heading");
        assert!(!problem(&finding).trim_end().contains('\n'));
    }

    #[test]
    fn thousands_of_findings_fit_into_a_comment() {
        let findings = vec![Finding::error(Code::PolicyViolation, "x".repeat(500)); 5000];
        let text = comment(&[], &findings, &Summary::of(&[], &findings), false);
        assert!(text.len() < MAX_LENGTH && text.contains("more; `moin check` shows all"));
    }
}
