//! `mutate` rules: strategic merge patches, JSON patches, and both for each element of a list.

mod explain;
mod json_patch;
mod prepare;
mod strategic;
mod targets;

use serde_json::Value;

use crate::expr::{Context, Expression, ResolveError, Template};
use crate::schema::TypeRef;

use super::condition::Conditions;
use super::reader::{Reader, Result};
use super::validate::{Judgement, STEPS_AN_ELEMENT, Verdict};
use super::variables::{self, Entry, bind_element, expression, template};

pub(crate) use targets::Target;

/// A compiled `mutate`.
#[derive(Debug, Clone)]
pub(crate) struct Mutate {
    change: Change,
    /// What is changed; empty if it is the object at hand.
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Clone)]
enum Change {
    Strategic(Template),
    JsonPatch(Template),
    ForEach(Vec<ForEach>),
}

#[derive(Debug, Clone)]
struct ForEach {
    list: Expression,
    descending: bool,
    entries: Vec<Entry>,
    preconditions: Option<Conditions>,
    change: Change,
}

impl Mutate {
    pub(crate) fn compile(reader: &Reader<'_>) -> Result<Mutate> {
        Ok(Mutate { change: compile_change(reader)?, targets: targets::compile(reader)? })
    }

    /// Changes an object: the verdict, and the new object if it was changed.
    pub(crate) fn evaluate(
        &self,
        object: &Value,
        ty: Option<&TypeRef>,
        context: &Context<'_>,
    ) -> (Judgement, Option<Value>) {
        let about = About { ty, name: if self.targets.is_empty() { "request.object" } else { "target" } };
        match self.change.evaluate(object, &about, context, 0) {
            Err(error) => (Judgement::new(Verdict::Error, error), None),
            Ok(Some(changed)) if changed != *object => {
                (Judgement::new(Verdict::Pass, success(&changed)), Some(changed))
            }
            Ok(_) => {
                let message = match self.change {
                    Change::ForEach(_) => "0 elements processed",
                    _ => "no patches applied",
                };
                (Judgement::new(Verdict::Skip, message), None)
            }
        }
    }
}

fn success(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let what = format!("mutated {}/{}", text(&object["kind"]), text(&metadata["name"]));
    match metadata["namespace"].as_str() {
        None | Some("") => what,
        Some(namespace) => format!("{what} in namespace {namespace}"),
    }
}

fn compile_change(reader: &Reader<'_>) -> Result<Change> {
    if let Some(patch) = reader.field("patchStrategicMerge") {
        patch.map()?;
        return Ok(Change::Strategic(template(&patch)?));
    }
    if let Some(patch) = reader.field("patchesJson6902") {
        patch.text()?;
        return Ok(Change::JsonPatch(template(&patch)?));
    }
    let steps = reader.list("foreach")?;
    if steps.is_empty() {
        return Err(reader.error("one of patchStrategicMerge, patchesJson6902, foreach is missing"));
    }
    Ok(Change::ForEach(steps.iter().map(compile_step).collect::<Result<_>>()?))
}

fn compile_step(reader: &Reader<'_>) -> Result<ForEach> {
    let list = reader.field("list").ok_or_else(|| reader.error("list is missing"))?;
    let entries = variables::entries(reader)?;
    let change = compile_change(reader)?;
    let descending = match reader.field("order") {
        None => matches!(change, Change::Strategic(_)),
        Some(order) => match order.text()? {
            "Descending" => true,
            "Ascending" => false,
            _ => return Err(order.error("Ascending or Descending is expected here")),
        },
    };
    Ok(ForEach {
        list: expression(&list)?,
        descending,
        entries,
        preconditions: reader.field("preconditions").map(|c| Conditions::compile(&c)).transpose()?,
        change,
    })
}

/// What is changed.
struct About<'a> {
    ty: Option<&'a TypeRef>,
    /// The name that expressions know it by.
    name: &'static str,
}

type Changed = std::result::Result<Option<Value>, String>;

impl Change {
    /// The changed object; `None` when nothing was to be changed.
    fn evaluate(&self, object: &Value, about: &About<'_>, context: &Context<'_>, nesting: usize) -> Changed {
        let unresolved = |e: ResolveError| format!("variable substitution failed: {e}");
        let failed = |e: String| format!("failed to patch resource: {e}");
        match self {
            Change::Strategic(patch) => {
                let patch =
                    prepare::prepare(patch.resolve(context).map_err(unresolved)?.into_owned(), object)
                        .map_err(failed)?;
                Ok(patch.map(|patch| strategic::merge(object, &patch, about.ty)))
            }
            Change::JsonPatch(patch) => {
                let patch = patch.resolve(context).map_err(unresolved)?;
                json_patch::apply(object, patch.as_str().unwrap_or_default()).map(Some).map_err(failed)
            }
            Change::ForEach(steps) => for_each(steps, object, about, context, nesting),
        }
    }
}

