//! A checked tree to the form that runs: names, fields, overloads and patterns are looked up here once.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::Regex;

use super::ast::{Call, Expr, Fold, Id, Kind, Literal, Shape, op};
use super::checker::{Checked, Reference};
use super::cost::Cost;
use super::env::{Implementation, Overload, WithRegex};
use super::error::{CompileError, EvalError};
use super::eval::{self, Context};
use super::program::{Bindings, Program};
use super::types::Type;
use super::value::{Key, Text, Unset, Value};
use crate::expr::goregex;

/// A node that runs.
#[derive(Debug)]
pub(crate) enum Node {
    Const(Value<'static>),
    Attribute(Box<Attribute>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Not(Box<Node>),
    Conditional(Box<Conditional>),
    Equals {
        sides: Box<[Node; 2]>,
        negated: bool,
        place: u32,
    },
    Compare(Box<Compare>),
    Arithmetic(Box<Arithmetic>),
    /// In a list that is written out.
    InSet(Box<(Node, BTreeSet<Key<'static>>)>),
    Call(Box<CallNode>),
    Match(Box<Match>),
    List(Box<[ItemNode]>),
    Map(Box<[EntryNode]>),
    Struct(Box<StructNode>),
    Fold(Box<FoldNode>),
    Bind(Box<[Node; 2]>),
    /// `optional.or(optional)`, and `orValue` if `true`.
    OrElse(Box<[Node; 2]>, bool),
}

/// A variable or value, and the path of fields and indices from it.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) base: Base,
    pub(crate) path: Vec<Step>,
    pub(crate) place: u32,
}

#[derive(Debug)]
pub(crate) enum Base {
    Variable(Arc<str>),
    /// A variable of a macro, by its depth.
    Local(usize),
    Value(Node),
    Conditional(Conditional),
}

#[derive(Debug)]
pub(crate) struct Conditional {
    pub(crate) parts: [Node; 3],
    pub(crate) place: u32,
}

/// A field or index of a path.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) what: What,
    pub(crate) optional: bool,
    pub(crate) place: u32,
}

#[derive(Debug)]
pub(crate) enum What {
    Field(Arc<str>),
    /// Whether a field is there.
    Has(Arc<str>),
    Const(Value<'static>),
    Value(Node),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Relation {
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
}

#[derive(Debug)]
pub(crate) struct Compare {
    pub(crate) relation: Relation,
    pub(crate) sides: [Node; 2],
    pub(crate) cost: Cost,
    pub(crate) place: u32,
}

#[derive(Debug)]
pub(crate) struct Arithmetic {
    pub(crate) operator: Operator,
    pub(crate) sides: [Node; 2],
    pub(crate) cost: Cost,
    pub(crate) place: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    In,
}

#[derive(Debug)]
pub(crate) struct CallNode {
    pub(crate) name: Arc<str>,
    pub(crate) overloads: Box<[Arc<Overload>]>,
    pub(crate) args: Box<[Node]>,
    pub(crate) cost: Cost,
    pub(crate) place: u32,
}

/// A call with a pattern that is written out.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) regex: Regex,
    pub(crate) run: WithRegex,
    pub(crate) args: Box<[Node]>,
    pub(crate) cost: Cost,
    pub(crate) place: u32,
}

#[derive(Debug)]
pub(crate) struct ItemNode {
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct EntryNode {
    pub(crate) key: Node,
    pub(crate) value: Node,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) struct StructNode {
    pub(crate) name: Arc<str>,
    pub(crate) unset: Option<Unset>,
    pub(crate) fields: Vec<(Arc<str>, Node, bool)>,
}

#[derive(Debug)]
pub(crate) struct FoldNode {
    pub(crate) shape: Shape,
    pub(crate) range: Node,
    pub(crate) two: bool,
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
    /// What gathering one item costs beside the body.
    pub(crate) item_cost: u64,
    pub(crate) place: u32,
}

/// Makes a program of a checked tree.
pub(crate) fn plan(checked: Checked) -> Result<Program, CompileError> {
    let mut planner = Planner { checked: &checked, locals: Vec::new() };
    match planner.node(&checked.ast.root) {
        Ok(node) => {
            let deepest = checked.ast.root.depth();
            Ok(Program::new(node, checked, deepest))
        }
        Err((place, message)) => Err(CompileError {
            offset: place as usize,
            line: 1,
            column: place as usize + 1,
            summary: message.clone(),
            message,
            instantiation: true,
        }),
    }
}

type Planned<T> = Result<T, (u32, String)>;

/// Functions that are worked out while planning when their argument is written out.
const CONVERSIONS: [&str; 10] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];

struct Planner<'c> {
    checked: &'c Checked,
    locals: Vec<Arc<str>>,
}

impl Planner<'_> {
    fn place(&self, id: Id) -> u32 {
        self.checked.ast.place(id)
    }

    fn node(&mut self, expr: &Expr) -> Planned<Node> {
        match &expr.kind {
            Kind::Literal(literal) => Ok(Node::Const(constant(literal))),
            Kind::Ident(_) => self.name(expr),
            Kind::Select { operand, field, test } => self.select(expr, operand, field, *test),
            Kind::Call(call) => self.call(expr, call),
            Kind::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    out.push(ItemNode { value: self.node(&item.value)?, optional: item.optional });
                }
                let is_const = out.iter().all(|item| matches!(item.value, Node::Const(_)));
                self.folded(Node::List(out.into()), is_const, expr.id)
            }
            Kind::Map(entries) => {
                let mut out = Vec::with_capacity(entries.len());
                for entry in entries {
                    let (key, value) = (self.node(&entry.key)?, self.node(&entry.value)?);
                    out.push(EntryNode { key, value, optional: entry.optional });
                }
                let is_const =
                    out.iter().all(|e| matches!((&e.key, &e.value), (Node::Const(_), Node::Const(_))));
                self.folded(Node::Map(out.into()), is_const, expr.id)
            }
            Kind::Struct(_, fields) => {
                let (name, unset) = match self.checked.reference(expr.id) {
                    Reference::Type(ty @ Type::Object(object)) => (ty.name().into(), object.unset()),
                    Reference::Type(ty) => (ty.name().into(), None),
                    _ => ("".into(), None),
                };
                let mut out = Vec::with_capacity(fields.len());
                for field in fields {
                    out.push((field.name.clone(), self.node(&field.value)?, field.optional));
                }
                Ok(Node::Struct(Box::new(StructNode { name, unset, fields: out })))
            }
            Kind::Fold(fold) => self.fold(expr.id, fold),
        }
    }

    /// A node that can be worked out now is; one that fails is left to fail when it runs.
    fn folded(&self, node: Node, is_const: bool, _id: Id) -> Planned<Node> {
        if is_const && let Ok(value) = evaluate(&node) { Ok(Node::Const(value)) } else { Ok(node) }
    }

    fn name(&mut self, expr: &Expr) -> Planned<Node> {
        Ok(match self.checked.reference(expr.id) {
            Reference::Type(ty) => Node::Const(Value::Type(Text::Shared(type_name(ty).into()))),
            Reference::Variable(name) => {
                let base = match self.locals.iter().rposition(|local| local == name) {
                    Some(depth) => Base::Local(depth),
                    None => Base::Variable(name.clone()),
                };
                Node::Attribute(Box::new(Attribute { base, path: Vec::new(), place: self.place(expr.id) }))
            }
            _ => return Err((self.place(expr.id), "unresolved name".to_owned())),
        })
    }

    /// What a path can be added to.
    fn attribute(&self, node: Node, place: u32) -> Box<Attribute> {
        match node {
            // A presence test is a value of its own.
            Node::Attribute(attribute)
                if !matches!(attribute.path.last(), Some(Step { what: What::Has(_), .. })) =>
            {
                attribute
            }
            Node::Conditional(conditional) => {
                Box::new(Attribute { base: Base::Conditional(*conditional), path: Vec::new(), place })
            }
            node => Box::new(Attribute { base: Base::Value(node), path: Vec::new(), place }),
        }
    }

    fn extended(&self, operand: Node, what: What, optional: bool, id: Id) -> Node {
        let place = self.place(id);
        let mut attribute = self.attribute(operand, place);
        attribute.path.push(Step { what, optional, place });
        Node::Attribute(attribute)
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &Arc<str>, test: bool) -> Planned<Node> {
        if !matches!(self.checked.reference(expr.id), Reference::None) {
            return self.name(expr);
        }
        let operand = self.node(operand)?;
        let what = if test { What::Has(field.clone()) } else { What::Field(field.clone()) };
        Ok(self.extended(operand, what, false, expr.id))
    }

    fn call(&mut self, expr: &Expr, call: &Call) -> Planned<Node> {
        let Reference::Overloads(overloads, full_name) = self.checked.reference(expr.id) else {
            return Err((self.place(expr.id), format!("no such overload: {}", call.function)));
        };
        let name = full_name.clone().unwrap_or_else(|| call.function.clone());
        let place = self.place(expr.id);
        let mut args = Vec::with_capacity(call.args.len() + 1);
        // The target of `a.f(x)` where `a.f` is a function is no value.
        if let (Some(target), None) = (&call.target, full_name) {
            args.push(self.node(target)?);
        }
        for arg in &call.args {
            args.push(self.node(arg)?);
        }
        let cost = match &overloads[..] {
            [one] => one.cost,
            _ => ambiguous_cost(&name),
        };
        let args = match self.operator(&name, args, cost, place, overloads)? {
            Ok(node) => return Ok(node),
            Err(args) => args,
        };
        if let [overload] = &overloads[..]
            && let Implementation::Regex(run) = &overload.run
            && let Some(Node::Const(Value::String(pattern))) = args.get(1)
        {
            let regex = goregex::compile(pattern).map_err(|error| (place, error))?;
            return Ok(Node::Match(Box::new(Match { regex, run: *run, args: args.into(), cost, place })));
        }
        let fold = args.len() == 1 && matches!(args[0], Node::Const(_)) && CONVERSIONS.contains(&&*name);
        let overloads = overloads.iter().cloned().collect();
        let node = Node::Call(Box::new(CallNode { name, overloads, args: args.into(), cost, place }));
        if fold {
            return evaluate(&node).map(Node::Const).map_err(|error| (place, error.message().to_owned()));
        }
        Ok(node)
    }

    /// A call of an operator; or the arguments back.
    fn operator(
        &self,
        name: &str,
        mut args: Vec<Node>,
        cost: Cost,
        place: u32,
        overloads: &[Arc<Overload>],
    ) -> Planned<Result<Node, Vec<Node>>> {
        if name == op::NOT && args.len() == 1 {
            return Ok(Ok(Node::Not(Box::new(args.remove(0)))));
        }
        if name == op::CONDITIONAL {
            return Ok(match <[Node; 3]>::try_from(args) {
                Ok(parts) => Ok(Node::Conditional(Box::new(Conditional { parts, place }))),
                Err(args) => Err(args),
            });
        }
        if args.len() != 2 {
            return Ok(Err(args));
        }
        let relation = match name {
            op::LESS => Some(Relation::Less),
            op::LESS_EQUALS => Some(Relation::LessEquals),
            op::GREATER => Some(Relation::Greater),
            op::GREATER_EQUALS => Some(Relation::GreaterEquals),
            _ => None,
        };
        let operator = match name {
            op::ADD => Some(Operator::Add),
            op::SUBTRACT => Some(Operator::Subtract),
            op::MULTIPLY => Some(Operator::Multiply),
            op::DIVIDE => Some(Operator::Divide),
            op::MODULO => Some(Operator::Modulo),
            op::IN => Some(Operator::In),
            _ => None,
        };
        if name == op::IN
            && let Node::Const(list) = &args[1]
            && cost == Cost::InList
            && let Some(set) = constant_set(list)
        {
            if set.is_empty() {
                return Ok(Ok(Node::Const(Value::Bool(false))));
            }
            return Ok(Ok(Node::InSet(Box::new((args.remove(0), set)))));
        }
        let sides = match <[Node; 2]>::try_from(args) {
            Ok(sides) => sides,
            Err(args) => return Ok(Err(args)),
        };
        if let Some(relation) = relation {
            return Ok(Ok(Node::Compare(Box::new(Compare { relation, sides, cost, place }))));
        }
        if let Some(operator) = operator {
            return Ok(Ok(Node::Arithmetic(Box::new(Arithmetic { operator, sides, cost, place }))));
        }
        let only = |id: &str| overloads.iter().all(|overload| &*overload.id == id);
        Ok(match name {
            op::AND => Ok(Node::And(Box::new(sides))),
            op::OR => Ok(Node::Or(Box::new(sides))),
            op::EQUALS | op::NOT_EQUALS => {
                Ok(Node::Equals { sides: Box::new(sides), negated: name == op::NOT_EQUALS, place })
            }
            op::INDEX | op::OPT_INDEX | op::OPT_SELECT => {
                let [operand, index] = sides;
                let mut attribute = self.attribute(operand, place);
                let what = match index {
                    Node::Const(Value::String(Text::Shared(field))) => What::Field(field),
                    Node::Const(value) => What::Const(value),
                    node => What::Value(node),
                };
                attribute.path.push(Step { what, optional: name != op::INDEX, place });
                Ok(Node::Attribute(attribute))
            }
            "or" if only("optional_or_optional") => Ok(Node::OrElse(Box::new(sides), false)),
            "orValue" if only("optional_orValue_value") => Ok(Node::OrElse(Box::new(sides), true)),
            _ => Err(sides.into()),
        })
    }

    fn fold(&mut self, id: Id, fold: &Fold) -> Planned<Node> {
        let depth = self.locals.len();
        if fold.shape == Shape::Bind {
            let init = self.node(&fold.init)?;
            self.locals.push(fold.accumulator.clone());
            let body = self.node(&fold.result);
            self.locals.truncate(depth);
            return Ok(Node::Bind(Box::new([init, body?])));
        }
        let range = self.node(&fold.range)?;
        self.locals.push(fold.variable.clone());
        self.locals.extend(fold.second.clone());
        let parts = self.fold_parts(fold);
        self.locals.truncate(depth);
        let (filter, body) = parts?;
        let is_const = matches!(body, Node::Const(_));
        let item_cost = match fold.shape {
            Shape::All | Shape::Exists => 1,
            // The accumulator, the addition, and the list of one item, which is no cost if it is always the same.
            Shape::List { .. } => 2 + if is_const { 0 } else { super::cost::MAKE_LIST },
            Shape::Map { entry: false, .. } => 3,
            _ => 2,
        };
        let two = fold.second.is_some();
        let place = self.place(id);
        Ok(Node::Fold(Box::new(FoldNode { shape: fold.shape, range, two, filter, body, item_cost, place })))
    }

    /// The filter and the body, planned.
    fn fold_parts(&mut self, fold: &Fold) -> Planned<(Option<Node>, Node)> {
        let parts = user_parts(fold);
        let (filter, body) =
            parts.ok_or_else(|| (0, "a macro was not expanded as it should be".to_owned()))?;
        Ok((filter.map(|filter| self.node(filter)).transpose()?, self.node(body)?))
    }
}

