//! The tables that documents are made of: schemas of built-in types, their descriptions, parameters of requests.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::model::Gvk;
use crate::schema::{Schemas, builtin_schema, builtin_type_name};

const DESCRIPTIONS: &str = include_str!("table/descriptions.txt");
const TYPES: &str = include_str!("table/types.jsonl");
const PARAMETERS: &str = include_str!("table/parameters.json");

/// The schema of a type as it is in the tables, with short names and without descriptions.
pub(super) fn schema(name: &str) -> Option<Value> {
    static ROWS: OnceLock<HashMap<&'static str, &'static str>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| TYPES.lines().filter_map(|line| line.split_once('\t')).collect());
    let text = builtin_schema(name).or_else(|| rows.get(name).copied())?;
    serde_json::from_str(text).ok()
}

/// The built-in kind whose type it is.
pub(super) fn kind_of(name: &str) -> Option<&'static Gvk> {
    static KINDS: OnceLock<HashMap<&'static str, Gvk>> = OnceLock::new();
    let kinds = KINDS.get_or_init(|| {
        let schemas = Schemas::builtin();
        let named =
            schemas.kinds().filter_map(|kind| Some((builtin_type_name(&kind.gvk)?, kind.gvk.clone())));
        named.collect()
    });
    kinds.get(name)
}

/// What is said about a type and, by name, about its fields: a text, or the value of an extension (`x-...`).
pub(super) fn descriptions(name: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let rows = rows().get(name).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|(field, text)| Some((*field, serde_json::from_str(resolve(text)?).ok()?)))
}

type Rows = HashMap<&'static str, Vec<(&'static str, &'static str)>>;

fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut rows = Rows::new();
        for line in DESCRIPTIONS.lines() {
            if let Some((name, rest)) = line.split_once('\t')
                && let Some(row) = rest.split_once('\t')
            {
                rows.entry(name).or_default().push(row);
            }
        }
        rows
    })
}

/// `=TYPE FIELD` stands for what is said there.
fn resolve(text: &'static str) -> Option<&'static str> {
    let Some(elsewhere) = text.strip_prefix('=') else { return Some(text) };
    let (name, field) = elsewhere.split_once(' ')?;
    rows().get(name)?.iter().find(|(known, _)| *known == field).map(|(_, text)| *text)
}

/// What is said about a field of a type.
pub(super) fn description(name: &str, field: &str) -> Value {
    descriptions(name).find(|(known, _)| *known == field).map(|(_, text)| text).unwrap_or_default()
}

/// A parameter of requests; `fieldManager:patch` for the one of patches.
pub(super) fn parameter(name: &str) -> Option<&'static Value> {
    static PARSED: OnceLock<Map<String, Value>> = OnceLock::new();
    PARSED.get_or_init(|| serde_json::from_str(PARAMETERS).unwrap_or_default()).get(name)
}
