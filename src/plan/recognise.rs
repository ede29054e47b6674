//! Whether the cluster behind a kubeconfig is the one that is meant.

use crate::config::{Approval, ApprovalAction, Rebuild};
use crate::finding::{ApprovalRequest, Code, Finding};
use crate::model::{ClusterUid, Revision};

/// What of moin a cluster holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Nothing: no Reconciliation of this owner name.
    Nothing,
    /// A Reconciliation of this repository.
    Ours,
    /// A Reconciliation of this owner name from another source.
    OtherSource,
}

/// A cluster as it was met.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// Its name in `moin.yaml`.
    pub cluster: &'a str,
    /// The identity that it has now.
    pub seen: &'a ClusterUid,
    /// The identity that was recorded for it.
    pub recorded: Option<&'a ClusterUid>,
    /// The identities of the other clusters that are known, the own one among them.
    pub others: &'a [(&'a str, &'a ClusterUid)],
    /// What of ours it holds.
    pub holds: Holds,
}

/// What a cluster turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// The one that was recorded.
    Known,
    /// Nothing was recorded yet.
    New,
    /// Another than the recorded one, under its name.
    Rebuilt {
        /// Whether it holds nothing of ours.
        empty: bool,
    },
    /// Certainly not the one that is meant.
    Wrong,
}

impl Sighting<'_> {
    /// What the cluster is.
    pub fn recognise(&self) -> Recognition {
        if self.twin().is_some() {
            return Recognition::Wrong;
        }
        match (self.recorded, self.holds) {
            (Some(recorded), _) if recorded == self.seen => Recognition::Known,
            (_, Holds::OtherSource) => Recognition::Wrong,
            (None, _) => Recognition::New,
            (Some(_), holds) => Recognition::Rebuilt { empty: holds == Holds::Nothing },
        }
    }

    /// What a person should know about it.
    pub fn finding(&self) -> Option<Finding> {
        let name = self.cluster;
        match self.recognise() {
            Recognition::Known | Recognition::New => None,
            Recognition::Wrong => {
                let what = match self.twin() {
                    Some(twin) => format!("leads to the cluster {twin}"),
                    None => "leads to a cluster that another repository fills under the same name".to_owned(),
                };
                Some(Finding::error(
                    Code::WrongCluster,
                    format!("what should lead to the cluster {name} {what}"),
                ))
            }
            Recognition::Rebuilt { empty } => {
                let recorded = self.recorded.map_or("", ClusterUid::as_str);
                let holds = if empty { "nothing of ours is in it" } else { "it holds objects of ours" };
                let message = format!(
                    "the cluster {name} is another than before (kube-system has the uid {}, not {recorded}), and {holds}",
                    self.seen
                );
                let help = format!("to fill it, approve: {{action: rebuild, cluster: {name}}}");
                let request = ApprovalRequest::cluster(ApprovalAction::Rebuild.word(), name);
                Some(Finding::warning(Code::PeerRebuilt, message).help(help).asks(request))
            }
        }
    }

    /// Whether it may be written to: `rebuild: auto` fills only what is empty; what holds something of ours under
    /// another identity is a question for a person.
    pub fn may_write(&self, rebuild: Rebuild, approvals: &[Approval], revision: &Revision) -> bool {
        let approved = || {
            let allows = |it: &Approval| it.allows_cluster(ApprovalAction::Rebuild, self.cluster, revision);
            approvals.iter().any(allows)
        };
        match self.recognise() {
            Recognition::Known | Recognition::New => true,
            Recognition::Rebuilt { empty } => empty && rebuild == Rebuild::Auto || approved(),
            Recognition::Wrong => false,
        }
    }

    /// The other known cluster that it is.
    fn twin(&self) -> Option<&str> {
        let twin = self.others.iter().find(|(name, uid)| *uid == self.seen && *name != self.cluster);
        twin.map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> ClusterUid {
        ClusterUid::new(text).unwrap()
    }

    fn met<'a>(seen: &'a ClusterUid, recorded: Option<&'a ClusterUid>, holds: Holds) -> Sighting<'a> {
        Sighting { cluster: "mgmt2", seen, recorded, others: &[], holds }
    }

    #[test]
    fn a_cluster_is_known_by_its_uid() {
        let (a, b) = (uid("a"), uid("b"));
        for (recorded, holds, expected) in [
            (None, Holds::Nothing, Recognition::New),
            (None, Holds::Ours, Recognition::New),
            (None, Holds::OtherSource, Recognition::Wrong),
            (Some(&a), Holds::Ours, Recognition::Known),
            (Some(&a), Holds::Nothing, Recognition::Known),
            (Some(&b), Holds::Nothing, Recognition::Rebuilt { empty: true }),
            (Some(&b), Holds::Ours, Recognition::Rebuilt { empty: false }),
            (Some(&b), Holds::OtherSource, Recognition::Wrong),
        ] {
            let sighting = met(&a, recorded, holds);
            assert_eq!(sighting.recognise(), expected, "{sighting:?}");
            let quiet = matches!(expected, Recognition::New | Recognition::Known);
            assert_eq!(sighting.finding().is_none(), quiet, "{sighting:?}");
        }
        let home = [("mgmt1", &a)];
        let sighting = Sighting { others: &home, ..met(&a, Some(&a), Holds::Ours) };
        assert_eq!(sighting.recognise(), Recognition::Wrong, "the kubeconfig leads home");
        assert!(sighting.finding().unwrap().message.contains("leads to the cluster mgmt1"));
    }

    #[test]
    fn a_rebuilt_cluster_waits_for_a_word() {
        let (a, b) = (uid("a"), uid("b"));
        let empty = met(&a, Some(&b), Holds::Nothing);
        let filled = met(&a, Some(&b), Holds::Ours);
        let revision = Revision::new("3f2c1d9");
        let approval = |cluster: &str| Approval {
            action: ApprovalAction::Rebuild,
            object: None,
            revision: None,
            cluster: Some(cluster.to_owned()),
            reason: None,
            line: 1,
        };
        assert!(!empty.may_write(Rebuild::Approve, &[], &revision));
        assert!(!empty.may_write(Rebuild::Approve, &[approval("mgmt1")], &revision));
        assert!(empty.may_write(Rebuild::Approve, &[approval("mgmt2")], &revision));
        assert!(empty.may_write(Rebuild::Auto, &[], &revision));
        assert!(!filled.may_write(Rebuild::Auto, &[], &revision), "automatic is only what is empty");
        assert!(filled.may_write(Rebuild::Auto, &[approval("mgmt2")], &revision));
    }
}
