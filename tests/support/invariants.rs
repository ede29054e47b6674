//! What must hold for two instances of moin that write to one cluster, read off its audit log alone.
//!
//! The log must hold the answers' bodies (level RequestResponse) of Leases, Reconciliations and of the objects that are
//! looked at. These are ConfigMaps whose `data.revision` counts the commits, so that going back is seen without asking
//! git. Order is that of the store: the version that each write made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// One API server's log.
#[derive(Debug)]
pub struct AuditLog {
    events: Vec<Value>,
}

/// Whose traces are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The owner name.
    pub owner: &'a str,
    /// Where its ConfigMaps are.
    pub namespace: &'a str,
}

/// A write that was stored.
#[derive(Debug, Clone)]
pub struct Write {
    /// Who: the identity that the write is marked with, or the user where it bears no mark.
    pub writer: String,
    /// `create`, `patch`, `update` or `delete`.
    pub verb: String,
    /// The object's name.
    pub object: String,
    /// `data.revision` of the object as it was stored.
    pub revision: Option<u64>,
    /// The version that it made; none for a deletion.
    pub version: Option<u64>,
    received: Timestamp,
    answered: Timestamp,
}

/// A state of the Lease.
#[derive(Debug, Clone)]
pub struct LeaseState {
    /// Who holds it; empty for nobody.
    pub holder: String,
    /// Whether that is the cluster's own daemon.
    pub home: bool,
    /// Who asks for it.
    pub asker: Option<String>,
    /// When it was answered.
    pub time: Timestamp,
    version: u64,
    renewed: String,
}

/// What was seen where nothing was broken.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writes that were stored.
    pub writes: usize,
    /// Of them: those that were under way while the lease changed hands.
    pub overlapping: usize,
    /// Of them: those that changed nothing.
    pub idle: usize,
    /// Writes that the fence in the API server refused.
    pub fenced: usize,
}

/// A change of hands of the Lease.
#[derive(Debug)]
pub struct Handover {
    /// To whom.
    pub to: String,
    /// Since the holder before had renewed it.
    pub after_renewal: Duration,
    /// Since it was asked for, if it was.
    pub after_request: Option<Duration>,
    /// Until the new holder's first write was answered, if it wrote.
    pub first_write: Option<Duration>,
}

impl std::fmt::Display for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Handover { to, after_renewal, after_request, first_write } = self;
        write!(f, "{to:.5} has the lease {after_renewal:.3?} after the last renewal")?;
        if let Some(after) = after_request {
            write!(f, ", {after:.3?} after it asked for it")?;
        }
        first_write.map_or(Ok(()), |after| write!(f, ", and writes {after:.3?} later"))
    }
}

impl AuditLog {
    /// From the text of a log; its last line may still be in the making.
    pub fn read(text: &str) -> AuditLog {
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        AuditLog { events: events.filter(|event| event["stage"] == "ResponseComplete").collect() }
    }

    /// Writes of moin to its ConfigMaps that were stored, in the order of the store; deletions at the end.
    pub fn writes(&self, subject: Subject<'_>) -> Vec<Write> {
        let done = self.events.iter().filter(|event| succeeded(event));
        let mut writes: Vec<Write> = done.filter_map(|event| write_of(event, subject.namespace)).collect();
        writes.sort_by_key(|write| write.version.unwrap_or(u64::MAX));
        writes
    }

    /// The states of the Lease, in order.
    pub fn leases(&self, owner: &str) -> Vec<LeaseState> {
        let lease = format!("moin-{owner}");
        let done = self.events.iter().filter(|event| succeeded(event));
        let mut states: Vec<LeaseState> = done.filter_map(|event| lease_of(event, &lease)).collect();
        states.sort_by_key(|state| state.version);
        states
    }

