//! Reading YAML as the API server does, with the place of every node; writing it as `kubectl -o yaml` does.
//!
//! The API server reads YAML 1.1: `yes` is true, `014` is 12, keys that are no text become text, `<<` merges. The
//! reader here follows its rules to the letter, mistakes included, because a reader that is nicer would show a
//! plan that the server does not carry out. [`read`] takes a file with many documents and gives each its own
//! result; [`parse`] takes one document. No library is behind it: `serde_yaml` is no longer maintained, and it,
//! `yaml-rust2` and the parsers after it read YAML 1.2, where the same text can mean something else or nothing.
//! Input from others is bounded in size, nesting and growth by aliases.

mod compose;
mod decode;
mod error;
mod places;
mod read;
mod resolve;
mod scan_scalar;
mod scan_tag;
mod scanner;
mod write;

pub use error::{ErrorKind, YamlError};
pub use places::{Places, locate};
pub use read::{Document, read};
pub use write::write;

use serde_json::Value;

/// The first document of a text; null if there is none. `strict` refuses a key that stands twice in one mapping.
///
/// # Errors
/// [`YamlError`] where the API server's reader refuses the document, or a limit is exceeded.
pub fn parse(text: &str, strict: bool) -> Result<Value, YamlError> {
    match compose::Tree::of(text)? {
        Some(tree) => decode::decode(&tree, strict),
        None => Ok(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What the API server's own loader makes of many texts.
    #[test]
    fn every_recorded_case_is_read_as_the_api_server_reads_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/yaml-cases.jsonl");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skipped: ../shared/yaml-cases.jsonl is not here");
            return;
        };
        let mut wrong = Vec::new();
        for line in text.lines() {
            // One case nests deeper than the JSON reader goes; it is YAML, too.
            let case: Value = serde_json::from_str(line).or_else(|_| parse(line, true)).unwrap();
            let input = case["input"].as_str().unwrap();
            for (strict, refused) in [(false, &case["error"]), (true, &case["strictError"])] {
                let expected = (*refused != Value::Bool(true)).then(|| case["json"].clone());
                let got = parse(input, strict);
                if got.as_ref().ok() != expected.as_ref() {
                    wrong.push(format!(
                        "{} strict={strict} {input:?}\n  {expected:?}\n  {got:?}",
                        case["case"]
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}
