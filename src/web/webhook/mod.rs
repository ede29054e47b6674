//! The admission webhook: the compiled policies of the applied revision, for what does not come through git.
//!
//! Input: policies and namespaces that the daemon publishes ([`AdmissionPolicies`]), and AdmissionReviews. Output: an
//! answer to each, and the registration of the webhook in the cluster. The old policies serve until the new ones are
//! compiled; a change between two requests is seen as a whole or not at all.
//!
//! It never judges moin's own namespace and moin's own writes, so that it cannot keep moin from putting right what it
//! refuses. Before the first policies are known it says so and nothing more, and the API server does as `failurePolicy` says.

mod certificate;
mod keep;
mod questions;
mod registration;
mod review;
mod serve;
mod turns;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use certificate::Lifetimes;
pub use registration::{FailurePolicy, Reached};

use super::Metrics;
use crate::cluster::Cluster;
use crate::model::{LiveObject, Manifest, SYSTEM_NAMESPACE};
use crate::policy::{Described, PolicySet};
use crate::schema::Schemas;
use certificate::Shown;
use keep::Keeper;
use questions::Questions;
use review::{Ask, Exempt, Outcome, Reviewer};
use turns::Turns;

/// How long a request waits for what policies ask: the API server waits ten seconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is told while there are no policies.
const NOT_YET: &str = "moin has no policies yet: it has not read the revision that is applied here, or none was applied so far; \
     until then requests go by the webhook's failurePolicy";
/// What is told while too many others are judged.
const BUSY: &str = "moin judges too many other requests: try again";
/// Two objects of the largest size, and what stands around them.
const LARGEST_REVIEW: usize = 16 << 20;

/// What the webhook judges by.
#[derive(Debug)]
pub struct Policies {
    set: Arc<PolicySet>,
    schemas: Schemas,
    /// Labels of namespaces by name.
    namespaces: HashMap<String, BTreeMap<String, String>>,
    /// What the repository describes, and the namespaces.
    described: Described,
}

/// The policies of the moment: the daemon publishes them, the webhook takes them up between two requests.
#[derive(Debug, Clone)]
pub struct AdmissionPolicies {
    wanted: Arc<AtomicBool>,
    current: watch::Sender<Option<Arc<Policies>>>,
}

impl Default for AdmissionPolicies {
    fn default() -> AdmissionPolicies {
        AdmissionPolicies { wanted: Arc::default(), current: watch::Sender::new(None) }
    }
}

impl AdmissionPolicies {
    /// Whether anybody serves them.
    pub fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// From now on these, with what the repository describes and the namespaces that there are.
    pub fn publish<'a>(
        &self,
        set: &Arc<PolicySet>,
        schemas: &Schemas,
        manifests: &[Arc<Manifest>],
        living: impl IntoIterator<Item = (&'a String, &'a LiveObject)>,
    ) {
        let living: Vec<(&String, &LiveObject)> = living.into_iter().collect();
        let namespaces: HashMap<String, BTreeMap<String, String>> =
            living.iter().map(|(name, live)| ((*name).clone(), labels_of(&live.body))).collect();
        let bodies = manifests.iter().map(|manifest| &manifest.body);
        let bodies: Vec<Arc<Value>> =
            bodies.chain(living.iter().map(|(_, live)| &live.body)).cloned().collect();
        self.current.send_if_modified(|current| {
            let same_rules = current.as_ref().is_some_and(|known| Arc::ptr_eq(&known.set, set));
            let same = |known: &Arc<Policies>| {
                same_rules && known.namespaces == namespaces && known.described.is_of(&bodies)
            };
            if !current.as_ref().is_some_and(same) {
                let (set, schemas, described) = (set.clone(), schemas.clone(), Described::of(bodies));
                *current = Some(Arc::new(Policies { set, schemas, namespaces, described }));
            }
            // Only other rules need another registration.
            !same_rules
        });
    }

    /// Whether there are any to judge by.
    pub(super) fn are_known(&self) -> bool {
        self.current.borrow().is_some()
    }

    fn current(&self) -> Option<Arc<Policies>> {
        self.current.borrow().clone()
    }

    fn subscribe(&self) -> watch::Receiver<Option<Arc<Policies>>> {
        self.current.subscribe()
    }
}

