//! What expressions of policies may use.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::expr::cel::{Env, Fields, ObjectType, Program, Type};

use super::super::reader::{Reader, Result};

static BASE: LazyLock<Env> = LazyLock::new(|| {
    let object = || Type::map(Type::String, Type::Dyn);
    Env::kubernetes().with_bind().with_extensions().with_variables([
        ("object", object()),
        ("oldObject", object()),
        ("namespaceObject", Type::Dyn),
        ("request", Type::Dyn),
    ])
});

/// The environment at a place of a policy: with the variables that stand before it.
#[derive(Debug, Default)]
pub(super) struct Scope {
    variables: BTreeMap<Arc<str>, Type>,
}

impl Scope {
    /// Makes a variable known to what comes after it.
    pub(super) fn declare(&mut self, name: &str, program: &Program) {
        self.variables.insert(name.into(), declared(program.output()));
    }

    /// Compiles the expression that a field holds.
    pub(super) fn compile(&self, reader: &Reader<'_>) -> Result<Program> {
        let variables = ObjectType::new("kubernetes.variables", Fields::Named(self.variables.clone()));
        let env = BASE.with_variable("variables", Type::Object(variables));
        env.compile(reader.text()?).map_err(|error| reader.error(error.summary))
    }

    /// Compiles an expression that must say true or false; `dynamic` ones may turn out to do so.
    pub(super) fn compile_bool(&self, reader: &Reader<'_>, dynamic: bool) -> Result<Program> {
        let program = self.compile(reader)?;
        match program.output() {
            Type::Bool => Ok(program),
            Type::Dyn if dynamic => Ok(program),
            other => Err(reader.error(format!("must evaluate to bool but got {other}"))),
        }
    }
}

/// The type of a variable: only plain ones are known.
fn declared(ty: &Type) -> Type {
    match ty {
        Type::List(item) => Type::list(declared(item)),
        Type::Map(pair) => Type::map(declared(&pair.0), declared(&pair.1)),
        Type::Object(_) | Type::Opaque(..) | Type::Param(_) | Type::Type(_) => Type::Dyn,
        plain => plain.clone(),
    }
}
