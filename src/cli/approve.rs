//! `moin approve`: what waits for an approval, and giving one.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{ClusterArgs, SettingsArgs};
use super::reconciliation::Operated;
use super::{BoxError, Outcome, output};
use crate::config::{ApprovalAction, SHORTEST_REVISION};
use crate::model::ObjectId;

const EXAMPLES: &str = "\
Examples:
  moin approve                                                 what waits, and which command lets it go on
  moin approve delete Cluster/team-a/web --reason 'team-a closes'
  moin approve force-delete Cluster/team-a/web                 although load balancers or volumes would stay behind
  moin approve recreate Deployment/team-a/api                  delete it and create it anew, for a field that cannot change
  moin approve deletions 3f2c1d9                               more deletions than protection.maxDeletions in this commit
  moin approve revision 3f2c1d9                                a commit that does not descend from the applied one

Actions: delete, force-delete, recreate, create (an object); deletions, revision (a commit); rebuild (a management cluster).";

/// The field manager of the list of approvals.
const MANAGER: &str = "moin-approve";

/// Allow something that waits for an approval, or list what does.
///
/// The approval is written into the Reconciliation's spec with your own rights, names one action on one thing, and ends
/// with the revision it was given for. Entries whose revision is past are taken out on the way.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ApproveArgs {
    /// What to allow; without it, what waits is listed.
    action: Option<String>,
    /// What it is about: `Kind[.group]/namespace/name`, a commit, or a management cluster. May be left out if only one waits.
    #[arg(value_name = "OBJECT|REVISION|CLUSTER")]
    subject: Option<String>,
    /// Why, for those who read it later.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The revision that an approval of an object or a management cluster is for; else the one that the daemon is at.
    #[arg(long, value_name = "COMMIT")]
    revision: Option<String>,
    /// Show what would be allowed, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Owner name, where several repositories reconcile the cluster.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How to print the list.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// `{"waiting": [...], "given": [...]}`.
    Json,
}

/// Run the command.
pub fn run(args: ApproveArgs) -> Outcome {
    let action = args.action.as_deref().map(action_of).transpose()?;
    if let Some(revision) = &args.revision {
        is_revision(revision)?;
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut operated = Operated::find(&args.settings, &args.cluster, args.name.as_deref()).await?;
        match action {
            None => list(&operated, args.output),
            Some(action) => approve(&args, action, &mut operated).await,
        }
    })
}

/// The command that lets a finding of a Reconciliation's status go on, if an approval does.
pub fn command_for(finding: &Value) -> Option<String> {
    let request = &finding["approval"];
    let subject = ["object", "revision", "cluster"].iter().find_map(|field| request[*field].as_str());
    Some(format!("moin approve {} {}", request["action"].as_str()?, subject?))
}

fn action_of(word: &str) -> Result<ApprovalAction, BoxError> {
    let known = ApprovalAction::WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, action)| *action).ok_or_else(|| {
        let words: Vec<&str> = ApprovalAction::WORDS.iter().map(|(word, _)| *word).collect();
        format!("{word:?} is nothing that can be approved; actions are {}", words.join(", ")).into()
    })
}

fn is_revision(text: &str) -> Result<(), BoxError> {
    let id = text.strip_prefix("folder:").unwrap_or(text);
    if id.len() >= SHORTEST_REVISION && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(format!("{text:?} is no commit id; write at least {SHORTEST_REVISION} characters of one").into())
}

/// Findings that ask for an approval.
fn pending(body: &Value) -> Vec<&Value> {
    let findings = body["status"]["findings"].as_array().into_iter().flatten();
    findings.filter(|finding| finding["approval"]["action"].is_string()).collect()
}

fn given(body: &Value) -> Vec<Value> {
    body["spec"]["approvals"].as_array().cloned().unwrap_or_default()
}

/// Whether an entry names a revision that is neither applied nor being applied.
fn is_past(entry: &Value, body: &Value) -> bool {
    // One of another revision than the daemon was let at is the very point of this action.
    if entry["action"] == ApprovalAction::Revision.word() {
        return false;
    }
    let Some(named) = entry["revision"].as_str() else { return false };
    let status = &body["status"];
    let known: Vec<&str> =
        ["revision", "appliedRevision"].iter().filter_map(|field| status[*field].as_str()).collect();
    !known.is_empty() && !known.iter().any(|revision| revision.starts_with(named))
}

fn list(operated: &Operated, format: Format) -> Outcome {
    let body = &operated.live.body;
    let (waiting, given) = (pending(body), given(body));
    if format == Format::Json {
        let all = json!({"waiting": waiting, "given": given});
        output::result(&(serde_json::to_string_pretty(&all)? + "\n"))?;
        return Ok(0);
    }
    let mut out = String::new();
    if waiting.is_empty() {
        out += "nothing waits for an approval\n";
    }
    for finding in waiting {
        let object = finding["object"].as_str().map(|object| format!("{object}: ")).unwrap_or_default();
        let message = finding["message"].as_str().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{object}{message}\n  {}", command_for(finding).unwrap_or_default());
    }
    for entry in given {
        let past = if is_past(&entry, body) { " (past)" } else { "" };
        let _ = writeln!(out, "approved: {}{past}", words(&entry));
    }
    output::words(&out)?;
    Ok(0)
}

