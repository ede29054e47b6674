//! How policies came to say what a review tells of an object.

use super::{Namespaces, Surroundings};
use crate::finding::{Location, conceal};
use crate::model::Manifest;
use crate::policy::{Explanation, Request};
use crate::render::{LiveTriggers, Manifests, place_in_document};

/// What the policies' rules say of an object that neither pass nor skip it, each with its place and in parts.
/// What is in a Secret, or made of it, is not shown.
pub fn explain(
    rendered: &Manifests,
    live: LiveTriggers<'_>,
    manifest: &Manifest,
) -> Vec<(Location, Explanation)> {
    let surroundings = Surroundings { live, ..Surroundings::none() };
    let namespaces = Namespaces::of(rendered, &surroundings);
    let request =
        Request { namespace_labels: namespaces.labels(manifest), ..Request::create(&manifest.body) };
    let is_secret = manifest.id.kind() == "Secret";
    let explanations = rendered.policy_set.explain(&request).into_iter();
    let explained = explanations.map(|explanation| {
        let place = place_in_document(&explanation.policy_source, &explanation.rule_path);
        let steps = explanation.steps;
        let steps = if is_secret { steps.concealed(|text| conceal(text, &manifest.body)) } else { steps };
        (place, Explanation { steps, ..explanation })
    });
    explained.collect()
}
