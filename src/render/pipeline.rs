//! The stages of rendering, in their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::documents::{Doc, Reader};
use super::finish::{self, LeftOut, StampMemo};
use super::folder::Folders;
use super::gather::{Gathered, Gatherer, Piece, Start};
use super::generate::{self, GenerateMemo, Units};
use super::hooks;
use super::keep::{KeepMemo, mark_unpruned};
use super::layers::{self, Layered, MergeMemo, address};
use super::memo::Memo;
use super::mutate::{self, MutateMemo};
use super::policies;
use super::settings::{self, Settings};
use super::tenancy::Tenancy;
use super::{LiveTriggers, Manifests, RenderOptions, Withheld, flux, units};
use crate::finding::{Code, Finding, Severity};
use crate::model::{FieldPath, Gvk, LiveObject, Manifest, ObjectId, RepoPath, Snapshot, UnitName};
use crate::policy::{PolicySet, Standing};
use crate::schema::Schemas;

/// Renders snapshots, and remembers what it read and made, so that a commit costs what it changes.
#[derive(Debug)]
pub struct Renderer {
    base: Schemas,
    reader: Reader,
    folders: Folders,
    guarded: Memo<usize, Guarded>,
    merged: MergeMemo,
    stamped: StampMemo,
    generated: GenerateMemo,
    mutated: MutateMemo,
    unpruned: KeepMemo,
    schemas: Vec<KnownSchemas>,
    generations: u64,
    policies: Vec<KnownPolicies>,
    last: Option<Rendered>,
}

/// All that rendering depends on, and what came of it.
#[derive(Debug)]
struct Rendered {
    snapshot: Snapshot,
    options: RenderOptions,
    namespaces: BTreeMap<String, LiveObject>,
    /// Version of the world.
    world: u64,
    manifests: Manifests,
}

/// A document whose safety annotations were taken off, and the findings about that.
#[derive(Debug, Clone)]
struct Guarded {
    doc: Arc<Doc>,
    findings: Arc<[Finding]>,
    _from: Arc<Doc>,
}

/// Schemas by the CRDs they hold.
#[derive(Debug, Clone)]
struct KnownSchemas {
    crds: Vec<Arc<Value>>,
    schemas: Schemas,
    problems: Vec<(ObjectId, String)>,
    /// No two sets of schemas have the same.
    generation: u64,
}

/// A policy set by the policies in it.
#[derive(Debug, Clone)]
struct KnownPolicies {
    policies: Vec<Arc<Manifest>>,
    set: Arc<PolicySet>,
    findings: Vec<Finding>,
}

/// What stands in the starting folders, after Flux units took theirs.
struct Started {
    gathered: Gathered,
    layered: Vec<Layered>,
    /// Why everything is refused.
    refused: Option<String>,
}

impl Default for Renderer {
    fn default() -> Renderer {
        Renderer::new(Schemas::builtin())
    }
}

impl Renderer {
    /// A renderer that knows these kinds beside the CRDs it renders.
    pub fn new(schemas: Schemas) -> Renderer {
        Renderer {
            base: schemas,
            reader: Reader::default(),
            folders: Folders::default(),
            guarded: Memo::default(),
            merged: Memo::default(),
            stamped: Memo::default(),
            generated: Memo::default(),
            mutated: Memo::default(),
            unpruned: Memo::default(),
            schemas: Vec::new(),
            generations: 0,
            policies: Vec::new(),
            last: None,
        }
    }

    /// Renders a snapshot; nothing is done if it is the one of the last time.
    pub fn render(
        &mut self,
        snapshot: &Snapshot,
        options: &RenderOptions,
        live: &LiveTriggers<'_>,
    ) -> Manifests {
        // Equal files and namespaces mostly are the same allocations, so that comparing them is quick.
        let known = self.last.take().filter(|last| {
            last.snapshot == *snapshot
                && last.options == *options
                && last.world == live.world.version()
                && last.namespaces == *live.namespaces
        });
        let last = known.unwrap_or_else(|| Rendered {
            manifests: self.render_anew(snapshot, options, live),
            snapshot: snapshot.clone(),
            options: options.clone(),
            namespaces: live.namespaces.clone(),
            world: live.world.version(),
        });
        self.last.insert(last).manifests.clone()
    }

