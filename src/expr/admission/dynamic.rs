//! `Object{...}` and `JSONPatch{...}`: the types of which mutations make values.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::expr::cel::{Env, Fields, ObjectType, Type, Value};

/// `Object`, or `Object.spec.template`, before a brace or anywhere else.
static NAMES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bObject(?:\s*\.\s*[A-Za-z_][A-Za-z0-9_]*)*").ok());

/// Every type that a text can name. What an object may hold nobody knows before it is merged, so each has any field.
pub(crate) fn with_types(env: &Env, text: &str) -> Env {
    let mut names = BTreeSet::from(["Object".to_owned()]);
    for found in NAMES.iter().flat_map(|names| names.find_iter(text)) {
        names.insert(found.as_str().split_whitespace().collect());
    }
    let mut env = env.clone();
    for name in names {
        env = env.with_type(ObjectType::new(name, Fields::Computed(Box::new(|_| Some(Type::Dyn)))));
    }
    let patch = |field: &str| {
        Some(match field {
            "op" | "path" | "from" => Type::String,
            "value" => Type::Dyn,
            // A field that is not there has a type that nothing is of.
            _ => Type::Opaque("".into(), [].into()),
        })
    };
    let patch = ObjectType::new("JSONPatch", Fields::Computed(Box::new(patch)));
    env.with_json_patch().with_type(patch)
}

/// Whether the types of nested objects say where they stand: `Object{spec: Object.spec{}}`.
pub(crate) fn check_names(value: &Value<'_>, at: &str) -> Result<(), String> {
    match value {
        Value::Struct(object) => {
            if &*object.name != at {
                return Err(format!(
                    "unexpected type name {:?}, expected {at:?}, which matches field name path from root Object type",
                    object.name
                ));
            }
            let mut fields = object.fields.iter();
            fields.try_for_each(|(name, value)| check_names(value, &format!("{at}.{name}")))
        }
        Value::List(list) => list.items.iter().try_for_each(|item| check_names(item, at)),
        Value::Map(map) => map.values().try_for_each(|value| check_names(value, at)),
        Value::Optional(Some(value)) => check_names(value, at),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_made_of_whatever_is_named() {
        let env = with_types(&Env::kubernetes(), "Object.spec");
        let text = "Object{spec: Object.spec{replicas: 1}}";
        let program = with_types(&env, text).compile(text).unwrap();
        assert_eq!(program.output().to_string(), "Object");
        let mut budget = crate::expr::cel::Budget::kubernetes();
        let bindings = crate::expr::cel::Bindings::new();
        let made = program.run(&bindings, &mut budget).unwrap();
        assert_eq!(made.to_json(), serde_json::json!({"spec": {"replicas": 1}}));
        assert!(check_names(&made, "Object").is_ok());
        assert!(check_names(&made, "Other").is_err());
    }
}
