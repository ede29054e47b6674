//! Values while an expression is evaluated: borrowed where possible.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::EvalError;
use super::ast::Ast;
use crate::expr::context::{Context, Found, Node, branch_value};

/// A value, or a way to one.
#[derive(Clone)]
pub(crate) enum Val<'a> {
    Ref(&'a Value),
    Owned(Rc<Value>),
    List(Rc<Vec<Val<'a>>>),
    Branch(&'a BTreeMap<String, Node<'a>>),
    Root(&'a Context<'a>),
    Expression(&'a Ast),
}

/// A list without copying what is in it.
pub(crate) enum Items<'v, 'a> {
    Values(&'a [Value]),
    Owned(&'v [Value]),
    Vals(&'v [Val<'a>]),
}

impl<'a> Items<'_, 'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Items::Values(values) => values.len(),
            Items::Owned(values) => values.len(),
            Items::Vals(vals) => vals.len(),
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<Val<'a>> {
        match self {
            Items::Values(values) => values.get(at).map(Val::Ref),
            Items::Owned(values) => values.get(at).cloned().map(Val::owned),
            Items::Vals(vals) => vals.get(at).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Val<'a>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl<'a> Val<'a> {
    pub(crate) fn owned(value: Value) -> Val<'a> {
        Val::Owned(Rc::new(value))
    }

    pub(crate) fn null() -> Val<'a> {
        Val::Ref(&Value::Null)
    }

    pub(crate) fn bool(value: bool) -> Val<'a> {
        Val::Ref(if value { &Value::Bool(true) } else { &Value::Bool(false) })
    }

    pub(crate) fn text(text: impl Into<String>) -> Val<'a> {
        Val::owned(Value::String(text.into()))
    }

    pub(crate) fn list(items: Vec<Val<'a>>) -> Val<'a> {
        Val::List(Rc::new(items))
    }

    /// The plain value, if it is one.
    pub(crate) fn plain(&self) -> Option<&Value> {
        match self {
            Val::Ref(value) => Some(value),
            Val::Owned(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.plain().is_some_and(Value::is_null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        self.plain().and_then(Value::as_str)
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        self.plain().and_then(Value::as_f64)
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Val::Branch(_) | Val::Root(_)) || self.plain().is_some_and(Value::is_object)
    }

    pub(crate) fn items(&self) -> Option<Items<'_, 'a>> {
        match self {
            Val::Ref(Value::Array(values)) => Some(Items::Values(values)),
            Val::Owned(value) => value.as_array().map(|values| Items::Owned(values)),
            Val::List(vals) => Some(Items::Vals(vals)),
            _ => None,
        }
    }

    /// A field; the outer `None` is a value that has no fields, the inner one a missing key.
    pub(crate) fn field(&self, key: &str) -> Result<Option<Option<Val<'a>>>, EvalError> {
        Ok(match self {
            Val::Ref(Value::Object(map)) => Some(map.get(key).map(Val::Ref)),
            Val::Owned(value) => value.as_object().map(|map| map.get(key).map(|v| Val::owned(v.clone()))),
            Val::Branch(parts) => Some(parts.get(key).map(Val::of_node)),
            Val::Root(context) => Some(context.lookup(key)?.map(|found| match found {
                Found::Value(value) => Val::Ref(value),
                Found::Branch(parts) => Val::Branch(parts),
            })),
            _ => None,
        })
    }

    fn of_node(node: &'a Node<'a>) -> Val<'a> {
        match node {
            Node::Leaf(value) => Val::Ref(value.as_ref()),
            Node::Branch(parts) => Val::Branch(parts),
        }
    }

    /// The values of an object in the order of its keys.
    pub(crate) fn values(&self) -> Result<Option<Vec<Val<'a>>>, EvalError> {
        Ok(match self {
            Val::Ref(Value::Object(map)) => Some(map.values().map(Val::Ref).collect()),
            Val::Owned(value) => value.as_object().map(|map| map.values().cloned().map(Val::owned).collect()),
            Val::Branch(parts) => Some(parts.values().map(Val::of_node).collect()),
            Val::Root(context) => match context.to_value()? {
                Value::Object(map) => Some(map.into_iter().map(|(_, v)| Val::owned(v)).collect()),
                _ => None,
            },
            _ => None,
        })
    }

    /// Whether `||` passes it over.
    pub(crate) fn is_false(&self) -> bool {
        match self {
            Val::List(items) => items.is_empty(),
            Val::Branch(parts) => parts.is_empty(),
            Val::Root(_) | Val::Expression(_) => false,
            _ => match self.plain() {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Object(map)) => map.is_empty(),
                Some(_) => false,
            },
        }
    }

    /// Counts what a copy would hold; `None` when that is more than the budget.
    pub(crate) fn weigh(&self, budget: &mut u64) -> Option<()> {
        *budget = budget.checked_sub(1)?;
        match self {
            Val::List(items) => items.iter().try_for_each(|item| item.weigh(budget)),
            Val::Ref(value) => weigh(value, budget),
            Val::Owned(value) => weigh(value, budget),
            Val::Branch(parts) => parts.values().try_for_each(|node| node.weigh(budget)),
            Val::Root(context) => context.weigh(budget),
            Val::Expression(_) => Some(()),
        }
    }

    /// A copy as a plain value. An expression has none and becomes an empty object.
    pub(crate) fn to_value(&self) -> Result<Value, EvalError> {
        Ok(match self {
            Val::Ref(value) => (*value).clone(),
            Val::Owned(value) => value.as_ref().clone(),
            Val::List(items) => Value::Array(items.iter().map(Val::to_value).collect::<Result<_, _>>()?),
            Val::Branch(parts) => branch_value(parts),
            Val::Root(context) => context.to_value()?,
            Val::Expression(_) => Value::Object(serde_json::Map::new()),
        })
    }

    pub(crate) fn into_value(self) -> Result<Value, EvalError> {
        match self {
            Val::Owned(value) => Ok(Rc::unwrap_or_clone(value)),
            other => other.to_value(),
        }
    }

    pub(crate) fn into_cow(self) -> Result<Cow<'a, Value>, EvalError> {
        match self {
            Val::Ref(value) => Ok(Cow::Borrowed(value)),
            other => other.into_value().map(Cow::Owned),
        }
    }

    /// The word for its type in messages and of `type()`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Val::List(_) => "array",
            Val::Branch(_) | Val::Root(_) => "object",
            Val::Expression(_) => "expression",
            _ => match self.plain() {
                None | Some(Value::Null) => "null",
                Some(Value::Bool(_)) => "boolean",
                Some(Value::Number(_)) => "number",
                Some(Value::String(_)) => "string",
                Some(Value::Array(_)) => "array",
                Some(Value::Object(_)) => "object",
            },
        }
    }

    /// Deep equality; numbers by their value.
    pub(crate) fn equals(&self, other: &Val<'_>) -> Result<bool, EvalError> {
        if let (Some(a), Some(b)) = (self.plain(), other.plain()) {
            return Ok(equal(a, b));
        }
        if self.type_name() != other.type_name() {
            return Ok(false);
        }
        Ok(equal(&self.to_value()?, &other.to_value()?))
    }
}

pub(crate) fn weigh(value: &Value, budget: &mut u64) -> Option<()> {
    match value {
        Value::Array(items) => {
            *budget = budget.checked_sub(items.len() as u64)?;
            items.iter().try_for_each(|item| weigh(item, budget))
        }
        Value::Object(map) => {
            *budget = budget.checked_sub(map.len() as u64)?;
            map.values().try_for_each(|item| weigh(item, budget))
        }
        Value::String(text) => {
            *budget = budget.checked_sub(text.len() as u64 / 64)?;
            Some(())
        }
        _ => Some(()),
    }
}

/// Deep equality; `1` and `1.0` are one number.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}
