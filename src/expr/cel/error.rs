//! What is wrong with an expression, and what goes wrong when one runs.

use std::borrow::Cow;
use std::fmt;

/// Why a text is no expression of its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Where the first mistake is, in characters from the start.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// The first mistake alone.
    pub summary: String,
    /// All mistakes, each with its line and a mark under its place, as Kubernetes prints them.
    pub message: String,
    /// Whether the text is a well-typed expression and yet cannot be evaluated, as `int('x')`.
    pub instantiation: bool,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CompileError {}

/// What went wrong when an expression ran.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalError(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    message: Cow<'static, str>,
    place: Option<u32>,
    kind: EvalErrorKind,
}

/// Which kind of [`EvalError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// A part of the expression has no value.
    Failed,
    /// It took more than its budget.
    OverBudget,
    /// It asks for something that is not looked up here, so nothing may be concluded from its failure.
    NotLookedUp,
}

impl EvalError {
    /// An error with a text.
    #[cold]
    pub fn new(message: impl Into<Cow<'static, str>>) -> EvalError {
        EvalError(Box::new(Inner { message: message.into(), place: None, kind: EvalErrorKind::Failed }))
    }

    /// The budget of one call is used up.
    #[cold]
    pub(crate) fn over_budget() -> EvalError {
        let message = "operation cancelled: actual cost limit exceeded".into();
        EvalError(Box::new(Inner { message, place: None, kind: EvalErrorKind::OverBudget }))
    }

    /// What is asked for is not looked up here, whether it exists or not.
    #[cold]
    pub(crate) fn not_looked_up(message: impl Into<Cow<'static, str>>) -> EvalError {
        let kind = EvalErrorKind::NotLookedUp;
        EvalError(Box::new(Inner { message: message.into(), place: None, kind }))
    }

    /// No overload of the operator or function takes such values.
    #[cold]
    pub fn no_such_overload() -> EvalError {
        EvalError::new("no such overload")
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Which kind of error it is.
    pub fn kind(&self) -> EvalErrorKind {
        self.0.kind
    }

    /// Where in the expression, in characters from its start, if known.
    pub fn place(&self) -> Option<usize> {
        self.0.place.map(|place| place as usize)
    }

    /// Notes the place, unless a more exact one is known.
    pub(crate) fn at(mut self, place: u32) -> EvalError {
        self.0.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for EvalError {}

/// At most this many mistakes of one text are told.
const TOLD: usize = 100;
/// Lines longer than this are not shown.
const SNIPPET: usize = 16_384;

/// The mistakes found in a text so far.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    found: Vec<(Option<u32>, String)>,
    count: usize,
}

impl Mistakes {
    pub(crate) fn report(&mut self, place: u32, message: impl Into<String>) {
        self.push(Some(place), message.into());
    }

    /// A mistake of the text as a whole.
    pub(crate) fn report_nowhere(&mut self, message: impl Into<String>) {
        self.push(None, message.into());
    }

    fn push(&mut self, place: Option<u32>, message: String) {
        self.count += 1;
        if self.found.len() < TOLD {
            self.found.push((place, message));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The mistakes as an error, in the order of their places.
    pub(crate) fn into_error(mut self, text: &str) -> CompileError {
        let lines: Vec<&str> = text.split('\n').collect();
        let locate = |place: u32| {
            let mut rest = place as usize;
            for (i, line) in lines.iter().enumerate() {
                let length = line.chars().count();
                if rest <= length || i + 1 == lines.len() {
                    return (i + 1, rest);
                }
                rest -= length + 1;
            }
            (1, rest)
        };
        self.found.sort_by_key(|(place, _)| place.map_or((0, 0), &locate));
        let mut message = String::new();
        for (place, text) in &self.found {
            if !message.is_empty() {
                message.push('\n');
            }
            match place {
                None => message.push_str(&format!("ERROR: <input>:-1:0: {text}")),
                Some(place) => {
                    let (line, column) = locate(*place);
                    message.push_str(&format!("ERROR: <input>:{line}:{}: {text}", column + 1));
                    snippet(lines[line - 1], column, &mut message);
                }
            }
        }
        if self.count > self.found.len() {
            message.push_str(&format!("\n{} more errors were truncated", self.count - self.found.len()));
        }
        let (place, summary) = self.found.into_iter().next().unwrap_or_default();
        let offset = place.unwrap_or_default();
        let (line, column) = locate(offset);
        CompileError {
            offset: offset as usize,
            line,
            column: column + 1,
            summary,
            message,
            instantiation: false,
        }
    }
}

/// The line and a mark under one of its columns; wide characters get a wide dot.
fn snippet(line: &str, column: usize, into: &mut String) {
    if line.len() > SNIPPET {
        return;
    }
    let line = line.replace('\t', " ");
    into.push_str("\n | ");
    into.push_str(&line);
    into.push_str("\n | ");
    let mut characters = line.chars();
    for c in characters.by_ref().take(column) {
        into.push(if c.len_utf8() > 1 { '\u{ff0e}' } else { '.' });
    }
    into.push(if characters.next().is_some_and(|c| c.len_utf8() > 1) { '\u{ff3e}' } else { '^' });
}
