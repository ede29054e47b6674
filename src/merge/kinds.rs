//! The kind of node that a value is at a type: what every walk over typed values asks first.

use serde_json::{Map, Value};

use super::path::PathElement;
use crate::schema::{ListKind, ListType, MapType, Others, Scalar, Type, TypeRef};

/// A type in a walk. What has no type of its own follows from the value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ty<'a> {
    /// A type of the schema.
    Known(&'a Type),
    /// Whatever the value is: mappings are merged by key, lists are atomic.
    Deduced,
    /// Whatever the value is, all of it one value.
    DeducedAtomic,
}

/// What a walk does at a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    /// A mapping.
    Map(MapShape<'a>),
    /// A list.
    List(ListShape<'a>),
    /// A scalar.
    Scalar(Scalar),
}

/// A mapping in a walk.
#[derive(Clone, Copy, Debug)]
pub(super) enum MapShape<'a> {
    Known(&'a MapType),
    Deduced,
    DeducedAtomic,
}

/// A list in a walk.
#[derive(Clone, Copy, Debug)]
pub(super) enum ListShape<'a> {
    Known(&'a ListType),
    DeducedAtomic,
}

impl<'a> Ty<'a> {
    /// A type, or the deduced one.
    pub fn of(ty: Option<&'a TypeRef>) -> Ty<'a> {
        ty.map_or(Ty::Deduced, |ty| Ty::Known(ty.get()))
    }

    /// The shape that fits a value; with no value, or one that fits none, the first that the type has.
    pub fn shape(self, value: Option<&Value>) -> Shape<'a> {
        let (scalar, list, map) = match self {
            Ty::Known(ty) => (
                ty.scalar.map(Shape::Scalar),
                ty.list.as_ref().map(|l| Shape::List(ListShape::Known(l))),
                ty.map.as_ref().map(|m| Shape::Map(MapShape::Known(m))),
            ),
            Ty::Deduced | Ty::DeducedAtomic => (
                Some(Shape::Scalar(Scalar::Untyped)),
                Some(Shape::List(ListShape::DeducedAtomic)),
                Some(Shape::Map(match self {
                    Ty::DeducedAtomic => MapShape::DeducedAtomic,
                    _ => MapShape::Deduced,
                })),
            ),
        };
        let fits = match value {
            Some(Value::Object(_)) => map,
            Some(Value::Array(_)) => list,
            Some(Value::Null) | None => None,
            Some(_) => scalar,
        };
        fits.or(map).or(scalar).or(list).unwrap_or(Shape::Scalar(Scalar::Untyped))
    }
}

impl<'a> MapShape<'a> {
    pub fn atomic(self) -> bool {
        match self {
            MapShape::Known(map) => map.atomic,
            MapShape::Deduced => false,
            MapShape::DeducedAtomic => true,
        }
    }

    /// Type of the value under a key.
    pub fn value(self, key: &str) -> Ty<'a> {
        match self {
            MapShape::Known(map) => match map.value_type(key) {
                Some(ty) => Ty::Known(ty.get()),
                None => Ty::Deduced,
            },
            MapShape::Deduced => Ty::Deduced,
            MapShape::DeducedAtomic => Ty::DeducedAtomic,
        }
    }

    /// Whether a key is a named field.
    pub fn names(self, key: &str) -> bool {
        matches!(self, MapShape::Known(map) if map.fields.contains_key(key))
    }

    /// Whether a key may be there.
    pub fn allows(self, key: &str) -> bool {
        match self {
            MapShape::Known(map) => map.fields.contains_key(key) || !matches!(map.others, Others::None),
            _ => true,
        }
    }
}

impl<'a> ListShape<'a> {
    pub fn atomic(self) -> bool {
        match self {
            ListShape::Known(list) => list.kind == ListKind::Atomic,
            ListShape::DeducedAtomic => true,
        }
    }

    /// Type of the items.
    pub fn items(self) -> Ty<'a> {
        match self {
            ListShape::Known(list) => Ty::of(list.items.as_ref()),
            ListShape::DeducedAtomic => Ty::DeducedAtomic,
        }
    }

    /// What tells an item from the others of a list that is not atomic.
    pub fn element(self, item: &Value) -> Result<PathElement, String> {
        match self {
            ListShape::Known(ListType { kind: ListKind::Set, .. }) => set_element(item),
            ListShape::Known(ListType { kind: ListKind::Map(keys), items, .. }) => {
                let defaults = items.as_ref().and_then(|ty| ty.get().map.as_ref());
                keyed_element(keys, defaults, item)
            }
            _ => Err("invalid indexing of non-associative list".to_owned()),
        }
    }
}

fn set_element(item: &Value) -> Result<PathElement, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(PathElement::Value(scalar.clone())),
    }
}

fn keyed_element(
    keys: &[std::sync::Arc<str>],
    items: Option<&MapType>,
    item: &Value,
) -> Result<PathElement, String> {
    let map: &Map<String, Value> = match item {
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        Value::Object(map) => map,
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let default = |key: &str| items?.fields.get(key)?.default.as_ref();
    let mut found: Vec<(String, Value)> = keys
        .iter()
        .filter_map(|key| Some((key.to_string(), map.get(&**key).or_else(|| default(key))?.clone())))
        .collect();
    if found.is_empty() {
        return Err(format!(
            "associative list with keys has an element that omits all key fields {} (and doesn't have default values for any key fields)",
            quoted_list(keys)
        ));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(PathElement::Key(found))
}

/// `["a" "b"]`, as Go prints a list of texts.
fn quoted_list(texts: &[std::sync::Arc<str>]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}
