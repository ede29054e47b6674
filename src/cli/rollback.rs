//! `moin rollback`: a new commit with an old state.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::args::{SourceArgs, TriggerArgs, open_repository, render_options};
use super::offline::{Between, Offline};
use super::{Outcome, output};
use crate::config::RepositoryPlace;
use crate::daemon::rules_of;
use crate::finding::{Finding, Severity};
use crate::model::{Manifest, Revision};
use crate::plan::{self, Accepted, Context, Plan};
use crate::source::{CommitInfo, WorkingCopy};

const EXAMPLES: &str = "\
Examples:
  moin rollback HEAD~1 --dry-run         what taking back the last commit would do, and what cannot go back
  moin rollback HEAD~1                   commit it on the branch that is checked out
  moin rollback 3f2c1d9 --anyway         although something of it will be refused";

/// Go back to an old state with a new commit on the branch that is checked out.
///
/// History stays as it is, so that moin may apply the commit. It says beforehand what cannot go back: lower versions
/// of a Cluster, fields that are set once, versions that objects are stored in, deleted data. Ends with 0 when it is committed,
/// with 1 when something of it would be refused and nothing was committed, with 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RollbackArgs {
    /// The commit whose state comes back.
    #[arg(value_name = "REVISION")]
    revision: String,
    /// Say what it would do, and commit nothing.
    #[arg(long)]
    dry_run: bool,
    /// Commit although something of it will be refused.
    #[arg(long)]
    anyway: bool,
    /// Why, for the commit message.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    triggers: TriggerArgs,
}

/// Run the command.
pub fn run(args: &RollbackArgs) -> Outcome {
    let settings = args.source.settings()?;
    let folder = match &settings.repository {
        None => PathBuf::from("."),
        Some(RepositoryPlace::Folder(folder)) => folder.clone(),
        Some(RepositoryPlace::Url(_)) => {
            return Err("a commit is made in a working copy: give --repo DIR".into());
        }
    };
    let copy = WorkingCopy::open(&folder, &args.revision)?;
    let old = copy.old();
    let source = open_repository(&settings)?;
    let mut offline = Offline::new(source, render_options(&settings), args.triggers.namespaces()?);
    let between = offline.between(&format!("HEAD..{old}"))?;
    if let Some(code) = between.head.could_not_render() {
        return Ok(code);
    }
    let taken_back = copy.taken_back()?;
    let (summary, findings) = what_it_does(&between);
    let list: String = taken_back.iter().map(|commit| format!("  {}\n", line(commit))).collect();
    output::words(&format!("back to {}, which takes back:\n{list}{summary}\n", old.short()))?;
    output::findings(&findings);
    let refused = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if refused > 0 && !args.anyway {
        let what = if refused == 1 { "1 thing" } else { "these things" };
        output::words(&format!(
            "nothing was committed: {what} cannot go back; --anyway commits all the same\n"
        ))?;
        return Ok(1);
    }
    if args.dry_run {
        return Ok(0);
    }
    let commit = copy.go_back(&message(&old, &taken_back, args.reason.as_deref()))?;
    let branch = copy.branch();
    output::words(&format!("committed {} on {branch}; push it, and moin applies it\n", commit.short()))?;
    Ok(0)
}

/// The plan in a line, and what a person should know before.
fn what_it_does(between: &Between) -> (String, Vec<Finding>) {
    let Between { base, base_revision, head, head_revision } = between;
    let applied: Vec<Arc<Manifest>> = base.review.admitted.manifests().to_vec();
    let now = Timestamp::UNIX_EPOCH.to_string();
    let mut live = plan::live_state_of(&applied, &base.manifests.schemas, &now);
    live.kinds = plan::served_kinds(applied.iter().chain(&head.manifests.manifests), &head.manifests.schemas);
    let recorded = applied.iter().map(|manifest| (manifest.id.clone(), manifest.body.clone())).collect();
    let rules = rules_of(&head.manifests, &[]);
    let context = Context {
        revision: head_revision,
        applied: Some(base_revision),
        schemas: &head.manifests.schemas,
        recorded: &recorded,
        described: head.review.admitted.described(),
        accepted: &Accepted::default(),
        rules: &rules,
        now: &now,
    };
    let plan = plan::plan(&head.review.admitted, &live, &context);
    let mut findings = head.findings();
    // What HEAD has against it as well is nothing that going back brings.
    let known = base.findings();
    findings
        .retain(|finding| !known.iter().any(|old| old.code == finding.code && old.object == finding.object));
    findings.extend(plan.findings.iter().cloned());
    findings.extend(plan::no_way_back(&plan, &live));
    (summary(&plan), findings)
}

fn summary(plan: &Plan) -> String {
    let creates = plan.steps.iter().filter(|step| step.action == plan::Action::Create).count();
    let changes = plan.steps.iter().filter(|step| step.writes()).count() - creates;
    let deletions = &plan.deletions;
    let deletes = deletions.allowed.len() + deletions.waiting.len() + deletions.held.len();
    format!("{creates} to create, {changes} to change, {deletes} to delete")
}

fn line(commit: &CommitInfo) -> String {
    format!("{} {}", commit.revision.short(), commit.summary)
}

fn message(old: &Revision, taken_back: &[CommitInfo], reason: Option<&str>) -> String {
    let list: String = taken_back.iter().map(|commit| format!("- {}\n", line(commit))).collect();
    let reason = reason.map(|reason| format!("{reason}\n\n")).unwrap_or_default();
    format!("Roll back to {}\n\n{reason}The files are those of {old} again. Taken back:\n{list}", old.short())
}