    fn render_anew(
        &mut self,
        snapshot: &Snapshot,
        options: &RenderOptions,
        live: &LiveTriggers<'_>,
    ) -> Manifests {
        self.begin();
        let settings = settings::read(snapshot, options);
        let mut findings = settings.findings.clone();
        let Started { mut gathered, layered, mut refused } = self.start(snapshot, options, &settings);
        let mut out = LeftOut { withheld: std::mem::take(&mut gathered.withheld), ..LeftOut::default() };
        findings.append(&mut gathered.findings);

        let pieces = self.pieces(gathered.pieces, layered, &settings, &mut out);
        let mut units = gathered.units;
        units.extend(settings.layout.units());
        let pieces = finish::readable(pieces, &mut out);
        let pieces = hooks::add(pieces, snapshot, &mut self.reader, &settings, &mut units, &mut out);
        let known = self.schemas_with(crds(pieces.iter().map(|piece| &piece.doc)));
        let pieces = finish::in_scope(pieces, &known.schemas, &mut out);
        let owner = &settings.owner;
        let tenancy = Tenancy::of(&settings).unwrap_or_else(|finding| {
            refused.get_or_insert_with(|| finding.message.clone());
            findings.push(*finding);
            Tenancy::default()
        });
        let pieces = tenancy.apart(pieces, &mut out);
        let mut manifests = finish::stamp(&pieces, owner, &tenancy, &mut self.stamped);
        findings.extend(problems_of(&known.problems, &manifests));

        let mut refused = refused.or_else(|| settings.layout.refused.clone());
        let policies = self.policies(snapshot, &manifests, &settings, &mut out, &mut refused);
        let policies = tenancy.without_tenants(policies, &mut out);
        let KnownPolicies { set: policy_set, findings: of_policies, .. } =
            self.policy_set(&policies, &settings);
        findings.extend(of_policies);
        let mutates = mutate::mutates(&policies);
        let types = (&known.schemas, known.generation);
        if mutates {
            manifests = mutate::mutate(manifests, &policy_set, types, live, &mut self.mutated, &mut out);
        }
        let mut made = self.generate(&policy_set, &manifests, live, &settings);
        findings.extend(made.findings);
        out.withheld.extend(made.withheld);
        made.manifests = finish::generated_in_scope(made.manifests, &known.schemas, &mut out);
        if mutates {
            made.manifests =
                mutate::mutate(made.manifests, &policy_set, types, live, &mut self.mutated, &mut out);
        }
        manifests.extend(made.manifests);

        let manifests = finish::without_duplicates(manifests, &mut out);
        let mut units = units::settle(units, &manifests, refused.as_deref(), &mut findings);
        units::scope_checks(&mut units, &known.schemas);
        let manifests = units::sound_manifests(manifests, &units, &mut out);
        let manifests = mark_unpruned(manifests, &units, &mut self.unpruned);
        findings.extend(flux::fighting_controller(&manifests, &units));
        findings.extend(flux::consumed(&units));
        findings.append(&mut out.findings);
        sort_findings(&mut findings);
        out.withheld.sort();
        out.withheld.dedup();
        Manifests {
            owner: owner.to_string(),
            repository: settings.repository,
            manifests,
            units,
            policies,
            policy_set,
            schemas: known.schemas,
            schemas_generation: known.generation,
            originals: out.originals,
            withheld: out.withheld,
            findings,
        }
    }

    fn begin(&mut self) {
        self.reader.begin();
        self.folders.begin();
        self.guarded.begin();
        self.merged.begin();
        self.stamped.begin();
        self.generated.begin();
        self.mutated.begin();
        self.unpruned.begin();
    }

    /// Reads the starting folders and follows the Flux units in them.
    fn start(&mut self, snapshot: &Snapshot, options: &RenderOptions, settings: &Settings) -> Started {
        let layout = &settings.layout;
        let mut gatherer = Gatherer {
            snapshot,
            reader: &mut self.reader,
            folders: &mut self.folders,
            source_url: options.source_url.as_deref(),
        };
        let mut refused = None;
        let mut problems = Vec::new();
        let mut starts = Vec::new();
        for folder in &layout.layers {
            let mut except = layout.except.clone();
            except.extend(
                layout.layers.iter().filter(|other| *other != folder && other.is_in(folder)).cloned(),
            );
            match gatherer.folder(folder, &except) {
                Ok(files) => starts.push(Start { folder: folder.clone(), files }),
                Err(findings) => {
                    refused = refused.or_else(|| findings.first().map(|finding| finding.message.clone()));
                    problems.extend(findings);
                }
            }
        }
        let mut gathered = gatherer.follow(&starts);
        gathered.findings.append(&mut problems);
        let mut layered = Vec::new();
        for start in &starts {
            let rank = layout.layers.iter().position(|layer| *layer == start.folder).unwrap_or_default();
            for path in start.files.iter().filter(|path| !gathered.taken.contains(*path)) {
                let docs = gatherer.file(path);
                gathered.findings.extend(docs.findings.iter().cloned());
                if settings.file.as_ref() != Some(path) {
                    let unread = docs.settings.iter().map(|place| settings.unread(place));
                    for finding in unread {
                        if finding.severity == Severity::Error {
                            refused.get_or_insert_with(|| finding.message.clone());
                        }
                        gathered.findings.push(finding);
                    }
                }
                gathered.withheld.extend(
                    docs.findings
                        .iter()
                        .map(|_| Withheld { id: None, unit: layout.unit_of(path, &start.folder) }),
                );
                let own = docs.docs.iter().filter(|doc| !super::flux::is_unit(&doc.gvk));
                layered.extend(own.map(|doc| Layered {
                    doc: doc.clone(),
                    layer: start.folder.clone(),
                    rank,
                }));
            }
        }
        Started { gathered, layered, refused }
    }

