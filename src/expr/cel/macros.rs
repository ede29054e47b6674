//! Macros: calls that become loops and tests while parsing.

use std::sync::Arc;

use super::ast::{ACCUMULATOR, Call, Entry, Expr, FieldInit, Fold, Item, Kind, Literal, Shape, op};
use super::lib::moment::VARIABLE as MOMENT;
use super::parser::{Parser, call};

/// The other name that no loop's variable may have.
const OLD_ACCUMULATOR: &str = "__result__";

/// The name of what `sortBy` sorts.
const SORTED: &str = "@__sortBy_input__";

/// A call that is no macro, given back.
type NoMacro = (Option<Expr>, Vec<Expr>);

/// Expands a call if it is a macro.
pub(super) fn expand(
    parser: &mut Parser<'_>,
    place: u32,
    name: &str,
    target: Option<Expr>,
    mut args: Vec<Expr>,
) -> Result<Expr, NoMacro> {
    if parser.dialect.moments && is_of_moment(name, target.as_ref()) {
        let mut maker = Maker { parser, place };
        let name = if name == "now" { "time.now" } else { name };
        let moment = maker.ident(MOMENT);
        args.insert(0, moment);
        return Ok(maker.call(name, args));
    }
    let Some(target) = target else {
        return match (name, args.pop()) {
            ("has", Some(arg)) if args.is_empty() => Ok(has(parser, place, arg)),
            (_, last) => {
                args.extend(last);
                Err((None, args))
            }
        };
    };
    let mut maker = Maker { parser, place };
    let out = match (name, args.len()) {
        ("all" | "exists" | "exists_one", 2) => maker.quantifier(name, target, args, false),
        ("all" | "exists" | "exists_one" | "existsOne", 3) => maker.quantifier(name, target, args, true),
        ("map", 2 | 3) => maker.list(target, args, false),
        ("filter", 2) => {
            let item = maker.copy(&args[0]);
            args.push(item);
            maker.list(target, args, false)
        }
        ("transformList", 3 | 4) => maker.list(target, args, true),
        ("transformMap", 3 | 4) => maker.map(target, args, false),
        ("transformMapEntry", 3 | 4) => maker.map(target, args, true),
        ("optMap" | "optFlatMap", 2) => maker.opt_map(name, target, args),
        ("sortBy", 2) => maker.sort_by(target, args),
        ("bind", 3)
            if maker.parser.dialect.binds
                && matches!(&target.kind, Kind::Ident(name) if &**name == "cel") =>
        {
            maker.bind(args)
        }
        _ => return Err((Some(target), args)),
    };
    Ok(out)
}

/// Whether it is `time.now()`, `random(...)` or `random.random(...)`.
fn is_of_moment(name: &str, target: Option<&Expr>) -> bool {
    let of = |wanted: &str| matches!(target.map(|target| &target.kind), Some(Kind::Ident(name)) if &**name == wanted);
    match name {
        "now" => of("time"),
        "random" => target.is_none() || of("random"),
        _ => false,
    }
}

fn has(parser: &mut Parser<'_>, place: u32, arg: Expr) -> Expr {
    match arg.kind {
        Kind::Select { operand, field, .. } => {
            parser.node(place, Kind::Select { operand, field, test: true })
        }
        _ => {
            let place = parser.place(&arg);
            parser.mistake(place, "invalid argument to has() macro")
        }
    }
}

/// The parts of a loop that differ from macro to macro.
struct Parts {
    shape: Shape,
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

/// Makes nodes at the place of a macro's call.
struct Maker<'p, 't> {
    parser: &'p mut Parser<'t>,
    place: u32,
}

impl Maker<'_, '_> {
    fn node(&mut self, kind: Kind) -> Expr {
        self.parser.node(self.place, kind)
    }

    fn literal(&mut self, literal: Literal) -> Expr {
        self.node(Kind::Literal(literal))
    }

    fn ident(&mut self, name: &str) -> Expr {
        self.node(Kind::Ident(name.into()))
    }

    fn call(&mut self, function: &str, args: Vec<Expr>) -> Expr {
        let id = self.parser.id(self.place);
        call(id, function, args)
    }

    fn member_call(&mut self, function: &str, target: Expr, args: Vec<Expr>) -> Expr {
        self.node(Kind::Call(Box::new(Call { function: function.into(), target: Some(target), args })))
    }

