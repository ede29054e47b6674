//! The life of a unit: waiting for others, applying, waiting for health, ready.

use std::collections::{BTreeMap, HashMap};

use super::{Engine, Now, Trouble, UnitView, unit_finding};
use crate::finding::{Code, Finding, counted};
use crate::model::{ObjectId, Unit, UnitName};

/// Where a unit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitPhase {
    /// It has a field that is not understood; nothing of it is applied.
    Refused,
    /// Somebody suspended it.
    Suspended,
    /// What it depends on is not ready.
    WaitingFor(UnitName),
    /// Its objects are being written.
    Applying,
    /// All is written; what it waits for is not healthy yet.
    WaitingForHealth,
    /// Something of it cannot be written.
    Failed,
    /// What it waits for did not become healthy in time.
    TimedOut,
    /// All is written, and healthy as far as it waits for it.
    Ready,
}

impl UnitPhase {
    /// Whether it holds up nothing that waits for the whole commit. What is suspended does not, though it is not ready.
    pub fn lets_prune(&self) -> bool {
        matches!(self, UnitPhase::Ready | UnitPhase::Suspended)
    }

    /// Whether time or the cluster may still move it by themselves.
    pub fn may_still_move(&self) -> bool {
        matches!(self, UnitPhase::Applying | UnitPhase::WaitingForHealth)
    }
}

/// A unit as it stands.
#[derive(Debug, Clone)]
pub struct UnitReport {
    /// Its name.
    pub name: UnitName,
    /// Where it stands.
    pub phase: UnitPhase,
    /// Why, for people.
    pub message: String,
    /// When it times out, if it waits.
    pub deadline: Option<Now>,
    finding: Option<Finding>,
}

impl UnitReport {
    /// The pass is over: what could still move, and has not said why it does not, says so now.
    pub(super) fn give_up(&mut self, unit: &Unit) {
        if self.phase.may_still_move() && self.finding.is_none() {
            let message = format!("not done in the time of the pass: {}", self.message);
            self.finding = Some(unit_finding(Code::UnitTimedOut, unit, message));
        }
    }

    /// What a person should know of it.
    pub fn finding(&self) -> Option<Finding> {
        self.finding.clone()
    }
}

/// Move every unit as far as the newest plan allows.
pub(super) fn advance(engine: &mut Engine, now: Now) {
    let views: BTreeMap<&UnitName, &UnitView> =
        engine.plan.units.iter().map(|view| (&view.unit.name, view)).collect();
    let mut reports: BTreeMap<UnitName, UnitReport> = BTreeMap::new();
    for name in in_dependency_order(&views) {
        let view = views[&name];
        let before = engine.units.get(&name);
        let report = report(view, before, &reports, engine, now);
        reports.insert(name, report);
    }
    engine.units = reports;
}

/// Dependencies first; units of a circle come last, where they wait for each other for ever (render reports them).
fn in_dependency_order(views: &BTreeMap<&UnitName, &UnitView>) -> Vec<UnitName> {
    fn visit(
        name: &UnitName,
        views: &BTreeMap<&UnitName, &UnitView>,
        seen: &mut Vec<UnitName>,
        out: &mut Vec<UnitName>,
    ) {
        let Some(view) = views.get(name) else { return };
        if seen.contains(name) {
            return;
        }
        seen.push(name.clone());
        for dependency in &view.unit.depends_on {
            visit(dependency, views, seen, out);
        }
        out.push(name.clone());
    }
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    for name in views.keys() {
        visit(name, views, &mut seen, &mut out);
    }
    out
}

fn report(
    view: &UnitView,
    before: Option<&UnitReport>,
    others: &BTreeMap<UnitName, UnitReport>,
    engine: &Engine,
    now: Now,
) -> UnitReport {
    let unit = &*view.unit;
    let plain = |phase: UnitPhase, message: String| UnitReport {
        name: unit.name.clone(),
        phase,
        message,
        deadline: None,
        finding: None,
    };
    if let Some(reason) = &unit.refused {
        return plain(UnitPhase::Refused, reason.clone());
    }
    if unit.suspended {
        return plain(UnitPhase::Suspended, "suspended in the repository".into());
    }
    if let Some(dependency) = unit.depends_on.iter().find(|name| !lets_go_on(others.get(name), engine, name))
    {
        let mut report = plain(
            UnitPhase::WaitingFor(dependency.clone()),
            format!("waits for unit {dependency}, which {}", what_holds(dependency, others)),
        );
        report.finding = Some(unit_finding(Code::DependencyNotReady, unit, report.message.clone()));
        return report;
    }
    let (phase, message) = own_phase(view, engine);
    with_deadline(plain(phase, message), unit, before, engine, now)
}