/// The filter and the body that the user wrote, out of the step of a loop.
pub(crate) fn user_parts(fold: &Fold) -> Option<(Option<&Expr>, &Expr)> {
    let step = call(&fold.step)?;
    match fold.shape {
        Shape::All | Shape::Exists => Some((None, step.args.get(1)?)),
        Shape::ExistsOne => Some((None, step.args.first()?)),
        Shape::List { filtered } | Shape::Map { filtered, .. } => {
            let (filter, gather) =
                if filtered { (step.args.first(), call(step.args.get(1)?)?) } else { (None, step) };
            let last = gather.args.last()?;
            let body = match &last.kind {
                Kind::List(items) if matches!(fold.shape, Shape::List { .. }) => &items.first()?.value,
                _ => last,
            };
            Some((filter, body))
        }
        Shape::Bind => None,
    }
}

fn call(expr: &Expr) -> Option<&Call> {
    match &expr.kind {
        Kind::Call(call) => Some(call),
        _ => None,
    }
}

/// Plans a part of a checked tree that stands in loops with these variables.
pub(crate) fn part(checked: &Checked, expr: &Expr, locals: &[Arc<str>]) -> Option<Node> {
    Planner { checked, locals: locals.to_vec() }.node(expr).ok()
}

/// What a call costs whose overload is known only when it runs.
fn ambiguous_cost(name: &str) -> Cost {
    match name {
        op::EQUALS | op::NOT_EQUALS => Cost::Compare,
        "indexOf" | "lastIndexOf" | "min" | "max" | "sum" | "isSorted" => Cost::Items,
        "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
            super::cost::READ
        }
        _ => super::cost::UNIT,
    }
}

