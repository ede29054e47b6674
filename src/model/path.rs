//! Paths: into a repository, and into an object.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A path inside the repository: relative, `/`-separated, without `.` and `..`. The root is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(Arc<str>);

/// Why a text is no path inside the repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `..` would climb out of the repository.
    #[error("{0:?} leaves the repository")]
    Escapes(String),
    /// A NUL byte or a backslash; no such name is portable.
    #[error("{0:?} has a character that no path in a repository may have")]
    BadCharacter(String),
}

impl RepoPath {
    /// The root of the repository.
    pub fn root() -> RepoPath {
        RepoPath::default()
    }

    /// The path as text, without a leading or trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// `other` seen from this folder; `..` in it may climb, but not out of the repository.
    ///
    /// # Errors
    /// [`PathError`] when the result would leave the repository.
    pub fn join(&self, other: &str) -> Result<RepoPath, PathError> {
        if other.starts_with('/') {
            return Err(PathError::Escapes(other.to_owned()));
        }
        format!("{}/{other}", self.0).parse()
    }

    /// The folder that holds this path; the root holds itself.
    pub fn parent(&self) -> RepoPath {
        RepoPath(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).into())
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this path is `folder` or lies below it.
    pub fn is_in(&self, folder: &RepoPath) -> bool {
        folder.is_root()
            || self.0.strip_prefix(&*folder.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// This path seen from `folder`, if it lies in it.
    pub fn relative_to(&self, folder: &RepoPath) -> Option<&str> {
        self.is_in(folder).then(|| self.0[folder.0.len()..].trim_start_matches('/'))
    }
}

impl FromStr for RepoPath {
    type Err = PathError;

    fn from_str(s: &str) -> Result<RepoPath, PathError> {
        if s.contains(['\0', '\\']) {
            return Err(PathError::BadCharacter(s.to_owned()));
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in s.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop().ok_or_else(|| PathError::Escapes(s.to_owned()))?;
                }
                name => segments.push(name),
            }
        }
        Ok(RepoPath(segments.join("/").into()))
    }
}

impl TryFrom<String> for RepoPath {
    type Error = PathError;

    fn try_from(s: String) -> Result<RepoPath, PathError> {
        s.parse()
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> String {
        path.0.to_string()
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathSegment {
    /// A key of a mapping.
    Key(String),
    /// An index of a list, from 0.
    Index(usize),
}

/// A path into an object. Prints as `spec.containers[0].image`; a key with a dot as `["a.b/c"]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FieldPath(pub Vec<PathSegment>);

impl FieldPath {
    /// From keys alone: `["spec", "topology", "version"]`.
    pub fn of_keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> FieldPath {
        FieldPath(keys.into_iter().map(|k| PathSegment::Key(k.to_owned())).collect())
    }

    /// This path and one key more.
    pub fn key(&self, key: &str) -> FieldPath {
        let mut path = self.clone();
        path.0.push(PathSegment::Key(key.to_owned()));
        path
    }

    /// This path and one index more.
    pub fn index(&self, index: usize) -> FieldPath {
        let mut path = self.clone();
        path.0.push(PathSegment::Index(index));
        path
    }

    /// `spec.list[0].a.b/c`: as the API server's validator writes it, whatever the keys hold.
    pub fn dotted(&self) -> String {
        let mut out = String::new();
        for segment in &self.0 {
            match segment {
                PathSegment::Index(n) => out.push_str(&format!("[{n}]")),
                PathSegment::Key(key) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(key);
                }
            }
        }
        out
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                PathSegment::Index(n) => write!(f, "[{n}]")?,
                PathSegment::Key(k) if k.contains(['.', '/', '[', ' ']) || k.is_empty() => {
                    write!(f, "[{k:?}]")?
                }
                PathSegment::Key(k) => write!(f, "{}{k}", if i == 0 { "" } else { "." })?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_the_repository() {
        assert!("../x".parse::<RepoPath>().is_err());
        assert!("a/../../x".parse::<RepoPath>().is_err());
        assert_eq!("./a//b/../c/".parse::<RepoPath>().unwrap().as_str(), "a/c");
        let folder: RepoPath = "flux/config".parse().unwrap();
        assert_eq!(folder.join("../../capi").unwrap().as_str(), "capi");
        assert!(folder.join("../../../capi").is_err());
        assert!(folder.join("/etc").is_err());
    }

    #[test]
    fn a_folder_is_not_a_prefix_of_its_siblings() {
        let folder: RepoPath = "capi".parse().unwrap();
        assert!("capi/x.yaml".parse::<RepoPath>().unwrap().is_in(&folder));
        assert!(!"capi-visualizer/x.yaml".parse::<RepoPath>().unwrap().is_in(&folder));
    }

    #[test]
    fn a_field_path_prints_as_people_write_it() {
        let path = FieldPath::of_keys(["spec", "containers"]).index(0).key("image");
        assert_eq!(path.to_string(), "spec.containers[0].image");
        assert_eq!(
            FieldPath::of_keys(["metadata", "labels", "a.b/c"]).to_string(),
            r#"metadata.labels["a.b/c"]"#
        );
    }
}
