//! `moin demo`: two embedded management clusters, the example repository, simulated operators and two daemons.

mod live;
mod management;
mod repository;
mod stage;
mod story;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Outcome, output};
use stage::Stage;

/// Try it: two embedded management clusters, the example repository, simulated operators and two daemons.
///
/// Without --check it runs until Ctrl-C or `quit`, shows clusters, stages, leases and what happens (on a terminal as a picture, else
/// line by line), and kubectl and git work on what it prints. With --check it walks through a new
/// tenant, a trigger, a refusal, a drift, the loss of a management cluster, a new version, a tenant that leaves, and idleness by
/// itself, and ends with 0 only if all held.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  moin demo\n  moin demo --check\n  moin demo --dir ~/moin-demo")]
pub struct DemoArgs {
    /// Walk through it and end.
    #[arg(long)]
    check: bool,
    /// Where to keep the repository and the kubeconfigs; a temporary folder if none is named.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// How long a simulated step takes: for people, who want to see it, and for the check.
const SLOW: Duration = Duration::from_millis(1000);
const FAST: Duration = Duration::from_millis(50);

impl DemoArgs {
    /// Whether it is shown as a picture: that takes a terminal, and nobody who wants to read messages.
    fn is_live(&self, verbose: u8) -> bool {
        let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
        !self.check && verbose == 0 && stdin.is_terminal() && stdout.is_terminal()
    }

    /// The level of messages if nothing is said: what the daemons do is seen, or told in lines of its own.
    pub fn log_level(&self, verbose: u8) -> &'static str {
        if self.is_live(verbose) { "off" } else { "moin=warn" }
    }
}

/// Run the command.
pub fn run(args: DemoArgs, verbose: u8) -> Outcome {
    let live = args.is_live(verbose);
    let scratch;
    let folder = match args.dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            dir.canonicalize()?
        }
        None => {
            scratch = tempfile::Builder::new().prefix("moin-demo").tempdir()?;
            scratch.path().to_owned()
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let mut stage = Stage::set(&folder, if args.check { FAST } else { SLOW }).await?;
        let result = match args.check {
            true => story::tell(&mut stage).await,
            false => live::show(&mut stage, live, &super::run::stop_signal()).await,
        };
        stage.strike().await?;
        if !args.check {
            return result.map(|()| 0);
        }
        let (line, code) = match result {
            Ok(()) => ("all held".to_owned(), 0),
            Err(error) => (format!("FAILED: {error}"), 1),
        };
        say(&line)?;
        Ok::<u8, super::BoxError>(code)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(code)
}

/// A line for the person who watches.
fn say(text: &str) -> std::io::Result<()> {
    output::result(&format!("{text}\n"))
}
