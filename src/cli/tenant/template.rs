//! Filling the files of a template: `${name}` in file names and in their text.

use std::collections::BTreeMap;

/// A file of a template that cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nobody says what a name stands for.
    #[error("line {line}: nobody says what ${{{name}}} is: give it with --set {name}=VALUE")]
    Unknown {
        /// The name.
        name: String,
        /// Line in the text, from 1.
        line: usize,
    },
    /// `${` without its end.
    #[error("line {line}: `${{` is not closed")]
    Open {
        /// Line in the text, from 1.
        line: usize,
    },
    /// Values that hold each other.
    #[error("line {line}: the value of {name} holds itself")]
    Circle {
        /// A name of the circle.
        name: String,
        /// Line in the text, from 1.
        line: usize,
    },
}

/// How deep values may hold other values.
const DEEPEST: usize = 8;

/// Puts the values in the place of `${name}`; `$${` stands for `${` itself.
///
/// # Errors
/// [`TemplateError`] for the first place that cannot be filled.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    fill_within(text, values, 0)
}

fn fill_within(text: &str, values: &BTreeMap<String, String>, depth: usize) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let line = text[..text.len() - rest.len() + at].matches('\n').count() + 1;
        out.push_str(&rest[..at]);
        if out.ends_with('$') {
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        let inner = &rest[at + 2..];
        let end = inner.find(['}', '\n']).filter(|end| inner[*end..].starts_with('}'));
        let end = end.ok_or(TemplateError::Open { line })?;
        let name = inner[..end].trim();
        let value = values.get(name).ok_or_else(|| TemplateError::Unknown { name: name.to_owned(), line })?;
        if depth == DEEPEST {
            return Err(TemplateError::Circle { name: name.to_owned(), line });
        }
        out.push_str(&fill_within(value, values, depth + 1)?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The names that a text asks for.
pub fn names_in(text: &str) -> Vec<&str> {
    let places = text.match_indices("${").filter(|(at, _)| !text[..*at].ends_with('$'));
    let names = places.filter_map(|(at, _)| {
        let inner = &text[at + 2..];
        let end = inner.find(['}', '\n']).filter(|end| inner[*end..].starts_with('}'))?;
        Some(inner[..end].trim())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, TemplateError> {
        let values = [("tenant", "team-c"), ("team", "${tenant}"), ("a", "${b}"), ("b", "${a}")];
        fill(text, &values.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    #[test]
    fn names_give_way_to_their_values() {
        assert_eq!(filled("n: ${tenant}\ng: oidc:${ team }").unwrap(), "n: team-c\ng: oidc:team-c");
        assert_eq!(filled("cost: $5, $${tenant}").unwrap(), "cost: $5, ${tenant}");
    }

    #[test]
    fn the_names_in_a_text() {
        assert_eq!(names_in("${a} $${b} ${ c }${d"), ["a", "c"]);
    }

    #[test]
    fn what_cannot_be_filled_says_where() {
        assert_eq!(filled("\n${size}"), Err(TemplateError::Unknown { name: "size".into(), line: 2 }));
        assert_eq!(filled("${tenant\n}"), Err(TemplateError::Open { line: 1 }));
        assert!(matches!(filled("${a}"), Err(TemplateError::Circle { .. })));
    }
}
