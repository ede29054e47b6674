//! Reads, watches, discovery, refusals and deletions, compared with the real kube-apiserver; what controllers do,
//! with the real kube-controller-manager. The calls are in `tests/differential`.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::sync::OnceLock;

use moin::plane::Plane;
use support::differential::compare;
use support::real_server::RealServer;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// The two servers that scripts run against, one script after the other.
struct Pair {
    plane: Plane,
    real: RealServer,
    turn: Mutex<()>,
}

impl Pair {
    async fn run(&self, script: &str) {
        let _turn = self.turn.lock().await;
        compare(script, self.plane.client(), self.real.plain_client("admin").await).await;
    }
}

/// The servers outlive each test, so their tasks do too.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// An API server alone.
fn servers() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| {
        let real = RealServer::start()?;
        let _in_runtime = runtime().enter();
        let plane = Plane::builder().controllers(false).build();
        Some(Pair { plane, real, turn: Mutex::default() })
    })
    .as_ref()
}

/// An API server with the controllers that its users rely on.
fn controlled() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| {
        let controllers = [
            "namespace-controller",
            "garbage-collector-controller",
            "serviceaccount-controller",
            "root-ca-certificate-publisher-controller",
        ];
        let real = RealServer::start_with_controllers(&controllers)?;
        let _in_runtime = runtime().enter();
        Some(Pair { plane: Plane::new(), real, turn: Mutex::default() })
    })
    .as_ref()
}

macro_rules! scripts {
    ($servers:ident: $($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            if let Some(pair) = $servers() {
                runtime().block_on(pair.run(stringify!($name)));
            }
        }
    )*};
}

scripts!(servers: lists, watches, deletions, discovery, requests);
scripts!(controlled: namespaces, garbage);
