//! How an expression came to its value: its parts, each with its own value, outermost first.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 160;
/// The most steps that are shown.
const MOST: usize = 400;
/// Elements of a list that are shown where all say the same.
pub(crate) const ELEMENTS: usize = 3;
/// What stands for a value that must not be shown.
const MASKED: &str = "(masked)";

/// A part of an expression and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// How far inside it stands.
    pub depth: usize,
    /// The part, as it could have been written; or what was asked of an object.
    pub text: String,
    /// Where its value comes from, if it was given or looked up: `the cluster`.
    pub from: Option<Cow<'static, str>>,
    /// What came of it.
    pub came: Came,
}

/// What came of a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// It is a heading, or tells all there is to tell.
    Nothing,
    /// A value.
    Value(Value),
    /// Why there is none.
    Error(String),
    /// Another value than before; `None` where there is nothing.
    Change(Option<Value>, Option<Value>),
}

/// Steps in the order in which they are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps(Vec<Step>);

impl Steps {
    /// Adds a step; what is beyond the most that is shown is left out.
    pub(crate) fn add(&mut self, depth: usize, text: impl Into<String>, value: Result<Value, String>) {
        self.add_from(depth, text, None, value);
    }

    /// The same, with where its value comes from.
    pub(crate) fn add_from(
        &mut self,
        depth: usize,
        text: impl Into<String>,
        from: Option<Cow<'static, str>>,
        value: Result<Value, String>,
    ) {
        let came = value.map_or_else(Came::Error, Came::Value);
        self.push(Step { depth, text: text.into(), from, came });
    }

    /// Adds a heading.
    pub(crate) fn head(&mut self, depth: usize, text: impl Into<String>) {
        self.push(Step { depth, text: text.into(), from: None, came: Came::Nothing });
    }

    /// Adds what differs between two values, field by field.
    pub(crate) fn changes(&mut self, depth: usize, before: &Value, after: &Value) {
        self.difference(depth, String::new(), Some(before), Some(after));
    }

    fn difference(&mut self, depth: usize, path: String, before: Option<&Value>, after: Option<&Value>) {
        if before == after || self.is_full() {
            return;
        }
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let added = new.keys().filter(|key| !old.contains_key(*key));
                for key in old.keys().chain(added) {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.difference(depth, format!("{path}{dot}{key}"), old.get(key), new.get(key));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                for at in 0..old.len().max(new.len()) {
                    self.difference(depth, format!("{path}[{at}]"), old.get(at), new.get(at));
                }
            }
            _ => {
                let came = Came::Change(before.cloned(), after.cloned());
                self.push(Step { depth, text: path, from: None, came });
            }
        }
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

    /// Whether there is room for no more.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// The same without values but `true`, `false` and `null`: those of a Secret, and what was made of them. `conceal_in`
    /// takes them out of what was written, errors included, of which what they quote goes as well.
    #[must_use]
    pub fn concealed(self, conceal_in: impl Fn(&str) -> String) -> Steps {
        self.without_values(&conceal_in, |error, text| conceal_in(&without_quoted(error, text)))
    }

    /// The same where nobody knows which values are secret: errors go as a whole.
    #[must_use]
    pub(crate) fn hidden(self) -> Steps {
        self.without_values(str::to_owned, |_, _| MASKED.to_owned())
    }

    fn without_values(
        self,
        in_text: impl Fn(&str) -> String,
        in_error: impl Fn(&str, &str) -> String,
    ) -> Steps {
        let masked = |value: Value| match value {
            Value::Null | Value::Bool(_) => value,
            _ => Value::String(MASKED.to_owned()),
        };
        let conceal = |step: Step| Step {
            came: match step.came {
                Came::Nothing => Came::Nothing,
                Came::Value(value) => Came::Value(masked(value)),
                Came::Error(error) => Came::Error(in_error(&error, &step.text)),
                Came::Change(before, after) => Came::Change(before.map(masked), after.map(masked)),
            },
            text: in_text(&step.text),
            ..step
        };
        Steps(self.0.into_iter().map(conceal).collect())
    }

