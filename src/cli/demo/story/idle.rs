//! With nothing changed, nothing is asked for and nothing is written.

use std::time::Duration;

use super::super::management::Management;
use super::super::say;
use super::super::stage::{OWNER, Stage};
use super::BoxError;

/// How many renewals of each lease are waited for, with nothing else between them.
const RENEWALS: usize = 2;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take until what was before has come to rest.
const PATIENCE: Duration = Duration::from_secs(90);

/// Wait until all there is are renewals of the leases.
pub async fn watch(stage: &Stage) -> Result<(), BoxError> {
    forget(stage);
    let mut last = Vec::new();
    let rest = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let others: Vec<String> = stage.managements.iter().flat_map(others).collect();
            if !others.is_empty() {
                // It may be of what was done before: from here anew.
                last = others;
                forget(stage);
            } else if stage.managements.iter().all(|management| renewals(management) >= RENEWALS) {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, rest).await.is_err() {
        let last = last.join(", ");
        return Err(format!("for {PATIENCE:?} it did not come to rest; the last requests were {last}").into());
    }
    for management in &stage.managements {
        let (name, requests) = (management.name, management.plane.requests().len());
        say(&format!(
            "    {name}: {requests} requests while the lease was renewed {RENEWALS} times, all for the lease"
        ))?;
    }
    Ok(())
}

fn forget(stage: &Stage) {
    stage.managements.iter().for_each(|management| management.plane.clear_requests());
}

fn is_of_lease(path: &str) -> bool {
    path.ends_with(&format!("/leases/moin-{OWNER}"))
}

fn renewals(management: &Management) -> usize {
    let requests = management.plane.requests();
    requests.iter().filter(|request| request.is_write() && is_of_lease(&request.path)).count()
}

/// Requests that are neither for the lease nor the begin of a watch.
fn others(management: &Management) -> Vec<String> {
    let requests = management.plane.requests().into_iter();
    let requests = requests.filter(|it| !is_of_lease(&it.path) && !it.query.contains("watch=true"));
    requests.map(|it| format!("{} {} on {}", it.method, it.path, management.name)).collect()
}
