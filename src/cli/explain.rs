//! `moin explain`: what a code means.

use std::fmt::Write as _;

use clap::Args;

use super::{Outcome, output};
use crate::finding::Code;

const EXAMPLES: &str = "\
Examples:
  moin explain MOIN-0702
  moin explain                           all codes, a line each
  moin explain --all                     all pages, in Markdown";

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

/// Say what a finding means and what to do.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// A code such as MOIN-0702, or its number; without one, all codes are listed.
    #[arg(conflicts_with = "all")]
    code: Option<String>,
    /// Print the pages of all codes, in Markdown.
    #[arg(long)]
    all: bool,
}

/// Run the command.
pub fn run(args: ExplainArgs) -> Outcome {
    let text = match args.code {
        Some(code) => {
            let code: Code = code.parse().map_err(|error| format!("{error}; `moin explain` lists all"))?;
            let page = code.page();
            format!("{code}: {}\n\n{}\n\nWhat to do: {}\n", page.title, page.meaning, page.remedy)
        }
        None if args.all => pages(),
        None => Code::ALL.iter().map(|code| format!("{code}  {}\n", code.page().title)).collect(),
    };
    output::result(&text)?;
    Ok(0)
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
}
