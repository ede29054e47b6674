//! What happens to the world of the model, as lines that can be read, run again and shortened.

use std::fmt;
use std::str::FromStr;

/// One thing that happens. Numbers are taken modulo what there is, so that a script from which lines are removed is still
/// a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    pub kind: Kind,
    pub args: [u32; 2],
}

macro_rules! kinds {
    ($($kind:ident $word:literal $weight:literal $doc:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $doc] $kind,)+ }

        impl Kind {
            pub const ALL: &[(Kind, &str, u32)] = &[$((Kind::$kind, $word, $weight),)+];
        }
    };
}

kinds! {
    Go "go" 18 "Everything that can be delivered is, for so many milliseconds.",
    Tick "tick" 16 "Time passes, and nothing arrives.",
    Arrive "arrive" 26 "A request reaches its server.",
    Answer "answer" 22 "An answer reaches who asked.",
    Lose "lose" 4 "An answer is lost.",
    Delay "delay" 4 "The next object that a daemon writes is long under way.",
    See "see" 8 "A daemon's watches tell it of everything in a target.",
    Fence "fence" 4 "The API server of a target learns who holds its Lease.",
    Crash "crash" 2 "A daemon is gone.",
    Start "start" 4 "A daemon that is gone begins anew.",
    Freeze "freeze" 2 "A daemon stands still; its clock does not.",
    Thaw "thaw" 4 "It goes on.",
    CutRequests "cut-requests" 2 "Nothing of a daemon reaches a target.",
    CutAnswers "cut-answers" 2 "No answer of a target reaches a daemon.",
    Mend "mend" 5 "A daemon and a target reach each other again.",
    Commit "commit" 5 "A new commit on top of the newest.",
    ForcePush "force-push" 1 "The branch now ends in a new commit on top of an old one.",
    Edit "edit" 3 "Somebody changes an object by hand.",
    Claim "claim" 1 "Somebody else takes a field of an object, or makes one of its name.",
    Skew "skew" 2 "A daemon's wall clock jumps.",
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Kind::ALL.iter().find(|(kind, ..)| *kind == self.kind).map_or("", |(_, word, _)| *word);
        write!(f, "{word} {} {}", self.args[0], self.args[1])
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(line: &str) -> Result<Op, String> {
        let mut words = line.split_whitespace();
        let word = words.next().unwrap_or_default();
        let known = Kind::ALL.iter().find(|(_, known, _)| *known == word);
        let kind = known.ok_or_else(|| format!("{word:?} is nothing that can happen"))?.0;
        let mut number = || words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Op { kind, args: [number(), number()] })
    }
}

/// A small random generator: the same seed makes the same script everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub fn next(&mut self) -> u32 {
        // Splitmix.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 32) as u32
    }
}

/// A script of this length.
pub fn random(seed: u64, length: usize) -> Vec<Op> {
    let mut random = Random::new(seed);
    let all: u32 = Kind::ALL.iter().map(|(.., weight)| weight).sum();
    (0..length)
        .map(|_| {
            let mut drawn = random.next() % all;
            let drawn = Kind::ALL.iter().find(|(.., weight)| {
                let found = drawn < *weight;
                drawn = drawn.wrapping_sub(*weight);
                found
            });
            let kind = drawn.map_or(Kind::Go, |(kind, ..)| *kind);
            let longest = match kind {
                Kind::Go => 4_000,
                Kind::Tick => 9_000,
                _ => 64,
            };
            Op { kind, args: [random.next() % longest, random.next() % 64] }
        })
        .collect()
}

/// As it is printed.
pub fn text(script: &[Op]) -> String {
    script.iter().map(|op| format!("{op}\n")).collect()
}

/// The shortest script found that still ends badly.
pub fn shrunk(script: &[Op], is_bad: impl Fn(&[Op]) -> bool) -> Vec<Op> {
    let mut best = script.to_vec();
    let mut chunk = best.len().div_ceil(2).max(1);
    loop {
        let mut removed = false;
        let mut at = 0;
        while at < best.len() {
            let end = (at + chunk).min(best.len());
            let shorter: Vec<Op> = best[..at].iter().chain(&best[end..]).copied().collect();
            if is_bad(&shorter) {
                best = shorter;
                removed = true;
            } else {
                at = end;
            }
        }
        if chunk == 1 && !removed {
            return best;
        }
        chunk = if removed { chunk } else { chunk.div_ceil(2).max(1) };
        if chunk > best.len() {
            chunk = best.len().max(1);
        }
    }
}
