//! What a definition's author is warned of: formats that nobody checks.

use serde_json::Value;

use super::internal::Spec;
use crate::schema;

/// Warnings about formats that no version before had.
pub(crate) fn warnings(definition: &Value, before: Option<&Value>) -> Vec<String> {
    let known: Vec<String> = before.map(unknown_formats).unwrap_or_default();
    let new = unknown_formats(definition).into_iter().filter(|format| !known.contains(format));
    new.map(|format| format!("unrecognized format {}", schema::show::quote(&format))).collect()
}

fn unknown_formats(definition: &Value) -> Vec<String> {
    let found = core::cell::RefCell::new(Vec::new());
    for root in Spec::of(definition).schemas() {
        root.has(&|node| {
            let format = node.text("format");
            if node.kind() == "string" && !format.is_empty() && !schema::is_known_format(format) {
                found.borrow_mut().push(format.to_owned());
            }
            false
        });
    }
    found.into_inner()
}
