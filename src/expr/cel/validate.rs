//! What Kubernetes refuses in well-typed expressions: literals that are no duration, time or pattern, and lists and maps
//! of mixed types.

use super::ast::{Call, Expr, Kind, Literal};
use super::checker::Checked;
use super::convert;
use super::error::{CompileError, Mistakes};
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
    root.walk(&mut |expr| mixed(checked, expr, &mut mistakes));
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
        ("duration", text) => text.is_none_or(|text| convert::to_duration(&Value::text(text)).is_ok()),
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
