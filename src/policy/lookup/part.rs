//! What may become a part of a path: a name from an object must not lead to another place than the policy means.

/// Whether a text is one part of a path of the API server: `..`, `b/log` and `b?watch=true` are none.
pub(crate) fn is_part(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    !part.is_empty() && part.bytes().all(fits) && !part.bytes().all(|byte| byte == b'.')
}

/// Where a path has variables.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Parts, those with a variable as `None`.
    parts: Vec<Option<String>>,
    /// How the query begins, up to its first variable.
    query: Option<String>,
}

/// Stands for a variable: in no path.
const VARIABLE: char = '\0';

impl Shape {
    /// Of a template; `None` for one whose parts are all the policy's own, or all a variable's.
    pub(super) fn of(template: &str) -> Option<Shape> {
        let plain = without_variables(template);
        if !plain.contains(VARIABLE) || plain.trim() == VARIABLE.to_string() {
            return None;
        }
        let (path, query) = split(&plain);
        let part = |part: &str| (!part.contains(VARIABLE)).then(|| part.to_owned());
        let begin = |query: &str| query.split(VARIABLE).next().unwrap_or_default().to_owned();
        Some(Shape { parts: path.split('/').map(part).collect(), query: query.map(begin) })
    }

    /// The path, if its variables fill parts of it and nothing else.
    pub(super) fn checked(&self, path: String) -> Result<String, String> {
        let (before, query) = split(&path);
        let parts: Vec<&str> = before.split('/').collect();
        let same = |(part, own): (&&str, &Option<String>)| match own {
            Some(own) => own == part,
            None => is_part(part),
        };
        let fits = parts.len() == self.parts.len()
            && parts.iter().zip(&self.parts).all(same)
            && match (query, &self.query) {
                (None, None) => true,
                (Some(query), Some(begin)) => query.starts_with(begin.as_str()),
                _ => false,
            };
        if fits { Ok(path) } else { Err(refused(&path)) }
    }
}

/// Why something is not looked up.
pub(super) fn refused(what: &str) -> String {
    format!("{what:?} cannot be looked up: a name in it is no part of a path")
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)))
}

/// A template with a placeholder for each outermost `{{ }}`.
fn without_variables(template: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut rest) = (0_usize, template);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("{{") {
            if depth == 0 {
                out.push(VARIABLE);
            }
            depth += 1;
            2
        } else if depth > 0 && rest.starts_with("}}") {
            depth -= 1;
            2
        } else {
            if depth == 0 {
                out.push(first);
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_fill_parts_and_nothing_else() {
        let template = "/api/v1/namespaces/{{ request.namespace }}/pods/web-{{ a.{{ b }} }}?limit={{ c }}";
        let shape = Shape::of(template).unwrap();
        for path in ["/api/v1/namespaces/n/pods/web-1?limit=1", "/api/v1/namespaces/n/pods/web-a.b?limit="] {
            assert_eq!(shape.checked(path.to_owned()), Ok(path.to_owned()));
        }
        for path in [
            "/api/v1/namespaces//pods/web-1?limit=1",
            "/api/v1/namespaces/../pods/web-1?limit=1",
            "/api/v1/namespaces/n/pods/web-1/log?limit=1",
            "/api/v1/namespaces/a/secrets/b?c/pods/web-1?limit=1",
            "/api/v1/namespaces/n/pods/web-1?watch=true?limit=1",
            "/api/v1/namespaces/n/pods/web-%2e?limit=1",
        ] {
            assert!(shape.checked(path.to_owned()).is_err(), "{path}");
        }
        assert!(Shape::of("/api/v1/pods").is_none() && Shape::of("{{ path }}").is_none());
    }
}