    /// For people, a line a step: `object.spec.replicas > 3 → false`.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for step in &self.0 {
            let indent = "  ".repeat(step.depth);
            let mut text = step.text.split_whitespace().collect::<Vec<_>>().join(" ");
            if let Some(from) = &step.from {
                text += &format!(" (from {from})");
            }
            let shown = |value: &Option<Value>| {
                value.as_ref().map_or_else(|| "nothing".to_owned(), |value| short(&value.to_string()))
            };
            let _ = match &step.came {
                Came::Nothing => writeln!(out, "{indent}{text}"),
                Came::Value(value) => writeln!(out, "{indent}{text} → {}", short(&value.to_string())),
                Came::Error(why) => writeln!(out, "{indent}{text} → error: {}", short(why)),
                Came::Change(before, after) => {
                    writeln!(out, "{indent}{text}: {} → {}", shown(before), shown(after))
                }
            };
        }
        if self.is_full() {
            out.push_str("...\n");
        }
        out
    }

    /// For machines: a list of steps, each with `text`, one of `value`, `error` or `before` and `after`, where it comes
    /// `from`, and the `steps` inside it. Values are whole.
    pub fn to_json(&self) -> Value {
        let mut at = 0;
        self.level(0, &mut at)
    }

    /// The steps from one on that stand at least so far inside.
    fn level(&self, depth: usize, at: &mut usize) -> Value {
        let mut list = Vec::new();
        while let Some(step) = self.0.get(*at).filter(|step| step.depth >= depth) {
            *at += 1;
            let mut fields = step.to_json();
            if let Value::Array(inner) = self.level(step.depth + 1, at)
                && !inner.is_empty()
            {
                fields.insert("steps".to_owned(), inner.into());
            }
            list.push(fields.into());
        }
        Value::Array(list)
    }
}

impl Step {
    fn to_json(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("text", self.text.as_str().into());
        if let Some(from) = &self.from {
            set("from", from.as_ref().into());
        }
        match &self.came {
            Came::Nothing => {}
            Came::Value(value) => drop(set("value", value.clone())),
            Came::Error(why) => drop(set("error", why.as_str().into())),
            Came::Change(before, after) => {
                for (name, value) in [("before", before), ("after", after)] {
                    value.as_ref().map(|value| set(name, value.clone()));
                }
            }
        }
        fields
    }
}

/// An error without what it quotes, which may be made of values, unless that stands in the expression.
fn without_quoted(error: &str, expression: &str) -> String {
    let mut out = String::new();
    let mut rest = error;
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(at);
        let (quote, inner) = quoted.split_at(1);
        out.push_str(before);
        out.push_str(quote);
        rest = inner;
        // An apostrophe quotes nothing.
        if before.ends_with(char::is_alphanumeric) {
            continue;
        }
        let end = inner.find(quote).unwrap_or(inner.len());
        let (inner, after) = inner.split_at(end);
        out.push_str(if expression.contains(inner) { inner } else { MASKED });
        out.push_str(after.get(..1).unwrap_or_default());
        rest = after.get(1..).unwrap_or_default();
    }
    out + rest
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
        assert!(!text.contains("xxx") && text.contains("→ false"), "{text}");
    }

    #[test]
    fn errors_keep_their_words_and_lose_values() {
        let mut steps = Steps::default();
        steps.add(0, "int(object.data.key)", Err("it can't be: 'hunt' of 'key', hunter2".to_owned()));
        steps.add(0, "a", Err("no end of \"hunt".to_owned()));
        let conceal = |text: &str| text.replace("hunter2", MASKED);
        assert_eq!(
            steps.clone().concealed(conceal).to_text(),
            "int(object.data.key) → error: it can't be: '(masked)' of 'key', (masked)\na → error: no end of \"(masked)\n"
        );
        assert!(!steps.hidden().to_text().contains("be"));
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let before = json!({"spec": {"replicas": 1, "gone": {"a": 1}}, "l": [1, 2]});
        let after = json!({"spec": {"replicas": 3, "new": "x"}, "l": [1, 4, 5]});
        let mut steps = Steps::default();
        steps.changes(0, &before, &after);
        let mut told: Vec<String> = steps.to_text().lines().map(str::to_owned).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "l[1]: 2 → 4",
                "l[2]: nothing → 5",
                "spec.gone: {\"a\":1} → nothing",
                "spec.new: nothing → \"x\"",
                "spec.replicas: 1 → 3"
            ]
        );
        let masked = steps.concealed(str::to_owned).to_text();
        assert!(masked.contains("spec.replicas: \"(masked)\" → \"(masked)\""), "{masked}");
    }

    #[test]
    fn machines_get_a_tree() {
        let mut steps = Steps::default();
        steps.head(0, "pattern");
        steps.add(1, "a", Ok(json!([1])));
        steps.add(2, "b", Err("no".to_owned()));
        steps.add_from(0, "c", Some("the cluster".into()), Ok(json!(null)));
        steps.changes(0, &json!({"d": 1}), &json!({}));
        assert_eq!(
            steps.to_json(),
            json!([
                {"text": "pattern", "steps": [{"text": "a", "value": [1], "steps": [{"text": "b", "error": "no"}]}]},
                {"text": "c", "from": "the cluster", "value": null},
                {"text": "d", "before": 1},
            ])
        );
    }

    #[test]
    fn there_is_an_end() {
        let mut steps = Steps::default();
        (0..10_000).for_each(|n| steps.head(0, n.to_string()));
        assert!(steps.to_text().ends_with("...\n") && steps.as_slice().len() == MOST);
    }
}
