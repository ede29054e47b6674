//! Calls of functions: the overload that takes the arguments as they are.

use std::sync::Arc;

use super::super::cost;
use super::super::env::{Implementation, Overload};
use super::super::error::EvalError;
use super::super::operators;
use super::super::plan::{CallNode, Node};
use super::super::types::Type;
use super::super::value::Value;
use super::{Answer, Context, eval};
use crate::expr::goregex;

pub(super) fn arguments<'a>(
    nodes: &'a [Node],
    context: &mut Context<'a, '_>,
) -> Result<Vec<Value<'a>>, EvalError> {
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        out.push(eval(node, context)?);
    }
    Ok(out)
}

pub(super) fn eval_call<'a>(call: &'a CallNode, context: &mut Context<'a, '_>) -> Answer<'a> {
    // No vector for the common numbers of arguments.
    match &*call.args {
        [] => dispatch(call, &[], context),
        [a] => {
            let arg = eval(a, context);
            if arg.is_err() {
                context.charge(1)?;
            }
            let args = [arg?];
            dispatch(call, &args, context)
        }
        [a, b] => {
            let args = [eval(a, context)?, eval(b, context)?];
            dispatch(call, &args, context)
        }
        more => {
            let args = arguments(more, context)?;
            dispatch(call, &args, context)
        }
    }
}

fn dispatch<'a>(call: &'a CallNode, args: &[Value<'a>], context: &mut Context<'a, '_>) -> Answer<'a> {
    let fits = |overload: &&Arc<Overload>| {
        let types = &overload.signature.arguments;
        types.len() == args.len() && types.iter().zip(args).all(|(ty, value)| is_of(value, ty))
    };
    let Some(overload) = call.overloads.iter().find(fits) else {
        // No overload says that a length of time can be negated, yet it can.
        if let ("-_", [Value::Duration(_)]) = (&*call.name, args) {
            context.charge(1)?;
            return operators::negate(args).map_err(|error| error.at(call.place));
        }
        return Err(no_overload(&call.name, args).at(call.place));
    };
    let result = match &overload.run {
        Implementation::Native(run) => run(args),
        Implementation::Closure(run) => run(args),
        Implementation::Regex(run) => match args.get(1).and_then(Value::as_str) {
            Some(pattern) => {
                context.charge(cost::pattern(pattern))?;
                match goregex::compile(pattern) {
                    Ok(regex) => run(&regex, args),
                    Err(error) if call.name.starts_with("find") => {
                        Err(EvalError::new(format!("Illegal regex: {error}")))
                    }
                    Err(error) => Err(EvalError::new(error)),
                }
            }
            None => Err(EvalError::no_such_overload()),
        },
        Implementation::Operator => operators::negate(args),
    };
    let result = result.map_err(|error| error.at(call.place))?;
    context.charge(cost::actual(call.cost, args, &result))?;
    Ok(result)
}

/// The error of arguments that no overload takes. Functions differ in how much they tell.
#[cold]
fn no_overload(name: &str, args: &[Value<'_>]) -> EvalError {
    let receives = matches!(args.first(), Some(Value::String(_) | Value::Timestamp(_) | Value::Duration(_)));
    match name {
        "startsWith" | "endsWith" | "contains" => EvalError::no_such_overload(),
        "size" | "matches" | "-_" if receives => EvalError::no_such_overload(),
        "size" | "matches" | "-_" => EvalError::new(format!("no such overload: {name}")),
        name => {
            let types: Vec<&str> = args.iter().map(Value::type_name).collect();
            EvalError::new(format!("no such overload: {name}({})", types.join(", ")))
        }
    }
}

/// Whether a value is of a type, as far as values know their types.
fn is_of(value: &Value<'_>, ty: &Type) -> bool {
    match ty {
        Type::Dyn | Type::Param(_) | Type::Error => true,
        Type::List(_) => value.list_len().is_some(),
        Type::Map(_) => value.map_len().is_some(),
        Type::Type(_) => matches!(value, Value::Type(_)),
        Type::Object(object) => match value {
            Value::Opaque(value) => value.type_name() == &**object.name(),
            Value::Struct(value) => value.name == *object.name(),
            other => other.map_len().is_some(),
        },
        other => value.type_name() == other.name(),
    }
}
