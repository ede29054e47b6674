//! Performs what the engine decides about the Lease of a target.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use super::bootstrap;
use crate::cluster::{Cluster, ClusterError, FENCED, Lease};
use crate::engine::{Event, LEASE_PATIENCE, LeaseRecord, LeaseWrite, PROTOCOL, Role};
use crate::model::{ClusterUid, SYSTEM_NAMESPACE};

/// Annotation: who wants the lease from a stand-in.
const HAND_BACK: &str = "moin.scs.community/hand-back";
/// Annotation: `home` or `peer`, what the holder is to the cluster.
const ROLE: &str = "moin.scs.community/role";
/// Annotation: what the management cluster is called.
const CLUSTER: &str = "moin.scs.community/cluster";
/// Annotation: the version of the protocol that the last writer speaks.
const PROTOCOL_VERSION: &str = "moin.scs.community/protocol";

/// The Lease of a target; clones are for the same one.
#[derive(Clone)]
pub(super) struct LeaseClient {
    cluster: Cluster,
    name: String,
    /// As it was read or written last: a write keeps what it does not mean to change.
    last: Arc<Mutex<Option<Lease>>>,
    /// By what mark the API server knows our writes, once it does.
    mark: Arc<Mutex<Option<String>>>,
    /// The only cluster in which a Lease is made, for a stand-in.
    only_in: Option<ClusterUid>,
}

impl LeaseClient {
    /// Of the Lease `moin-OWNER`.
    pub(super) fn new(cluster: Cluster, owner: &str, only_in: Option<ClusterUid>) -> LeaseClient {
        let name = format!("moin-{owner}");
        LeaseClient { cluster, name, last: Arc::default(), mark: Arc::default(), only_in }
    }

    /// From the next renewal on the Lease says that our writes bear this mark.
    pub(super) fn mark(&self, mark: &str) {
        *self.mark.lock() = Some(mark.to_owned());
    }

    /// Tells of every change, by version.
    pub(super) fn watch(&self) -> UnboundedReceiver<String> {
        self.cluster.follow_lease(SYSTEM_NAMESPACE, &self.name)
    }

    /// How it is now.
    pub(super) async fn read(&self) -> Event {
        let answer = in_time(self.cluster.lease(SYSTEM_NAMESPACE, &self.name)).await;
        match answer {
            Ok(lease) => {
                let record = lease.as_ref().map(record_of);
                *self.last.lock() = lease;
                Event::LeaseSeen(record)
            }
            Err(error) => failed(&error),
        }
    }

    /// Write it over the version that was read last.
    pub(super) async fn write(&self, write: LeaseWrite) -> Event {
        let last = self.last.lock().clone();
        let version = last.as_ref().map(|lease| lease.resource_version.clone());
        if version != write.over {
            return Event::LeaseRefused;
        }
        let creates = last.is_none();
        let mut lease = changed(last.unwrap_or_else(|| self.new_lease()), &write, &micro_time());
        match self.mark.lock().clone().filter(|mark| *mark == write.holder) {
            Some(mark) => drop(lease.annotations.insert(FENCED.to_owned(), mark)),
            // An asker leaves what the holder says.
            None if !write.renews => {}
            None => drop(lease.annotations.remove(FENCED)),
        }
        let answer = in_time(async {
            if !creates {
                return self.cluster.update_lease(&lease).await;
            }
            if let Some(expected) = &self.only_in
                && self.cluster.uid().await? != *expected
            {
                let reason = "it is another cluster than before".to_owned();
                return Err(ClusterError::Config { reason });
            }
            match self.cluster.create_lease(&lease).await {
                // Its namespace is made by whoever holds the lease first.
                Err(ClusterError::NotFound { .. }) => {
                    bootstrap::prepare_namespace(&self.cluster).await?;
                    self.cluster.create_lease(&lease).await
                }
                answer => answer,
            }
        });
        match answer.await {
            Ok(lease) => {
                let record = record_of(&lease);
                *self.last.lock() = Some(lease);
                Event::LeaseWritten(record)
            }
            Err(ClusterError::Stale { .. } | ClusterError::AlreadyExists { .. }) => Event::LeaseRefused,
            // It was deleted since.
            Err(ClusterError::NotFound { .. }) if !creates => Event::LeaseRefused,
            Err(error) => failed(&error),
        }
    }