    /// Names of the loop's variables, taken from the front of the arguments.
    fn variables(
        &mut self,
        args: &mut Vec<Expr>,
        two: bool,
        message: &str,
    ) -> Result<(Arc<str>, Option<Arc<str>>), Expr> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let idents: Vec<Expr> = args.drain(..if two { 2 } else { 1 }).collect();
        for ident in &idents {
            let place = self.parser.place(ident);
            match &ident.kind {
                Kind::Ident(name) => names.push(name.clone()),
                _ => return Err(self.parser.mistake(place, message)),
            }
        }
        if two && names[0] == names[1] {
            let place = self.parser.place(&idents[1]);
            return Err(self.parser.mistake(place, format!("duplicate variable name: {}", names[0])));
        }
        for (ident, name) in idents.iter().zip(&names) {
            if matches!(&**name, ACCUMULATOR | OLD_ACCUMULATOR) {
                let place = self.parser.place(ident);
                return Err(self.parser.mistake(place, "iteration variable overwrites accumulator variable"));
            }
        }
        let second = if two { names.pop() } else { None };
        Ok((names.remove(0), second))
    }

    fn fold(&mut self, range: Expr, variable: Arc<str>, second: Option<Arc<str>>, parts: Parts) -> Expr {
        let Parts { shape, init, condition, step, result } = parts;
        let accumulator = ACCUMULATOR.into();
        self.node(Kind::Fold(Box::new(Fold {
            shape,
            range,
            variable,
            second,
            accumulator,
            init,
            condition,
            step,
            result,
        })))
    }

    fn quantifier(&mut self, name: &str, target: Expr, mut args: Vec<Expr>, two: bool) -> Expr {
        let (variable, second) = match self.variables(&mut args, two, "argument must be a simple name") {
            Ok(names) => names,
            Err(mistake) => return mistake,
        };
        let predicate = args.remove(0);
        let accumulator = self.ident(ACCUMULATOR);
        let parts = match name {
            "all" => {
                let init = self.literal(Literal::Bool(true));
                let condition = self.call(op::NOT_STRICTLY_FALSE, vec![accumulator]);
                let accumulator = self.ident(ACCUMULATOR);
                let step = self.call(op::AND, vec![accumulator, predicate]);
                Parts { shape: Shape::All, init, condition, step, result: self.ident(ACCUMULATOR) }
            }
            "exists" => {
                let init = self.literal(Literal::Bool(false));
                let negated = self.call(op::NOT, vec![accumulator]);
                let condition = self.call(op::NOT_STRICTLY_FALSE, vec![negated]);
                let accumulator = self.ident(ACCUMULATOR);
                let step = self.call(op::OR, vec![accumulator, predicate]);
                Parts { shape: Shape::Exists, init, condition, step, result: self.ident(ACCUMULATOR) }
            }
            _ => {
                let init = self.literal(Literal::Int(0));
                let condition = self.literal(Literal::Bool(true));
                let one = self.literal(Literal::Int(1));
                let more = self.call(op::ADD, vec![accumulator, one]);
                let same = self.ident(ACCUMULATOR);
                let step = self.call(op::CONDITIONAL, vec![predicate, more, same]);
                let (count, one) = (self.ident(ACCUMULATOR), self.literal(Literal::Int(1)));
                let result = self.call(op::EQUALS, vec![count, one]);
                Parts { shape: Shape::ExistsOne, init, condition, step, result }
            }
        };
        self.fold(target, variable, second, parts)
    }

    /// A loop that gathers: `step` around the accumulator, under a filter if there is one.
    fn gather(&mut self, shape: Shape, init: Kind, filter: Option<Expr>, step: Expr) -> Parts {
        let init = self.node(init);
        let condition = self.literal(Literal::Bool(true));
        let step = match filter {
            None => step,
            Some(filter) => {
                let same = self.ident(ACCUMULATOR);
                self.call(op::CONDITIONAL, vec![filter, step, same])
            }
        };
        Parts { shape, init, condition, step, result: self.ident(ACCUMULATOR) }
    }

    fn list(&mut self, target: Expr, mut args: Vec<Expr>, two: bool) -> Expr {
        let message = if two { "argument must be a simple name" } else { "argument is not an identifier" };
        let (variable, second) = match self.variables(&mut args, two, message) {
            Ok(names) => names,
            Err(mistake) => return mistake,
        };
        let body = args.pop().unwrap_or_else(|| self.ident(""));
        let filter = args.pop();
        let item = self.node(Kind::List(vec![Item { optional: false, value: body }]));
        let accumulator = self.ident(ACCUMULATOR);
        let step = self.call(op::ADD, vec![accumulator, item]);
        let parts =
            self.gather(Shape::List { filtered: filter.is_some() }, Kind::List(Vec::new()), filter, step);
        self.fold(target, variable, second, parts)
    }

