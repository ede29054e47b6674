//! Expressions as texts again, macros as they were written.

use super::super::ast::{ACCUMULATOR, Call, Expr, Fold, Kind, Literal, Shape, op};
use super::super::plan::user_parts;

/// How strongly an operator binds what stands beside it.
const LOOSEST: u8 = 0;
const OR: u8 = 2;
const AND: u8 = 3;
const RELATION: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;
const UNARY: u8 = 7;
const MEMBER: u8 = 8;

/// A node as it could have been written.
pub(super) fn written(expr: &Expr) -> String {
    at_least(expr, LOOSEST)
}

/// In parentheses if it binds more loosely than what it stands in.
fn at_least(expr: &Expr, wanted: u8) -> String {
    let (text, strength) = text_of(expr);
    if strength < wanted { format!("({text})") } else { text }
}

fn text_of(expr: &Expr) -> (String, u8) {
    let text = match &expr.kind {
        Kind::Literal(literal) => literal_of(literal),
        Kind::Ident(name) => name.trim_start_matches('@').to_owned(),
        Kind::Select { operand, field, test: false } => format!("{}.{field}", at_least(operand, MEMBER)),
        Kind::Select { operand, field, test: true } => format!("has({}.{field})", at_least(operand, MEMBER)),
        Kind::Call(call) => return call_of(call),
        Kind::List(items) => {
            let item =
                |item: &super::super::ast::Item| format!("{}{}", mark(item.optional), written(&item.value));
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(entries) => {
            let entry = |entry: &super::super::ast::Entry| {
                format!("{}{}: {}", mark(entry.optional), written(&entry.key), written(&entry.value))
            };
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Kind::Struct(name, fields) => {
            let field = |field: &super::super::ast::FieldInit| {
                format!("{}{}: {}", mark(field.optional), field.name, written(&field.value))
            };
            format!("{name}{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Kind::Fold(fold) => fold_of(fold),
    };
    (text, MEMBER)
}

fn mark(optional: bool) -> &'static str {
    if optional { "?" } else { "" }
}

fn literal_of(literal: &Literal) -> String {
    match literal {
        Literal::Null => "null".to_owned(),
        Literal::Bool(b) => b.to_string(),
        Literal::Int(i) => i.to_string(),
        Literal::Uint(u) => format!("{u}u"),
        Literal::Double(d) => format!("{d:?}"),
        Literal::String(text) => quoted(text),
        Literal::Bytes(bytes) => format!("b{}", quoted(&String::from_utf8_lossy(bytes))),
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
    format!("'{escaped}'")
}

/// Operators of two sides: how they are written and how strongly they bind.
const INFIX: [(&str, &str, u8); 14] = [
    (op::OR, "||", OR),
    (op::AND, "&&", AND),
    (op::EQUALS, "==", RELATION),
    (op::NOT_EQUALS, "!=", RELATION),
    (op::LESS, "<", RELATION),
    (op::LESS_EQUALS, "<=", RELATION),
    (op::GREATER, ">", RELATION),
    (op::GREATER_EQUALS, ">=", RELATION),
    (op::IN, "in", RELATION),
    (op::ADD, "+", SUM),
    (op::SUBTRACT, "-", SUM),
    (op::MULTIPLY, "*", PRODUCT),
    (op::DIVIDE, "/", PRODUCT),
    (op::MODULO, "%", PRODUCT),
];

fn call_of(call: &Call) -> (String, u8) {
    let infix = INFIX.iter().find(|(function, ..)| *function == &*call.function);
    match (infix, call.args.as_slice()) {
        (Some((_, sign, strength)), [left, right]) => {
            let text = format!("{} {sign} {}", at_least(left, *strength), at_least(right, strength + 1));
            return (text, *strength);
        }
        (_, [condition, then, otherwise]) if &*call.function == op::CONDITIONAL => {
            let text =
                format!("{} ? {} : {}", at_least(condition, OR), at_least(then, OR), written(otherwise));
            return (text, LOOSEST);
        }
        (_, [inner]) if &*call.function == op::NOT => return (format!("!{}", at_least(inner, UNARY)), UNARY),
        (_, [inner]) if &*call.function == op::NEGATE => {
            return (format!("-{}", at_least(inner, UNARY)), UNARY);
        }
        _ => {}
    }
    let list = |args: &[Expr]| args.iter().map(written).collect::<Vec<_>>().join(", ");
    let text = match (&*call.function, call.args.as_slice(), &call.target) {
        (op::INDEX, [of, index], _) => format!("{}[{}]", at_least(of, MEMBER), written(index)),
        (op::OPT_INDEX, [of, index], _) => format!("{}[?{}]", at_least(of, MEMBER), written(index)),
        (op::OPT_SELECT, [of, field], _) => {
            let field = match &field.kind {
                Kind::Literal(Literal::String(name)) => name.to_string(),
                _ => written(field),
            };
            format!("{}.?{field}", at_least(of, MEMBER))
        }
        (name, args, Some(target)) => format!("{}.{name}({})", at_least(target, MEMBER), list(args)),
        (name, args, None) => format!("{}({})", name.trim_start_matches('@'), list(args)),
    };
    (text, MEMBER)
}

fn fold_of(fold: &Fold) -> String {
    let name = |name: &str| name.trim_start_matches('@').to_owned();
    if fold.shape == Shape::Bind {
        return format!(
            "cel.bind({}, {}, {})",
            name(&fold.accumulator),
            written(&fold.init),
            written(&fold.result)
        );
    }
    let range = at_least(&fold.range, MEMBER);
    let Some((filter, body)) = user_parts(fold) else { return range };
    let mut args = vec![name(&fold.variable)];
    args.extend(fold.second.as_ref().map(|second| name(second)));
    let two = fold.second.is_some();
    let is_variable =
        matches!(&body.kind, Kind::Ident(body) if *body == fold.variable && &**body != ACCUMULATOR);
    args.extend(filter.map(written));
    let macro_ = match fold.shape {
        Shape::All => "all",
        Shape::Exists => "exists",
        Shape::ExistsOne => "exists_one",
        Shape::List { filtered: true } if is_variable && !two => {
            return format!("{range}.filter({})", args.join(", "));
        }
        Shape::List { .. } if two => "transformList",
        Shape::List { .. } | Shape::Bind => "map",
        Shape::Map { entry: true, .. } => "transformMapEntry",
        Shape::Map { .. } => "transformMap",
    };
    args.push(written(body));
    format!("{range}.{macro_}({})", args.join(", "))
}
