//! The tables of built-in kinds, made by `examples/schema_table.rs`. A line is parsed when somebody asks for it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::kinds::KindInfo;
use super::openapi::{self, Names};
use super::types::{Type, TypeRef};
use crate::model::{GroupKind, Gvk};

struct Row {
    name: &'static str,
    schema: &'static str,
    parsed: OnceLock<Type>,
}

struct Types {
    rows: Vec<Row>,
    by_name: HashMap<&'static str, usize>,
}

/// A built-in kind and the row of its type.
pub(super) struct Builtin {
    pub info: Arc<KindInfo>,
    pub ty: Option<TypeRef>,
}

fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| {
        let rows: Vec<Row> = include_str!("table/types.jsonl")
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, schema)| Row { name, schema, parsed: OnceLock::new() })
            .collect();
        let by_name = rows.iter().enumerate().map(|(i, row)| (row.name, i)).collect();
        Types { rows, by_name }
    })
}

/// The type in a row.
pub(super) fn type_at(index: usize) -> &'static Type {
    let row = &types().rows[index];
    row.parsed.get_or_init(|| {
        let schema: Value = serde_json::from_str(row.schema).unwrap_or_default();
        openapi::type_of(&schema, Names::Builtin)
    })
}

/// The schema of a built-in type by its short name, such as `core.v1.Pod`: OpenAPI with short names in references.
pub fn builtin_schema(name: &str) -> Option<&'static str> {
    types().by_name.get(name).map(|&index| types().rows[index].schema)
}

/// The short name of the type of a built-in kind.
pub fn builtin_type_name(gvk: &Gvk) -> Option<&'static str> {
    kinds().get(gvk)?.ty.as_ref()?.builtin_index().map(name_at)
}

/// The name of the type in a row.
pub(super) fn name_at(index: usize) -> &'static str {
    types().rows[index].name
}

/// How the Go struct of a built-in type writes itself: which fields are left out when they are zero (scalars that
/// are no pointers), and which are never left out but written as `null`.
pub(super) struct Written {
    pub zero_is_absent: Vec<&'static str>,
    pub absent_is_null: Vec<&'static str>,
}

/// How a built-in type is written; `None` for one that has neither kind of field.
pub(super) fn written(name: &str) -> Option<&'static Written> {
    static WRITTEN: OnceLock<HashMap<&'static str, Written>> = OnceLock::new();
    let all = WRITTEN.get_or_init(|| {
        let row = |line: &'static str| {
            let mut columns = line.split('\t');
            let name = columns.next()?;
            let mut list = || columns.next().unwrap_or_default().split_whitespace().collect();
            Some((name, Written { zero_is_absent: list(), absent_is_null: list() }))
        };
        include_str!("table/go.tsv").lines().filter_map(row).collect()
    });
    all.get(name)
}

/// A built-in type by its short name, such as `meta.v1.ObjectMeta`.
pub(super) fn named(name: &str) -> Option<TypeRef> {
    types().by_name.get(name).map(|&index| TypeRef::builtin(index))
}

/// All built-in kinds.
pub(super) fn kinds() -> &'static HashMap<Gvk, Builtin> {
    static KINDS: OnceLock<HashMap<Gvk, Builtin>> = OnceLock::new();
    KINDS.get_or_init(|| {
        include_str!("table/kinds.jsonl")
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|row| {
                let info = KindInfo::of_row(&row);
                let ty = row["type"].as_str().and_then(named);
                (info.gvk.clone(), Builtin { info: Arc::new(info), ty })
            })
            .collect()
    })
}

/// Whether objects of built-in kinds live in namespaces.
pub(super) fn scopes() -> &'static HashMap<GroupKind, bool> {
    static SCOPES: OnceLock<HashMap<GroupKind, bool>> = OnceLock::new();
    SCOPES.get_or_init(|| {
        kinds().values().map(|kind| (kind.info.gvk.group_kind(), kind.info.namespaced)).collect()
    })
}
