//! What expressions of policies may use.

use std::sync::LazyLock;

use crate::expr::admission::{Result_, Variables, declarations, with_types};
use crate::expr::cel::{CompileError, Env, Program, Type};

use super::super::reader::{Reader, Result};
use super::library::{IMAGE_POLICIES, POLICIES};

/// The environment at a place of a policy: with the variables that stand before it.
#[derive(Debug)]
pub(super) struct Scope {
    base: Env,
    variables: Variables,
}

/// What expressions of classic rules may use: what the API server's own policies have.
static RULES: LazyLock<Env> =
    LazyLock::new(|| Env::kubernetes().with_bind().with_extensions().with_variables(declarations()));

impl Scope {
    /// Of a classic rule.
    pub(super) fn of_rule() -> Scope {
        Scope { base: RULES.clone(), variables: Variables::default() }
    }

    /// Of a policy that is all CEL.
    pub(super) fn of_policy() -> Scope {
        Scope { base: POLICIES.clone(), variables: Variables::default() }
    }

    /// Of an expression about one text, which it sees under a name.
    pub(super) fn of_reference(name: &str) -> Scope {
        Scope { base: POLICIES.with_variable(name, Type::String), variables: Variables::default() }
    }

    /// Of a policy about images.
    pub(super) fn of_images() -> Scope {
        Scope { base: IMAGE_POLICIES.clone(), variables: Variables::default() }
    }

    /// Of an expression that is tried, whatever policy it is for.
    pub(super) fn of_trial() -> Scope {
        let base = POLICIES.with_variables([("self", Type::Dyn), ("params", Type::Dyn)]);
        Scope { base, variables: Variables::default() }
    }

    /// Compiles an expression that may give anything.
    pub(super) fn try_out(&self, text: &str) -> std::result::Result<Program, CompileError> {
        with_types(&self.variables.declare(&self.base), text).compile(text)
    }

    /// Compiles a list of variables, each of which sees those before it.
    pub(super) fn define(&mut self, list: &[Reader<'_>]) -> Result<Vec<(String, Program)>> {
        let mut variables = Vec::with_capacity(list.len());
        for variable in list {
            let name = variable.string("name")?.ok_or_else(|| variable.error("name is missing"))?;
            let program = self.compile(&super::expression(variable)?)?;
            self.variables.add(&name, Some(&program));
            variables.push((name, program));
        }
        Ok(variables)
    }

    /// Compiles the expression that a field holds.
    pub(super) fn compile(&self, reader: &Reader<'_>) -> Result<Program> {
        let env = self.variables.declare(&self.base);
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

    /// Compiles an expression that makes objects or patches.
    pub(super) fn compile_change(&self, reader: &Reader<'_>, result: Result_) -> Result<Program> {
        let text = reader.text()?;
        let env = with_types(&self.variables.declare(&self.base), text);
        let program = env.compile(text).map_err(|error| reader.error(error.summary))?;
        result.check(&program).map_err(|why| reader.error(why))?;
        Ok(program)
    }
}
