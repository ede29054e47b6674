//! Printing: results, findings, failures; a broken pipe ends quietly.

use std::borrow::Cow;
use std::error::Error;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use super::diff::escape::visible_lines;
use crate::cluster::ClusterError;
use crate::daemon::DaemonError;
use crate::finding::{Finding, Rendered, Severity, counted};
use crate::source::SourceError;

/// How messages on stderr are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Send what the library tells to stderr: of this level, or more if that is asked for.
pub fn start_logging(level: &str, verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => level,
        1 => "moin=debug",
        _ => "debug",
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(EnvFilter::new(level))
        .with_ansi(colors(&io::stderr()));
    // A subscriber that is there already (tests run several commands in one process) stays.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Whether a stream takes colours: it is a terminal and `NO_COLOR` is not set.
pub fn colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Write a result to stdout. Whoever reads may go away at any time: that ends the command quietly.
pub fn result(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Write a result that holds the words of others (messages of commits, reasons, names of a cluster's objects): they can
/// neither move the cursor nor write over what stands there.
pub fn words(text: &str) -> io::Result<()> {
    result(&visible_lines(text))
}

/// Findings for people, on stderr, the worst last, where they are seen.
pub fn findings(findings: &[Finding]) {
    let color = colors(&io::stderr());
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    for finding in sorted {
        complain(&format!("{}\n", shown(finding, color)));
    }
}

/// A finding as people read it, always with what to do.
pub fn shown(finding: &Finding, color: bool) -> String {
    let mut finding = Cow::Borrowed(finding);
    if finding.help.is_none() && finding.severity > Severity::Note {
        let remedy = finding.code.page().remedy.trim_end_matches('.').to_owned();
        finding.to_mut().help = Some(remedy);
    }
    Rendered { finding: &finding, color }.to_string()
}

/// A line on stderr. Whoever reads may have gone away: there is nobody left to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// How many findings of each severity, in words; `None` if there are none.
pub fn count(findings: &[Finding]) -> Option<String> {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let parts: Vec<String> =
        [("error", of(Severity::Error)), ("warning", of(Severity::Warning)), ("note", of(Severity::Note))]
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(word, n)| counted(*n, word))
            .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Why a command could not run, with its causes and what to do.
pub fn fail(error: &(dyn Error + Send + Sync + 'static)) {
    let mut text = format!("error: {error}");
    let mut help = hint(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        help = help.or_else(|| hint(error));
        cause = error.source();
    }
    complain(&text);
    if let Some(help) = help {
        complain(&format!("help: {help}"));
    }
}

/// What to do about an error, where the error itself cannot know.
fn hint(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    if let Some(error) = error.downcast_ref::<SourceError>() {
        let source = match error {
            SourceError::BadUrl { .. } => Some(
                "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, file:///PATH, or a folder",
            ),
            SourceError::Unreachable { .. } => Some(
                "check the URL and the network; --ca-file for a private authority, HTTPS_PROXY for a proxy",
            ),
            SourceError::Denied { .. } => {
                Some("give a token with --token-file for https, or a key with --ssh-key for ssh")
            }
            SourceError::ReferenceMissing { .. } => {
                Some("`git ls-remote URL` lists branches and tags; --branch, --tag or --commit names one")
            }
            SourceError::NoSuchRevision { .. } => Some(
                "name a branch, a tag or a commit; `git log --oneline --all` lists commits (a shallow clone lacks most of them)",
            ),
            SourceError::NoHistory { .. } => Some(
                "run it in a git repository, or name one with --repo; render and check work on plain folders too",
            ),
            SourceError::Folder { .. } => Some("--repo names a folder, --path a folder inside it"),
            _ => None,
        };
        return source.map(Cow::Borrowed);
    }
    if let Some(DaemonError::SourceMismatch(finding)) = error.downcast_ref::<DaemonError>() {
        return finding.help.clone().map(Cow::Owned);
    }
    let cluster = match error.downcast_ref::<ClusterError>()? {
        ClusterError::Config { .. } => {
            Some("name a kubeconfig with --kubeconfig FILE, or set MOIN_KUBECONFIG or KUBECONFIG")
        }
        ClusterError::Refused { status: 403, .. } => Some(
            "your account lacks the right that the message names; `kubectl auth can-i --list` shows what it has, and \
             docs/operations.md what each command needs",
        ),
        ClusterError::Unreachable { .. } => {
            Some("check that the API server runs and that the kubeconfig names it")
        }
        _ => None,
    };
    cluster.map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_source_says_what_to_do() {
        let missing = SourceError::NoSuchRevision { revision: "x".into(), reason: "not found".into() };
        assert!(hint(&missing).unwrap().contains("git log"));
        assert_eq!(hint(&io::Error::other("x")), None);
    }
}
