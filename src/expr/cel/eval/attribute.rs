//! Variables and the paths into them: fields, indexes, and what is optional on the way.

use std::sync::Arc;

use super::super::error::EvalError;
use super::super::operators;
use super::super::plan::{Attribute, Base, Node, Step, What};
use super::super::value::{Key, Text, Value, find_json};
use super::{Answer, Context, borrow, branch, eval};

pub(super) fn eval_attribute<'a>(
    attribute: &'a Attribute,
    context: &mut Context<'a, '_>,
    base_cost: u64,
) -> Answer<'a> {
    let mut path = &attribute.path[..];
    let mut value = match &attribute.base {
        Base::Variable(name) => match context.bindings.get(name) {
            Some(value) => value.clone(),
            None => {
                let bindings = context.bindings;
                let Some((Step { what: What::Field(field), .. }, rest)) = path.split_first() else {
                    return Err(EvalError::new(format!("no such attribute(s): {name}")).at(attribute.place));
                };
                path = rest;
                context.charge(1)?;
                match bindings.defined(name, field, context) {
                    Some(result) => result?,
                    None => {
                        return Err(
                            EvalError::new(format!("no such attribute(s): {name}")).at(attribute.place)
                        );
                    }
                }
            }
        },
        Base::Local(depth) => context.locals[*depth].clone(),
        Base::Value(node) => eval(node, context)?,
        Base::Conditional(conditional) => branch(conditional, context)?,
    };
    let tests = matches!(attribute.path.last(), Some(Step { what: What::Has(_), .. }));
    let free = tests || matches!(attribute.base, Base::Conditional(_));
    if !free {
        context.charge(base_cost)?;
    }
    if path.is_empty() {
        return Ok(value);
    }
    let mut optional = false;
    match value {
        Value::Optional(None) => return Ok(absent(path)),
        Value::Optional(Some(inner)) => {
            optional = true;
            value = Arc::unwrap_or_clone(inner);
        }
        _ => {}
    }
    for step in path {
        optional |= step.optional;
        if let What::Has(field) = &step.what {
            let present = has(&value, field)?;
            context.charge(1)?;
            return Ok(Value::Bool(present));
        }
        match follow(&value, step, optional, context) {
            Ok(Some(next)) => value = next,
            Ok(None) => return Ok(absent(path)),
            Err(error) => {
                context.charge(1)?;
                return Err(error.at(step.place));
            }
        }
        context.charge(1)?;
    }
    Ok(if optional { Value::some(value) } else { value })
}

/// What a path is that ends early.
fn absent<'a>(path: &[Step]) -> Value<'a> {
    match path.last() {
        Some(Step { what: What::Has(_), .. }) => Value::Bool(false),
        _ => Value::Optional(None),
    }
}

/// One step of a path. `None` if there is nothing and that is no mistake.
fn follow<'a>(
    value: &Value<'a>,
    step: &'a Step,
    optional: bool,
    context: &mut Context<'a, '_>,
) -> Result<Option<Value<'a>>, EvalError> {
    match &step.what {
        What::Field(field) => {
            let found = match value {
                Value::JsonMap(map, schema) => find_json(map, *schema, field)?,
                Value::Map(map) => map.get(&Key::Text(Text::Borrowed(field))).cloned(),
                Value::Struct(message) => message.read(field, optional),
                Value::JsonList(..) | Value::List(_) => {
                    return Err(EvalError::new("unsupported index type 'string' in list"));
                }
                _ => None,
            };
            match found {
                Some(found) => Ok(Some(found)),
                None if optional => Ok(None),
                None => Err(EvalError::new(format!("no such key: {field}"))),
            }
        }
        What::Has(_) => Ok(None),
        What::Const(index) => operators::index(value, &borrow(index), optional),
        What::Value(node) => {
            let index = match node {
                // An index is counted as a step alone.
                Node::Attribute(attribute) => eval_attribute(attribute, context, 0)?,
                node => eval(node, context)?,
            };
            operators::index(value, &index, optional)
        }
    }
}

/// Whether a field is there.
fn has<'a>(value: &Value<'a>, field: &'a str) -> Result<bool, EvalError> {
    Ok(match value {
        Value::JsonMap(map, None) => map.contains_key(field),
        Value::JsonMap(map, schema) => find_json(map, *schema, field)?.is_some(),
        Value::Map(map) => map.contains_key(&Key::Text(Text::Borrowed(field))),
        Value::Struct(message) => message.fields.contains_key(field),
        Value::JsonList(..) | Value::List(_) => {
            return Err(EvalError::new("unsupported index type 'string' in list"));
        }
        _ => false,
    })
}
