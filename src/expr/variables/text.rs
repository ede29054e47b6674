//! One text with variables.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

use super::rescan::Rescan;
use super::{ResolveError, TemplateError};
use crate::expr::context::Context;
use crate::expr::explain::Steps;
use crate::expr::gotext;
use crate::expr::jmespath::{EvalError, Expression, slot_char, slot_of};
use crate::model::{FieldPath, PathSegment};

/// An innermost variable that no backslash precedes. Its expression may have one level of braces.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)(?:^|[^\\])(\{\{(?:\{[^{}]*\}|[^{}])*\}\})").expect("a fixed expression")
});
static ESCAPED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\\(\{\{(?:\{[^{}]*\}|[^{}])*\}\})").expect("a fixed expression"));

/// The longest text that is put together.
const LONGEST: usize = 16 << 20;

/// A text with at least one variable.
#[derive(Debug, Clone)]
pub(super) struct Text {
    path: FieldPath,
    form: Form,
    rescan: Arc<Rescan>,
}

#[derive(Debug, Clone)]
enum Form {
    /// Nothing but one variable.
    Whole(Variable),
    Parts(Vec<Part>),
    /// Inner values are a part of an outer expression's own text, so it is parsed anew for each.
    Rescanned(String),
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// A compiled variable, and the inner ones it is filled in with.
#[derive(Debug, Clone)]
struct Variable {
    expressions: Expressions,
    inner: Vec<Variable>,
    /// `{{- x }}`: what it yields is not looked through for variables.
    verbatim: bool,
}

/// What a variable evaluates, which depends on the request.
#[derive(Debug, Clone)]
pub(super) struct Expressions {
    usual: Expression,
    /// With `request.oldObject` for `request.object`, when an object is deleted.
    on_delete: Option<Expression>,
    /// `{{ @ }}` in a rule that mutates a target.
    on_target: Option<Expression>,
}

/// The expression of `{{ expression }}` and whether it is verbatim.
pub(super) fn inside(variable: &str) -> (String, bool) {
    let inner = variable.replace("{{", "").replace("}}", "");
    let trimmed = inner.trim();
    match trimmed.strip_prefix('-') {
        Some(rest) if !rest.starts_with(|c: char| c.is_ascii_digit()) => (rest.trim_start().to_owned(), true),
        _ => (trimmed.to_owned(), false),
    }
}

/// The variables of a text, innermost ones only.
pub(super) fn variables(text: &str) -> Vec<std::ops::Range<usize>> {
    if !text.contains("{{") {
        return Vec::new();
    }
    VARIABLE.captures_iter(text).filter_map(|c| c.get(1)).map(|m| m.range()).collect()
}

/// A text whose `\{{ x }}` are `{{ x }}`.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if text.contains("\\{{") { ESCAPED.replace_all(text, "$1") } else { Cow::Borrowed(text) }
}

impl Expressions {
    /// Compiles the expression of a variable at a place of the template.
    pub(super) fn compile(
        text: &str,
        slots: usize,
        path: &FieldPath,
    ) -> Result<Expressions, (String, crate::expr::jmespath::ExprError)> {
        let here = text == "@";
        let usual = if here { place(path, "request.object") } else { text.to_owned() };
        let compile =
            |text: String| Expression::compile_with_slots(&text, slots).map_err(|e| (text.clone(), e));
        let on_delete = usual
            .contains("request.object")
            .then(|| compile(usual.replace("request.object", "request.oldObject")))
            .transpose()?;
        let on_target = here.then(|| compile(place(path, "target"))).transpose()?;
        Ok(Expressions { usual: compile(usual)?, on_delete, on_target })
    }

    pub(super) fn choose(&self, context: &Context<'_>) -> &Expression {
        if let Some(on_target) = &self.on_target
            && context.contains("target")
        {
            return on_target;
        }
        match &self.on_delete {
            Some(on_delete) if context.is_delete() => on_delete,
            _ => &self.usual,
        }
    }
}

