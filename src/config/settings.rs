//! What the daemon and the offline commands are told: flag over `MOIN_*` over the daemon's own file.
//!
//! Nothing here reads the environment or a file: both are handed in, so that every rule can be tested.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::finding::{Code, Finding, nearest};
use crate::model::RepoPath;
use crate::yaml;

/// The settings: flag and key of the file; the variable is `MOIN_` and the name in capitals.
pub const NAMES: [&str; 24] = [
    "repo",
    "branch",
    "tag",
    "commit",
    "path",
    "kubeconfig",
    "context",
    "use-case",
    "cluster",
    "name",
    "interval",
    "timeout",
    "cache-dir",
    "token-file",
    "ssh-key",
    "known-hosts",
    "ca-file",
    "proxy",
    "no-proxy",
    "listen",
    "webhook",
    "webhook-url",
    "webhook-failure-policy",
    "webhook-exempt",
];

/// How often the repository is looked at, where nobody says.
const INTERVAL: Duration = Duration::from_secs(30);
/// Oftener than this is a burden for the server.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Where the repository is.
#[derive(Clone, PartialEq, Eq)]
pub enum RepositoryPlace {
    /// A remote one, by its URL.
    Url(String),
    /// A folder of this machine.
    Folder(PathBuf),
}

/// What to follow in a remote repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reference {
    /// The branch that the remote has checked out.
    #[default]
    Default,
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
    /// A commit by its whole id.
    Commit(String),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Default => f.write_str("default branch"),
            Reference::Branch(name) => write!(f, "branch {name}"),
            Reference::Tag(name) => write!(f, "tag {name}"),
            Reference::Commit(id) => write!(f, "commit {id}"),
        }
    }
}

/// Files with which a remote repository is reached. Secrets are in files, never in flags: flags are seen by others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// A token for https.
    pub token_file: Option<PathBuf>,
    /// A private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// Host keys for ssh.
    pub known_hosts: Option<PathBuf>,
    /// Certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// A proxy for https; without one the usual variables count.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy.
    pub no_proxy: Option<String>,
}

/// What the daemon and the offline commands are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the repository is.
    pub repository: Option<RepositoryPlace>,
    /// What to follow in it.
    pub reference: Reference,
    /// The folder in the repository that holds the desired state.
    pub path: RepoPath,
    /// The kubeconfig; without one, `KUBECONFIG` and the in-cluster account count.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: Option<String>,
    /// The use case of `moin.yaml`.
    pub use_case: Option<String>,
    /// The cluster of `moin.yaml`.
    pub cluster: Option<String>,
    /// The owner name, instead of `metadata.name` of `moin.yaml`.
    pub name: Option<String>,
    /// How often the repository is looked at.
    pub interval: Duration,
    /// How long a single pass may take.
    pub timeout: Option<Duration>,
    /// Folder for copies of remote repositories.
    pub cache: PathBuf,
    /// Files with which a remote repository is reached.
    pub credentials: Credentials,
    /// Where metrics and health are served.
    pub listen: Option<String>,
    /// The admission webhook, if it is served.
    pub webhook: Option<Webhook>,
}

/// How the admission webhook is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Address and port to listen on.
    pub listen: String,
    /// The URL at which an API server outside of the cluster's network reaches it; else by its Service.
    pub url: Option<String>,
    /// Whether requests pass when it does not answer.
    pub open: bool,
    /// Namespaces that it does not judge.
    pub exempt: Vec<String>,
}

/// Values by the names of [`NAMES`], as flags give them.
pub type Flags = BTreeMap<&'static str, String>;

/// The daemon's own file.
#[derive(Debug, Clone, Copy)]
pub struct SettingsFile<'a> {
    /// How it was named.
    pub path: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Where a value was given: the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Flag,
    Variable,
    File,
}

struct Given {
    value: String,
    origin: Origin,
    /// For messages: `--interval`, `MOIN_INTERVAL` or `/etc/moin.yaml:3 (interval)`.
    shown: String,
}

