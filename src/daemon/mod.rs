//! The daemon: performs what the engine decides, and feeds each outcome back as the next event.
//!
//! One loop owns all state. Fetching, writing and reporting run beside it and answer through a channel, so that a hanging
//! request holds up nothing else; rendering and planning run in the loop, on a thread that may block. It must never
//! decide: order, waiting and retrying belong to [`crate::engine`].

mod bootstrap;
mod fetch;
mod hold_up;
mod lease;
mod meeting;
mod notes;
mod peer_record;
mod peers;
mod pipeline;
mod policy_reports;
mod reconcile;
mod reporter;
mod target;
mod turning;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

pub use pipeline::{Pipeline, Turn, kept_while_suspended, rules_of};
pub use target::{DaemonError, operators_approvals};

use crate::cluster::Cluster;
use crate::engine::{Candidate, Mode, Options, Role};
use crate::render::RenderOptions;
use crate::source::Source;
use crate::status::{PlanReport, Report};
use crate::web::Probes;
use fetch::Fetcher;
use peers::{Household, Peers};
use reconcile::Reconciler;

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
    /// Plan and tell, but take no lease and write nothing.
    pub observe: bool,
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
    /// What is still to be done, by the last plan.
    pub plan: Option<PlanReport>,
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
            return Ok(Ended { code: 0, report: Report::default(), plan: None });
        };
        let mut pipeline = Pipeline::new(self.render.clone());
        let owner = pipeline.owner_of(&first.snapshot);
        let name = self.render.cluster.clone();
        let mode = self.once.map_or(Mode::Forever, |limit| Mode::Once { deadline: began.elapsed() + limit });
        let options = Options {
            mode,
            interval: self.interval,
            unit_timeout: self.once.unwrap_or(UNIT_TIMEOUT),
            candidate: Candidate {
                identity: format!("{}_{}", name.as_deref().unwrap_or("moin"), uuid::Uuid::new_v4()),
                role: Role::Home,
                cluster: name,
            },
            observe: self.observe,
            recorded: None,
            lease: pipeline.lease_times(&first.snapshot),
        };
        let source = fetcher.record(&self.source_url, &self.render.path, &first);
        // A single pass is over its own cluster alone; and who only observes keeps no record of anybody.
        let alone = self.once.is_some() || self.observe;
        let household = (!alone && self.render.cluster.is_some()).then(|| Household {
            home: self.cluster.clone(),
            owner: owner.clone(),
            source: source.clone(),
            render: self.render.clone(),
            fetcher: fetcher.clone(),
            options: options.clone(),
            began,
        });
        let home = Reconciler {
            cluster: self.cluster,
            source,
            owner,
            options,
            fetcher,
            probes: self.probes.clone(),
            began,
            stand_in: None,
            peers: household.map(Peers::new),
        };
        let ended = home.run(pipeline, Some(first), &self.stop).await;
        self.probes.set_alive(false);
        Ok(ended?.unwrap_or_else(|| Ended { code: 0, report: Report::default(), plan: None }))
    }
}
