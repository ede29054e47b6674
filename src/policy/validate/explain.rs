//! How a `validate` rule came to its verdict.

use serde_json::Value;

use crate::expr::Context;
use crate::expr::explain::{ELEMENTS, Steps};

use super::{Check, ForEach, Mismatch, Pattern, Scene, Source, Validate, Verdict};
use crate::policy::variables::{self, bind_element};

impl Validate {
    /// The parts of the rule, and what each says of the object.
    pub(crate) fn explain(&self, object: &Value, context: &Context<'_>, deleting: bool) -> Steps {
        let scene = Scene { rule: "", message: None, context, deleting };
        let mut steps = Steps::default();
        scene.explain(&self.check, object, 0, 0, &mut steps);
        steps
    }
}

impl Scene<'_, '_> {
    fn explain(&self, check: &Check, object: &Value, nesting: usize, depth: usize, steps: &mut Steps) {
        match check {
            Check::Deny(conditions) => {
                let holds = conditions.evaluate(self.context).map(|held| held.holds.into());
                steps.add(depth, "deny if", holds);
                steps.append(depth + 1, conditions.explain(self.context));
            }
            Check::Pattern(source) => self.explain_pattern(source, "pattern", object, depth, steps),
            Check::AnyPattern(sources) => {
                for (at, source) in sources.iter().enumerate() {
                    self.explain_pattern(source, &format!("anyPattern[{at}]"), object, depth, steps);
                }
            }
            Check::ForEach(loops) => {
                for (at, step) in loops.iter().enumerate() {
                    steps.head(depth, format!("foreach[{at}] of"));
                    steps.append(depth + 1, step.list.explain(self.context));
                    self.explain_elements(step, object, nesting, depth, steps);
                }
            }
        }
    }

    fn explain_pattern(&self, source: &Source, name: &str, object: &Value, depth: usize, steps: &mut Steps) {
        match source.matches(object, self.context) {
            Err(why) | Ok(Some(Mismatch::Error(why))) => steps.add(depth, name, Err(why)),
            Ok(None) => steps.add(depth, name, Ok(true.into())),
            Ok(Some(Mismatch::Fail(..))) => steps.add(depth, name, Ok(false.into())),
            Ok(Some(Mismatch::Skip(_))) => steps.head(depth, format!("{name} is not about the object")),
        }
        match source {
            Source::Ready(pattern) => steps.append(depth + 1, pattern.explain(object)),
            Source::Template(template) => {
                steps.append(depth + 1, template.explain(self.context));
                if let Ok(resolved) = template.resolve(self.context) {
                    steps.append(depth + 1, Pattern::compile(&resolved).explain(object));
                }
            }
        }
    }

    /// The element that decides, else the first ones.
    fn explain_elements(
        &self,
        step: &ForEach,
        object: &Value,
        nesting: usize,
        depth: usize,
        steps: &mut Steps,
    ) {
        let Ok(list) = self.context.query(&step.list) else { return };
        let elements = match list.as_ref() {
            Value::Array(elements) => elements.as_slice(),
            other => std::slice::from_ref(other),
        };
        let decides = |(index, element): &(usize, &Value)| {
            let judged = self.element(step, *index, element, object, nesting);
            judged.map_or(true, |judgement| {
                judgement.is_some_and(|judgement| !matches!(judgement.verdict, Verdict::Pass | Verdict::Skip))
            })
        };
        let deciding = elements.iter().enumerate().find(decides);
        let all = elements.iter().enumerate().filter(|(_, element)| !element.is_null());
        let shown = all.filter(|(index, _)| deciding.is_none_or(|(deciding, _)| deciding == *index));
        for (index, element) in shown.take(ELEMENTS) {
            self.explain_element(step, (index, element), object, nesting, depth, steps);
        }
    }

    fn explain_element(
        &self,
        step: &ForEach,
        (index, element): (usize, &Value),
        object: &Value,
        nesting: usize,
        depth: usize,
        steps: &mut Steps,
    ) {
        steps.add(depth + 1, format!("element {index}"), Ok(element.clone()));
        let mut context = self.context.child();
        bind_element(&mut context, element, index, nesting);
        variables::bind(&mut context, &step.entries);
        let mut inner = Steps::default();
        if variables::explain_preconditions(step.preconditions.as_ref(), &context, &mut inner) {
            let scoped = step.scoped(element).unwrap_or(false);
            let scene = Scene { context: &context, ..*self };
            let subject = if scoped { element } else { object };
            scene.explain(&step.check, subject, nesting + 1, 0, &mut inner);
        }
        steps.append(depth + 2, variables::explain(&context, &step.entries));
        steps.append(depth + 2, inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use crate::model::FieldPath;
    use crate::policy::reader::Reader;
    use serde_json::json;

    #[test]
    fn a_loop_shows_the_element_that_decides() {
        let rule = json!({"foreach": [{"list": "request.object.spec.containers",
            "context": [{"name": "tag", "variable": {"jmesPath": "split(element.image, ':')[1]"}}],
            "deny": {"conditions": {"any": [
                {"key": "{{ tag }}", "operator": "AnyIn", "value": ["latest", "{{ request.object.metadata.name }}"]}]}}}]});
        let object = json!({"metadata": {"name": "n"}, "spec": {"containers": [{"image": "a:1"}, {"image": "b:latest"}]}});
        let document = json!({"request": {"object": object}});
        let context = Context::of_document(Environment::default(), &document);
        let validate = Validate::compile(&Reader::new(&rule, FieldPath::default())).unwrap();
        insta::assert_snapshot!(validate.explain(&object, &context, false).to_text(), @r#"
        foreach[0] of
          request.object.spec.containers → [{"image":"a:1"},{"image":"b:latest"}]
          element 1 → {"image":"b:latest"}
            context tag → "latest"
              split(element.image, ':')[1] → "latest"
                split(element.image, ':') → ["b","latest"]
                  element.image → "b:latest"
                [1] → "latest"
            deny if → true
              any[0] key AnyIn value → true
                key → "latest"
                  tag → "latest"
                value → ["latest","n"]
                  request.object.metadata.name → "n"
        "#);
    }
}
