//! Validation rules of custom resources: CEL beside the schema, asked of every value that the schema is about.
//!
//! A rule sees its value as `self`, and the value that it was before as `oldSelf`; a rule that uses `oldSelf` is asked
//! only where there was one that can be told. What failed before and did not change is let through with a warning.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value as Json};

use super::cel::{Bindings, Budget, Env, EvalErrorKind, Program, Schema, Type, Value};
use crate::schema::{Others, TypeRef, Validation, show};

/// The longest text that a rule's `messageExpression` may say.
const LONGEST_MESSAGE: usize = 5 * 1024;
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// The rules of a kind, and where they stand in its schema.
#[derive(Debug)]
pub struct Rules {
    root: Node,
}

/// The rules of a part of a schema and of what is below it.
#[derive(Debug)]
struct Node {
    ty: TypeRef,
    schema: Arc<Schema>,
    rules: Vec<Rule>,
    fields: BTreeMap<Arc<str>, Node>,
    values: Option<Box<Node>>,
    items: Option<Box<Node>>,
}

#[derive(Debug)]
struct Rule {
    declared: Validation,
    /// The field that it speaks about, below its own.
    field: Option<Arc<str>>,
    compiled: OnceLock<Compiled>,
}

/// A rule that can be asked, or why it cannot.
#[derive(Debug)]
enum Compiled {
    Good { program: Program, message: Option<Program>, transition: bool },
    Bad(String),
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The field, as the API server writes it; empty at the root.
    pub field: String,
    /// Its words, without the field before them.
    pub message: String,
    /// Its reason, such as `FieldValueInvalid`.
    pub reason: &'static str,
}

/// What rules say about an object.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What does not hold.
    pub broken: Vec<Broken>,
    /// What does not hold, and did not change.
    pub warnings: Vec<Broken>,
}

impl Rules {
    /// The rules of a kind by its type and by the same schema in JSON; `None` where it has none.
    pub fn of(ty: &TypeRef, schema: &Json) -> Option<Rules> {
        has_rules(ty)
            .then_some(())
            .and_then(|()| node(ty, &Schema::of_openapi(schema, true)))
            .map(|root| Rules { root })
    }

    /// Asks all rules of an object, which was another one before.
    pub fn validate(&self, object: &Json, old: Option<&Json>) -> Verdict {
        let mut walk = Walk { verdict: Verdict::default(), budget: Budget::kubernetes(), spent: false };
        let before = Before { current: old.map(|old| (&self.root.ty, object, old)), nearest: None };
        walk.node(&self.root, object, old, before, &At::ROOT);
        walk.verdict
    }

    /// Asks all rules of a value that stands in a schema as a default.
    pub fn validate_value(ty: &TypeRef, schema: &Json, value: &Json) -> Verdict {
        let root = has_rules(ty).then(|| node(ty, &Schema::of_openapi(schema, false))).flatten();
        let Some(root) = root else { return Verdict::default() };
        let mut walk = Walk { verdict: Verdict::default(), budget: Budget::kubernetes(), spent: false };
        walk.node(&root, value, Some(value), Before::default(), &At::ROOT);
        if walk.verdict.broken.is_empty() {
            walk.node(&root, value, None, Before::default(), &At::ROOT);
        }
        walk.verdict
    }
}

fn has_rules(ty: &TypeRef) -> bool {
    if ty.is_builtin() {
        return false;
    }
    let ty = ty.get();
    let below_map = || {
        ty.map.as_ref().is_some_and(|map| {
            map.fields.values().any(|field| has_rules(&field.ty))
                || matches!(&map.others, Others::Typed(ty) if has_rules(ty))
        })
    };
    let below_list = || ty.list.as_ref().and_then(|list| list.items.as_ref()).is_some_and(has_rules);
    !ty.rules.validations.is_empty() || below_map() || below_list()
}

/// The rules at a type and below it; `None` where there are none, or CEL cannot see such values.
fn node(ty: &TypeRef, schema: &Arc<Schema>) -> Option<Node> {
    if ty.is_builtin() {
        return None;
    }
    schema.ty()?;
    let inner = ty.get();
    let mut found = Node {
        ty: ty.clone(),
        schema: schema.clone(),
        rules: inner.rules.validations.iter().map(rule).collect(),
        fields: BTreeMap::new(),
        values: None,
        items: None,
    };
    if let Some(map) = &inner.map {
        for (name, field) in &map.fields {
            let below = schema.field(name).and_then(|schema| node(&field.ty, schema));
            found.fields.extend(below.map(|below| (name.clone(), below)));
        }
        if let (Others::Typed(ty), Some(schema)) = (&map.others, schema.values()) {
            found.values = node(ty, schema).map(Box::new);
        }
    }
    if let (Some(ty), Some(schema)) =
        (inner.list.as_ref().and_then(|list| list.items.as_ref()), schema.items())
    {
        found.items = node(ty, schema).map(Box::new);
    }
    let has_any = !found.rules.is_empty()
        || !found.fields.is_empty()
        || found.values.is_some()
        || found.items.is_some();
    has_any.then_some(found)
}

