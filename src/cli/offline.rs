//! What render, check and diff share: a revision of the repository, rendered and reviewed without a cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::args::{SourceArgs, TriggerArgs, open_repository, render_options};
use super::{BoxError, output};
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, ObjectId, Revision, Snapshot};
use crate::policy::{PolicySet, World};
use crate::render::{LiveTriggers, Manifests, RenderOptions, Renderer};
use crate::review::{Explainer, Review, Reviewer, Surroundings};
use crate::source::{Source, SourceError};

/// A revision, rendered and reviewed.
pub struct Reviewed {
    /// What was rendered.
    pub manifests: Manifests,
    /// What was judged.
    pub review: Review,
    /// Findings of the source.
    pub left_out: Vec<Finding>,
    namespaces: BTreeMap<String, LiveObject>,
    world: World,
    /// The policies of the revision before.
    before: Option<Arc<PolicySet>>,
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

    /// What was known of a cluster and of the world, once [`Offline::hand_over`] told.
    pub fn live(&self) -> LiveTriggers<'_> {
        LiveTriggers { namespaces: &self.namespaces, world: &self.world }
    }

    /// Explains the verdicts with what the review knew.
    pub fn explainer(&self) -> Explainer<'_> {
        Explainer::new(&self.manifests, self.live(), self.before.as_ref())
    }

    /// All findings, in the order of the stages.
    pub fn findings(&self) -> Vec<Finding> {
        let stages = [&self.left_out, &self.manifests.findings, &self.review.findings];
        stages.into_iter().flatten().cloned().collect()
    }
}

/// Two revisions, rendered and reviewed.
pub struct Between {
    /// What was.
    pub base: Reviewed,
    /// Its revision.
    pub base_revision: Revision,
    /// What shall be, judged as a change of the base.
    pub head: Reviewed,
    /// Its revision.
    pub head_revision: Revision,
}

/// Renders and reviews revisions, sharing what they have in common.
pub struct Offline {
    source: Source,
    options: RenderOptions,
    namespaces: BTreeMap<String, LiveObject>,
    /// What policies may ask for beside the repository.
    pub world: World,
    renderer: Renderer,
    reviewer: Reviewer,
    fetched: bool,
}

impl Offline {
    /// `namespaces` are those that live in a cluster, as triggers of rules beside the ones in the repository.
    pub fn new(source: Source, options: RenderOptions, namespaces: BTreeMap<String, LiveObject>) -> Offline {
        let (renderer, reviewer) = (Renderer::default(), Reviewer::default());
        let world = World::nothing();
        Offline { source, options, namespaces, world, renderer, reviewer, fetched: false }
    }

    /// The same, where policies may ask for more than the repository.
    #[must_use]
    pub fn within(self, world: World) -> Offline {
        Offline { world, ..self }
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
    /// name, rendered and reviewed. Of `BASE..HEAD`, the head, as a change of the base.
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
        let mut offline =
            Offline::new(source, render_options(&settings), triggers.namespaces()?).within(triggers.world()?);
        let reviewed = match revision.filter(|revision| revision.contains("..")) {
            Some(range) => offline.between(range)?.head,
            None => {
                let snapshot = offline.snapshot(revision)?;
                offline.review(&snapshot, None)
            }
        };
        Ok(offline.hand_over(reviewed))
    }

    /// Gives the last review what policies were told, to explain by it. Nothing more is known here then.
    pub fn hand_over(&mut self, reviewed: Reviewed) -> Reviewed {
        Reviewed { world: std::mem::take(&mut self.world), ..reviewed }
    }

    /// Both ends of `BASE..HEAD`; the head is judged as a change of the base.
    ///
    /// # Errors
    /// When the text is no range, or one of its ends cannot be read.
    pub fn between(&mut self, range: &str) -> Result<Between, BoxError> {
        let (base, head) = range_of(range)?;
        let base_snapshot = self.snapshot(Some(base))?;
        let base = self.review(&base_snapshot, None);
        let head_snapshot = self.snapshot(head)?;
        let head = self.review(&head_snapshot, Some(&base.manifests));
        Ok(Between {
            base,
            base_revision: base_snapshot.revision,
            head,
            head_revision: head_snapshot.revision,
        })
    }

    /// Render and review; the policies of `base` judge as well, and what it holds is what was there before.
    pub fn review(&mut self, snapshot: &Snapshot, base: Option<&Manifests>) -> Reviewed {
        self.review_beside(snapshot, base, None)
    }

    /// Render and review beside objects that live in a cluster.
    pub fn review_beside(
        &mut self,
        snapshot: &Snapshot,
        base: Option<&Manifests>,
        objects: Option<&HashMap<ObjectId, LiveObject>>,
    ) -> Reviewed {
        let live = LiveTriggers { namespaces: &self.namespaces, world: &self.world };
        let manifests = self.renderer.render(snapshot, &self.options, &live);
        let review = self.reviewer.review(&manifests, &Surroundings { applied: base, live, objects });
        let left_out = self.source.findings().to_vec();
        let (namespaces, world) = (self.namespaces.clone(), World::nothing());
        let before = base.map(|base| base.policy_set.clone());
        Reviewed { manifests, review, left_out, namespaces, world, before }
    }
}

/// Both ends of `BASE..HEAD`; without a head, the working tree.
fn range_of(range: &str) -> Result<(&str, Option<&str>), String> {
    let Some((base, head)) = range.split_once("..") else {
        return Err(format!(
            "{range:?} is one revision, not two: write {range}.. to compare it with the working tree, or BASE..{range}"
        ));
    };
    if let Some(head) = head.strip_prefix('.') {
        return Err(format!(
            "{range:?} has three dots: write {base}..{head}, which compares the two revisions as they are; for only what \
             a branch adds, take $(git merge-base {base} {head}) as base"
        ));
    }
    Ok((if base.is_empty() { "HEAD" } else { base }, Some(head).filter(|head| !head.is_empty())))
}
