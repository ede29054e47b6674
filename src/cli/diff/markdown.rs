//! A plan as a comment on a pull request: one line first, then a table, then each object's diff folded away.

use std::fmt::Write as _;

use super::{Entry, Summary, text};
use crate::finding::{Finding, Severity};

/// GitHub refuses comments beyond 65,536 characters; what does not fit is counted.
const MAX_LENGTH: usize = 60_000;

/// The comment.
pub fn comment(entries: &[Entry], findings: &[Finding], summary: &Summary) -> String {
    let mut out = format!("### moin: {summary}\n\n");
    refusals(&mut out, findings);
    if !entries.is_empty() {
        out.push_str("| | object | what happens | where it is written |\n|---|---|---|---|\n");
    }
    for entry in entries {
        let origin = entry.origin.as_deref().unwrap_or("no longer in the repository");
        let _ = writeln!(
            out,
            "| {} | `{}` | {} | {} |",
            entry.sign(),
            entry.object,
            entry.meaning(),
            cell(origin)
        );
    }
    out.push('\n');
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
    out
}

fn refusals(out: &mut String, findings: &[Finding]) {
    for (severity, word) in [(Severity::Error, "refused or broken"), (Severity::Warning, "worth a look")] {
        let some: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == severity).collect();
        if some.is_empty() {
            continue;
        }
        let _ = writeln!(out, "**{} {word}**\n", some.len());
        for finding in some {
            let place =
                finding.location.as_ref().map_or(String::new(), |at| format!(" `{}:{}`", at.file, at.line));
            let object = finding.object.as_ref().map_or(String::new(), |id| format!(" `{id}`"));
            let _ = writeln!(out, "- {}{place}{object}: {}", finding.code, cell(&finding.message));
            if let Some(help) = &finding.help {
                let _ = writeln!(out, "  {}", cell(help));
            }
        }
        out.push('\n');
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

/// Text that cannot break out of a table cell or start HTML.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