fn rule(declared: &Validation) -> Rule {
    let field = declared.field_path.as_deref().map(|path| normal_path(path).into());
    Rule { declared: declared.clone(), field, compiled: OnceLock::new() }
}

/// A path as the API server writes it: `.a['b'].c` is `a.b.c` for fields.
fn normal_path(path: &str) -> String {
    path.trim_start_matches('.').replace("['", ".").replace("']", "")
}

/// The environment of the rules of a value: `self`, and `oldSelf` (which may be an optional).
pub fn environment(schema: &Schema, optional: bool) -> Env {
    let ty = schema.ty().cloned().unwrap_or(Type::Dyn);
    let old = if optional { Type::optional(ty.clone()) } else { ty.clone() };
    Env::kubernetes().with_variables([("self", ty), ("oldSelf", old)])
}

impl Rule {
    fn compiled(&self, schema: &Schema) -> &Compiled {
        self.compiled.get_or_init(|| {
            let env = environment(schema, self.declared.optional_old_self);
            let program = match env.compile(&self.declared.rule) {
                Ok(program) => program,
                Err(error) => return Compiled::Bad(format!("compilation failed: {error}")),
            };
            let message = self.declared.message_expression.as_ref().and_then(|text| env.compile(text).ok());
            let transition = program.uses("oldSelf");
            Compiled::Good { program, message, transition }
        })
    }

    /// The rule in its own words.
    fn words(&self) -> &str {
        self.declared.message.as_deref().unwrap_or(&self.declared.rule).trim()
    }
}

/// A place in an object, as a list from the leaf to the root.
#[derive(Clone, Copy)]
struct At<'a> {
    up: Option<&'a At<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Root,
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    const ROOT: At<'static> = At { up: None, part: Part::Root };

    fn below(&'a self, part: Part<'a>) -> At<'a> {
        At { up: Some(self), part }
    }

    fn text(&self) -> String {
        let mut text = self.up.map(At::text).unwrap_or_default();
        match self.part {
            Part::Root => {}
            Part::Field(name) if text.is_empty() => name.clone_into(&mut text),
            Part::Field(name) => text.extend([".", name]),
            Part::Key(key) => text.extend(["[", key, "]"]),
            Part::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    }
}

/// A value, what it was before, and their type.
type Pair<'a> = (&'a TypeRef, &'a Json, &'a Json);

/// What is known about whether a value changed: by itself, or by the nearest part around it of which it is known.
#[derive(Clone, Copy, Default)]
struct Before<'a> {
    current: Option<Pair<'a>>,
    nearest: Option<Pair<'a>>,
}