/// The expression for the same place in an object.
fn place(path: &FieldPath, root: &str) -> String {
    let mut expression = root.to_owned();
    for segment in &path.0 {
        match segment {
            PathSegment::Index(at) => expression.push_str(&format!("[{at}]")),
            PathSegment::Key(key) => {
                let name = super::reference::without_anchor(key);
                let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                expression.push('.');
                expression.push_str(&if plain { name.to_owned() } else { gotext::json(&name.into()) });
            }
        }
    }
    expression
}

impl Text {
    /// Compiles a text, or says that it has no variables.
    pub(super) fn compile(source: &str, path: &FieldPath) -> Result<Option<Text>, TemplateError> {
        if variables(source).is_empty() {
            return Ok(None);
        }
        let form = form(source, path)?;
        Ok(Some(Text { path: path.clone(), form, rescan: Arc::default() }))
    }

    pub(super) fn error(&self, error: EvalError) -> ResolveError {
        let variable = match &self.form {
            Form::Whole(variable) => variable.expressions.usual.text().to_owned(),
            Form::Rescanned(source) => source.clone(),
            Form::Parts(_) => String::new(),
        };
        ResolveError { path: self.path.clone(), variable, error }
    }

    pub(super) fn resolve<'a>(&'a self, context: &'a Context<'_>) -> Result<Cow<'a, Value>, ResolveError> {
        match &self.form {
            Form::Whole(variable) => variable.resolve(context).map_err(|e| self.failure(variable, e)),
            Form::Rescanned(source) => {
                self.rescan.resolve(source.clone(), context, &self.path).map(Cow::Owned)
            }
            Form::Parts(parts) => self.join(parts, context).map(Cow::Owned),
        }
    }

    /// The variables and the parts of each.
    pub(super) fn explain(&self, context: &Context<'_>, steps: &mut Steps) {
        match &self.form {
            Form::Whole(variable) => variable.explain(context, steps),
            Form::Parts(parts) => {
                for part in parts {
                    if let Part::Variable(variable) = part {
                        variable.explain(context, steps);
                    }
                }
            }
            Form::Rescanned(source) => {
                let value = self.resolve(context).map(Cow::into_owned);
                steps.add(0, source, value.map_err(|error| error.error.to_string()));
            }
        }
    }

    fn failure(&self, variable: &Variable, error: EvalError) -> ResolveError {
        let variable = variable.expressions.usual.text().to_owned();
        ResolveError { path: self.path.clone(), variable, error }
    }

    fn join(&self, parts: &[Part], context: &Context<'_>) -> Result<Value, ResolveError> {
        let mut joined = String::new();
        let mut look_again = false;
        for part in parts {
            match part {
                Part::Literal(literal) => joined.push_str(literal),
                Part::Variable(variable) => {
                    let value = variable.resolve(context).map_err(|e| self.failure(variable, e))?;
                    let from = joined.len();
                    match value.as_ref() {
                        Value::String(text) => joined.push_str(text),
                        other => joined.push_str(&gotext::json(other)),
                    }
                    if joined.len() > LONGEST || context.spend((joined.len() - from) as u64 / 64).is_err() {
                        return Err(self.error(EvalError::Limit));
                    }
                    look_again |= !variable.verbatim && joined[from..].contains("{{");
                }
            }
        }
        if look_again {
            return self.rescan.resolve(joined, context, &self.path);
        }
        Ok(Value::String(match unescape(&joined) {
            Cow::Owned(text) => text,
            Cow::Borrowed(_) => joined,
        }))
    }
}