    /// Every change of hands, in order; the first holder came by one, too.
    pub fn handovers(&self, subject: Subject<'_>) -> Vec<Handover> {
        let (states, writes) = (self.leases(subject.owner), self.writes(subject));
        let mut found = Vec::new();
        for (at, now) in states.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &states[before]);
            if now.holder.is_empty() || before.is_some_and(|before| before.holder == now.holder) {
                continue;
            }
            let earlier = &states[..at];
            let renewed = before.and_then(|before| earlier.iter().find(|it| it.renewed == before.renewed));
            let asked = before.and_then(|before| before.asker.as_ref()).and_then(|asker| {
                let asks = |it: &&LeaseState| it.asker.as_ref() == Some(asker);
                earlier.iter().rev().take_while(asks).last()
            });
            let first = writes
                .iter()
                .find(|write| write.writer == now.holder && write.version.is_some_and(|it| it > now.version));
            found.push(Handover {
                to: now.holder.clone(),
                after_renewal: renewed.map_or(Duration::ZERO, |it| between(it.time, now.time)),
                after_request: asked.map(|it| between(it.time, now.time)),
                first_write: first.map(|write| between(now.time, write.answered)),
            });
        }
        found
    }

    /// What is broken, unless
    /// - at most one instance writes at a time: who holds the Lease, or who held it when the write was sent, and then
    ///   before the next holder's first;
    /// - no object and no record of what was applied goes to an older revision;
    /// - nothing is deleted but `deletions`.
    ///
    /// `commits` are all there are, oldest first.
    pub fn check(
        &self,
        subject: Subject<'_>,
        commits: &[String],
        deletions: &[&str],
    ) -> Result<Tally, String> {
        let (states, writes) = (self.leases(subject.owner), self.writes(subject));
        let mut broken = Vec::new();
        let mut tally = Tally { writes: writes.len(), ..Tally::default() };
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        let allowed: BTreeSet<&str> = deletions.iter().copied().collect();
        for write in &writes {
            match one_at_a_time(write, &states, &writes) {
                Ok(overlaps) => tally.overlapping += usize::from(overlaps),
                Err(why) => broken.push(why),
            }
            if let Some(revision) = write.revision {
                match newest.insert(&write.object, revision) {
                    Some(before) if before > revision => {
                        broken.push(format!("it goes back from {before}: {write:?}"));
                    }
                    Some(before) if before == revision => tally.idle += 1,
                    _ => {}
                }
            }
            if write.verb == "delete" && !allowed.contains(write.object.as_str()) {
                broken.push(format!("no plan says this: {write:?}"));
            }
        }
        broken.extend(self.records_go_back(subject.owner, commits));
        tally.fenced = self.events.iter().filter(|event| is_fenced(event, subject.namespace)).count();
        let Some(_) = broken.first() else { return Ok(tally) };
        let states: Vec<String> = states.iter().map(|state| format!("{state:?}")).collect();
        Err(format!("{}\nthe lease:\n{}", broken.join("\n"), states.join("\n")))
    }

    /// Where what the Reconciliation records goes back.
    fn records_go_back(&self, owner: &str, commits: &[String]) -> Vec<String> {
        let mut records: Vec<(u64, &Value)> = self
            .events
            .iter()
            .filter_map(|event| {
                let object = &event["responseObject"];
                let ours = event["objectRef"]["resource"] == "reconciliations"
                    && is_write(event)
                    && succeeded(event);
                (ours && object["metadata"]["name"] == owner).then(|| version_of(object).zip(Some(object)))?
            })
            .collect();
        records.sort_by_key(|(version, _)| *version);
        let mut broken = Vec::new();
        for field in ["revision", "appliedRevision"] {
            let said = records.iter().filter_map(|(_, object)| object["status"][field].as_str());
            let places: Vec<Option<usize>> =
                said.map(|text| commits.iter().position(|commit| commit == text)).collect();
            for pair in places.windows(2).filter(|pair| pair[0] > pair[1] || pair[1].is_none()) {
                broken.push(format!("status.{field} goes from commit {:?} to {:?}", pair[0], pair[1]));
            }
        }
        broken
    }
}

