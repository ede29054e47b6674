//! Strategic merge: lists of known types are merged by the key of their items; what is new comes first.

use serde_json::{Map, Value};

use crate::schema::TypeRef;

/// `base` with a patch merged into it. Lists of unknown types are replaced.
pub(super) fn merge(base: &Value, patch: &Value, ty: Option<&TypeRef>) -> Value {
    let mut merged = base.clone();
    merge_into(&mut merged, patch, ty);
    merged
}

fn merge_into(base: &mut Value, patch: &Value, ty: Option<&TypeRef>) {
    match (&mut *base, patch) {
        (Value::Object(base), Value::Object(patch)) => merge_map(base, patch, ty),
        (Value::Array(base), Value::Array(patch)) => merge_list(base, patch, ty),
        (_, patch) => *base = plain(patch),
    }
}

fn merge_map(base: &mut Map<String, Value>, patch: &Map<String, Value>, ty: Option<&TypeRef>) {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("delete") => return base.clear(),
        Some("replace") => base.clear(),
        _ => {}
    }
    let map = ty.and_then(|ty| ty.get().map.as_ref());
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        let replaces = map.and_then(|m| m.fields.get(key.as_str())).is_some_and(|field| field.patch_replace);
        if value.is_null() {
            base.remove(key);
        } else if let Some(old) = base.get_mut(key).filter(|old| !old.is_null() && !replaces) {
            merge_into(old, value, map.and_then(|m| m.value_type(key)));
            if removes(value) {
                base.remove(key);
            }
        } else if !removes(value) {
            base.insert(key.clone(), plain(value));
        }
    }
}

fn merge_list(base: &mut Vec<Value>, patch: &[Value], ty: Option<&TypeRef>) {
    let list = ty.and_then(|ty| ty.get().list.as_ref()).filter(|list| list.patch_merge);
    let Some(list) = list else {
        *base = patch.iter().map(plain).collect();
        return;
    };
    let mut new = Vec::new();
    for item in patch {
        let same = |old: &Value| match &list.patch_key {
            Some(key) => old.get(&**key).is_some_and(|value| Some(value) == item.get(&**key)),
            None => old == item,
        };
        match base.iter().position(same) {
            Some(at) if removes(item) => {
                base.remove(at);
            }
            Some(at) => merge_into(&mut base[at], item, list.items.as_ref()),
            None if removes(item) => {}
            None => new.push(plain(item)),
        }
    }
    base.splice(0..0, new);
}

fn removes(patch: &Value) -> bool {
    patch.get("$patch").is_some_and(|directive| directive == "delete")
}

/// A value without nulls and directives.
fn plain(patch: &Value) -> Value {
    match patch {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !value.is_null() && !key.starts_with('$'));
            Value::Object(kept.map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Array(list) => list.iter().filter(|item| !removes(item)).map(plain).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gvk;
    use crate::schema::Schemas;
    use serde_json::json;

    #[test]
    fn items_are_merged_by_their_key_and_new_ones_come_first() {
        let base = json!({"spec": {"containers": [{"name": "a", "image": "x", "args": ["1"]}], "old": 1}});
        let patch = json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "args": ["2"], "image": null}], "old": null}});
        let ty = Schemas::builtin().type_of(&Gvk::new("v1", "Pod"));
        assert_eq!(
            merge(&base, &patch, ty.as_ref()),
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "args": ["2"]}]}})
        );
        assert_eq!(
            merge(&base, &patch, None),
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "args": ["2"]}]}})
        );
        let patch = json!({"spec": {"containers": [{"name": "b", "image": "y"}]}});
        assert_eq!(merge(&base, &patch, ty.as_ref())["spec"]["containers"].as_array().unwrap().len(), 2);
        assert_eq!(merge(&base, &patch, None)["spec"]["containers"].as_array().unwrap().len(), 1);
        let patch = json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}});
        assert_eq!(merge(&base, &patch, ty.as_ref())["spec"]["containers"], json!([]));
    }
}
