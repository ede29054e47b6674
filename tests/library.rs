//! Every policy of the library is whole: its parts are there, its cases hold, and it is its rule that decides them.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use moin::finding::Severity;
use moin::suite::{self, Moment};
use support::moin::Moin;

const MOMENT: Moment = Moment { now: 1_767_225_600_000_000_000, seed: 1 };

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_policy_has_all_parts() {
    let index = fs::read_to_string(root().join("README.md")).unwrap();
    for folder in folders() {
        let name = name(&folder);
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.starts_with(&format!("# {name}\n\n## What\n")), "{name}");
        for part in ["\n## Why\n", "\n## Remedy\n"] {
            assert!(readme.contains(part), "{name} says nothing of {}", part.trim());
        }
        let policy = fs::read_to_string(folder.join("policy.yaml")).unwrap();
        for part in ["title", "category", "severity", "description"] {
            assert!(policy.contains(&format!("policies.kyverno.io/{part}: ")), "{name}: {part}");
        }
        assert!(policy.contains(&format!("\n  name: {name}\n")), "{name} is named otherwise");
        assert!(index.contains(&format!("| [{name}]({name}) | ")), "{name} is not in policies/README.md");
    }
}

/// What passes is judged, and not merely passed over; what is refused is refused by a rule that failed. Files of one
/// kind of case each, so that a policy that admits or refuses everything is found.
#[test]
fn every_policy_decides_its_cases() {
    for folder in folders() {
        let (name, report) = (name(&folder), suite::run(&folder, MOMENT));
        assert!(report.is_well(), "{name}: {:#?} {:#?}", report.problems, report.results);
        let errors = report.problems.iter().filter(|finding| finding.severity == Severity::Error);
        assert_eq!(errors.count(), 0, "{name}");
        let with = |word: &str| report.results.iter().filter(move |result| result.expected == word).count();
        assert!(with("admit") > 0 && with("reject") > 0, "{name} needs cases of both kinds");
        let verdicts: BTreeSet<&str> = report.rows.iter().map(|row| row.result).collect();
        assert!(verdicts.contains("pass"), "{name}: no case passes by its rule");
        assert!(verdicts.contains("fail"), "{name}: no case fails by its rule");
        let own = report.rows.iter().all(|row| row.policy == name);
        assert!(own, "{name}: {:#?}", report.rows);
    }
}

#[test]
fn explain_prints_the_page_of_a_policy() {
    for folder in folders() {
        let name = name(&folder);
        let explained = Moin::new().run(&["explain", &name]);
        assert_eq!(explained.stdout, fs::read_to_string(folder.join("README.md")).unwrap(), "{name}");
    }
    let all = Moin::new().run(&["explain"]).stdout;
    assert!(all.contains("supported-kubernetes-version  "), "{all}");
}