/// An entry of `spec.approvals` in words.
fn words(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str().map(str::to_owned);
    let mut words = text("action").unwrap_or_default();
    for part in [text("object"), text("cluster")].into_iter().flatten() {
        words += &format!(" {part}");
    }
    for (link, part) in [(" at ", text("revision")), (": ", text("reason"))] {
        words += &part.map(|part| format!("{link}{part}")).unwrap_or_default();
    }
    words
}

async fn approve(args: &ApproveArgs, action: ApprovalAction, operated: &mut Operated) -> Outcome {
    let subject = match &args.subject {
        Some(subject) => subject.clone(),
        None => the_only_one(action, &operated.live.body)?,
    };
    let mut entry = json!({"action": action.word()});
    match action.needs() {
        "object" => {
            entry["object"] = object_of(action, &subject, operated).await?.full().into();
            entry["revision"] = revision_for(args.revision.as_deref(), &operated.live.body)?.into();
        }
        "revision" => {
            is_revision(&subject)?;
            entry["revision"] = subject.as_str().into();
        }
        field => {
            entry[field] = subject.as_str().into();
            entry["revision"] = revision_for(args.revision.as_deref(), &operated.live.body)?.into();
        }
    }
    if let Some(reason) = &args.reason {
        entry["reason"] = reason.as_str().into();
    }
    output::words(&allows(action, &entry, &operated.live.body))?;
    if args.dry_run {
        return Ok(0);
    }
    let same = |a: &Value, b: &Value| {
        ["action", "object", "revision", "cluster"].iter().all(|field| a[*field] == b[*field])
    };
    let edit = |body: &Value| {
        let kept = given(body).into_iter().filter(|old| !is_past(old, body) && !same(old, &entry));
        kept.chain([entry.clone()]).collect()
    };
    operated.edit("approvals", MANAGER, edit).await?;
    output::words("approved\n")?;
    Ok(0)
}

/// The revision that an approval ends with: without one it would hold for ever.
fn revision_for<'a>(named: Option<&'a str>, body: &'a Value) -> Result<&'a str, BoxError> {
    named.or(body["status"]["revision"].as_str()).ok_or_else(|| {
        "the daemon records no revision yet, so say for which one this is approved: --revision COMMIT".into()
    })
}

/// The subject of the only request for this action.
fn the_only_one(action: ApprovalAction, body: &Value) -> Result<String, BoxError> {
    let requests = pending(body).into_iter().map(|finding| &finding["approval"]);
    let mut subjects: Vec<&str> = requests
        .filter(|request| request["action"] == action.word())
        .filter_map(|request| request[action.needs()].as_str())
        .collect();
    subjects.sort_unstable();
    subjects.dedup();
    match subjects[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(format!("nothing waits for this; name the {} that you mean", action.needs()).into()),
        _ => Err(format!("several wait for this, name one: {}", subjects.join(", ")).into()),
    }
}

/// The object that is meant, with its group: one that waits, or one that is in the cluster.
async fn object_of(action: ApprovalAction, subject: &str, operated: &Operated) -> Result<ObjectId, BoxError> {
    let meant: ObjectId = subject.parse()?;
    let fits = |id: &ObjectId| {
        (meant.group().is_empty() || meant.group() == id.group())
            && (meant.kind(), meant.namespace(), meant.name()) == (id.kind(), id.namespace(), id.name())
    };
    let waiting = pending(&operated.live.body);
    let waiting = waiting.iter().filter_map(|finding| finding["object"].as_str()?.parse().ok());
    if let Some(id) = waiting.into_iter().find(fits) {
        return Ok(id);
    }
    let kinds = operated.cluster.discover().await?;
    let of_kind = |(kind, _): &(&crate::model::GroupKind, &Vec<_>)| {
        &*kind.kind == meant.kind() && (meant.group().is_empty() || *kind.group == *meant.group())
    };
    let mut found = None;
    for (kind, versions) in kinds.iter().filter(of_kind) {
        let Some(served) = versions.first() else { continue };
        if served.namespaced != meant.namespace().is_some() {
            let form = if served.namespaced { "Kind/NAMESPACE/NAME" } else { "Kind/NAME" };
            return Err(format!("{subject}: write it as {form}").into());
        }
        let id = ObjectId::new(&kind.group, &kind.kind, meant.namespace(), meant.name());
        if operated.cluster.get(served, &id).await?.is_some()
            && let Some(other) = found.replace(id)
        {
            return Err(format!("{subject} may be {other} of several groups; write Kind.group").into());
        }
    }
    match found {
        Some(id) => Ok(id),
        None if action == ApprovalAction::Create => Ok(meant),
        None if !kinds.iter().any(|entry| of_kind(&entry)) => Err(format!(
            "nobody serves the kind {} here; write Kind[.group], as in Cluster/team-a/web",
            meant.kind()
        )
        .into()),
        None => Err(format!("there is no {subject} in this cluster").into()),
    }
}

