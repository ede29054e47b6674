//! Validation against an OpenAPI schema, in the order and the words of the API server's validator.

use serde_json::{Map, Value};

use super::old::{correlated, key_type, same};
use super::result::{At, Outcome};
use super::scalar;
use crate::schema::{Bounds, MapType, Others, Type, TypeRef, Violation};

/// All that is wrong with a value.
pub(crate) fn validate(ty: &Type, value: &Value) -> Vec<Violation> {
    node(ty, value, &At::ROOT, None).wrong
}

/// All that is wrong with a value and was not there before: what did not change is let through.
pub(crate) fn validate_update(ty: &Type, value: &Value, old: &Value) -> Vec<Violation> {
    node(ty, value, &At::ROOT, Some(old)).wrong
}

/// What a type says about a value. `old` is the value that it was before, where that can be told.
fn node(ty: &Type, value: &Value, at: &At<'_>, old: Option<&Value>) -> Outcome {
    let found = check(ty, value, at, old);
    match old {
        Some(old) if !found.is_valid() && same(ty, value, old) => {
            Outcome { wrong: Vec::new(), matched: found.matched }
        }
        _ => found,
    }
}

fn check(ty: &Type, value: &Value, at: &At<'_>, old: Option<&Value>) -> Outcome {
    let mut found = Outcome::default();
    let rules = &ty.rules;
    let of_type = scalar::check_type(rules, value, at);
    if value.is_null() {
        found.merge(of_type.unwrap_or_default());
        found.merge(scalar::check_values(rules.values.as_deref().unwrap_or_default(), value, at));
        return found;
    }
    let mut add = |outcome: Outcome| {
        found.merge(outcome);
        found.matched += 1;
    };
    if let Some(of_type) = of_type {
        add(of_type);
    }
    let bounds = rules.bounds.as_deref();
    add(bounds.map_or_else(|| Outcome { matched: 1, ..Outcome::default() }, |b| branches(b, value, at)));
    if let Value::String(text) = value {
        add(bounds.map(|bounds| scalar::check_text(bounds, text, at)).unwrap_or_default());
        if let Some(name) = scalar::known_format(rules) {
            add(scalar::check_format(name, text, at));
        }
    }
    if let Value::Number(number) = value {
        let plain = Outcome { matched: 1, ..Outcome::default() };
        add(bounds.map_or(plain, |bounds| scalar::check_number(bounds, number, at)));
    }
    if let Value::Array(values) = value {
        add(items(ty, bounds, values, at, old));
    }
    add(scalar::check_values(rules.values.as_deref().unwrap_or_default(), value, at));
    if let Value::Object(map) = value {
        add(object(ty, bounds, map, at, old));
    }
    found.matched += 1;
    found
}

fn items(ty: &Type, bounds: Option<&Bounds>, items: &[Value], at: &At<'_>, old: Option<&Value>) -> Outcome {
    let mut found = Outcome::default();
    if let Some(item_type) = ty.list.as_ref().and_then(|list| list.items.as_ref()) {
        for (index, item) in items.iter().enumerate() {
            let before = old.and_then(|old| correlated(ty, item, old));
            found.merge(node(item_type.get(), item, &at.index(index), before));
        }
    }
    let count = items.len() as u64;
    if let Some(bounds) = bounds {
        if let Some(min) = bounds.min_items.filter(|min| count < *min) {
            found.invalid(at, &count.to_string(), &format!("should have at least {min} items"));
        }
        if let Some(max) = bounds.max_items.filter(|max| count > *max) {
            too_many(&mut found, at, count, max);
        }
        let repeated = || items.iter().enumerate().any(|(index, item)| items[..index].contains(item));
        if bounds.unique_items && repeated() {
            found.invalid(at, "\"\"", "shouldn't contain duplicates");
        }
    }
    found.matched += 1;
    found
}

fn too_many(found: &mut Outcome, at: &At<'_>, count: u64, max: u64) {
    let items = if max == 1 { "item" } else { "items" };
    found.add(at, "FieldValueTooMany", format!("Too many: {count}: must have at most {max} {items}"));
}

