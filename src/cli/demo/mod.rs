//! `moin demo`: two embedded management clusters, the example repository, simulated operators and two daemons.

mod management;
mod repository;
mod stage;
mod story;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Outcome, output};
use stage::Stage;

/// Try it: two embedded management clusters, the example repository, simulated operators and two daemons.
///
/// Without --check it runs until Ctrl-C, and kubectl and git work on what it prints. With --check it walks through a new
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
        let mut stage = Stage::set(&folder, if args.check { FAST } else { SLOW }).await?;
        if args.check {
            let result = story::tell(&mut stage).await;
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
        introduce(&stage)?;
        let stop = super::run::stop_signal();
        tokio::select! {
            () = stop.cancelled() => {}
            applied = ready(&stage) => {
                applied?;
                stop.cancelled().await;
            }
        }
        stage.strike().await?;
        Ok(0)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(code)
}

/// What there is, and what to do with it.
fn introduce(stage: &Stage) -> std::io::Result<()> {
    for management in &stage.managements {
        say(&format!("{:<12}an embedded API server at https://{}", management.name, management.address))?;
    }
    say(&format!("repository  {} (branch main)", stage.repository.folder().display()))?;
    say("operators   simulated: no machine runs, and a workload cluster is an API server without pods\n")?;
    say(&stage.what_to_try())
}

async fn ready(stage: &Stage) -> Result<(), super::BoxError> {
    stage.applied_everywhere(&stage.repository.head()?).await?;
    Ok(say("\nAll is applied.")?)
}

/// A line for the person who watches.
fn say(text: &str) -> std::io::Result<()> {
    output::result(&format!("{text}\n"))
}