fn for_each(
    steps: &[ForEach],
    object: &Value,
    about: &About<'_>,
    context: &Context<'_>,
    nesting: usize,
) -> Changed {
    let mut current: Option<Value> = None;
    for step in steps {
        let now = current.as_ref().unwrap_or(object).clone();
        let mut outer = context.child();
        outer.bind(about.name, &now);
        let list = outer
            .query(&step.list)
            .map_err(|e| format!("failed to evaluate list {}: {e}", step.list.text()))?
            .into_owned();
        let elements = match list {
            Value::Array(elements) => elements,
            other => vec![other],
        };
        let changed = step
            .elements(elements, &now, about, &outer, nesting)
            .map_err(|e| format!("failed to mutate elements: {e}"))?;
        current = changed.or(current);
    }
    Ok(current)
}

/// How many values a value holds.
fn nodes(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<u64>(),
        Value::Object(map) => 1 + map.values().map(nodes).sum::<u64>(),
        _ => 1,
    }
}

impl ForEach {
    fn elements(
        &self,
        elements: Vec<Value>,
        object: &Value,
        about: &About<'_>,
        context: &Context<'_>,
        nesting: usize,
    ) -> Changed {
        let mut current: Option<Value> = None;
        let mut order: Vec<usize> = (0..elements.len()).collect();
        if self.descending {
            order.reverse();
        }
        // Each element makes the object anew.
        let steps = STEPS_AN_ELEMENT + nodes(object) / 8;
        for index in order.into_iter().filter(|index| !elements[*index].is_null()) {
            context.spend(steps).map_err(|e| e.to_string())?;
            let changed = self.element(
                &elements[index],
                index,
                current.as_ref().unwrap_or(object),
                about,
                context,
                nesting,
            )?;
            current = changed.or(current);
        }
        Ok(current.filter(|changed| changed != object))
    }

    fn element(
        &self,
        element: &Value,
        index: usize,
        object: &Value,
        about: &About<'_>,
        context: &Context<'_>,
        nesting: usize,
    ) -> Changed {
        let mut inner = context.child();
        // Later elements see what earlier ones changed.
        inner.bind(about.name, object);
        bind_element(&mut inner, element, index, nesting);
        variables::bind(&mut inner, &self.entries);
        if let Some(conditions) = &self.preconditions {
            let held = conditions
                .evaluate(&inner)
                .map_err(|e| format!("failed to evaluate mutate.foreach[{index}].preconditions: {e}"))?;
            if !held.holds {
                return Ok(None);
            }
        }
        self.change.evaluate(object, about, &inner, nesting + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use crate::model::FieldPath;
    use serde_json::json;

    fn mutate(rule: &Value, object: &Value) -> (Judgement, Option<Value>) {
        let rule = Mutate::compile(&Reader::new(rule, FieldPath::default())).unwrap();
        let mut context = Context::new(Environment::default());
        context.bind("request.object", object);
        rule.evaluate(object, None, &context)
    }

    #[test]
    fn a_patch_changes_or_is_skipped() {
        let object = json!({"kind": "A", "metadata": {"name": "x", "namespace": "n"}, "spec": {"size": 1}});
        let rule =
            json!({"patchStrategicMerge": {"spec": {"size": 2, "of": "{{ request.object.metadata.name }}"}}});
        let (judgement, changed) = mutate(&rule, &object);
        assert_eq!(judgement, Judgement::new(Verdict::Pass, "mutated A/x in namespace n"));
        assert_eq!(changed.unwrap()["spec"], json!({"size": 2, "of": "x"}));
        let rule = json!({"patchStrategicMerge": {"spec": {"(size)": 2, "of": "x"}}});
        assert_eq!(mutate(&rule, &object), (Judgement::new(Verdict::Skip, "no patches applied"), None));
        let rule = json!({"patchStrategicMerge": {"spec": {"of": "{{ request.object.gone }}"}}});
        assert_eq!(mutate(&rule, &object).0.verdict, Verdict::Error);
    }

    #[test]
    fn each_element_is_patched() {
        let object = json!({"metadata": {"name": "x"}, "spec": {"l": ["a", "b"]}});
        let rule = json!({"foreach": [{
            "list": "request.object.spec.l",
            "preconditions": {"all": [{"key": "{{ element }}", "operator": "NotEquals", "value": "a"}]},
            "patchesJson6902": "- {op: replace, path: /spec/l/{{elementIndex}}, value: 'x-{{ element }}'}"
        }]});
        let (judgement, changed) = mutate(&rule, &object);
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
        assert_eq!(changed.unwrap()["spec"]["l"], json!(["a", "x-b"]));
        let mut other = object.clone();
        other["spec"]["l"] = json!(["a"]);
        assert_eq!(mutate(&rule, &other).0, Judgement::new(Verdict::Skip, "0 elements processed"));
        other["spec"] = json!({});
        assert_eq!(mutate(&rule, &other).0.verdict, Verdict::Error);
    }
}
