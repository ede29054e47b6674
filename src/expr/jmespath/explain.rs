//! How an expression came to its value: each part is evaluated again for itself.

use serde_json::Value;

use super::ast::{Ast, Kind};
use super::interpreter::Interpreter;
use super::value::Val;
use super::written::written;
use super::{EvalError, Expression};
use crate::expr::context::Context;
use crate::expr::explain::{ELEMENTS, Steps};

impl Expression {
    /// The parts of the expression and their values over a context.
    pub fn explain(&self, context: &Context<'_>) -> Steps {
        self.explain_value(Val::Root(context), context)
    }

    /// The same over one value.
    pub(crate) fn explain_on(&self, data: &Value, context: &Context<'_>) -> Steps {
        self.explain_value(Val::Ref(data), context)
    }

    fn explain_value<'a>(&'a self, on: Val<'a>, context: &'a Context<'_>) -> Steps {
        let interpreter = Interpreter::new(context.environment(), context.draws(), context.meter(), &[]);
        let mut steps = Steps::default();
        Walk { interpreter, steps: &mut steps }.node(&self.ast, &on, 0);
        steps
    }
}

struct Walk<'a, 's> {
    interpreter: Interpreter<'a>,
    steps: &'s mut Steps,
}

impl<'a> Walk<'a, '_> {
    fn node(&mut self, ast: &'a Ast, on: &Val<'a>, depth: usize) {
        if self.steps.is_full() || matches!(ast.kind, Kind::Literal(_) | Kind::Identity) && depth > 0 {
            return;
        }
        let value = self.interpreter.evaluate(ast, on);
        let missing = matches!(value, Err(EvalError::NotFound(_)));
        self.tell(depth, &written(ast), value);
        self.parts(ast, on, depth + 1, missing);
    }

    fn tell(&mut self, depth: usize, text: &str, value: Result<Val<'a>, EvalError>) {
        let value = value.and_then(|value| self.interpreter.copy(&value));
        self.steps.add(depth, text, value.map_err(|error| error.to_string()));
    }

    fn parts(&mut self, ast: &'a Ast, on: &Val<'a>, depth: usize, missing: bool) {
        match &ast.kind {
            // Of a path only the part is of interest up to which there is something.
            Kind::Then(..) if is_path(ast) && !missing => {}
            Kind::Then(left, _) if is_path(ast) => self.node(left, on, depth),
            Kind::Then(left, right) | Kind::Pipe(left, right) => {
                self.node(left, on, depth);
                if let Ok(left) = self.interpreter.lenient(left, on) {
                    self.node(right, &left, depth);
                }
            }
            Kind::Projection(of, then) | Kind::ValueProjection(of, then) => {
                self.node(of, on, depth);
                let Ok(of) = self.interpreter.lenient(of, on) else { return };
                let items: Vec<Val<'a>> = match (of.items(), of.values()) {
                    (Some(items), _) => items.iter().take(ELEMENTS).collect(),
                    (None, Ok(Some(values))) => values.into_iter().take(ELEMENTS).collect(),
                    _ => return,
                };
                self.each(items, &[then], depth);
            }
            Kind::Filter { of, then, condition } => {
                self.node(of, on, depth);
                let Ok(of) = self.interpreter.lenient(of, on) else { return };
                let items: Vec<Val<'a>> = of.items().iter().flat_map(|i| i.iter()).take(ELEMENTS).collect();
                self.each(items, &[condition, then], depth);
            }
            Kind::Flatten(of) | Kind::Not(of) => self.node(of, on, depth),
            Kind::Or(left, right) | Kind::And(left, right) => {
                self.node(left, on, depth);
                // The side that decides alone is all there is to show.
                let decides_if_false = matches!(ast.kind, Kind::And(..));
                let left = self.interpreter.lenient(left, on);
                if left.is_ok_and(|left| left.is_false() != decides_if_false) {
                    self.node(right, on, depth);
                }
            }
            Kind::Compare(_, left, right) => {
                self.node(left, on, depth);
                self.node(right, on, depth);
            }
            Kind::List(items) => items.iter().for_each(|item| self.node(item, on, depth)),
            Kind::Hash(fields) => fields.iter().for_each(|(_, field)| self.node(field, on, depth)),
            Kind::Call { arguments, .. } => {
                for argument in arguments.iter().filter(|a| !matches!(a.kind, Kind::Reference(_))) {
                    self.node(argument, on, depth);
                }
            }
            _ => {}
        }
    }

    /// What comes of the first elements.
    fn each(&mut self, items: Vec<Val<'a>>, parts: &[&'a Ast], depth: usize) {
        let parts: Vec<&'a Ast> = parts
            .iter()
            .copied()
            .filter(|part| !matches!(part.kind, Kind::Identity | Kind::Field(_)))
            .collect();
        if parts.is_empty() {
            return;
        }
        for (at, item) in items.into_iter().enumerate() {
            self.tell(depth, &format!("element {at}"), Ok(item.clone()));
            parts.iter().for_each(|part| self.node(part, &item, depth + 1));
        }
    }
}

/// Whether it is nothing but names and indices.
fn is_path(ast: &Ast) -> bool {
    match &ast.kind {
        Kind::Field(_) | Kind::Index(_) | Kind::Identity => true,
        Kind::Then(left, right) => is_path(left) && is_path(right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use serde_json::json;

    fn explained(text: &str) -> String {
        let document = json!({"a": {"b": [{"c": 1, "n": "x"}, {"c": 2}]}, "t": "it"});
        let context = Context::of_document(Environment::default(), &document);
        Expression::compile(text).unwrap().explain(&context).to_text()
    }

    #[test]
    fn each_part_is_shown_with_its_value() {
        assert_eq!(
            explained("length(a.b[?c > `1`]) == `1` && t == 'it'"),
            "(length(a.b[?c > `1`]) == `1`) && (t == 'it') → true\n\
             \x20 length(a.b[?c > `1`]) == `1` → true\n\
             \x20   length(a.b[?c > `1`]) → 1\n\
             \x20     a.b[?c > `1`] → [{\"c\":2}]\n\
             \x20       a.b → [{\"c\":1,\"n\":\"x\"},{\"c\":2}]\n\
             \x20       element 0 → {\"c\":1,\"n\":\"x\"}\n\
             \x20         c > `1` → false\n\
             \x20           c → 1\n\
             \x20       element 1 → {\"c\":2}\n\
             \x20         c > `1` → true\n\
             \x20           c → 2\n\
             \x20 t == 'it' → true\n\
             \x20   t → \"it\"\n"
        );
    }

    #[test]
    fn a_path_that_leads_nowhere_is_shown_as_far_as_it_leads() {
        assert_eq!(
            explained("a.x.y"),
            "a.x.y → error: Unknown key \"x\" in path\n  a.x → error: Unknown key \"x\" in path\n    a → {\"b\":[{\"c\":1,\"n\":\"x\"},{\"c\":2}]}\n"
        );
    }

    #[test]
    fn what_is_written_again_means_the_same() {
        for text in [
            "a.b[*].c",
            "a.b[].n",
            "a.b[?c > `1`].c | [0]",
            "a.*",
            "*.b",
            "{x: a.b[0].c, \"y-z\": t}",
            "[t, a.b[1:2], `[1]`]",
            "map(&c, a.b)",
            "!(a || t) || 'x'",
            "a.b[0].\"c\"",
            "a.[b, b[0]]",
        ] {
            let ast = Expression::compile(text).unwrap();
            let again = Expression::compile(&written(&ast.ast));
            assert_eq!(again.map(|again| again.ast), Ok(ast.ast), "{text}");
        }
    }
}
