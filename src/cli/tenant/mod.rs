//! `moin tenant new`: the files of a tenant, from the repository's own template.

mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::{SourceArgs, TriggerArgs};
use super::offline::Offline;
use super::{BoxError, Outcome, output};
use crate::config::{RepositoryPlace, TenantTemplate};
use crate::finding::{Finding, Severity};
use crate::model::{ObjectId, RepoPath};
use template::{TemplateError, fill};

const EXAMPLES: &str = "\
Examples:
  moin tenant new team-c --cluster mgmt1                      its namespace
  moin tenant new team-c --cluster mgmt1 --set workload=web   and a Cluster, if the template has one
  moin diff                                                   what it would bring, before the commit";

/// Tenants of the repository.
#[derive(Debug, Args)]
pub struct TenantArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(NewArgs),
}

/// Write the files of a new tenant into the working tree, ready to commit.
///
/// They come from the folder that `spec.tenants.template` of `moin.yaml` names: `${tenant}` in file names and texts
/// is the name, `${cluster}` the management cluster; other values come from --set, or from `spec.tenants.values`. A file
/// whose name holds a value that nobody gave is left out. Ends with 0 when the repository with them holds, with 1 when a
/// policy or a rule refuses something of them, with 2 when nothing was written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct NewArgs {
    /// Name of the tenant and of its namespace: lower case letters, digits and '-'.
    #[arg(value_name = "NAME")]
    tenant: String,
    /// A value for `${KEY}` in the template.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Run the command.
pub fn run(args: TenantArgs) -> Outcome {
    match args.command {
        Command::New(args) => new(&args),
    }
}

fn new(args: &NewArgs) -> Outcome {
    is_namespace_name(&args.tenant)?;
    let settings = args.source.settings()?;
    let folder = match &settings.repository {
        None => PathBuf::from("."),
        Some(RepositoryPlace::Folder(folder)) => folder.clone(),
        Some(RepositoryPlace::Url(_)) => {
            return Err("a tenant's files go into a working tree: give --repo DIR".into());
        }
    };
    let triggers = TriggerArgs::default();
    let before = Offline::reviewed(&args.source, &triggers, None)?;
    if let Some(code) = before.could_not_render() {
        return Ok(code);
    }
    let repository = &before.manifests.repository;
    let tenants = repository.tenants.as_ref().ok_or(
        "moin.yaml says nothing of tenants: `spec.tenants` needs `template`, a folder of files with ${tenant} in them, and \
         `folder`, where they go",
    )?;
    let namespace = ObjectId::new("", "Namespace", None, &args.tenant);
    if let Some(taken) = before.manifests.manifests.iter().find(|manifest| manifest.id == namespace) {
        let at = format!("{}:{}", taken.origin.source.file, taken.origin.line);
        return Err(format!("the name {} is taken: its namespace is in {at}", args.tenant).into());
    }
    let mut values = tenants.values.clone();
    values.extend(settings.cluster.map(|cluster| ("cluster".to_owned(), cluster)));
    for pair in &args.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("--set {pair}: write KEY=VALUE"))?;
        values.insert(key.trim().to_owned(), value.to_owned());
    }
    values.insert("tenant".to_owned(), args.tenant.clone());
    let files = filled_files(&folder, tenants, &values)?;
    write(&folder, &files)?;
    let after = Offline::reviewed(&args.source, &triggers, None)?;
    let about: Vec<Finding> =
        after.findings().into_iter().filter(|finding| is_about(finding, &files)).collect();
    output::findings(&about);
    let names: String = files.iter().map(|(path, _)| format!("{path}\n")).collect();
    output::result(&names)?;
    Ok(u8::from(about.iter().any(|finding| finding.severity == Severity::Error)))
}

/// The name of a namespace: a DNS label.
fn is_namespace_name(name: &str) -> Result<(), BoxError> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(|b| inner(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    Err(format!(
        "{name:?} cannot be the name of a namespace: use lower case letters, digits and '-', at most 63, with a letter or \
         digit at both ends"
    )
    .into())
}

/// The template's files with the values in their places, by their paths in the repository.
fn filled_files(
    folder: &Path,
    tenants: &TenantTemplate,
    values: &BTreeMap<String, String>,
) -> Result<Vec<(RepoPath, String)>, BoxError> {
    let in_settings = |error: TemplateError| format!("moin.yaml, spec.tenants.folder: {error}");
    let target: RepoPath = fill(&tenants.folder, values).map_err(in_settings)?.parse()?;
    let root = folder.join(tenants.template.as_str());
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let at = root.join(&below);
        let entries = std::fs::read_dir(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.to_string_lossy();
            // A file is left out when its name holds something that nobody asked for.
            let Ok(name) = fill(&name, values) else { continue };
            let text = std::fs::read_to_string(entry.path());
            let text = text.map_err(|error| format!("{}: {error}", entry.path().display()))?;
            let text = fill(&text, values)
                .map_err(|error| format!("{}/{}, {error}", tenants.template, path.display()))?;
            files.push((target.join(&name)?, text));
        }
    }
    if files.is_empty() {
        return Err(format!("the template {} has no file to fill", tenants.template).into());
    }
    files.sort();
    Ok(files)
}

/// All files, or none if one of them is there already.
fn write(folder: &Path, files: &[(RepoPath, String)]) -> Result<(), BoxError> {
    if let Some((path, _)) = files.iter().find(|(path, _)| folder.join(path.as_str()).exists()) {
        return Err(format!("{path} is there already; nothing was written").into());
    }
    for (path, text) in files {
        let path = folder.join(path.as_str());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        }
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn is_about(finding: &Finding, files: &[(RepoPath, String)]) -> bool {
    finding.location.as_ref().is_some_and(|at| files.iter().any(|(path, _)| *path == at.file))
}
