//! `moin explain`: what a code means, or what a policy of the library demands.

use std::fmt::Write as _;

use clap::Args;
use include_dir::{Dir, include_dir};

use super::{Outcome, output};
use crate::finding::{Code, any_of, nearest};

const EXAMPLES: &str = "\
Examples:
  moin explain MOIN-0702
  moin explain control-plane-replicas    a policy of the library: what, why, and what to do
  moin explain                           all codes and policies, a line each
  moin explain --all                     all pages, in Markdown";

/// The library of policies, a folder each.
static LIBRARY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// What the hundreds of a code stand for.
const STAGES: [(u16, &str); 9] = [
    (1, "Source"),
    (2, "YAML"),
    (3, "Configuration"),
    (4, "Rendering"),
    (5, "Policies"),
    (6, "Review"),
    (7, "Plan"),
    (8, "Apply and cluster"),
    (9, "Observation"),
];

/// Say what a finding means or a policy of the library demands, and what to do.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// A code such as MOIN-0702, or its number, or the name of a policy; without one, all are listed.
    #[arg(conflicts_with = "all", value_name = "CODE|POLICY")]
    subject: Option<String>,
    /// Print the pages of all codes, in Markdown.
    #[arg(long)]
    all: bool,
}

/// Run the command.
pub fn run(args: ExplainArgs) -> Outcome {
    let text = match args.subject {
        Some(subject) if readme(&subject).is_some() => readme(&subject).unwrap_or_default().to_owned(),
        Some(code) => {
            let code: Code = code.parse().map_err(|error| format!("{error}; {}", instead_of(&code)))?;
            let page = code.page();
            format!("{code}: {}\n\n{}\n\nWhat to do: {}\n", page.title, page.meaning, page.remedy)
        }
        None if args.all => pages(),
        None => list(),
    };
    output::result(&text)?;
    Ok(0)
}

/// The page of a policy of the library.
fn readme(policy: &str) -> Option<&'static str> {
    LIBRARY.get_file(format!("{policy}/README.md"))?.contents_utf8()
}

/// What to ask for in place of what there is not.
fn instead_of(subject: &str) -> String {
    let codes: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    let policies = LIBRARY.dirs().filter_map(|folder| folder.path().to_str());
    let known: Vec<&str> = codes.iter().map(String::as_str).chain(policies).collect();
    // A part of a name is as good as a misspelt one.
    let part = subject.to_lowercase();
    let is_part = |name: &&&str| part.len() > 2 && name.contains(&part);
    let mut near: Vec<&str> = known.iter().filter(is_part).take(5).copied().collect();
    if near.is_empty() {
        near.extend(nearest(subject, &known));
    }
    match near[..] {
        [] => "`moin explain` lists all".to_owned(),
        _ => format!("did you mean {}? `moin explain` lists all", any_of(&near)),
    }
}

/// Codes with their titles, and policies with theirs.
fn list() -> String {
    let codes = Code::ALL.iter().map(|code| format!("{code}  {}\n", code.page().title));
    let policies = LIBRARY.dirs().filter_map(|folder| {
        let name = folder.path().to_str()?;
        let policy = LIBRARY.get_file(folder.path().join("policy.yaml"))?.contents_utf8()?;
        let title =
            policy.lines().find_map(|line| line.trim().strip_prefix("policies.kyverno.io/title: "))?;
        Some(format!("{name}  {title}\n"))
    });
    codes.chain(std::iter::once("\nPolicies of the library:\n".to_owned())).chain(policies).collect()
}

/// All pages as one Markdown document.
fn pages() -> String {
    let mut out = "# Findings\n\nEverything that moin may tell, by its code. A code never changes its meaning. This page is what \
                   `moin explain --all` prints.\n"
        .to_owned();
    for (hundred, name) in STAGES {
        // Writing to a String cannot fail.
        let _ = write!(out, "\n## {name}\n");
        for code in Code::ALL.iter().filter(|code| code.number() / 100 == hundred) {
            let page = code.page();
            let (title, meaning, remedy) = (page.title, page.meaning, page.remedy);
            let _ = write!(out, "\n### {code}: {title}\n\n{meaning}\n\nWhat to do: {remedy}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page() {
        let pages = pages();
        assert!(Code::ALL.iter().all(|code| pages.contains(&format!("### {code}: "))));
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is_near() {
        assert!(instead_of("control-plane-replica").starts_with("did you mean control-plane-replicas?"));
        assert!(instead_of("quota").contains("quota-per-tenant"));
        assert!(instead_of("MOIN-0599").starts_with("did you mean MOIN-05"));
        assert_eq!(instead_of("nope"), "`moin explain` lists all");
    }
}
