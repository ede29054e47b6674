//! How an expression came to its value: each part is evaluated again for itself, in loops for the elements that decide.

mod written;

use std::sync::Arc;

use super::ast::{Expr, Fold, Kind, Shape, op};
use super::checker::{Checked, Reference};
use super::error::EvalError;
use super::eval::{self, Context};
use super::plan::{self, Node, user_parts};
use super::program::{Bindings, PER_CALL_LIMIT, Program};
use super::stack;
use super::value::Value;
use crate::expr::explain::{ELEMENTS, Steps};
use written::written;

/// Elements that are looked at for one that decides.
const LOOKED_AT: usize = 1_000;

/// The parts of an expression, each ready to be evaluated.
pub struct Explainer {
    root: Option<Part>,
    depth: usize,
}

struct Part {
    text: String,
    node: Node,
    /// `false` and `true` for parts that `&&` and `||` need no further once one of them is that.
    decisive: Option<bool>,
    kind: PartKind,
}

enum PartKind {
    /// Its parts count for it.
    Whole(Vec<Part>),
    /// A path of names: what it begins with is of interest only if it leads nowhere.
    Path(Option<Box<Part>>),
    /// The condition, and what it chooses from.
    Choice(Option<Box<Part>>, [Option<Box<Part>>; 2]),
    Loop(Box<Loop>),
}

struct Loop {
    shape: Shape,
    range: Node,
    range_part: Option<Part>,
    variable: Arc<str>,
    second: Option<Arc<str>>,
    filter: Option<Part>,
    body: Option<Part>,
}

impl Program {
    /// The expression as it could have been written.
    pub fn written(&self) -> String {
        stack::with_more_room(self.depth(), || written(&self.checked().ast.root)).unwrap_or_default()
    }

    /// Takes the expression apart, to explain values of it.
    pub fn explainer(&self) -> Explainer {
        // Each part is planned for itself, and planning goes as deep.
        let depth = self.depth() * 2;
        let checked = self.checked();
        let taken =
            stack::with_more_room(depth, || Taker { checked, locals: Vec::new() }.part(&checked.ast.root));
        Explainer { root: taken.flatten(), depth }
    }
}

impl Explainer {
    /// The parts and their values over variables.
    pub fn steps<'a>(&'a self, bindings: &Bindings<'a>) -> Steps {
        let Some(root) = &self.root else { return Steps::default() };
        let work = || {
            let mut walk = Walk { bindings, locals: Vec::new(), steps: Steps::default() };
            walk.part(root, 0);
            walk.steps
        };
        stack::with_more_room(self.depth, work).unwrap_or_default()
    }
}

/// Takes an expression apart.
struct Taker<'c> {
    checked: &'c Checked,
    locals: Vec<Arc<str>>,
}

impl Taker<'_> {
    /// `None` for what needs no explanation.
    fn part(&mut self, expr: &Expr) -> Option<Part> {
        if let Kind::Literal(_) = expr.kind
            && !self.locals.is_empty()
        {
            return None;
        }
        let node = plan::part(self.checked, expr, &self.locals)?;
        let kind = match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) => PartKind::Path(None),
            Kind::Select { operand, .. } if self.is_path(expr) => {
                let named = !matches!(self.checked.reference(expr.id), Reference::None);
                PartKind::Path(if named { None } else { self.inner(operand).map(Box::new) })
            }
            Kind::Select { operand, .. } => PartKind::Whole(self.inner(operand).into_iter().collect()),
            Kind::Call(call) if &*call.function == op::CONDITIONAL => match call.args.as_slice() {
                [condition, then, otherwise] => {
                    let mut inner = |expr: &Expr| self.inner(expr).map(Box::new);
                    PartKind::Choice(inner(condition), [inner(then), inner(otherwise)])
                }
                _ => PartKind::Whole(Vec::new()),
            },
            Kind::Call(call) => self.whole(call.target.iter().chain(&call.args)),
            Kind::List(items) => self.whole(items.iter().map(|item| &item.value)),
            Kind::Map(entries) => self.whole(entries.iter().map(|entry| &entry.value)),
            Kind::Struct(_, fields) => self.whole(fields.iter().map(|field| &field.value)),
            Kind::Fold(fold) => self.fold(fold)?,
        };
        let decisive = match &expr.kind {
            Kind::Call(call) if &*call.function == op::AND => Some(false),
            Kind::Call(call) if &*call.function == op::OR => Some(true),
            _ => None,
        };
        Some(Part { text: written(expr), node, decisive, kind })
    }

    /// A part of another: what is written out explains nothing.
    fn inner(&mut self, expr: &Expr) -> Option<Part> {
        let is_local = matches!(&expr.kind, Kind::Ident(name) if self.locals.contains(name));
        let is_type = !matches!(
            self.checked.reference(expr.id),
            Reference::None | Reference::Variable(_) | Reference::Overloads(..)
        );
        if matches!(expr.kind, Kind::Literal(_)) || is_local || is_type { None } else { self.part(expr) }
    }

    fn whole<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr>) -> PartKind {
        PartKind::Whole(exprs.filter_map(|expr| self.inner(expr)).collect())
    }

    fn is_path(&self, expr: &Expr) -> bool {
        match &expr.kind {
            Kind::Ident(_) => true,
            Kind::Select { operand, .. } => self.is_path(operand),
            _ => false,
        }
    }

    fn fold(&mut self, fold: &Fold) -> Option<PartKind> {
        let before = self.locals.len();
        let bound = fold.shape == Shape::Bind;
        let range = if bound { &fold.init } else { &fold.range };
        let range_part = self.inner(range);
        let range = plan::part(self.checked, range, &self.locals)?;
        let (filter, body) = if bound { (None, &fold.result) } else { user_parts(fold)? };
        let variable = if bound { fold.accumulator.clone() } else { fold.variable.clone() };
        self.locals.push(variable.clone());
        self.locals.extend(fold.second.clone());
        let filter = filter.and_then(|filter| self.inner(filter));
        let body = self.inner(body);
        self.locals.truncate(before);
        let second = fold.second.clone();
        Some(PartKind::Loop(Box::new(Loop {
            shape: fold.shape,
            range,
            range_part,
            variable,
            second,
            filter,
            body,
        })))
    }
}

