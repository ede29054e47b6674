//! References to container images, taken apart.

use std::fmt;

/// An image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The registry's host and port.
    pub registry: String,
    /// Everything between registry and tag.
    pub path: String,
    /// The last part of the path.
    pub name: String,
    /// The tag; `latest` only where neither tag nor digest is given.
    pub tag: Option<String>,
    /// The digest with its algorithm.
    pub digest: Option<String>,
}

impl Image {
    /// Reads a reference; one without a registry belongs to `default_registry`.
    pub fn parse(text: &str, default_registry: &str) -> Option<Image> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|d| !is_digest(d)) {
            return None;
        }
        let (registry, rest) = match rest.split_once('/') {
            Some((host, path)) if is_host(host) => (host, path),
            _ => (default_registry, rest),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if !path.split('/').all(is_component) || tag.is_some_and(|t| !is_tag(t)) {
            return None;
        }
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        Some(Image {
            registry: registry.to_owned(),
            path: path.to_owned(),
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

/// Whether the first part of a name is a registry: no part of a path has these characters or capitals.
fn is_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost" || text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().next_back().is_some_and(alphanumeric)
        && text.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'))
}

fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

impl fmt::Display for Image {
    /// The digest, where there is one, stands instead of the tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "{}/{}@{digest}", self.registry, self.path),
            (None, Some(tag)) => write!(f, "{}/{}:{tag}", self.registry, self.path),
            (None, None) => write!(f, "{}/{}", self.registry, self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, full) in [
            ("nginx", "docker.io/nginx:latest".to_owned()),
            ("localhost:5000/a:b", "localhost:5000/a:b".to_owned()),
            ("ghcr.io/o/a", "ghcr.io/o/a:latest".to_owned()),
            ("o/a:1", "docker.io/o/a:1".to_owned()),
            (&format!("a@{digest}"), format!("docker.io/a@{digest}")),
            (&format!("a:1@{digest}"), format!("docker.io/a@{digest}")),
        ] {
            assert_eq!(Image::parse(text, "docker.io").unwrap().to_string(), full);
        }
        for bad in ["", "A", "a:", "a@sha256:x", "a//b", "a b"] {
            assert_eq!(Image::parse(bad, "docker.io"), None, "{bad}");
        }
    }
}
