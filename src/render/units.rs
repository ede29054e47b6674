//! Units in the order in which they may begin, and what of them may be applied; what can never begin is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::finding::{Code, Finding, Location};
use crate::model::{Manifest, Unit, UnitName};
use crate::schema::Schemas;

use super::Withheld;
use super::finish::LeftOut;

/// Units in their order; the root unit goes if nothing is left to it, and all are refused if nothing may be applied.
pub(super) fn settle(
    mut units: Vec<Unit>,
    manifests: &[Arc<Manifest>],
    refused: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Vec<Unit> {
    let root = UnitName::root();
    if units.len() > 1 && !manifests.iter().any(|manifest| manifest.unit == root) && refused.is_none() {
        units.retain(|unit| unit.name != root);
    }
    if let Some(reason) = refused {
        for unit in &mut units {
            unit.refused.get_or_insert_with(|| reason.to_owned());
        }
    }
    in_order(units, findings)
}

/// Sorts units so that each stands behind those it depends on, by name among equals. A unit that depends on one that
/// is not there, or on itself by a detour, is refused.
fn in_order(mut units: Vec<Unit>, findings: &mut Vec<Finding>) -> Vec<Unit> {
    let names: BTreeSet<UnitName> = units.iter().map(|unit| unit.name.clone()).collect();
    for unit in &mut units {
        for dependency in unit.depends_on.clone() {
            if !names.contains(&dependency) {
                let message = format!("{} depends on {dependency}, which does not exist", unit.name);
                refuse(unit, Code::DependencyMissing, message, findings);
            }
        }
    }
    let mut left: BTreeMap<UnitName, Unit> =
        units.into_iter().map(|unit| (unit.name.clone(), unit)).collect();
    let mut sorted = Vec::with_capacity(left.len());
    loop {
        let ready: Vec<UnitName> = left
            .values()
            .filter(|unit| !unit.depends_on.iter().any(|dependency| left.contains_key(dependency)))
            .map(|unit| unit.name.clone())
            .collect();
        if ready.is_empty() {
            break;
        }
        sorted.extend(ready.iter().filter_map(|name| left.remove(name)));
    }
    let circles: Vec<UnitName> = left.keys().filter(|name| leads_to_itself(name, &left)).cloned().collect();
    for name in circles {
        let Some(way) = circle(&name, &left) else { continue };
        if let Some(unit) = left.get_mut(&name) {
            let way = way.iter().map(UnitName::as_str).collect::<Vec<_>>().join(" -> ");
            let message = format!("{name} depends on itself: {name} -> {way}");
            refuse(unit, Code::DependencyCycle, message, findings);
        }
    }
    sorted.extend(left.into_values());
    sorted
}

fn refuse(unit: &mut Unit, code: Code, message: String, findings: &mut Vec<Finding>) {
    let finding = Finding::error(code, message.clone());
    findings.push(match &unit.defined_at {
        Some((file, line)) => finding.at(Location::line(file, *line)),
        None => finding,
    });
    unit.refused.get_or_insert(message);
}

fn leads_to_itself(name: &UnitName, units: &BTreeMap<UnitName, Unit>) -> bool {
    circle(name, units).is_some()
}

/// The shortest way from what a unit depends on back to the unit.
fn circle(name: &UnitName, units: &BTreeMap<UnitName, Unit>) -> Option<Vec<UnitName>> {
    let mut ways: Vec<Vec<UnitName>> = vec![vec![]];
    let mut seen: BTreeSet<UnitName> = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let end = way.last().unwrap_or(name);
            for next in units.get(end).map(|unit| &unit.depends_on).into_iter().flatten() {
                let mut way = way.clone();
                way.push(next.clone());
                if next == name {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

/// Health checks of cluster-scoped kinds have no namespace, whatever the unit's own is.
pub(super) fn scope_checks(units: &mut [Unit], schemas: &Schemas) {
    for check in units.iter_mut().flat_map(|unit| &mut unit.health_checks) {
        if schemas.namespaced(&check.gvk.group_kind()) == Some(false) {
            check.namespace = None;
        }
    }
}

/// The manifests of units that may be applied, sorted; the others are withheld.
pub(super) fn sound_manifests(
    manifests: Vec<Arc<Manifest>>,
    units: &[Unit],
    out: &mut LeftOut,
) -> Vec<Arc<Manifest>> {
    let ranks: BTreeMap<&UnitName, (usize, bool)> =
        units.iter().enumerate().map(|(rank, unit)| (&unit.name, (rank, unit.refused.is_some()))).collect();
    let mut sound = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        match ranks.get(&manifest.unit) {
            Some((rank, false)) => sound.push((*rank, manifest)),
            _ => {
                out.withheld.push(Withheld { id: Some(manifest.id.clone()), unit: manifest.unit.clone() });
            }
        }
    }
    for unit in units.iter().filter(|unit| unit.refused.is_some()) {
        out.withheld.push(Withheld { id: None, unit: unit.name.clone() });
    }
    sound.sort_by(|(rank, a), (other, b)| (rank, &a.id).cmp(&(other, &b.id)));
    sound.into_iter().map(|(_, manifest)| manifest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, depends_on: &[&str]) -> Unit {
        let mut unit = Unit::new(UnitName::new(name));
        unit.depends_on = depends_on.iter().map(|name| UnitName::new(name)).collect();
        unit
    }

    #[test]
    fn units_stand_behind_what_they_depend_on() {
        let mut findings = Vec::new();
        let units = in_order(vec![unit("a", &["c"]), unit("b", &[]), unit("c", &["b"])], &mut findings);
        assert_eq!(units.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>(), ["b", "c", "a"]);
        assert!(findings.is_empty());
    }

    #[test]
    fn what_can_never_begin_is_refused() {
        let mut findings = Vec::new();
        let units = in_order(
            vec![unit("a", &["b"]), unit("b", &["a"]), unit("c", &["a"]), unit("d", &["nobody"])],
            &mut findings,
        );
        let refused: Vec<&str> =
            units.iter().filter(|unit| unit.refused.is_some()).map(|unit| unit.name.as_str()).collect();
        assert_eq!(refused, ["d", "a", "b"]);
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "d depends on nobody, which does not exist",
                "a depends on itself: a -> b -> a",
                "b depends on itself: b -> a -> b"
            ]
        );
    }
}
