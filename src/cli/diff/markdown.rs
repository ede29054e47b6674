//! A plan as a comment on a pull request, for people who may never have heard of moin: what would happen in one line,
//! what loosens a guard, what stands in the way, tables of what the files and the rules bring, then each object's
//! diff folded away.

use std::fmt::Write as _;

use super::danger::{self, Danger};
use super::escape::{code, html, text as plain, visible_lines};
use super::{Entry, Summary, text};
use crate::finding::{Code, Finding, Location, Severity};
use crate::model::{ObjectId, Origin};

/// GitHub refuses comments beyond 65,536 characters; what does not fit is counted.
const MAX_LENGTH: usize = 60_000;
/// Of these, at most so many for findings, and so many for findings and tables together.
const MAX_FINDINGS: usize = 20_000;
const MAX_TABLE: usize = 40_000;
/// More fields of one object are counted.
const MAX_FIELDS: usize = 3;
/// The diff of one object is cut after so many lines.
const MAX_LINES: usize = 200;

/// The comment. `live` says whether it was compared with a cluster or with another revision.
pub fn comment(entries: &[Entry], findings: &[Finding], summary: &Summary, live: bool) -> String {
    let dangers = danger::all(entries).join("; ");
    let dangers = if dangers.is_empty() { dangers } else { format!("; {dangers}") };
    let mut out = format!("### moin: {summary}{dangers}\n\n");
    out.push_str(match live {
        true => "Compared with the cluster as it is; nothing was applied.\n\n",
        false => "What merging this would do to the cluster, worked out from the files alone; nothing was applied.\n\n",
    });
    let loosened = |finding: &&Finding| finding.code == Code::PolicyWeakened;
    let of = |severity: Severity| {
        findings.iter().filter(move |finding| finding.severity == severity && !loosened(finding)).collect()
    };
    problems(
        &mut out,
        "This change loosens what guards the cluster: review that first",
        findings.iter().filter(loosened).collect(),
    );
    problems(&mut out, "Refused or wrong: not applied until it is mended", of(Severity::Error));
    problems(&mut out, "Worth a look", of(Severity::Warning));
    let (by_rules, in_files): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| entry.origin.as_ref().is_some_and(|origin| origin.rule.is_some()));
    table(&mut out, "| | object | what happens | risk | file |\n|---|---|---|---|---|\n", &in_files);
    if !by_rules.is_empty() {
        out.push_str("Brought by rules of this repository; these objects stand in no file of their own:\n\n");
        table(
            &mut out,
            "| | object | what happens | risk | rule | because of |\n|---|---|---|---|---|---|\n",
            &by_rules,
        );
    }
    diffs(&mut out, entries);
    out
}

/// A comment, and below it, folded away, how policies came to what they say, as far as there is room.
pub fn with_explanations(mut comment: String, explained: &str) -> String {
    let mut text = String::new();
    let room = MAX_LENGTH.saturating_sub(comment.len());
    for line in explained.lines() {
        let line = html(line);
        if text.len() + line.len() > room {
            text.push_str("...\n");
            break;
        }
        text += &format!("{line}\n");
    }
    if !text.is_empty() {
        let _ = write!(
            comment,
            "<details><summary>How policies came to what they say</summary>\n\n<pre>\n{text}</pre>\n</details>\n"
        );
    }
    comment
}

fn problems(out: &mut String, heading: &str, some: Vec<&Finding>) {
    if some.is_empty() {
        return;
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
        let _ = writeln!(out, "- and {left_out} more that do not fit here; `moin check` shows all");
    }
    out.push('\n');
}

/// One finding as an item of a list: which object, where, what, by which rule, and what to do.
fn problem(finding: &Finding) -> String {
    let object = finding.object.as_ref().map(object);
    let field =
        finding.path.as_ref().map_or(String::new(), |path| format!(" at {}", code(&path.to_string())));
    let at = finding.location.as_ref().map(|at| format!("{}{field}", place(at)));
    let subject: Vec<String> = [object, at].into_iter().flatten().collect();
    let subject = if subject.is_empty() { String::new() } else { format!("{}: ", subject.join(" in ")) };
    let related = finding.related.as_ref().map_or(String::new(), |at| format!(", see {}", place(at)));
    let help = finding.help.as_deref().unwrap_or(finding.code.page().remedy);
    format!(
        "- {subject}{} ({}{related})<br>What to do: {}\n",
        plain(&finding.message),
        finding.code,
        plain(help)
    )
}

