//! `validate` rules: deny conditions, patterns, alternatives of patterns, and both for each element of a list.

mod explain;

use serde_json::Value;

use crate::expr::{Context, EvalError, Expression, Template};
use crate::model::FieldPath;

use super::condition::{Conditions, first_read};
use super::pattern::{Mismatch, Pattern};
use super::reader::{CompileError, Reader, Result};
use super::variables::{self, Entry, bind_element, expression, template};

/// A compiled `validate`.
#[derive(Debug, Clone)]
pub(crate) struct Validate {
    /// Whether a change may leave an object as wrong as it was.
    pub(crate) allow_existing: bool,
    message: Option<Message>,
    check: Check,
    /// The first place in the object that the rule reads, for a verdict that knows none.
    reads: Option<FieldPath>,
}

#[derive(Debug, Clone)]
struct Message {
    text: String,
    template: Template,
}

#[derive(Debug, Clone)]
enum Check {
    Deny(Conditions),
    Pattern(Source),
    AnyPattern(Vec<Source>),
    ForEach(Vec<ForEach>),
}

/// A pattern that is compiled once, or each time its variables are known.
#[derive(Debug, Clone)]
enum Source {
    Ready(Pattern),
    Template(Template),
}

#[derive(Debug, Clone)]
struct ForEach {
    list: Expression,
    /// Where the list is in the object, if it is a plain path.
    place: Option<FieldPath>,
    element_scope: Option<bool>,
    entries: Vec<Entry>,
    preconditions: Option<Conditions>,
    check: Check,
}

/// What came of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The object satisfies the rule.
    Pass,
    /// It does not.
    Fail,
    /// It does not, but reports do not score it.
    Warn,
    /// The rule is not about this object after all.
    Skip,
    /// The rule could not be evaluated.
    Error,
}

/// A verdict with its message and the place in the object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) message: String,
    pub(crate) path: Option<FieldPath>,
    /// What the policy wants written into an audit log: keys and values.
    pub(crate) annotations: Vec<(String, String)>,
}

impl Judgement {
    pub(crate) fn new(verdict: Verdict, message: impl Into<String>) -> Judgement {
        Judgement { verdict, message: message.into(), path: None, annotations: Vec::new() }
    }

    pub(crate) fn error(what: &str, why: impl std::fmt::Display) -> Judgement {
        Judgement::new(Verdict::Error, format!("{what}: {why}"))
    }
}

/// What a check needs to know beside the object.
struct Scene<'s, 'c> {
    rule: &'s str,
    message: Option<&'s Message>,
    context: &'s Context<'c>,
    /// Patterns are about what is there, so they say nothing of an object that goes.
    deleting: bool,
}

/// What an element of a loop costs beside the expressions about it.
pub(crate) const STEPS_AN_ELEMENT: u64 = 20;

/// The parts of `validate` that decide, in the order in which the first one counts.
const UNSUPPORTED: &[&str] = &["assert"];

/// What `validate` uses that is not evaluated.
pub(crate) fn unsupported(reader: &Reader<'_>) -> Option<CompileError> {
    let part = UNSUPPORTED.iter().find_map(|name| reader.field(name).map(|part| (name, part)))?;
    Some(part.1.error(format!("validate.{} is not evaluated", part.0)))
}

impl Validate {
    /// Of a rule's `validate`.
    pub(crate) fn of_rule(rule: &Reader<'_>, validate: &Reader<'_>) -> Result<Validate> {
        let reads = first_of(&validate.value["deny"]).or_else(|| first_of(&rule.value["context"]));
        Ok(Validate { reads, ..Validate::compile(validate)? })
    }

    pub(crate) fn compile(reader: &Reader<'_>) -> Result<Validate> {
        let message = reader.field("message").map(|message| compile_message(&message)).transpose()?;
        let check = compile_check(reader)?
            .ok_or_else(|| reader.error("one of pattern, anyPattern, deny, foreach is missing"))?;
        let allow_existing = reader.bool("allowExistingViolations")?.unwrap_or(true);
        Ok(Validate { allow_existing, message, check, reads: None })
    }

    /// Judges an object; `None` when there is nothing to say about it.
    pub(crate) fn evaluate(
        &self,
        rule: &str,
        object: &Value,
        context: &Context<'_>,
        deleting: bool,
    ) -> Option<Judgement> {
        let scene = Scene { rule, message: self.message.as_ref(), context, deleting };
        let mut judgement = scene.check(&self.check, object, &FieldPath::default(), 0, deleting)?;
        if judgement.path.is_none() && matches!(judgement.verdict, Verdict::Fail | Verdict::Error) {
            judgement.path = self.reads.clone();
        }
        Some(judgement)
    }
}

