//! Expressions as texts again, for explanations.

use super::ast::{Ast, Comparator, Kind, Piece};

/// A node as it could have been written.
pub(super) fn written(ast: &Ast) -> String {
    match &ast.kind {
        Kind::Identity => "@".to_owned(),
        Kind::Field(name) => field(name),
        Kind::FieldPieces(pieces) | Kind::TextPieces(pieces) => {
            format!("'{}'", pieces.iter().map(piece).collect::<String>())
        }
        Kind::Literal(serde_json::Value::String(text)) => format!("'{text}'"),
        Kind::Literal(value) => format!("`{value}`"),
        Kind::SlotLiteral(_) => "{{ }}".to_owned(),
        Kind::Index(index) => format!("[{index}]"),
        Kind::Slice(parts) => {
            let part = |part: &Option<i64>| part.map_or(String::new(), |number| number.to_string());
            format!("[{}:{}:{}]", part(&parts[0]), part(&parts[1]), part(&parts[2]))
        }
        Kind::Then(left, right) => then(&operand(left), right),
        Kind::Pipe(left, right) => format!("{} | {}", written(left), written(right)),
        Kind::Projection(of, right) => {
            let of = if projects(of) { operand(of) } else { projected(of, "[*]") };
            then(&of, right)
        }
        Kind::ValueProjection(of, right) => match of.kind {
            Kind::Identity => then("*", right),
            _ => then(&format!("{}.*", operand(of)), right),
        },
        Kind::Filter { of, then: right, condition } => {
            then(&projected(of, &format!("[?{}]", written(condition))), right)
        }
        Kind::Flatten(of) => projected(of, "[]"),
        Kind::Or(left, right) => format!("{} || {}", operand(left), operand(right)),
        Kind::And(left, right) => format!("{} && {}", operand(left), operand(right)),
        Kind::Not(inner) => format!("!{}", operand(inner)),
        Kind::Compare(how, left, right) => {
            format!("{} {} {}", operand(left), comparator(*how), operand(right))
        }
        Kind::List(items) => format!("[{}]", list(items)),
        Kind::Hash(fields) => {
            let entry = |(name, value): &(String, Ast)| format!("{}: {}", field(name), written(value));
            format!("{{{}}}", fields.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Kind::Call { name, arguments } => format!("{name}({})", list(arguments)),
        Kind::Reference(inner) => format!("&{}", operand(inner)),
    }
}

fn list(items: &[Ast]) -> String {
    items.iter().map(written).collect::<Vec<_>>().join(", ")
}

fn field(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}

fn piece(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Slot(_) => "{{ }}".to_owned(),
    }
}

fn comparator(how: Comparator) -> &'static str {
    match how {
        Comparator::Equal => "==",
        Comparator::NotEqual => "!=",
        Comparator::Less => "<",
        Comparator::LessEqual => "<=",
        Comparator::Greater => ">",
        Comparator::GreaterEqual => ">=",
    }
}

/// With what follows a projection or a value.
fn then(of: &str, right: &Ast) -> String {
    match &right.kind {
        Kind::Identity => of.to_owned(),
        Kind::Index(_) | Kind::Slice(_) => format!("{of}{}", written(right)),
        Kind::Projection(..) | Kind::Filter { .. } | Kind::Flatten(_) => {
            let text = written(right);
            if text.starts_with('[') { format!("{of}{text}") } else { format!("{of}.{text}") }
        }
        _ => format!("{of}.{}", operand(right)),
    }
}

/// Whether a node begins a projection by itself: `a[]`, `a[1:2]`.
fn projects(ast: &Ast) -> bool {
    match &ast.kind {
        Kind::Flatten(_) | Kind::Slice(_) => true,
        Kind::Then(_, right) => projects(right),
        _ => false,
    }
}

fn projected(of: &Ast, with: &str) -> String {
    match of.kind {
        Kind::Identity => with.to_owned(),
        _ => format!("{}{with}", operand(of)),
    }
}

/// In parentheses where another operator could take a part of it.
fn operand(ast: &Ast) -> String {
    let text = written(ast);
    match ast.kind {
        Kind::Or(..) | Kind::And(..) | Kind::Compare(..) | Kind::Pipe(..) => format!("({text})"),
        _ => text,
    }
}
