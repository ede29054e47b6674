//! Evaluation. Costs are counted as Kubernetes counts them, so that what runs out of budget there does here.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::Shape;
use super::cost::{self, Cost};
use super::env::{Implementation, Overload};
use super::error::{EvalError, EvalErrorKind};
use super::operators;
use super::plan::{Attribute, Base, CallNode, Conditional, FoldNode, Node, Operator, Relation, Step, What};
use super::program::Bindings;
use super::types::Type;
use super::value::{Key, Struct, Text, Unset, Value, find_json};
use super::{convert, equality};
use crate::expr::goregex;

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

fn eval_attribute<'a>(attribute: &'a Attribute, context: &mut Context<'a, '_>, base_cost: u64) -> Answer<'a> {
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

fn arguments<'a>(nodes: &'a [Node], context: &mut Context<'a, '_>) -> Result<Vec<Value<'a>>, EvalError> {
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        out.push(eval(node, context)?);
    }
    Ok(out)
}

fn eval_call<'a>(call: &'a CallNode, context: &mut Context<'a, '_>) -> Answer<'a> {
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

/// The items that a loop goes over, two by two if it has two variables.
fn eval_fold<'a>(fold: &'a FoldNode, context: &mut Context<'a, '_>) -> Answer<'a> {
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
fn unsupported_key(key: &Value<'_>) -> EvalError {
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