/// Why a unit does not let its dependents begin: it stands still itself, or what it waits for does.
fn what_holds(dependency: &UnitName, others: &BTreeMap<UnitName, UnitReport>) -> String {
    let mut root = dependency;
    // Units of a circle wait for each other for ever.
    for _ in 0..others.len() {
        let Some(UnitPhase::WaitingFor(next)) = others.get(root).map(|report| &report.phase) else { break };
        root = next;
    }
    match others.get(root).map(|report| &report.phase) {
        Some(UnitPhase::Suspended) if root == dependency => "is suspended".to_owned(),
        Some(UnitPhase::Suspended) => format!("waits for the suspended unit {root}"),
        _ => "is not ready".to_owned(),
    }
}

/// Whether a unit that others depend on lets them begin.
fn lets_go_on(dependency: Option<&UnitReport>, engine: &Engine, name: &UnitName) -> bool {
    let continues = || {
        let unit = engine.plan.units.iter().find(|view| view.unit.name == *name);
        unit.is_some_and(|view| view.unit.continue_on_failure)
    };
    match dependency.map(|report| &report.phase) {
        Some(UnitPhase::Ready) => true,
        Some(UnitPhase::Failed | UnitPhase::TimedOut) => continues(),
        _ => false,
    }
}

/// The phase that the unit's own objects put it in.
fn own_phase(view: &UnitView, engine: &Engine) -> (UnitPhase, String) {
    let refused = view.writes.iter().find_map(|(_, id, _)| {
        let trouble = engine.troubles.get(id)?;
        let settled = trouble.refused_at_progress.is_some_and(|seen| seen >= engine.progress);
        settled.then(|| format!("{id}: {}", trouble.finding.message))
    });
    let all_refused = view.writes.iter().all(|(_, id, _)| {
        let trouble = engine.troubles.get(id);
        trouble.is_some_and(|trouble| trouble.refused_at_progress.is_some_and(|seen| seen >= engine.progress))
    });
    if !view.writes.is_empty() && !all_refused {
        return (UnitPhase::Applying, format!("{} to write", counted(view.writes.len(), "object")));
    }
    if let Some(message) = refused {
        return (UnitPhase::Failed, message);
    }
    if !view.awaiting.is_empty() {
        return (
            UnitPhase::WaitingForHealth,
            format!("the kind of {} is not established yet", view.awaiting[0]),
        );
    }
    if let Some((id, reason)) = view.held.first() {
        return (UnitPhase::Failed, format!("{id}: {reason}"));
    }
    match view.unhealthy.first() {
        Some((id, health)) => {
            (UnitPhase::WaitingForHealth, format!("{id} is {}: {}", health.status, health.reason))
        }
        None => (UnitPhase::Ready, "ready".into()),
    }
}

/// A unit that waits for health does so until its time-out, counted from when it began to wait.
fn with_deadline(
    mut report: UnitReport,
    unit: &Unit,
    before: Option<&UnitReport>,
    engine: &Engine,
    now: Now,
) -> UnitReport {
    match report.phase {
        UnitPhase::WaitingForHealth => {
            let deadline = before
                .filter(|before| matches!(before.phase, UnitPhase::WaitingForHealth | UnitPhase::TimedOut))
                .and_then(|before| before.deadline)
                .unwrap_or_else(|| now + unit.timeout.unwrap_or(engine.options.unit_timeout));
            report.deadline = Some(deadline);
            if now >= deadline {
                report.phase = UnitPhase::TimedOut;
                report.finding = Some(unit_finding(
                    Code::UnitTimedOut,
                    unit,
                    format!("not ready in time: {}", report.message),
                ));
            }
        }
        UnitPhase::Failed => {
            report.finding = Some(unit_finding(Code::Unhealthy, unit, report.message.clone()));
        }
        _ => {}
    }
    report
}

/// The objects of a unit that can be written now: those of its lowest unfinished wave. An object that fails holds its
/// unit's later waves only if the wave brings kinds or namespaces; other failures hold nobody but themselves.
pub(super) fn next_writes(
    view: &UnitView,
    troubles: &HashMap<ObjectId, Trouble>,
    progress: u64,
    now: Now,
) -> Vec<ObjectId> {
    let ready = |id: &ObjectId, fingerprint: u64| match troubles.get(id) {
        Some(trouble) if trouble.fingerprint == fingerprint => trouble.may_retry(progress, now),
        _ => true,
    };
    let able = view.writes.iter().filter(|(_, id, fingerprint)| ready(id, *fingerprint));
    let Some(lowest) = able.clone().map(|(wave, ..)| *wave).min() else { return Vec::new() };
    able.filter(|(wave, ..)| *wave == lowest).map(|(_, id, _)| id.clone()).collect()
}
