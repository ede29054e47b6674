//! The engine under a virtual clock.

use std::sync::Arc;

use super::*;
use crate::config::LeaseTimes;
use crate::model::{Health, HealthStatus};
use crate::plan::Wave;

const SECOND: Duration = Duration::from_secs(1);

fn options(mode: Mode) -> Options {
    Options {
        mode,
        interval: 30 * SECOND,
        unit_timeout: 300 * SECOND,
        candidate: candidate("me", Role::Home),
        observe: false,
        recorded: None,
        lease: LeaseTimes::default(),
    }
}

fn candidate(identity: &str, role: Role) -> Candidate {
    Candidate { identity: identity.into(), role, cluster: Some("mgmt1".into()) }
}

/// The Lease as this write makes it.
fn stored(write: &LeaseWrite, version: &str) -> LeaseRecord {
    LeaseRecord {
        holder: write.holder.clone(),
        role: write.role,
        renewal: version.into(),
        duration: write.duration,
        cluster: write.cluster.clone(),
        protocol: PROTOCOL,
        hand_back: write.hand_back.clone(),
        version: version.into(),
    }
}

fn lease_write(effects: &[Effect]) -> Option<&LeaseWrite> {
    effects.iter().find_map(|effect| if let Effect::WriteLease(write) = effect { Some(write) } else { None })
}

fn look(revision: &str, after: Option<&str>) -> Look {
    Look {
        revision: Revision::new(revision),
        after: after.map(Revision::new),
        descends: true,
        approved: false,
    }
}

/// Lets the engine take the lease, which it has asked for; answers with what it does once it knows what is recorded.
fn win(engine: &mut Engine, recorded: Option<&str>, now: Now) -> Vec<Effect> {
    let taken = engine.step(Event::LeaseSeen(None), now);
    let record = stored(lease_write(&taken).expect("it is free"), "1");
    assert!(engine.step(Event::LeaseWritten(record), now).contains(&Effect::ReadRecord));
    engine.step(Event::RecordSeen(recorded.map(Revision::new)), now)
}

fn id(name: &str) -> ObjectId {
    ObjectId::new("", "ConfigMap", Some("a"), name)
}

fn unit(name: &str, depends_on: &[&str]) -> Unit {
    Unit {
        depends_on: depends_on.iter().map(|n| UnitName::new(n)).collect(),
        ..Unit::new(UnitName::new(name))
    }
}

fn view(unit: Unit, writes: &[&str]) -> UnitView {
    UnitView {
        unit: Arc::new(unit),
        writes: writes.iter().map(|name| (Wave::Workloads, id(name), 1)).collect(),
        awaiting: Vec::new(),
        held: Vec::new(),
        unhealthy: Vec::new(),
    }
}

fn planned(units: Vec<UnitView>) -> Event {
    Event::Planned(PlanView { revision: Some(Revision::new("a")), units, ..PlanView::default() })
}

fn done(names: &[&str]) -> Event {
    let written = |name: &&str| Written { id: id(name), fingerprint: 1, end: WriteEnd::Done };
    Event::Applied(names.iter().map(written).collect())
}

fn refused(name: &str) -> Event {
    let finding = Box::new(Finding::error(Code::ApplyRefused, "no"));
    Event::Applied(vec![Written { id: id(name), fingerprint: 1, end: WriteEnd::Refused(finding) }])
}

/// An engine that holds the lease and has fetched; its first plan is under way.
fn fetched(mode: Mode) -> Engine {
    let mut engine = Engine::new(options(mode));
    let effects = engine.step(Event::Started, Now::ZERO);
    assert!(effects.contains(&Effect::Fetch { after: None }) && effects.contains(&Effect::ReadLease));
    win(&mut engine, None, Now::ZERO);
    assert!(engine.step(Event::Fetched(look("a", None)), Now::ZERO).contains(&Effect::Plan));
    engine
}

/// The same, and its revision is recorded already.
fn begun(mode: Mode) -> Engine {
    let mut engine = fetched(mode);
    let recorded = engine.step(Event::RecordSeen(Some(Revision::new("a"))), Now::ZERO);
    assert!(applies(&recorded).is_empty());
    engine
}

fn applies(effects: &[Effect]) -> Vec<ObjectId> {
    effects
        .iter()
        .filter_map(|e| if let Effect::Apply(ids) = e { Some(ids.clone()) } else { None })
        .flatten()
        .collect()
}