impl Settings {
    /// The settings.
    ///
    /// # Errors
    /// A finding for each value that is wrong; nothing can be started with a setting that was misread.
    pub fn load(
        flags: &Flags,
        environment: &BTreeMap<String, String>,
        file: Option<SettingsFile<'_>>,
    ) -> Result<Settings, Vec<Finding>> {
        let mut reader = Reader { given: BTreeMap::new(), findings: Vec::new() };
        if let Some(file) = file {
            reader.take_file(file);
        }
        for name in NAMES {
            let variable = variable(name);
            if let Some(value) = environment.get(&variable).filter(|value| !value.is_empty()) {
                reader.put(name, value, Origin::Variable, variable);
            }
            if let Some(value) = flags.get(name) {
                reader.put(name, value, Origin::Flag, format!("--{name}"));
            }
        }
        let settings = reader.settings(environment);
        if reader.findings.is_empty() { Ok(settings) } else { Err(reader.findings) }
    }
}

/// `MOIN_USE_CASE` for `use-case`.
pub fn variable(name: &str) -> String {
    format!("MOIN_{}", name.to_ascii_uppercase().replace('-', "_"))
}

struct Reader {
    given: BTreeMap<&'static str, Given>,
    findings: Vec<Finding>,
}

impl Reader {
    fn put(&mut self, name: &'static str, value: &str, origin: Origin, shown: String) {
        self.given.insert(name, Given { value: value.to_owned(), origin, shown });
    }

    fn wrong(&mut self, message: String) -> &mut Finding {
        self.findings.push(Finding::error(Code::BadSettings, message));
        self.findings.last_mut().expect("just pushed")
    }

    fn take_file(&mut self, file: SettingsFile<'_>) {
        let Ok(text) = std::str::from_utf8(file.bytes) else {
            self.wrong(format!("{}: the file is not UTF-8", file.path));
            return;
        };
        // What cannot be read is said below.
        let path = file.path.parse().unwrap_or_default();
        if yaml::read(&path, file.bytes).len() > 1 {
            self.wrong(format!("{}: the file must be one document", file.path));
            return;
        }
        let map = match yaml::parse(text, true) {
            Ok(Value::Object(map)) => map,
            Ok(Value::Null) => return,
            Ok(_) => {
                self.wrong(format!("{}: the file must be a mapping of settings", file.path));
                return;
            }
            Err(error) => {
                self.wrong(format!("{}: {error}", file.path));
                return;
            }
        };
        for (key, value) in &map {
            let shown = format!("{} ({key})", file.path);
            let Some(name) = NAMES.into_iter().find(|name| name == key) else {
                let near = nearest(key, &NAMES).map(|near| format!("did you mean {near}?"));
                self.wrong(format!("{shown}: unknown setting")).help = near;
                continue;
            };
            match value {
                Value::String(value) if !value.is_empty() => self.put(name, value, Origin::File, shown),
                Value::Null => {}
                _ => {
                    self.wrong(format!("{shown}: the value must be text")).help =
                        Some("put the value in quotes".to_owned());
                }
            }
        }
    }

    fn text(&self, name: &'static str) -> Option<String> {
        Some(self.given.get(name)?.value.clone())
    }

