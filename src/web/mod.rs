//! What the daemon serves: `/healthz`, `/readyz`, `/metrics` over HTTP, and the admission webhook over TLS.
//!
//! Alive means that the main loop turned over lately; ready means that the first plan was made. Neither depends on
//! whether the repository is right: a cluster must not restart its reconciler because of a bad commit.

mod metrics;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

pub use metrics::Metrics;
pub use webhook::{
    AdmissionPolicies, FailurePolicy, Lifetimes, Reached, WebhookSettings, start as start_webhook,
};

/// What the endpoints tell, shared with the daemon.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    ready: Arc<AtomicBool>,
    alive: Arc<AtomicBool>,
    /// Figures for `/metrics`.
    pub metrics: Arc<Metrics>,
    /// What the admission webhook judges by.
    pub admission: AdmissionPolicies,
}

impl Probes {
    /// Say whether the first plan was made.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Say whether the main loop runs.
    pub fn set_alive(&self, alive: bool) {
        self.alive.store(alive, Ordering::Relaxed);
    }
}

/// The routes.
pub fn router(probes: Probes) -> Router {
    Router::new()
        .route(
            "/healthz",
            get(|State(probes): State<Probes>| async move { answer(&probes.alive, "not running") }),
        )
        .route(
            "/readyz",
            get(|State(probes): State<Probes>| async move { answer(&probes.ready, "no plan yet") }),
        )
        .route("/metrics", get(metrics_text))
        .with_state(probes)
}

fn answer(flag: &AtomicBool, otherwise: &'static str) -> (StatusCode, &'static str) {
    if flag.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, otherwise)
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
