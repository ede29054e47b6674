//! `moin run`: the daemon, or one pass.

use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::{ClusterArgs, SourceArgs, open_remote, render_options, source_name};
use super::{Outcome, output};
use crate::cluster::Cluster;
use crate::config::{Flags, Webhook};
use crate::daemon::{Daemon, Ended};
use crate::model::SYSTEM_NAMESPACE;
use crate::web::{self, FailurePolicy, Lifetimes, Probes, Reached, WebhookSettings};

/// How long a single pass may take if nothing is said.
const ONCE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Reconcile a cluster with a repository, for ever or once.
///
/// With --once it ends with 0 when all is applied and healthy, with 1 as soon as nothing can move any more, with 2 if it
/// could not start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    moin run --repo https://git.example.org/config --branch main --interval 30s --listen 0.0.0.0:8080\n  \
    moin run --repo https://git.example.org/config --path flux/config --once --timeout 5m\n  \
    moin run --repo https://git.example.org/config --branch main --observe-only")]
pub struct RunArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Make one pass and end with its result.
    #[arg(long)]
    once: bool,
    /// Plan, watch and tell (log, metrics; with --once what a pass would do, an object a line), but take no lease and write
    /// nothing into any cluster.
    #[arg(long, alias = "observe")]
    observe_only: bool,
    /// How long a single pass may take at most, such as `60s`; 5m if nothing is said.
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Where to serve /healthz, /readyz and /metrics, such as `0.0.0.0:8080`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Serve the policies of the applied revision as an admission webhook here, such as `0.0.0.0:9443`, and register it in
    /// the cluster.
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Admission")]
    webhook: Option<String>,
    /// The URL at which the API server reaches the webhook, such as `https://10.0.0.5:9443`; else it asks the Service
    /// `moin-webhook` of the namespace `moin-system`.
    #[arg(long, value_name = "URL", help_heading = "Admission")]
    webhook_url: Option<String>,
    /// What becomes of a request when the webhook does not answer: `Fail` refuses it, `Ignore` lets it pass.
    #[arg(long, value_name = "Fail|Ignore", help_heading = "Admission")]
    webhook_failure_policy: Option<String>,
    /// Namespaces that the webhook does not judge, with commas between them; `kube-system` if nothing is said.
    #[arg(long, value_name = "NAMES", help_heading = "Admission")]
    webhook_exempt: Option<String>,
}

/// The Service by which an API server reaches the webhook.
const WEBHOOK_SERVICE: &str = "moin-webhook";

impl RunArgs {
    /// The flags of this command that are settings.
    fn flags(&self) -> Flags {
        let given = [
            ("timeout", &self.timeout),
            ("listen", &self.listen),
            ("webhook", &self.webhook),
            ("webhook-url", &self.webhook_url),
            ("webhook-failure-policy", &self.webhook_failure_policy),
            ("webhook-exempt", &self.webhook_exempt),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

/// Run the command.
pub fn run(args: RunArgs) -> Outcome {
    let mut flags = args.cluster.flags();
    flags.extend(args.flags());
    let settings = args.source.settings_with(flags)?;
    if args.observe_only && settings.webhook.is_some() {
        return Err(
            "--observe-only writes nothing, and a webhook must be registered: leave out one of them".into()
        );
    }
    let source = open_remote(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let cluster = args.cluster.connect(&settings).await?;
        let probes = Probes::default();
        let stop = stop_signal();
        if let Some(address) = &settings.listen {
            let listener =
                TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"))?;
            tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
            let router = web::router(probes.clone());
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        if let Some(webhook) = &settings.webhook {
            serve_webhook(webhook, &cluster, &probes, &stop).await?;
        }
        let daemon = Daemon {
            cluster,
            source,
            source_url: source_name(&settings),
            render: render_options(&settings),
            once: args.once.then(|| settings.timeout.unwrap_or(ONCE_TIMEOUT)),
            interval: settings.interval,
            observe: args.observe_only,
            fetch_timeout: FETCH_TIMEOUT,
            probes,
            stop,
        };
        Ok::<Ended, super::BoxError>(daemon.run().await?)
    })?;
    // Work that hangs in the background (a fetch without an answer) must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if args.once {
        output::findings(&ended.report.findings);
        if let Some(plan) = ended.plan.filter(|_| args.observe_only) {
            output::words(&plan.to_string())?;
        }
        output::result(&format!("{}\n", ended.report.summary()))?;
    }
    Ok(u8::try_from(ended.code).unwrap_or(1))
}

/// Serves the admission webhook beside the daemon.
async fn serve_webhook(
    webhook: &Webhook,
    cluster: &Cluster,
    probes: &Probes,
    stop: &CancellationToken,
) -> Result<(), super::BoxError> {
    let address = &webhook.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"))?;
    tracing::info!(address = %listener.local_addr()?, "serving the admission webhook");
    let service =
        Reached::Service { namespace: SYSTEM_NAMESPACE.to_owned(), name: WEBHOOK_SERVICE.to_owned() };
    let settings = WebhookSettings {
        reached: webhook.url.clone().map_or(service, Reached::Url),
        failure_policy: if webhook.open { FailurePolicy::Ignore } else { FailurePolicy::Fail },
        exempt: webhook.exempt.clone(),
        lifetimes: Lifetimes::default(),
    };
    let (policies, metrics) = (probes.admission.clone(), probes.metrics.clone());
    web::start_webhook(listener, cluster.clone(), settings, policies, metrics, stop.clone())?;
    Ok(())
}

/// Cancelled by Ctrl-C or SIGTERM. Must be called within a runtime.
pub fn stop_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let terminated = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                // Without a handler the signal ends the process by itself.
                Err(_) => std::future::pending::<()>().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
        stop.cancel();
    });
    token
}
