//! What of `moin.yaml` decides where rendering begins and which unit an object belongs to.

use std::time::Duration;

use super::documents::Doc;
use crate::model::{RepoPath, Unit, UnitName};

/// The name of the stage for what no stage names.
const REST: &str = "rest";

/// Where rendering begins, and the order of what it brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Layout {
    /// Folders whose documents are merged, later over earlier; one, if there are no layers.
    pub layers: Vec<RepoPath>,
    /// Whether `moin.yaml` has layers.
    pub layered: bool,
    /// Stages in their order; none means one unit for everything.
    pub stages: Vec<Stage>,
    /// Folders of policies that judge and are not applied.
    pub policies: Vec<RepoPath>,
    /// Folders and files that hold no desired state of this cluster.
    pub except: Vec<RepoPath>,
    /// Why nothing may be applied.
    pub refused: Option<String>,
}

/// A stage: folders below each layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stage {
    pub name: String,
    /// The unit of its objects.
    pub unit: UnitName,
    /// Folders, seen from each layer.
    pub folders: Vec<RepoPath>,
    /// It takes what no other stage names.
    pub rest: bool,
    pub timeout: Option<Duration>,
    pub continue_on_failure: bool,
    /// Files of Jobs to run before and after.
    pub before: Vec<RepoPath>,
    pub after: Vec<RepoPath>,
    /// Line in `moin.yaml`.
    pub defined_at: Option<(RepoPath, u32)>,
}

impl Stage {
    /// The unit of the objects of the stage of this name.
    pub fn unit_of(name: &str) -> UnitName {
        UnitName::new(&format!("stage/{name}"))
    }

    /// The unit of the Jobs before it.
    pub fn before_unit(&self) -> UnitName {
        UnitName::new(&format!("stage/{}/before", self.name))
    }

    /// The unit of the Jobs after it.
    pub fn after_unit(&self) -> UnitName {
        UnitName::new(&format!("stage/{}/after", self.name))
    }

    fn rest_of(stages: &[Stage]) -> Option<Stage> {
        (!stages.is_empty() && !stages.iter().any(|stage| stage.rest)).then(|| Stage {
            name: REST.to_owned(),
            unit: Stage::unit_of(REST),
            folders: Vec::new(),
            rest: true,
            timeout: None,
            continue_on_failure: false,
            before: Vec::new(),
            after: Vec::new(),
            defined_at: None,
        })
    }
}

impl Layout {
    /// Adds the stage for what no stage names, if there are stages and none of them takes it.
    pub fn complete(&mut self) {
        self.stages.extend(Stage::rest_of(&self.stages));
    }

    /// The layer in whose folder a document stands.
    pub fn layer_of(&self, doc: &Doc) -> RepoPath {
        let holds = |layer: &&RepoPath| doc.source.file.is_in(layer);
        let longest = self.layers.iter().filter(holds).max_by_key(|layer| layer.as_str().len());
        doc.layer.clone().or_else(|| longest.cloned()).unwrap_or_default()
    }

    /// The unit of a document: of the stage with the longest folder that holds it.
    pub fn unit_of(&self, file: &RepoPath, layer: &RepoPath) -> UnitName {
        let within = |folder: &RepoPath| {
            let rest = file.relative_to(layer).unwrap_or_default();
            let rest = rest.strip_prefix(folder.as_str());
            folder.is_root() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let best = self
            .stages
            .iter()
            .flat_map(|stage| stage.folders.iter().map(move |folder| (folder, stage)))
            .filter(|(folder, _)| within(folder))
            .max_by_key(|(folder, _)| folder.as_str().len());
        match best {
            Some((_, stage)) => stage.unit.clone(),
            None => self
                .stages
                .iter()
                .find(|stage| stage.rest)
                .map_or_else(UnitName::root, |stage| stage.unit.clone()),
        }
    }

    /// The units of the stages with their hooks, each after the one before it; one unit for everything without stages.
    pub fn units(&self) -> Vec<Unit> {
        let mut units: Vec<Unit> = Vec::new();
        for stage in &self.stages {
            let mut names = Vec::new();
            if !stage.before.is_empty() {
                names.push(stage.before_unit());
            }
            names.push(stage.unit.clone());
            if !stage.after.is_empty() {
                names.push(stage.after_unit());
            }
            for name in names {
                let mut unit = Unit::new(name);
                unit.defined_at = stage.defined_at.clone();
                unit.depends_on = units.last().map(|last| last.name.clone()).into_iter().collect();
                unit.wait = true;
                unit.timeout = stage.timeout;
                unit.continue_on_failure = stage.continue_on_failure;
                units.push(unit);
            }
        }
        if units.is_empty() {
            units.push(Unit::new(UnitName::root()));
        }
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, folders: &[&str], rest: bool) -> Stage {
        Stage {
            name: name.into(),
            unit: Stage::unit_of(name),
            folders: folders.iter().map(|folder| folder.parse().unwrap()).collect(),
            rest,
            timeout: None,
            continue_on_failure: false,
            before: Vec::new(),
            after: Vec::new(),
            defined_at: None,
        }
    }

    #[test]
    fn the_longest_folder_decides_and_the_rest_comes_last() {
        let mut layout = Layout {
            stages: vec![stage("a", &["capi"], false), stage("b", &["capi/late"], false)],
            ..Layout::default()
        };
        layout.complete();
        let unit = |file: &str| layout.unit_of(&file.parse().unwrap(), &"common".parse().unwrap());
        assert_eq!(unit("common/capi/x.yaml").as_str(), "stage/a");
        assert_eq!(unit("common/capi/late/x.yaml").as_str(), "stage/b");
        assert_eq!(unit("common/tenants/x.yaml").as_str(), "stage/rest");
        let names: Vec<String> = layout.units().iter().map(|unit| unit.name.to_string()).collect();
        assert_eq!(names, ["stage/a", "stage/b", "stage/rest"]);
        assert_eq!(layout.units()[1].depends_on, [UnitName::new("stage/a")]);
    }
}