    fn map(&mut self, target: Expr, mut args: Vec<Expr>, entry: bool) -> Expr {
        let (variable, second) = match self.variables(&mut args, true, "argument must be a simple name") {
            Ok(names) => names,
            Err(mistake) => return mistake,
        };
        let body = args.pop().unwrap_or_else(|| self.ident(""));
        let filter = args.pop();
        let mut insert = vec![self.ident(ACCUMULATOR)];
        if !entry {
            insert.push(self.ident(&variable));
        }
        insert.push(body);
        let step = self.call(op::MAP_INSERT, insert);
        let parts = self.gather(
            Shape::Map { filtered: filter.is_some(), entry },
            Kind::Map(Vec::new()),
            filter,
            step,
        );
        self.fold(target, variable, second, parts)
    }

    /// `init` under a name within `body`.
    fn named(&mut self, name: Arc<str>, init: Expr, body: Expr) -> Expr {
        let range = self.node(Kind::List(Vec::new()));
        let condition = self.literal(Literal::Bool(false));
        let step = self.ident(&name);
        self.node(Kind::Fold(Box::new(Fold {
            shape: Shape::Bind,
            range,
            variable: "#unused".into(),
            second: None,
            accumulator: name,
            init,
            condition,
            step,
            result: body,
        })))
    }

    fn opt_map(&mut self, macro_name: &str, target: Expr, mut args: Vec<Expr>) -> Expr {
        let body = args.remove(1);
        let Kind::Ident(name) = &args[0].kind else {
            let place = self.parser.place(&args[0]);
            return self
                .parser
                .mistake(place, format!("{macro_name}() variable name must be a simple identifier"));
        };
        let name = name.clone();
        let copy = self.copy(&target);
        let present = self.member_call("hasValue", target, Vec::new());
        let value = self.member_call("value", copy, Vec::new());
        let mapped = self.named(name, value, body);
        let then = if macro_name == "optMap" { self.call("optional.of", vec![mapped]) } else { mapped };
        let none = self.call("optional.none", Vec::new());
        self.call(op::CONDITIONAL, vec![present, then, none])
    }

    fn sort_by(&mut self, target: Expr, args: Vec<Expr>) -> Expr {
        let list_like = matches!(
            target.kind,
            Kind::List(_) | Kind::Select { .. } | Kind::Ident(_) | Kind::Fold(_) | Kind::Call(_)
        );
        if !list_like {
            let place = self.parser.place(&target);
            let message =
                "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return self.parser.mistake(place, message);
        }
        let range = self.ident(SORTED);
        let keys = self.list(range, args, false);
        let list = self.ident(SORTED);
        let sorted = self.member_call(op::SORT_BY, list, vec![keys]);
        self.named(SORTED.into(), target, sorted)
    }

    fn bind(&mut self, mut args: Vec<Expr>) -> Expr {
        let (init, body) = (args.remove(1), args.remove(1));
        match &args[0].kind {
            Kind::Ident(name) => self.named(name.clone(), init, body),
            _ => {
                let place = self.parser.place(&args[0]);
                self.parser.mistake(place, "cel.bind() variable names must be simple identifiers")
            }
        }
    }

    /// The same tree with nodes of its own.
    fn copy(&mut self, expr: &Expr) -> Expr {
        let place = self.parser.place(expr);
        if !self.parser.has_room() {
            return self.parser.node(place, Kind::Literal(Literal::Null));
        }
        let kind = match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) => expr.kind.clone(),
            Kind::Select { operand, field, test } => {
                Kind::Select { operand: Box::new(self.copy(operand)), field: field.clone(), test: *test }
            }
            Kind::Call(call) => Kind::Call(Box::new(Call {
                function: call.function.clone(),
                target: call.target.as_ref().map(|target| self.copy(target)),
                args: call.args.iter().map(|arg| self.copy(arg)).collect(),
            })),
            Kind::List(items) => Kind::List(
                items
                    .iter()
                    .map(|item| Item { optional: item.optional, value: self.copy(&item.value) })
                    .collect(),
            ),
            Kind::Map(entries) => Kind::Map(
                entries
                    .iter()
                    .map(|e| Entry {
                        key: self.copy(&e.key),
                        value: self.copy(&e.value),
                        optional: e.optional,
                    })
                    .collect(),
            ),
            Kind::Struct(name, fields) => Kind::Struct(
                name.clone(),
                fields
                    .iter()
                    .map(|field| FieldInit {
                        id: self.parser.id(place),
                        name: field.name.clone(),
                        value: self.copy(&field.value),
                        optional: field.optional,
                    })
                    .collect(),
            ),
            Kind::Fold(fold) => Kind::Fold(Box::new(Fold {
                shape: fold.shape,
                range: self.copy(&fold.range),
                variable: fold.variable.clone(),
                second: fold.second.clone(),
                accumulator: fold.accumulator.clone(),
                init: self.copy(&fold.init),
                condition: self.copy(&fold.condition),
                step: self.copy(&fold.step),
                result: self.copy(&fold.result),
            })),
        };
        self.parser.node(place, kind)
    }
}
