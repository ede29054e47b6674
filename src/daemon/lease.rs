//! Holds the lease of a target while it can, and says when it is won or lost.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::apply::Fence;
use crate::cluster::{Cluster, ClusterError, Lease};
use crate::engine::{Event, LeaseDecision, LeaseObserver, LeaseRecord};
use crate::model::SYSTEM_NAMESPACE;

/// A renewal that has failed for so long is a lost lease: others may take it once its duration is over.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Whose lease, and on whose behalf.
pub struct LeaseKeeper {
    /// The target.
    pub cluster: Cluster,
    /// The owner name; the Lease is `moin-NAME`.
    pub owner: String,
    /// What this instance calls itself.
    pub identity: String,
    /// When the process began, for the monotonic clock.
    pub began: Instant,
    /// Open while the lease is certainly ours.
    pub fence: Fence,
}

impl LeaseKeeper {
    /// Try to hold the lease until told to stop, then give it back.
    pub async fn keep(self, events: UnboundedSender<Event>, stop: CancellationToken) {
        let mut observer = LeaseObserver::new(&self.identity);
        let mut held = false;
        let mut renewed = Instant::now();
        loop {
            let mut wait = LeaseObserver::RENEW_EVERY;
            // From before the request: others may count from when it arrived, which was no earlier.
            let asked = Instant::now();
            match self.turn_in_time(&mut observer, held.then_some(renewed)).await {
                Ok(None) => {
                    renewed = asked;
                    self.fence.open_until(renewed + GIVE_UP_AFTER);
                    self.tell(&mut held, true, &events);
                }
                Ok(Some(others_for)) => {
                    wait = others_for.min(LeaseObserver::RENEW_EVERY);
                    self.tell(&mut held, false, &events);
                }
                Err(error) => {
                    tracing::debug!(%error, "the lease could not be renewed");
                    wait = Duration::from_secs(1);
                    if renewed.elapsed() >= GIVE_UP_AFTER {
                        self.tell(&mut held, false, &events);
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.fence.close();
        if held {
            self.give_back().await;
        }
    }

    /// A turn that does not outlast the lease: one that hangs is one that failed.
    async fn turn_in_time(
        &self,
        observer: &mut LeaseObserver,
        renewed: Option<Instant>,
    ) -> Result<Option<Duration>, ClusterError> {
        let left = renewed.map_or(GIVE_UP_AFTER, |at| GIVE_UP_AFTER.saturating_sub(at.elapsed()));
        let limit = left.max(Duration::from_secs(1));
        match tokio::time::timeout(limit, self.turn(observer)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClusterError::Timeout { after: limit }),
        }
    }

    fn tell(&self, held: &mut bool, now: bool, events: &UnboundedSender<Event>) {
        if !now {
            self.fence.close();
        }
        if *held != now {
            *held = now;
            tracing::info!(owner = %self.owner, held = now, "lease");
            // Nobody listens any more when the daemon ends.
            let _ = events.send(Event::Lease { held: now });
        }
    }

    fn name(&self) -> String {
        format!("moin-{}", self.owner)
    }

    /// One look at the lease. `None`: it is ours now. `Some`: somebody else's for this much longer.
    async fn turn(&self, observer: &mut LeaseObserver) -> Result<Option<Duration>, ClusterError> {
        let lease = self.cluster.lease(SYSTEM_NAMESPACE, &self.name()).await?;
        match observer.observe(lease.as_ref().map(record_of), self.began.elapsed()) {
            LeaseDecision::Wait(others_for) => Ok(Some(others_for)),
            LeaseDecision::Renew | LeaseDecision::Take => match self.write(lease).await {
                Ok(()) => Ok(None),
                // Somebody was faster; look again.
                Err(ClusterError::Stale { .. } | ClusterError::AlreadyExists { .. }) => {
                    Ok(Some(Duration::from_millis(200)))
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn write(&self, lease: Option<Lease>) -> Result<(), ClusterError> {
        let now = micro_time();
        match lease {
            None => {
                let lease = Lease {
                    namespace: SYSTEM_NAMESPACE.to_owned(),
                    name: self.name(),
                    holder: Some(self.identity.clone()),
                    duration_seconds: LeaseObserver::DURATION.as_secs() as u32,
                    acquired: Some(now.clone()),
                    renewed: Some(now),
                    ..Lease::default()
                };
                self.cluster.create_lease(&lease).await.map(drop)
            }
            Some(mut lease) => {
                if lease.holder.as_deref() != Some(&self.identity) {
                    lease.transitions += 1;
                    lease.acquired = Some(now.clone());
                    lease.holder = Some(self.identity.clone());
                }
                lease.duration_seconds = LeaseObserver::DURATION.as_secs() as u32;
                lease.renewed = Some(now);
                self.cluster.update_lease(&lease).await.map(drop)
            }
        }
    }

    async fn give_back(&self) {
        let lease = self.cluster.lease(SYSTEM_NAMESPACE, &self.name()).await;
        if let Ok(Some(mut lease)) = lease
            && lease.holder.as_deref() == Some(&self.identity)
        {
            lease.holder = None;
            if let Err(error) = self.cluster.update_lease(&lease).await {
                tracing::warn!(%error, "the lease could not be given back; it runs out by itself");
            }
        }
    }
}

fn record_of(lease: &Lease) -> LeaseRecord {
    let seconds = if lease.duration_seconds == 0 { 15 } else { lease.duration_seconds };
    LeaseRecord {
        holder: lease.holder.clone().unwrap_or_default(),
        renew_time: format!("{}{}", lease.renewed.as_deref().unwrap_or_default(), lease.resource_version),
        duration: Duration::from_secs(seconds.into()),
    }
}

/// The API server's MicroTime.
fn micro_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
