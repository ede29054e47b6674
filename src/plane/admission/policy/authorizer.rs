//! `authorizer`: expressions may ask what the one who asks, or a service account, may do.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::expr::cel::{Env, EvalError, Opaque, Value};
use crate::plane::admission::attributes::Attributes;
use crate::plane::auth::{Attributes as Wanted, User};
use crate::plane::server::Server;

pub(super) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(super) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
const DECISION: &str = "kubernetes.authorization.Decision";
/// What asking costs.
const CHECK_COST: u64 = 350_000;

/// Who is asked about.
#[derive(Clone)]
struct Authorizer {
    server: Arc<Server>,
    user: Arc<User>,
}

/// A question in the making.
#[derive(Clone)]
struct Check {
    authorizer: Authorizer,
    /// The name of its type: a path, a group, or a resource.
    what: &'static str,
    path: String,
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

/// The answer.
struct Decision {
    allowed: bool,
    reason: String,
}

macro_rules! opaque {
    ($ty:ty, $name:expr) => {
        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Opaque::type_name(self))
            }
        }

        impl Opaque for $ty {
            fn type_name(&self) -> &str {
                let name: fn(&$ty) -> &'static str = $name;
                name(self)
            }

            fn as_any(&self) -> &dyn Any {
                self
            }

            fn equals(&self, _other: &dyn Opaque) -> bool {
                false
            }
        }
    };
}

opaque!(Authorizer, |_| AUTHORIZER);
opaque!(Check, |check| check.what);
opaque!(Decision, |_| DECISION);

impl Check {
    fn new(authorizer: Authorizer, what: &'static str) -> Check {
        let empty = String::new;
        Check {
            authorizer,
            what,
            path: empty(),
            group: empty(),
            resource: empty(),
            subresource: empty(),
            namespace: empty(),
            name: empty(),
        }
    }

    fn decide(&self, verb: &str) -> Decision {
        let wanted = Wanted {
            user: &self.authorizer.user,
            verb,
            is_resource: self.what == RESOURCE_CHECK,
            group: &self.group,
            resource: &self.resource,
            subresource: &self.subresource,
            namespace: &self.namespace,
            name: &self.name,
            path: &self.path,
        };
        let decision = self.authorizer.server.rbac.authorize(&wanted);
        Decision { allowed: decision.allowed, reason: decision.reason }
    }
}

/// `authorizer` and `authorizer.requestResource` of a request.
pub(super) fn values<'a>(attributes: &Attributes<'_>) -> (Value<'a>, Value<'a>) {
    let call = attributes.call;
    let authorizer = Authorizer { server: call.server.clone(), user: call.user.clone() };
    let check = Check {
        group: call.resource.gvk.group.to_string(),
        resource: call.resource.plural.clone(),
        subresource: attributes.subresource().to_owned(),
        namespace: attributes.namespace.clone(),
        name: attributes.name.clone(),
        ..Check::new(authorizer.clone(), RESOURCE_CHECK)
    };
    (Value::opaque(authorizer), Value::opaque(check))
}

type Answer<'a> = Result<Value<'a>, EvalError>;

/// A function of an authorizer and texts.
fn of_authorizer<'a>(
    arguments: &[Value<'a>],
    answer: impl FnOnce(&Authorizer, &[&str]) -> Answer<'a>,
) -> Answer<'a> {
    of(arguments, answer)
}

/// A function of a value of a library and texts.
fn of<'a, T: 'static>(arguments: &[Value<'a>], answer: impl FnOnce(&T, &[&str]) -> Answer<'a>) -> Answer<'a> {
    let (first, rest) = arguments.split_first().ok_or_else(EvalError::no_such_overload)?;
    let value = first.downcast::<T>().ok_or_else(EvalError::no_such_overload)?;
    let texts: Option<Vec<&str>> = rest.iter().map(Value::as_str).collect();
    answer(value, &texts.ok_or_else(EvalError::no_such_overload)?)
}

