//! What each part of a pattern says of an object.

use serde_json::Value;

use crate::expr::explain::{ELEMENTS, Steps};

use super::{Anchor, CauseKind, Entry, MapNode, Node, Outcome, Pattern, Walk, effective_key};

impl Pattern {
    /// The parts of the pattern, and whether the object satisfies each.
    pub(crate) fn explain(&self, object: &Value) -> Steps {
        let mut steps = Steps::default();
        node(&self.0, object, "", 0, &mut steps);
        steps
    }
}

fn walk<'p>() -> Walk<'p> {
    Walk { path: Vec::new(), seen: Vec::new() }
}

/// What came of a part: `true`, `false`, or that it makes the rule pass the object over.
fn tell(steps: &mut Steps, depth: usize, text: &str, outcome: &Outcome) {
    match outcome {
        Err(cause) if cause.kind == CauseKind::Skip => {
            steps.add(depth, format!("{text}, without which the rule is not about this"), Ok(false.into()));
        }
        outcome => steps.add(depth, text, Ok(outcome.is_ok().into())),
    }
}

fn node(pattern: &Node, value: &Value, path: &str, depth: usize, steps: &mut Steps) {
    if steps.is_full() {
        return;
    }
    match (pattern, value) {
        (Node::Map(map), Value::Object(_)) => {
            map.anchors.iter().chain(&map.rest).for_each(|part| entry(part, map, value, path, depth, steps));
        }
        (Node::List(patterns), Value::Array(list)) => {
            let pattern_of = |at: usize| match patterns.first() {
                Some(Node::List(_)) => patterns.get(at),
                first => first,
            };
            let failing = list.iter().enumerate().position(|(at, element)| {
                pattern_of(at).is_some_and(|pattern| walk().node(pattern, Some(element)).is_err())
            });
            let shown = (0..list.len()).filter(|at| failing.is_none_or(|failing| failing == *at));
            for at in shown.take(ELEMENTS) {
                let Some(pattern) = pattern_of(at) else { continue };
                let path = format!("{path}[{at}]");
                scalar_or(
                    pattern,
                    Some(&list[at]),
                    &path,
                    &walk().node(pattern, Some(&list[at])),
                    depth,
                    steps,
                );
            }
        }
        (pattern, value) => {
            scalar_or(pattern, Some(value), path, &walk().node(pattern, Some(value)), depth, steps);
        }
    }
}

fn entry(entry: &Entry, of: &MapNode, value: &Value, path: &str, depth: usize, steps: &mut Steps) {
    let Value::Object(object) = value else { return };
    let key = effective_key(entry, of.wild_keys, object);
    let found = object.get(&*key);
    let outcome = walk().entry(entry, of.wild_keys, object);
    let shown = match entry.anchor {
        None => key.to_string(),
        Some(anchor) => format!("{}({key})", sign(anchor)),
    };
    let path = if path.is_empty() { shown } else { format!("{path}.{shown}") };
    scalar_or(&entry.node, found, &path, &outcome, depth, steps);
}

/// A part with its outcome, and below it what it was compared with, or its own parts.
fn scalar_or(
    pattern: &Node,
    value: Option<&Value>,
    path: &str,
    outcome: &Outcome,
    depth: usize,
    steps: &mut Steps,
) {
    match (pattern, value) {
        (Node::Scalar(wanted), value) => {
            tell(steps, depth, &format!("{path} matches {wanted}"), outcome);
            let found = value.cloned().ok_or_else(|| "it is not there".to_owned());
            steps.add(depth + 1, path, found);
        }
        (_, None) => {
            tell(steps, depth, path, outcome);
            steps.add(depth + 1, path, Err("it is not there".to_owned()));
        }
        (pattern, Some(value)) => {
            tell(steps, depth, path, outcome);
            let fits = matches!(
                (pattern, value),
                (Node::Map(_), Value::Object(_)) | (Node::List(_), Value::Array(_))
            );
            match fits {
                true => node(pattern, value, path, depth + 1, steps),
                false => steps.add(depth + 1, path, Ok(value.clone())),
            }
        }
    }
}

fn sign(anchor: Anchor) -> &'static str {
    match anchor {
        Anchor::Condition => "",
        Anchor::Equality => "=",
        Anchor::Existence => "^",
        Anchor::Negation => "X",
        Anchor::Global => "<",
        Anchor::AddIfAbsent => "+",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_part_is_shown_with_what_it_was_compared_with() {
        let pattern =
            json!({"spec": {"=(replicas)": "<3", "containers": [{"(name)": "a", "image": "!*:latest"}]}});
        let object = json!({"spec": {"containers": [{"name": "b", "image": "x:latest"}, {"name": "a", "image": "y:latest"}]}});
        insta::assert_snapshot!(Pattern::compile(&pattern).explain(&object).to_text(), @r#"
        spec → false
          spec.=(replicas) matches "<3" → true
            spec.=(replicas) → error: it is not there
          spec.containers → false
            spec.containers[0], without which the rule is not about this → false
              spec.containers[0].(name) matches "a", without which the rule is not about this → false
                spec.containers[0].(name) → "b"
              spec.containers[0].image matches "!*:latest" → false
                spec.containers[0].image → "x:latest"
        "#);
    }
}
