//! Which rules an object has to be compared with.

use std::collections::HashMap;

use super::matching::Kinds;

/// Rules by the resources of the kinds they name, and by the namespace their policy is confined to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    cluster: ByKind,
    namespaces: HashMap<String, ByKind>,
}

#[derive(Debug, Clone, Default)]
struct ByKind {
    /// By the name of the resource, `pods`.
    exact: HashMap<String, Vec<u32>>,
    /// Rules that name kinds by wildcards, or none.
    any: Vec<u32>,
}

impl Index {
    /// Adds a rule.
    pub(crate) fn add(&mut self, rule: u32, namespace: Option<&str>, kinds: Kinds<'_>) {
        let part = match namespace {
            None => &mut self.cluster,
            Some(namespace) => self.namespaces.entry(namespace.to_owned()).or_default(),
        };
        match kinds {
            Kinds::Unknown => part.any.push(rule),
            Kinds::These(kinds) => {
                for kind in kinds {
                    let rules = part.exact.entry(kind.into_owned()).or_default();
                    if rules.last() != Some(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
    }

    /// Rules that may be about an object, in the order in which they were added.
    pub(crate) fn candidates(&self, resource: &str, namespace: Option<&str>) -> Vec<u32> {
        let mut found = Vec::new();
        let own = namespace.and_then(|namespace| self.namespaces.get(namespace));
        for part in std::iter::once(&self.cluster).chain(own) {
            found.extend_from_slice(&part.any);
            found.extend(part.exact.get(resource).into_iter().flatten());
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_of_the_kind_and_namespace_are_candidates() {
        let mut index = Index::default();
        index.add(0, None, Kinds::These(["pods", "pods", "jobs"].map(Into::into).to_vec()));
        index.add(1, None, Kinds::Unknown);
        index.add(2, Some("a"), Kinds::These(vec!["pods".into()]));
        index.add(3, None, Kinds::These(vec!["pods".into()]));
        assert_eq!(index.candidates("pods", Some("a")), [0, 1, 2, 3]);
        assert_eq!(index.candidates("pods", Some("b")), [0, 1, 3]);
        assert_eq!(index.candidates("jobs", None), [0, 1]);
        assert_eq!(index.candidates("services", Some("a")), [1]);
    }
}
