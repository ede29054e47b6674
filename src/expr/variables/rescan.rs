//! Texts that are only known when they are evaluated.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

use super::ResolveError;
use super::text::{Expressions, inside, unescape, variables};
use crate::expr::context::Context;
use crate::expr::gotext;
use crate::expr::jmespath::EvalError;
use crate::model::FieldPath;

/// Expressions kept for the next time.
const KEPT: usize = 128;
/// Rounds after which a text that yields ever new variables is given up, and the longest text it may become.
const ROUNDS: usize = 32;
const LONGEST: usize = 1 << 20;

fn cut_off(path: &FieldPath) -> ResolveError {
    ResolveError { path: path.clone(), variable: "{{ }}".to_owned(), error: EvalError::Limit }
}

/// Resolves a text round after round until no variable is left, remembering what it has compiled.
#[derive(Debug, Default)]
pub(super) struct Rescan {
    compiled: Mutex<HashMap<String, Expressions>>,
}

impl Rescan {
    pub(super) fn resolve(
        &self,
        mut text: String,
        context: &Context<'_>,
        path: &FieldPath,
    ) -> Result<Value, ResolveError> {
        for _ in 0..ROUNDS {
            let ranges = variables(&text);
            if ranges.is_empty() {
                return Ok(Value::String(unescape(&text).into_owned()));
            }
            let mut next = String::new();
            let mut end = 0;
            let mut verbatim_only = true;
            for range in ranges {
                let (expression, verbatim) = inside(&text[range.clone()]);
                let value = self.evaluate(&expression, context, path).map_err(|error| ResolveError {
                    path: path.clone(),
                    variable: expression.clone(),
                    error,
                })?;
                if range.len() == text.len() {
                    return Ok(value);
                }
                verbatim_only &= verbatim;
                next.push_str(&text[end..range.start]);
                match &value {
                    Value::String(value) => next.push_str(value),
                    other => next.push_str(&gotext::json(other)),
                }
                if next.len() > LONGEST {
                    return Err(cut_off(path));
                }
                end = range.end;
            }
            next.push_str(&text[end..]);
            text = next;
            if verbatim_only {
                return Ok(Value::String(unescape(&text).into_owned()));
            }
            if text.len() > LONGEST {
                break;
            }
        }
        Err(cut_off(path))
    }

    fn evaluate(&self, text: &str, context: &Context<'_>, path: &FieldPath) -> Result<Value, EvalError> {
        let known = self.compiled.lock().ok().and_then(|compiled| compiled.get(text).cloned());
        let expressions = match known {
            Some(expressions) => expressions,
            None => {
                let expressions = Expressions::compile(text, 0, path).map_err(|(_, e)| EvalError::from(e))?;
                if let Ok(mut compiled) = self.compiled.lock() {
                    if compiled.len() >= KEPT {
                        compiled.clear();
                    }
                    compiled.insert(text.to_owned(), expressions.clone());
                }
                expressions
            }
        };
        Ok(expressions.choose(context).evaluate(context)?.into_owned())
    }
}
