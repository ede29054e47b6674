//! Two instances and a Lease, by hand.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ABLE: Circumstances = Circumstances { writing: false, able: true, leaving: false };
const WRITING: Circumstances = Circumstances { writing: true, ..ABLE };

/// A Lease as an API server keeps it.
#[derive(Default)]
struct Server {
    record: Option<LeaseRecord>,
    writes: u32,
}

impl Server {
    fn write(&mut self, write: &LeaseWrite) -> Option<LeaseRecord> {
        let now = self.record.as_ref().map(|record| record.version.clone());
        if write.over != now {
            return None;
        }
        self.writes += 1;
        let version = self.writes.to_string();
        let before = self.record.as_ref().map(|record| record.renewal.clone()).unwrap_or_default();
        self.record = Some(LeaseRecord {
            holder: write.holder.clone(),
            role: write.role,
            renewal: if write.renews { version.clone() } else { before },
            duration: write.duration,
            cluster: write.cluster.clone(),
            protocol: PROTOCOL,
            hand_back: write.hand_back.clone(),
            version,
        });
        self.record.clone()
    }

    /// Carries out what the leader wants until it wants nothing more.
    fn serve(&mut self, leader: &mut Leader, now: Now, around: Circumstances) -> Vec<News> {
        let mut news = Vec::new();
        loop {
            let mut effects = Vec::new();
            news.extend(leader.act(now, around, &mut effects));
            effects.retain(|effect| *effect != Effect::CloseFence);
            let Some(effect) = effects.pop() else { return news };
            match effect {
                Effect::ReadLease => news.extend(leader.seen(self.record.clone(), now)),
                Effect::WriteLease(write) => match self.write(&write) {
                    Some(record) => news.extend(leader.written(record, now)),
                    None => leader.refused(now),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    fn holder(&self) -> &str {
        self.record.as_ref().map_or("", |record| &record.holder)
    }
}

fn leader(identity: &str, role: Role) -> Leader {
    Leader::new(
        Candidate { identity: identity.into(), role, cluster: Some("mgmt1".into()) },
        LeaseTimes::default(),
    )
}

#[test]
fn the_home_takes_at_once_and_a_stand_in_only_after_the_time_of_a_lease() {
    let mut server = Server::default();
    let mut peer = leader("peer", Role::Peer);
    assert_eq!(server.serve(&mut peer, Now::ZERO, ABLE), []);
    assert_eq!(server.serve(&mut peer, 15 * SECOND, ABLE), []);
    let mut home = leader("home", Role::Home);
    assert_eq!(server.serve(&mut home, 15 * SECOND, ABLE), [News::Won]);
    assert_eq!(server.serve(&mut peer, 16 * SECOND, ABLE), [], "it is held by now");
    assert_eq!(server.serve(&mut peer, 31 * SECOND, ABLE), []);
    assert_eq!(server.serve(&mut peer, 32 * SECOND, ABLE), [News::Won], "nobody has renewed it");
}

#[test]
fn a_stand_in_hands_over_to_the_home_when_its_writes_are_done() {
    let mut server = Server::default();
    let mut peer = leader("peer", Role::Peer);
    server.serve(&mut peer, Now::ZERO, ABLE);
    assert_eq!(server.serve(&mut peer, 16 * SECOND, ABLE), [News::Won]);
    let mut home = leader("home", Role::Home);
    assert_eq!(server.serve(&mut home, 17 * SECOND, Circumstances { able: false, ..ABLE }), []);
    assert_eq!(server.record.as_ref().unwrap().hand_back, None, "it has nothing to apply yet");
    assert_eq!(server.serve(&mut home, 18 * SECOND, ABLE), []);
    peer.touched("2".into());
    assert_eq!(server.serve(&mut peer, 18 * SECOND, WRITING), []);
    assert_eq!(peer.held_until(), None, "nothing new is written");
    assert_eq!(server.serve(&mut peer, 18 * SECOND, ABLE), [News::Lost]);
    assert_eq!(server.holder(), "home");
    home.touched("3".into());
    assert_eq!(server.serve(&mut home, 18 * SECOND, ABLE), [News::Won]);
    assert_eq!(server.record.as_ref().unwrap().role, Role::Home);
    assert_eq!(server.serve(&mut peer, 30 * SECOND, ABLE), []);
}

#[test]
fn a_hand_over_does_not_wait_for_writes_that_hang() {
    let mut server = Server::default();
    let mut peer = leader("peer", Role::Peer);
    server.serve(&mut peer, Now::ZERO, ABLE);
    server.serve(&mut peer, 16 * SECOND, ABLE);
    let mut home = leader("home", Role::Home);
    server.serve(&mut home, 17 * SECOND, ABLE);
    peer.touched("2".into());
    server.serve(&mut peer, 17 * SECOND, WRITING);
    let by = peer.wake_at(WRITING).unwrap();
    assert!(by <= 18 * SECOND);
    assert_eq!(server.serve(&mut peer, by, WRITING), [News::Lost]);
}

#[test]
fn a_holder_that_was_frozen_writes_no_more() {
    let mut server = Server::default();
    let mut one = leader("one", Role::Home);
    assert_eq!(server.serve(&mut one, Now::ZERO, ABLE), [News::Won]);
    let mut two = leader("two", Role::Home);
    server.serve(&mut two, SECOND, ABLE);
    let mut effects = Vec::new();
    assert_eq!(one.act(12 * SECOND, ABLE, &mut effects), Some(News::Lost));
    assert_eq!(effects, [Effect::ReadLease]);
    assert_eq!(server.serve(&mut two, 16 * SECOND, ABLE), [News::Won]);
    assert_eq!(one.seen(server.record.clone(), 20 * SECOND), None);
    assert!(one.finding().unwrap().message.contains("two"));
}

#[test]
fn replicas_of_the_home_do_not_take_it_from_each_other() {
    let mut server = Server::default();
    let mut one = leader("one", Role::Home);
    let mut two = leader("two", Role::Home);
    server.serve(&mut one, Now::ZERO, ABLE);
    for second in 1..100 {
        let now = second * SECOND;
        assert_eq!(server.serve(&mut one, now, ABLE), []);
        assert_eq!(server.serve(&mut two, now, ABLE), []);
    }
    assert_eq!(server.holder(), "one");
    let free = one.give_back().unwrap();
    server.write(&free);
    two.touched("x".into());
    assert_eq!(server.serve(&mut two, 100 * SECOND, ABLE), [News::Won]);
}

#[test]
fn a_target_of_another_name_or_a_newer_protocol_is_left_alone() {
    let other = |protocol, cluster: &str| LeaseRecord {
        protocol,
        cluster: Some(cluster.into()),
        version: "1".into(),
        ..LeaseRecord::default()
    };
    for (record, code) in [
        (other(PROTOCOL, "mgmt2"), Code::WrongCluster),
        (other(PROTOCOL + 1, "mgmt1"), Code::ProtocolUnknown),
    ] {
        let mut server = Server { record: Some(record), writes: 1 };
        let mut home = leader("home", Role::Home);
        assert_eq!(server.serve(&mut home, Now::ZERO, ABLE), []);
        assert_eq!(server.serve(&mut home, 100 * SECOND, ABLE), []);
        assert_eq!((server.writes, home.finding().unwrap().code), (1, code));
    }
}

#[test]
fn a_lease_that_names_us_without_our_knowing_is_ours_again() {
    let mut server = Server::default();
    let mut one = leader("one", Role::Home);
    let mut effects = Vec::new();
    one.act(Now::ZERO, ABLE, &mut effects);
    one.seen(None, Now::ZERO);
    one.act(Now::ZERO, ABLE, &mut effects);
    let Some(Effect::WriteLease(write)) = effects.pop() else { panic!("{effects:?}") };
    // It arrives, but the answer is lost.
    server.write(&write);
    one.failed(Finding::error(Code::ClusterUnreachable, "no answer"), 4 * SECOND);
    assert_eq!(one.held_until(), None);
    assert_eq!(server.serve(&mut one, 5 * SECOND, ABLE), [News::Won]);
}

#[test]
fn a_lease_that_lasts_longer_is_held_and_waited_for_longer() {
    let longer = LeaseTimes::of(Duration::from_secs(60));
    let mut server = Server::default();
    let mut home = leader("home", Role::Home);
    let mut peer = leader("peer", Role::Peer);
    server.serve(&mut home, Now::ZERO, ABLE);
    assert_eq!(home.held_until(), Some(10 * SECOND));
    home.go_by(longer, SECOND);
    server.serve(&mut home, SECOND, ABLE);
    assert_eq!(server.record.as_ref().unwrap().duration, 60 * SECOND, "it is said at once");
    assert_eq!(home.held_until(), Some(41 * SECOND));
    assert_eq!(home.wake_at(ABLE), Some(21 * SECOND));
    // The peer still thinks it lasts 15 seconds; what the holder says counts.
    for at in [2, 22, 42] {
        server.serve(&mut home, at * SECOND, ABLE);
        peer.touched(String::new());
        server.serve(&mut peer, at * SECOND, ABLE);
    }
    let told: Vec<Code> = peer.findings().map(|finding| finding.code).collect();
    assert_eq!(told, [Code::LeaseTimesDiffer]);
    peer.touched(String::new());
    server.serve(&mut peer, 80 * SECOND, ABLE);
    assert_eq!(server.holder(), "home");
    peer.touched(String::new());
    server.serve(&mut peer, 103 * SECOND, ABLE);
    assert_eq!(server.holder(), "peer");
    // Shorter again: what was promised is kept until the next renewal has said so.
    peer.go_by(LeaseTimes::of(30 * SECOND), 104 * SECOND);
    peer.go_by(LeaseTimes::default(), 104 * SECOND);
    server.serve(&mut peer, 104 * SECOND, ABLE);
    assert_eq!(peer.held_until(), Some(114 * SECOND));
}
