//! Flags that several commands share, and how they become settings: flag over `MOIN_*` over the daemon's own file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use super::triggers::TriggerArgs;
use super::{BoxError, output};
use crate::cluster::Cluster;
use crate::config::{self, Flags, RepositoryPlace, Settings, SettingsFile};
use crate::render::RenderOptions;
use crate::source::{self, Access, Place, RemoteUrl, Source, SourceSettings};
use clap::Args;

/// Where settings come from beside flags.
#[derive(Debug, Clone, Args)]
pub struct SettingsArgs {
    /// A file with settings, one `name: value` a line, named like the flags. Each can also be a variable: MOIN_REPO for
    /// --repo, MOIN_USE_CASE for --use-case. A flag is stronger than a variable, and that than the file.
    #[arg(long, env = "MOIN_CONFIG", hide_env_values = true, value_name = "FILE", display_order = 800)]
    config: Option<PathBuf>,
}

/// Where the repository is and what of it matters.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// URL of a git repository (https, ssh, file), or a folder. Offline commands take the current folder if none is named.
    #[arg(long, value_name = "URL|DIR", help_heading = "Repository")]
    repo: Option<String>,
    /// Follow this branch of a URL.
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    branch: Option<String>,
    /// Follow this tag of a URL.
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    tag: Option<String>,
    /// Stay at this commit of a URL, named by its 40 digits.
    #[arg(long, value_name = "ID", help_heading = "Repository")]
    commit: Option<String>,
    /// Folder in the repository.
    #[arg(long, value_name = "FOLDER", help_heading = "Repository")]
    path: Option<String>,
    /// Use case of moin.yaml.
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    use_case: Option<String>,
    /// Management cluster of moin.yaml; it says the use case, too.
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    cluster: Option<String>,
    /// Owner name, in place of metadata.name of moin.yaml.
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    name: Option<String>,
    /// How often to look at the repository, such as `30s`.
    #[arg(long, value_name = "TIME", help_heading = "Repository")]
    interval: Option<String>,
    /// Folder for the cache of git repositories.
    #[arg(long, value_name = "DIR", help_heading = "Repository")]
    cache_dir: Option<String>,
    /// File with a token for https.
    #[arg(long, value_name = "FILE", help_heading = "Credentials of the repository")]
    token_file: Option<String>,
    /// Private key for ssh.
    #[arg(long, value_name = "FILE", help_heading = "Credentials of the repository")]
    ssh_key: Option<String>,
    /// Known host keys for ssh.
    #[arg(long, value_name = "FILE", help_heading = "Credentials of the repository")]
    known_hosts: Option<String>,
    /// Certificates that https trusts, in place of the system's.
    #[arg(long, value_name = "FILE", help_heading = "Credentials of the repository")]
    ca_file: Option<String>,
}

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// How to reach the cluster; else as kubectl does, or from within a pod.
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
}

impl SettingsArgs {
    /// The settings that these flags, the environment and the file say.
    pub fn resolve(&self, flags: Flags) -> Result<Settings, BoxError> {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let text = match &self.config {
            Some(path) => Some(std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?),
            None => None,
        };
        let shown = self.config.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let file = text.as_deref().map(|bytes| SettingsFile { path: &shown, bytes });
        Settings::load(&flags, &environment, file).map_err(|findings| {
            output::findings(&findings);
            "the settings are not valid".into()
        })
    }
}

impl SourceArgs {
    /// The flags that were given, by their names.
    pub fn flags(&self) -> Flags {
        let given = [
            ("repo", &self.repo),
            ("branch", &self.branch),
            ("tag", &self.tag),
            ("commit", &self.commit),
            ("path", &self.path),
            ("use-case", &self.use_case),
            ("cluster", &self.cluster),
            ("name", &self.name),
            ("interval", &self.interval),
            ("cache-dir", &self.cache_dir),
            ("token-file", &self.token_file),
            ("ssh-key", &self.ssh_key),
            ("known-hosts", &self.known_hosts),
            ("ca-file", &self.ca_file),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }

    /// The settings, these flags on top.
    pub fn settings(&self) -> Result<Settings, BoxError> {
        self.settings_with(Flags::new())
    }

    /// The settings, these flags and more on top.
    pub fn settings_with(&self, more: Flags) -> Result<Settings, BoxError> {
        let mut flags = self.flags();
        flags.extend(more);
        self.settings.resolve(flags)
    }
}

impl ClusterArgs {
    /// As flags of the settings.
    pub fn flags(&self) -> Flags {
        let given = [("kubeconfig", &self.kubeconfig), ("context", &self.context)];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }

