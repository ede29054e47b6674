//! The engine under a virtual clock.

use std::sync::Arc;

use super::*;
use crate::model::{Health, HealthStatus};
use crate::plan::Wave;

const SECOND: Duration = Duration::from_secs(1);

fn options(mode: Mode) -> Options {
    Options { mode, interval: 30 * SECOND, unit_timeout: 300 * SECOND }
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
fn begun(mode: Mode) -> Engine {
    let mut engine = Engine::new(options(mode));
    assert!(engine.step(Event::Started, Now::ZERO).contains(&Effect::Fetch));
    engine.step(Event::Lease { held: true }, Now::ZERO);
    assert!(engine.step(Event::Fetched(Revision::new("a")), Now::ZERO).contains(&Effect::Plan));
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
    assert!(applies(&engine.step(Event::Woke, 10 * SECOND)).is_empty(), "nothing has moved since");
    engine.step(Event::ClusterChanged, 11 * SECOND);
    assert_eq!(applies(&engine.step(planned(units()), 12 * SECOND)), [id("x")]);
}

#[test]
fn nothing_is_written_without_the_lease() {
    let mut engine = Engine::new(options(Mode::Forever));
    engine.step(Event::Started, Now::ZERO);
    engine.step(Event::Fetched(Revision::new("a")), Now::ZERO);
    assert!(applies(&engine.step(planned(vec![view(unit("a", &[]), &["x"])]), Now::ZERO)).is_empty());
    assert_eq!(applies(&engine.step(Event::Lease { held: true }, SECOND)), [id("x")]);
}

#[test]
fn pruning_waits_for_the_whole_commit_and_for_what_was_not_understood() {
    let gone = id("gone");
    let plan = |writes: &[&str], hold: Option<&str>| {
        Event::Planned(PlanView {
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
    assert!(effects.contains(&Effect::WakeAt(30 * SECOND)));
    engine.step(Event::Fetched(Revision::new("a")), 30 * SECOND);
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
    for minute in 1..10 {
        let now = minute * 60 * SECOND;
        assert!(engine.step(Event::Woke, now).iter().all(|e| matches!(e, Effect::Fetch | Effect::WakeAt(_))));
        let effects = engine.step(Event::Fetched(Revision::new("a")), now);
        assert_eq!(effects, [Effect::WakeAt(now + 30 * SECOND)]);
    }
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
    assert_eq!(waits, [Effect::WakeAt(SECOND + STOP_PATIENCE)]);
    assert_eq!(engine.step(Event::Woke, SECOND + STOP_PATIENCE), [Effect::Finish(1)]);
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
    let mut engine = begun(Mode::Forever);
    let plan = || planned(vec![view(unit("a", &[]), &["x"])]);
    engine.step(Event::Lease { held: false }, Now::ZERO);
    engine.step(plan(), Now::ZERO);
    assert!(engine.step(Event::Overtaken, SECOND).contains(&Effect::Fetch));
    assert!(applies(&engine.step(Event::Lease { held: true }, SECOND)).is_empty());
    let finding = Box::new(Finding::error(Code::NotADescendant, "older"));
    assert!(applies(&engine.step(Event::FetchFailed(finding), SECOND)).is_empty());
    assert!(applies(&engine.step(Event::ClusterChanged, SECOND)).is_empty());
    engine.step(Event::Woke, 40 * SECOND);
    assert!(engine.step(Event::Fetched(Revision::new("a")), 40 * SECOND).contains(&Effect::Plan));
    assert_eq!(applies(&engine.step(plan(), 40 * SECOND)), [id("x")]);
}