#[test]
fn a_dependent_begins_when_what_it_needs_is_ready() {
    let mut engine = begun(Mode::Forever);
    let units = |first: &[&str]| vec![view(unit("b", &["a"]), &["y"]), view(unit("a", &[]), first)];
    assert_eq!(applies(&engine.step(planned(units(&["x"])), Now::ZERO)), [id("x")]);
    assert!(engine.step(done(&["x"]), Now::ZERO).contains(&Effect::Plan));
    assert_eq!(applies(&engine.step(planned(units(&[])), Now::ZERO)), [id("y")]);
}

#[test]
fn a_refused_object_holds_the_dependents_and_a_later_change_lets_it_try_again() {
    let mut engine = begun(Mode::Forever);
    let units = || vec![view(unit("a", &[]), &["x"]), view(unit("b", &["a"]), &["y"])];
    engine.step(planned(units()), Now::ZERO);
    engine.step(refused("x"), Now::ZERO);
    assert!(applies(&engine.step(planned(units()), Now::ZERO)).is_empty());
    assert_eq!(engine.units().next().unwrap().phase, UnitPhase::Failed);
    assert!(applies(&engine.step(Event::Woke, 4 * SECOND)).is_empty(), "nothing has moved since");
    engine.step(Event::ClusterChanged, 4 * SECOND);
    assert_eq!(applies(&engine.step(planned(units()), 4 * SECOND)), [id("x")]);
}

#[test]
fn nothing_is_written_without_the_lease() {
    let mut engine = Engine::new(options(Mode::Forever));
    let plan = || planned(vec![view(unit("a", &[]), &["x"])]);
    engine.step(Event::Started, Now::ZERO);
    engine.step(Event::Fetched(look("a", None)), Now::ZERO);
    assert!(applies(&engine.step(plan(), Now::ZERO)).is_empty());
    // What was there before is looked at anew; nothing is written before the revision is recorded.
    assert!(win(&mut engine, None, SECOND).contains(&Effect::Plan));
    let effects = engine.step(plan(), SECOND);
    assert!(applies(&effects).is_empty() && effects.contains(&Effect::Record(Revision::new("a"))));
    assert_eq!(applies(&engine.step(Event::Recorded(Revision::new("a")), SECOND)), [id("x")]);
}

#[test]
fn pruning_waits_for_the_whole_commit_and_for_what_was_not_understood() {
    let gone = id("gone");
    let plan = |writes: &[&str], hold: Option<&str>| {
        Event::Planned(PlanView {
            revision: Some(Revision::new("a")),
            units: vec![view(unit("a", &[]), writes)],
            deletions: vec![gone.clone()],
            hold_prune: hold.map(str::to_owned),
            ..PlanView::default()
        })
    };
    let prunes = |effects: Vec<Effect>| effects.iter().any(|e| matches!(e, Effect::Prune(_)));
    let mut engine = begun(Mode::Forever);
    assert!(!prunes(engine.step(plan(&["x"], None), Now::ZERO)));
    engine.step(done(&["x"]), Now::ZERO);
    assert!(!prunes(engine.step(plan(&[], Some("a file is broken")), Now::ZERO)));
    engine.step(Event::ClusterChanged, Now::ZERO);
    assert!(prunes(engine.step(plan(&[], None), Now::ZERO)));
}

#[test]
fn a_unit_that_waits_for_health_times_out_and_may_still_recover() {
    let mut engine = begun(Mode::Forever);
    let sick = || {
        let health = Health::new(HealthStatus::Progressing, "0 of 1 replicas");
        let unit = Unit { wait: true, timeout: Some(60 * SECOND), ..unit("a", &[]) };
        UnitView { unhealthy: vec![(id("x"), health)], ..view(unit, &[]) }
    };
    let effects = engine.step(planned(vec![sick()]), Now::ZERO);
    assert!(effects.contains(&Effect::WakeAt(5 * SECOND)), "for the lease");
    engine.step(Event::Fetched(look("a", Some("a"))), 30 * SECOND);
    engine.step(Event::Woke, 60 * SECOND);
    assert_eq!(engine.units().next().unwrap().phase, UnitPhase::TimedOut);
    engine.step(Event::ClusterChanged, 70 * SECOND);
    engine.step(planned(vec![view(unit("a", &[]), &[])]), 70 * SECOND);
    assert_eq!(engine.units().next().unwrap().phase, UnitPhase::Ready);
}

