//! `random`: a text that a regular expression matches.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::{Call, Val};
use crate::expr::goregex;
use crate::expr::jmespath::EvalError;

/// How often something may be repeated that has no upper bound.
const UNBOUNDED: u32 = 16;
/// The longest text generated.
const LONGEST: usize = 4096;

pub(super) fn random<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let pattern = call.text(0)?;
    if pattern.is_empty() {
        return Err(call.error("no pattern provided"));
    }
    let hir = regex_syntax::ParserBuilder::new()
        .nest_limit(64)
        .build()
        .parse(&goregex::translate(pattern).map_err(|e| call.error(e))?)
        .map_err(|e| call.error(format!("error parsing regexp: {e}")))?;
    let mut text = String::new();
    generate(call, &hir, &mut text)?;
    Ok(Val::text(text))
}

fn pick(call: Call<'_, '_>, choices: u32) -> u32 {
    u32::try_from(call.interpreter.draw() % u64::from(choices.max(1))).unwrap_or_default()
}

fn generate(call: Call<'_, '_>, hir: &Hir, out: &mut String) -> Result<(), EvalError> {
    call.interpreter.spend(1)?;
    if out.len() > LONGEST {
        return Err(call.error(format!("the text would be longer than {LONGEST} bytes")));
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => out.extend(one_of(call, class)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min.saturating_add(UNBOUNDED));
            let times = repetition.min + pick(call, most.saturating_sub(repetition.min).saturating_add(1));
            for _ in 0..times {
                generate(call, &repetition.sub, out)?;
            }
        }
        HirKind::Capture(capture) => generate(call, &capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                generate(call, part, out)?;
            }
        }
        HirKind::Alternation(parts) => {
            let chosen = pick(call, u32::try_from(parts.len()).unwrap_or(1)) as usize;
            generate(call, &parts[chosen], out)?;
        }
    }
    Ok(())
}

/// A member of a class; printable ASCII where the class has any.
fn one_of(call: Call<'_, '_>, class: &Class) -> Option<char> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|r| (r.start() as u32, r.end() as u32)).collect(),
        Class::Bytes(class) => class.ranges().iter().map(|r| (r.start().into(), r.end().into())).collect(),
    };
    let printable: Vec<(u32, u32)> =
        ranges.iter().map(|(a, b)| ((*a).max(0x20), (*b).min(0x7e))).filter(|(a, b)| a <= b).collect();
    let ranges = if printable.is_empty() { ranges } else { printable };
    let total = ranges.iter().map(|(a, b)| b - a + 1).sum();
    let mut at = pick(call, total);
    for (start, end) in ranges {
        if at <= end - start {
            return char::from_u32(start + at);
        }
        at -= end - start + 1;
    }
    None
}
