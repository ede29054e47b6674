//! Validation rules of a definition: whether they compile, and whether they may cost too much.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use serde_json::Value;

use super::node::{self, Node};
use super::path::{Errors, Path};
use super::validate::Options;
use crate::expr::cel::{Program, Schema, Type};
use crate::expr::rules;

/// What a rule may cost for one object, and what all rules of a schema may.
const RULE_LIMIT: u64 = 10_000_000;
const TOTAL_LIMIT: u64 = 100_000_000;
/// How many of the most expensive rules are told.
const TOLD: usize = 4;

/// What is known about the rules where a schema stands.
pub(super) struct Rules<'a> {
    node: Node<'a>,
    up: Option<(&'a Rules<'a>, Below<'a>)>,
    /// Whether there are rules here or around.
    in_scope: bool,
    /// How many such values an object may hold; `None` where the schemas around say nothing about it.
    cardinality: Option<u64>,
    schema: OnceCell<Arc<Schema>>,
    costs: &'a RefCell<Costs>,
}

/// Where a schema stands below another.
#[derive(Clone, Copy)]
enum Below<'a> {
    Property(&'a str),
    Values,
    Items,
}

/// What the rules of a schema cost together.
#[derive(Default)]
pub(super) struct Costs {
    total: u64,
    most_expensive: Vec<(String, u64)>,
}

impl Costs {
    fn observe(&mut self, at: &Path<'_>, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost < TOTAL_LIMIT / 100 {
            return;
        }
        self.most_expensive.push((at.to_string(), cost));
        self.most_expensive.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        self.most_expensive.truncate(TOLD);
    }

    /// Whether all rules together may cost too much.
    pub fn check(&self, at: &Path<'_>, errors: &mut Errors) {
        if self.total <= TOTAL_LIMIT {
            return;
        }
        for (path, _) in &self.most_expensive {
            let why =
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.forbidden(&Path::new(path), why);
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.forbidden(at, &too_much(what, self.total, TOTAL_LIMIT));
    }
}

/// A number times another; nothing costs more than the greatest number.
fn times(cost: u64, count: u64) -> u64 {
    cost.saturating_mul(count)
}

fn too_much(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

impl<'a> Rules<'a> {
    pub fn new(root: Node<'a>, costs: &'a RefCell<Costs>) -> Rules<'a> {
        Rules {
            node: root,
            up: None,
            in_scope: !root.list("x-kubernetes-validations").is_empty(),
            cardinality: Some(1),
            schema: OnceCell::new(),
            costs,
        }
    }

    fn below<'b>(&'b self, schema: Node<'b>, place: Below<'b>) -> Rules<'b>
    where
        'a: 'b,
    {
        let count =
            |key: &str| self.node.pointer(key).and_then(Value::as_i64).map(|n| u64::try_from(n).unwrap_or(0));
        let most = match self.node.kind() {
            "object" if self.node.pointer("additionalProperties").is_some() => count("maxProperties"),
            "array" => count("maxItems"),
            _ => Some(1),
        };
        Rules {
            node: schema,
            up: Some((self, place)),
            in_scope: self.in_scope || !schema.list("x-kubernetes-validations").is_empty(),
            cardinality: self.cardinality.zip(most).map(|(around, most)| times(around, most)),
            schema: OnceCell::new(),
            costs: self.costs,
        }
    }

    pub fn property<'b>(&'b self, schema: Node<'b>, name: &'b str) -> Rules<'b>
    where
        'a: 'b,
    {
        self.below(schema, Below::Property(name))
    }

    pub fn values<'b>(&'b self, schema: Node<'b>) -> Rules<'b>
    where
        'a: 'b,
    {
        self.below(schema, Below::Values)
    }

    pub fn items<'b>(&'b self, schema: Node<'b>) -> Rules<'b>
    where
        'a: 'b,
    {
        self.below(schema, Below::Items)
    }

    /// The schema as CEL sees it: part of the one around where rules stand there, else read on its own.
    fn schema(&self) -> &Arc<Schema> {
        self.schema.get_or_init(|| {
            let known = self.up.filter(|(up, _)| up.in_scope).and_then(|(up, place)| {
                let around = up.schema();
                match place {
                    Below::Property(name) => {
                        around.field(name).filter(|schema| schema.ty().is_some()).cloned()
                    }
                    Below::Values => around.values().cloned(),
                    Below::Items => around.items().cloned(),
                }
            });
            known.unwrap_or_else(|| {
                let whole = self.up.is_none() || self.node.is("x-kubernetes-embedded-resource");
                Schema::of_openapi(&Value::Object(self.node.0.clone()), whole)
            })
        })
    }

    /// What a rule costs for all values that it may be asked of.
    fn cost(&self, once: u64) -> u64 {
        times(once, self.cardinality.unwrap_or_else(|| self.schema().max_cardinality()))
    }
}