    /// Guards and merges documents, and gives each its unit.
    fn pieces(
        &mut self,
        of_units: Vec<Piece>,
        layered: Vec<Layered>,
        settings: &Settings,
        out: &mut LeftOut,
    ) -> Vec<Piece> {
        let layered: Vec<Layered> = layered
            .into_iter()
            .map(|layered| Layered { doc: self.guard(layered.doc, settings, out), ..layered })
            .collect();
        let mut pieces: Vec<Piece> = of_units
            .into_iter()
            .map(|piece| Piece { doc: self.guard(piece.doc, settings, out), unit: piece.unit })
            .collect();
        let docs = layered.iter().map(|layered| &layered.doc).chain(pieces.iter().map(|piece| &piece.doc));
        let known = self.schemas_with(crds(docs));
        let layout = &settings.layout;
        let merged = layers::merge_layers(
            layered,
            layout.layered,
            (&known.schemas, known.generation),
            &mut self.merged,
        );
        out.withheld.extend(merged.withheld);
        out.findings.extend(merged.findings);
        pieces.extend(merged.docs.into_iter().map(|doc| {
            let folder = layout.layer_of(&doc);
            Piece { unit: layout.unit_of(&doc.source.file, &folder), doc }
        }));
        pieces
    }

    /// The document, without the annotations that its file may not have.
    fn guard(&mut self, doc: Arc<Doc>, settings: &Settings, out: &mut LeftOut) -> Arc<Doc> {
        if doc.safeties().next().is_none() || settings.allows_safeties(&doc.source.file) {
            return doc;
        }
        let guarded = self.guarded.get(address(&doc), || {
            let (guarded, findings) = doc.without_safeties();
            Guarded { doc: Arc::new(guarded), findings: findings.into(), _from: doc.clone() }
        });
        out.findings.extend(guarded.findings.iter().cloned());
        guarded.doc
    }

    /// The schemas with these CRDs, made anew only when one of them changed.
    fn schemas_with(&mut self, crds: Vec<Arc<Value>>) -> KnownSchemas {
        if let Some(at) = self.schemas.iter().position(|known| all_same(&known.crds, &crds)) {
            let known = self.schemas.remove(at);
            self.schemas.push(known.clone());
            return known;
        }
        let (schemas, problems) = self.base.with_crds(crds.iter().map(|crd| &**crd));
        self.generations += 1;
        let known = KnownSchemas { crds, schemas, problems, generation: self.generations };
        remember(&mut self.schemas, known.clone());
        known
    }

    /// Every policy that is rendered, and those of the policy folders.
    fn policies(
        &mut self,
        snapshot: &Snapshot,
        manifests: &[Arc<Manifest>],
        settings: &Settings,
        out: &mut LeftOut,
        refused: &mut Option<String>,
    ) -> Vec<Arc<Manifest>> {
        let mut policies: Vec<Arc<Manifest>> =
            manifests.iter().filter(|manifest| is_policy(&manifest.gvk)).cloned().collect();
        out.findings.extend(manifests.iter().filter_map(misspelt));
        let mut of_folders = policies::read(snapshot, &settings.layout, &mut self.folders, &mut self.reader);
        out.findings.append(&mut of_folders.findings);
        if let Some(why) = of_folders.refused {
            refused.get_or_insert(why);
        }
        let pieces: Vec<Piece> =
            of_folders.docs.into_iter().map(|doc| Piece { doc, unit: UnitName::root() }).collect();
        let of_folders = finish::stamp(&pieces, &settings.owner, &Tenancy::default(), &mut self.stamped);
        let rendered: std::collections::HashSet<(RepoPath, u32)> =
            policies.iter().map(|policy| (policy.origin.source.file.clone(), policy.origin.line)).collect();
        policies.extend(
            of_folders.into_iter().filter(|policy| {
                !rendered.contains(&(policy.origin.source.file.clone(), policy.origin.line))
            }),
        );
        policies.sort_by(|a, b| {
            (&a.id, &a.origin.source.file, a.origin.line).cmp(&(&b.id, &b.origin.source.file, b.origin.line))
        });
        policies
    }