#[test]
fn a_single_pass_ends_well_when_all_is_ready_and_badly_when_nothing_can_move() {
    let once = Mode::Once { deadline: 60 * SECOND };
    let mut engine = begun(once);
    let effects = engine.step(planned(vec![view(unit("a", &[]), &[])]), SECOND);
    assert!(effects.contains(&Effect::Finish(0)));

    let mut engine = begun(once);
    engine.step(planned(vec![view(unit("a", &[]), &["x"])]), SECOND);
    engine.step(refused("x"), SECOND);
    let effects = engine.step(planned(vec![view(unit("a", &[]), &["x"])]), SECOND);
    assert!(effects.contains(&Effect::Finish(1)));
}

#[test]
fn a_single_pass_that_cannot_read_its_source_did_not_start() {
    let mut engine = Engine::new(options(Mode::Once { deadline: 60 * SECOND }));
    engine.step(Event::Started, Now::ZERO);
    let finding = Box::new(Finding::error(Code::SourceUnreachable, "no route"));
    assert!(engine.step(Event::FetchFailed(finding), Now::ZERO).contains(&Effect::Finish(2)));
}

#[test]
fn idle_asks_for_nothing_but_the_next_look_at_the_source() {
    let mut engine = begun(Mode::Forever);
    engine.step(planned(vec![view(unit("a", &[]), &[])]), Now::ZERO);
    let mut version = 1;
    for round in 1..50 {
        let now = round * 5 * SECOND;
        for effect in engine.step(Event::Woke, now) {
            match effect {
                Effect::WriteLease(write) => {
                    version += 1;
                    let record = stored(&write, &version.to_string());
                    let effects = engine.step(Event::LeaseWritten(record), now);
                    let idle = |e: &Effect| matches!(e, Effect::OpenFence(_) | Effect::WakeAt(_));
                    assert!(effects.iter().all(idle), "{effects:?}");
                }
                Effect::Fetch { after } => {
                    assert_eq!(after, Some(Revision::new("a")));
                    let effects = engine.step(Event::Fetched(look("a", Some("a"))), now);
                    assert!(effects.iter().all(|e| matches!(e, Effect::WakeAt(_))), "{effects:?}");
                }
                effect => assert!(matches!(effect, Effect::WakeAt(_)), "{effect:?}"),
            }
        }
    }
    assert!(engine.holds_lease() && version == 50);
}

#[test]
fn what_is_suspended_is_not_ready_nor_is_what_waits_for_it() {
    let mode = Mode::Once { deadline: 600 * SECOND };
    let mut engine = begun(mode);
    let suspended = Unit { suspended: true, ..unit("a", &[]) };
    let units = vec![view(suspended, &[]), view(unit("b", &["a"]), &["x"]), view(unit("c", &["b"]), &["y"])];
    let effects = engine.step(planned(units), Now::ZERO);
    assert!(applies(&effects).is_empty());
    assert!(!engine.is_converged() && engine.is_stalled());
    assert!(effects.contains(&Effect::Finish(1)), "nothing moves without a person");
    let said: Vec<&str> = engine.units().map(|unit| unit.message.as_str()).collect();
    let expected = [
        "suspended in the repository",
        "waits for unit a, which is suspended",
        "waits for unit b, which waits for the suspended unit a",
    ];
    assert_eq!(said, expected);
    let mut engine = begun(mode);
    let suspended = Unit { suspended: true, ..unit("a", &[]) };
    assert!(engine.step(planned(vec![view(suspended, &[])]), Now::ZERO).contains(&Effect::Finish(1)));
}

#[test]
fn a_source_that_fails_is_asked_again_ever_later_and_the_last_revision_stays() {
    let mut engine = begun(Mode::Forever);
    engine.step(planned(vec![view(unit("a", &[]), &[])]), Now::ZERO);
    let finding = || Box::new(Finding::error(Code::SourceUnreachable, "no route"));
    engine.step(Event::Woke, 30 * SECOND);
    let first = engine.step(Event::FetchFailed(finding()), 30 * SECOND);
    assert!(first.contains(&Effect::Report));
    assert_eq!(engine.findings().len(), 1);
    assert!(engine.is_converged());
}