/// The first place in the object that any text of a part reads.
fn first_of(part: &Value) -> Option<FieldPath> {
    match part {
        Value::Array(items) => items.iter().find_map(first_of),
        Value::Object(map) => map.values().find_map(first_of),
        text => first_read(text),
    }
}

fn compile_message(reader: &Reader<'_>) -> Result<Message> {
    Ok(Message { text: reader.text()?.to_owned(), template: template(reader)? })
}

fn compile_check(reader: &Reader<'_>) -> Result<Option<Check>> {
    if let Some(deny) = reader.field("deny") {
        deny.only(&["conditions"])?;
        let conditions = deny.field("conditions").map(|c| Conditions::compile(&c)).transpose()?;
        // Without conditions, everything is denied.
        let always = || Conditions::compile(&Reader::new(&Value::Array(Vec::new()), deny.path.clone()));
        return Ok(Some(Check::Deny(conditions.map_or_else(always, Ok)?)));
    }
    if let Some(pattern) = reader.field("pattern") {
        return Ok(Some(Check::Pattern(Source::compile(&pattern)?)));
    }
    if let Some(patterns) = reader.field("anyPattern") {
        let sources = patterns.items()?.iter().map(Source::compile).collect::<Result<_>>()?;
        return Ok(Some(Check::AnyPattern(sources)));
    }
    let Some(list) = reader.field("foreach") else { return Ok(None) };
    let steps = list.items()?.iter().map(ForEach::compile).collect::<Result<_>>()?;
    Ok(Some(Check::ForEach(steps)))
}

impl Source {
    fn compile(reader: &Reader<'_>) -> Result<Source> {
        let template = template(reader)?;
        Ok(match template.as_static() {
            Some(pattern) => Source::Ready(Pattern::compile(pattern)),
            None => Source::Template(template),
        })
    }

    fn matches(
        &self,
        object: &Value,
        context: &Context<'_>,
    ) -> std::result::Result<Option<Mismatch>, String> {
        let dynamic;
        let pattern = match self {
            Source::Ready(pattern) => pattern,
            Source::Template(template) => {
                let resolved = template.resolve(context).map_err(|e| e.to_string())?;
                dynamic = Pattern::compile(&resolved);
                &dynamic
            }
        };
        Ok(pattern.matches(object).err())
    }
}

impl ForEach {
    fn compile(reader: &Reader<'_>) -> Result<ForEach> {
        let list = reader.field("list").ok_or_else(|| reader.error("list is missing"))?;
        let entries = variables::entries(reader)?;
        let check = compile_check(reader)?
            .ok_or_else(|| reader.error("one of pattern, anyPattern, deny, foreach is missing"))?;
        Ok(ForEach {
            list: expression(&list)?,
            place: plain_path(list.text()?),
            element_scope: reader.bool("elementScope")?,
            entries,
            preconditions: reader.field("preconditions").map(|c| Conditions::compile(&c)).transpose()?,
            check,
        })
    }

    /// The part of an element that patterns are laid over; the whole object unless the element is a mapping.
    fn scoped(&self, element: &Value) -> std::result::Result<bool, String> {
        match self.element_scope {
            Some(true) if !element.is_object() => {
                Err("cannot use elementScope=true foreach rules for elements that are not maps".into())
            }
            Some(scope) => Ok(scope),
            None => Ok(element.is_object()),
        }
    }
}

/// `request.object.spec.containers` and the like, where the elements keep their places.
fn plain_path(list: &str) -> Option<FieldPath> {
    let text = list.trim().trim_end_matches("[]");
    let plain = text.strip_prefix("request.object.")?;
    let path = first_read(&Value::String(text.to_owned()))?;
    (path.to_string() == plain).then_some(path)
}

impl Scene<'_, '_> {
    fn check(
        &self,
        check: &Check,
        object: &Value,
        base: &FieldPath,
        nesting: usize,
        deleting: bool,
    ) -> Option<Judgement> {
        match check {
            Check::Deny(conditions) => Some(self.deny(conditions)),
            Check::ForEach(steps) => self.for_each(steps, object, nesting),
            Check::Pattern(_) | Check::AnyPattern(_) if deleting => None,
            Check::Pattern(source) => Some(self.pattern(source, object, base)),
            Check::AnyPattern(sources) => Some(self.any_pattern(sources, object, base)),
        }
    }

    fn passed(&self) -> Judgement {
        Judgement::new(Verdict::Pass, format!("validation rule '{}' passed.", self.rule))
    }

