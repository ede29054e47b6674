//! The standard's functions over single values and sequences.

use serde_json::{Map, Value};

use super::{
    ANY, ARRAY, Call, Function, NUMBER, OBJECT, REFERENCE, SORTABLE, TEXT, Type, Val, number, row, variadic,
};
use crate::expr::jmespath::EvalError;
use crate::expr::{gofloat, gotext};

const MEASURABLE: &[Type] = &[Type::Text, Type::Array, Type::Object];

pub(super) const TABLE: &[Function] = &[
    row("abs", &[NUMBER], |call| number(call, call.number(0)?.abs())),
    row("avg", &[&[Type::Numbers]], average),
    row("ceil", &[NUMBER], |call| number(call, call.number(0)?.ceil())),
    row("contains", &[&[Type::Array, Type::Text], ANY], contains),
    row("ends_with", &[TEXT, TEXT], |call| Ok(Val::bool(call.text(0)?.ends_with(call.text(1)?)))),
    row("floor", &[NUMBER], |call| number(call, call.number(0)?.floor())),
    row("join", &[TEXT, &[Type::Texts]], join),
    row("keys", &[OBJECT], keys),
    row("length", &[MEASURABLE], length),
    row("map", &[REFERENCE, ARRAY], map),
    variadic("merge", &[OBJECT], merge),
    variadic("not_null", &[ANY], not_null),
    row("reverse", &[&[Type::Array, Type::Text]], reverse),
    row("sort", &[SORTABLE], super::select::sort),
    row("starts_with", &[TEXT, TEXT], |call| Ok(Val::bool(call.text(0)?.starts_with(call.text(1)?)))),
    row("to_array", &[ANY], to_array),
    row("to_number", &[ANY], to_number),
    row("to_string", &[ANY], to_string),
    row("type", &[ANY], |call| Ok(Val::text(call.argument(0)?.type_name()))),
    row("values", &[OBJECT], |call| Ok(Val::list(call.argument(0)?.values()?.unwrap_or_default()))),
];

fn average<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let items = call.argument(0)?.items();
    let numbers: Vec<f64> = items.iter().flat_map(|i| i.iter()).filter_map(|v| v.as_f64()).collect();
    number(call, numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn contains<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (search, wanted) = (call.argument(0)?, call.argument(1)?);
    if let Some(text) = search.as_str() {
        return Ok(Val::bool(wanted.as_str().is_some_and(|part| text.contains(part))));
    }
    let Some(items) = search.items() else { return Ok(Val::bool(false)) };
    call.interpreter.spend(items.len())?;
    call.interpreter.pay_for_reading(wanted, items.len())?;
    for item in items.iter() {
        if item.equals(wanted)? {
            return Ok(Val::bool(true));
        }
    }
    Ok(Val::bool(false))
}

fn join<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let glue = call.text(0)?;
    let items = call.argument(1)?.items();
    let mut joined = String::new();
    for (at, item) in items.iter().flat_map(|i| i.iter()).enumerate() {
        let text = item.as_str().unwrap_or_default();
        call.interpreter.spend(1 + (text.len() + glue.len()) / 64)?;
        if at > 0 {
            joined.push_str(glue);
        }
        joined.push_str(text);
    }
    Ok(Val::text(joined))
}

fn keys<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let names = match call.argument(0)? {
        Val::Branch(parts) => parts.keys().cloned().map(Val::text).collect(),
        Val::Root(context) => names_of(&context.to_value()?),
        other => other.plain().map(names_of).unwrap_or_default(),
    };
    Ok(Val::list(names))
}

fn names_of<'a>(value: &Value) -> Vec<Val<'a>> {
    value.as_object().into_iter().flat_map(|map| map.keys().cloned().map(Val::text)).collect()
}

fn length<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let value = call.argument(0)?;
    let length = match (value.as_str(), value.items()) {
        (Some(text), _) => text.chars().count(),
        (_, Some(items)) => items.len(),
        _ => match value {
            Val::Ref(Value::Object(map)) => map.len(),
            other => other.values()?.map_or(0, |values| values.len()),
        },
    };
    Ok(Val::owned(Value::from(length)))
}

fn map<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let (Val::Expression(then), list) = (call.argument(0)?, call.argument(1)?) else {
        return Err(call.wrong(0, "an expression"));
    };
    let items = list.items();
    let mapped: Result<Vec<Val<'a>>, EvalError> =
        items.iter().flat_map(|i| i.iter()).map(|item| call.interpreter.lenient(then, &item)).collect();
    mapped.map(Val::list)
}

fn merge<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let mut merged = Map::new();
    for argument in call.arguments {
        if let Value::Object(map) = call.interpreter.copy(argument)? {
            merged.extend(map);
        }
    }
    Ok(Val::owned(Value::Object(merged)))
}

fn not_null<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    Ok(call.arguments.iter().find(|a| !a.is_null()).cloned().unwrap_or_else(Val::null))
}

fn reverse<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let value = call.argument(0)?;
    if let Some(text) = value.as_str() {
        return Ok(Val::text(text.chars().rev().collect::<String>()));
    }
    let mut items: Vec<Val<'a>> = value.items().iter().flat_map(|i| i.iter()).collect();
    items.reverse();
    Ok(Val::list(items))
}

fn to_array<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let value = call.argument(0)?;
    Ok(if value.items().is_some() { value.clone() } else { Val::list(vec![value.clone()]) })
}

fn to_number<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let value = call.argument(0)?;
    if value.as_f64().is_some() {
        return Ok(value.clone());
    }
    let parsed = value.as_str().and_then(gofloat::parse);
    Ok(parsed.and_then(gotext::number).map_or_else(Val::null, Val::owned))
}

fn to_string<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let value = call.argument(0)?;
    if value.as_str().is_some() {
        return Ok(value.clone());
    }
    Ok(Val::text(gotext::json(&call.interpreter.copy(value)?)))
}