    /// The policies compiled, anew only when one of them changed.
    fn policy_set(&mut self, policies: &[Arc<Manifest>], settings: &Settings) -> KnownPolicies {
        if let Some(at) = self.policies.iter().position(|known| all_same(&known.policies, policies)) {
            let known = self.policies.remove(at);
            self.policies.push(known.clone());
            return known;
        }
        // Exceptions count only where policies stand: whoever may write an object must not exempt it as well.
        let is_granted = |policy: &Arc<Manifest>| {
            let file = &policy.origin.source.file;
            policy.id.kind() == "PolicyException"
                && matches!(policy.id.group(), "kyverno.io" | "policies.kyverno.io")
                && settings.layout.policies.iter().any(|folder| file.is_in(folder))
        };
        let (exceptions, judges): (Vec<_>, Vec<_>) = policies.iter().cloned().partition(is_granted);
        let (mut set, mut findings) = PolicySet::compile(&judges);
        findings.extend(set.add_exceptions(&exceptions));
        let known = KnownPolicies { policies: policies.to_vec(), set: Arc::new(set), findings };
        remember(&mut self.policies, known.clone());
        known
    }

    fn generate(
        &mut self,
        policies: &Arc<PolicySet>,
        manifests: &[Arc<Manifest>],
        live: &LiveTriggers<'_>,
        settings: &Settings,
    ) -> generate::AllMade {
        let of_policies: BTreeMap<String, UnitName> = manifests
            .iter()
            .filter(|manifest| is_policy(&manifest.gvk))
            .map(|manifest| (manifest.id.name().to_owned(), manifest.unit.clone()))
            .collect();
        let stages = &settings.layout.stages;
        let units = Units {
            of_policies: &of_policies,
            fallback: stages.last().map_or_else(UnitName::root, |stage| stage.unit.clone()),
            by_trigger: !stages.is_empty(),
        };
        generate::generate(policies, manifests, live, &settings.owner, &units, &mut self.generated)
    }
}

/// Whether two lists share all their values.
fn all_same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// Keeps the newest few: two revisions rendered in turn must not drive each other out.
fn remember<T>(known: &mut Vec<T>, newest: T) {
    const KEPT: usize = 4;
    if known.len() == KEPT {
        known.remove(0);
    }
    known.push(newest);
}

/// Bodies of CRDs, in an order that does not depend on files.
fn crds<'a>(docs: impl Iterator<Item = &'a Arc<Doc>>) -> Vec<Arc<Value>> {
    let mut crds: Vec<&Arc<Doc>> = docs
        .filter(|doc| {
            &*doc.gvk.kind == "CustomResourceDefinition" && &*doc.gvk.group == "apiextensions.k8s.io"
        })
        .filter(|doc| !doc.delete)
        .collect();
    crds.sort_by(|a, b| (&a.id, &a.source.file, a.line).cmp(&(&b.id, &b.source.file, b.line)));
    crds.into_iter().map(|doc| doc.value.clone()).collect()
}

/// Whether an object judges others.
fn is_policy(gvk: &Gvk) -> bool {
    match &*gvk.group {
        "kyverno.io" => gvk.kind.ends_with("Policy") || &*gvk.kind == "PolicyException",
        "policies.kyverno.io" => true,
        "admissionregistration.k8s.io" => gvk.kind.contains("AdmissionPolicy"),
        _ => false,
    }
}

/// Says that a rendered object was meant as a policy, and that nobody obeys it.
fn misspelt(manifest: &Arc<Manifest>) -> Option<Finding> {
    let Standing::Misspelt { field, what, help } = Standing::of(&manifest.gvk) else { return None };
    let place = super::place(manifest, &FieldPath::of_keys([field]));
    let message = format!("{what}: the document is obeyed by nobody");
    Some(Finding::error(Code::NoPolicy, message).about(&manifest.id).at(place).help(help))
}

/// CRDs that could not be understood.
fn problems_of(problems: &[(ObjectId, String)], manifests: &[Arc<Manifest>]) -> Vec<Finding> {
    problems
        .iter()
        .map(|(id, problem)| {
            let finding = Finding::warning(Code::SchemaViolation, problem.clone()).about(id);
            match manifests.iter().find(|manifest| manifest.id == *id) {
                Some(manifest) => {
                    finding.at(super::place(manifest, &FieldPath::of_keys(["spec", "versions"])))
                }
                None => finding,
            }
        })
        .collect()
}

/// Findings by place, so that the order in which they were found does not show.
fn sort_findings(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| {
        (&a.location, a.code, &a.object, &a.message).cmp(&(&b.location, b.code, &b.object, &b.message))
    });
    findings.dedup();
}
