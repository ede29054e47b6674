//! What is seen, what it means, and how it looks.

use insta::assert_snapshot;
use serde_json::json;

use super::draw::{Room, draw};
use super::*;

const ROOM: Room = Room { columns: 100, lines: 24, color: false };

fn state() -> State {
    let seat = |name: &str, url: &str| Seat { name: name.into(), url: url.into(), ..Seat::default() };
    State {
        seats: vec![seat("mgmt1", "https://127.0.0.1:7001"), seat("mgmt2", "https://127.0.0.1:7002")],
        repository: "demo/moin-cluster-config".into(),
        news: VecDeque::new(),
    }
}

fn lease(holder: &str, role: &str) -> Seen {
    let metadata = json!({"namespace": "moin-system", "name": "moin-example", "annotations": {"moin.scs.community/role": role}});
    Seen::Is(Kind::Lease, json!({"metadata": metadata, "spec": {"holderIdentity": holder}}))
}

fn report(revision: &str, ready: bool, findings: Value) -> Seen {
    let status = if ready { "True" } else { "False" };
    let message = if ready { "65 of 65 objects as in 3f2c1d9" } else { "12 of 65 objects as in 3f2c1d9" };
    let units = json!([{"name": "stage/kinds", "phase": "Ready"},
        {"name": "stage/foundations", "phase": if ready { "Ready" } else { "WaitingForHealth" }},
        {"name": "stage/tenants", "phase": if ready { "Ready" } else { "WaitingForDependency" }}]);
    Seen::Is(
        Kind::Reconciliation,
        json!({"metadata": {"namespace": "moin-system", "name": "example"}, "status": {
            "appliedRevision": revision, "units": units, "findings": findings,
            "conditions": [{"type": "Ready", "status": status, "message": message}]}}),
    )
}

fn cluster(version: &str, phase: &str, conditions: &[&str]) -> Seen {
    let conditions: Vec<Value> =
        conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
    Seen::Is(
        Kind::Cluster,
        json!({"metadata": {"namespace": "team-a", "name": "web"}, "spec": {"topology": {"version": version}},
            "status": {"phase": phase, "conditions": conditions}}),
    )
}

fn stack(ready: bool) -> Seen {
    let status = if ready { "True" } else { "False" };
    Seen::Is(
        Kind::ClusterStack,
        json!({"metadata": {"namespace": "team-a", "name": "scs2-1-34"}, "status": {"usableVersions": "v1",
            "conditions": [{"type": "Ready", "status": status}]}}),
    )
}

fn machine(name: &str, version: &str, phase: &str) -> Seen {
    Seen::Is(
        Kind::Machine,
        json!({"metadata": {"namespace": "team-a", "name": name}, "spec": {"clusterName": "web", "version": version},
            "status": {"phase": phase}}),
    )
}

/// A management cluster that runs, and one that its peer builds anew.
fn busy() -> State {
    let mut state = state();
    let refused = json!([{"severity": "error", "code": "MOIN-0502", "location": "tenants/mgmt1/team-a/old.yaml:1",
        "message": "supported-kubernetes-version refuses it\nand more"}, {"severity": "note", "code": "MOIN-0001"}]);
    for (on, seen) in [
        ("mgmt1", lease("mgmt1_5f1c", "home")),
        ("mgmt1", stack(true)),
        ("mgmt1", cluster("v1.34.2", "Provisioning", &[])),
        ("mgmt1", machine("web-1", "v1.34.2", "Running")),
        ("mgmt1", machine("web-2", "v1.34.2", "Running")),
        ("mgmt1", report("3f2c1d9aa", true, json!([]))),
        ("mgmt1", cluster("v1.34.2", "Provisioned", &["Available"])),
        ("mgmt1", cluster("v1.34.3", "Provisioned", &["Available"])),
        ("mgmt1", machine("web-3", "v1.34.3", "Provisioning")),
        ("mgmt1", cluster("v1.34.3", "Provisioned", &["Available", "RollingOut"])),
        ("mgmt1", report("3f2c1d9aa", true, refused)),
        ("mgmt2", lease("mgmt1_5f1c", "peer")),
        ("mgmt2", stack(false)),
        ("mgmt2", report("77aa001bb", false, json!([]))),
    ] {
        state.take_in(on, "12:00:01", seen);
    }
    state
}

