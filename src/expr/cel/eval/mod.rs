//! Evaluation. Costs are counted as Kubernetes counts them, so that what runs out of budget there does here.

mod attribute;
mod call;
mod fold;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::cost::{self, Cost};
use super::error::{EvalError, EvalErrorKind};
use super::operators;
use super::plan::{Conditional, Node, Operator, Relation};
use super::program::Bindings;
use super::value::{Key, Struct, Text, Unset, Value};
use super::{convert, equality};
use attribute::eval_attribute;
use call::{arguments, eval_call};
use fold::{eval_fold, unsupported_key};

type Answer<'a> = Result<Value<'a>, EvalError>;

/// What an evaluation knows.
pub(crate) struct Context<'a, 'r> {
    bindings: &'r Bindings<'a>,
    /// Variables of the macros around.
    locals: Vec<Value<'a>>,
    pub(crate) cost: u64,
    pub(crate) limit: u64,
    /// What evaluations cost that this one caused.
    pub(crate) others: u64,
}

impl<'a, 'r> Context<'a, 'r> {
    pub(crate) fn new(bindings: &'r Bindings<'a>, limit: u64) -> Context<'a, 'r> {
        Context { bindings, locals: Vec::new(), cost: 0, limit, others: 0 }
    }

    /// Inside loops whose variables have these values.
    pub(crate) fn with_locals(
        bindings: &'r Bindings<'a>,
        limit: u64,
        locals: Vec<Value<'a>>,
    ) -> Context<'a, 'r> {
        Context { locals, ..Context::new(bindings, limit) }
    }

    #[inline]
    fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(EvalError::over_budget()) } else { Ok(()) }
    }
}

/// Evaluates a node.
pub(crate) fn eval<'a>(node: &'a Node, context: &mut Context<'a, '_>) -> Answer<'a> {
    match node {
        Node::Const(value) => Ok(borrow(value)),
        Node::Attribute(attribute) => eval_attribute(attribute, context, 1),
        Node::And(sides) => logical(sides, context, false),
        Node::Or(sides) => logical(sides, context, true),
        Node::Not(inner) => {
            let value = eval(inner, context);
            context.charge(1)?;
            match value? {
                Value::Bool(b) => Ok(Value::Bool(!b)),
                _ => Err(EvalError::no_such_overload()),
            }
        }
        Node::Conditional(conditional) => branch(conditional, context),
        Node::Equals { sides, negated, place } => {
            let sides = both(sides, context)?;
            let same = equality::equals(&sides[0], &sides[1]);
            charge_comparison(&sides, context)?;
            match same {
                Ok(same) => Ok(Value::Bool(same != *negated)),
                Err(_) if *negated => Ok(Value::Bool(true)),
                Err(error) => Err(error.at(*place)),
            }
        }
        Node::Compare(compare) => {
            let sides = both(&compare.sides, context)?;
            let order = order(&sides)
                .map_err(|error| incomparable(&sides[0], compare.relation, error).at(compare.place));
            match compare.cost {
                Cost::Compare => charge_comparison(&sides, context)?,
                _ => context.charge(1)?,
            }
            let order = order?;
            Ok(Value::Bool(match compare.relation {
                Relation::Less => order == Ordering::Less,
                Relation::LessEquals => order != Ordering::Greater,
                Relation::Greater => order == Ordering::Greater,
                Relation::GreaterEquals => order != Ordering::Less,
            }))
        }
        Node::Arithmetic(arithmetic) => {
            let sides = both(&arithmetic.sides, context)?;
            let [left, right] = &sides;
            let result = match arithmetic.operator {
                Operator::Add => operators::add(left, right),
                Operator::Subtract => operators::subtract(left, right),
                Operator::Multiply => operators::multiply(left, right),
                Operator::Divide => operators::divide(left, right),
                Operator::Modulo => operators::modulo(left, right),
                Operator::In => equality::contains(right, left).map(Value::Bool),
            };
            match result {
                Ok(result) => {
                    context.charge(cost::actual(arithmetic.cost, &sides, &result))?;
                    // Of values whose types are not known before, `+` may put lists together as well.
                    if let (Value::List(list), Operator::Add) = (&result, arithmetic.operator)
                        && arithmetic.cost != Cost::Append
                    {
                        context.charge(cost::copied(list.items.len() as u64))?;
                    }
                    Ok(result)
                }
                Err(error) => {
                    context.charge(1)?;
                    Err(error.at(arithmetic.place))
                }
            }
        }
        Node::InSet(parts) => {
            let value = eval(&parts.0, context)?;
            Ok(Value::Bool(Key::member(&value).is_some_and(|key| parts.1.contains(&key))))
        }
        other => eval_rest(other, context),
    }
}

