//! What Kubernetes refuses in well-typed expressions: literals that are no duration, time or pattern, and lists and maps
//! of mixed types.

use super::ast::{Call, Expr, Id, Kind, Literal};
use super::checker::Checked;
use super::convert;
use super::error::{CompileError, Mistakes};
use super::lib::formatting::{self, Piece};
use super::types::Type;
use super::value::Value;
use crate::expr::goregex;

/// Refuses what a tree should not have.
pub(crate) fn validate(checked: &Checked, text: &str) -> Result<(), CompileError> {
    let mut mistakes = Mistakes::default();
    let root = &checked.ast.root;
    root.walk(&mut |expr| {
        if let Kind::Call(call) = &expr.kind {
            literal_argument(checked, call, &mut mistakes);
        }
    });
    mixed_below(checked, root, &mut mistakes);
    root.walk(&mut |expr| {
        if let Kind::Call(call) = &expr.kind {
            format_string(checked, expr.id, call, &mut mistakes);
        }
    });
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.into_error(text)) }
}

fn literal_argument(checked: &Checked, call: &Call, mistakes: &mut Mistakes) {
    let Some(arg) = call.args.first() else { return };
    let Kind::Literal(literal) = &arg.kind else { return };
    let as_text = match literal {
        Literal::String(text) => Some(&**text),
        _ => None,
    };
    let valid = match (&*call.function, as_text) {
        ("duration", Some(text)) => convert::to_duration(&Value::text(text)).is_ok(),
        ("duration", None) => false,
        ("timestamp", Some(text)) => convert::to_timestamp(&Value::text(text)).is_ok(),
        ("timestamp", None) => match literal {
            Literal::Int(seconds) => convert::TIMES.contains(seconds),
            _ => true,
        },
        ("matches", Some(text)) => goregex::compile(text).is_ok(),
        _ => true,
    };
    if !valid {
        mistakes.report(checked.ast.place(arg.id), format!("invalid {} argument", call.function));
    }
}

/// Looks for mixed types, yet not in what is formatted.
fn mixed_below(checked: &Checked, root: &Expr, mistakes: &mut Mistakes) {
    let mut exempt = std::collections::HashSet::new();
    root.walk(&mut |expr| {
        if let Kind::Call(call) = &expr.kind
            && &*call.function == "format"
        {
            expr.walk(&mut |below| {
                exempt.insert(below.id);
            });
        }
    });
    root.walk(&mut |expr| {
        if !exempt.contains(&expr.id) {
            mixed(checked, expr, mistakes);
        }
    });
}

/// Checks a format that is written out against the list that is.
fn format_string(checked: &Checked, id: Id, call: &Call, mistakes: &mut Mistakes) {
    let ("format", Some(target), [list]) = (&*call.function, &call.target, &call.args[..]) else { return };
    let (Kind::Literal(Literal::String(text)), Kind::List(items)) = (&target.kind, &list.kind) else {
        return;
    };
    let mut next = 0;
    for piece in formatting::pieces(text) {
        let kind = match piece {
            Piece::Text(_) => continue,
            Piece::Wrong(message) => {
                let out_of_range = next >= items.len();
                let message = if out_of_range { format!("index {next} out of range") } else { message };
                return mistakes.report(checked.ast.place(id), message);
            }
            Piece::Clause { kind, .. } => kind,
        };
        let Some(item) = items.get(next) else {
            return mistakes.report(checked.ast.place(id), format!("index {next} out of range"));
        };
        next += 1;
        if let Some(wrong) = not_formattable(checked, &item.value, kind) {
            let message = formatting::clause_error(kind, checked.ty(wrong).name());
            return mistakes.report(checked.ast.place(wrong), message);
        }
    }
    if items.len() > next {
        let message =
            format!("too many arguments supplied to string.format (expected {next}, got {})", items.len());
        mistakes.report(checked.ast.place(id), message);
    }
}

/// The node that a clause does not take, if any.
fn not_formattable(checked: &Checked, expr: &Expr, kind: char) -> Option<Id> {
    let ty = checked.ty(expr.id);
    let fits = match kind {
        _ if *ty == Type::Dyn => true,
        's' => !matches!(ty, Type::Object(_) | Type::Opaque(..) | Type::Error | Type::Param(_)),
        'd' | 'o' => matches!(ty, Type::Int | Type::Uint),
        'f' | 'e' => matches!(ty, Type::Double | Type::String),
        'b' => matches!(ty, Type::Int | Type::Uint | Type::Bool),
        _ => matches!(ty, Type::Int | Type::Uint | Type::String | Type::Bytes),
    };
    if !fits {
        return Some(expr.id);
    }
    match &expr.kind {
        Kind::List(items) if kind == 's' => {
            items.iter().find_map(|i| not_formattable(checked, &i.value, kind))
        }
        Kind::Map(entries) if kind == 's' => entries.iter().find_map(|entry| {
            not_formattable(checked, &entry.key, kind)
                .or_else(|| not_formattable(checked, &entry.value, kind))
        }),
        _ => None,
    }
}

fn mixed(checked: &Checked, expr: &Expr, mistakes: &mut Mistakes) {
    let unwrapped = |expr: &Expr, optional: bool| {
        let ty = checked.ty(expr.id);
        if optional { ty.optional_of().unwrap_or(ty) } else { ty }.clone()
    };
    let mut differs = |first: &mut Option<Type>, expr: &Expr, ty: Type| {
        match first {
            None => *first = Some(ty),
            Some(first) if *first != ty => {
                let message = format!("expected type '{first}' but found '{ty}'");
                mistakes.report(checked.ast.place(expr.id), message);
                return true;
            }
            Some(_) => {}
        }
        false
    };
    match &expr.kind {
        Kind::List(items) => {
            let mut first = None;
            for item in items {
                if differs(&mut first, &item.value, unwrapped(&item.value, item.optional)) {
                    break;
                }
            }
        }
        Kind::Map(entries) => {
            let (mut key, mut value) = (None, None);
            for entry in entries {
                differs(&mut key, &entry.key, unwrapped(&entry.key, false));
                differs(&mut value, &entry.value, unwrapped(&entry.value, entry.optional));
            }
        }
        _ => {}
    }
}
