//! Which patch of a `mutate` rule changes what.

use std::borrow::Cow;

use serde_json::Value;

use super::{About, Change, ForEach, Mutate, json_patch};
use crate::expr::Context;
use crate::expr::explain::{ELEMENTS, Steps};
use crate::policy::variables::{self, bind_element};
use crate::schema::TypeRef;

impl Mutate {
    /// Each patch with its variables, and the fields that it changes.
    pub(crate) fn explain(&self, object: &Value, ty: Option<&TypeRef>, context: &Context<'_>) -> Steps {
        let mut steps = Steps::default();
        let about = About { ty, name: if self.targets.is_empty() { "request.object" } else { "target" } };
        self.change.explain(Cow::Borrowed(object), &about, context, 0, &mut steps);
        steps
    }
}

impl Change {
    /// Tells what it does, and answers the object after it.
    fn explain<'o>(
        &self,
        object: Cow<'o, Value>,
        about: &About<'_>,
        context: &Context<'_>,
        nesting: usize,
        steps: &mut Steps,
    ) -> Cow<'o, Value> {
        let changed = self.evaluate(&object, about, context, nesting);
        match self {
            Change::ForEach(loops) => {
                return loops
                    .iter()
                    .enumerate()
                    .fold(object, |now, (at, step)| step.explain(at, now, about, context, nesting, steps));
            }
            Change::Strategic(patch) => {
                steps.head(0, "patchStrategicMerge");
                steps.append(1, patch.explain(context));
                tell(&object, &changed, 1, steps);
            }
            Change::JsonPatch(patch) => {
                steps.head(0, "patchesJson6902");
                steps.append(1, patch.explain(context));
                let operations = patch.resolve(context).ok();
                let operations = operations.and_then(|patch| json_patch::operations(patch.as_str()?).ok());
                let mut now = object.as_ref().clone();
                for operation in operations.into_iter().flatten() {
                    let before = now.clone();
                    let done = json_patch::operate(&mut now, &operation).map(|()| Some(now.clone()));
                    let text = |name: &str| operation[name].as_str().unwrap_or_default();
                    steps.head(1, format!("{} {}", text("op"), text("path")));
                    tell(&before, &done, 2, steps);
                    if done.is_err() {
                        break;
                    }
                }
                if now == *object && changed.is_err() {
                    tell(&object, &changed, 1, steps);
                }
            }
        }
        changed.ok().flatten().map_or(object, Cow::Owned)
    }
}

impl ForEach {
    fn explain<'o>(
        &self,
        at: usize,
        object: Cow<'o, Value>,
        about: &About<'_>,
        context: &Context<'_>,
        nesting: usize,
        steps: &mut Steps,
    ) -> Cow<'o, Value> {
        let now = object.clone().into_owned();
        let mut outer = context.child();
        outer.bind(about.name, &now);
        steps.head(0, format!("foreach[{at}] of"));
        steps.append(1, self.list.explain(&outer));
        let Ok(list) = outer.query(&self.list).map(Cow::into_owned) else { return object };
        let elements = match list {
            Value::Array(elements) => elements,
            other => vec![other],
        };
        let mut order: Vec<usize> = (0..elements.len()).filter(|index| !elements[*index].is_null()).collect();
        if self.descending {
            order.reverse();
        }
        let mut current = object;
        for (shown, index) in order.into_iter().enumerate() {
            let before = current.clone().into_owned();
            let mut inner = outer.child();
            inner.bind(about.name, &before);
            bind_element(&mut inner, &elements[index], index, nesting);
            variables::bind(&mut inner, &self.entries);
            let mut told = Steps::default();
            if variables::explain_preconditions(self.preconditions.as_ref(), &inner, &mut told) {
                current = self.change.explain(current, about, &inner, nesting + 1, &mut told);
            }
            // What changes nothing is of interest only as an example.
            if before != *current || shown < ELEMENTS {
                steps.add(1, format!("element {index}"), Ok(elements[index].clone()));
                steps.append(2, variables::explain(&inner, &self.entries));
                steps.append(2, told);
            }
        }
        current
    }
}

/// What changed, that nothing did, or why it failed.
fn tell(before: &Value, changed: &Result<Option<Value>, String>, depth: usize, steps: &mut Steps) {
    match changed {
        Ok(Some(after)) if after != before => steps.changes(depth, before, after),
        Ok(_) => steps.head(depth, "it changes nothing"),
        Err(why) => steps.add(depth, "it fails", Err(why.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use crate::model::FieldPath;
    use crate::policy::reader::Reader;
    use serde_json::json;

    fn explained(rule: &Value, object: &Value) -> String {
        let document = json!({"request": {"object": object}});
        let context = Context::of_document(Environment::default(), &document);
        let mutate = Mutate::compile(&Reader::new(rule, FieldPath::default())).unwrap();
        mutate.explain(object, None, &context).to_text()
    }

    #[test]
    fn each_patch_tells_what_it_changes() {
        let object = json!({"metadata": {"name": "n"}, "spec": {"replicas": 1, "l": ["a", "b"]}});
        let rule = json!({"patchStrategicMerge": {
            "metadata": {"labels": {"+(of)": "{{ request.object.metadata.name }}"}}, "spec": {"replicas": 3}}});
        insta::assert_snapshot!(explained(&rule, &object), @r#"
        patchStrategicMerge
          request.object.metadata.name → "n"
          metadata.labels: nothing → {"of":"n"}
          spec.replicas: 1 → 3
        "#);
        let rule = json!({"foreach": [{
            "list": "request.object.spec.l",
            "preconditions": {"all": [{"key": "{{ element }}", "operator": "NotEquals", "value": "a"}]},
            "patchesJson6902": "- {op: replace, path: /spec/l/{{elementIndex}}, value: 'x-{{ element }}'}"
        }]});
        insta::assert_snapshot!(explained(&rule, &object), @r#"
        foreach[0] of
          request.object.spec.l → ["a","b"]
          element 0 → "a"
            preconditions → false
              all[0] key NotEquals "a" → false
                key → "a"
                  element → "a"
          element 1 → "b"
            preconditions → true
              all[0] key NotEquals "a" → true
                key → "b"
                  element → "b"
            patchesJson6902
              elementIndex → 1
              element → "b"
              replace /spec/l/1
                spec.l[1]: "b" → "x-b"
        "#);
    }
}
