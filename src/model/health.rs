//! Health of an object, as plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the state of an object means for those who wait for it, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HealthStatus {
    /// It is as its spec says.
    Healthy,
    /// Somebody paused it on purpose.
    Suspended,
    /// It is on the way.
    Progressing,
    /// Nothing can be said of it.
    Unknown,
    /// It failed, or needs somebody.
    Degraded,
}

/// Health and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Why, in a sentence that stands alone.
    pub reason: String,
}

impl Health {
    /// A verdict with its reason.
    pub fn new(status: HealthStatus, reason: impl Into<String>) -> Health {
        Health { status, reason: reason.into() }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
