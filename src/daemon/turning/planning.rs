//! Planning by what is known of the source, the target and its peers.

use std::time::Instant;

use jiff::Timestamp;

use super::Turning;
use crate::daemon::peer_record::united;
use crate::daemon::peers::Peers;
use crate::daemon::pipeline::rules_of;
use crate::engine::{Engine, Event};
use crate::model::LiveState;
use crate::render::Manifests;

impl Turning {
    pub(super) fn plan(&mut self, engine: &Engine) -> Event {
        let accepted = self.fetched.take_if(|it| Some(&it.snapshot.revision) == engine.revision());
        if let Some(fetched) = accepted {
            self.left_out = fetched.left_out;
            self.snapshot = Some(fetched.snapshot);
        }
        self.may_tell = engine.may_tell();
        self.plan_again()
    }

    /// Plan by what is known; what policies ask for comes first.
    pub(super) fn plan_again(&mut self) -> Event {
        let Some(snapshot) = &self.snapshot else { return Event::Woke };
        let began = Instant::now();
        let live = self.target.live();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if !self.is_at_home_in(&live) {
            self.elsewhere = true;
            return Event::Woke;
        }
        let approvals = self.target.approvals();
        let places = self.places();
        let lost = self.stand_in.as_ref().map(|stand_in| stand_in.record.lost.clone()).unwrap_or_default();
        let lost = united(lost, &self.own.lost);
        let rules = |manifests: &Manifests| {
            let mut rules = rules_of(manifests, &approvals);
            for (name, url) in &places {
                rules.homes.stands(name, url);
            }
            rules.may_exist = lost;
            rules
        };
        let pipeline = &mut self.pipeline;
        pipeline.suspend(self.target.suspensions());
        let make = || pipeline.turn(snapshot, &live, rules, &now);
        let turn = self.probes.planning(|| tokio::task::block_in_place(make));
        let open = self.pipeline.world.open();
        self.waiting = !open.is_empty();
        if self.waiting {
            self.ask_for(open);
            return Event::Woke;
        }
        self.pipeline.world.settle();
        if let Some(peers) = &mut self.peers {
            peers.follow(&turn, &approvals);
        }
        if self.may_tell && self.peers.as_ref().is_some_and(Peers::exist) {
            self.raise_fence();
        }
        self.remember(&live);
        self.remember_itself(&live, &turn.manifests);
        self.target.follow(&turn);
        self.probes.metrics.planned_in(began.elapsed());
        self.probes.set_ready(true);
        self.policy_reports.take(&turn.results, &turn.manifests.repository, &live);
        let view = turn.view.clone();
        self.turn = Some(turn);
        self.publish_policies(&live);
        Event::Planned(view)
    }

    /// The admission webhook judges by what is applied.
    pub(super) fn publish_policies(&self, live: &LiveState) {
        let admission = &self.probes.admission;
        if let Some(applied) = self.pipeline.applied().filter(|_| admission.are_wanted()) {
            admission.publish(&applied.policy_set, &applied.schemas, &applied.manifests, &live.namespaces);
        }
    }

    /// Whether it is still the cluster that is meant.
    fn is_at_home_in(&self, live: &LiveState) -> bool {
        let Some(stand_in) = &self.stand_in else { return true };
        let system = live.namespaces.get("kube-system");
        system.is_none_or(|system| system.uid() == stand_in.uid.as_str())
    }

    /// The management clusters that are known to stand, and where.
    fn places(&self) -> Vec<(String, String)> {
        let here = self.candidate.cluster.iter().map(|name| (name.clone(), self.cluster.url().to_owned()));
        let others = self.peers.iter().flat_map(Peers::standing).map(|name| (name, String::new()));
        let home = self.stand_in.iter().map(|stand_in| stand_in.home.clone());
        let told = self.own.standing.iter().map(|name| (name.clone(), String::new()));
        here.chain(others).chain(home).chain(told).collect()
    }
}
