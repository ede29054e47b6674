//! Custom resources against the schema of their CustomResourceDefinition, with the API server's rules and words.

mod lists;
mod old;
mod prune;
mod result;
mod scalar;
mod validate;

use serde_json::Value;

use super::openapi::{self, Names};
use super::types::TypeRef;
use super::validate::Violation;
use crate::model::FieldPath;

impl TypeRef {
    /// The type of a schema of a definition, or of a part of one.
    pub fn of_custom(schema: &Value) -> TypeRef {
        TypeRef::new(openapi::type_of(schema, Names::Custom))
    }

    /// What is wrong with a value of a custom type.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        validate::validate(self.get(), value)
    }

    /// What is wrong with a value of a custom type that was another before: what did not change is let through.
    pub fn violations_of_update(&self, value: &Value, old: &Value) -> Vec<Violation> {
        validate::validate_update(self.get(), value, old)
    }

    /// Items that stand twice where they may not.
    pub fn repeated_items(&self, value: &Value) -> Vec<Violation> {
        lists::validate(self.get(), value)
    }

    /// Takes out what a custom type does not know; the paths of it.
    pub fn prune(&self, value: &mut Value) -> Vec<FieldPath> {
        prune::prune(self.get(), value).paths()
    }

    /// The old value of a list's item, where items are told apart by keys.
    pub fn old_item<'a>(&self, item: &Value, old: &'a Value) -> Option<&'a Value> {
        old::correlated(self.get(), item, old)
    }

    /// Whether two values are the same, items of keyed lists in whatever order.
    pub fn same(&self, new: &Value, old: &Value) -> bool {
        old::same(self.get(), new, old)
    }
}
