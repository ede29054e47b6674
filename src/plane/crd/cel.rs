//! Validation rules of a definition: whether they compile, and whether they may cost too much.

use super::node::Node;
use super::path::{Errors, Path};
use super::validate::Options;

/// What is known about the rules where a schema stands.
pub(super) struct Rules<'a> {
    node: Node<'a>,
}

impl<'a> Rules<'a> {
    pub fn new(root: Node<'a>) -> Rules<'a> {
        Rules { node: root }
    }

    /// Whether all rules together may cost too much.
    pub fn total_cost(&self, _at: &Path<'_>, _errors: &mut Errors) {}

    pub fn property<'b>(&self, schema: Node<'b>, _name: &str) -> Rules<'b> {
        Rules { node: schema }
    }

    pub fn values<'b>(&self, schema: Node<'b>) -> Rules<'b> {
        Rules { node: schema }
    }

    pub fn items<'b>(&self, schema: Node<'b>) -> Rules<'b> {
        Rules { node: schema }
    }
}

/// Checks the rules of one schema.
pub(super) fn check(
    _node: Node<'_>,
    rules: &Rules<'_>,
    _at: &Path<'_>,
    _uncorrelatable: Option<&Path<'_>>,
    _options: &Options,
    _errors: &mut Errors,
) {
    let _ = rules.node;
}
