//! What a list, watch or delete-collection is narrowed to.

mod fields;
mod labels;

pub(crate) use fields::FieldSelector;
pub(crate) use labels::LabelSelector;

use serde_json::Value;

use super::store::Object;

/// Both selectors of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    /// From a `LabelSelector` of an object.
    pub fn of_labels(selector: &Value) -> Selection {
        Selection { labels: LabelSelector::of_object(selector), fields: FieldSelector::default() }
    }

    /// Whether labels are selected.
    pub fn matches_labels(&self, labels: &Value) -> bool {
        self.labels.matches(labels)
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn matches(&self, object: &Object) -> bool {
        (self.labels.is_empty() || self.labels.matches(&object.labels())) && self.fields.matches(object)
    }
}
