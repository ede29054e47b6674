//! Gathers documents and decides which unit each belongs to: follows Flux units from where rendering begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Withheld;
use super::documents::{Doc, FileDocs, Reader};
use super::flux::{self, FluxUnit, GitSources, SourceRef};
use super::folder::Folders;
use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, RepoPath, Snapshot, Unit, UnitName};

/// Rounds after which the question which sources are this repository must be settled.
const MAX_ROUNDS: usize = 16;

/// A document and the unit that applies it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub doc: Arc<Doc>,
    pub unit: UnitName,
}

/// Reads folders and files of one snapshot.
pub(super) struct Gatherer<'a> {
    pub snapshot: &'a Snapshot,
    pub reader: &'a mut Reader,
    pub folders: &'a mut Folders,
    /// The source's URL, to know a GitRepository that is this repository.
    pub source_url: Option<&'a str>,
}

/// The files below a folder where rendering begins.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub folder: RepoPath,
    pub files: BTreeSet<RepoPath>,
}

/// What was found by following units.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Documents of Flux units.
    pub pieces: Vec<Piece>,
    /// Flux units, in the order of their names.
    pub units: Vec<Unit>,
    pub withheld: Vec<Withheld>,
    pub findings: Vec<Finding>,
    /// Files that belong to units, so not to where rendering began.
    pub taken: BTreeSet<RepoPath>,
}

/// A unit's claim on files.
struct Claim {
    unit: UnitName,
    folder: RepoPath,
    files: BTreeSet<RepoPath>,
}

/// The units reachable from the start, and what they claim.
#[derive(Default)]
struct Closure {
    units: BTreeMap<UnitName, FluxUnit>,
    claims: Vec<Claim>,
    sources: GitSources,
}

impl Gatherer<'_> {
    /// The objects of a file.
    pub fn file(&mut self, path: &RepoPath) -> Arc<FileDocs> {
        self.reader.file(self.snapshot, path)
    }

    /// The files of a folder. If it cannot be rendered as it is meant, its findings.
    pub fn folder(
        &mut self,
        folder: &RepoPath,
        except: &[RepoPath],
    ) -> Result<BTreeSet<RepoPath>, Vec<Finding>> {
        let files = self.folders.files(self.snapshot, folder, except)?;
        self.reader.prefetch(self.snapshot, &files);
        Ok(files)
    }

    /// Follows the Flux units that the starting files describe, wherever they lead.
    pub fn follow(&mut self, starts: &[Start]) -> Gathered {
        let mut own = BTreeSet::new();
        let mut closure = Closure::default();
        for _ in 0..MAX_ROUNDS {
            closure = self.closure(starts, &own);
            let now = closure.sources.of_this_repository(&closure.units, self.source_url, self.snapshot);
            if now == own {
                break;
            }
            own = now;
        }
        self.settle(closure, &own, starts)
    }

    /// The units that are reachable if these sources are the repository itself.
    fn closure(&mut self, starts: &[Start], own: &BTreeSet<SourceRef>) -> Closure {
        let mut closure = Closure::default();
        let mut seen: FxHashSet<RepoPath> = FxHashSet::default();
        let mut queue: Vec<RepoPath> = starts.iter().flat_map(|start| start.files.iter().cloned()).collect();
        while let Some(path) = queue.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            for doc in &self.file(&path).docs {
                closure.sources.note(doc);
                if !flux::is_unit(&doc.gvk) {
                    continue;
                }
                let unit = flux::read(doc);
                if let Some(files) = closure.add(unit, own, self) {
                    queue.extend(files);
                }
            }
        }
        closure
    }

    /// Gives every file to one unit and takes the units' documents.
    fn settle(&mut self, closure: Closure, own: &BTreeSet<SourceRef>, starts: &[Start]) -> Gathered {
        let Closure { mut units, claims, .. } = closure;
        let mut gathered = Gathered::default();
        for unit in units.values_mut() {
            if unit.findings.is_empty() && !own.contains(&unit.source) {
                unit.findings.push(flux::foreign(unit));
            }
        }
        let owners = owners(&claims, starts, &mut gathered.findings, &units);
        for (file, unit) in owners {
            let docs = self.file(&file);
            let refused = units.get(&unit).is_some_and(|unit| !unit.findings.is_empty());
            take_file(&docs, &unit, refused, &mut gathered);
            gathered.taken.insert(file);
        }
        for (name, flux_unit) in units {
            let mut unit = flux_unit.unit;
            if let Some(first) = flux_unit.findings.first() {
                unit.refused = Some(first.message.clone());
                gathered.withheld.push(Withheld { id: None, unit: name });
            }
            gathered.findings.extend(flux_unit.findings);
            gathered.units.push(unit);
        }
        gathered
    }
}

