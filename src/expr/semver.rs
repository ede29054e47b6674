//! Versions and ranges of them: `>=1.2.3 <2.0.0 || 3.x`.

use std::cmp::Ordering;

/// A semantic version. The default is 0.0.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(::semver::Version);

impl Default for Version {
    fn default() -> Self {
        Version(::semver::Version::new(0, 0, 0))
    }
}

impl Version {
    /// Reads `1.2.3-rc.1+build`; all three numbers are needed and no `v` is allowed.
    pub fn parse(text: &str) -> Option<Version> {
        ::semver::Version::parse(text).ok().map(Version)
    }

    /// Order of precedence: the build does not count.
    pub fn compare(&self, other: &Version) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

/// Alternatives (`||`), each a list of comparisons that all must hold.
#[derive(Debug, Clone)]
pub struct Range(Vec<Vec<(Comparator, Version)>>);

impl Range {
    /// Reads a range.
    pub fn parse(text: &str) -> Result<Range, String> {
        let mut alternatives = vec![Vec::new()];
        for word in words(text) {
            if word == "||" {
                alternatives.push(Vec::new());
                continue;
            }
            let at = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len());
            let (sign, version) = word.split_at(at);
            let comparator = comparator(sign)
                .ok_or_else(|| format!("could not parse comparator {sign:?} in the range {text:?}"))?;
            let bounds = bounds(comparator, version)
                .ok_or_else(|| format!("could not parse version {version:?} in the range {text:?}"))?;
            if let Some(last) = alternatives.last_mut() {
                last.extend(bounds);
            }
        }
        if alternatives.iter().any(Vec::is_empty) {
            return Err(format!("empty range {text:?}"));
        }
        Ok(Range(alternatives))
    }

    /// Whether a version is in the range.
    pub fn contains(&self, version: &Version) -> bool {
        self.0
            .iter()
            .any(|all| all.iter().all(|(comparator, bound)| comparator.holds(version.compare(bound))))
    }
}

/// The words of a range; `>= 1.2.3` is one word.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for piece in text.replace("||", " || ").split_whitespace() {
        match words.last_mut() {
            Some(last) if last != "||" && last.ends_with(['>', '<', '=', '!']) && piece != "||" => {
                last.push_str(piece);
            }
            _ => words.push(piece.to_owned()),
        }
    }
    words
}

fn comparator(sign: &str) -> Option<Comparator> {
    Some(match sign {
        "" | "=" | "==" => Comparator::Equal,
        "!" | "!=" => Comparator::NotEqual,
        ">" => Comparator::Greater,
        ">=" => Comparator::GreaterEqual,
        "<" => Comparator::Less,
        "<=" => Comparator::LessEqual,
        _ => return None,
    })
}

/// The comparisons a version stands for: `1.x` is `>=1.0.0 <2.0.0`.
fn bounds(comparator: Comparator, text: &str) -> Option<Vec<(Comparator, Version)>> {
    if !text.contains(['x', 'X', '*']) || text.contains(['-', '+']) {
        return Version::parse(text).map(|version| vec![(comparator, version)]);
    }
    let parts: Vec<&str> = text.split('.').collect();
    let wild = parts.iter().position(|p| matches!(*p, "x" | "X" | "*"))?;
    if wild == 0 || parts.len() > 3 || parts[wild..].iter().any(|p| !matches!(*p, "x" | "X" | "*")) {
        return None;
    }
    let major: u64 = parts[0].parse().ok()?;
    let minor: u64 = if wild == 2 { parts[1].parse().ok()? } else { 0 };
    let low = Version(::semver::Version::new(major, minor, 0));
    let high = Version(match wild {
        1 => ::semver::Version::new(major.checked_add(1)?, 0, 0),
        _ => ::semver::Version::new(major, minor.checked_add(1)?, 0),
    });
    Some(match comparator {
        Comparator::Equal => vec![(Comparator::GreaterEqual, low), (Comparator::Less, high)],
        Comparator::Greater => vec![(Comparator::GreaterEqual, high)],
        Comparator::LessEqual => vec![(Comparator::Less, high)],
        Comparator::NotEqual => return None,
        other => vec![(other, low)],
    })
}

impl Comparator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparator::Equal => order == Ordering::Equal,
            Comparator::NotEqual => order != Ordering::Equal,
            Comparator::Greater => order == Ordering::Greater,
            Comparator::GreaterEqual => order != Ordering::Less,
            Comparator::Less => order == Ordering::Less,
            Comparator::LessEqual => order != Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, version, expected) in [
            (">=1.2.0 <2.0.0", "1.9.9", true),
            (">= 1.2.0 < 2.0.0", "2.0.0", false),
            ("1.0.0 || 2.0.0||3.0.0", "3.0.0", true),
            ("!1.0.0", "1.0.0", false),
            ("1.x", "1.9.0", true),
            (">1.x", "1.9.0", false),
            ("1.2.x", "1.3.0", false),
            (">=1.28.0", "1.28.6-rc.1", true),
            ("1.28.6", "1.28.6+b", true),
        ] {
            let version = Version::parse(version).unwrap();
            assert_eq!(Range::parse(range).unwrap().contains(&version), expected, "{range}");
        }
        for bad in ["", "~1.0.0", "^1.0.0", "1.0", ">1.0.0,<2.0.0", "1.0.0 ||", "v1.0.0"] {
            assert!(Range::parse(bad).is_err(), "{bad}");
        }
    }
}
