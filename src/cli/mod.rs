//! The command line: one file a command.
//!
//! Results go to stdout, progress and findings to stderr; colour only on a terminal and without `NO_COLOR`. Exit
//! codes: 0 well or nothing to do, 1 changes, findings or failures, 2 could not run.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line is what prints")]

mod args;
mod check;
mod demo;
mod diff;
mod explain;
mod offline;
mod output;
mod plane;
mod render;
mod run;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use args::SourceArgs;

/// The command could not run at all.
pub const COULD_NOT_RUN: u8 = 2;

/// Keeps Cluster API management clusters equal to a git repository.
#[derive(Debug, Parser)]
#[command(name = "moin", version, about, max_term_width = 110, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How messages on stderr are written.
    #[arg(long, global = true, value_enum, default_value_t = output::LogFormat::Text)]
    log_format: output::LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconcile a cluster with a repository, for ever or once.
    Run(run::RunArgs),
    /// Print the manifests that would be applied, each with where it came from.
    Render(render::RenderArgs),
    /// Judge a repository offline: YAML, ownership, policies, Cluster API rules.
    Check(check::CheckArgs),
    /// Show what would change, between two revisions or against a cluster.
    Diff(diff::DiffArgs),
    /// Show what the daemon reports.
    Status(status::StatusArgs),
    /// Say what a finding means and what to do.
    Explain(explain::ExplainArgs),
    /// Serve one embedded API server.
    Plane(plane::PlaneArgs),
    /// Try it: an embedded cluster, the example repository and the daemon.
    Demo(demo::DemoArgs),
}

/// Parse the arguments, run the command, answer its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a mistake.
            let code = if error.use_stderr() { COULD_NOT_RUN } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    output::start_logging(cli.verbose, cli.log_format);
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Render(args) => render::run(args),
        Command::Check(args) => check::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Status(args) => status::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Plane(args) => plane::run(args),
        Command::Demo(args) => demo::run(args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::fail(&*error);
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// What every command answers: its exit code, or why it could not run.
type Outcome = Result<u8, BoxError>;

/// Why a command could not run.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