/// The name of a type as `type(x)` gives it.
fn type_name(ty: &Type) -> &str {
    ty.name()
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(i) => Value::Int(*i),
        Literal::Uint(u) => Value::Uint(*u),
        Literal::Double(d) => Value::Double(*d),
        Literal::String(text) => Value::String(Text::Shared(text.clone())),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

/// The items of a list as a set, if all can be keys.
fn constant_set(list: &Value<'static>) -> Option<BTreeSet<Key<'static>>> {
    match list {
        Value::List(list) => list.items.iter().map(Key::member).collect(),
        _ => None,
    }
}

/// Works out a node without variables.
fn evaluate(node: &Node) -> Result<Value<'static>, EvalError> {
    let bindings = Bindings::new();
    let mut context = Context::new(&bindings, u64::MAX);
    eval::eval(node, &mut context).map(|value| owned(&value))
}

/// A value that borrows nothing, of one made of constants.
fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(b) => Value::Bool(*b),
        Value::Int(i) => Value::Int(*i),
        Value::Uint(u) => Value::Uint(*u),
        Value::Double(d) => Value::Double(*d),
        Value::String(text) => Value::String(Text::Shared((&**text).into())),
        Value::Type(text) => Value::Type(Text::Shared((&**text).into())),
        Value::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Value::Duration(nanos) => Value::Duration(*nanos),
        Value::Timestamp(time) => Value::Timestamp(*time),
        Value::List(list) => Value::list(list.items.iter().map(owned).collect()),
        Value::Map(map) => Value::map(
            map.iter().filter_map(|(key, value)| Some((Key::of(&owned(&key.value()))?, owned(value)))),
        ),
        Value::Optional(value) => Value::Optional(value.as_ref().map(|value| Arc::new(owned(value)))),
        Value::Opaque(value) => Value::Opaque(value.clone()),
        // Constants hold no JSON and no messages.
        Value::JsonList(..) | Value::JsonMap(..) | Value::Unknown(_) | Value::Struct(_) => Value::Null,
    }
}