/// Evaluates parts.
struct Walk<'a, 'r> {
    bindings: &'r Bindings<'a>,
    locals: Vec<Value<'a>>,
    steps: Steps,
}

impl<'a> Walk<'a, '_> {
    fn value(&self, node: &'a Node) -> Result<Value<'a>, EvalError> {
        let mut context = Context::with_locals(self.bindings, PER_CALL_LIMIT, self.locals.clone());
        eval::eval(node, &mut context)
    }

    fn part(&mut self, part: &'a Part, depth: usize) {
        if self.steps.is_full() {
            return;
        }
        let value = self.value(&part.node);
        let failed = value.is_err();
        let shown = value.as_ref().map(Value::to_json).map_err(ToString::to_string);
        self.steps.add(depth, &part.text, shown);
        match &part.kind {
            PartKind::Whole(parts) => {
                for inner in parts {
                    self.part(inner, depth + 1);
                    let decided = |value: Result<Value<'_>, _>| value.ok().and_then(|value| value.as_bool());
                    if part.decisive.is_some() && decided(self.value(&inner.node)) == part.decisive {
                        break;
                    }
                }
            }
            // A group of definitions has no value of its own.
            PartKind::Path(Some(inner)) if failed && !self.bindings.is_group(&inner.text) => {
                self.part(inner, depth + 1);
            }
            PartKind::Path(_) => {}
            PartKind::Choice(condition, [then, otherwise]) => {
                let Some(condition) = condition else { return };
                self.part(condition, depth + 1);
                let chosen = match self.value(&condition.node) {
                    Ok(Value::Bool(true)) => then,
                    Ok(Value::Bool(false)) => otherwise,
                    _ => return,
                };
                chosen.iter().for_each(|chosen| self.part(chosen, depth + 1));
            }
            PartKind::Loop(of) => self.looped(of, depth + 1),
        }
    }

    fn looped(&mut self, of: &'a Loop, depth: usize) {
        of.range_part.iter().for_each(|range| self.part(range, depth));
        let Ok(range) = self.value(&of.range) else { return };
        let rounds = rounds(of, &range);
        let mut shown = 0;
        // The element that decides, else the first ones.
        let deciding = rounds.iter().position(|round| self.decides(of, round));
        for (at, round) in rounds.into_iter().enumerate() {
            if shown == ELEMENTS || deciding.is_some_and(|deciding| deciding != at) {
                continue;
            }
            shown += 1;
            self.round(of, round, depth);
        }
    }

    fn decides(&mut self, of: &'a Loop, round: &[Value<'a>]) -> bool {
        let Some(body) = of.body.as_ref() else { return false };
        let wanted = match of.shape {
            Shape::All => false,
            Shape::Exists => true,
            _ => return false,
        };
        let before = self.locals.len();
        self.locals.extend(round.iter().cloned());
        let value = self.value(&body.node);
        self.locals.truncate(before);
        matches!(value, Ok(Value::Bool(b)) if b == wanted) || value.is_err()
    }

    fn round(&mut self, of: &'a Loop, round: Vec<Value<'a>>, depth: usize) {
        let names = std::iter::once(&of.variable).chain(&of.second);
        for (name, value) in names.zip(&round) {
            self.steps.add(depth, name.trim_start_matches('@'), Ok(value.to_json()));
        }
        let before = self.locals.len();
        self.locals.extend(round);
        for part in of.filter.iter().chain(&of.body) {
            self.part(part, depth + 1);
        }
        self.locals.truncate(before);
    }
}