/// Takes a text apart from the inside out; each variable found leaves a placeholder for the next round.
fn form(source: &str, path: &FieldPath) -> Result<Form, TemplateError> {
    let mut text = source.to_owned();
    let mut found: Vec<Variable> = Vec::new();
    loop {
        let ranges = variables(&text);
        if ranges.is_empty() {
            break;
        }
        let mut next = String::new();
        let mut end = 0;
        for range in ranges {
            let (expression, verbatim) = inside(&text[range.clone()]);
            let Some(variable) = variable(&expression, verbatim, &found, path)? else {
                return Ok(Form::Rescanned(source.to_owned()));
            };
            let Some(placeholder) = slot_char(found.len()) else {
                return Ok(Form::Rescanned(source.to_owned()));
            };
            found.push(variable);
            next.push_str(&text[end..range.start]);
            next.push(placeholder);
            end = range.end;
        }
        next.push_str(&text[end..]);
        text = next;
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    for c in text.chars() {
        match slot_of(c).and_then(|slot| found.get(slot)) {
            Some(variable) => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Variable(variable.clone()));
            }
            None => literal.push(c),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(match parts.as_mut_slice() {
        [Part::Variable(_)] => match parts.pop() {
            Some(Part::Variable(only)) => Form::Whole(only),
            _ => Form::Parts(parts),
        },
        _ => Form::Parts(parts),
    })
}

/// Compiles a variable whose inner ones are placeholders. `None` if one stands where its value is a part of the
/// expression's own text.
fn variable(
    expression: &str,
    verbatim: bool,
    found: &[Variable],
    path: &FieldPath,
) -> Result<Option<Variable>, TemplateError> {
    let mut inner = Vec::new();
    let mut text = String::new();
    for c in expression.chars() {
        match slot_of(c).and_then(|slot| found.get(slot)) {
            Some(variable) => {
                text.extend(slot_char(inner.len()));
                inner.push(variable.clone());
            }
            None => text.push(c),
        }
    }
    match Expressions::compile(&text, inner.len(), path) {
        Ok(expressions) => Ok(Some(Variable { expressions, inner, verbatim })),
        Err(_) if !inner.is_empty() => Ok(None),
        Err((expression, error)) => Err(TemplateError { path: path.clone(), expression, error }),
    }
}

impl Variable {
    /// Its parts, and those of the variables inside, which are filled in first.
    fn explain(&self, context: &Context<'_>, steps: &mut Steps) {
        let expression = self.expressions.choose(context);
        if self.inner.is_empty() {
            steps.append(0, expression.explain(context));
            return;
        }
        let inner = self.inner.iter().map(|inner| inner.resolve(context).map(Cow::into_owned));
        let Ok(values) = inner.collect::<Result<Vec<_>, _>>() else {
            self.inner.iter().for_each(|inner| inner.explain(context, steps));
            return;
        };
        let text = self.written_out(expression.text(), &values);
        let value = self.resolve(context).map(Cow::into_owned);
        steps.add(0, text, value.map_err(|error| error.to_string()));
        let mut below = Steps::default();
        self.inner.iter().for_each(|inner| inner.explain(context, &mut below));
        steps.append(1, below);
    }

    fn resolve<'a>(&'a self, context: &'a Context<'_>) -> Result<Cow<'a, Value>, EvalError> {
        let expression = self.expressions.choose(context);
        if self.inner.is_empty() {
            return expression.evaluate(context);
        }
        let values = self
            .inner
            .iter()
            .map(|inner| inner.resolve(context).map(Cow::into_owned))
            .collect::<Result<Vec<_>, _>>()?;
        if values.iter().any(changes_text) {
            let text = self.written_out(expression.text(), &values);
            let value = Expression::compile(&text)?.evaluate(context)?.into_owned();
            return Ok(Cow::Owned(value));
        }
        expression.evaluate_with(context, &values).map(Cow::into_owned).map(Cow::Owned)
    }

    /// The expression with the values in their places.
    fn written_out(&self, expression: &str, values: &[Value]) -> String {
        let mut text = String::new();
        for c in expression.chars() {
            match slot_of(c).and_then(|slot| values.get(slot)) {
                Some(Value::String(value)) => text.push_str(value),
                Some(value) => text.push_str(&gotext::json(value)),
                None => text.push(c),
            }
        }
        text
    }
}

/// Whether a value, written into an expression, would end the string it stands in.
fn changes_text(value: &Value) -> bool {
    let special = |text: &str| text.contains(['\'', '"', '`', '\\']);
    match value {
        Value::String(text) => special(text),
        Value::Array(items) => items.iter().any(changes_text_inside),
        Value::Object(map) => map.iter().any(|(key, item)| special(key) || changes_text_inside(item)),
        _ => false,
    }
}

/// As [`changes_text`], for what is quoted itself.
fn changes_text_inside(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(['\'', '`', '\\', '"', '<', '>', '&']),
        other => changes_text(other),
    }
}
