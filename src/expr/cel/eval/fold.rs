//! Loops: what `all`, `exists`, `map`, `filter` and the like stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::ast::Shape;
use super::super::convert;
use super::super::error::{EvalError, EvalErrorKind};
use super::super::plan::FoldNode;
use super::super::value::{Key, Value};
use super::{Answer, Context, eval};

/// The items that a loop goes over, two by two if it has two variables.
pub(super) fn eval_fold<'a>(fold: &'a FoldNode, context: &mut Context<'a, '_>) -> Answer<'a> {
    let range = eval(&fold.range, context)?;
    let mut gathered = Gathered::new(fold.shape);
    let keys = range.map_len().map(|_| range.keys());
    let length = match (&keys, range.list_len()) {
        (Some(keys), _) => keys.len(),
        (None, Some(length)) => length,
        (None, None) => {
            let name = range.type_name().rsplit('.').next().unwrap_or_default();
            let (first, rest) = name.split_at(name.len().min(1));
            let name = format!("types.{}{rest}", first.to_uppercase());
            let message = match fold.two {
                true => format!("unsupported comprehension range type: {name}"),
                false => format!("got '{name}', expected iterable type"),
            };
            return Err(EvalError::new(message).at(fold.place));
        }
    };
    for i in 0..length {
        let (first, second) = match &keys {
            Some(keys) => {
                let value = if fold.two { range.find(&keys[i])?.unwrap_or(Value::Null) } else { Value::Null };
                (keys[i].clone(), value)
            }
            None => {
                let item = range.item(i).unwrap_or(Ok(Value::Null))?;
                if fold.two {
                    (Value::Int(i64::try_from(i).unwrap_or(i64::MAX)), item)
                } else {
                    (item, Value::Null)
                }
            }
        };
        context.locals.push(first);
        if fold.two {
            context.locals.push(second);
        }
        let more = one(fold, context, &mut gathered);
        context.locals.truncate(context.locals.len() - if fold.two { 2 } else { 1 });
        if !more? {
            // The condition is looked at once more unless this was the last round.
            context.charge(if i + 1 < length { condition_cost(fold.shape) } else { 0 })?;
            break;
        }
    }
    context.charge(if fold.shape == Shape::ExistsOne { 2 } else { 1 })?;
    gathered.result()
}

/// What a loop has gathered so far.
enum Gathered<'a> {
    Logical { decisive: bool, decided: bool, failure: Option<EvalError> },
    Count(u64),
    List(Vec<Value<'a>>),
    Map(BTreeMap<Key<'a>, Value<'a>>),
}

impl<'a> Gathered<'a> {
    fn new(shape: Shape) -> Gathered<'a> {
        match shape {
            Shape::All => Gathered::Logical { decisive: false, decided: false, failure: None },
            Shape::Exists => Gathered::Logical { decisive: true, decided: false, failure: None },
            Shape::ExistsOne => Gathered::Count(0),
            Shape::Map { .. } => Gathered::Map(BTreeMap::new()),
            Shape::List { .. } | Shape::Bind => Gathered::List(Vec::new()),
        }
    }

    fn result(self) -> Answer<'a> {
        match self {
            Gathered::Logical { decisive, decided: true, .. } => Ok(Value::Bool(decisive)),
            Gathered::Logical { failure: Some(error), .. } => Err(error),
            Gathered::Logical { decisive, .. } => Ok(Value::Bool(!decisive)),
            Gathered::Count(count) => Ok(Value::Bool(count == 1)),
            Gathered::List(items) => Ok(Value::list(items)),
            Gathered::Map(map) => Ok(Value::Map(Arc::new(map))),
        }
    }
}

/// What it costs to see whether another round follows.
fn condition_cost(shape: Shape) -> u64 {
    match shape {
        Shape::All => 2,
        Shape::Exists => 3,
        _ => 0,
    }
}

/// One round of a loop; gives whether another one follows.
fn one<'a>(
    fold: &'a FoldNode,
    context: &mut Context<'a, '_>,
    gathered: &mut Gathered<'a>,
) -> Result<bool, EvalError> {
    context.charge(condition_cost(fold.shape))?;
    if let Some(filter) = &fold.filter {
        match eval(filter, context)? {
            Value::Bool(true) => {}
            Value::Bool(false) => return Ok(true),
            _ => return Err(EvalError::no_such_overload().at(fold.place)),
        }
    }
    if let Gathered::Logical { decisive, decided, failure } = gathered {
        context.charge(fold.item_cost)?;
        let error = match eval(&fold.body, context) {
            Ok(Value::Bool(b)) if b == *decisive => {
                *decided = true;
                return Ok(false);
            }
            Ok(Value::Bool(_)) => return Ok(true),
            Ok(_) => EvalError::no_such_overload(),
            Err(error) if error.kind() == EvalErrorKind::OverBudget => return Err(error),
            Err(error) => error,
        };
        failure.get_or_insert(error);
        return Ok(true);
    }
    let value = eval(&fold.body, context)?;
    match gathered {
        Gathered::Count(count) => match value {
            Value::Bool(true) => {
                *count += 1;
                context.charge(fold.item_cost)?;
            }
            Value::Bool(false) => {}
            _ => return Err(EvalError::no_such_overload().at(fold.place)),
        },
        Gathered::List(items) => {
            items.push(value);
            context.charge(fold.item_cost)?;
        }
        Gathered::Map(map) => {
            insert(fold, context, map, value)?;
            context.charge(fold.item_cost)?;
        }
        Gathered::Logical { .. } => {}
    }
    Ok(true)
}

#[cold]
pub(super) fn unsupported_key(key: &Value<'_>) -> EvalError {
    match key {
        Value::Bytes(_) => {
            EvalError::new("internal error: runtime error: hash of unhashable type types.Bytes")
        }
        key => EvalError::new(format!("unsupported key type: {}", key.type_name())),
    }
}

fn insert<'a>(
    fold: &FoldNode,
    context: &Context<'a, '_>,
    map: &mut BTreeMap<Key<'a>, Value<'a>>,
    value: Value<'a>,
) -> Result<(), EvalError> {
    let mut add = |key: Value<'a>, value: Value<'a>| {
        let Some(known) = Key::of(&key) else {
            return Err(unsupported_key(&key));
        };
        match map.entry(known) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(value);
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(_) => {
                Err(EvalError::new(format!("insert failed: key {} already exists", convert::display(&key))))
            }
        }
    };
    match fold.shape {
        Shape::Map { entry: false, .. } => {
            let key = context.locals[context.locals.len() - 2].clone();
            add(key, value)
        }
        _ => {
            if value.map_len().is_none() {
                return Err(EvalError::no_such_overload().at(fold.place));
            }
            for key in value.keys() {
                let found = value.find(&key)?.unwrap_or(Value::Null);
                add(key, found)?;
            }
            Ok(())
        }
    }
}
