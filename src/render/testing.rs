//! Snapshots in memory, for tests.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{LiveTriggers, Manifests, RenderOptions, Renderer};
use crate::model::{File, Revision, Snapshot};

/// A repository in memory.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub snapshot: Snapshot,
    pub options: RenderOptions,
}

/// An empty repository.
pub(crate) fn repo() -> Repo {
    let snapshot = Snapshot { revision: Revision::new("folder:test"), files: Default::default() };
    Repo { snapshot, options: RenderOptions::default() }
}

impl Repo {
    /// With a file.
    pub fn file(mut self, path: &str, text: &str) -> Repo {
        let id: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let file = File { id: id.into(), bytes: Arc::from(text.as_bytes()) };
        self.snapshot.files.insert(path.parse().unwrap(), file);
        self
    }

    /// Rendered from this folder.
    pub fn path(mut self, path: &str) -> Repo {
        self.options.path = path.parse().unwrap();
        self
    }

    /// Rendered for this use case.
    pub fn use_case(mut self, name: &str) -> Repo {
        self.options.use_case = Some(name.to_owned());
        self
    }

    /// Rendered for this management cluster.
    pub fn cluster(mut self, name: &str) -> Repo {
        self.options.cluster = Some(name.to_owned());
        self
    }

    /// Rendered, where no namespace lives.
    pub fn render(&self) -> Manifests {
        Renderer::default().render(&self.snapshot, &self.options, &LiveTriggers::none())
    }

    /// The files of a folder of the shared data, below the root; `None`, with a word about it, if it is not here.
    pub fn shared(folder: &str) -> Option<Repo> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
        if !root.is_dir() {
            eprintln!("skipped: ../shared/{folder} is not here");
            return None;
        }
        Some(Repo::on_disk(&root))
    }

    /// The text files below a folder.
    pub fn on_disk(root: &std::path::Path) -> Repo {
        let mut repo = repo();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if let Ok(text) = std::fs::read_to_string(&entry) {
                    repo = repo.file(entry.strip_prefix(root).unwrap().to_str().unwrap(), &text);
                }
            }
        }
        repo
    }
}

impl Manifests {
    /// Objects as `unit: Kind/namespace/name`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.manifests.iter().map(|manifest| format!("{}: {}", manifest.unit, manifest.id)).collect()
    }

    /// Findings as people read them.
    pub(crate) fn said(&self) -> String {
        self.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
    }

    /// The object of that kind and name.
    pub(crate) fn one(&self, kind: &str, name: &str) -> &crate::model::Manifest {
        self.manifests.iter().find(|m| m.id.kind() == kind && m.id.name() == name).unwrap()
    }
}
