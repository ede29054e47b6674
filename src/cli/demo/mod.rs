//! `moin demo`: an embedded management cluster, the example repository, simulated operators and the daemon.

mod repository;
mod stage;
mod story;

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, output};
use stage::Stage;

/// Try it: an embedded management cluster, the example repository and the daemon.
///
/// Without --check it runs until Ctrl-C, and kubectl and git work on what it prints. With --check it walks through a
/// commit, a trigger, a refusal, a drift and idleness by itself, and ends with 0 only if all held.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  moin demo\n  moin demo --check\n  moin demo --dir ~/moin-demo")]
pub struct DemoArgs {
    /// Walk through it and end.
    #[arg(long)]
    check: bool,
    /// Where to keep the repository and the kubeconfig; a temporary folder if none is named.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Run the command.
pub fn run(args: DemoArgs) -> Outcome {
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
        let stage = Stage::set(&folder).await?;
        if args.check {
            let result = story::tell(&stage).await;
            stage.strike().await?;
            return Ok::<u8, super::BoxError>(match result {
                Ok(()) => {
                    say("all held")?;
                    0
                }
                Err(error) => {
                    say(&format!("FAILED: {error}"))?;
                    1
                }
            });
        }
        stage.converged().await?;
        say(&stage.what_to_try())?;
        super::run::stop_signal().cancelled().await;
        stage.strike().await?;
        Ok(0)
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(code)
}

/// A line for the person who watches.
fn say(text: &str) -> std::io::Result<()> {
    output::result(&format!("{text}\n"))
}