fn labels_of(namespace: &Value) -> BTreeMap<String, String> {
    let labels = namespace["metadata"]["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// How the webhook is served and registered.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// How the API server reaches it.
    pub reached: Reached,
    /// What becomes of a request when it does not answer.
    pub failure_policy: FailurePolicy,
    /// Namespaces that it does not judge, beside moin's own.
    pub exempt: Vec<String>,
    /// How long its certificates hold.
    pub lifetimes: Lifetimes,
}

impl WebhookSettings {
    fn exempt_namespaces(&self) -> Vec<String> {
        let mut all = vec![SYSTEM_NAMESPACE.to_owned()];
        all.extend(self.exempt.iter().filter(|name| *name != SYSTEM_NAMESPACE).cloned());
        all
    }
}

/// Serves the webhook and keeps it registered, until it is told to stop.
///
/// # Errors
/// When the TLS library refuses its settings.
pub fn start(
    listener: TcpListener,
    cluster: Cluster,
    settings: WebhookSettings,
    policies: AdmissionPolicies,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    policies.wanted.store(true, Ordering::Relaxed);
    let shown = Arc::new(Shown::default());
    let tls = shown.clone().server_config()?;
    let exempt = Exempt { namespaces: settings.exempt_namespaces() };
    let questions = Arc::new(Questions::default());
    tokio::spawn(questions.clone().keep(cluster.clone(), stop.clone()));
    let open = settings.failure_policy == FailurePolicy::Ignore;
    let judge = Judge {
        policies: policies.clone(),
        exempt: Arc::new(exempt),
        metrics,
        questions,
        open,
        patience: PATIENCE,
        turns: Turns::default(),
    };
    tokio::spawn(serve::serve(listener, tls, router(judge), stop.clone()));
    tokio::spawn(Keeper { cluster, settings, policies, shown }.keep(stop));
    Ok(())
}

#[derive(Debug, Clone)]
struct Judge {
    policies: AdmissionPolicies,
    exempt: Arc<Exempt>,
    metrics: Arc<Metrics>,
    questions: Arc<Questions>,
    /// Whether what cannot be judged passes.
    open: bool,
    /// How long a request waits for what policies ask, and for its turn.
    patience: Duration,
    turns: Turns,
}

fn router(judge: Judge) -> Router {
    Router::new()
        .route(
            "/validate",
            post(|State(judge): State<Judge>, body: Bytes| async move { judge.answer(Ask::Validate, body).await }),
        )
        .route(
            "/mutate",
            post(|State(judge): State<Judge>, body: Bytes| async move { judge.answer(Ask::Mutate, body).await }),
        )
        .layer(DefaultBodyLimit::max(LARGEST_REVIEW))
        .with_state(judge)
}

impl Judge {
    async fn answer(&self, ask: Ask, body: Bytes) -> Response {
        let began = Instant::now();
        let Some(policies) = self.policies.current() else { return unavailable(NOT_YET) };
        let end = tokio::time::Instant::now() + self.patience;
        let parsed = self.turns.take(end, move || serde_json::from_slice::<Value>(&body)).await;
        let Some(parsed) = parsed else { return unavailable(BUSY) };
        let Ok(review) = parsed.map(Arc::new) else {
            return (StatusCode::BAD_REQUEST, "not JSON").into_response();
        };
        let mut answers = self.questions.answers();
        let (answer, outcome) = loop {
            let (judge, policies, review) = (self.clone(), policies.clone(), review.clone());
            let reviewed = move || {
                let reviewer = Reviewer { policies: &policies, exempt: &judge.exempt, open: judge.open };
                reviewer.answer(ask, &review, &judge.questions.world())
            };
            let Some(reviewed) = self.turns.take(end, reviewed).await else { return unavailable(BUSY) };
            let Some(reviewed) = reviewed else {
                return (StatusCode::BAD_REQUEST, "not an AdmissionReview").into_response();
            };
            if reviewed.waits {
                self.questions.ask();
                // Without news in time it stays at what was said without the answer.
                if matches!(tokio::time::timeout_at(end, answers.changed()).await, Ok(Ok(()))) {
                    continue;
                }
            }
            break (reviewed.answer, reviewed.outcome);
        };
        let outcome = match outcome {
            Outcome::Allowed => "allowed",
            Outcome::Changed => "changed",
            Outcome::Refused => "refused",
        };
        self.metrics.reviewed_in(began.elapsed(), outcome);
        ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
    }
}

/// A Status, whose message the API server passes on to who asked it.
fn unavailable(message: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": 503, "reason": "ServiceUnavailable", "message": message});
    (StatusCode::SERVICE_UNAVAILABLE, Json(status)).into_response()
}

#[cfg(test)]
mod tests;