fn place(at: &Location) -> String {
    code(&format!("{}:{}", at.file, at.line))
}

fn table(out: &mut String, head: &str, entries: &[&Entry]) {
    if entries.is_empty() {
        return;
    }
    out.push_str(head);
    let mut left_out = 0;
    for entry in entries {
        let cells = [
            entry.sign().to_string(),
            object(&entry.object),
            what(entry),
            Danger::of(entry).word(),
            origin(entry),
        ];
        let row = format!("| {} |\n", cells.join(" | "));
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
}

fn what(entry: &Entry) -> String {
    let mut what = entry.verb().to_owned();
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
        (_, Some(reason)) => format!("{what}: {}", plain(reason)),
    }
}

/// Where an object is written; of one that a rule makes, the rule, its place, and what it answers to.
fn origin(entry: &Entry) -> String {
    match &entry.origin {
        None => {
            plain(entry.reason().filter(|_| entry.sign() == '-').unwrap_or("no longer in the repository"))
        }
        Some(Origin { rule: Some(rule), source, line, .. }) => format!(
            "{} of policy {}, {} | {}",
            code(&rule.rule),
            code(&rule.policy),
            code(&format!("{}:{line}", source.file)),
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
    let hunks = visible_lines(&text::plain_hunks(entry));
    let lines = hunks.lines().count();
    let mut shown: String = hunks.split_inclusive('\n').take(MAX_LINES).collect();
    if lines > MAX_LINES {
        let _ = writeln!(shown, "... {} more lines; `moin diff` shows them", lines - MAX_LINES);
    }
    // A fence longer than any run of backticks inside cannot be closed by the content.
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!(
        "<details><summary>{} <code>{}</code></summary>\n\n{fence}diff\n{shown}{fence}\n\n</details>\n\n",
        entry.verb(),
        html(&entry.object.to_string())
    )
}

/// ``Cluster `team-a/web` ``.
fn object(id: &ObjectId) -> String {
    let name = match id.namespace() {
        Some(namespace) => code(&format!("{namespace}/{}", id.name())),
        None => code(id.name()),
    };
    format!("{} {name}", plain(id.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_repository_says_cannot_break_out() {
        let finding = Finding::error(Code::PolicyViolation, "no\n\n# heading <img> @all | cell")
            .about(&ObjectId::new("", "<b>Kind", Some("a`b"), "n|m"))
            .at(Location::line(&"a`b.yaml".parse().unwrap(), 3));
        assert_eq!(
            problem(&finding),
            "- &lt;b&gt;Kind `a'b/n\\|m` in `a'b.yaml:3`: no  # heading &lt;img&gt; @\u{200b}all \\| cell (MOIN-0502)<br>What to do: \
             Change the object as the policy's message says.\n"
        );
    }

    #[test]
    fn thousands_of_findings_fit_into_a_comment() {
        let findings = vec![Finding::error(Code::PolicyViolation, "x".repeat(500)); 5000];
        let text = comment(&[], &findings, &Summary::of(&[], &findings), false);
        assert!(
            text.len() < MAX_LENGTH && text.contains("more that do not fit here; `moin check` shows all")
        );
    }

    #[test]
    fn what_loosens_a_guard_stands_first() {
        let findings = [
            Finding::error(Code::PolicyViolation, "wrong"),
            Finding::warning(Code::PolicyWeakened, "the policy is removed"),
        ];
        let text = comment(&[], &findings, &Summary::of(&[], &findings), false);
        let at = |words: &str| text.find(words).unwrap();
        assert!(
            at("loosens what guards") < at("the policy is removed")
                && at("the policy is removed") < at("Refused or wrong")
        );
    }
}
