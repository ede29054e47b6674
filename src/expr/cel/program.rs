//! Compiled expressions, what they run on, and what they may cost.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ast::Kind;
use super::checker::{Checked, Reference};
use super::error::{EvalError, EvalErrorKind};
use super::eval::{self, Context};
use super::plan::Node;
use super::stack;
use super::types::Type;
use super::value::Value;

/// What one evaluation may cost in Kubernetes.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// What all evaluations for one object may cost together in Kubernetes.
pub const TOTAL_LIMIT: u64 = 10_000_000;

/// A compiled expression. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Compiled>);

pub(crate) struct Compiled {
    pub(crate) node: Node,
    pub(crate) checked: Checked,
    depth: usize,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("output", self.output()).finish_non_exhaustive()
    }
}

impl Program {
    pub(crate) fn new(node: Node, checked: Checked, depth: usize) -> Program {
        Program(Arc::new(Compiled { node, checked, depth }))
    }

    /// The type of its result.
    pub fn output(&self) -> &Type {
        self.0.checked.ty(self.0.checked.ast.root.id)
    }

    /// Whether it uses a variable.
    pub fn uses(&self, variable: &str) -> bool {
        let checked = &self.0.checked;
        let mut found = false;
        checked.ast.root.walk(&mut |expr| {
            if matches!(expr.kind, Kind::Ident(_) | Kind::Select { .. })
                && let Reference::Variable(name) = checked.reference(expr.id)
            {
                found |= &**name == variable;
            }
        });
        found
    }

    pub(crate) fn checked(&self) -> &Checked {
        &self.0.checked
    }

    /// Evaluates it. What that cost is taken from the budget.
    pub fn run<'a>(&'a self, bindings: &Bindings<'a>, budget: &mut Budget) -> Result<Value<'a>, EvalError> {
        let limit = budget.per_call;
        let work = || {
            let mut context = Context::new(bindings, limit);
            let result = eval::eval(&self.0.node, &mut context);
            (result, context.cost, context.others)
        };
        // Nearly all are shallow.
        let done =
            if self.0.depth <= stack::SHALLOW { Some(work()) } else { stack::with_room(self.0.depth, work) };
        let (result, cost, others) =
            done.unwrap_or_else(|| (Err(EvalError::new("expression is too deep to be evaluated now")), 0, 0));
        budget.last = cost;
        budget.spend(cost.saturating_add(others));
        result
    }

    pub(crate) fn depth(&self) -> usize {
        self.0.depth
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }
}

/// How much evaluations may cost.
#[derive(Debug, Clone)]
pub struct Budget {
    per_call: u64,
    remaining: u64,
    exhausted: bool,
    last: u64,
}

impl Budget {
    /// The limits of Kubernetes.
    pub fn kubernetes() -> Budget {
        Budget::new(PER_CALL_LIMIT, TOTAL_LIMIT)
    }

    /// Other limits: of each call, and of all together.
    pub fn new(per_call: u64, total: u64) -> Budget {
        Budget { per_call, remaining: total, exhausted: false, last: 0 }
    }

    /// No limits.
    pub fn unlimited() -> Budget {
        Budget::new(u64::MAX, u64::MAX)
    }

    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether more than all was spent.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// What the last call cost.
    pub fn last_cost(&self) -> u64 {
        self.last
    }

    /// Takes a cost from what is left.
    pub fn spend(&mut self, cost: u64) {
        match self.remaining.checked_sub(cost) {
            Some(left) => self.remaining = left,
            None => {
                self.remaining = 0;
                self.exhausted = true;
            }
        }
    }
}

/// The variables that an expression runs on.
#[derive(Debug, Default)]
pub struct Bindings<'a> {
    values: Vec<(&'a str, Value<'a>)>,
    lazy: Vec<Lazy<'a>>,
    /// How deep the expressions of the variables are that are being worked out now, together.
    depth: AtomicUsize,
}

