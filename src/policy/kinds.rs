//! Kind selectors: `Pod`, `v1/Pod`, `apps/*/Deployment`, `Pod/exec`, `Pod.exec`, `*/scale`, `*/*`.

use crate::expr::wildcard;
use crate::model::Gvk;

/// A parsed kind selector; every part may hold `*` and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KindSelector {
    group: String,
    version: String,
    pub(crate) kind: String,
    subresource: String,
}

impl KindSelector {
    /// `None` when the text has more parts than a selector may have.
    pub(crate) fn parse(text: &str) -> Option<KindSelector> {
        let mut parts: Vec<&str> = text.split('/').collect();
        let last = parts.pop()?;
        parts.extend(last.split('.'));
        let of = |group: &str, version: &str, kind: &str, subresource: &str| KindSelector {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            subresource: subresource.into(),
        };
        let selector = match parts[..] {
            [kind] => of("*", "*", kind, ""),
            ["*", "*"] => of("*", "*", "*", "*"),
            // A subresource is all lower case, a kind never is.
            ["*", subresource] if subresource.to_lowercase() == subresource => of("*", "*", "*", subresource),
            [version, kind] if is_version(version) => of("*", version, kind, ""),
            [kind, subresource] => of("*", "*", kind, subresource),
            [version, kind, subresource] if is_version(version) => of("*", version, kind, subresource),
            [group, version, kind] => of(group, version, kind, ""),
            [group, version, kind, subresource] => of(group, version, kind, subresource),
            _ => return None,
        };
        (!selector.kind.is_empty()).then_some(selector)
    }

    pub(crate) fn matches(&self, gvk: &Gvk, subresource: &str) -> bool {
        wildcard::matches(&self.kind, &gvk.kind)
            && wildcard::matches(&self.group, &gvk.group)
            && wildcard::matches(&self.version, &gvk.version)
            && (wildcard::matches(&self.subresource, subresource) || is_ephemeral(gvk, subresource))
    }

    /// As it could have been written, in full.
    pub(crate) fn written(&self) -> String {
        let KindSelector { group, version, kind, subresource } = self;
        let below = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        match (group.as_str(), version.as_str()) {
            ("*", "*") => format!("{kind}{below}"),
            ("*", version) => format!("{version}/{kind}{below}"),
            (group, version) => format!("{group}/{version}/{kind}{below}"),
        }
    }

    /// Whether only this kind can match, so that it can be looked up.
    pub(crate) fn literal_kind(&self) -> Option<&str> {
        (!self.kind.contains(['*', '?'])).then_some(self.kind.as_str())
    }
}

/// Debug containers are matched by whoever matches pods.
fn is_ephemeral(gvk: &Gvk, subresource: &str) -> bool {
    subresource == "ephemeralcontainers" && gvk.group.is_empty() && &*gvk.kind == "Pod"
}

/// `*`, or what Kubernetes names a version: `v1`, `v2beta1`.
fn is_version(part: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = part.strip_prefix('v') else { return part == "*" };
    match rest.split_once("alpha").or_else(|| rest.split_once("beta")) {
        Some((major, minor)) => digits(major) && digits(minor),
        None => digits(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, api_version: &str, kind: &str, subresource: &str) -> bool {
        KindSelector::parse(selector).unwrap().matches(&Gvk::new(api_version, kind), subresource)
    }

    #[test]
    fn every_form_of_a_selector() {
        for selector in [
            "Deployment",
            "v1/Deployment",
            "apps/v1/Deployment",
            "apps/*/Deployment",
            "*",
            "Deploy*",
            "*/Deployment",
        ] {
            assert!(matches(selector, "apps/v1", "Deployment", ""), "{selector}");
            assert!(!matches(selector, "apps/v1", "Deployment", "scale"), "{selector}");
        }
        for selector in ["Deployment/scale", "Deployment.scale", "apps/v1/Deployment/scale", "*/scale", "*/*"]
        {
            assert!(matches(selector, "apps/v1", "Deployment", "scale"), "{selector}");
        }
        for selector in ["deployment", "v2/Deployment", "batch/v1/Deployment", "Pod"] {
            assert!(!matches(selector, "apps/v1", "Deployment", ""), "{selector}");
        }
        assert!(matches("Pod", "v1", "Pod", "ephemeralcontainers"));
        assert_eq!(KindSelector::parse("a/b/c/d/e"), None);
        assert_eq!(KindSelector::parse(""), None);
    }
}
