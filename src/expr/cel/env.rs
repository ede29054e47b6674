//! Environments: which variables, types and functions expressions may use.

use std::fmt;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use rustc_hash::FxHashMap;

use super::cost::Cost;
use super::error::{CompileError, EvalError, Mistakes};
use super::parser::Dialect;
use super::program::Program;
use super::schema::Schema;
use super::stack;
use super::types::{ObjectType, Signature, Type};
use super::value::Value;

/// What expressions may use. Cheap to clone; adding to one makes another that knows what the first does.
#[derive(Clone)]
pub struct Env(Arc<Inner>);

#[derive(Default)]
struct Inner {
    parent: Option<Env>,
    functions: FxHashMap<Arc<str>, Arc<Function>>,
    names: FxHashMap<Arc<str>, Name>,
    dialect: Dialect,
}

/// What a name means.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    Variable(Type),
    Type(Type),
}

/// A function and its overloads.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: Arc<str>,
    pub(crate) overloads: Vec<Arc<Overload>>,
}

/// One way to call a function.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) id: Arc<str>,
    pub(crate) signature: Signature,
    pub(crate) cost: Cost,
    pub(crate) run: Implementation,
}

/// A function of this crate.
pub type Native = for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, EvalError>;
/// A function of an embedder, which may know things.
pub type Closure = Arc<dyn for<'a> Fn(&[Value<'a>]) -> Result<Value<'a>, EvalError> + Send + Sync>;
/// A function whose second argument is a regular expression.
pub(crate) type WithRegex = for<'a> fn(&Regex, &[Value<'a>]) -> Result<Value<'a>, EvalError>;

/// What an overload does.
#[derive(Clone)]
pub(crate) enum Implementation {
    /// The evaluator knows.
    Operator,
    Native(Native),
    Regex(WithRegex),
    Closure(Closure),
}

impl fmt::Debug for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("implementation")
    }
}

/// A row of a library's table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) id: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) cost: Cost,
    pub(crate) run: Implementation,
}

/// A row of a function that is plain code.
pub(crate) const fn row(
    name: &'static str,
    id: &'static str,
    signature: &'static str,
    cost: Cost,
    run: Native,
) -> Row {
    Row { name, id, signature, cost, run: Implementation::Native(run) }
}

static KUBERNETES: LazyLock<Env> = LazyLock::new(|| {
    let mut inner = Inner::default();
    for (name, ty) in super::lib::types() {
        inner.names.insert(name.into(), Name::Type(ty));
    }
    for row in super::lib::TABLES.iter().flat_map(|table| table.iter()) {
        let signature = Signature::parse(row.signature);
        debug_assert!(signature.is_some(), "{} {}", row.id, row.signature);
        if let Some(signature) = signature {
            inner.add(
                row.name,
                Overload { id: row.id.into(), signature, cost: row.cost, run: row.run.clone() },
            );
        }
    }
    Env(Arc::new(inner))
});

impl Inner {
    fn add_row(&mut self, row: &Row) {
        let signature = Signature::parse(row.signature);
        debug_assert!(signature.is_some(), "{} {}", row.id, row.signature);
        if let Some(signature) = signature {
            self.add(
                row.name,
                Overload { id: row.id.into(), signature, cost: row.cost, run: row.run.clone() },
            );
        }
    }

    fn add(&mut self, name: &str, overload: Overload) {
        let known = match self.functions.remove(name) {
            Some(known) => Some(known),
            None => self.parent.as_ref().and_then(|parent| parent.function(name)),
        };
        let mut function = match known {
            Some(known) => Arc::unwrap_or_clone(known),
            None => Function { name: name.into(), overloads: Vec::new() },
        };
        function.overloads.push(Arc::new(overload));
        self.functions.insert(function.name.clone(), Arc::new(function));
    }
}

impl Env {
    /// The functions, types and macros of Kubernetes v1.35.
    pub fn kubernetes() -> Env {
        KUBERNETES.clone()
    }

    fn extend(&self, change: impl FnOnce(&mut Inner)) -> Env {
        let mut inner = Inner { parent: Some(self.clone()), dialect: self.0.dialect, ..Inner::default() };
        change(&mut inner);
        Env(Arc::new(inner))
    }

