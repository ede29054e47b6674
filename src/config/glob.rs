//! Patterns for files: `*` within a folder, `**` over folders, `?` one character.

use std::fmt;

use regex::Regex;

/// A pattern for paths in the repository.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    regex: Regex,
}

impl Glob {
    /// Compiles a pattern; `None` if it is none (absolute, empty, or with `..`).
    pub fn new(text: &str) -> Option<Glob> {
        let bad = text.is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "..");
        if bad {
            return None;
        }
        let parts: Vec<&str> = text.trim_start_matches("./").split('/').filter(|p| !p.is_empty()).collect();
        let mut pattern = String::from("^");
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            match (*part, last) {
                ("**", true) => pattern.push_str(".+"),
                ("**", false) => pattern.push_str("(?:[^/]+/)*"),
                (part, last) => {
                    pattern.push_str(&segment(part));
                    pattern.push_str(if last { "" } else { "/" });
                }
            }
        }
        pattern.push('$');
        Some(Glob { text: text.to_owned(), regex: Regex::new(&pattern).ok()? })
    }

    /// Whether a path matches, whole.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }
}

fn segment(part: &str) -> String {
    part.chars()
        .map(|c| match c {
            '*' => "[^/]*".to_owned(),
            '?' => "[^/]".to_owned(),
            c => regex::escape(c.encode_utf8(&mut [0; 4])),
        })
        .collect()
}

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_people_expect() {
        let matches = |glob: &str, path: &str| Glob::new(glob).unwrap().matches(path);
        assert!(matches("common/**", "common/a.yaml") && matches("common/**", "common/a/b.yaml"));
        assert!(!matches("common/**", "commonplace/a.yaml") && !matches("common/**", "common"));
        assert!(
            matches("*.yaml", "a.yaml") && !matches("*.yaml", "a/b.yaml") && !matches("*.yaml", "axyaml")
        );
        assert!(matches("**/x.yaml", "x.yaml") && matches("**/x.yaml", "a/b/x.yaml"));
        assert!(matches("a/*/c?.yaml", "a/b/c1.yaml") && !matches("a/*/c?.yaml", "a/b/d/c1.yaml"));
        assert!(Glob::new("../x").is_none() && Glob::new("/x").is_none() && Glob::new("").is_none());
    }
}
