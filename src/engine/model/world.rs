//! Two daemons, two targets and a repository, and everything that can happen to them.

use std::time::Duration;

use super::Sabotage;
use super::daemon::{Answer, Request, Seat};
use super::script::{Kind, Op};
use super::server::{Ask, History, OBJECTS, Target, wanted};
use crate::engine::{Event, LEASE_PATIENCE, Now, Role};

/// How long anything but the Lease may take to be answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// One round of a time in which everything is delivered.
const ROUND: Duration = Duration::from_millis(100);

/// A process that has a seat at each target.
struct Daemon {
    seats: Option<[Seat; 2]>,
    frozen: bool,
    /// How often it has begun: answers to an earlier life reach nobody.
    life: u32,
    /// Its monotonic clock runs this much faster, in thousandths.
    drift: i64,
    /// Its wall clock is off by so much.
    skew: i64,
}

struct Flight {
    daemon: usize,
    life: u32,
    target: usize,
    identity: String,
    request: Request,
    /// `None` while it has not arrived.
    reply: Option<Answer>,
    /// It arrives no earlier.
    slow_until: Duration,
    /// Nobody waits for it any more; it may still arrive.
    given_up: bool,
    deadline: Now,
}

pub struct World {
    now: Duration,
    daemons: [Daemon; 2],
    pub targets: [Target; 2],
    pub history: History,
    flights: Vec<Flight>,
    /// Whether requests and answers pass, by daemon and target.
    cut: [[(bool, bool); 2]; 2],
    /// How long the next write of an object is under way, by daemon and target.
    slow: [[Duration; 2]; 2],
    sabotage: Option<Sabotage>,
    pub steps: u64,
    /// Nothing happened in the last round.
    quiet: bool,
    pub trace: bool,
}

impl World {
    pub fn new(sabotage: Option<Sabotage>) -> World {
        let daemon = |drift| Daemon { seats: None, frozen: false, life: 0, drift, skew: 0 };
        let mut world = World {
            now: Duration::from_secs(100),
            daemons: [daemon(80), daemon(-80)],
            targets: [0, 1].map(|number| Target { number, ..Target::default() }),
            history: History::new(),
            flights: Vec::new(),
            cut: [[(false, false); 2]; 2],
            slow: [[Duration::ZERO; 2]; 2],
            sabotage,
            steps: 0,
            quiet: false,
            trace: false,
        };
        for daemon in [0, 1] {
            world.start(daemon);
        }
        world
    }

    /// Let one thing happen; an error is a promise that was broken.
    pub fn run(&mut self, op: Op) -> Result<(), String> {
        let [a, b] = op.args.map(|arg| arg as usize);
        let (daemon, target) = (a % 2, b % 2);
        match op.kind {
            Kind::Go => {
                let end = self.now + Duration::from_millis(u64::from(op.args[0]));
                while self.now < end {
                    self.round(end)?;
                }
            }
            Kind::Tick => self.tick(Duration::from_millis(u64::from(op.args[0]))),
            Kind::Arrive => {
                self.nth(a, |flight| flight.reply.is_none()).map_or(Ok(()), |n| self.arrive(n))?
            }
            Kind::Answer => {
                if let Some(n) = self.nth(a, |flight| flight.reply.is_some()) {
                    self.answer(n);
                }
            }
            Kind::Lose => {
                // Who stands still waits in vain later.
                let moves = |flight: &Flight| !self.daemons[flight.daemon].frozen;
                if let Some(n) = self.nth(a, |flight| flight.reply.is_some() && moves(flight)) {
                    let flight = self.flights.remove(n);
                    self.hand(&flight, Answer::Nothing(flight.request.clone()));
                }
            }
            Kind::Delay => self.slow[daemon][a / 2 % 2] = Duration::from_millis(500) * b as u32,
            Kind::See => self.see(daemon, target),
            Kind::Fence => self.targets[target].hear(),
            Kind::Crash => self.daemons[daemon].seats = None,
            Kind::Start => self.start(daemon),
            Kind::Freeze => self.daemons[daemon].frozen = true,
            Kind::Thaw => self.thaw(daemon),
            Kind::CutRequests => self.cut[daemon][target].0 = true,
            Kind::CutAnswers => self.cut[daemon][target].1 = true,
            Kind::Mend => self.cut[daemon][target] = (false, false),
            Kind::Commit => self.history.commit(&[self.history.head]),
            Kind::ForcePush => self.history.commit(&[a % self.history.len()]),
            Kind::Edit => self.targets[target].edit(a % OBJECTS, false),
            Kind::Claim => self.targets[target].edit(1 + a % (OBJECTS - 1), true),
            Kind::Skew => self.daemons[daemon].skew = (b as i64 - 32) * 3_600,
        }
        self.check()
    }

