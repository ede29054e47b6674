//! What an expression sees: names bound to values, layered, searched without copying the values.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::jmespath::{EvalError, Expression, weigh};
use super::outside::Outside;

/// Reads one YAML document, or says why it is none.
pub type ReadYaml = fn(&str) -> Result<Value, String>;

/// What functions need of the outside world, handed in so that evaluation is repeatable.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The present, in nanoseconds since 1970 (UTC); `time_now` and `time_since` read it.
    pub now: i128,
    /// Seed of `random`; two evaluations with one seed draw the same texts.
    pub seed: u64,
    /// Reads one YAML document for `parse_yaml`; without it that function fails.
    pub yaml: Option<ReadYaml>,
    /// Registry that image names without one belong to.
    pub default_registry: String,
    /// Steps after which an evaluation is cut.
    pub max_steps: u64,
    /// Steps after which all evaluations of a context, which are those of one rule, are cut.
    pub max_total: u64,
}

impl Default for Environment {
    fn default() -> Self {
        Environment {
            now: 0,
            seed: 0,
            yaml: None,
            default_registry: "docker.io".to_owned(),
            max_steps: 1_000_000,
            max_total: 10_000_000,
        }
    }
}

/// Counts draws, so that each differs, yet is the same in every run with the same seed.
#[derive(Debug, Default)]
pub(crate) struct Draws(Cell<u64>);

impl Draws {
    pub(crate) fn next(&self, seed: u64) -> u64 {
        let count = self.0.get().wrapping_add(1);
        self.0.set(count);
        // splitmix64
        let mut z = seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How deep evaluations may stand in each other, through variables that ask for variables.
const MAX_DEPTH: u32 = 400;
/// What a variable adds to that beside its expression.
const DEPTH_OF_VARIABLE: u32 = 10;
/// How deep the value of a variable may be.
const MAX_NESTING: usize = 256;

/// What evaluations have used up together.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    spent: Cell<u64>,
    depth: Cell<u32>,
}

impl Meter {
    /// Takes steps from what all may use.
    pub(crate) fn spend(&self, steps: u64, most: u64) -> Result<(), EvalError> {
        let spent = self.spent.get().saturating_add(steps);
        self.spent.set(spent);
        if spent > most { Err(EvalError::Limit) } else { Ok(()) }
    }

    /// Does work so many levels deeper.
    pub(crate) fn deeper<T>(
        &self,
        levels: u32,
        work: impl FnOnce() -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let depth = self.depth.get();
        if depth + levels > MAX_DEPTH {
            return Err(EvalError::TooDeep);
        }
        self.depth.set(depth + levels);
        let result = work();
        self.depth.set(depth);
        result
    }
}

/// Whether a value has more than so many levels.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        Value::Object(map) => map.values().any(|item| is_deeper(item, below)),
        _ => false,
    }
}