#[test]
fn an_end_waits_for_writes_but_not_for_ever_and_a_pass_cut_short_is_no_success() {
    let mut engine = begun(Mode::Once { deadline: 600 * SECOND });
    engine.step(planned(vec![view(unit("a", &[]), &["x"])]), Now::ZERO);
    let waits = engine.step(Event::Stop, SECOND);
    assert_eq!(waits, [Effect::WakeAt(5 * SECOND)], "for the lease, which is still ours");
    assert!(engine.step(Event::Woke, SECOND + STOP_PATIENCE).contains(&Effect::Finish(1)));
    let mut daemon = begun(Mode::Forever);
    daemon.step(planned(vec![view(unit("a", &[]), &["x"])]), Now::ZERO);
    daemon.step(Event::Stop, SECOND);
    assert!(daemon.step(done(&["x"]), SECOND).contains(&Effect::Finish(0)));
}

#[test]
fn a_deletion_that_waits_for_nothing_waits_after_a_failure() {
    let mut engine = begun(Mode::Forever);
    let plan = || {
        Event::Planned(PlanView {
            revision: Some(Revision::new("a")),
            deletions_at_once: vec![id("x")],
            ..PlanView::default()
        })
    };
    assert!(engine.step(plan(), Now::ZERO).contains(&Effect::Prune(vec![id("x")])));
    let end = WriteEnd::Failed(Box::new(Finding::error(Code::DeleteFailed, "no")), None);
    engine.step(Event::Pruned(vec![Written { id: id("x"), fingerprint: 0, end }]), Now::ZERO);
    let pruned = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Prune(_)));
    assert!(!pruned(&engine.step(plan(), Now::ZERO)), "not at once again");
    assert!(!engine.is_converged());
    assert!(pruned(&engine.step(Event::Woke, 2 * SECOND)));
}

#[test]
fn who_was_overtaken_reads_anew_before_writing() {
    let mut engine = Engine::new(options(Mode::Forever));
    engine.step(Event::Started, Now::ZERO);
    engine.step(Event::Fetched(look("a", None)), Now::ZERO);
    engine.step(planned(vec![view(unit("a", &[]), &["x"])]), Now::ZERO);
    let effects = win(&mut engine, Some("b"), SECOND);
    assert!(
        effects.contains(&Effect::Fetch { after: Some(Revision::new("b")) }) && applies(&effects).is_empty()
    );
    let older = Look { descends: false, ..look("a", Some("b")) };
    let effects = engine.step(Event::Fetched(older.clone()), SECOND);
    assert!(!effects.contains(&Effect::Plan));
    assert_eq!(engine.findings()[0].code, Code::NotADescendant);
    assert!(!engine.step(Event::ClusterChanged, SECOND).contains(&Effect::Plan));
    let approved = Look { approved: true, ..older };
    engine.step(Event::Woke, 40 * SECOND);
    assert!(engine.step(Event::Fetched(approved), 40 * SECOND).contains(&Effect::Plan));
}

#[test]
fn what_was_asked_before_somebody_else_applied_more_is_asked_again() {
    let mut engine = Engine::new(options(Mode::Forever));
    engine.step(Event::Started, Now::ZERO);
    win(&mut engine, Some("b"), Now::ZERO);
    let effects = engine.step(Event::Fetched(look("c", None)), Now::ZERO);
    assert!(effects.contains(&Effect::Fetch { after: Some(Revision::new("b")) }));
    assert!(!effects.contains(&Effect::Plan));
}

#[test]
fn a_source_that_changes_while_it_is_read_is_read_again() {
    let mut engine = Engine::new(options(Mode::Forever));
    engine.step(Event::Started, Now::ZERO);
    engine.step(Event::SourceChanged, Now::ZERO);
    assert!(engine.step(Event::Fetched(look("a", None)), Now::ZERO).contains(&Effect::Fetch { after: None }));
}

#[test]
fn who_only_observes_plans_and_writes_nothing() {
    let mode = Mode::Once { deadline: 60 * SECOND };
    let mut engine = Engine::new(Options { observe: true, ..options(mode) });
    let mut effects = engine.step(Event::Started, Now::ZERO);
    effects.extend(engine.step(Event::Fetched(look("a", None)), Now::ZERO));
    assert!(effects.contains(&Effect::Plan));
    effects.extend(engine.step(planned(vec![view(unit("a", &[]), &["x"])]), Now::ZERO));
    let writes = |e: &Effect| {
        matches!(e, Effect::ReadLease | Effect::WriteLease(_) | Effect::Apply(_) | Effect::Record(_))
    };
    assert!(!effects.iter().any(writes), "{effects:?}");
    assert!(effects.contains(&Effect::Finish(1)), "there is something to write");
}
