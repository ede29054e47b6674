//! The repository's own settings, as rendering needs them: which folders, in which order, for which cluster.

use std::sync::Arc;

use super::RenderOptions;
use super::layout::{Layout, Stage};
use crate::config::{OnFailure, Repository};
use crate::finding::{Code, Finding, Location, Severity};
use crate::model::{FieldPath, RepoPath, Snapshot};
use crate::yaml;

/// The owner name of a repository that gives none.
const DEFAULT_OWNER: &str = "moin";

/// What `moin.yaml` and the options say.
pub(super) struct Settings {
    pub repository: Repository,
    pub layout: Layout,
    /// The folder of `moin.yaml`, from which its paths are seen.
    pub base: RepoPath,
    /// `moin.yaml`, if there is one.
    pub file: Option<RepoPath>,
    pub owner: Arc<str>,
    pub findings: Vec<Finding>,
}

/// Reads `moin.yaml` in the folder where rendering begins, else the one at the root.
pub(super) fn read(snapshot: &Snapshot, options: &RenderOptions) -> Settings {
    let (mut repository, mut findings) = Repository::read(snapshot, &options.path);
    let mut base = options.path.clone();
    if repository.source.is_none() && findings.is_empty() {
        (repository, findings) = Repository::read(snapshot, &RepoPath::root());
        base = if repository.source.is_some() { RepoPath::root() } else { base };
    }
    let owner = options.owner.as_deref().or(repository.name.as_deref()).unwrap_or(DEFAULT_OWNER).into();
    let refused = findings
        .iter()
        .find(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("moin.yaml is not valid: {}", finding.message));
    let file = repository.source.as_ref().map(|source| source.file.clone());
    let mut choice = Choice { snapshot, options, repository: &repository, base: &base, findings, refused };
    let layout = choice.layout();
    let findings = choice.findings;
    Settings { layout, base, file, owner, findings, repository }
}

impl Settings {
    /// What is said of settings that stand elsewhere than where they are looked for. If there are no others, they were meant:
    /// without them, everything would be rendered otherwise.
    pub fn unread(&self, place: &Location) -> Finding {
        let (severity, other): (fn(Code, String) -> Finding, _) = match &self.file {
            Some(file) => (Finding::warning, format!("those of {file} count")),
            None => (
                Finding::error,
                "they count only as moin.yaml, in the folder of --path or at the root".to_owned(),
            ),
        };
        severity(Code::BadRepositoryFile, format!("the settings in {} are not read: {other}", place.file))
            .at(place.clone())
            .help("name the file moin.yaml and its folder with --path, or take it away")
    }

    /// Whether annotations in a file may switch a safety off.
    pub fn allows_safeties(&self, file: &RepoPath) -> bool {
        let within = file.relative_to(&self.base).and_then(|path| path.parse().ok());
        within.is_some_and(|path: RepoPath| self.repository.protection.allows_annotations_in(&path))
    }
}

/// Chooses folders by use case and cluster; what cannot be chosen refuses everything.
struct Choice<'a> {
    snapshot: &'a Snapshot,
    options: &'a RenderOptions,
    repository: &'a Repository,
    base: &'a RepoPath,
    findings: Vec<Finding>,
    refused: Option<String>,
}