/// The kinds of nodes that are seldom, apart so that the frame of [`eval`] stays small.
#[inline(never)]
fn eval_rest<'a>(node: &'a Node, context: &mut Context<'a, '_>) -> Answer<'a> {
    match node {
        Node::Call(call) => eval_call(call, context),
        Node::Match(found) => {
            let args = arguments(&found.args, context)?;
            let result = (found.run)(&found.regex, &args).map_err(|error| error.at(found.place))?;
            context.charge(cost::actual(found.cost, &args, &result))?;
            Ok(result)
        }
        Node::List(items) => {
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let value = eval(&item.value, context)?;
                match (item.optional, value) {
                    (false, value) => out.push(value),
                    (true, Value::Optional(value)) => out.extend(value.map(Arc::unwrap_or_clone)),
                    (true, value) => return Err(not_optional("list element", &value)),
                }
            }
            context.charge(cost::MAKE_LIST)?;
            Ok(Value::list(out))
        }
        Node::Map(entries) => {
            let mut out = BTreeMap::new();
            for entry in entries {
                let key = eval(&entry.key, context)?;
                let key = Key::of(&key).ok_or_else(|| unsupported_key(&key))?;
                match (entry.optional, eval(&entry.value, context)?) {
                    (true, Value::Optional(None)) => {
                        out.remove(&key);
                    }
                    (true, Value::Optional(Some(value))) => {
                        out.insert(key, Arc::unwrap_or_clone(value));
                    }
                    (true, value) => {
                        let name = convert::display(&key.value());
                        return Err(not_optional(&format!("entry '{name}'"), &value));
                    }
                    (false, value) => {
                        out.insert(key, value);
                    }
                }
            }
            context.charge(cost::MAKE_MAP)?;
            Ok(Value::Map(Arc::new(out)))
        }
        Node::Struct(message) => {
            let mut fields = BTreeMap::new();
            for (name, value, optional) in &message.fields {
                match (optional, eval(value, context)?) {
                    (true, Value::Optional(None)) => {
                        fields.remove(name);
                    }
                    (true, Value::Optional(Some(value))) => {
                        fields.insert(name.clone(), Arc::unwrap_or_clone(value));
                    }
                    (true, value) => return Err(not_optional(&format!("entry '{name}'"), &value)),
                    // To set what is read anyway, or null, is to set nothing.
                    (false, value) if is_unset(message.unset, &message.name, name, &value) => {
                        fields.remove(name);
                    }
                    (false, value) => {
                        fields.insert(name.clone(), value);
                    }
                }
            }
            context.charge(cost::MAKE_STRUCT)?;
            let (name, unset) = (message.name.clone(), message.unset);
            Ok(Value::Struct(Arc::new(Struct { name, fields, unset })))
        }
        Node::Fold(fold) => eval_fold(fold, context),
        Node::Bind(parts) => {
            let value = eval(&parts[0], context)?;
            context.locals.push(value);
            let result = eval(&parts[1], context);
            context.locals.pop();
            result
        }
        Node::OrElse(sides, unwrap) => match eval(&sides[0], context)? {
            Value::Optional(None) => eval(&sides[1], context),
            Value::Optional(Some(value)) if *unwrap => Ok(Arc::unwrap_or_clone(value)),
            other => Ok(other),
        },
        // `eval` has done all others.
        _ => Err(EvalError::no_such_overload()),
    }
}