    /// With a variable.
    pub fn with_variable(&self, name: &str, ty: Type) -> Env {
        self.extend(|inner| {
            inner.names.insert(name.into(), Name::Variable(ty));
        })
    }

    /// With several variables.
    pub fn with_variables<'n>(&self, variables: impl IntoIterator<Item = (&'n str, Type)>) -> Env {
        self.extend(|inner| {
            inner.names.extend(variables.into_iter().map(|(name, ty)| (Arc::from(name), Name::Variable(ty))));
        })
    }

    /// With a variable whose values have a schema. What CEL cannot see is `dyn`.
    pub fn with_schema_variable(&self, name: &str, schema: &Schema) -> Env {
        self.with_variable(name, schema.ty().cloned().unwrap_or(Type::Dyn))
    }

    /// With a type that expressions can make values of, `Name{field: value}`.
    pub fn with_type(&self, ty: ObjectType) -> Env {
        self.extend(|inner| {
            inner.names.insert(ty.name().clone(), Name::Type(Type::Object(ty)));
        })
    }

    /// With a function. `signature` is as [`Signature::parse`] reads it; a call costs `cost`. `None` if the signature is
    /// none.
    pub fn with_function(
        &self,
        name: &str,
        id: &str,
        signature: &str,
        cost: u64,
        run: Closure,
    ) -> Option<Env> {
        let signature = Signature::parse(signature)?;
        let overload =
            Overload { id: id.into(), signature, cost: Cost::Fixed(cost), run: Implementation::Closure(run) };
        Some(self.extend(|inner| inner.add(name, overload)))
    }

    /// With the macro `cel.bind(name, value, expression)`, which Kubernetes does not have.
    pub fn with_bind(&self) -> Env {
        self.extend(|inner| inner.dialect.binds = true)
    }

    /// With functions that Kubernetes leaves out: the newest of strings.
    pub fn with_extensions(&self) -> Env {
        self.with_tables(super::lib::EXTENSIONS)
    }

    /// With what expressions of a MutatingAdmissionPolicy have beside: `jsonpatch.escapeKey`.
    pub fn with_json_patch(&self) -> Env {
        self.with_tables(super::lib::PATCHES)
    }

    /// With `time.now()` and `random()`, which read a [`super::Moment`] that is bound as [`super::MOMENT`].
    pub fn with_moment(&self) -> Env {
        let ty = Type::Opaque(super::lib::moment::TYPE.into(), [].into());
        self.with_tables(super::lib::MOMENTS)
            .with_variable(super::lib::moment::VARIABLE, ty)
            .extend(|inner| inner.dialect.moments = true)
    }

    /// With the functions of some tables.
    pub(crate) fn with_tables(&self, tables: &[&[Row]]) -> Env {
        self.extend(|inner| tables.iter().flat_map(|table| table.iter()).for_each(|row| inner.add_row(row)))
    }

    /// Parses and checks an expression.
    pub fn compile(&self, text: &str) -> Result<Program, CompileError> {
        let compiled = stack::with_room(stack::depth_of(text), || self.compile_here(text));
        compiled.unwrap_or_else(|| {
            let mut mistakes = Mistakes::default();
            mistakes.report_nowhere("expression is too deep to be read now");
            Err(mistakes.into_error(text))
        })
    }

    fn compile_here(&self, text: &str) -> Result<Program, CompileError> {
        let ast = super::parser::parse(text, self.0.dialect)?;
        let checked = super::checker::check(self, ast, text)?;
        super::validate::validate(&checked, text)?;
        super::plan::plan(checked)
    }

    pub(crate) fn function(&self, name: &str) -> Option<Arc<Function>> {
        let mut env = self;
        loop {
            if let Some(function) = env.0.functions.get(name) {
                return Some(function.clone());
            }
            env = env.0.parent.as_ref()?;
        }
    }

    pub(crate) fn name(&self, name: &str) -> Option<&Name> {
        let mut env = self;
        loop {
            if let Some(found) = env.0.names.get(name) {
                return Some(found);
            }
            env = env.0.parent.as_ref()?;
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}
