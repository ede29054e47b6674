//! Figures for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::finding::Severity;
use crate::status::Report;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reviewed {
    outcome: &'static str,
}

/// From ten microseconds to some seconds.
fn admission_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 2.5, 14))
}

/// All figures of a daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    objects: Family<State, Gauge>,
    findings: Family<State, Gauge>,
    converged: Gauge,
    lease: Gauge,
    /// Writes that the API server accepted.
    pub written: Counter,
    /// Drifts that were repaired.
    pub repaired: Counter,
    /// Fetches that failed.
    pub fetch_failures: Counter,
    plan_seconds: Histogram,
    admission_seconds: Family<Reviewed, Histogram>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("moin");
        let metrics = Metrics {
            registry: Registry::default(),
            objects: Family::default(),
            findings: Family::default(),
            converged: Gauge::default(),
            lease: Gauge::default(),
            written: Counter::default(),
            repaired: Counter::default(),
            fetch_failures: Counter::default(),
            plan_seconds: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            admission_seconds: Family::new_with_constructor(admission_seconds),
        };
        registry.register("objects", "Objects by state", metrics.objects.clone());
        registry.register("findings", "Findings by severity", metrics.findings.clone());
        registry.register("converged", "1 when everything is applied and healthy", metrics.converged.clone());
        registry.register("lease_held", "1 when writes are ours", metrics.lease.clone());
        registry.register("writes", "Writes that the API server accepted", metrics.written.clone());
        registry.register("repairs", "Drifts that were repaired", metrics.repaired.clone());
        registry.register(
            "fetch_failures",
            "Fetches of the source that failed",
            metrics.fetch_failures.clone(),
        );
        registry.register("plan_seconds", "Time to render, review and plan", metrics.plan_seconds.clone());
        registry.register(
            "admission_seconds",
            "Time to judge an admission request, by what came of it",
            metrics.admission_seconds.clone(),
        );
        Metrics { registry, ..metrics }
    }
}

impl Metrics {
    /// Take over the counts of a report.
    pub fn report(&self, report: &Report) {
        let counts = &report.objects;
        for (state, count) in [
            ("rendered", counts.rendered),
            ("in_sync", counts.in_sync),
            ("blocked", counts.blocked),
            ("pending", counts.pending),
        ] {
            self.objects.get_or_create(&State { state }).set(count as i64);
        }
        for (state, severity) in
            [("error", Severity::Error), ("warning", Severity::Warning), ("note", Severity::Note)]
        {
            let count = report.findings.iter().filter(|finding| finding.severity == severity).count();
            self.findings.get_or_create(&State { state }).set(count as i64);
        }
        self.converged.set(report.converged.into());
        self.lease.set(report.holds_lease.into());
    }

    /// Note how long a plan took.
    pub fn planned_in(&self, time: Duration) {
        self.plan_seconds.observe(time.as_secs_f64());
    }

    /// Note how long an admission request took, and what came of it.
    pub(super) fn reviewed_in(&self, time: Duration, outcome: &'static str) {
        self.admission_seconds.get_or_create(&Reviewed { outcome }).observe(time.as_secs_f64());
    }

    /// All figures in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a String cannot fail; an encoder that does is no reason to stop the daemon.
            Err(_) => String::new(),
        }
    }
}
