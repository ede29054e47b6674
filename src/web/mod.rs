//! What the daemon serves: `/healthz`, `/readyz`, `/metrics` over HTTP, and the admission webhook over TLS.
//!
//! Alive means that the main loop turned over lately, or makes a plan; ready means that it is, that the first plan was made, and that the
//! webhook, where one is served, has policies to judge by. Neither depends on whether the newest commit is right: a
//! cluster must not restart its reconciler because of a bad commit.

mod metrics;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;

pub use metrics::Metrics;
pub use webhook::{
    AdmissionPolicies, FailurePolicy, Lifetimes, Reached, WebhookSettings, start as start_webhook,
};

/// A loop that has not turned for this long stands still; an idle one turns far more often.
const STILL: Duration = Duration::from_secs(60);
/// A plan that takes longer than this will never end: planning is computing, and what it asks the cluster for is asked
/// outside of it.
const ENDLESS: Duration = Duration::from_secs(15 * 60);

/// What the endpoints tell, shared with the daemon.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    planned: Arc<AtomicBool>,
    pulse: Arc<Mutex<Pulse>>,
    /// Figures for `/metrics`.
    pub metrics: Arc<Metrics>,
    /// What the admission webhook judges by.
    pub admission: AdmissionPolicies,
}

/// Where the main loop is.
#[derive(Debug, Default)]
enum Pulse {
    /// Not running, or on its way to the end.
    #[default]
    None,
    /// Reading the source and opening the cluster, which have time-outs of their own.
    Starting,
    /// It turned over last at this time.
    Beat(Instant),
    /// It plans since this time, and turns over when it is done.
    Planning(Instant),
}

impl Probes {
    /// Say whether the first plan was made.
    pub fn set_ready(&self, ready: bool) {
        self.planned.store(ready, Ordering::Relaxed);
    }

    /// Say whether there is to be a main loop.
    pub fn set_alive(&self, alive: bool) {
        *self.pulse.lock() = if alive { Pulse::Starting } else { Pulse::None };
    }

    /// The main loop turns over.
    pub fn beat(&self) {
        *self.pulse.lock() = Pulse::Beat(Instant::now());
    }

    /// Plan: a large repository takes longer than the loop may stand still otherwise, and restarting would only begin anew.
    pub fn planning<T>(&self, plan: impl FnOnce() -> T) -> T {
        *self.pulse.lock() = Pulse::Planning(Instant::now());
        let planned = plan();
        self.beat();
        planned
    }

    /// Why it is not alive, if so.
    fn dead(&self, now: Instant) -> Option<String> {
        match *self.pulse.lock() {
            Pulse::None => Some("not running".to_owned()),
            Pulse::Beat(at) if now.duration_since(at) > STILL => {
                Some(format!("the main loop stands still since {} s", now.duration_since(at).as_secs()))
            }
            Pulse::Planning(since) if now.duration_since(since) > ENDLESS => {
                Some(format!("a plan is being made since {} s", now.duration_since(since).as_secs()))
            }
            Pulse::Starting | Pulse::Beat(_) | Pulse::Planning(_) => None,
        }
    }

    /// Why it is not ready, if so.
    fn unready(&self, now: Instant) -> Option<String> {
        let planned = self.planned.load(Ordering::Relaxed);
        let unknown = self.admission.are_wanted() && !self.admission.are_known();
        let why = match (planned, unknown) {
            (false, _) => Some("no plan yet".to_owned()),
            (true, true) => {
                Some("no revision was applied yet whose policies the webhook could judge by".to_owned())
            }
            (true, false) => None,
        };
        self.dead(now).or(why)
    }
}

/// The routes.
pub fn router(probes: Probes) -> Router {
    Router::new()
        .route(
            "/healthz",
            get(|State(probes): State<Probes>| async move { answer(probes.dead(Instant::now())) }),
        )
        .route(
            "/readyz",
            get(|State(probes): State<Probes>| async move { answer(probes.unready(Instant::now())) }),
        )
        .route("/metrics", get(metrics_text))
        .with_state(probes)
}

fn answer(trouble: Option<String>) -> (StatusCode, String) {
    match trouble {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics_text(State(probes): State<Probes>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        probes.metrics.text(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Report;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn get(probes: &Probes, path: &str) -> (StatusCode, String) {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = router(probes.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_the_first_plan_and_not_the_repository() {
        let probes = Probes::default();
        probes.set_alive(true);
        assert_eq!(get(&probes, "/healthz").await.0, StatusCode::OK);
        assert_eq!(get(&probes, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        probes.set_ready(true);
        probes.metrics.report(&Report { stalled: true, ..Report::default() });
        assert_eq!(get(&probes, "/readyz").await.0, StatusCode::OK);
    }

    #[test]
    fn a_loop_that_stands_still_is_neither_alive_nor_ready() {
        let probes = Probes::default();
        let now = Instant::now();
        assert_eq!(probes.dead(now).as_deref(), Some("not running"));
        probes.set_alive(true);
        assert_eq!(probes.dead(now + 10 * STILL), None, "what it begins with has time-outs of its own");
        probes.beat();
        probes.set_ready(true);
        assert_eq!((probes.dead(now + STILL / 2), probes.unready(now + STILL / 2)), (None, None));
        let later = Instant::now() + 2 * STILL;
        assert!(probes.dead(later).unwrap().contains("stands still since 1"));
        assert_eq!(probes.unready(later), probes.dead(later));
    }

    #[test]
    fn a_plan_may_take_longer_than_a_turn_but_not_for_ever() {
        let probes = Probes::default();
        probes.set_alive(true);
        probes.set_ready(true);
        let planned = probes.planning(|| {
            let now = Instant::now();
            assert_eq!((probes.dead(now + 5 * STILL), probes.unready(now + 5 * STILL)), (None, None));
            assert!(probes.dead(now + 2 * ENDLESS).unwrap().contains("a plan is being made since 1800 s"));
            7
        });
        assert_eq!(planned, 7);
        let later = Instant::now() + 2 * STILL;
        assert!(probes.dead(later).unwrap().contains("stands still"), "after the plan it is a turn again");
    }

    #[tokio::test]
    async fn metrics_are_text_with_the_counts_of_the_report() {
        let probes = Probes::default();
        let mut report = Report { converged: true, ..Report::default() };
        report.objects.rendered = 12;
        probes.metrics.report(&report);
        probes.metrics.written.inc_by(3);
        let text = get(&probes, "/metrics").await.1;
        assert!(text.contains("moin_objects{state=\"rendered\"} 12"), "{text}");
        assert!(text.contains("moin_writes_total 3") && text.contains("moin_converged 1"), "{text}");
    }
}