    fn file(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    fn duration(&mut self, name: &'static str) -> Option<Duration> {
        let given = self.given.get(name)?;
        match humantime::parse_duration(&given.value) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let message = format!("{}: {:?} is no duration ({error})", given.shown, given.value);
                self.wrong(message).help = Some("write 30s, 10m or 1h 30m".to_owned());
                None
            }
        }
    }

    fn settings(&mut self, environment: &BTreeMap<String, String>) -> Settings {
        let interval = self.interval();
        let timeout = self.duration("timeout");
        Settings {
            repository: self.text("repo").map(|text| RepositoryPlace::of(&text)),
            reference: self.reference(),
            path: self.path(),
            kubeconfig: self.file("kubeconfig"),
            context: self.text("context"),
            use_case: self.text("use-case"),
            cluster: self.text("cluster"),
            name: self.owner(),
            interval,
            timeout,
            cache: self.file("cache-dir").unwrap_or_else(|| default_cache(environment)),
            credentials: self.credentials(environment),
            listen: self.text("listen"),
            webhook: self.webhook(),
        }
    }

    fn webhook(&mut self) -> Option<Webhook> {
        let url = self.text("webhook-url");
        if url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
            let shown = self.given.get("webhook-url").map_or("", |given| given.shown.as_str());
            self.wrong(format!("{shown}: an API server asks webhooks by https:// only"));
        }
        let open = match self.text("webhook-failure-policy").as_deref() {
            None | Some("Fail") => false,
            Some("Ignore") => true,
            Some(other) => {
                let shown = self.given.get("webhook-failure-policy").map_or("", |given| given.shown.as_str());
                self.wrong(format!("{shown}: {other:?} is neither Fail nor Ignore"));
                false
            }
        };
        let exempt = self.text("webhook-exempt").unwrap_or_else(|| "kube-system".to_owned());
        let exempt = exempt.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        Some(Webhook { listen: self.text("webhook")?, url, open, exempt: exempt.collect() })
    }

    fn interval(&mut self) -> Duration {
        let Some(interval) = self.duration("interval") else { return INTERVAL };
        if interval < SHORTEST_INTERVAL {
            let shown = self.given.get("interval").map_or("", |given| given.shown.as_str());
            self.wrong(format!("{shown}: the interval must be a second at least"));
        }
        interval
    }

    /// The strongest of branch, tag and commit; two of them from one place contradict each other.
    fn reference(&mut self) -> Reference {
        let named = |name: &'static str| self.given.get(name).map(|given| (name, given));
        let all: Vec<_> = ["branch", "tag", "commit"].into_iter().filter_map(named).collect();
        let Some(strongest) = all.iter().map(|(_, given)| given.origin).min() else {
            return Reference::Default;
        };
        let chosen: Vec<_> = all.into_iter().filter(|(_, given)| given.origin == strongest).collect();
        if let [(_, first), (_, second), ..] = chosen[..] {
            let message =
                format!("{} and {} contradict each other; follow only one", first.shown, second.shown);
            self.wrong(message);
            return Reference::Default;
        }
        let (name, given) = chosen[0];
        let value = given.value.clone();
        match name {
            "branch" => Reference::Branch(value),
            "tag" => Reference::Tag(value),
            _ => {
                let (shown, is_id) = (given.shown.clone(), is_commit_id(&value));
                if !is_id {
                    self.wrong(format!("{shown}: {value:?} is no commit id of 40 hexadecimal digits"));
                }
                Reference::Commit(value)
            }
        }
    }

    fn path(&mut self) -> RepoPath {
        let Some(given) = self.given.get("path") else { return RepoPath::root() };
        let (shown, value) = (given.shown.clone(), given.value.clone());
        let parsed = if value.starts_with('/') {
            Err(format!("{value:?} begins with '/'; the path is one inside the repository"))
        } else {
            value.parse().map_err(|error: crate::model::PathError| error.to_string())
        };
        parsed.unwrap_or_else(|error| {
            self.wrong(format!("{shown}: {error}")).help =
                Some("a folder of this machine is given as --repo DIR".to_owned());
            RepoPath::root()
        })
    }

    fn owner(&mut self) -> Option<String> {
        let name = self.text("name")?;
        let ok = (1..=58).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !ok {
            let shown = self.given.get("name").map_or("", |given| given.shown.as_str());
            self.wrong(format!("{shown}: {name:?} must be lower case letters, digits and '-', at most 58"));
        }
        Some(name)
    }

    fn credentials(&self, environment: &BTreeMap<String, String>) -> Credentials {
        let usual = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| environment.get(name))
                .filter(|value| !value.is_empty())
                .cloned()
        };
        Credentials {
            token_file: self.file("token-file"),
            ssh_key: self.file("ssh-key"),
            known_hosts: self.file("known-hosts"),
            ca_file: self.file("ca-file").or_else(|| {
                environment.get("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from)
            }),
            proxy: self.text("proxy").or_else(|| usual(["HTTPS_PROXY", "https_proxy"])),
            no_proxy: self.text("no-proxy").or_else(|| usual(["NO_PROXY", "no_proxy"])),
        }
    }
}

fn is_commit_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn default_cache(environment: &BTreeMap<String, String>) -> PathBuf {
    match environment.get("HOME").filter(|home| home.starts_with('/')) {
        Some(home) => PathBuf::from(home).join(".cache/moin"),
        None => PathBuf::from("/var/cache/moin"),
    }
}

