//! What expressions of policies and match conditions may use.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::expr::cel::{Env, Fields, ObjectType, Program, Type};

/// What differs from one place of an expression to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub params: bool,
    pub authorizer: bool,
    /// Whether objects and patches can be made.
    pub patches: bool,
}

impl Place {
    /// Of a condition, with or without parameters.
    pub fn condition(params: bool) -> Place {
        Place { params, authorizer: true, patches: false }
    }

    /// Of a message.
    pub fn message(params: bool) -> Place {
        Place { params, authorizer: false, patches: false }
    }

    /// Of a mutation.
    pub fn mutation(params: bool) -> Place {
        Place { params, authorizer: true, patches: true }
    }
}

/// Variables that were compiled before, in order, with the types that later ones see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<Arc<str>, Type>);

impl Variables {
    /// After one more variable was compiled, or was not.
    pub fn add(&mut self, name: &str, program: Option<&Program>) {
        self.0.insert(name.into(), program.map_or(Type::Dyn, |program| declared(program.output(), DEPTH)));
    }
}

impl Variables {
    /// An environment that knows them.
    pub fn declare(&self, env: &Env) -> Env {
        let ty = ObjectType::new("kubernetes.variables", Fields::Named(self.0.clone()));
        env.with_variable("variables", Type::Object(ty))
    }
}

/// How deep the type of a variable is known.
const DEPTH: usize = 32;

/// The type of a variable: only plain ones are known.
fn declared(ty: &Type, depth: usize) -> Type {
    let Some(below) = depth.checked_sub(1) else { return Type::Dyn };
    match ty {
        Type::Null
        | Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::String
        | Type::Bytes
        | Type::Duration
        | Type::Timestamp => ty.clone(),
        Type::List(item) => Type::list(declared(item, below)),
        Type::Map(pair) => Type::map(declared(&pair.0, below), declared(&pair.1, below)),
        _ => Type::Dyn,
    }
}

/// The variables that every expression of a policy has.
pub(crate) fn declarations() -> [(&'static str, Type); 4] {
    [
        ("object", Type::Dyn),
        ("oldObject", Type::Dyn),
        ("namespaceObject", Type::Object(namespace())),
        ("request", Type::Object(request())),
    ]
}

static BASE: LazyLock<Env> =
    LazyLock::new(|| super::authorizer::with_functions(&Env::kubernetes()).with_variables(declarations()));

/// The environment of an expression at a place; with `variables` also those.
pub(crate) fn environment(place: Place, variables: Option<&Variables>, text: &str) -> Env {
    let mut env = BASE.clone();
    if place.params {
        env = env.with_variable("params", Type::Dyn);
    }
    if place.authorizer {
        env = env.with_variables([
            ("authorizer", Type::Opaque(super::authorizer::AUTHORIZER.into(), [].into())),
            ("authorizer.requestResource", Type::Opaque(super::authorizer::RESOURCE_CHECK.into(), [].into())),
        ]);
    }
    if let Some(variables) = variables {
        env = variables.declare(&env);
    }
    if place.patches {
        env = super::dynamic::with_types(&env, text);
    }
    env
}

fn object(name: &str, fields: &[(&str, Type)]) -> ObjectType {
    let fields = fields.iter().map(|(name, ty)| (Arc::from(*name), ty.clone())).collect();
    ObjectType::new(name, Fields::Named(fields))
}

/// `AdmissionRequest`, without the objects, which are variables.
fn request() -> ObjectType {
    use Type::String;
    let named = |name: &str, last: &str| {
        Type::Object(object(name, &[("group", String), ("version", String), (last, String)]))
    };
    let kind = || named("kubernetes.GroupVersionKind", "kind");
    let resource = || named("kubernetes.GroupVersionResource", "resource");
    let user = object(
        "kubernetes.UserInfo",
        &[
            ("username", String),
            ("uid", String),
            ("groups", Type::list(String)),
            ("extra", Type::map(String, Type::list(String))),
        ],
    );
    object(
        "kubernetes.AdmissionRequest",
        &[
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", String),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", String),
            ("name", String),
            ("namespace", String),
            ("operation", String),
            ("userInfo", Type::Object(user)),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// The parts of a namespace that are shown.
fn namespace() -> ObjectType {
    use Type::{Int, String, Timestamp};
    let texts = || Type::map(String, String);
    let condition = object(
        "kubernetes.NamespaceCondition",
        &[
            ("status", String),
            ("type", String),
            ("lastTransitionTime", Timestamp),
            ("message", String),
            ("reason", String),
        ],
    );
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        &[
            ("name", String),
            ("generateName", String),
            ("namespace", String),
            ("labels", texts()),
            ("annotations", texts()),
            ("UID", String),
            ("creationTimestamp", Timestamp),
            ("deletionGracePeriodSeconds", Int),
            ("deletionTimestamp", Timestamp),
            ("generation", Int),
            ("resourceVersion", String),
            ("finalizers", Type::list(String)),
        ],
    );
    let spec = object("kubernetes.NamespaceSpec", &[("finalizers", Type::list(String))]);
    let status = object(
        "kubernetes.NamespaceStatus",
        &[("conditions", Type::list(Type::Object(condition))), ("phase", String)],
    );
    object(
        "kubernetes.Namespace",
        &[
            ("metadata", Type::Object(metadata)),
            ("spec", Type::Object(spec)),
            ("status", Type::Object(status)),
        ],
    )
}