    fn deny(&self, conditions: &Conditions) -> Judgement {
        let held = match conditions.evaluate(self.context) {
            Ok(held) => held,
            Err(error) => return Judgement::error("failed to check deny conditions", error),
        };
        if !held.holds {
            return self.passed();
        }
        let own = self.message.map(|message| match message.template.resolve(self.context).as_deref() {
            Ok(Value::String(text)) => text.clone(),
            Ok(_) => "the produced message didn't resolve to a string, check your policy definition.".into(),
            Err(_) => message.text.clone(),
        });
        let parts: Vec<&str> =
            own.as_deref().filter(|m| !m.is_empty()).into_iter().chain(held.messages).collect();
        let message = match parts.is_empty() {
            true => format!("validation error: rule {} failed", self.rule),
            false => parts.join("; "),
        };
        Judgement { path: held.reads.cloned(), ..Judgement::new(Verdict::Fail, message) }
    }

    fn pattern(&self, source: &Source, object: &Value, base: &FieldPath) -> Judgement {
        match source.matches(object, self.context) {
            Err(error) => Judgement::error("variable substitution failed", error),
            Ok(None) => self.passed(),
            Ok(Some(Mismatch::Skip(why))) => Judgement::new(Verdict::Skip, why),
            Ok(Some(Mismatch::Error(why))) => {
                let message = self.describe(&why, &format!("execution error: {why}"));
                Judgement::new(Verdict::Error, message)
            }
            Ok(Some(Mismatch::Fail(path, field))) => {
                let message = self.describe(&path, &format!("failed at path {path}"));
                Judgement { path: Some(below(base, &field)), ..Judgement::new(Verdict::Fail, message) }
            }
        }
    }

    /// `validation error: MESSAGE. rule NAME failed at path PATH`.
    fn describe(&self, why: &str, what: &str) -> String {
        let rule = self.rule;
        let Some(message) = self.message.filter(|m| !m.text.is_empty()) else {
            return format!("validation error: rule {rule} {what}");
        };
        match message.template.resolve(self.context).as_deref() {
            Ok(Value::String(text)) => {
                let stop = if text.ends_with('.') { "" } else { "." };
                format!("validation error: {text}{stop} rule {rule} {what}")
            }
            _ => format!(
                "validation error: variables substitution error in rule {rule} execution error: {why}"
            ),
        }
    }

    fn any_pattern(&self, sources: &[Source], object: &Value, base: &FieldPath) -> Judgement {
        let rule = self.rule;
        let (mut failed, mut skipped, mut place) = (Vec::new(), Vec::new(), None);
        for (i, source) in sources.iter().enumerate() {
            match source.matches(object, self.context) {
                Err(error) => return Judgement::error("variable substitution failed", error),
                Ok(None) => {
                    let message = format!("validation rule '{rule}' anyPattern[{i}] passed.");
                    return Judgement::new(Verdict::Pass, message);
                }
                Ok(Some(Mismatch::Skip(why))) => skipped.push(format!("rule {rule}[{i}] skipped: {why}")),
                Ok(Some(Mismatch::Error(why))) => failed.push(format!("rule {rule}[{i}] failed: {why}")),
                Ok(Some(Mismatch::Fail(path, field))) => {
                    failed.push(format!("rule {rule}[{i}] failed at path {path}"));
                    place.get_or_insert(field);
                }
            }
        }
        if failed.is_empty() {
            return Judgement::new(Verdict::Skip, skipped.join(" "));
        }
        let causes = failed.join(" ");
        let message = match self.message.filter(|m| !m.text.is_empty()) {
            None => format!("validation error: {causes}"),
            Some(message) => match message.template.resolve(self.context).as_deref() {
                Ok(Value::String(text)) => {
                    let stop = if text.ends_with('.') { "" } else { "." };
                    format!("validation error: {text}{stop} {causes}")
                }
                _ => format!(
                    "validation error: variables substitution error in rule {rule} execution error: {causes}"
                ),
            },
        };
        let path = place.map(|field| below(base, &field));
        Judgement { path, ..Judgement::new(Verdict::Fail, message) }
    }