impl Choice<'_> {
    fn layout(&mut self) -> Layout {
        let repository = self.repository;
        let mut layout = Layout::default();
        if !self.snapshot.has_folder(&self.options.path) {
            let (message, help) = match self.options.path.is_root() {
                true => (
                    "the repository holds no file".to_owned(),
                    "commit something, or name another with --repo",
                ),
                false => (
                    format!("the folder {} is not in the repository", self.options.path),
                    "--path names a folder inside the repository; a folder of this machine is --repo DIR",
                ),
            };
            self.refuse(Finding::error(Code::PathMissing, message).help(help));
        }
        let of_cluster = self.cluster_folders();
        match self.use_case() {
            Some(name) => {
                for (index, layer) in repository.use_cases[&name].layers.iter().enumerate() {
                    let way = FieldPath::of_keys(["spec", "useCases", &name, "layers"]).index(index);
                    layout.layers.extend(self.layer(layer, &way));
                }
                layout.layered = true;
            }
            None if self.repository.use_cases.is_empty() => layout.layers.push(self.options.path.clone()),
            None => {}
        }
        layout.layered |= !of_cluster.is_empty();
        for folder in of_cluster {
            if !layout.layers.contains(&folder) {
                layout.layers.push(folder);
            }
        }
        layout.stages = repository.stages.iter().map(|stage| stage_of(stage, self.repository)).collect();
        layout.complete();
        layout.policies = self.policies();
        self.look_for_stages(&layout);
        layout.except = self.except(&layout);
        layout.refused = self.refused.take();
        layout
    }

    /// The use case to render; `None` where there are none, or none can be chosen.
    fn use_case(&mut self) -> Option<String> {
        let known = &self.repository.use_cases;
        let names = || known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let cluster = self.options.cluster.as_ref().and_then(|name| self.repository.clusters.get(name));
        if cluster.is_none() && self.options.cluster.is_some() && !self.repository.clusters.is_empty() {
            // That there is no such cluster is said already.
            return None;
        }
        let wanted = self.options.use_case.clone().or_else(|| cluster.and_then(|c| c.use_case.clone()));
        let message = match &wanted {
            Some(name) if known.contains_key(name) => {
                if *self.base == self.options.path {
                    return wanted;
                }
                format!(
                    "moin.yaml has layers, so the path must be its folder ({}), not {}",
                    self.base, self.options.path
                )
            }
            Some(name) if known.is_empty() => format!("there is no use case {name}: moin.yaml has none"),
            Some(name) => format!("there is no use case {name}; moin.yaml has {}", names()),
            None if known.is_empty() => return None,
            None if known.len() == 1 && *self.base == self.options.path => {
                return known.keys().next().cloned();
            }
            None => format!("moin.yaml has several use cases, and none was chosen: {}", names()),
        };
        let help = "choose one with --use-case, or a management cluster with --cluster";
        let finding = Finding::error(Code::BadSettings, message).help(help);
        let place = self.place(&FieldPath::of_keys(["spec", "useCases"]));
        self.refuse(match place {
            Some(place) => finding.at(place),
            None => finding,
        });
        None
    }

    /// Folders of the chosen management cluster.
    fn cluster_folders(&mut self) -> Vec<RepoPath> {
        let Some(name) = &self.options.cluster else { return Vec::new() };
        let Some(cluster) = self.repository.clusters.get(name) else {
            // A repository that describes no clusters has none to choose from; the name is only the daemon's.
            if !self.repository.clusters.is_empty() {
                let names: Vec<&str> = self.repository.clusters.keys().map(String::as_str).collect();
                let message = format!("there is no cluster {name}; moin.yaml has {}", names.join(", "));
                self.refuse(Finding::error(Code::BadSettings, message));
            }
            return Vec::new();
        };
        let mut folders = Vec::new();
        for (index, folder) in cluster.folders.iter().enumerate() {
            let way = FieldPath::of_keys(["spec", "clusters", name, "folders"]).index(index);
            folders.extend(self.layer(folder, &way));
        }
        folders
    }

    /// A folder of documents, from where `moin.yaml` stands. One that is not there is said, and brings nothing.
    fn layer(&mut self, folder: &RepoPath, way: &FieldPath) -> Option<RepoPath> {
        let path = self.base.join(folder.as_str()).ok()?;
        if !self.snapshot.has_folder(&path) {
            let finding =
                Finding::warning(Code::LayerFolderMissing, format!("the folder {folder} does not exist"));
            let place = self.place(way);
            self.findings.push(match place {
                Some(place) => finding.at(place),
                None => finding,
            });
        }
        Some(path)
    }

    /// Folders of policies. Without one of them nothing can be judged, so nothing is applied.
    fn policies(&mut self) -> Vec<RepoPath> {
        let mut folders = Vec::new();
        for (index, folder) in self.repository.policies.iter().enumerate() {
            let Ok(path) = self.base.join(folder.as_str()) else { continue };
            if !self.snapshot.has_folder(&path) {
                let message =
                    format!("the folder of policies {folder} does not exist, so nothing can be judged");
                let finding = Finding::error(Code::LayerFolderMissing, message);
                let place = self.place(&FieldPath::of_keys(["spec", "policies"]).index(index));
                self.refuse(match place {
                    Some(place) => finding.at(place),
                    None => finding,
                });
            }
            folders.push(path);
        }
        folders
    }

    /// Says which folders of stages are in no layer.
    fn look_for_stages(&mut self, layout: &Layout) {
        for (number, stage) in self.repository.stages.iter().enumerate() {
            for (index, folder) in stage.folders.iter().enumerate() {
                let mut paths = layout.layers.iter().filter_map(|layer| layer.join(folder.as_str()).ok());
                if !paths.any(|path| self.snapshot.has_folder(&path)) {
                    let way =
                        FieldPath::of_keys(["spec", "stages"]).index(number).key("folders").index(index);
                    let message = format!("stage {}: no layer has the folder {folder}", stage.name);
                    let finding = Finding::note(Code::LayerFolderMissing, message);
                    let place = self.place(&way);
                    self.findings.push(match place {
                        Some(place) => finding.at(place),
                        None => finding,
                    });
                }
            }
        }
    }

    /// What is no desired state of this cluster: policies that only judge, hooks, and folders of other clusters.
    fn except(&self, layout: &Layout) -> Vec<RepoPath> {
        let hooks = layout.stages.iter().flat_map(|stage| stage.before.iter().chain(&stage.after));
        let of_clusters = self.repository.clusters.values().flat_map(|cluster| &cluster.folders);
        let of_clusters = of_clusters.filter_map(|folder| self.base.join(folder.as_str()).ok());
        let mut except: Vec<RepoPath> = layout.policies.clone();
        except.extend(of_clusters.filter(|folder| !layout.layers.contains(folder)));
        for hook in hooks {
            let places = std::iter::once(self.base).chain(&layout.layers);
            except.extend(places.filter_map(|place| place.join(hook.as_str()).ok()));
        }
        except
    }

    fn refuse(&mut self, finding: Finding) {
        self.refused.get_or_insert_with(|| finding.message.clone());
        self.findings.push(finding);
    }

    /// A place in `moin.yaml`.
    fn place(&self, way: &FieldPath) -> Option<Location> {
        self.repository.source.as_ref().map(|source| yaml::locate(source, way))
    }
}

fn stage_of(stage: &crate::config::Stage, repository: &Repository) -> Stage {
    Stage {
        name: stage.name.clone(),
        unit: Stage::unit_of(&stage.name),
        folders: stage.folders.clone(),
        rest: stage.rest,
        timeout: stage.timeout,
        continue_on_failure: stage.on_failure == OnFailure::Continue,
        before: stage.hooks_before.clone(),
        after: stage.hooks_after.clone(),
        defined_at: repository.source.as_ref().map(|source| (source.file.clone(), stage.line)),
    }
}