fn object(
    ty: &Type,
    bounds: Option<&Bounds>,
    object: &Map<String, Value>,
    at: &At<'_>,
    old: Option<&Value>,
) -> Outcome {
    let mut found = Outcome::default();
    let count = object.len() as u64;
    if let Some(bounds) = bounds {
        if let Some(min) = bounds.min_properties.filter(|min| count < *min) {
            found.invalid(at, &count.to_string(), &format!("should have at least {min} properties"));
        }
        if let Some(max) = bounds.max_properties.filter(|max| count > *max) {
            too_many(&mut found, at, count, max);
        }
    }
    let Some(map) = &ty.map else { return found };
    for (key, value) in object.iter().filter(|(key, _)| !map.fields.contains_key(key.as_str())) {
        if ty.rules.closed {
            let message = format!(
                "Invalid value: {}: {}.{key} in body is a forbidden property",
                crate::schema::show::quote(key),
                at.name()
            );
            found.add(at, "FieldValueInvalid", message);
        } else if let Others::Typed(value_type) = &map.others {
            found.merge(node(value_type.get(), value, &at.key(key), old_key(map, at, key, old)));
        }
    }
    for (name, field) in &map.fields {
        let Some(value) = object.get(&**name) else { continue };
        // Metadata is read by the server itself; a definition may only narrow it.
        let declared = ty.rules.narrowed.iter().find(|(key, _)| key == name).map(|(_, ty)| ty);
        let field_type = match declared {
            Some(declared) => declared,
            None if field.ty.is_builtin() => continue,
            None => &field.ty,
        };
        found.merge(node(field_type.get(), value, &at.key(name), old_key(map, at, name, old)));
    }
    for name in map.required.iter().filter(|name| !object.contains_key(&***name)) {
        found.add(&at.key(name), "FieldValueRequired", "Required value".to_owned());
    }
    found
}

/// The old value of a key. Of the root's `apiVersion` and `kind` nothing is known: both objects come in one version.
fn old_key<'a>(map: &MapType, at: &At<'_>, key: &str, old: Option<&'a Value>) -> Option<&'a Value> {
    if at.is_root() && matches!(key, "apiVersion" | "kind") {
        return None;
    }
    key_type(map, key)?;
    old?.get(key)
}

/// `anyOf`, `oneOf`, `allOf`, `not`. What did not change is not let through inside of them.
fn branches(bounds: &Bounds, value: &Value, at: &At<'_>) -> Outcome {
    let mut found = Outcome::default();
    let look = |ty: &TypeRef| node(ty.get(), value, at, None);
    if !bounds.any_of.is_empty() {
        match best(bounds.any_of.iter().map(look), 1) {
            (0, told) => {
                found.composite(at, "must validate at least one schema (anyOf)");
                found.merge(told);
            }
            (_, told) => found.merge(told),
        }
    }
    if !bounds.one_of.is_empty() {
        match best(bounds.one_of.iter().map(look), usize::MAX) {
            (1, told) => found.merge(told),
            (0, told) => {
                found.composite(at, "must validate one and only one schema (oneOf). Found none valid");
                found.merge(told);
            }
            (valid, _) => {
                let words = "must validate one and only one schema (oneOf). Found";
                found.composite(at, &format!("{words} {valid} valid alternatives"));
            }
        }
    }
    if !bounds.all_of.is_empty() {
        let mut valid = 0;
        for ty in &bounds.all_of {
            let outcome = look(ty);
            valid += usize::from(outcome.is_valid());
            found.merge(outcome);
        }
        if valid < bounds.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            found.composite(at, &format!("must validate all the schemas (allOf){none}"));
        }
    }
    if bounds.not.as_ref().is_some_and(|ty| look(ty).is_valid()) {
        found.composite(at, "must not validate the schema (not)");
    }
    found.matched += 1;
    found
}

/// How many of the alternatives hold (looking no further than `enough`), and what to tell: the first that holds, or
/// what is wrong with the one that fits best.
fn best(outcomes: impl Iterator<Item = Outcome>, enough: usize) -> (usize, Outcome) {
    let (mut valid, mut first, mut closest) = (0, None, None::<Outcome>);
    for outcome in outcomes {
        if outcome.is_valid() {
            valid += 1;
            first.get_or_insert(outcome);
            if valid == enough {
                break;
            }
        } else if closest.as_ref().is_none_or(|closest| outcome.matched > closest.matched) {
            closest = Some(outcome);
        }
    }
    (valid, first.or(closest).unwrap_or_default())
}