/// The values of the loop's variables, round by round.
fn rounds<'a>(of: &Loop, range: &Value<'a>) -> Vec<Vec<Value<'a>>> {
    if of.shape == Shape::Bind {
        return vec![vec![range.clone()]];
    }
    if range.map_len().is_some() {
        let value = |key: &Value<'a>| range.find(key).ok().flatten().unwrap_or(Value::Null);
        let keys = range.keys().into_iter().take(LOOKED_AT);
        return keys
            .map(|key| if of.second.is_some() { vec![key.clone(), value(&key)] } else { vec![key] })
            .collect();
    }
    let length = range.list_len().unwrap_or(0).min(LOOKED_AT);
    let items = (0..length).filter_map(|at| Some((at, range.item(at)?.ok()?)));
    items
        .map(|(at, item)| {
            if of.second.is_some() {
                vec![Value::Int(i64::try_from(at).unwrap_or(i64::MAX)), item]
            } else {
                vec![item]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::cel::{Env, Type};
    use serde_json::json;

    fn explained(text: &str) -> String {
        let object = json!({"spec": {"replicas": 2, "containers": [{"image": "a:1"}, {"image": "b:latest"}]}, "name": "web"});
        let env = Env::kubernetes().with_bind().with_variable("object", Type::Dyn);
        let program = env.compile(text).unwrap();
        let explainer = program.explainer();
        let bindings = Bindings::new().with("object", Value::of_json(&object));
        explainer.steps(&bindings).to_text()
    }

    #[test]
    fn each_part_is_shown_until_one_decides() {
        assert_eq!(
            explained(
                "object.spec.replicas * 2 > 3 && (object.name == 'x' || object.name.startsWith('d')) && false"
            ),
            "object.spec.replicas * 2 > 3 && (object.name == 'x' || object.name.startsWith('d')) && false → false\n\
             \x20 object.spec.replicas * 2 > 3 && (object.name == 'x' || object.name.startsWith('d')) → false\n\
             \x20   object.spec.replicas * 2 > 3 → true\n\
             \x20     object.spec.replicas * 2 → 4\n\
             \x20       object.spec.replicas → 2\n\
             \x20   object.name == 'x' || object.name.startsWith('d') → false\n\
             \x20     object.name == 'x' → false\n\
             \x20       object.name → \"web\"\n\
             \x20     object.name.startsWith('d') → false\n\
             \x20       object.name → \"web\"\n"
        );
    }

    #[test]
    fn of_a_loop_the_element_is_shown_that_decides() {
        assert_eq!(
            explained("object.spec.containers.all(c, !c.image.endsWith(':latest'))"),
            "object.spec.containers.all(c, !c.image.endsWith(':latest')) → false\n\
             \x20 object.spec.containers → [{\"image\":\"a:1\"},{\"image\":\"b:latest\"}]\n\
             \x20 c → {\"image\":\"b:latest\"}\n\
             \x20   !c.image.endsWith(':latest') → false\n\
             \x20     c.image.endsWith(':latest') → true\n\
             \x20       c.image → \"b:latest\"\n"
        );
    }

    #[test]
    fn a_path_that_leads_nowhere_is_shown_as_far_as_it_leads() {
        let text = explained("object.spec.gone.deep == 1 ? 'a' : 'b'");
        assert!(text.contains("object.spec.gone.deep → error: no such key: gone"), "{text}");
        assert!(text.contains("object.spec → {"), "{text}");
    }

    #[test]
    fn what_is_written_again_means_the_same() {
        for text in [
            "cel.bind(x, object.spec, x.replicas + 1) == 3",
            "object.spec.containers.map(c, c.image != 'x', c.image).join(',')",
            "object.spec.containers.filter(c, c.image.contains('a')).size() == 1",
            "object.spec.containers.exists_one(i, c, c.image == 'a' && i == 0)",
            "object.?spec.?gone.orValue(1) - (2 - 1) == -(1)",
            "{'a': [1.5, 2.0], 'b': [-1e9]}['a'][0] in [dyn(1u), dyn(null), dyn(true)]",
            "has(object.spec.replicas) ? object.spec['replicas'] : 'it\\'s'",
        ] {
            let env = Env::kubernetes().with_bind().with_variable("object", Type::Dyn);
            let once = written(&env.compile(text).unwrap().checked().ast.root);
            let again =
                written(&env.compile(&once).unwrap_or_else(|e| panic!("{once}: {e}")).checked().ast.root);
            assert_eq!(once, again, "{text}");
        }
    }
}
