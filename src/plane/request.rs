//! What a request asks for: the parts of its path, the options of its query, what its headers accept.

use std::collections::HashMap;

use http::{HeaderMap, header};

use super::status::{Failure, FieldError};

/// The parts of a path below `/api` or `/apis`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// The old way to ask for a watch: `/api/v1/watch/...`.
    pub watch: bool,
}

impl Target {
    /// Of a path such as `/apis/apps/v1/namespaces/a/deployments/b/status`.
    pub fn parse(path: &str) -> Option<Target> {
        let segments: Option<Vec<String>> =
            path.strip_prefix('/').unwrap_or(path).split('/').map(|segment| decode(segment, false)).collect();
        let segments = segments?;
        let mut parts = segments.iter().map(String::as_str);
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = parts.collect();
        let watch = rest.first() == Some(&"watch");
        if watch {
            rest.remove(0);
        }
        let mut namespace = None;
        // `namespaces/a/status` and `namespaces/a` are about the namespace itself.
        if let ["namespaces", name, plural, ..] = rest[..]
            && !(matches!(plural, "status" | "finalize") && rest.len() == 3 && group.is_empty())
        {
            namespace = Some(name.to_owned());
            rest.drain(..2);
        }
        let (plural, name, subresource) = match rest[..] {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(name), None),
            [plural, name, subresource] => (plural, Some(name), Some(subresource)),
            _ => return None,
        };
        if plural.is_empty() || name == Some("") {
            return None;
        }
        Some(Target {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace,
            plural: plural.to_owned(),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
            watch,
        })
    }
}

/// `%41` and, in a query, `+`.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (bytes.next()? as char, bytes.next()? as char);
                out.push((high.to_digit(16)? * 16 + low.to_digit(16)?) as u8);
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).ok()
}

/// What to do with fields that the schema does not know, and with duplicate keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// The options of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(HashMap<String, String>);

impl Query {
    pub fn parse(query: Option<&str>) -> Query {
        let mut options = HashMap::new();
        // A semicolon is no separator and no part of a value either: the server drops the pair.
        let pairs =
            query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        for pair in pairs {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (decode(key, true), decode(value, true)) {
                options.entry(key).or_insert(value);
            }
        }
        Query(options)
    }

    /// Gives an option in place of the client.
    pub fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), value);
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What was given, be it empty.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Anything but `false` and `0`, as the server reads it.
    pub fn flag(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// A whole number; refused as the server refuses what is none.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.raw(key) else { return Ok(None) };
        text.parse::<i64>().map(Some).map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    "value out of range"
                }
                _ => "invalid syntax",
            };
            Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        })
    }
}

/// Options of a write.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    pub manager: String,
    pub force: bool,
    pub dry_run: bool,
    pub validation: FieldValidation,
}

impl WriteOptions {
    /// Of a deletion, whose own options are read with it.
    pub fn of_deletion(headers: &HeaderMap, dry_run: bool) -> WriteOptions {
        WriteOptions { manager: manager_of_agent(headers), dry_run, ..WriteOptions::default() }
    }

    /// Checked as the server does for `kind` (`CreateOptions`, `UpdateOptions`, `PatchOptions`).
    pub fn of(query: &Query, headers: &HeaderMap, kind: &str, apply: bool) -> Result<WriteOptions, Failure> {
        let mut errors = Vec::new();
        let manager = query.get("fieldManager").unwrap_or_default();
        if apply && manager.is_empty() {
            errors.push(FieldError::new("fieldManager", "Required value: is required for apply patch"));
        }
        if !apply && kind == "PatchOptions" && query.get("force").is_some() {
            errors.push(FieldError::new("force", "Forbidden: may not be specified for non-apply patch"));
        }
        if manager.len() > 128 {
            errors.push(FieldError::new("fieldManager", "Too long: may not be more than 128 bytes"));
        }
        let dry_run = match query.get("dryRun") {
            None => false,
            Some("All") => true,
            Some(other) => {
                errors.push(FieldError::new(
                    "dryRun",
                    format!("Unsupported value: [{other:?}]: supported values: \"All\""),
                ));
                false
            }
        };
        let validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let message = format!(
                    "Unsupported value: {other:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
                );
                errors.push(FieldError::new("fieldValidation", message));
                FieldValidation::Warn
            }
        };
        if !errors.is_empty() {
            return Err(Failure::invalid("meta.k8s.io", kind, "", &errors));
        }
        let manager = if manager.is_empty() { manager_of_agent(headers) } else { manager.to_owned() };
        Ok(WriteOptions { manager, force: query.flag("force"), dry_run, validation })
    }
}

/// Who does not name a manager is known by the first part of its user agent.
fn manager_of_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name: String = agent.split('/').next().unwrap_or_default().chars().take(128).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// In which form an object is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    #[default]
    Whole,
    Table,
    Metadata,
}

/// Whether aggregated discovery is wanted.
pub(crate) fn wants_aggregated(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|accept| {
        accept.split(',').any(|media_type| {
            ["application/json", "g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"]
                .iter()
                .all(|part| media_type.split(';').any(|given| given.trim() == *part))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        Target::parse(path).unwrap()
    }

    #[test]
    fn a_path_is_taken_apart() {
        let t = target("/apis/apps/v1/namespaces/a/deployments/b/status");
        assert_eq!((t.group.as_str(), t.namespace.as_deref()), ("apps", Some("a")));
        assert_eq!((t.plural.as_str(), t.subresource.as_deref()), ("deployments", Some("status")));
        let t = target("/api/v1/namespaces/a/status");
        assert_eq!((t.plural.as_str(), t.name.as_deref()), ("namespaces", Some("a")));
        assert_eq!((t.namespace, t.subresource.as_deref()), (None, Some("status")));
        let t = target("/api/v1/namespaces/a/configmaps");
        assert_eq!((t.plural.as_str(), t.namespace.as_deref(), t.name), ("configmaps", Some("a"), None));
        assert_eq!(target("/apis/g/v1/namespaces/a/status").plural, "status");
        assert!(Target::parse("/metrics").is_none());
    }

    #[test]
    fn a_query_is_decoded() {
        let query = Query::parse(Some("labelSelector=a%3Db%2Cc+in+(d)&watch=1"));
        assert_eq!(query.get("labelSelector"), Some("a=b,c in (d)"));
        assert!(query.flag("watch"));
    }
}
