//! The reconciliation of one target: its loop, from opening it to giving its lease back.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fetch::{Fetched, Fetcher};
use super::lease::LeaseClient;
use super::peers::{Peers, StandIn};
use super::pipeline::Pipeline;
use super::target::Target;
use super::turning::{Tools, Turning, snapshot_of};
use super::{DaemonError, Ended};
use crate::apply::{Applier, Fence};
use crate::cluster::Cluster;
use crate::engine::{Backoff, Effect, Engine, Event, Mode, Options, Role};
use crate::status::SourceRecord;
use crate::web::Probes;

/// How often the loop turns over at least.
const PULSE: Duration = Duration::from_secs(10);

/// What is reconciled with what.
pub(super) struct Reconciler {
    /// The target.
    pub cluster: Cluster,
    /// The owner name.
    pub owner: String,
    /// What identifies the source.
    pub source: SourceRecord,
    /// Of the engine; what is recorded is found here.
    pub options: Options,
    /// Reads the source.
    pub fetcher: Fetcher,
    /// Health, readiness and figures.
    pub probes: Probes,
    /// When the engine's clock began.
    pub began: Instant,
    /// For whom it stands in; `None` at home.
    pub stand_in: Option<StandIn>,
    /// The peers of the home.
    pub peers: Option<Peers>,
}

impl Reconciler {
    /// Run until stopped, or until one pass has ended; `None` when it was stopped before it began, or when the target
    /// turned out to be another cluster than before.
    ///
    /// # Errors
    /// [`DaemonError`] when the target cannot be prepared or belongs to another source.
    pub(super) async fn run(
        mut self,
        mut pipeline: Pipeline,
        first: Option<Fetched>,
        stop: &CancellationToken,
    ) -> Result<Option<Ended>, DaemonError> {
        let Some((target, changes)) = self.open_target(stop).await? else { return Ok(None) };
        if let Some(applied) = target.applied_revision()
            && let Some(snapshot) = snapshot_of(&self.fetcher, &applied).await
        {
            pipeline.record_revision(&snapshot, &target.live());
        }
        self.options.recorded = target.attempted_revision();
        let fence = Fence::default();
        let only_in = self.stand_in.as_ref().map(|stand_in| stand_in.uid.clone());
        let lease = LeaseClient::new(self.cluster.clone(), &self.owner, only_in);
        // Who takes no part needs not know.
        let touched = (!self.options.observe).then(|| lease.watch());
        if let Some(stand_in) = &self.stand_in {
            tracing::info!(cluster = stand_in.name, "standing by");
        }
        let tools = Tools {
            applier: Applier::new(self.cluster.clone(), fence.clone()),
            fence,
            lease,
            stand_in: self.stand_in.take(),
            peers: self.peers.take(),
            candidate: self.options.candidate.clone(),
            fetcher: self.fetcher.clone(),
            probes: self.probes.clone(),
            began: self.began,
        };
        let turning = Turning::new(tools, target, pipeline, self.source.clone(), first);
        Ok(self.turn(turning, changes, touched, stop).await)
    }

    async fn turn(
        mut self,
        mut turning: Turning,
        mut changes: mpsc::Receiver<()>,
        mut touched: Option<mpsc::UnboundedReceiver<String>>,
        stop: &CancellationToken,
    ) -> Option<Ended> {
        let mut engine = Engine::new(self.options);
        let mut events = vec![Event::Started];
        let mut wake: Option<Duration> = None;
        let mut stopping = false;
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let code = 'run: loop {
            self.probes.beat();
            while let Some(event) = events.pop() {
                for effect in engine.step(event, self.began.elapsed()) {
                    match effect {
                        Effect::Finish(code) => break 'run code,
                        Effect::WakeAt(at) => wake = Some(at),
                        effect => events.extend(turning.perform(effect, &engine)),
                    }
                }
                if turning.is_elsewhere() {
                    return None;
                }
            }
            turning.tell_home(&engine);
            let sleep = wake.map(|at| at.saturating_sub(self.began.elapsed()));
            tokio::select! {
                event = turning.next() => match event {
                    Some(event) => events.push(event),
                    None => turning.report(&engine),
                },
                Some(version) = next_of(&mut touched) => events.push(Event::LeaseTouched(version)),
                Some(()) = changes.recv() => events.push(Event::ClusterChanged),
                () = self.fetcher.changed() => events.push(Event::SourceChanged),
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {
                    wake = None;
                    events.push(Event::Woke);
                }
                // With nothing to do it turns over all the same, which tells that it could.
                _ = pulse.tick() => {}
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.probes.set_ready(false);
                    events.push(Event::Stop);
                }
            }
        };
        let plan = turning.planned();
        Some(Ended { code, report: turning.finish(&engine).await, plan })
    }

    /// Open the target. One that runs for ever waits for a cluster that cannot be reached; `None` when it was told to stop.
    async fn open_target(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<(Target, mpsc::Receiver<()>)>, DaemonError> {
        let patient = self.options.mode == Mode::Forever;
        // A stand-in, and who only observes, write nothing before the lease is won.
        let prepare = self.options.candidate.role == Role::Home && !self.options.observe;
        let mut backoff = Backoff::default();
        loop {
            match Target::open(&self.cluster, &self.owner, &self.source, prepare).await {
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
}

/// The next of a channel; of one that is not there, nothing ever.
async fn next_of<T>(channel: &mut Option<mpsc::UnboundedReceiver<T>>) -> Option<T> {
    match channel {
        Some(channel) => channel.recv().await,
        None => std::future::pending().await,
    }
}