impl RepositoryPlace {
    /// A URL (`https://`, `ssh://`, `file://`, `git@host:path`) or a folder.
    pub fn of(text: &str) -> RepositoryPlace {
        let scheme = text.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
        });
        // `user@host:path`, where no folder of this machine can be meant.
        let scp = text.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
        if scheme || scp {
            RepositoryPlace::Url(text.to_owned())
        } else {
            RepositoryPlace::Folder(PathBuf::from(text))
        }
    }
}

impl fmt::Debug for RepositoryPlace {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepositoryPlace::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            RepositoryPlace::Url(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
                let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                write!(f, "Url({scheme}://{rest})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        flags: &[(&'static str, &str)],
        environment: &[(&str, &str)],
        file: &str,
    ) -> Result<Settings, Vec<String>> {
        let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let file = SettingsFile { path: "/etc/moin.yaml", bytes: file.as_bytes() };
        Settings::load(&flags, &environment, Some(file))
            .map_err(|findings| findings.into_iter().map(|finding| finding.message).collect())
    }

    #[test]
    fn a_flag_is_stronger_than_a_variable_and_that_than_the_file() {
        let file = "interval: 1m\npath: from-file\ncontext: from-file\nssh-key: /key\n";
        let variables =
            [("MOIN_PATH", "from-variable"), ("MOIN_CONTEXT", "from-variable"), ("HOME", "/root")];
        let settings = load(&[("path", "from-flag")], &variables, file).unwrap();
        assert_eq!(settings.path.as_str(), "from-flag");
        assert_eq!(settings.context.as_deref(), Some("from-variable"));
        assert_eq!(settings.interval, Duration::from_secs(60));
        assert_eq!(settings.credentials.ssh_key, Some("/key".into()));
        assert_eq!(settings.cache, PathBuf::from("/root/.cache/moin"));
    }

    #[test]
    fn nothing_said_means_the_defaults() {
        let settings = load(&[], &[("HTTPS_PROXY", "http://proxy:3128"), ("MOIN_BRANCH", "")], "").unwrap();
        assert_eq!(settings.interval, INTERVAL);
        assert_eq!(settings.reference, Reference::Default);
        assert!(settings.repository.is_none() && settings.path.is_root() && settings.timeout.is_none());
        assert_eq!(settings.credentials.proxy.as_deref(), Some("http://proxy:3128"));
    }

    #[test]
    fn the_strongest_reference_wins_and_two_of_one_place_are_refused() {
        let branch = [("branch", "main")];
        let settings = load(&branch, &[("MOIN_TAG", "v1")], "").unwrap();
        assert_eq!(settings.reference, Reference::Branch("main".into()));
        let wrong = load(&[("branch", "main"), ("tag", "v1")], &[], "").unwrap_err();
        assert_eq!(wrong, ["--branch and --tag contradict each other; follow only one"]);
        assert!(load(&[("commit", "3f2c1d9")], &[], "").is_err());
    }

    #[test]
    fn what_is_wrong_names_its_place() {
        let wrong = load(
            &[("path", "/abs"), ("interval", "0s"), ("timeout", "soon")],
            &[("MOIN_NAME", "No")],
            "brnch: x\nrepo: [a]\n",
        );
        let wrong = wrong.unwrap_err().join("\n");
        for expected in
            ["--path: ", "--interval: ", "--timeout: ", "MOIN_NAME: ", "(brnch): unknown", "(repo): "]
        {
            assert!(wrong.contains(expected), "{expected}\n{wrong}");
        }
        assert!(load(&[], &[], "a: [").unwrap_err()[0].starts_with("/etc/moin.yaml: line 2"));
    }

    #[test]
    fn urls_and_folders_are_told_apart_and_secrets_are_not_printed() {
        for url in ["https://u:hunter2@h/r", "ssh://git@h/r", "file:///r", "git@h:r.git"] {
            assert!(matches!(RepositoryPlace::of(url), RepositoryPlace::Url(_)), "{url}");
        }
        for folder in [".", "/r", "a/b@c:d", "r"] {
            assert!(matches!(RepositoryPlace::of(folder), RepositoryPlace::Folder(_)), "{folder}");
        }
        assert!(!format!("{:?}", RepositoryPlace::of("https://u:hunter2@h/r")).contains("hunter2"));
    }
}
