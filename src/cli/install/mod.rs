//! `moin install`: what a cluster needs so that the daemon can run in it.

mod objects;
mod questions;
mod rights;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{SourceArgs, TriggerArgs};
use super::offline::Offline;
use super::{BoxError, Outcome, output};
use crate::config::{RepositoryPlace, variable};
use crate::source::{RemoteUrl, redact};
use crate::yaml;
use rights::{Rights, rights};

/// The name of the account, its roles, and the Deployment.
const ACCOUNT: &str = "moin";
/// The account by which the daemons of other management clusters stand in for this one.
const PEER_ACCOUNT: &str = "moin-peer";
/// The name of the webhook's Service, and of the Secret with its keys.
const WEBHOOK: &str = "moin-webhook";
/// Where probes and metrics are served.
const PORT: u16 = 8080;
/// Where the webhook is served.
const WEBHOOK_PORT: u16 = 9443;
/// What the daemon follows when nobody says.
const NOWHERE: &str = "https://git.example.invalid/config";
/// Settings that are the image's own business, or follow from other flags.
const NOT_PASSED_ON: [&str; 7] =
    ["repo", "cache-dir", "token-file", "ssh-key", "known-hosts", "ca-file", "kubeconfig"];

const EXAMPLES: &str = "\
Examples:
  moin install --cluster mgmt1 --follow https://git.example.org/team/config | kubectl apply -f -
  moin install --repo https://git.example.org/team/config --branch main --credentials repository > moin.yaml
  moin install --cluster mgmt1 --follow https://git.example.org/team/config --webhook --peer-account";

/// Print what a cluster needs to run the daemon: namespace, definition, account, rights, Deployment, NetworkPolicy.
///
/// The rights are those for the kinds that the repository renders, those to read what its policies ask for, and the few that the
/// daemon needs for itself; after a commit that brings a new kind or question, print and apply it anew. What the rights amount to stands on top of the output, and on
/// stderr where it is all there is. The same input gives the same output.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InstallArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// URL that the daemon follows; else --repo, if that is a URL.
    #[arg(long, value_name = "URL")]
    follow: Option<String>,
    /// Image of moin, as the repository's Containerfile builds it.
    #[arg(long, value_name = "IMAGE", default_value = concat!("moin:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// How many instances; one works, the others wait for its lease.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=9))]
    replicas: u32,
    /// Secret in moin-system with the credentials of the repository: `token` for https, `ssh-privatekey` and
    /// `known_hosts` for ssh.
    #[arg(long, value_name = "SECRET")]
    credentials: Option<String>,
    /// The daemon serves the policies as an admission webhook: with a Service and the rights that this takes.
    #[arg(long)]
    webhook: bool,
    /// Print the account `moin-peer` as well, with the rights by which the daemon of another management cluster stands
    /// in for this one.
    #[arg(long)]
    peer_account: bool,
    /// How to print.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Yaml)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Documents to apply or to commit, with comments.
    Yaml,
    /// A List.
    Json,
}

/// The daemon to be.
struct Daemon {
    image: String,
    replicas: u32,
    /// Variables and their values.
    settings: Vec<(String, String)>,
    credentials: Option<String>,
    over_ssh: bool,
    webhook: bool,
    peer_account: bool,
    /// TCP ports that it connects to.
    ports: Vec<u16>,
}

/// Run the command.
pub fn run(args: InstallArgs) -> Outcome {
    let reviewed = Offline::reviewed(&args.source, &TriggerArgs::default(), None)?;
    if let Some(code) = reviewed.could_not_render() {
        return Ok(code);
    }
    let settings = args.source.settings()?;
    let rights = rights(&reviewed.manifests, settings.cluster.as_deref(), args.webhook);
    let daemon = daemon(&args)?;
    for power in &rights.powers {
        output::complain(&format!("warning: {power}"));
    }
    for kind in &rights.guessed {
        let (kind, group) = (&kind.kind, &kind.group);
        output::complain(&format!(
            "warning: nobody here defines {kind} of {group}; its name in the rights is a guess"
        ));
    }
    for (policy, text) in &rights.unknown {
        output::complain(&format!(
            "warning: the policy {policy} asks for {text}: which right that takes is known only when it is asked; add it by hand \
             (MOIN-0508 names it)"
        ));
    }
    let objects = objects::objects(&rights, &daemon);
    let text = match args.output {
        Format::Yaml => as_yaml(&objects, &rights),
        Format::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            serde_json::to_string_pretty(&list)? + "\n"
        }
    };
    output::result(&text)?;
    Ok(0)
}

