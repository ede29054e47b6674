//! Whatever is written in the languages of policies: nothing panics, and all ends soon.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::disallowed_methods, reason = "a test reads clocks and variables")]

#[path = "support/language.rs"]
mod language;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use language::{Choices, LANGUAGES, mutate, seeds};

/// How many texts each language gets.
const ROUNDS: u64 = 300;
/// One text takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long this thread was on a core, where that is known: machines that run tests may be busy.
fn now() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let known = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let known = known.and_then(|text| text.split(' ').next()?.parse().ok().map(Duration::from_nanos));
    known.unwrap_or_else(|| BEGIN.elapsed())
}

#[test]
fn seeds_are_understood() {
    for (name, run) in LANGUAGES {
        let seeds = seeds(name);
        assert!(seeds.len() > 2, "{name}");
        seeds.iter().for_each(|seed| run(seed));
    }
}

#[test]
fn no_text_panics_or_hangs() {
    let rounds = std::env::var("MOIN_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let only = std::env::var("MOIN_TEST_LANGUAGE").ok();
    let mut wrong = Vec::new();
    for (name, run) in
        LANGUAGES.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
    {
        let seeds = seeds(name);
        // A suite is files on a disk.
        let rounds = if name == "suites" || name == "policies" { rounds / 4 } else { rounds };
        for round in 0..rounds {
            let choices = &mut Choices::new(round);
            let (seed, other) = (&seeds[choices.below(seeds.len())], &seeds[choices.below(seeds.len())]);
            let text = mutate(seed, other, choices);
            let begin = now();
            if catch_unwind(AssertUnwindSafe(|| run(&text))).is_err() {
                wrong.push(format!("{name} panics:\n{text}"));
            } else if now() - begin > PATIENCE {
                wrong.push(format!("{name} takes {:?}:\n{text}", now() - begin));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n\n"));
}