    fn new_lease(&self) -> Lease {
        Lease { namespace: SYSTEM_NAMESPACE.to_owned(), name: self.name.clone(), ..Lease::default() }
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T, ClusterError>>) -> Result<T, ClusterError> {
    let answer = tokio::time::timeout(LEASE_PATIENCE, request).await;
    answer.unwrap_or(Err(ClusterError::Timeout { after: LEASE_PATIENCE }))
}

fn failed(error: &ClusterError) -> Event {
    tracing::debug!(%error, "the lease could not be read or written");
    let mut finding = error.finding();
    finding.message = format!("the lease cannot be read or written: {}", finding.message);
    Event::LeaseFailed(Box::new(finding))
}

/// The Lease as a write makes it.
fn changed(mut lease: Lease, write: &LeaseWrite, now: &str) -> Lease {
    if write.renews {
        // Whoever watches compares for change: a clock that stands still must not look like a holder that does.
        let stands_still = lease.renewed.as_deref() == Some(now);
        lease.renewed = Some(if stands_still { next_moment(now) } else { now.to_owned() });
        lease.duration_seconds = u32::try_from(write.duration.as_secs()).unwrap_or(u32::MAX);
    }
    if lease.holder.as_deref().unwrap_or_default() != write.holder {
        lease.holder = Some(write.holder.clone()).filter(|holder| !holder.is_empty());
        if lease.holder.is_some() {
            lease.transitions += 1;
            lease.acquired = Some(now.to_owned());
        }
    }
    let role = match write.role {
        Role::Home => "home",
        Role::Peer => "peer",
    };
    let texts = [
        (ROLE, Some(role.to_owned())),
        (CLUSTER, write.cluster.clone()),
        (PROTOCOL_VERSION, Some(PROTOCOL.to_string())),
        (HAND_BACK, write.hand_back.clone()),
    ];
    for (key, text) in texts {
        match text {
            Some(text) => drop(lease.annotations.insert(key.to_owned(), text)),
            None => drop(lease.annotations.remove(key)),
        }
    }
    lease
}

fn record_of(lease: &Lease) -> LeaseRecord {
    let said = |key: &str| lease.annotations.get(key).filter(|text| !text.is_empty()).cloned();
    let seconds = if lease.duration_seconds == 0 { 15 } else { lease.duration_seconds };
    LeaseRecord {
        holder: lease.holder.clone().unwrap_or_default(),
        role: if said(ROLE).as_deref() == Some("peer") { Role::Peer } else { Role::Home },
        renewal: lease.renewed.clone().unwrap_or_default(),
        duration: Duration::from_secs(seconds.into()),
        cluster: said(CLUSTER),
        // Words that nobody has said yet are of a later version, too.
        protocol: said(PROTOCOL_VERSION).map_or(0, |text| text.parse().unwrap_or(u32::MAX)),
        hand_back: said(HAND_BACK),
        version: lease.resource_version.clone(),
    }
}

/// A microsecond later.
fn next_moment(now: &str) -> String {
    let later = now.parse::<Timestamp>().map(|at| at + Duration::from_micros(1));
    later.map_or_else(|_| now.to_owned(), |at| at.strftime(MICRO_TIME).to_string())
}

/// The API server's MicroTime.
const MICRO_TIME: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

fn micro_time() -> String {
    Timestamp::now().strftime(MICRO_TIME).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(holder: &str) -> LeaseWrite {
        LeaseWrite {
            over: None,
            holder: holder.into(),
            role: Role::Peer,
            cluster: Some("mgmt1".into()),
            hand_back: Some("home".into()),
            renews: true,
            duration: Duration::from_secs(30),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let now = "2026-01-02T03:04:05.000006Z";
        let lease = changed(Lease::default(), &write("me"), now);
        let record = record_of(&lease);
        assert_eq!((record.holder.as_str(), record.role, record.protocol), ("me", Role::Peer, PROTOCOL));
        assert_eq!(record.cluster.as_deref(), Some("mgmt1"));
        assert_eq!(record.hand_back.as_deref(), Some("home"));
        assert_eq!(record.duration, Duration::from_secs(30));
        assert_eq!((lease.transitions, lease.acquired.as_deref()), (1, Some(now)));
        let asked =
            changed(lease.clone(), &LeaseWrite { renews: false, hand_back: None, ..write("me") }, "later");
        assert_eq!((asked.renewed.as_deref(), record_of(&asked).hand_back), (Some(now), None));
        let again = changed(lease, &write("me"), now);
        assert_ne!(again.renewed.as_deref(), Some(now), "a renewal is seen even when the clock stands");
        assert_eq!(record_of(&changed(again, &write(""), now)).holder, "");
    }

    #[test]
    fn what_is_not_understood_is_of_a_later_version() {
        let mut lease = Lease::default();
        assert_eq!(record_of(&lease).protocol, 0);
        lease.annotations.insert(PROTOCOL_VERSION.into(), "2-beta".into());
        assert_eq!(record_of(&lease).protocol, u32::MAX);
    }
}