    /// `None` when no element was judged.
    fn for_each(&self, steps: &[ForEach], object: &Value, nesting: usize) -> Option<Judgement> {
        let mut applied = 0;
        for step in steps {
            // A list that is not there has no elements.
            let list = match self.context.query(&step.list) {
                Ok(list) => list,
                Err(error @ (EvalError::Limit | EvalError::TooDeep)) => {
                    return Some(Judgement::error("failed to process foreach", error));
                }
                Err(_) => continue,
            };
            let elements = match list.as_ref() {
                Value::Array(elements) => elements.as_slice(),
                other => std::slice::from_ref(other),
            };
            match self.elements(step, elements, object, nesting) {
                Ok(count) => applied += count,
                Err(judgement) => return Some(judgement),
            }
        }
        (applied > 0).then(|| Judgement::new(Verdict::Pass, "rule passed"))
    }

    /// How many elements passed; the judgement of the first that did not.
    fn elements(
        &self,
        step: &ForEach,
        elements: &[Value],
        object: &Value,
        nesting: usize,
    ) -> std::result::Result<usize, Judgement> {
        let mut applied = 0;
        for (index, element) in elements.iter().enumerate().filter(|(_, element)| !element.is_null()) {
            self.context
                .spend(STEPS_AN_ELEMENT)
                .map_err(|error| Judgement::error("failed to process foreach", error))?;
            let Some(judgement) = self.element(step, index, element, object, nesting)? else { continue };
            match judgement.verdict {
                Verdict::Skip => {}
                Verdict::Pass => applied += 1,
                // An error counts only if nothing comes after it.
                Verdict::Error if index + 1 < elements.len() => {}
                verdict => {
                    let message = format!("validation failure: {}", judgement.message);
                    return Err(Judgement { path: judgement.path, ..Judgement::new(verdict, message) });
                }
            }
        }
        Ok(applied)
    }

    fn element(
        &self,
        step: &ForEach,
        index: usize,
        element: &Value,
        object: &Value,
        nesting: usize,
    ) -> std::result::Result<Option<Judgement>, Judgement> {
        let scoped =
            step.scoped(element).map_err(|error| Judgement::error("failed to process foreach", error))?;
        let mut context = self.context.child();
        bind_element(&mut context, element, index, nesting);
        variables::bind(&mut context, &step.entries);
        if let Some(conditions) = &step.preconditions {
            match conditions.evaluate(&context) {
                Ok(held) if !held.holds => return Ok(None),
                Ok(_) => {}
                Err(error) => return Ok(Some(Judgement::error("failed to evaluate preconditions", error))),
            }
        }
        let scene =
            Scene { rule: self.rule, message: self.message, context: &context, deleting: self.deleting };
        let here = step.place.as_ref().map(|place| place.index(index));
        let (subject, base) = match scoped {
            true => (element, here.clone().unwrap_or_default()),
            false => (object, FieldPath::default()),
        };
        let judgement = scene.check(&step.check, subject, &base, nesting + 1, self.deleting && !scoped);
        Ok(judgement.map(|mut judgement| {
            let known = !scoped || here.is_some() || matches!(step.check, Check::Deny(_));
            judgement.path = judgement.path.filter(|_| known).or(here);
            judgement
        }))
    }
}