/// What an entry allows, and what is known of what it is about.
fn allows(action: ApprovalAction, entry: &Value, body: &Value) -> String {
    let what = match action {
        ApprovalAction::Delete => "deletes the object, once nothing needs it any more",
        ApprovalAction::ForceDelete => {
            "deletes the object, whatever in its cluster that leaves behind in the cloud"
        }
        ApprovalAction::Recreate => "deletes the object and creates it anew, as the commit has it",
        ApprovalAction::Deletions => "lets this commit delete more objects than protection.maxDeletions",
        ApprovalAction::Revision => "applies this commit, though it does not descend from the applied one",
        ApprovalAction::Rebuild => "fills the management cluster that was built anew",
        ApprovalAction::Create => "creates the object, though a real cluster of it may exist already",
    };
    let mut out = format!("{}\n  {what}\n", words(entry));
    let is_asked = |finding: &&Value| {
        let asked = &finding["approval"];
        let subject = action.needs();
        let (asked_for, named) = (asked[subject].as_str(), entry[subject].as_str().unwrap_or_default());
        // A commit may be named by its beginning.
        asked["action"] == action.word()
            && asked_for.is_some_and(|it| it.starts_with(named) || named.starts_with(it))
    };
    if !pending(body).iter().any(is_asked) {
        out += "  now: nothing waits for it; should something do so later, it need not ask\n";
    }
    for finding in pending(body) {
        let about = finding["object"].as_str().map(str::to_owned);
        let about = about.filter(|about| entry["object"] == about.as_str());
        if let (Some(_), Some(message)) = (about, finding["message"].as_str()) {
            out += &format!("  now: {message}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({"status": {"revision": "3f2c1d9aaa", "appliedRevision": "1111111aaa", "findings": [
            {"code": "MOIN-0704", "object": "Namespace/a", "message": "protected",
                "approval": {"action": "delete", "object": "Namespace/a"}},
            {"code": "MOIN-0704", "object": "Namespace/b", "message": "protected",
                "approval": {"action": "delete", "object": "Namespace/b"}},
            {"code": "MOIN-0102", "message": "rewritten", "approval": {"action": "revision", "revision": "2222222"}},
            {"code": "MOIN-0801", "message": "other"}]}})
    }

    #[test]
    fn what_waits_names_its_command() {
        let body = body();
        let commands: Vec<String> = pending(&body).into_iter().filter_map(command_for).collect();
        assert_eq!(commands[0], "moin approve delete Namespace/a");
        assert_eq!(commands[2], "moin approve revision 2222222");
        assert_eq!(the_only_one(ApprovalAction::Revision, &body).unwrap(), "2222222");
        assert!(the_only_one(ApprovalAction::Delete, &body).unwrap_err().to_string().contains("Namespace/b"));
        assert!(the_only_one(ApprovalAction::Rebuild, &body).is_err());
        let nothing = |action, entry: Value| allows(action, &entry, &body).contains("nothing waits for it");
        assert!(nothing(ApprovalAction::Rebuild, json!({"action": "rebuild", "cluster": "mgmt1"})));
        assert!(!nothing(ApprovalAction::Delete, json!({"action": "delete", "object": "Namespace/a"})));
        assert!(!nothing(ApprovalAction::Revision, json!({"action": "revision", "revision": "2222222aaaa"})));
    }

    #[test]
    fn an_approval_ends_with_its_revision() {
        let body = body();
        let entry = |action: &str, revision: &str| json!({"action": action, "revision": revision});
        assert!(!is_past(&entry("delete", "3f2c1d9"), &body) && !is_past(&entry("delete", "1111111"), &body));
        assert!(is_past(&entry("delete", "4444444"), &body));
        assert!(!is_past(&entry("revision", "4444444"), &body));
        let rebuild = json!({"action": "rebuild", "cluster": "mgmt2", "revision": "4444444"});
        assert!(is_past(&rebuild, &body));
        // Written by hand, without a revision.
        assert!(!is_past(&json!({"action": "rebuild", "cluster": "mgmt2"}), &body));
        assert_eq!(revision_for(None, &body).unwrap(), "3f2c1d9aaa");
        assert_eq!(revision_for(Some("4444444"), &body).unwrap(), "4444444");
        assert!(revision_for(None, &json!({})).unwrap_err().to_string().contains("--revision"));
    }

    #[test]
    fn an_unknown_action_lists_the_known_ones() {
        assert!(action_of("kill").unwrap_err().to_string().contains("force-delete"));
        assert!(
            is_revision("3f2c1d9").is_ok() && is_revision("main").is_err() && is_revision("3f2").is_err()
        );
    }
}