#[test]
fn the_picture() {
    assert_snapshot!(draw(&busy(), ROOM).join("\n"), @r"
    moin demo  demo/moin-cluster-config

    mgmt1   https://127.0.0.1:7001  applied 3f2c1d9  lease mgmt1  65 of 65 objects as in 3f2c1d9
      stages  kinds foundations tenants
      Cluster      team-a/web             v1.34.3   Provisioned, rolls  2 of 3 machines run (2 v1.34.2,
      ClusterStack team-a/scs2-1-34                 usable: v1
      ! MOIN-0502 tenants/mgmt1/team-a/old.yaml:1: supported-kubernetes-version refuses it

    mgmt2   https://127.0.0.1:7002  applied 77aa001  lease mgmt1, which stands in  12 of 65 objects as i
      stages  kinds foundations(WaitingForHealth) tenants(waits)
      ClusterStack team-a/scs2-1-34                 not ready

    12:00:01  mgmt1    its own daemon, mgmt1, holds the lease
    12:00:01  mgmt1    ClusterStack team-a/scs2-1-34 is there
    12:00:01  mgmt1    Cluster team-a/web is there
    12:00:01  mgmt1    commit 3f2c1d9 is applied
    12:00:01  mgmt1    all is applied and healthy
    12:00:01  mgmt1    Cluster team-a/web: Provisioned
    12:00:01  mgmt1    Cluster team-a/web is to become v1.34.3
    12:00:01  mgmt1    Cluster team-a/web: its machines roll
    12:00:01  mgmt1    MOIN-0502 tenants/mgmt1/team-a/old.yaml:1: supported-kubernetes-version refuses i
    12:00:01  mgmt2    the daemon of mgmt1 stands in: it holds the lease
    12:00:01  mgmt2    ClusterStack team-a/scs2-1-34 is there
    12:00:01  mgmt2    commit 77aa001 is applied
    ");
}

#[test]
fn before_anything_is_known() {
    assert_snapshot!(draw(&state(), ROOM).join("\n"), @r"
    moin demo  demo/moin-cluster-config

    mgmt1   https://127.0.0.1:7001  applied nothing  lease nobody  empty

    mgmt2   https://127.0.0.1:7002  applied nothing  lease nobody  empty
    ");
}

#[test]
fn it_fits_and_is_plain_unless_colours_are_asked_for() {
    let small = Room { columns: 30, lines: 6, color: false };
    let lines = draw(&busy(), small);
    assert!(lines.len() <= 6 && lines.iter().all(|line| line.chars().count() <= 30), "{lines:#?}");
    assert!(!draw(&busy(), ROOM).concat().contains('\x1b'));
    assert!(draw(&busy(), Room { color: true, ..ROOM }).concat().contains("\x1b[32m"));
}

#[test]
fn nothing_that_an_object_says_steers_the_terminal() {
    let mut state = state();
    let evil = json!([{"severity": "error", "code": "MOIN-0502", "message": "\u{1b}[2Jboo\u{7}"}]);
    let news = state.take_in("mgmt1", "12:00:00", report("3f2c1d9", true, evil));
    assert!(news.iter().all(|news| !news.text.contains('\x1b')), "{news:?}");
    assert!(draw(&state, ROOM).iter().all(|line| !line.contains('\x1b')));
}

#[test]
fn what_did_not_change_is_no_news_and_what_is_gone_is() {
    let mut state = state();
    let mut told = |seen: Seen| -> Vec<String> {
        state.take_in("mgmt1", "12:00:00", seen).into_iter().map(|news| news.text).collect()
    };
    assert_eq!(told(lease("mgmt1_5f1c", "home")), ["its own daemon, mgmt1, holds the lease"]);
    assert!(told(lease("mgmt1_5f1c", "home")).is_empty(), "a renewal");
    assert_eq!(told(lease("", "home")), ["nobody holds the lease"]);
    assert_eq!(told(stack(false)), ["ClusterStack team-a/scs2-1-34 is there"]);
    assert_eq!(told(stack(true)), ["ClusterStack team-a/scs2-1-34 can be used"]);
    let Seen::Is(kind, object) = stack(true) else { return };
    assert_eq!(told(Seen::Gone(kind, object)), ["ClusterStack team-a/scs2-1-34 is gone"]);
    told(cluster("v1.34.2", "Provisioned", &[]));
    assert!(told(Seen::Empty("https://127.0.0.1:7003".into())).is_empty());
    assert!(state.seats[0].objects.is_empty());
}
