//! The command line: one file a command.
//!
//! Results go to stdout, progress and findings to stderr; colour only on a terminal and without `NO_COLOR`. Exit
//! codes: 0 well or nothing to do, 1 changes, findings or failures, 2 could not run.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line is what prints")]

mod adopt;
mod approve;
mod args;
pub mod cases;
mod check;
mod demo;
mod diff;
mod eval;
mod explain;
mod install;
mod offline;
mod output;
mod plane;
mod reasons;
mod reconciliation;
mod render;
mod rollback;
mod run;
mod status;
mod suspend;
mod tenant;
mod test;
mod triggers;
mod uninstall;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use args::SourceArgs;

/// The command could not run at all.
pub const COULD_NOT_RUN: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  moin demo                              everything at once on this machine, nothing to install
  moin check --repo .                    is this repository right?
  moin diff main..HEAD --repo .          what would this branch change?
  moin run --repo URL --branch main      keep a cluster equal to it

Exit codes: 0 well or nothing to do; 1 changes (diff), findings or failures; 2 could not run.";

/// Keeps Cluster API management clusters equal to a git repository.
#[derive(Debug, Parser)]
#[command(name = "moin", version, max_term_width = 110, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 900)]
    verbose: u8,
    /// How messages on stderr are written.
    #[arg(
        long, global = true, value_enum, value_name = "FORMAT", display_order = 901,
        default_value_t = output::LogFormat::Text
    )]
    log_format: output::LogFormat,
}

// What each command does stands at its arguments; a comment here would hide it.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Render(render::RenderArgs),
    Check(check::CheckArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Approve(approve::ApproveArgs),
    Suspend(suspend::SuspendArgs),
    Resume(suspend::ResumeArgs),
    Rollback(rollback::RollbackArgs),
    Adopt(adopt::AdoptArgs),
    Uninstall(uninstall::UninstallArgs),
    Explain(explain::ExplainArgs),
    Tenant(tenant::TenantArgs),
    Install(install::InstallArgs),
    Eval(eval::EvalArgs),
    Test(test::TestArgs),
    Plane(plane::PlaneArgs),
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
    let level = match &cli.command {
        Command::Demo(args) => args.log_level(cli.verbose),
        _ => "moin=info",
    };
    output::start_logging(level, cli.verbose, cli.log_format);
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Render(args) => render::run(args),
        Command::Check(args) => check::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Status(args) => status::run(args),
        Command::Approve(args) => approve::run(args),
        Command::Suspend(args) => suspend::suspend(&args),
        Command::Resume(args) => suspend::resume(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Adopt(args) => adopt::run(&args),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Tenant(args) => tenant::run(args),
        Command::Install(args) => install::run(args),
        Command::Eval(args) => eval::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Plane(args) => plane::run(args),
        Command::Demo(args) => demo::run(args, cli.verbose),
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
