//! Walking the tree over borrowed values.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::EvalError;
use super::ast::{Ast, Comparator, Kind, Piece};
use super::functions;
use super::value::Val;
use crate::expr::context::{Draws, Environment, Meter};
use crate::expr::gotext;

/// One evaluation: its environment, the values to fill in and the steps it may still take.
pub(crate) struct Interpreter<'a> {
    pub(crate) environment: &'a Environment,
    draws: &'a Draws,
    slots: &'a [Value],
    steps: Cell<u64>,
    meter: Option<&'a Meter>,
}

/// So many values are compared or copied in the time of a step.
const READS_A_STEP: usize = 8;

/// A missing key counts as null here.
fn forgiven(result: Result<Val<'_>, EvalError>) -> Result<Val<'_>, EvalError> {
    match result {
        Err(EvalError::NotFound(_)) => Ok(Val::null()),
        other => other,
    }
}

impl<'a> Interpreter<'a> {
    pub(crate) fn new(
        environment: &'a Environment,
        draws: &'a Draws,
        meter: Option<&'a Meter>,
        slots: &'a [Value],
    ) -> Interpreter<'a> {
        Interpreter { environment, draws, slots, steps: Cell::new(environment.max_steps), meter }
    }

    /// Spends steps; a function whose work grows with its input says how much.
    pub(crate) fn spend(&self, steps: usize) -> Result<(), EvalError> {
        let steps = steps as u64;
        let left = self.steps.get().checked_sub(steps).ok_or(EvalError::Limit)?;
        self.steps.set(left);
        self.meter.map_or(Ok(()), |meter| meter.spend(steps, self.environment.max_total))
    }

    /// Pays for a copy of a value before it is made: shared parts may be far larger written out.
    pub(crate) fn pay_for(&self, value: &Val<'a>) -> Result<(), EvalError> {
        self.spend(self.weight(value)?)
    }

    /// How many values a value holds, as far as that can be paid.
    fn weight(&self, value: &Val<'a>) -> Result<usize, EvalError> {
        let most = self.steps.get();
        let mut left = most;
        value.weigh(&mut left).ok_or(EvalError::Limit)?;
        Ok(usize::try_from(most - left).unwrap_or(usize::MAX))
    }

    /// Pays for work that goes through values as often as said, which is quicker than making them.
    pub(crate) fn pay_for_reading(&self, value: &Val<'a>, times: usize) -> Result<(), EvalError> {
        self.spend(self.weight(value)?.saturating_mul(times) / READS_A_STEP)
    }

    /// A paid copy.
    pub(crate) fn copy(&self, value: &Val<'a>) -> Result<Value, EvalError> {
        self.pay_for(value)?;
        value.to_value()
    }

    /// A random number.
    pub(crate) fn draw(&self) -> u64 {
        self.draws.next(self.environment.seed)
    }

    /// Evaluates where a missing key is forgiven.
    pub(crate) fn lenient(&self, ast: &'a Ast, on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        forgiven(self.evaluate(ast, on))
    }

    /// Evaluates where every failure but the limit is forgiven.
    fn or_null(&self, ast: &'a Ast, on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        match self.evaluate(ast, on) {
            Err(error @ (EvalError::Limit | EvalError::TooDeep)) => Err(error),
            other => Ok(other.unwrap_or_else(|_| Val::null())),
        }
    }

    pub(crate) fn evaluate(&self, ast: &'a Ast, on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        self.spend(1)?;
        match self.meter {
            Some(meter) => meter.deeper(1, || self.node(ast, on)),
            None => self.node(ast, on),
        }
    }

    fn node(&self, ast: &'a Ast, on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        match &ast.kind {
            Kind::Identity => Ok(on.clone()),
            Kind::Field(name) => self.field(on, name),
            Kind::FieldPieces(pieces) => self.field(on, &self.fill(pieces)?),
            Kind::Literal(value) => Ok(Val::Ref(value)),
            Kind::TextPieces(pieces) => Ok(Val::text(self.fill(pieces)?)),
            Kind::SlotLiteral(slot) => self.slot_literal(*slot),
            Kind::Index(index) => Ok(index_of(on, *index)),
            Kind::Slice(parts) => self.slice(on, parts),
            Kind::Then(left, right) => {
                let left = self.evaluate(left, on)?;
                self.evaluate(right, &left)
            }
            Kind::Pipe(left, right) => {
                let left = self.lenient(left, on)?;
                self.lenient(right, &left)
            }
            Kind::Projection(left, right) => {
                let left = self.lenient(left, on)?;
                match left.items() {
                    Some(items) => self.project(items.iter(), right),
                    None => Ok(Val::null()),
                }
            }
            Kind::ValueProjection(left, right) => match self.or_null(left, on)?.values()? {
                Some(values) => self.project(values.into_iter(), right),
                None => Ok(Val::null()),
            },
            Kind::Filter { of, then, condition } => self.filter(of, then, condition, on),
            Kind::Flatten(of) => self.flatten(of, on),
            Kind::Or(left, right) => {
                let left = self.lenient(left, on)?;
                if left.is_false() { self.lenient(right, on) } else { Ok(left) }
            }
            Kind::And(left, right) => {
                let left = self.lenient(left, on)?;
                if left.is_false() { Ok(left) } else { self.evaluate(right, on) }
            }
            Kind::Not(inner) => Ok(Val::bool(self.lenient(inner, on)?.is_false())),
            Kind::Compare(how, left, right) => self.compare(*how, left, right, on),
            Kind::List(items) => self.list(items, on),
            Kind::Hash(fields) => self.hash(fields, on),
            Kind::Call { name, arguments } => {
                let arguments =
                    arguments.iter().map(|a| self.lenient(a, on)).collect::<Result<Vec<_>, _>>()?;
                functions::call(self, name, &arguments)
            }
            Kind::Reference(inner) => Ok(Val::Expression(inner)),
        }
    }

    fn field(&self, on: &Val<'a>, name: &str) -> Result<Val<'a>, EvalError> {
        match on.field(name)? {
            None => Ok(Val::null()),
            Some(Some(value)) => {
                // What is borrowed is not copied.
                if matches!(value, Val::Owned(_)) {
                    self.pay_for_reading(&value, 1)?;
                }
                Ok(value)
            }
            Some(None) => Err(EvalError::NotFound(name.to_owned())),
        }
    }

    /// A text whose pieces are filled in as they would be in a template: strings as they are, the rest as JSON.
    fn fill(&self, pieces: &[Piece]) -> Result<String, EvalError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(run) => text.push_str(run),
                Piece::Slot(slot) => match self.slot(*slot)? {
                    Value::String(value) => text.push_str(value),
                    value => text.push_str(&gotext::json(value)),
                },
            }
        }
        Ok(text)
    }

    fn slot(&self, slot: usize) -> Result<&'a Value, EvalError> {
        self.slots.get(slot).ok_or_else(|| EvalError::failed("a value to fill in is missing"))
    }

    fn slot_literal(&self, slot: usize) -> Result<Val<'a>, EvalError> {
        match self.slot(slot)? {
            Value::String(text) => serde_json::from_str(text)
                .map(|value| Val::owned(gotext::normalize(value)))
                .map_err(|e| EvalError::Failed(format!("the literal `{text}` is not JSON: {e}"))),
            value => Ok(Val::Ref(value)),
        }
    }

    fn project(&self, items: impl Iterator<Item = Val<'a>>, then: &'a Ast) -> Result<Val<'a>, EvalError> {
        let mut collected = Vec::new();
        for item in items {
            let value = self.lenient(then, &item)?;
            if !value.is_null() {
                collected.push(value);
            }
        }
        Ok(Val::list(collected))
    }

    fn filter(
        &self,
        of: &'a Ast,
        then: &'a Ast,
        condition: &'a Ast,
        on: &Val<'a>,
    ) -> Result<Val<'a>, EvalError> {
        let of = self.or_null(of, on)?;
        let Some(items) = of.items() else { return Ok(Val::null()) };
        let mut collected = Vec::new();
        for item in items.iter() {
            if !self.lenient(condition, &item)?.is_false() {
                let value = self.lenient(then, &item)?;
                if !value.is_null() {
                    collected.push(value);
                }
            }
        }
        Ok(Val::list(collected))
    }

    fn flatten(&self, of: &'a Ast, on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        let of = self.or_null(of, on)?;
        let Some(items) = of.items() else { return Ok(Val::null()) };
        let mut flat = Vec::new();
        for item in items.iter() {
            match item.items() {
                Some(inner) => {
                    self.spend(inner.len())?;
                    flat.extend(inner.iter());
                }
                None => flat.push(item),
            }
        }
        Ok(Val::list(flat))
    }

    fn compare(
        &self,
        how: Comparator,
        left: &'a Ast,
        right: &'a Ast,
        on: &Val<'a>,
    ) -> Result<Val<'a>, EvalError> {
        let (left, right) = (self.lenient(left, on)?, self.lenient(right, on)?);
        if left.plain().is_none() || right.plain().is_none() {
            self.pay_for(&left)?;
            self.pay_for(&right)?;
        } else {
            self.pay_for_reading(&left, 1)?;
        }
        let holds = match how {
            Comparator::Equal => left.equals(&right)?,
            Comparator::NotEqual => !left.equals(&right)?,
            ordering => {
                let (Some(a), Some(b)) = (left.as_f64(), right.as_f64()) else { return Ok(Val::null()) };
                match ordering {
                    Comparator::Less => a < b,
                    Comparator::LessEqual => a <= b,
                    Comparator::Greater => a > b,
                    _ => a >= b,
                }
            }
        };
        Ok(Val::bool(holds))
    }

    fn list(&self, items: &'a [Ast], on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        if on.is_null() {
            return Ok(Val::null());
        }
        items.iter().map(|item| self.lenient(item, on)).collect::<Result<Vec<_>, _>>().map(Val::list)
    }

    fn hash(&self, fields: &'a [(String, Ast)], on: &Val<'a>) -> Result<Val<'a>, EvalError> {
        if on.is_null() {
            return Ok(Val::null());
        }
        let mut map = Map::new();
        for (name, field) in fields {
            map.insert(name.clone(), self.copy(&self.lenient(field, on)?)?);
        }
        Ok(Val::owned(Value::Object(map)))
    }

    fn slice(&self, on: &Val<'a>, parts: &[Option<i64>; 3]) -> Result<Val<'a>, EvalError> {
        let Some(items) = on.items() else { return Ok(Val::null()) };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let step = parts[2].unwrap_or(1);
        if step == 0 {
            return Err(EvalError::failed("Invalid slice, step cannot be 0"));
        }
        let bound = |at: i64, low: i64, high: i64| {
            let at = if at < 0 { at.saturating_add(length) } else { at };
            at.clamp(low, high)
        };
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let start = parts[0].map_or(if step > 0 { 0 } else { length - 1 }, |at| bound(at, low, high));
        let stop = parts[1].map_or(if step > 0 { length } else { -1 }, |at| bound(at, low, high));
        let mut picked = Vec::new();
        let mut at = start;
        while (step > 0 && at < stop) || (step < 0 && at > stop) {
            self.spend(1)?;
            picked.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
            at = at.saturating_add(step);
        }
        Ok(Val::list(picked))
    }
}

fn index_of<'a>(on: &Val<'a>, index: i64) -> Val<'a> {
    let Some(items) = on.items() else { return Val::null() };
    let at = if index < 0 { i64::try_from(items.len()).unwrap_or(i64::MAX) + index } else { index };
    usize::try_from(at).ok().and_then(|at| items.get(at)).unwrap_or_else(Val::null)
}