/// Checks the rules of one schema.
pub(super) fn check(
    node: Node<'_>,
    rules: &Rules<'_>,
    at: &Path<'_>,
    uncorrelatable: Option<&Path<'_>>,
    options: &Options,
    errors: &mut Errors,
) {
    let all = at.child("x-kubernetes-validations");
    if rules.schema().ty().is_none() {
        let why = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
        errors.internal(&all, why);
        return;
    }
    for (index, rule) in node.list("x-kubernetes-validations").iter().enumerate() {
        check_rule(rule, rules, &all.index(index), uncorrelatable, options, errors);
    }
}

fn check_rule(
    rule: &Value,
    rules: &Rules<'_>,
    at: &Path<'_>,
    uncorrelatable: Option<&Path<'_>>,
    options: &Options,
    errors: &mut Errors,
) {
    let text = |key: &str| rule[key].as_str().unwrap_or_default();
    let env = rules::environment(rules.schema(), rule["optionalOldSelf"] == true);
    let at_rule = at.child("rule");
    let compiled =
        compile(env.compile(text("rule")), &Type::Bool, "", "cel expression must evaluate to a bool");
    let cost = compiled.as_ref().map_or(0, |program| rules.cost(program.estimate(Some(rules.schema())).max));
    if !options.any_cost && cost > RULE_LIMIT {
        errors.forbidden(&at_rule, &too_much("estimated rule cost", cost, RULE_LIMIT));
    }
    rules.costs.borrow_mut().observe(&at_rule, cost);
    if let Err(why) = &compiled {
        errors.invalid_shown(&at_rule, &node::shown_rule(rule), why);
    }
    if let (Ok(_), said) = (&compiled, text("messageExpression"))
        && !said.is_empty()
    {
        let at = at.child("messageExpression");
        let wrong_type = "messageExpression must evaluate to a string";
        match compile(env.compile(said), &Type::String, "messageExpression ", wrong_type) {
            Err(why) => errors.invalid_shown(&at, &node::shown_rule(rule), &why),
            Ok(program) => {
                let cost = program.estimate(Some(rules.schema())).max;
                if !options.any_cost && cost > RULE_LIMIT {
                    errors.forbidden(&at, &too_much("estimated messageExpression cost", cost, RULE_LIMIT));
                }
                rules.costs.borrow_mut().observe(&at, cost);
            }
        }
    }
    let transition = compiled.is_ok_and(|program| program.uses("oldSelf"));
    if transition {
        if let Some(list) = uncorrelatable {
            let why =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {list}");
            errors.invalid(&at_rule, text("rule"), &why);
        }
    } else if let Some(optional) = rule["optionalOldSelf"].as_bool() {
        let why = "may not be set if oldSelf is not used in rule";
        errors.invalid_shown(&at.child("optionalOldSelf"), &optional.to_string(), why);
    }
}

/// A program of a type, or why there is none in the server's words.
fn compile(
    compiled: Result<Program, crate::expr::cel::CompileError>,
    wanted: &Type,
    what: &str,
    wrong_type: &str,
) -> Result<Program, String> {
    let program = compiled.map_err(|error| {
        let step = match (error.instantiation, what.is_empty()) {
            (false, _) => "compilation failed",
            (true, true) => "program instantiation failed",
            (true, false) => "instantiation failed",
        };
        format!("{what}{step}: {error}")
    })?;
    if program.output() == wanted { Ok(program) } else { Err(wrong_type.to_owned()) }
}
