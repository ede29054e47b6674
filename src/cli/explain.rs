//! `moin explain`: what a code means.

use clap::Args;

use super::{Outcome, output};
use crate::finding::Code;

/// Say what a finding means and what to do.
///
/// Example: moin explain MOIN-0702
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as MOIN-0702; without one, all codes are listed.
    code: Option<String>,
}

/// Run the command.
pub fn run(args: ExplainArgs) -> Outcome {
    let text = match args.code {
        Some(code) => {
            let code: Code = code.parse()?;
            let page = code.page();
            format!("{code}: {}\n\n{}\n\nWhat to do: {}\n", page.title, page.meaning, page.remedy)
        }
        None => Code::ALL.iter().map(|code| format!("{code}  {}\n", code.page().title)).collect(),
    };
    output::result(&text)?;
    Ok(0)
}