/// How deep expressions may stand in each other, through variables that ask for variables.
const MAX_DEPTH: usize = 1_000;
/// Variables are not added to messages that are longer.
const LONG_MESSAGE: usize = 500;
/// How deep the value of a variable may be.
const MAX_NESTING: usize = 100;

fn too_deep() -> EvalError {
    EvalError::new("expression is too deep to be evaluated")
}

/// Whether a value that was made while running has more than so many levels. What is borrowed has only those of its
/// document.
fn nests_deeper(value: &Value<'_>, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::List(list) => list.items.iter().any(|item| nests_deeper(item, below)),
        Value::Map(map) => map.values().any(|item| nests_deeper(item, below)),
        Value::Struct(message) => message.fields.values().any(|item| nests_deeper(item, below)),
        Value::Optional(Some(inner)) => nests_deeper(inner, below),
        _ => false,
    }
}

/// A field whose value is worked out when it is first looked at.
#[derive(Debug)]
struct Lazy<'a> {
    group: &'a str,
    name: &'a str,
    program: &'a Program,
    state: Mutex<State<'a>>,
}

#[derive(Debug)]
enum State<'a> {
    New,
    Running,
    Done(Result<Value<'a>, EvalError>),
}

impl<'a> Lazy<'a> {
    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Bindings<'a> {
    /// No variables.
    pub fn new() -> Bindings<'a> {
        Bindings::default()
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &'a str, value: Value<'a>) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => self.values.push((name, value)),
        }
    }

    /// Sets a variable, in a chain.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Value<'a>) -> Bindings<'a> {
        self.set(name, value);
        self
    }

    /// Makes `group.name` the result of a program, which runs on these variables when that is first looked at, as
    /// `variables.foo` of admission policies.
    pub fn define(&mut self, group: &'a str, name: &'a str, program: &'a Program) {
        self.lazy.push(Lazy { group, name, program, state: Mutex::new(State::New) });
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether things are defined under this name.
    pub(crate) fn is_group(&self, name: &str) -> bool {
        self.lazy.iter().any(|lazy| lazy.group == name)
    }

    /// What was defined under a name in a group. `None` if nothing was.
    pub(crate) fn defined(
        &self,
        group: &str,
        name: &str,
        context: &mut Context<'a, '_>,
    ) -> Option<Result<Value<'a>, EvalError>> {
        let lazy = self.lazy.iter().find(|lazy| lazy.group == group && lazy.name == name)?;
        match &*lazy.state() {
            State::New => {}
            State::Running => return Some(Err(EvalError::new(format!("variable {name} uses itself")))),
            State::Done(result) => return Some(result.clone()),
        }
        *lazy.state() = State::Running;
        let limit = context.limit;
        let depth = self.depth.fetch_add(lazy.program.depth() + 1, Ordering::Relaxed) + lazy.program.depth();
        let work = || {
            let mut own = Context::new(self, limit);
            let result = eval::eval(lazy.program.node(), &mut own);
            (result, own.cost, own.others)
        };
        // A thread that was started for depth has room for all that may come.
        let done = if depth > MAX_DEPTH { None } else { stack::with_more_room(depth, work) };
        self.depth.fetch_sub(lazy.program.depth() + 1, Ordering::Relaxed);
        let (result, cost, others) = done.unwrap_or_else(|| (Err(too_deep()), 0, 0));
        let result = result.and_then(|value| match nests_deeper(&value, MAX_NESTING) {
            true => Err(too_deep()),
            false => Ok(value),
        });
        let result = result.map_err(|error| match error.kind() {
            EvalErrorKind::OverBudget | EvalErrorKind::NotLookedUp => error,
            // A chain that is cut off need not be told link by link.
            EvalErrorKind::Failed if error.message().len() > LONG_MESSAGE => error,
            EvalErrorKind::Failed => {
                EvalError::new(format!("composited variable {name:?} fails to evaluate: {}", error.message()))
            }
        });
        context.others = context.others.saturating_add(cost).saturating_add(others);
        *lazy.state() = State::Done(result.clone());
        Some(result)
    }
}