    /// Everything works again: it must come to the newest commit, and then to rest.
    pub fn heal(&mut self) -> Result<(), String> {
        self.cut = [[(false, false); 2]; 2];
        for daemon in [0, 1] {
            self.thaw(daemon);
            self.start(daemon);
        }
        self.rest(Duration::from_secs(60))?;
        // Somebody resolves what a rewritten branch has left.
        let mut parents = vec![self.history.head];
        parents.extend(self.targets.iter().filter_map(|target| target.recorded));
        self.history.commit(&parents);
        let reachable = parents.iter().all(|parent| self.history.descends(self.history.head, *parent));
        self.rest(Duration::from_secs(240))?;
        if !reachable {
            // The model has no more names for commits.
            return Ok(());
        }
        for target in &self.targets {
            let home = format!("d{}", target.number);
            if !target.holder().starts_with(&home) {
                return Err(format!("target {} is held by {:?} in the end", target.number, target.holder()));
            }
            for id in 0..OBJECTS {
                let object = target.objects[id];
                let is = object.filter(|it| !it.foreign).map(|it| it.content);
                let foreign = object.is_some_and(|it| it.foreign);
                if !foreign && is != wanted(self.history.head, target.number, id) {
                    return Err(format!("object {id} of target {} is {object:?} in the end", target.number));
                }
            }
        }
        let before = self.targets.each_ref().map(|target| target.writes);
        self.rest(Duration::from_secs(60))?;
        if before != self.targets.each_ref().map(|target| target.writes) {
            return Err("something is written while nothing changes".into());
        }
        Ok(())
    }

    fn rest(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while self.now < end {
            self.round(end)?;
        }
        Ok(())
    }

    /// Everything that can be delivered is, the next time that there is something.
    fn round(&mut self, end: Duration) -> Result<(), String> {
        let until = if self.quiet { self.next_moment().min(end) } else { self.now };
        let before = (self.steps, self.targets.each_ref().map(|target| target.versions));
        self.tick(until.saturating_sub(self.now).max(ROUND));
        for target in &mut self.targets {
            target.hear();
        }
        for daemon in [0, 1] {
            for target in [0, 1] {
                self.see(daemon, target);
            }
        }
        for _ in 0..4 {
            for n in (0..self.flights.len()).rev() {
                if n < self.flights.len() && self.flights[n].reply.is_none() {
                    self.arrive(n)?;
                }
            }
            for n in (0..self.flights.len()).rev() {
                if n < self.flights.len() && self.flights[n].reply.is_some() {
                    self.answer(n);
                }
            }
        }
        self.quiet = before == (self.steps, self.targets.each_ref().map(|target| target.versions));
        self.check()
    }

    /// When somebody does something, if nothing happens before.
    fn next_moment(&self) -> Duration {
        if !self.flights.is_empty() {
            return self.now;
        }
        let seats = self.daemons.iter().enumerate().filter(|(_, it)| !it.frozen);
        let wakes = seats.flat_map(|(daemon, it)| {
            it.seats.iter().flatten().filter_map(move |seat| Some((daemon, seat.wake?)))
        });
        wakes.map(|(daemon, at)| self.time_of(daemon, at)).min().unwrap_or(Duration::MAX)
    }

