//! What may stand in a case folder. Anything else would look like a case and be none.

use std::path::Path;

use super::super::inputs::shown;
use super::{EXPECTED, FOLDERS, NAMESPACE, OBJECT, OLD, TRIGGER, VALUES, sorted};
use crate::finding::{Code, Finding, Location, any_of, nearest};

/// Says what in a case folder is not read.
pub(super) fn check(folder: &Path, problems: &mut Vec<Finding>) {
    for path in sorted(folder).into_iter().filter(|path| path.is_dir() && !is_aside(path)) {
        let name = name_of(&path);
        // Suites of their own may lie below.
        if !FOLDERS.contains(&&*name) && super::super::find(&path).is_ok_and(|suites| suites.is_empty()) {
            problems.push(stray(&path, "the folder holds no cases", &FOLDERS));
        }
    }
    for path in ["admit", "reject"].iter().flat_map(|name| sorted(&folder.join(name))) {
        if path.is_dir() {
            only(&path, &[OBJECT, OLD, NAMESPACE, VALUES], problems);
        } else if !is_aside(&path) && !is_yaml(&path) {
            problems.push(stray(&path, "the file is no case: cases are *.yaml", &[]));
        }
    }
    for path in sorted(&folder.join("generate")) {
        if path.is_dir() {
            only(&path, &[TRIGGER, EXPECTED], problems);
        } else if !is_aside(&path) {
            let message = "the file is no case: each is a folder with trigger.yaml and expected.yaml";
            problems.push(stray(&path, message, &[]));
        }
    }
}

/// The folder of a case holds these files.
fn only(folder: &Path, known: &[&str], problems: &mut Vec<Finding>) {
    for path in sorted(folder).into_iter().filter(|path| !is_aside(path)) {
        if !known.contains(&&*name_of(&path)) {
            problems.push(stray(&path, "nothing of this name belongs to a case", known));
        }
    }
}

fn stray(path: &Path, message: &str, known: &[&str]) -> Finding {
    let name = name_of(path);
    let finding = Finding::error(Code::SuiteBroken, message).at(Location::line(&shown(path), 1));
    match (nearest(&name, known), known.is_empty()) {
        (Some(near), _) => finding.help(format!("did you mean {near}?")),
        (None, false) => finding.help(format!("there are {}", any_of(known).replace(" or ", " and "))),
        (None, true) => finding.help("rename it, or take it away"),
    }
}

/// What is for people, or hidden.
fn is_aside(path: &Path) -> bool {
    let name = name_of(path);
    name.starts_with('.') || name.ends_with(".md")
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml")
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
