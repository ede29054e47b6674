//! The engine against everything that can happen: two daemons, two targets and a git history, driven through random
//! interleavings of crashes, freezes, partitions, drifting clocks, lost and late answers, rewritten branches and edits by
//! hand. After each step what is promised of two management clusters is checked; in the end everything is healed, and
//! must come to the newest commit and to rest.
//!
//! A failure is shortened and printed as a script, which [`replay`] runs again. The number of steps is that of
//! `MOIN_MODEL_STEPS`, or one that a test run does not notice.

mod daemon;
mod script;
mod server;
mod world;

use super::Rule;
use script::Op;
use world::World;

/// What is left out, of the engine, of its driver, or of the API server: the model must find what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A rule of the engine.
    Engine(Rule),
    /// Time is that of the wall clock.
    WallClock,
    /// A conflict with somebody else's fields is answered by force.
    Force,
    /// The API server lets creates of a former holder through.
    CreateWithoutLease,
}

/// How long a script is.
const LENGTH: usize = 150;
/// How many steps of engines are made, if nothing else is said.
const STEPS: u64 = 1_000_000;

/// Run a script to its end and through the healing; the number of steps, or the promise that was broken.
fn play(script: &[Op], sabotage: Option<Sabotage>) -> Result<u64, String> {
    let mut world = World::new(sabotage);
    for op in script {
        world.run(*op)?;
    }
    world.heal()?;
    Ok(world.steps)
}

/// Run a script as it was printed.
fn replay(text: &str) -> Result<u64, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    play(&lines.map(|line| line.parse().expect("a line of a script")).collect::<Vec<Op>>(), None)
}

/// The first broken promise among so many scripts, with the shortest script for it.
fn search(seeds: std::ops::Range<u64>, sabotage: Option<Sabotage>) -> Option<(String, Vec<Op>)> {
    let mut scripts = seeds.map(|seed| script::random(seed, LENGTH));
    let bad = scripts.find(|script| play(script, sabotage).is_err())?;
    let short = script::shrunk(&bad, |script| play(script, sabotage).is_err());
    let broken = play(&short, sabotage).expect_err("it was broken before");
    Some((broken, short))
}

/// Run scripts until the engines have made so many steps; the first that ends badly, shortened, is the message of a panic.
fn explore(worker: u64, workers: u64, wanted: u64) {
    let (mut steps, mut seed) = (0, worker);
    while steps < wanted / workers {
        let script = script::random(seed, LENGTH);
        match play(&script, None) {
            Ok(made) => steps += made,
            Err(_) => {
                let short = script::shrunk(&script, |script| play(script, None).is_err());
                let broken = play(&short, None).expect_err("it was broken before");
                panic!("seed {seed}: {broken}; as a script:\n{}", script::text(&short));
            }
        }
        seed += workers;
    }
}

#[test]
fn what_is_promised_of_two_management_clusters_holds_whatever_happens() {
    let wanted = std::env::var("MOIN_MODEL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let running = (0..workers).map(|worker| std::thread::spawn(move || explore(worker, workers, wanted)));
    for worker in running.collect::<Vec<_>>() {
        if let Err(panic) = worker.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn each_rule_that_is_left_out_is_found() {
    let of_engine = [Rule::LeaseBeforeWrites, Rule::RecordBeforeWrites, Rule::Descent, Rule::PruneLast];
    let others = [Sabotage::WallClock, Sabotage::Force, Sabotage::CreateWithoutLease];
    for sabotage in of_engine.map(Sabotage::Engine).into_iter().chain(others) {
        let found = search(0..2_000, Some(sabotage));
        let (broken, script) = found.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
        assert!(script.len() <= 30, "{sabotage:?} is found by {broken}:\n{}", script::text(&script));
        let well = play(&script, None);
        assert!(well.is_ok(), "without {sabotage:?} too: {well:?}\n{}", script::text(&script));
    }
}

#[test]
fn a_script_reads_as_it_was_written() {
    let script = script::random(7, 50);
    let read: Vec<Op> = script::text(&script).lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(read, script);
    assert!(replay("commit 0 0\ngo 30000 0\ncrash 0 0\ngo 20000 0\nstart 0 0\n").is_ok());
    assert!("fly 0 0".parse::<Op>().is_err());
}

/// The script in the file that `MOIN_MODEL_SCRIPT` names, with everything that a target is asked.
#[test]
fn a_script_can_be_watched() {
    let Ok(file) = std::env::var("MOIN_MODEL_SCRIPT") else { return };
    let mut world = World::new(None);
    world.trace = true;
    for line in std::fs::read_to_string(file).unwrap().lines() {
        eprintln!("{line}");
        world.run(line.parse().unwrap()).unwrap();
    }
    eprintln!("and everything is healed");
    world.heal().unwrap();
}
