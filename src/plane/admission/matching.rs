//! Which requests a policy, a binding or a webhook is about.

use std::sync::Arc;

use serde_json::Value;

use super::attributes::Attributes;
use super::rule::Rule;
use crate::plane::kinds::Resource;
use crate::plane::select::Selection;
use crate::plane::status::Failure;

/// `MatchResources`, or the same parts of a webhook.
#[derive(Debug, Clone)]
pub(super) struct Constraints {
    namespaces: Selection,
    objects: Selection,
    /// `None`: whatever resource it is.
    rules: Option<Vec<Rule>>,
    excluded: Vec<Rule>,
    /// Whether a rule for one form of a resource also means the others.
    equivalent: bool,
}

impl Constraints {
    /// Of a policy or binding; without rules it is about everything.
    pub fn of_policy(constraints: &Value) -> Constraints {
        let rules = rules(&constraints["resourceRules"]);
        Constraints {
            rules: (!rules.is_empty()).then_some(rules),
            excluded: self::rules(&constraints["excludeResourceRules"]),
            ..Constraints::common(constraints)
        }
    }

    /// Of a webhook; without rules it is about nothing.
    pub fn of_webhook(hook: &Value) -> Constraints {
        Constraints { rules: Some(rules(&hook["rules"])), ..Constraints::common(hook) }
    }

    fn common(constraints: &Value) -> Constraints {
        Constraints {
            namespaces: Selection::of_labels(&constraints["namespaceSelector"]),
            objects: Selection::of_labels(&constraints["objectSelector"]),
            rules: None,
            excluded: Vec::new(),
            equivalent: constraints["matchPolicy"] != "Exact",
        }
    }

    /// Whether it can be about objects of a resource at all.
    pub fn may_match(&self, group: &str, resource: &str) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.iter().any(|rule| rule.may_match(group, resource)))
    }

    /// The form of the resource in whose terms the request is meant, if it is.
    pub fn matched(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<Option<Arc<Resource>>, Failure> {
        let selected = self.selects_namespace(attributes, object);
        if matches!(selected, Ok(false)) || !self.selects_object(object, old) {
            return Ok(None);
        }
        if form(&self.excluded, attributes, self.equivalent).is_some() {
            return Ok(None);
        }
        let found = match &self.rules {
            None => Some(attributes.call.resource.clone()),
            Some(rules) => form(rules, attributes, self.equivalent),
        };
        // Only what the request is about can be in the way of it.
        if found.is_some() {
            selected?;
        }
        Ok(found)
    }

    fn selects_namespace(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&Value>,
    ) -> Result<bool, Failure> {
        if self.namespaces.is_everything() {
            return Ok(true);
        }
        let labels = attributes.namespace_labels(object)?;
        Ok(labels.is_none_or(|labels| self.namespaces.matches_labels(&labels)))
    }

    fn selects_object(&self, object: Option<&Value>, old: Option<&Value>) -> bool {
        self.objects.is_everything()
            || [object, old]
                .into_iter()
                .flatten()
                .any(|body| self.objects.matches_labels(&body["metadata"]["labels"]))
    }
}

fn rules(list: &Value) -> Vec<Rule> {
    list.as_array().into_iter().flatten().map(Rule::of).collect()
}

/// The form of the resource that a rule names: that of the request before any other.
fn form(rules: &[Rule], attributes: &Attributes<'_>, equivalent: bool) -> Option<Arc<Resource>> {
    let own = &attributes.call.resource;
    if rules.iter().any(|rule| rule.matches(&attributes.subject(own))) {
        return Some(own.clone());
    }
    if !equivalent || rules.is_empty() {
        return None;
    }
    let others = attributes.equivalents();
    rules
        .iter()
        .find_map(|rule| others.iter().find(|other| rule.matches(&attributes.subject(other))).cloned())
}