    /// Connect to the cluster that the settings, these flags on top, name.
    pub async fn connect(&self, settings: &Settings) -> Result<Cluster, BoxError> {
        let kubeconfig = self.kubeconfig.as_deref().map(Path::new).or(settings.kubeconfig.as_deref());
        let context = self.context.as_deref().or(settings.context.as_deref());
        Ok(Cluster::connect(kubeconfig, context).await?)
    }
}

/// What to render, as the settings say.
pub fn render_options(settings: &Settings) -> RenderOptions {
    let source_url = match &settings.repository {
        Some(RepositoryPlace::Url(url)) => Some(source::redact(url)),
        _ => None,
    };
    RenderOptions {
        path: settings.path.clone(),
        use_case: settings.use_case.clone(),
        cluster: settings.cluster.clone(),
        owner: settings.name.clone(),
        source_url,
    }
}

/// What to call the source, without credentials.
pub fn source_name(settings: &Settings) -> String {
    match &settings.repository {
        Some(RepositoryPlace::Url(url)) => source::redact(url),
        Some(RepositoryPlace::Folder(path)) => folder_name(path),
        None => folder_name(Path::new(".")),
    }
}

/// A folder by its whole path: what `.` means depends on where one stands.
fn folder_name(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The source that a daemon follows: a remote repository, or a folder as it is.
pub fn open_remote(settings: &Settings) -> Result<Source, BoxError> {
    let place = match &settings.repository {
        None => return Err("which repository? say --repo URL or --repo DIR (or MOIN_REPO)".into()),
        Some(RepositoryPlace::Folder(path)) => Place::Folder(plain_folder(path, settings)?),
        Some(RepositoryPlace::Url(url)) => remote(url, settings)?,
    };
    open(place, settings)
}

/// The source of an offline command: a remote repository, or a working tree with its history; this folder if none is
/// named.
pub fn open_repository(settings: &Settings) -> Result<Source, BoxError> {
    let place = match &settings.repository {
        None => Place::Worktree(plain_folder(Path::new("."), settings)?),
        Some(RepositoryPlace::Folder(path)) => Place::Worktree(plain_folder(path, settings)?),
        Some(RepositoryPlace::Url(url)) => remote(url, settings)?,
    };
    open(place, settings)
}

/// A folder is taken as it is: a branch, tag or commit would be passed over in silence.
fn plain_folder(path: &Path, settings: &Settings) -> Result<PathBuf, BoxError> {
    let (word, name) = match &settings.reference {
        config::Reference::Default => return Ok(path.to_owned()),
        config::Reference::Branch(name) => ("branch", name),
        config::Reference::Tag(name) => ("tag", name),
        config::Reference::Commit(id) => ("commit", id),
    };
    let shown = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Err(format!(
        "the {word} {name} goes with a URL, and {} is a folder: give --repo file://{}, or to render, check and diff the \
         revision as an argument",
        path.display(),
        shown.display()
    )
    .into())
}

fn remote(url: &str, settings: &Settings) -> Result<Place, BoxError> {
    let url: RemoteUrl = url.parse()?;
    Ok(Place::Git { url, reference: settings.reference.clone() })
}

fn open(place: Place, settings: &Settings) -> Result<Source, BoxError> {
    let credentials = &settings.credentials;
    let access = Access {
        token_file: credentials.token_file.clone(),
        ca_file: credentials.ca_file.clone(),
        proxy: credentials.proxy.clone(),
        no_proxy: credentials.no_proxy.clone().unwrap_or_default(),
        ssh_key: credentials.ssh_key.clone(),
        known_hosts: credentials.known_hosts.clone(),
        ..Access::default()
    };
    Ok(Source::open(&SourceSettings { access, ..SourceSettings::new(place, settings.cache.clone()) })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_by_its_whole_path() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(folder_name(Path::new(".")), here.display().to_string());
        assert_eq!(folder_name(Path::new("./src/..")), here.display().to_string());
        assert_eq!(folder_name(Path::new("/not/there")), "/not/there");
    }
}