/// What the arguments say of the daemon.
fn daemon(args: &InstallArgs) -> Result<Daemon, BoxError> {
    let settings = args.source.settings()?;
    let from_repo = match &settings.repository {
        Some(RepositoryPlace::Url(url)) => Some(url.clone()),
        _ => None,
    };
    if let Some(url) = &args.follow {
        url.parse::<RemoteUrl>()?;
        if url.starts_with('/') {
            return Err(format!(
                "{url} is a folder of this machine, which a daemon in the cluster cannot follow: give a URL"
            )
            .into());
        }
    }
    let url = args.follow.clone().or(from_repo);
    if url.is_none() {
        output::complain(
            "warning: which repository shall the daemon follow? Say --follow URL; a folder of this machine it cannot",
        );
    }
    let url = url.unwrap_or_else(|| NOWHERE.to_owned());
    let redacted = redact(&url);
    if redacted != url {
        return Err(format!(
            "{redacted} holds credentials, which have no place in a Deployment: put them into a Secret, and name it with \
             --credentials"
        )
        .into());
    }
    let mut pairs = vec![("MOIN_REPO".to_owned(), url.clone())];
    for (name, value) in args.source.flags() {
        if !NOT_PASSED_ON.contains(&name) {
            pairs.push((variable(name), value));
        }
    }
    let (over_ssh, port) = way_to(&url);
    let mut ports = vec![443, 6443, port];
    ports.sort_unstable();
    ports.dedup();
    Ok(Daemon {
        image: args.image.clone(),
        replicas: args.replicas,
        settings: pairs,
        credentials: args.credentials.clone(),
        over_ssh,
        webhook: args.webhook,
        peer_account: args.peer_account,
        ports,
    })
}

/// Whether a repository is reached by ssh, and the port.
fn way_to(url: &str) -> (bool, u16) {
    let (over_ssh, usual, rest) = if let Some(rest) = url.strip_prefix("https://") {
        (false, 443, rest)
    } else if let Some(rest) = url.strip_prefix("http://") {
        (false, 80, rest)
    } else if let Some(rest) = url.strip_prefix("ssh://") {
        (true, 22, rest)
    } else {
        return (true, 22);
    };
    let host = rest.split('/').next().unwrap_or_default();
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    (over_ssh, port.unwrap_or(usual))
}

fn as_yaml(objects: &[Value], rights: &Rights) -> String {
    let mut text = format!(
        "# What moin {} needs in a cluster; made by `moin install`, and the same each time for the same repository.\n\
         # The rights of the account are those for the kinds that the repository renders: make it anew when those change.\n",
        env!("CARGO_PKG_VERSION")
    );
    for power in &rights.powers {
        text += &format!("# {power}\n");
    }
    if !rights.powers.is_empty() {
        text += "# What may come to the cluster this way is decided by who may change the repository, and by its policies.\n";
    }
    text + &objects.iter().map(|object| format!("---\n{}", yaml::write(object))).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_repository() {
        for (url, way) in [
            ("https://git.example.org/a", (false, 443)),
            ("https://git.example.org:8443/a", (false, 8443)),
            ("ssh://git@git.example.org:2222/a", (true, 2222)),
            ("git@git.example.org:a", (true, 22)),
            ("http://git.example.org", (false, 80)),
        ] {
            assert_eq!(way_to(url), way, "{url}");
        }
    }
}
