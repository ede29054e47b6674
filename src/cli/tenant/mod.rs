//! `moin tenant new`: the files of a tenant, from the repository's own template.

mod files;
mod name;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::{SourceArgs, open_repository, render_options};
use super::offline::{Offline, Reviewed};
use super::{BoxError, Outcome, output};
use crate::config::{RepositoryPlace, Settings};
use crate::finding::{Finding, Severity};
use crate::model::{Manifest, RepoPath};
use files::{NewFile, Template, with_files, write};

const EXAMPLES: &str = "\
Examples:
  moin tenant new team-c --cluster mgmt1                      its namespace
  moin tenant new team-c --cluster mgmt1 --set workload=web --set version=v1.34.2
                                                              and a Cluster, if the template has one
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
/// whose name holds a value that nobody gave is left out. The repository is judged with them first: ends with 1 when a
/// policy or a rule refuses something of them, with 2 when the name or a value cannot be; nothing is written then.
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
    if let Some(why) = name::refused(&args.tenant) {
        return Err(why.into());
    }
    let settings = args.source.settings()?;
    let root = working_tree(&settings)?;
    let mut offline = Offline::new(open_repository(&settings)?, render_options(&settings), BTreeMap::new());
    let snapshot = offline.snapshot(None)?;
    let before = offline.review(&snapshot, None);
    if let Some(code) = before.could_not_render() {
        return Ok(code);
    }
    let template = template_of(&before)?;
    if let Some(at) = name::taken(&args.tenant, &snapshot, &template.folder()?) {
        return Err(format!("the name {} is taken: its namespace is in {at}", args.tenant).into());
    }
    let given = given_values(&args.set)?;
    if let Some(why) = template.unasked(&snapshot, given.keys().map(String::as_str)) {
        return Err(why.into());
    }
    let mut values = template.settings.values.clone();
    values.extend(settings.cluster.clone().map(|cluster| ("cluster".to_owned(), cluster)));
    values.extend(given);
    values.insert("tenant".to_owned(), args.tenant.clone());
    let files = template.filled(&snapshot, &values)?;
    let target = template.target(&values)?;
    is_free(&root, &target, &files)?;
    let after = offline.review(&with_files(&snapshot, &files), Some(&before.manifests));
    if let Some(why) = name::too_long(&new_objects(&after, &files, &args.tenant), &args.tenant) {
        return Err(why.into());
    }
    let about: Vec<Finding> =
        after.findings().into_iter().filter(|finding| is_about(finding, &files)).collect();
    output::findings(&about);
    if about.iter().any(|finding| finding.severity == Severity::Error) {
        output::complain("nothing was written");
        return Ok(1);
    }
    write(&root, &files)?;
    let names: String = files.iter().map(|(path, _)| format!("{path}\n")).collect();
    output::result(&names)?;
    output::complain(&next_steps(&args.tenant, &target, &settings));
    Ok(0)
}

fn working_tree(settings: &Settings) -> Result<PathBuf, BoxError> {
    match &settings.repository {
        None => Ok(PathBuf::from(".")),
        Some(RepositoryPlace::Folder(folder)) => Ok(folder.clone()),
        Some(RepositoryPlace::Url(_)) => {
            Err("a tenant's files go into a working tree: give --repo DIR".into())
        }
    }
}

fn template_of(reviewed: &Reviewed) -> Result<Template<'_>, BoxError> {
    let repository = &reviewed.manifests.repository;
    let settings = repository.tenants.as_ref().ok_or(
        "moin.yaml says nothing of tenants: `spec.tenants` needs `template`, a folder of files with ${tenant} in them, and \
         `folder`, where they go",
    )?;
    let base = repository.source.as_ref().map(|source| source.file.parent()).unwrap_or_default();
    Ok(Template { settings, base })
}

fn given_values(pairs: &[String]) -> Result<BTreeMap<String, String>, BoxError> {
    let mut values = BTreeMap::new();
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("--set {pair}: write KEY=VALUE"))?;
        let key = key.trim();
        if key == "tenant" || key == "cluster" {
            return Err(format!(
                "--set {key}: the tenant is the NAME, the management cluster comes with --cluster"
            )
            .into());
        }
        if value.is_empty() || value.contains(|c: char| c.is_control() || "\"\\".contains(c)) {
            return Err(format!(
                "--set {key}: the value must be one line of text without quotes, and not empty"
            )
            .into());
        }
        if values.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("--set {key}: given twice").into());
        }
    }
    Ok(values)
}

/// Whether nobody uses the tenant's folder, nor any of the files.
fn is_free(root: &Path, target: &RepoPath, files: &[NewFile]) -> Result<(), BoxError> {
    if let Some((path, _)) = files.iter().find(|(path, _)| root.join(path.as_str()).exists()) {
        return Err(format!("{path} is there already; nothing was written").into());
    }
    let in_use =
        std::fs::read_dir(root.join(target.as_str())).is_ok_and(|mut entries| entries.next().is_some());
    if in_use {
        return Err(format!("the folder {target} is in use already; nothing was written").into());
    }
    Ok(())
}

/// What the files describe, and what the rules make for the tenant's namespace.
fn new_objects<'a>(after: &'a Reviewed, files: &[NewFile], tenant: &str) -> Vec<&'a Manifest> {
    let is_new = |manifest: &&Manifest| {
        let origin = &manifest.origin;
        let by_rule = origin.rule.as_ref().is_some_and(|rule| rule.trigger.name().contains(tenant));
        by_rule || files.iter().any(|(path, _)| *path == origin.source.file)
    };
    after.manifests.manifests.iter().map(AsRef::as_ref).filter(is_new).collect()
}

fn is_about(finding: &Finding, files: &[NewFile]) -> bool {
    let places = [&finding.location, &finding.related];
    places.into_iter().flatten().any(|at| files.iter().any(|(path, _)| *path == at.file))
}

fn next_steps(tenant: &str, target: &RepoPath, settings: &Settings) -> String {
    let cluster = settings.cluster.as_ref().map_or(String::new(), |cluster| format!(" --cluster {cluster}"));
    let wide = format!("moin diff{cluster}").len().max(format!("git switch -c tenant-{tenant}").len()) + 4;
    let step = |command: String, what: &str| format!("  {command:wide$}{what}");
    [
        "\nNext:".to_owned(),
        step(format!("moin diff{cluster}"), "what it brings"),
        step(format!("git switch -c tenant-{tenant}"), "a branch for the pull request"),
        step(format!("git add {target}"), ""),
        format!("  git commit -m \"Add tenant {tenant}\""),
        format!("  git push -u origin tenant-{tenant}"),
    ]
    .map(|line| line.trim_end().to_owned())
    .join("\n")
}
