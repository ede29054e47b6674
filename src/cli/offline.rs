//! What render, check and diff share: a revision of the repository, rendered and reviewed without a cluster.

use std::collections::BTreeMap;

use super::args::{SourceArgs, TriggerArgs, open_repository, render_options};
use super::{BoxError, output};
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, Snapshot};
use crate::render::{LiveTriggers, Manifests, RenderOptions, Renderer};
use crate::review::{Review, Reviewer, Surroundings};
use crate::source::{Source, SourceError};

/// A revision, rendered and reviewed.
pub struct Reviewed {
    /// What was rendered.
    pub manifests: Manifests,
    /// What was judged.
    pub review: Review,
    /// Findings of the source.
    pub left_out: Vec<Finding>,
}

impl Reviewed {
    /// Says why the repository cannot be rendered with these settings (no such use case, no such path), if so, and
    /// answers the exit code for that.
    pub fn could_not_render(&self) -> Option<u8> {
        let unfit = |finding: &&Finding| {
            let misplaced = finding.code == Code::PathMissing;
            finding.code == Code::BadSettings
                || misplaced && finding.object.is_none() && finding.location.is_none()
        };
        let findings: Vec<Finding> = self.manifests.findings.iter().filter(unfit).cloned().collect();
        output::findings(&findings);
        (!findings.is_empty()).then_some(super::COULD_NOT_RUN)
    }

    /// All findings, in the order of the stages.
    pub fn findings(&self) -> Vec<Finding> {
        let stages = [&self.left_out, &self.manifests.findings, &self.review.findings];
        stages.into_iter().flatten().cloned().collect()
    }
}

/// Renders and reviews revisions, sharing what they have in common.
pub struct Offline {
    source: Source,
    options: RenderOptions,
    namespaces: BTreeMap<String, LiveObject>,
    renderer: Renderer,
    reviewer: Reviewer,
    fetched: bool,
}

impl Offline {
    /// `namespaces` are those that live in a cluster, as triggers of rules beside the ones in the repository.
    pub fn new(source: Source, options: RenderOptions, namespaces: BTreeMap<String, LiveObject>) -> Offline {
        let (renderer, reviewer) = (Renderer::default(), Reviewer::default());
        Offline { source, options, namespaces, renderer, reviewer, fetched: false }
    }

    /// The files at a revision, or as they are now.
    ///
    /// # Errors
    /// [`SourceError`] when the source or the revision cannot be read.
    pub fn snapshot(&mut self, revision: Option<&str>) -> Result<Snapshot, SourceError> {
        match revision {
            Some(revision) => {
                // `HEAD` of a remote repository means what it has now, not what an earlier command left in the cache.
                if matches!(self.source, Source::Git(_)) && !self.fetched {
                    self.source.fetch()?;
                    self.fetched = true;
                }
                self.source.snapshot(revision)
            }
            None => self.source.fetch(),
        }
    }

    /// What `check` and `render` begin with: the revision (or what is there now) of the repository that the arguments
    /// name, rendered and reviewed.
    ///
    /// # Errors
    /// When the settings are wrong or the source cannot be read.
    pub fn reviewed(
        source: &SourceArgs,
        triggers: &TriggerArgs,
        revision: Option<&str>,
    ) -> Result<Reviewed, BoxError> {
        let settings = source.settings()?;
        let source = open_repository(&settings)?;
        let mut offline = Offline::new(source, render_options(&settings), triggers.namespaces()?);
        let snapshot = offline.snapshot(revision)?;
        Ok(offline.review(&snapshot, None))
    }

    /// Render and review; the policies of `base` judge as well.
    pub fn review(&mut self, snapshot: &Snapshot, base: Option<&Manifests>) -> Reviewed {
        let live = LiveTriggers { namespaces: &self.namespaces };
        let manifests = self.renderer.render(snapshot, &self.options, &live);
        let review = self.reviewer.review(&manifests, &Surroundings { applied: base, live });
        Reviewed { manifests, review, left_out: self.source.findings().to_vec() }
    }
}