impl<'a> Before<'a> {
    fn key(self, key: &str, ty: Option<&'a TypeRef>) -> Before<'a> {
        let Some((_, new, old)) = self.current else { return self };
        if self.nearest.is_none() && matches!(key, "apiVersion" | "kind") {
            return Before::default();
        }
        let current = ty.and_then(|ty| Some((ty, new.get(key)?, old.get(key)?)));
        Before { current, nearest: self.current }
    }

    fn index(self, index: usize, ty: &'a TypeRef) -> Before<'a> {
        let Some((list, new, old)) = self.current else { return self };
        let item = new.get(index);
        let current = item.and_then(|item| Some((ty, item, list.old_item(item, old)?)));
        Before { current, nearest: self.current }
    }

    fn unchanged(self) -> bool {
        self.current.or(self.nearest).is_some_and(|(ty, new, old)| ty.same(new, old))
    }
}

struct Walk {
    verdict: Verdict,
    budget: Budget,
    /// Nothing more is asked.
    spent: bool,
}

impl Walk {
    fn node(&mut self, node: &Node, value: &Json, old: Option<&Json>, before: Before<'_>, at: &At<'_>) {
        if value.is_null() || self.spent {
            return;
        }
        let old = old.filter(|old| !old.is_null());
        if !node.rules.is_empty() {
            self.ask(node, value, old, before, at);
        }
        match value {
            Json::Array(items) => self.items(node, items, old, before, at),
            Json::Object(map) => self.map(node, map, old, before, at),
            _ => {}
        }
    }

    fn items(&mut self, node: &Node, items: &[Json], old: Option<&Json>, before: Before<'_>, at: &At<'_>) {
        let Some(below) = &node.items else { return };
        for (index, item) in items.iter().enumerate() {
            let was = old.and_then(|old| node.ty.old_item(item, old));
            self.node(below, item, was, before.index(index, &below.ty), &at.below(Part::Index(index)));
        }
    }

    fn map(
        &mut self,
        node: &Node,
        map: &Map<String, Json>,
        old: Option<&Json>,
        before: Before<'_>,
        at: &At<'_>,
    ) {
        for (key, value) in map {
            let was = old.and_then(|old| old.get(key));
            if let Some(below) = &node.values {
                self.node(below, value, was, before.key(key, Some(&below.ty)), &at.below(Part::Key(key)));
            }
            if let Some(below) = node.fields.get(key.as_str()) {
                self.node(below, value, was, before.key(key, Some(&below.ty)), &at.below(Part::Field(key)));
            }
        }
    }

    /// Asks the rules of one value.
    fn ask(&mut self, node: &Node, value: &Json, old: Option<&Json>, before: Before<'_>, at: &At<'_>) {
        let kind = node.ty.get().rules.json_type.as_deref().unwrap_or_default();
        if self.budget.remaining() == 0 {
            return self.give_up(kind, OUT_OF_BUDGET, at);
        }
        for rule in &node.rules {
            if rule.declared.rule.trim().is_empty() {
                continue;
            }
            match rule.compiled(&node.schema) {
                Compiled::Bad(why) => self.broken(invalid(at, kind, &format!("rule compile error: {why}"))),
                Compiled::Good { transition: true, .. }
                    if old.is_none() && !rule.declared.optional_old_self => {}
                Compiled::Good { program, message, transition } => {
                    let asked = Asked { node, rule, value, old, kind, at };
                    self.ask_one(&asked, program, message.as_ref(), *transition, before);
                }
            }
            if self.spent {
                return;
            }
        }
    }

    fn ask_one(
        &mut self,
        asked: &Asked<'_>,
        program: &Program,
        message: Option<&Program>,
        transition: bool,
        before: Before<'_>,
    ) {
        let optional = asked.rule.declared.optional_old_self;
        let result = asked
            .bindings(optional)
            .and_then(|bindings| program.run(&bindings, &mut self.budget).map(|value| value.as_bool()));
        if self.budget.is_exhausted() {
            return self.give_up(asked.kind, OUT_OF_BUDGET, asked.at);
        }
        let words = asked.rule.words();
        match result {
            Ok(Some(true)) => {}
            Ok(_) => {
                let detail = message.and_then(|program| self.message(asked, program));
                if self.spent {
                    return;
                }
                let broken = asked.broken(detail);
                if !transition && before.unchanged() {
                    self.verdict.warnings.push(broken);
                } else {
                    self.broken(broken);
                }
            }
            Err(error) if error.kind() == EvalErrorKind::OverBudget => {
                let why = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {words}"
                );
                self.give_up(asked.kind, &why, asked.at);
            }
            Err(error) if error.message().starts_with("no such overload") => {
                let why = format!(
                    "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {words}"
                );
                self.broken(invalid(asked.at, asked.kind, &why));
            }
            Err(error) => {
                self.broken(invalid(asked.at, asked.kind, &format!("{error} evaluating rule: {words}")));
            }
        }
    }

    /// What a rule's message expression says; nothing where it says nothing that can be shown.
    fn message(&mut self, asked: &Asked<'_>, program: &Program) -> Option<String> {
        let bindings = asked.bindings(false).ok()?;
        let result = program.run(&bindings, &mut self.budget);
        if self.budget.is_exhausted() {
            let why = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
            self.give_up(asked.kind, why, asked.at);
            return None;
        }
        let text = match result {
            Ok(value) => value.as_str()?.trim().to_owned(),
            Err(error) if error.kind() == EvalErrorKind::OverBudget => {
                let text = show::quote(asked.rule.declared.message_expression.as_deref().unwrap_or_default());
                let why = format!(
                    "no further validation rules will be run due to call cost exceeds limit for messageExpression: {text}"
                );
                self.give_up(asked.kind, &why, asked.at);
                return None;
            }
            Err(_) => return None,
        };
        (!text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n')).then_some(text)
    }

    fn broken(&mut self, broken: Broken) {
        self.verdict.broken.push(broken);
    }

    fn give_up(&mut self, kind: &str, why: &str, at: &At<'_>) {
        self.spent = true;
        self.broken(invalid(at, kind, why));
    }
}

/// A rule that is asked of a value.
struct Asked<'a> {
    node: &'a Node,
    rule: &'a Rule,
    value: &'a Json,
    old: Option<&'a Json>,
    kind: &'a str,
    at: &'a At<'a>,
}

impl<'a> Asked<'a> {
    fn bindings(&self, optional: bool) -> Result<Bindings<'a>, super::cel::EvalError> {
        let mut bindings = Bindings::new().with("self", Value::of_schema(self.value, &self.node.schema)?);
        let old = self.old.map(|old| Value::of_schema(old, &self.node.schema)).transpose()?;
        match (old, optional) {
            (Some(old), true) => bindings.set("oldSelf", Value::some(old)),
            (None, true) => bindings.set("oldSelf", Value::Optional(None)),
            (Some(old), false) => bindings.set("oldSelf", old),
            (None, false) => {}
        }
        Ok(bindings)
    }

