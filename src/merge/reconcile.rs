//! Sets that were written when the schema was another.

use super::kinds::{ListShape, MapShape, Shape, Ty};
use super::path::PathElement;
use super::set::FieldSet;

/// The set as the type has it now: of what has become atomic the whole is owned instead of its parts. `None` when that
/// is the set as it is.
pub(super) fn reconciled(ty: Ty<'_>, set: &FieldSet) -> Option<FieldSet> {
    has_atomic(ty, set).then(|| renewed(ty, set))
}

/// Whether parts of something atomic are owned.
fn has_atomic(ty: Ty<'_>, set: &FieldSet) -> bool {
    let shape = ty.shape(None);
    set.elements().filter(|(_, _, below)| !below.is_empty()).any(|(element, _, below)| {
        child(shape, element).is_some_and(|child| is_atomic(child) || has_atomic(child, below))
    })
}

fn child<'a>(shape: Shape<'a>, element: &PathElement) -> Option<Ty<'a>> {
    match (shape, element) {
        (Shape::Map(map @ MapShape::Known(_)), PathElement::Field(name)) => Some(map.value(name)),
        (Shape::List(list @ ListShape::Known(_)), PathElement::Key(_)) => Some(list.items()),
        _ => None,
    }
}

fn is_atomic(ty: Ty<'_>) -> bool {
    match ty.shape(None) {
        Shape::Map(map @ MapShape::Known(_)) => map.atomic(),
        Shape::List(list @ ListShape::Known(_)) => list.atomic(),
        _ => false,
    }
}

fn renewed(ty: Ty<'_>, set: &FieldSet) -> FieldSet {
    let shape = ty.shape(None);
    let mut out = FieldSet::new();
    for (element, member, below) in set.elements() {
        let Some(child) = child(shape, element).filter(|_| !below.is_empty()) else {
            out.insert_whole(element.clone(), member, below.clone());
            continue;
        };
        if is_atomic(child) {
            out.insert_element(element.clone());
        } else {
            out.insert_whole(element.clone(), member, renewed(child, below));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Gvk;
    use crate::schema::Schemas;

    #[test]
    fn of_an_atomic_mapping_the_whole_is_owned() {
        let ty = Schemas::builtin().type_of(&Gvk::new("v1", "Service"));
        let set = json!({"f:spec": {"f:selector": {".": {}, "f:app": {}}, "f:type": {}}});
        let now = reconciled(Ty::of(ty.as_ref()), &FieldSet::from_fields_v1(&set)).unwrap();
        assert_eq!(reconciled(Ty::of(ty.as_ref()), &now), None);
        assert_eq!(now.to_fields_v1(), json!({"f:spec": {"f:selector": {}, "f:type": {}}}));
    }
}
