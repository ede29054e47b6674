//! Where in the repository a field of a rendered object comes from.

use serde_json::Value;

use crate::finding::Location;
use crate::model::{FieldPath, Manifest, ObjectId, PathSegment, SourceText};
use crate::yaml;

/// The place of a field of a rendered object: in the last layer that writes it, else the nearest thing that is there.
/// For a generated object, the document of the rule.
pub fn place(manifest: &Manifest, path: &FieldPath) -> Location {
    let origin = &manifest.origin;
    if origin.rule.is_some() {
        return Location::in_source(&origin.source, origin.line, 1);
    }
    let writes = |source: &&SourceText| {
        parsed(source).is_some_and(|value| depth_in(item_of(&value, &manifest.id).1, path) == path.0.len())
    };
    let source = origin.overlays.iter().rev().find(writes).unwrap_or(&origin.source);
    place_in(source, &manifest.id, path)
}

/// The place of a field in a document, or of the nearest thing that is there.
pub fn place_in_document(source: &SourceText, path: &FieldPath) -> Location {
    yaml::locate(source, path)
}

/// The place of a field of an object in a document, which may be a list that holds the object.
pub(super) fn place_in(source: &SourceText, id: &ObjectId, path: &FieldPath) -> Location {
    let Some(value) = parsed(source) else {
        return Location::in_source(source, source.line, 1);
    };
    let (mut full, object) = item_of(&value, id);
    let known = depth_in(object, path);
    full.0.extend(path.0[..known].iter().cloned());
    yaml::locate(source, &full)
}

fn parsed(source: &SourceText) -> Option<Value> {
    yaml::parse(source.document(), false).ok()
}

/// The object itself, or the item of a list that is the object, and the way to it.
fn item_of<'a>(value: &'a Value, id: &ObjectId) -> (FieldPath, &'a Value) {
    let here = (FieldPath::default(), value);
    let Some(items) = value["items"].as_array() else { return here };
    let found = items.iter().enumerate().find_map(|(index, item)| {
        let (way, object) = item_of(item, id);
        let is_it = ObjectId::of(object).is_ok_and(|found| found == *id);
        let mut full = FieldPath::of_keys(["items"]).index(index);
        full.0.extend(way.0);
        is_it.then_some((full, object))
    });
    found.unwrap_or(here)
}

/// How many segments of a path exist in a value.
fn depth_in(value: &Value, path: &FieldPath) -> usize {
    let mut at = value;
    for (depth, segment) in path.0.iter().enumerate() {
        let next = match segment {
            PathSegment::Key(key) => at.get(key),
            PathSegment::Index(index) => at.get(index),
        };
        match next {
            Some(next) => at = next,
            None => return depth,
        }
    }
    path.0.len()
}
