//! The only home of requests to an API server: discovery, reading, server-side apply, leases, events, and the watch
//! caches that keep a [`LiveState`](crate::model::LiveState).
//!
//! Nothing here decides what to write or when to try again: each request is sent once, within its time-out, and its
//! answer is told apart by what to do about it ([`ClusterError`]).

mod acting;
mod certificate;
mod connect;
mod discovery;
mod error;
mod event;
mod lease;
mod objects;
mod peer;
mod question;
mod request;
mod right;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watch;
mod workload;
mod write_fence;

use std::sync::Arc;
use std::time::Duration;

pub use acting::{HOLDER_EXTRA, User};
pub use discovery::Kinds;
pub use error::{ClusterError, FieldConflict, RefusalCause};
pub use event::EventRecord;
pub use lease::Lease;
pub use objects::{ApplyOptions, DeleteOptions, ListOptions, Preconditions, Propagation, contains};
pub use peer::{KUBECONFIG_KEY, KubeconfigSecret, PeerAccess, PeerLink, peer_finding};
pub use question::Reply;
pub use watch::{Change, ChangeKind, Watches};
pub use workload::Leftover;
pub use write_fence::{FENCED, WriteFence, binding, policy};

/// A cluster, by the way to its API server. Clones share connections.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    url: Arc<str>,
    timeout: Duration,
    /// The longest answer to a request that is read.
    most_bytes: usize,
    /// Whom writes are made as, if not as ourselves.
    acting: Option<Arc<acting::Acting>>,
}

impl Cluster {
    /// The API server's URL, for messages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The client, for what has no method here.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.url)
    }
}