fn is_unset(unset: Option<Unset>, name: &str, field: &str, value: &Value<'_>) -> bool {
    let Some(unset) = unset else { return false };
    match value {
        Value::Null => true,
        Value::Struct(_) => false,
        other => unset(name, field).is_some_and(|zero| equality::equals(other, &zero).unwrap_or(false)),
    }
}

/// Both sides of an operator. Where one fails the other is evaluated all the same, and the operator costs one unit.
#[inline]
fn both<'a>(sides: &'a [Node; 2], context: &mut Context<'a, '_>) -> Result<[Value<'a>; 2], EvalError> {
    let left = eval(&sides[0], context);
    if let Err(error) = &left
        && error.kind() == EvalErrorKind::OverBudget
    {
        return left.map(|value| [value, Value::Null]);
    }
    match (left, eval(&sides[1], context)) {
        (Ok(left), Ok(right)) => Ok([left, right]),
        (_, Err(error)) if error.kind() == EvalErrorKind::OverBudget => Err(error),
        (Err(error), _) | (_, Err(error)) => {
            context.charge(1)?;
            Err(error)
        }
    }
}

/// A constant, borrowed from the program.
#[inline]
fn borrow<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::String(text) => Value::String(Text::Borrowed(text)),
        Value::Type(text) => Value::Type(Text::Borrowed(text)),
        other => other.clone(),
    }
}

#[inline]
fn order(sides: &[Value<'_>; 2]) -> Result<Ordering, EvalError> {
    match sides {
        [Value::Int(a), Value::Int(b)] => Ok(a.cmp(b)),
        [a, b] => equality::order(a, b),
    }
}

/// The error of values that have no order: it names the operator if none of the first one's type have.
#[cold]
fn incomparable(left: &Value<'_>, relation: Relation, error: EvalError) -> EvalError {
    let ordered = equality::order(left, left).is_ok() || matches!(left, Value::Double(_));
    if ordered {
        return error;
    }
    let operator = match relation {
        Relation::Less => "_<_",
        Relation::LessEquals => "_<=_",
        Relation::Greater => "_>_",
        Relation::GreaterEquals => "_>=_",
    };
    EvalError::new(format!("no such overload: {operator}"))
}

/// What comparing costs: the shorter of two texts is read.
#[inline]
fn charge_comparison(sides: &[Value<'_>; 2], context: &mut Context<'_, '_>) -> Result<(), EvalError> {
    let scalar =
        |value: &Value<'_>| matches!(value, Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_));
    if scalar(&sides[0]) && scalar(&sides[1]) {
        return context.charge(1);
    }
    context.charge(cost::actual(Cost::Compare, sides, &Value::Null))
}

/// `&&` and `||`: one side may decide even if the other fails. `decisive` is the value that does.
fn logical<'a>(sides: &'a [Node; 2], context: &mut Context<'a, '_>, decisive: bool) -> Answer<'a> {
    let mut failure = None;
    for side in sides {
        let error = match eval(side, context) {
            Ok(Value::Bool(b)) if b == decisive => return Ok(Value::Bool(decisive)),
            Ok(Value::Bool(_)) => continue,
            Ok(_) => EvalError::no_such_overload(),
            Err(error) if error.kind() == EvalErrorKind::OverBudget => return Err(error),
            Err(error) => error,
        };
        failure.get_or_insert(error);
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(Value::Bool(!decisive)),
    }
}

fn branch<'a>(conditional: &'a Conditional, context: &mut Context<'a, '_>) -> Answer<'a> {
    let [condition, then, otherwise] = &conditional.parts;
    let chosen = match eval(condition, context)? {
        Value::Bool(true) => then,
        Value::Bool(false) => otherwise,
        _ => return Err(EvalError::no_such_overload().at(conditional.place)),
    };
    match chosen {
        // The variable of a branch is free; its path is not.
        Node::Attribute(attribute) => eval_attribute(attribute, context, 0),
        other => eval(other, context),
    }
}

fn not_optional(what: &str, value: &Value<'_>) -> EvalError {
    let value = convert::display(value);
    EvalError::new(format!("cannot initialize optional {what} from non-optional value {value}"))
}