/// Whether a write may have been stored when it was, and whether the lease changed hands while it was under way.
fn one_at_a_time(write: &Write, states: &[LeaseState], writes: &[Write]) -> Result<bool, String> {
    let stored_before = |state: &&LeaseState| match write.version {
        Some(version) => state.version < version,
        None => state.time <= write.answered,
    };
    let now = states.iter().rev().find(stored_before);
    if now.is_some_and(|state| state.holder == write.writer) {
        return Ok(false);
    }
    let sent = states.iter().rev().find(|state| state.time <= write.received);
    if sent.is_none_or(|state| state.holder != write.writer) {
        return Err(format!("{:?} held the lease, and this was stored: {write:?}", now.map(|it| &it.holder)));
    }
    let (after, until) = (sent.map(|state| state.version), write.version);
    let other =
        writes.iter().find(|it| it.writer != write.writer && it.version > after && it.version < until);
    other.map_or(Ok(true), |other| Err(format!("two write at a time: {other:?} and {write:?}")))
}

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

fn succeeded(event: &Value) -> bool {
    event["responseStatus"]["code"].as_u64().is_some_and(|code| (200..300).contains(&code))
}

fn is_write(event: &Value) -> bool {
    let dry_run = event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"));
    let writes = ["create", "update", "patch", "delete"];
    event["verb"].as_str().is_some_and(|verb| writes.contains(&verb)) && !dry_run
}

fn is_fenced(event: &Value, namespace: &str) -> bool {
    let message = event["responseStatus"]["message"].as_str().unwrap_or_default();
    event["objectRef"]["namespace"] == namespace && message.contains("does not hold the lease")
}

fn version_of(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

fn time_of(event: &Value, field: &str) -> Timestamp {
    event[field].as_str().and_then(|text| text.parse().ok()).expect("the API server writes RFC 3339")
}

fn lease_of(event: &Value, lease: &str) -> Option<LeaseState> {
    let object = &event["responseObject"];
    // A creation names nothing in its reference.
    if event["objectRef"]["resource"] != "leases" || !is_write(event) || object["metadata"]["name"] != lease {
        return None;
    }
    let said = |name: &str| object["metadata"]["annotations"][name].as_str().map(str::to_owned);
    Some(LeaseState {
        holder: object["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned(),
        home: said("moin.scs.community/role").as_deref() != Some("peer"),
        asker: said("moin.scs.community/hand-back"),
        time: time_of(event, "stageTimestamp"),
        version: version_of(object)?,
        renewed: object["spec"]["renewTime"].as_str().unwrap_or_default().to_owned(),
    })
}

fn write_of(event: &Value, namespace: &str) -> Option<Write> {
    let about = &event["objectRef"];
    if about["resource"] != "configmaps" || about["namespace"] != namespace || !is_write(event) {
        return None;
    }
    let mark = event["impersonatedUser"]["extra"]["moin.scs.community/holder"][0].as_str();
    let uri = event["requestURI"].as_str().unwrap_or_default();
    // What others write is none of our business.
    if mark.is_none() && !uri.contains("fieldManager=moin") {
        return None;
    }
    let object = &event["responseObject"];
    let verb = event["verb"].as_str()?;
    let revision = object["data"]["revision"].as_str().and_then(|text| text.parse().ok());
    Some(Write {
        writer: mark.or_else(|| event["user"]["username"].as_str())?.to_owned(),
        verb: verb.to_owned(),
        object: about["name"].as_str().unwrap_or_default().to_owned(),
        revision: revision.filter(|_| verb != "delete"),
        version: version_of(object).filter(|_| verb != "delete"),
        received: time_of(event, "requestReceivedTimestamp"),
        answered: time_of(event, "stageTimestamp"),
    })
}