    fn broken(&self, detail: Option<String>) -> Broken {
        let mut field = self.at.text();
        if let Some(below) = &self.rule.field {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(below);
        }
        let detail = detail.unwrap_or_else(|| match self.rule.declared.message.as_deref() {
            Some(message) => message.trim().to_owned(),
            None => format!("failed rule: {}", self.rule.words()),
        });
        let shown = match self.kind {
            "object" | "array" => String::new(),
            _ => format!(": {}", show::value(self.value)),
        };
        let (reason, message) = match self.rule.declared.reason.as_deref() {
            Some("FieldValueForbidden") => ("FieldValueForbidden", format!("Forbidden: {detail}")),
            Some("FieldValueRequired") => ("FieldValueRequired", format!("Required value: {detail}")),
            Some("FieldValueDuplicate") => ("FieldValueDuplicate", format!("Duplicate value{shown}")),
            _ => ("FieldValueInvalid", format!("Invalid value{shown}: {detail}")),
        };
        Broken { field, message, reason }
    }
}

fn invalid(at: &At<'_>, kind: &str, why: &str) -> Broken {
    let message = format!("Invalid value: {}: {why}", show::quote(kind));
    Broken { field: at.text(), message, reason: "FieldValueInvalid" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(schema: &Json) -> Rules {
        Rules::of(&TypeRef::of_custom(schema), schema).unwrap()
    }

    fn said(verdict: &[Broken]) -> Vec<String> {
        verdict.iter().map(|broken| format!("{}: {}", broken.field, broken.message)).collect()
    }

    #[test]
    fn rules_see_what_was_there_before() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "kind": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "kind is immutable"}]},
            "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
                "type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": "self.size >= oldSelf.size", "fieldPath": ".size", "reason": "FieldValueForbidden", "messageExpression": "'at least ' + string(oldSelf.size)"}]}}}}}});
        let rules = rules(&schema);
        let object = |kind: &str, size: i64| json!({"spec": {"kind": kind, "items": [{"name": "x", "size": 0}, {"name": "a", "size": size}]}});
        assert!(rules.validate(&object("a", 1), None).broken.is_empty());
        let old = json!({"spec": {"kind": "a", "items": [{"name": "a", "size": 2}]}});
        assert!(rules.validate(&object("a", 3), Some(&old)).broken.is_empty());
        assert_eq!(
            said(&rules.validate(&object("b", 1), Some(&old)).broken),
            [
                "spec.items[1].size: Forbidden: at least 2",
                "spec.kind: Invalid value: \"b\": kind is immutable"
            ]
        );
    }

    #[test]
    fn what_did_not_change_is_let_through() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5"}]}, "other": {"type": "string"}}}}});
        let rules = rules(&schema);
        let old = json!({"spec": {"size": 7}});
        let verdict = rules.validate(&json!({"spec": {"size": 7, "other": "x"}}), Some(&old));
        assert!(verdict.broken.is_empty());
        assert_eq!(said(&verdict.warnings), ["spec.size: Invalid value: 7: failed rule: self < 5"]);
        let verdict = rules.validate(&json!({"spec": {"size": 8}}), Some(&old));
        assert_eq!(said(&verdict.broken), ["spec.size: Invalid value: 8: failed rule: self < 5"]);
    }

    #[test]
    fn a_rule_may_be_asked_of_new_values_too() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "x-kubernetes-validations": [
            {"rule": "oldSelf.hasValue() || self == 1", "optionalOldSelf": true}]}}});
        let rules = rules(&schema);
        assert!(rules.validate(&json!({"a": 1}), None).broken.is_empty());
        assert_eq!(rules.validate(&json!({"a": 2}), None).broken.len(), 1);
        assert!(rules.validate(&json!({"a": 2}), Some(&json!({"a": 1}))).broken.is_empty());
    }
}