/// A function that narrows a check.
fn narrow<'a>(arguments: &[Value<'a>], change: fn(&mut Check, &str)) -> Answer<'a> {
    of::<Check>(arguments, |check, texts| {
        let mut check = check.clone();
        change(&mut check, texts.first().copied().unwrap_or_default());
        Ok(Value::opaque(check))
    })
}

type Function = for<'a> fn(&[Value<'a>]) -> Answer<'a>;

/// An environment with the functions.
pub(super) fn with_functions(env: &Env) -> Env {
    const ONE: &str = "(string)";
    let rows: [(&str, &str, &str, &str, u64, Function); 15] = [
        ("path", AUTHORIZER, ONE, PATH_CHECK, 1, |arguments| {
            of_authorizer(arguments, |authorizer, texts| {
                let path = texts.first().copied().unwrap_or_default();
                if path.is_empty() {
                    return Err(EvalError::new("path must not be empty"));
                }
                let check = Check::new(authorizer.clone(), PATH_CHECK);
                Ok(Value::opaque(Check { path: path.to_owned(), ..check }))
            })
        }),
        ("group", AUTHORIZER, ONE, GROUP_CHECK, 1, |arguments| {
            of_authorizer(arguments, |authorizer, texts| {
                let group = texts.first().copied().unwrap_or_default().to_owned();
                Ok(Value::opaque(Check { group, ..Check::new(authorizer.clone(), GROUP_CHECK) }))
            })
        }),
        ("serviceAccount", AUTHORIZER, "(string, string)", AUTHORIZER, 1, |arguments| {
            of_authorizer(arguments, |authorizer, texts| {
                let [namespace, name] = texts else { return Err(EvalError::no_such_overload()) };
                let user = Arc::new(User::service_account(namespace, name, ""));
                Ok(Value::opaque(Authorizer { server: authorizer.server.clone(), user }))
            })
        }),
        ("resource", GROUP_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |check, text| {
                check.what = RESOURCE_CHECK;
                check.resource = text.to_owned();
            })
        }),
        ("subresource", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |check, text| check.subresource = text.to_owned())
        }),
        ("namespace", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |check, text| check.namespace = text.to_owned())
        }),
        ("name", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |check, text| check.name = text.to_owned())
        }),
        // RBAC does not look at selectors.
        ("fieldSelector", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| narrow(arguments, |_, _| ())),
        ("labelSelector", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| narrow(arguments, |_, _| ())),
        ("check", PATH_CHECK, ONE, DECISION, CHECK_COST, check),
        ("check", RESOURCE_CHECK, ONE, DECISION, CHECK_COST, check),
        ("allowed", DECISION, "()", "bool", 1, |arguments| {
            of::<Decision>(arguments, |decision, _| Ok(Value::Bool(decision.allowed)))
        }),
        ("reason", DECISION, "()", "string", 1, |arguments| {
            of::<Decision>(arguments, |decision, _| Ok(Value::text(&*decision.reason)))
        }),
        ("errored", DECISION, "()", "bool", 1, |arguments| {
            of::<Decision>(arguments, |_, _| Ok(Value::Bool(false)))
        }),
        ("error", DECISION, "()", "string", 1, |arguments| {
            of::<Decision>(arguments, |_, _| Ok(Value::text("")))
        }),
    ];
    let mut env = env.clone();
    for (name, receiver, takes, gives, cost, run) in rows {
        let gives = if gives.contains('.') { format!("{gives}()") } else { gives.to_owned() };
        let signature = format!("{receiver}().{takes} -> {gives}");
        let id = format!("{}_{name}", receiver.rsplit('.').next().unwrap_or_default().to_lowercase());
        if let Some(with) = env.with_function(name, &id, &signature, cost, Arc::new(run)) {
            env = with;
        }
    }
    env
}

fn check<'a>(arguments: &[Value<'a>]) -> Answer<'a> {
    of::<Check>(arguments, |check, texts| {
        Ok(Value::opaque(check.decide(texts.first().copied().unwrap_or_default())))
    })
}
