//! The daemon: performs what the engine decides, and feeds each outcome back as the next event.
//!
//! One loop owns all state. Fetching, writing and reporting run beside it and answer through a channel, so that a hanging
//! request holds up nothing else; rendering and planning run in the loop, on a thread that may block. It must never
//! decide: order, waiting and retrying belong to [`crate::engine`].

mod bootstrap;
mod fetch;
mod in_use;
mod lease;
mod pipeline;
mod reporter;
mod target;
mod turning;

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use pipeline::{Pipeline, Turn, rules_of};
pub use target::DaemonError;

use crate::apply::{Applier, Fence};
use crate::cluster::Cluster;
use crate::engine::{Backoff, Effect, Engine, Event, Mode, Options};
use crate::render::RenderOptions;
use crate::source::Source;
use crate::status::{Report, SourceRecord};
use crate::web::Probes;
use fetch::Fetcher;
use lease::LeaseKeeper;
use target::Target;
use turning::Turning;

/// How long a unit may take in a daemon that says nothing of it.
const UNIT_TIMEOUT: Duration = Duration::from_secs(300);

/// What to run.
pub struct Daemon {
    /// The cluster to reconcile.
    pub cluster: Cluster,
    /// Where the repository is.
    pub source: Source,
    /// URL or folder of the source, without credentials.
    pub source_url: String,
    /// What to render.
    pub render: RenderOptions,
    /// Reconcile for ever, or one pass of at most this long.
    pub once: Option<Duration>,
    /// How often the source is looked at.
    pub interval: Duration,
    /// Longest time of a fetch.
    pub fetch_timeout: Duration,
    /// Health, readiness and figures.
    pub probes: Probes,
    /// Told to stop by this.
    pub stop: CancellationToken,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// 0 well, 1 not converged, 2 could not start.
    pub code: i32,
    /// The last report.
    pub report: Report,
}

impl Daemon {
    /// Run until stopped, or until one pass has ended.
    ///
    /// # Errors
    /// [`DaemonError`] when the source cannot be read for the first time, or the target cannot be prepared or belongs to
    /// another source.
    pub async fn run(self) -> Result<Ended, DaemonError> {
        let began = Instant::now();
        self.probes.set_alive(true);
        let fetcher = Fetcher::new(self.source, self.fetch_timeout);
        let Some(first) = fetcher.first(self.once.is_none(), &self.stop).await? else {
            return Ok(Ended { code: 0, report: Report::default() });
        };
        let mut pipeline = Pipeline::new(self.render.clone());
        let owner = pipeline.owner_of(&first.snapshot);
        let source = fetcher.record(&self.source_url, &self.render.path, &first);
        let Some((target, mut changes)) =
            open_target(&self.cluster, &owner, &source, self.once.is_none(), &self.stop).await?
        else {
            return Ok(Ended { code: 0, report: Report::default() });
        };
        if let Some(applied) = target.applied_revision() {
            match fetcher.snapshot(&applied).await {
                Ok(snapshot) => pipeline.record_revision(&snapshot, &target.live()),
                Err(error) => {
                    tracing::warn!(%error, revision = %applied, "the applied revision cannot be read; edits by hand look like conflicts");
                }
            }
        }
        let fence = Fence::default();
        let lease = LeaseKeeper {
            cluster: self.cluster.clone(),
            owner,
            identity: format!("moin-{}", uuid::Uuid::new_v4()),
            began,
            fence: fence.clone(),
        };
        let lease_stop = CancellationToken::new();
        let (lease_sender, mut lease_events) = mpsc::unbounded_channel();
        let lease_task = tokio::spawn(lease.keep(lease_sender, lease_stop.clone()));
        let mode = self.once.map_or(Mode::Forever, |limit| Mode::Once { deadline: began.elapsed() + limit });
        let unit_timeout = self.once.unwrap_or(UNIT_TIMEOUT);
        let mut engine = Engine::new(Options { mode, interval: self.interval, unit_timeout });
        let mut source_changes = fetcher.watch();
        let (mut turning, mut messages) = Turning::new(
            Applier::new(self.cluster.clone(), fence.clone()),
            target,
            pipeline,
            fetcher,
            source,
            first,
            self.probes.clone(),
        );
        let mut events = vec![Event::Started];
        let mut wake: Option<Duration> = None;
        let mut stopping = false;
        let code = 'run: loop {
            while let Some(event) = events.pop() {
                for effect in engine.step(event, began.elapsed()) {
                    match effect {
                        Effect::Finish(code) => break 'run code,
                        Effect::WakeAt(at) => wake = Some(at),
                        effect => events.extend(turning.perform(effect, &engine)),
                    }
                }
            }
            let sleep = wake.map(|at| at.saturating_sub(began.elapsed()));
            tokio::select! {
                Some(message) = messages.recv() => events.extend(turning.receive(message)),
                Some(event) = lease_events.recv() => events.extend(turning.lease(event)),
                Some(()) = changes.recv() => events.push(Event::ClusterChanged),
                Some(()) = source_changes.recv() => events.push(Event::SourceChanged),
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {
                    wake = None;
                    events.push(Event::Woke);
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    events.push(Event::Stop);
                }
            }
        };
        // What of a batch is not sent yet is not sent any more.
        fence.close();
        let report = turning.finish(&engine).await;
        lease_stop.cancel();
        // A lease task that panicked has nothing to give back.
        let _ = lease_task.await;
        self.probes.set_alive(false);
        Ok(Ended { code, report })
    }
}

/// Prepare the target. One that is `patient` waits for a cluster that cannot be reached; `None` when it was told to stop.
async fn open_target(
    cluster: &Cluster,
    owner: &str,
    source: &SourceRecord,
    patient: bool,
    stop: &CancellationToken,
) -> Result<Option<(Target, mpsc::Receiver<()>)>, DaemonError> {
    let mut backoff = Backoff::default();
    loop {
        match Target::open(cluster, owner, source).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(DaemonError::Cluster(error)) if patient && error.is_retryable() => {
                tracing::error!(%error, "the cluster cannot be prepared; trying again");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(backoff.next(0)) => {}
        }
    }
}