/// A variable that is computed when it is first asked for.
pub trait LazyVariable {
    /// Computes it. Names resolve as they do where the variable was bound.
    fn evaluate(&self, context: &Context<'_>) -> Result<Value, EvalError>;
}

/// A part of the data: a whole value, or an object put together of parts.
#[derive(Debug, Clone)]
pub(crate) enum Node<'a> {
    Leaf(Cow<'a, Value>),
    Branch(BTreeMap<String, Node<'a>>),
}

enum Entry<'a> {
    Node(Node<'a>),
    Lazy { variable: &'a dyn LazyVariable, value: OnceCell<Result<Value, EvalError>>, busy: Cell<bool> },
}

/// What a name is bound to.
pub(crate) enum Found<'c> {
    Value(&'c Value),
    Branch(&'c BTreeMap<String, Node<'c>>),
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is bound to nothing.
    Unknown,
    /// Its value was there from the beginning.
    Given,
    /// It is a variable that nobody asked for yet.
    Unread,
    /// It is a variable that was computed.
    Read,
}

/// Names and their values. A child layer hides its parent's names; nothing is copied to make one.
pub struct Context<'a> {
    parent: Option<&'a Context<'a>>,
    entries: Vec<(Cow<'a, str>, Entry<'a>)>,
    environment: Cow<'a, Environment>,
    outside: Option<&'a dyn Outside>,
    draws: Draws,
    /// What evaluations here use up; `None` if that counts for the parent.
    meter: Option<Meter>,
}

impl<'a> Context<'a> {
    /// An empty context.
    pub fn new(environment: Environment) -> Context<'a> {
        Context {
            parent: None,
            entries: Vec::new(),
            environment: Cow::Owned(environment),
            outside: None,
            draws: Draws::default(),
            meter: Some(Meter::default()),
        }
    }

    /// A context whose names are the keys of an object.
    pub fn of_document(environment: Environment, document: &'a Value) -> Context<'a> {
        let mut context = Context::new(environment);
        context.bind_fields(document);
        context
    }

    /// Binds the keys of an object, whatever stands in them.
    pub fn bind_fields(&mut self, document: &'a Value) {
        for (name, value) in document.as_object().into_iter().flatten() {
            self.entries.push((Cow::Borrowed(name), Entry::Node(Node::Leaf(Cow::Borrowed(value)))));
        }
    }

    /// A layer above this one for the names of a rule, whose evaluations are limited for themselves.
    pub fn metered_child(&'a self) -> Context<'a> {
        Context { meter: Some(Meter::default()), ..self.child() }
    }

    /// A layer above this one, for the names of a `foreach` step.
    pub fn child(&'a self) -> Context<'a> {
        Context {
            parent: Some(self),
            entries: Vec::new(),
            environment: Cow::Borrowed(self.environment.as_ref()),
            outside: self.outside,
            draws: Draws::default(),
            meter: None,
        }
    }

    /// Sets whom its variables may ask.
    pub fn ask(&mut self, outside: &'a dyn Outside) {
        self.outside = Some(outside);
    }

    /// Whom its variables may ask, if anybody.
    pub fn outside(&self) -> Option<&'a dyn Outside> {
        self.outside
    }

    /// The environment of its functions.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref().or_else(|| self.parent?.meter())
    }

    /// Takes steps for work that is done beside expressions.
    ///
    /// # Errors
    /// When more is used up than all evaluations may.
    pub fn spend(&self, steps: u64) -> Result<(), EvalError> {
        self.meter().map_or(Ok(()), |meter| meter.spend(steps, self.environment.max_total))
    }

    pub(crate) fn draws(&self) -> &Draws {
        self.parent.map_or(&self.draws, Context::draws)
    }

    /// Binds a name, or a place below one (`request.object`), to a borrowed value. A later binding wins.
    pub fn bind(&mut self, path: &str, value: &'a Value) {
        self.put(path, Cow::Borrowed(value));
    }

    /// Binds a name, or a place below one, to a value of its own.
    pub fn bind_owned(&mut self, path: &str, value: Value) {
        self.put(path, Cow::Owned(value));
    }

    /// Binds a name to a variable that is computed on first use and then kept.
    pub fn bind_lazy(&mut self, name: &'a str, variable: &'a dyn LazyVariable) {
        let entry = Entry::Lazy { variable, value: OnceCell::new(), busy: Cell::new(false) };
        self.entries.push((Cow::Borrowed(name), entry));
    }

    fn put(&mut self, path: &str, value: Cow<'a, Value>) {
        let mut segments = path.split('.');
        let name = segments.next().unwrap_or_default();
        let rest: Vec<&str> = segments.collect();
        if rest.is_empty() {
            self.entries.push((Cow::Owned(name.to_owned()), Entry::Node(Node::Leaf(value))));
            return;
        }
        let own = self.entries.iter().rposition(|(n, _)| n == name);
        let mut node = match own.map(|at| self.entries.remove(at).1) {
            Some(Entry::Node(node)) => node,
            Some(Entry::Lazy { .. }) => Node::Branch(BTreeMap::new()),
            None => self.parent.and_then(|p| p.node(name)).unwrap_or(Node::Branch(BTreeMap::new())),
        };
        node.put(&rest, value);
        self.entries.push((Cow::Owned(name.to_owned()), Entry::Node(node)));
    }

    /// The node of a name, sharing its leaves.
    fn node(&'a self, name: &str) -> Option<Node<'a>> {
        match self.entries.iter().rev().find(|(n, _)| n == name) {
            Some((_, Entry::Node(node))) => Some(node.shared()),
            Some((_, Entry::Lazy { .. })) => None,
            None => self.parent.and_then(|p| p.node(name)),
        }
    }

    /// How far it is known what a name is bound to.
    pub(crate) fn standing(&self, name: &str) -> Standing {
        match self.entries.iter().rev().find(|(bound, _)| bound == name) {
            Some((_, Entry::Lazy { value, .. })) if value.get().is_none() => Standing::Unread,
            Some((_, Entry::Lazy { .. })) => Standing::Read,
            Some((_, Entry::Node(_))) => Standing::Given,
            None => self.parent.map_or(Standing::Unknown, |parent| parent.standing(name)),
        }
    }

    /// Whether a name is bound (a lazy variable counts, computed or not).
    pub fn contains(&self, name: &str) -> bool {
        self.entries.iter().any(|(n, _)| n == name) || self.parent.is_some_and(|p| p.contains(name))
    }

    /// What a name is bound to. A variable that is being computed is not visible to itself: an earlier binding of
    /// its name is.
    pub(crate) fn lookup<'c>(&'c self, name: &str) -> Result<Option<Found<'c>>, EvalError> {
        for (bound, entry) in self.entries.iter().rev() {
            if bound != name {
                continue;
            }
            match entry {
                Entry::Node(Node::Leaf(value)) => return Ok(Some(Found::Value(value))),
                Entry::Node(Node::Branch(parts)) => return Ok(Some(Found::Branch(parts))),
                Entry::Lazy { busy, .. } if busy.get() => continue,
                Entry::Lazy { variable, value, busy } => {
                    let result = value.get_or_init(|| {
                        busy.set(true);
                        let result = self.compute(*variable);
                        busy.set(false);
                        result
                    });
                    return result.as_ref().map(|v| Some(Found::Value(v))).map_err(Clone::clone);
                }
            }
        }
        match self.parent {
            Some(parent) => parent.lookup(name),
            None => Ok(None),
        }
    }

    fn compute(&self, variable: &dyn LazyVariable) -> Result<Value, EvalError> {
        let work = || variable.evaluate(self);
        let value = match self.meter() {
            Some(meter) => meter.deeper(DEPTH_OF_VARIABLE, work)?,
            None => work()?,
        };
        if is_deeper(&value, MAX_NESTING) { Err(EvalError::TooDeep) } else { Ok(value) }
    }

    /// Evaluates an expression here.
    pub fn query<'c>(&'c self, expression: &'c Expression) -> Result<Cow<'c, Value>, EvalError> {
        expression.evaluate(self)
    }

    /// Everything as one object; copies, so only for an expression that asks for the whole.
    pub(crate) fn to_value(&self) -> Result<Value, EvalError> {
        let mut whole = match self.parent.map(Context::to_value).transpose()? {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        for (name, _) in &self.entries {
            match self.lookup(name)? {
                Some(Found::Value(value)) => whole.insert(name.clone().into_owned(), value.clone()),
                Some(Found::Branch(parts)) => whole.insert(name.clone().into_owned(), branch_value(parts)),
                None => None,
            };
        }
        Ok(Value::Object(whole))
    }

    /// Counts what [`Context::to_value`] would copy; `None` when that is more than the budget.
    pub(crate) fn weigh(&self, budget: &mut u64) -> Option<()> {
        *budget = budget.checked_sub(self.entries.len() as u64)?;
        for (_, entry) in &self.entries {
            match entry {
                Entry::Node(node) => node.weigh(budget)?,
                Entry::Lazy { value, .. } => {
                    if let Some(Ok(value)) = value.get() {
                        weigh(value, budget)?;
                    }
                }
            }
        }
        self.parent.map_or(Some(()), |parent| parent.weigh(budget))
    }

    /// Whether the request at hand deletes its object.
    pub fn is_delete(&self) -> bool {
        match self.lookup("request") {
            Ok(Some(Found::Value(request))) => request.get("operation").is_some_and(|o| o == "DELETE"),
            Ok(Some(Found::Branch(parts))) => {
                matches!(parts.get("operation"), Some(Node::Leaf(value)) if value.as_str() == Some("DELETE"))
            }
            _ => false,
        }
    }
}

impl<'a> Node<'a> {
    fn put(&mut self, path: &[&str], value: Cow<'a, Value>) {
        let Some((first, rest)) = path.split_first() else {
            *self = Node::Leaf(value);
            return;
        };
        if let Node::Leaf(leaf) = self {
            *self = Node::Branch(parts_of(std::mem::replace(leaf, Cow::Owned(Value::Null))));
        }
        if let Node::Branch(parts) = self {
            parts
                .entry((*first).to_owned())
                .or_insert_with(|| Node::Branch(BTreeMap::new()))
                .put(rest, value);
        }
    }

    fn shared(&'a self) -> Node<'a> {
        match self {
            Node::Leaf(value) => Node::Leaf(Cow::Borrowed(value.as_ref())),
            Node::Branch(parts) => {
                Node::Branch(parts.iter().map(|(name, node)| (name.clone(), node.shared())).collect())
            }
        }
    }

    pub(crate) fn weigh(&self, budget: &mut u64) -> Option<()> {
        match self {
            Node::Leaf(value) => weigh(value, budget),
            Node::Branch(parts) => {
                *budget = budget.checked_sub(parts.len() as u64)?;
                parts.values().try_for_each(|part| part.weigh(budget))
            }
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Node::Leaf(value) => value.as_ref().clone(),
            Node::Branch(parts) => branch_value(parts),
        }
    }
}

/// The fields of an object as nodes; none of anything else, which the new parts then replace.
fn parts_of(value: Cow<'_, Value>) -> BTreeMap<String, Node<'_>> {
    match value {
        Cow::Borrowed(Value::Object(map)) => {
            map.iter().map(|(k, v)| (k.clone(), Node::Leaf(Cow::Borrowed(v)))).collect()
        }
        Cow::Owned(Value::Object(map)) => {
            map.into_iter().map(|(k, v)| (k, Node::Leaf(Cow::Owned(v)))).collect()
        }
        _ => BTreeMap::new(),
    }
}

pub(crate) fn branch_value(parts: &BTreeMap<String, Node<'_>>) -> Value {
    Value::Object(parts.iter().map(|(name, node)| (name.clone(), node.to_value())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Plus(&'static str);
    impl LazyVariable for Plus {
        fn evaluate(&self, context: &Context<'_>) -> Result<Value, EvalError> {
            let expression = Expression::compile(self.0).map_err(EvalError::from)?;
            let value = context.query(&expression)?.into_owned();
            Ok(json!(format!("{}+", value.as_str().unwrap_or_default())))
        }
    }

    fn ask(context: &Context<'_>, expression: &str) -> Value {
        let compiled = Expression::compile(expression).unwrap();
        context.query(&compiled).unwrap().into_owned()
    }

    #[test]
    fn layers_hide_names_and_parts_join() {
        let object = json!({"metadata": {"name": "x"}});
        let mut base = Context::new(Environment::default());
        base.bind("request.object", &object);
        base.bind_owned("request.operation", json!("DELETE"));
        base.bind_owned("request.object.metadata.labels.a", json!("b"));
        let mut child = base.child();
        child.bind_owned("element", json!(1));
        child.bind_owned("request.operation", json!("UPDATE"));
        assert!(base.is_delete() && !child.is_delete());
        assert_eq!(ask(&child, "request.object.metadata.[name, labels.a]"), json!(["x", "b"]));
        assert_eq!(
            ask(&child, "@"),
            json!({"element": 1, "request": {"operation": "UPDATE", "object": {"metadata": {"name": "x", "labels": {"a": "b"}}}}})
        );
    }

    #[test]
    fn a_lazy_variable_sees_the_earlier_binding_of_its_name() {
        let (first, second) = (Plus("'a'"), Plus("x"));
        let mut context = Context::new(Environment::default());
        context.bind_lazy("x", &first);
        context.bind_lazy("x", &second);
        assert_eq!(ask(&context, "x"), json!("a++"));
    }

    #[test]
    fn a_variable_of_itself_is_unknown() {
        let only = Plus("x");
        let mut context = Context::new(Environment::default());
        context.bind_lazy("x", &only);
        let compiled = Expression::compile("x").unwrap();
        assert!(matches!(context.query(&compiled), Err(EvalError::NotFound(_))));
    }
}