fn below(base: &FieldPath, path: &FieldPath) -> FieldPath {
    FieldPath(base.0.iter().chain(&path.0).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use serde_json::json;

    fn judge(rule: &Value, object: &Value) -> Judgement {
        try_judge(rule, object).unwrap()
    }

    fn try_judge(rule: &Value, object: &Value) -> Option<Judgement> {
        let rule = Validate::compile(&Reader::new(rule, FieldPath::default())).unwrap();
        let mut context = Context::new(Environment::default());
        context.bind("request.object", object);
        rule.evaluate("r", object, &context, false)
    }

    fn pod(images: &[&str]) -> Value {
        let containers: Vec<Value> = images
            .iter()
            .enumerate()
            .map(|(i, image)| json!({"name": format!("c{i}"), "image": image}))
            .collect();
        json!({"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": containers}})
    }

    #[test]
    fn a_pattern_failure_says_what_where_and_why() {
        let mut rule = json!({"message": "no tag in {{ request.object.metadata.name }}",
            "pattern": {"spec": {"containers": [{"image": "*:*"}]}}});
        assert_eq!(judge(&rule, &pod(&["a:1"])).message, "validation rule 'r' passed.");
        let failed = judge(&rule, &pod(&["a:1", "b"]));
        assert_eq!(failed.verdict, Verdict::Fail);
        assert_eq!(
            failed.message,
            "validation error: no tag in web. rule r failed at path /spec/containers/1/image/"
        );
        assert_eq!(failed.path.unwrap().to_string(), "spec.containers[1].image");
        rule.as_object_mut().unwrap().remove("message");
        let failed = judge(&rule, &pod(&["b"]));
        assert_eq!(failed.message, "validation error: rule r failed at path /spec/containers/0/image/");
        // The pattern itself may hold variables.
        rule["pattern"]["spec"]["containers"][0]["image"] = json!("{{ request.object.metadata.name }}:*");
        assert_eq!(judge(&rule, &pod(&["web:1"])).verdict, Verdict::Pass);
        assert_eq!(judge(&rule, &pod(&["db:1"])).verdict, Verdict::Fail);
        rule["pattern"]["spec"]["containers"][0]["image"] = json!("{{ request.object.metadata.gone }}");
        assert_eq!(judge(&rule, &pod(&["web:1"])).verdict, Verdict::Error);
    }

    #[test]
    fn one_of_several_patterns_is_enough() {
        let rule = json!({"message": "m", "anyPattern": [
            {"spec": {"containers": [{"image": "a:*"}]}}, {"metadata": {"name": "db"}}]});
        assert_eq!(judge(&rule, &pod(&["a:1"])).message, "validation rule 'r' anyPattern[0] passed.");
        let failed = judge(&rule, &pod(&["b:1"]));
        assert_eq!(
            failed.message,
            "validation error: m. rule r[0] failed at path /spec/containers/0/image/ rule r[1] failed at path /metadata/name/"
        );
        assert_eq!(failed.path.unwrap().to_string(), "spec.containers[0].image");
        let skipping =
            json!({"anyPattern": [{"spec": {"<(replicas)": ">1"}}, {"metadata": {"(name)": "db"}}]});
        assert_eq!(judge(&skipping, &pod(&[])).verdict, Verdict::Pass);
        let skipping = json!({"anyPattern": [{"metadata": {"(name)": "db"}}]});
        assert_eq!(judge(&skipping, &pod(&[])).verdict, Verdict::Skip);
    }

    #[test]
    fn each_element_is_judged_at_its_place() {
        let with = |check: Value| {
            let mut step = json!({"list": "request.object.spec.containers"});
            step.as_object_mut().unwrap().extend(check.as_object().unwrap().clone());
            json!({"message": "{{ request.object.metadata.name }} is wrong", "foreach": [step]})
        };
        let rules = [
            with(
                json!({"deny": {"conditions": [{"key": "{{ element.image }}", "operator": "Equals", "value": "*:latest"}]}}),
            ),
            with(json!({"pattern": {"image": "!*:latest"}})),
            with(
                json!({"elementScope": false, "pattern": {"spec": {"containers": [{"image": "!*:latest"}]}}}),
            ),
        ];
        for (i, rule) in rules.iter().enumerate() {
            assert_eq!(judge(rule, &pod(&["a:1", "b:1"])), Judgement::new(Verdict::Pass, "rule passed"));
            let failed = judge(rule, &pod(&["a:1", "b:latest"]));
            assert!(failed.message.starts_with("validation failure: "), "{failed:?}");
            assert!(failed.message.contains("web is wrong"), "{failed:?}");
            let place = ["spec.containers[1]", "spec.containers[1].image", "spec.containers[1].image"][i];
            assert_eq!(failed.path.unwrap().to_string(), place);
            assert_eq!(try_judge(rule, &pod(&[])), None);
        }
    }

    #[test]
    fn preconditions_choose_elements_and_loops_nest() {
        let rule = json!({"foreach": [{
            "list": "request.object.spec.containers",
            "preconditions": {"all": [{"key": "{{ element.name }}", "operator": "Equals", "value": "c1"}]},
            "foreach": [{"list": "element.ports", "deny": {"conditions": [
                {"key": "{{ element0.name }}-{{ element1 }}-{{ elementIndex }}", "operator": "Equals", "value": "c1-80-0"}]}}]
        }]});
        let mut object = pod(&["a", "b"]);
        for (container, port, verdict) in
            [(0, 80, None), (1, 80, Some(Verdict::Fail)), (1, 81, Some(Verdict::Pass))]
        {
            object["spec"]["containers"][container]["ports"] = json!([port]);
            assert_eq!(try_judge(&rule, &object).map(|j| j.verdict), verdict, "{container} {port}");
        }
    }

    #[test]
    fn a_rule_without_a_check_is_refused() {
        for rule in
            [json!({"message": "m"}), json!({"foreach": [{"list": "a"}]}), json!({"foreach": [{"deny": {}}]})]
        {
            assert!(Validate::compile(&Reader::new(&rule, FieldPath::default())).is_err(), "{rule}");
        }
        // Without conditions, everything is denied.
        assert_eq!(judge(&json!({"deny": {}}), &pod(&[])).message, "validation error: rule r failed");
    }
}
