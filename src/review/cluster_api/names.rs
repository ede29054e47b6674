//! Names and versions in the forms that Cluster API and ClusterStacks give them.

use semver::Version;

/// The name of a ClusterStack's class, `provider-stack-1-34-v3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClassName<'a> {
    /// Provider and stack, `openstack-scs2`; the stack's own name may have dashes.
    pub stack: &'a str,
    /// The minor of Kubernetes.
    pub minor: (u64, u64),
    /// The stack's version, `v3` or `v0-sha.11930ee`.
    pub release: &'a str,
}

impl<'a> ClassName<'a> {
    /// `None` for a name of another form.
    pub fn parse(class: &'a str) -> Option<ClassName<'a>> {
        let is_release = |part: &str| {
            part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let parts: Vec<&str> = class.split('-').collect();
        let (at, minor) = parts.windows(3).enumerate().skip(2).find_map(|(at, window)| {
            let [major, minor, release] = window else { return None };
            is_release(release).then_some(())?;
            Some((at, (number(major)?, number(minor)?)))
        })?;
        let length = |parts: &[&str]| parts.iter().map(|part| part.len() + 1).sum::<usize>();
        let stack = &class[..length(&parts[..at]) - 1];
        let release = &class[length(&parts[..at + 2])..];
        Some(ClassName { stack, minor, release })
    }
}

/// The minor of `v1.29.3` or `1.29`; `None` for what is no version.
pub(super) fn minor_of_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).splitn(3, '.');
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

/// A Kubernetes version, `v1.34.2`, with or without its `v`.
pub(super) fn kubernetes_version(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// The name under which a changed copy goes: the number at its end counted up, else one added.
pub(super) fn next_name(name: &str) -> String {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (stem, number) = name.split_at(name.len() - digits);
    match number.parse::<u64>() {
        Ok(number) if stem.ends_with(['-', 'v', '.']) => format!("{stem}{}", number.saturating_add(1)),
        _ => format!("{name}-2"),
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_class_name() {
        for (class, parts) in [
            ("openstack-scs-1-27-v4", Some(("openstack-scs", (1, 27), "v4"))),
            ("openstack-scs2-1-34-v1", Some(("openstack-scs2", (1, 34), "v1"))),
            (
                "openstack-my-stack-1-30-v0-sha.11930ee",
                Some(("openstack-my-stack", (1, 30), "v0-sha.11930ee")),
            ),
            ("docker-ferrol-1-30-v0-git.abc", Some(("docker-ferrol", (1, 30), "v0-git.abc"))),
            ("my-class", None),
            ("quick-start-1-27", None),
            ("1-27-v4", None),
        ] {
            let expected = parts.map(|(stack, minor, release)| ClassName { stack, minor, release });
            assert_eq!(ClassName::parse(class), expected, "{class}");
        }
    }

    #[test]
    fn versions() {
        assert_eq!(minor_of_version("v1.29.3"), Some((1, 29)));
        assert_eq!(minor_of_version("1.29"), Some((1, 29)));
        assert_eq!(minor_of_version("latest"), None);
        assert!(kubernetes_version("v1.29.3").unwrap() < kubernetes_version("1.30.0-rc.1").unwrap());
        assert_eq!(kubernetes_version("v1.29"), None);
    }

    #[test]
    fn a_copy_has_the_next_name() {
        for (name, next) in
            [("web", "web-2"), ("web-v1", "web-v2"), ("web-9", "web-10"), ("k8s", "k8s-2"), ("m1", "m1-2")]
        {
            assert_eq!(next_name(name), next);
        }
    }
}
