//! Validation of a value against its type, in the API server's words.

use std::collections::BTreeSet;

use serde_json::Value;

use super::at::At;
use super::format;
use super::types::{Bounds, ListKind, ListType, MapType, Others, Type, TypeRef};
use crate::model::FieldPath;

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field.
    pub path: FieldPath,
    /// The API server's reason, such as `FieldValueRequired`.
    pub reason: &'static str,
    /// The API server's words, without the path before them: `Required value`.
    pub message: String,
}

/// All that is wrong with a value. `nulls`: a `null` is as good as nothing, as in a built-in kind.
pub(super) fn validate(ty: &TypeRef, value: &Value, nulls: bool) -> Vec<Violation> {
    let mut walk = Walk { wrong: Vec::new(), nulls };
    walk.node(ty.get(), value, &At::WHOLE);
    walk.wrong
}

struct Walk {
    wrong: Vec<Violation>,
    nulls: bool,
}

/// The type of a value in OpenAPI's words.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() && n.as_f64().is_none_or(|n| n.fract() != 0.0) => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Walk {
    fn add(&mut self, path: &At<'_>, reason: &'static str, message: String) {
        self.wrong.push(Violation { path: path.path(), reason, message });
    }

    /// A value that is not what `body` says it should be.
    fn invalid(&mut self, path: &At<'_>, value: &Value, body: &str) {
        self.add(path, "FieldValueInvalid", format!("Invalid value: {value}: {path} in body {body}"));
    }

    fn wrong_type(&mut self, path: &At<'_>, value: &Value, expected: &str) {
        let is = type_name(value);
        self.add(
            path,
            "FieldValueTypeInvalid",
            format!("Invalid value: \"{is}\": {path} in body must be of type {expected}: \"{is}\""),
        );
    }

    fn node(&mut self, ty: &Type, value: &Value, path: &At<'_>) {
        let rules = &ty.rules;
        if value.is_null() && (self.nulls || rules.nullable) {
            return;
        }
        if rules.int_or_string {
            if !matches!(type_name(value), "integer" | "string") {
                return self.wrong_type(path, value, "integer,string");
            }
        } else if let Some(expected) = &rules.json_type {
            let is = type_name(value);
            if !(is == &**expected || (&**expected == "number" && is == "integer")) {
                return self.wrong_type(path, value, expected);
            }
        }
        if let (Some(name), Value::String(text)) = (&rules.format, value)
            && !format::is(name, text)
        {
            // What is encoded may be secret.
            let shown = if &**name == "byte" { &Value::String("...".to_owned()) } else { value };
            let message = format!("Invalid value: {shown}: {path} in body must be of type {name}: {shown}");
            self.add(path, "FieldValueTypeInvalid", message);
        }
        if let Some(values) = &rules.values
            && !values.contains(value)
        {
            self.not_supported(path, value, values);
        }
        if let Some(bounds) = &rules.bounds {
            self.bounds(bounds, value, path);
        }
        match (value, &ty.map, &ty.list) {
            (Value::Object(_), Some(map), _) => self.map(map, value, path),
            (Value::Array(items), _, Some(list)) => self.list(list, items, path),
            _ => {}
        }
    }

    fn not_supported(&mut self, path: &At<'_>, value: &Value, values: &[Value]) {
        let allowed: Vec<String> = values
            .iter()
            .map(|v| match v {
                Value::String(text) => format!("{text:?}"),
                other => format!("{:?}", other.to_string()),
            })
            .collect();
        let message = format!("Unsupported value: {value}: supported values: {}", allowed.join(", "));
        self.add(path, "FieldValueNotSupported", message);
    }

    fn map(&mut self, map: &MapType, object: &Value, path: &At<'_>) {
        for (key, value) in object.as_object().into_iter().flatten() {
            match (map.fields.get(key.as_str()), &map.others) {
                (Some(field), _) => {
                    let nulls = self.nulls;
                    self.nulls |= field.ty.is_builtin();
                    self.node(field.ty.get(), value, &path.key(key));
                    self.nulls = nulls;
                }
                (None, Others::Typed(ty)) => self.node(ty.get(), value, &path.key(key)),
                _ => {}
            }
        }
        for name in &map.required {
            let has = match object.get(&**name) {
                None => false,
                Some(value) => !(self.nulls && value.is_null()),
            };
            // A field that is never left out has its zero value.
            let zero = self.nulls && map.fields.get(name).is_some_and(|f| f.default == Some(Value::from(0)));
            if !has && !zero {
                self.add(&path.key(name), "FieldValueRequired", "Required value".to_owned());
            }
        }
    }

    fn list(&mut self, list: &ListType, items: &[Value], path: &At<'_>) {
        if let Some(ty) = &list.items {
            for (index, item) in items.iter().enumerate() {
                self.node(ty.get(), item, &path.index(index));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let key = match &list.kind {
                ListKind::Atomic => return,
                ListKind::Set => item.clone(),
                ListKind::Map(keys) => {
                    keys.iter().filter_map(|k| Some((k.to_string(), item.get(&**k)?.clone()))).collect()
                }
            };
            if !seen.insert(key.to_string()) {
                let message = format!("Duplicate value: {key}");
                self.add(&path.index(index), "FieldValueDuplicate", message);
            }
        }
    }

    fn bounds(&mut self, bounds: &Bounds, value: &Value, path: &At<'_>) {
        match value {
            Value::Number(_) => self.number(bounds, value, path),
            Value::String(text) => self.text(bounds, text, value, path),
            Value::Array(items) => self.items(bounds, items, value, path),
            Value::Object(map) => {
                let count = map.len() as u64;
                if bounds.min_properties.is_some_and(|min| count < min) {
                    let min = bounds.min_properties.unwrap_or_default();
                    self.invalid(path, value, &format!("should have at least {min} properties"));
                }
                if let Some(max) = bounds.max_properties.filter(|max| count > *max) {
                    self.too_many(path, count, max);
                }
            }
            _ => {}
        }
        self.branches(bounds, value, path);
    }

    fn number(&mut self, bounds: &Bounds, value: &Value, path: &At<'_>) {
        let number = value.as_f64().unwrap_or_default();
        if let Some((max, exclusive)) = bounds.maximum
            && (number > max || (exclusive && number >= max))
        {
            let or = if exclusive { "" } else { " or equal to" };
            self.invalid(path, value, &format!("should be less than{or} {max}"));
        }
        if let Some((min, exclusive)) = bounds.minimum
            && (number < min || (exclusive && number <= min))
        {
            let or = if exclusive { "" } else { " or equal to" };
            self.invalid(path, value, &format!("should be greater than{or} {min}"));
        }
        if let Some(factor) = bounds.multiple_of.filter(|f| (number / f).fract() != 0.0) {
            self.invalid(path, value, &format!("should be a multiple of {factor}"));
        }
    }

    fn text(&mut self, bounds: &Bounds, text: &str, value: &Value, path: &At<'_>) {
        let count = text.chars().count() as u64;
        if let Some(max) = bounds.max_length.filter(|max| count > *max) {
            self.add(path, "FieldValueTooLong", format!("Too long: may not be more than {max} bytes"));
        }
        if let Some(min) = bounds.min_length.filter(|min| count < *min) {
            self.invalid(path, value, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = bounds.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            self.invalid(path, value, &format!("should match '{}'", pattern.as_str()));
        }
    }

    fn items(&mut self, bounds: &Bounds, items: &[Value], value: &Value, path: &At<'_>) {
        let count = items.len() as u64;
        if let Some(min) = bounds.min_items.filter(|min| count < *min) {
            self.invalid(path, value, &format!("should have at least {min} items"));
        }
        if let Some(max) = bounds.max_items.filter(|max| count > *max) {
            self.too_many(path, count, max);
        }
        let mut seen = BTreeSet::new();
        if bounds.unique_items && !items.iter().all(|item| seen.insert(item.to_string())) {
            self.invalid(path, value, "shouldn't contain duplicates");
        }
    }

    fn too_many(&mut self, path: &At<'_>, count: u64, max: u64) {
        let items = if max == 1 { "item" } else { "items" };
        let message = format!("Too many: {count}: must have at most {max} {items}");
        self.add(path, "FieldValueTooMany", message);
    }

    fn branches(&mut self, bounds: &Bounds, value: &Value, path: &At<'_>) {
        let nulls = self.nulls;
        let wrong = |ty: &TypeRef| {
            let mut walk = Walk { wrong: Vec::new(), nulls };
            walk.node(ty.get(), value, path);
            walk.wrong
        };
        let holds = |ty: &&TypeRef| wrong(ty).is_empty();
        let mut found = Vec::new();
        for ty in &bounds.all_of {
            found.extend(wrong(ty));
        }
        let any = bounds.any_of.is_empty() || bounds.any_of.iter().any(|ty| holds(&ty));
        let one = bounds.one_of.iter().filter(holds).count();
        let not = bounds.not.as_ref().is_some_and(|ty| holds(&ty));
        self.wrong.extend(found);
        if !any {
            self.invalid(path, value, "must validate at least one schema (anyOf)");
        }
        if !bounds.one_of.is_empty() && one != 1 {
            let found = if one == 0 { ". Found none valid" } else { "" };
            self.invalid(path, value, &format!("must validate one and only one schema (oneOf){found}"));
        }
        if not {
            self.invalid(path, value, "must not validate the schema (not)");
        }
    }
}
