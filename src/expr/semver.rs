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
    /// Reads a range. What a word with an `x` stands for is worked out on its text, so that `1.x.x` is `>=1.0.0 <1.1.0`.
    pub fn parse(text: &str) -> Result<Range, String> {
        let mut alternatives = vec![Vec::new()];
        for word in words(text) {
            if word == "||" {
                alternatives.push(Vec::new());
                continue;
            }
            let read = if word.contains('x') { expanded(&word)? } else { vec![word] };
            for word in read {
                let (sign, version) = split(&word)?;
                let comparator = comparator(sign)
                    .ok_or_else(|| format!("could not parse comparator {sign:?} in the range {text:?}"))?;
                let bound = Version::parse(version)
                    .ok_or_else(|| format!("could not parse version {version:?} in the range {text:?}"))?;
                if let Some(last) = alternatives.last_mut() {
                    last.push((comparator, bound));
                }
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

/// The words of a range; `>= 1.2.3` is one word. A word of one letter is none.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut start, mut before) = (0, b' ');
    for (at, byte) in text.bytes().enumerate() {
        if byte == b' ' && !matches!(before, b'>' | b'<' | b'=') {
            if start + 1 < at {
                words.push(text[start..at].replace(' ', ""));
            }
            start = at + 1;
        } else if byte != b' ' {
            before = byte;
        }
    }
    if start + 1 < text.len() {
        words.push(text[start..].replace(' ', ""));
    }
    words
}

/// A word's sign and its version, which begins with the first digit.
fn split(word: &str) -> Result<(&str, &str), String> {
    let at = word.find(char::is_numeric).ok_or_else(|| format!("there is no version in {word:?}"))?;
    Ok((word[..at].trim(), &word[at..]))
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

/// The words that a word with an `x` stands for: `1.x` is `>=1.0.0` and `<2.0.0`. How many parts the version has says
/// which of them is counted up.
fn expanded(word: &str) -> Result<Vec<String>, String> {
    let (sign, version) = split(word)?;
    let count = version.split('.').count();
    let mut low = version.replacen(".x.x", ".x", 1).replacen(".x", ".0", 1);
    if low.split('.').count() == 2 {
        low.push_str(".0");
    }
    let high = match count {
        _ if !version.ends_with(".x") => String::new(),
        3 => counted_up(&low, 1),
        2 => counted_up(&low, 0),
        _ => String::new(),
    };
    Ok(match sign {
        "" | "=" | "==" => vec![format!(">={low}"), format!("<{high}")],
        "!" | "!=" => vec![format!("<{low}"), format!(">={high}")],
        ">" => vec![format!(">={high}")],
        "<=" => vec![format!("<{high}")],
        "<" | ">=" => vec![format!("{sign}{low}")],
        // What is no comparator is dropped here.
        _ => vec![low],
    })
}

/// A version with one of its numbers one higher; nothing if that is no number.
fn counted_up(version: &str, place: usize) -> String {
    let mut parts: Vec<String> = version.split('.').map(str::to_owned).collect();
    match parts.get(place).and_then(|part| part.parse::<i64>().ok()?.checked_add(1)) {
        Some(number) => {
            parts[place] = number.to_string();
            parts.join(".")
        }
        None => String::new(),
    }
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
            ("1.0.0 || 2.0.0 || 3.0.0", "3.0.0", true),
            ("1.x.x", "1.0.9", true),
            ("1.x.x", "1.1.0", false),
            ("!1.x", "3.0.0", false),
            ("! 1.0.0", "1.0.0", true),
            ("~1.2.x", "1.2.0", true),
            (">1.0.0 x", "2.0.0", true),
            ("<= 1.x", "1.9.0", true),
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
        for bad in [
            "",
            "~1.0.0",
            "^1.0.0",
            "1.0",
            ">1.0.0,<2.0.0",
            "1.0.0 ||",
            "v1.0.0",
            "1.0.0||2.0.0",
            "1.X",
            "1.*",
        ] {
            assert!(Range::parse(bad).is_err(), "{bad}");
        }
    }
}
