//! CEL, the Common Expression Language, as Kubernetes v1.35 has it: types, functions, messages and costs.
//!
//! An [`Env`] says what expressions may use; [`Env::compile`] makes a [`Program`], which is run any number of times over
//! [`Bindings`]. JSON is looked at in place.
//!
//! ```
//! use moin::expr::cel::{Bindings, Budget, Env, Type, Value};
//!
//! let env = Env::kubernetes().with_variable("object", Type::Dyn);
//! let program = env.compile("object.spec.replicas > 3").unwrap();
//! let object = serde_json::json!({"spec": {"replicas": 5}});
//! let bindings = Bindings::new().with("object", Value::of_json(&object));
//! let result = program.run(&bindings, &mut Budget::kubernetes()).unwrap();
//! assert_eq!(result.as_bool(), Some(true));
//! ```
//!
//! The text goes through `lexer`, `parser` (with `macros`), `checker` (with `infer`), `validate` and `plan`; `eval`
//! runs what comes out. `lib` holds the functions.

mod ast;
mod checker;
mod convert;
mod cost;
mod env;
mod equality;
mod error;
mod estimate;
mod eval;
mod explain;
mod infer;
mod lexer;
mod lib;
mod macros;
mod operators;
mod parser;
mod plan;
mod program;
mod schema;
mod stack;
#[cfg(test)]
mod tests;
mod typed;
mod types;
mod validate;
mod value;

pub(crate) use cost::Cost;
pub use env::{Closure, Env, Native};
pub(crate) use env::{Row, row};
pub use error::{CompileError, EvalError, EvalErrorKind};
pub use estimate::CostRange;
pub use explain::Explainer;
pub use lib::moment::Moment;
pub(crate) use lib::moment::VARIABLE as MOMENT;
pub use program::{Bindings, Budget, PER_CALL_LIMIT, Program, TOTAL_LIMIT};
pub(crate) use schema::is_reserved;
pub use schema::{Schema, escape, unescape};
pub use types::{Fields, LookUp, ObjectType, Signature, Type};
pub use value::{Key, List, Opaque, Struct, Text, Timestamp, Unset, Value};
