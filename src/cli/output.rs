//! Printing: results, findings, failures; a broken pipe ends quietly.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::finding::{Finding, Rendered, Severity};

/// How messages on stderr are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Send what the library tells to stderr.
pub fn start_logging(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => "moin=info",
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

/// Findings for people, on stderr, the worst last, where they are seen.
pub fn findings(findings: &[Finding]) {
    let color = colors(&io::stderr());
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    for finding in sorted {
        eprintln!("{}\n", Rendered { finding, color });
    }
}

/// How many findings of each severity, in words; `None` if there are none.
pub fn count(findings: &[Finding]) -> Option<String> {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let parts: Vec<String> =
        [("error", of(Severity::Error)), ("warning", of(Severity::Warning)), ("note", of(Severity::Note))]
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(word, n)| format!("{n} {word}{}", if *n == 1 { "" } else { "s" }))
            .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Why a command could not run, with its causes.
pub fn fail(error: &(dyn Error + Send + Sync)) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    eprintln!("{text}");
}