    fn nth(&self, n: usize, which: impl Fn(&Flight) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.flights.len()).filter(|n| which(&self.flights[*n])).collect();
        all.get(n % all.len().max(1)).copied()
    }

    /// What a daemon takes for the time since it began.
    fn clock(&self, daemon: usize) -> Now {
        let millis = self.now.as_millis() as i64;
        let monotonic = millis + millis * self.daemons[daemon].drift / 1000;
        Duration::from_millis((monotonic + self.ahead(daemon)) as u64)
    }

    /// The time at which a daemon's clock shows this.
    fn time_of(&self, daemon: usize, clock: Now) -> Duration {
        let monotonic = clock.as_millis() as i64 - self.ahead(daemon);
        Duration::from_millis((monotonic * 1000 / (1000 + self.daemons[daemon].drift) + 1).max(0) as u64)
    }

    /// How far a daemon's clock is ahead: a wall clock counts from long ago.
    fn ahead(&self, daemon: usize) -> i64 {
        let by_wall = self.sabotage == Some(Sabotage::WallClock);
        1_000_000_000 + if by_wall { self.daemons[daemon].skew * 1000 } else { 0 }
    }

    fn start(&mut self, daemon: usize) {
        if self.daemons[daemon].seats.is_some() {
            return;
        }
        self.daemons[daemon].life += 1;
        self.daemons[daemon].frozen = false;
        let identity = format!("d{daemon}.{}", self.daemons[daemon].life);
        let role = |target| if target == daemon { Role::Home } else { Role::Peer };
        self.daemons[daemon].seats =
            Some([0, 1].map(|target| Seat::new(identity.clone(), target, role(target), self.sabotage)));
        for target in [0, 1] {
            self.tell(daemon, target, |seat, now, sabotage| seat.tell(Event::Started, now, sabotage));
        }
    }

    fn thaw(&mut self, daemon: usize) {
        self.daemons[daemon].frozen = false;
    }

    /// Have a seat do something, if its daemon lives and moves; what it sends is under way.
    fn tell(&mut self, daemon: usize, target: usize, what: impl FnOnce(&mut Seat, Now, Option<Sabotage>)) {
        let (now, sabotage, life) = (self.clock(daemon), self.sabotage, self.daemons[daemon].life);
        if self.daemons[daemon].frozen {
            return;
        }
        let Some(seats) = &mut self.daemons[daemon].seats else { return };
        let seat = &mut seats[target];
        what(seat, now, sabotage);
        self.steps += std::mem::take(&mut seat.steps);
        for request in std::mem::take(&mut seat.out) {
            let is_lease = matches!(request, Request::Target(Ask::ReadLease | Ask::WriteLease(_)));
            let is_object = matches!(request, Request::Target(Ask::Put { .. } | Ask::Delete { .. }));
            let slow =
                if is_object { std::mem::take(&mut self.slow[daemon][target]) } else { Duration::ZERO };
            self.flights.push(Flight {
                daemon,
                life,
                target,
                identity: seat.identity.clone(),
                request,
                reply: None,
                slow_until: self.now + slow,
                given_up: false,
                deadline: self.now + if is_lease { LEASE_PATIENCE } else { PATIENCE },
            });
        }
    }

    fn see(&mut self, daemon: usize, target: usize) {
        if self.cut[daemon][target] != (false, false) {
            return;
        }
        let it = &self.targets[target];
        let (objects, lease) =
            (it.objects, it.lease.as_ref().map(|lease| lease.version.clone()).unwrap_or_default());
        self.tell(daemon, target, |seat, now, sabotage| seat.see(&objects, &lease, now, sabotage));
    }

    fn tick(&mut self, time: Duration) {
        self.now += time;
        let late: Vec<usize> = (0..self.flights.len())
            .filter(|n| !self.flights[*n].given_up && self.flights[*n].deadline <= self.now)
            .filter(|n| !self.daemons[self.flights[*n].daemon].frozen)
            .collect();
        for n in late {
            self.flights[n].given_up = true;
            let (daemon, life) = (self.flights[n].daemon, self.flights[n].life);
            let (target, request) = (self.flights[n].target, self.flights[n].request.clone());
            if self.daemons[daemon].life == life {
                self.tell(daemon, target, |seat, now, sabotage| {
                    seat.take(Answer::Nothing(request), now, sabotage);
                });
            }
        }
        // What has arrived and is waited for by nobody is over.
        self.flights.retain(|flight| !flight.given_up || flight.reply.is_none());
        for daemon in [0, 1] {
            for target in [0, 1] {
                let clock = self.clock(daemon);
                self.tell(daemon, target, |seat, now, sabotage| {
                    if seat.wake.is_some_and(|at| clock >= at) {
                        seat.wake = None;
                        seat.tell(Event::Woke, now, sabotage);
                    }
                });
            }
        }
    }

    fn arrive(&mut self, n: usize) -> Result<(), String> {
        let flight = &self.flights[n];
        if self.now < flight.slow_until {
            return Ok(());
        }
        let answer = match &flight.request {
            Request::Fetch(after) => {
                let commit = self.history.head;
                let descends = after.is_none_or(|after| self.history.descends(commit, after));
                Answer::Fetched { commit, after: *after, descends }
            }
            Request::Target(ask) => {
                if self.cut[flight.daemon][flight.target].0 {
                    return Ok(());
                }
                let lets_create = self.sabotage == Some(Sabotage::CreateWithoutLease);
                let target = &mut self.targets[flight.target];
                let reply = target.serve(&flight.identity, ask, &self.history, lets_create)?;
                Answer::Target(reply)
            }
        };
        if self.flights[n].given_up {
            self.flights.remove(n);
        } else {
            self.flights[n].reply = Some(answer);
        }
        Ok(())
    }

    fn answer(&mut self, n: usize) {
        let flight = &self.flights[n];
        let of_target = matches!(flight.request, Request::Target(_));
        if of_target && self.cut[flight.daemon][flight.target].1 || self.daemons[flight.daemon].frozen {
            return;
        }
        let mut flight = self.flights.remove(n);
        if self.trace && of_target {
            let open = |(n, it): (usize, &Daemon)| {
                it.seats.as_ref().map(|it| it[flight.target].is_open(self.clock(n)))
            };
            let open: Vec<_> = self.daemons.iter().enumerate().map(open).collect();
            let Flight { identity, target, request, reply, .. } = &flight;
            eprintln!("{:?} {identity} {target} {request:?} -> {reply:?}, may write: {open:?}", self.now);
        }
        if let Some(answer) = flight.reply.take() {
            self.hand(&flight, answer);
        }
    }

    fn hand(&mut self, flight: &Flight, answer: Answer) {
        if self.daemons[flight.daemon].life == flight.life && !self.daemons[flight.daemon].frozen {
            self.tell(flight.daemon, flight.target, |seat, now, sabotage| seat.take(answer, now, sabotage));
        }
    }

    /// What must hold at every moment.
    fn check(&self) -> Result<(), String> {
        for target in [0, 1] {
            let mut open = Vec::new();
            for daemon in [0, 1] {
                let Some(seats) = &self.daemons[daemon].seats else { continue };
                let seat = &seats[target];
                if let Some(broken) = &seat.broken {
                    return Err(broken.clone());
                }
                if seat.is_open(self.clock(daemon)) {
                    open.push(&seat.identity);
                }
            }
            if open.len() > 1 {
                return Err(format!("{} and {} may both write to target {target}", open[0], open[1]));
            }
        }
        Ok(())
    }
}
