//! How an expression came to its value: its parts, each with its own value, outermost first.

use std::fmt::Write as _;

use serde_json::Value;

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 160;
/// The most steps that are shown.
const MOST: usize = 400;
/// Elements of a list that are shown where all say the same.
pub(crate) const ELEMENTS: usize = 3;

/// A part of an expression and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How far inside it stands.
    pub depth: usize,
    /// The part, as it could have been written; or what was asked of an object.
    pub text: String,
    /// Its value, or why it has none. `None` for a heading.
    pub value: Option<Result<Value, String>>,
}

/// Steps in the order in which they are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps(Vec<Step>);

impl Steps {
    /// Adds a step; what is beyond the most that is shown is left out.
    pub(crate) fn add(&mut self, depth: usize, text: impl Into<String>, value: Result<Value, String>) {
        self.push(Step { depth, text: text.into(), value: Some(value) });
    }

    /// Adds a heading.
    pub(crate) fn head(&mut self, depth: usize, text: impl Into<String>) {
        self.push(Step { depth, text: text.into(), value: None });
    }

    /// Adds steps of a part, so far inside.
    pub(crate) fn append(&mut self, depth: usize, steps: Steps) {
        steps.0.into_iter().for_each(|step| self.push(Step { depth: step.depth + depth, ..step }));
    }

    fn push(&mut self, step: Step) {
        if self.0.len() < MOST {
            self.0.push(step);
        }
    }

    /// The steps.
    pub fn as_slice(&self) -> &[Step] {
        &self.0
    }

    /// Whether there is room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// The same without values but `true`, `false` and `null`: those of a Secret, and what was made of them. `conceal`
    /// takes them out of what was written.
    #[must_use]
    pub fn concealed(self, conceal_in: impl Fn(&str) -> String) -> Steps {
        let conceal = |step: Step| Step {
            value: step.value.map(|value| match value {
                Ok(value @ (Value::Null | Value::Bool(_))) => Ok(value),
                Ok(_) => Ok(Value::String("(masked)".to_owned())),
                Err(_) => Err("(masked)".to_owned()),
            }),
            text: conceal_in(&step.text),
            ..step
        };
        Steps(self.0.into_iter().map(conceal).collect())
    }

    /// For people, a line a step: `object.spec.replicas > 3 → false`.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for step in &self.0 {
            let indent = "  ".repeat(step.depth);
            let text = step.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = match &step.value {
                None => writeln!(out, "{indent}{text}"),
                Some(Ok(value)) => writeln!(out, "{indent}{text} → {}", short(&value.to_string())),
                Some(Err(why)) => writeln!(out, "{indent}{text} → error: {}", short(why)),
            };
        }
        if self.is_full() {
            out.push_str("...\n");
        }
        out
    }
}

fn short(text: &str) -> String {
    let line = text.replace('\n', " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}... ({} characters)", &line[..end], line.chars().count()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_lines_and_long_values_are_cut() {
        let mut steps = Steps::default();
        steps.head(0, "rule a");
        steps.add(1, "a  ==\n b", Ok(json!(false)));
        steps.add(2, "a", Ok(json!("x".repeat(300))));
        steps.add(2, "b", Err("no such key: b".to_owned()));
        let text = steps.to_text();
        assert!(text.starts_with("rule a\n  a == b → false\n    a → \"xxx"), "{text}");
        assert!(text.contains("... (302 characters)\n    b → error: no such key: b\n"), "{text}");
        let text = steps.concealed(str::to_owned).to_text();
        assert!(!text.contains("xxx") && !text.contains("no such") && text.contains("→ false"), "{text}");
    }

    #[test]
    fn there_is_an_end() {
        let mut steps = Steps::default();
        (0..10_000).for_each(|n| steps.head(0, n.to_string()));
        assert!(steps.to_text().ends_with("...\n") && steps.as_slice().len() == MOST);
    }
}