impl Closure {
    /// Adds a unit, and answers the files to look into if it is new and followed.
    fn add(
        &mut self,
        mut unit: FluxUnit,
        own: &BTreeSet<SourceRef>,
        gatherer: &mut Gatherer<'_>,
    ) -> Option<BTreeSet<RepoPath>> {
        let name = unit.unit.name.clone();
        if let Some(known) = self.units.get_mut(&name) {
            if known.unit.defined_at != unit.unit.defined_at {
                let finding = twice(known, &unit);
                known.findings.push(finding);
            }
            return None;
        }
        let mut follow = None;
        if let Some(folder) = unit.folder.clone().filter(|_| own.contains(&unit.source)) {
            let is_sound = unit.findings.is_empty();
            let files = if gatherer.snapshot.has_folder(&folder) {
                gatherer.folder(&folder, &[])
            } else {
                Err(vec![missing(&unit, &folder)])
            };
            let files = match files {
                Ok(files) => {
                    follow = is_sound.then(|| files.clone());
                    files
                }
                Err(findings) => {
                    unit.findings.extend(findings);
                    gatherer.snapshot.below(&folder).map(|(path, _)| path.clone()).collect()
                }
            };
            self.claims.push(Claim { unit: name.clone(), folder, files });
        }
        self.units.insert(name, unit);
        follow
    }
}

/// The unit that owns each file: the one with the deepest folder; among equals the first by name, which is said.
/// Files for which where rendering began is the deepest are left to it.
fn owners(
    claims: &[Claim],
    starts: &[Start],
    findings: &mut Vec<Finding>,
    units: &BTreeMap<UnitName, FluxUnit>,
) -> BTreeMap<RepoPath, UnitName> {
    let depth = |folder: &RepoPath| folder.as_str().len();
    let mut owners: BTreeMap<RepoPath, &Claim> = BTreeMap::new();
    let mut ties: BTreeSet<(&UnitName, &UnitName)> = BTreeSet::new();
    let mut ordered: Vec<&Claim> = claims.iter().collect();
    ordered.sort_by(|a, b| a.unit.cmp(&b.unit));
    for claim in ordered {
        for file in &claim.files {
            match owners.get(file) {
                Some(known) if depth(&known.folder) > depth(&claim.folder) => {}
                Some(known) if known.folder == claim.folder => {
                    ties.insert((&known.unit, &claim.unit));
                }
                _ => {
                    owners.insert(file.clone(), claim);
                }
            }
        }
    }
    for (first, second) in ties {
        findings.extend(shared_folder(units.get(first), units.get(second)));
    }
    let deepest_start = |file: &RepoPath| {
        starts.iter().filter(|start| start.files.contains(file)).map(|start| depth(&start.folder)).max()
    };
    owners
        .into_iter()
        .filter(|(file, claim)| deepest_start(file).is_none_or(|start| start <= depth(&claim.folder)))
        .map(|(file, claim)| (file, claim.unit.clone()))
        .collect()
}

/// Takes what a file brings for a unit; of a refused unit only the identities, so that they are not deleted.
pub(super) fn take_file(docs: &FileDocs, unit: &UnitName, refused: bool, gathered: &mut Gathered) {
    if !refused {
        gathered.findings.extend(docs.findings.iter().cloned());
    }
    for _ in &docs.findings {
        gathered.withheld.push(Withheld { id: None, unit: unit.clone() });
    }
    for doc in &docs.docs {
        if flux::is_unit(&doc.gvk) {
            continue;
        }
        if refused {
            gathered.withheld.push(Withheld { id: Some(doc.id.clone()), unit: unit.clone() });
        } else {
            gathered.pieces.push(Piece { doc: doc.clone(), unit: unit.clone() });
        }
    }
}

fn missing(unit: &FluxUnit, folder: &RepoPath) -> Finding {
    let place = super::place_in(&unit.doc.source, &unit.doc.id, &FieldPath::of_keys(["spec", "path"]));
    let message = format!("the unit's path {folder} is not in the repository");
    Finding::error(Code::PathMissing, message).about(&unit.doc.id).at(place)
}

fn twice(known: &FluxUnit, other: &FluxUnit) -> Finding {
    let mut lines = [&known.doc, &other.doc].map(|doc| Location::in_source(&doc.source, doc.line, 1));
    lines.sort();
    let [first, second] = lines;
    Finding::error(Code::DuplicateObject, "the unit is described twice; neither is applied")
        .about(&known.doc.id)
        .at(second)
        .related(first)
}

fn shared_folder(first: Option<&FluxUnit>, second: Option<&FluxUnit>) -> Option<Finding> {
    let (first, second) = (first?, second?);
    let place = |unit: &FluxUnit| {
        super::place_in(&unit.doc.source, &unit.doc.id, &FieldPath::of_keys(["spec", "path"]))
    };
    let message = format!(
        "{} and {} apply the same folder {}; its objects belong to {}",
        first.unit.name,
        second.unit.name,
        first.folder.as_ref()?,
        first.unit.name
    );
    Some(
        Finding::warning(Code::DuplicateObject, message)
            .about(&second.doc.id)
            .at(place(second))
            .related(place(first)),
    )
}
