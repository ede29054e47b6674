//! A finding as people read it: the message, then the place with its line, then what to do.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Finding, Location, Severity};

/// A finding ready to print; `color` switches ANSI styles on.
pub struct Rendered<'a> {
    /// What to print.
    pub finding: &'a Finding,
    /// Whether to style it for a terminal.
    pub color: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rendered { finding: self, color: false }.fmt(f)
    }
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = self.finding;
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = match &finding.object {
            Some(object) => format!("{object}: {}", finding.message),
            None => finding.message.clone(),
        };
        let code = finding.code.to_string();
        let mut group = Group::with_title(level.primary_title(title.as_str()).id(code.as_str()));
        let places: Vec<(&Location, AnnotationKind)> = [
            finding.location.as_ref().map(|l| (l, AnnotationKind::Primary)),
            finding.related.as_ref().map(|l| (l, AnnotationKind::Context)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let path = finding.path.as_ref().map(ToString::to_string);
        let mut bare = Vec::new();
        for (place, kind) in &places {
            let path = path.as_deref().filter(|_| matches!(kind, AnnotationKind::Primary));
            match &place.text {
                Some(text) => {
                    group = group.element(
                        Snippet::source(text.as_str())
                            .line_start(place.line as usize)
                            .path(place.file.as_str())
                            .annotation(kind.span(span_of(text, place.column)).label(path)),
                    );
                }
                None => {
                    let path = path.map_or(String::new(), |path| format!(" ({path})"));
                    bare.push(format!("{}:{}:{}{path}", place.file, place.line, place.column));
                }
            }
        }
        for place in &bare {
            group = group.element(Level::NOTE.no_name().message(format!("at {place}")));
        }
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if self.color { Renderer::styled() } else { Renderer::plain() };
        f.write_str(renderer.render(&[group]).trim_end())
    }
}

/// The bytes of the word at `column` (in characters, from 1), at least one byte if there is any.
fn span_of(text: &str, column: u32) -> std::ops::Range<usize> {
    let start = text.char_indices().nth(column.saturating_sub(1) as usize).map_or(text.len(), |(i, _)| i);
    let end = text[start..].find(char::is_whitespace).map_or(text.len(), |n| start + n);
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Code;

    #[test]
    fn a_finding_shows_its_line() {
        let location = Location {
            file: "a/b.yaml".parse().unwrap(),
            line: 7,
            column: 3,
            text: Some("  version: v1.26.0".into()),
        };
        let finding = Finding::error(Code::PolicyViolation, "not supported").at(location).help("use v1.29.3");
        let text = finding.to_string();
        assert!(text.starts_with("error[MOIN-0502]: not supported"), "{text}");
        assert!(text.contains("a/b.yaml:7:3") && text.contains("  version: v1.26.0"), "{text}");
        assert!(text.contains("help: use v1.29.3"), "{text}");
    }
}
