//! `authorizer`: expressions may ask what the one who asks, or a service account, may do.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::expr::cel::{Env, EvalError, Opaque, Value};

pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(crate) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
const DECISION: &str = "kubernetes.authorization.Decision";
/// What asking costs.
const CHECK_COST: u64 = 350_000;

/// What somebody may do.
pub(crate) trait Authorize: Send + Sync + 'static {
    /// Whether they may do a thing.
    fn decide(&self, question: &Question, verb: &str) -> Decision;
    /// The same for a service account.
    fn of_service_account(&self, namespace: &str, name: &str) -> Arc<dyn Authorize>;
}

/// What is asked about: a path, or a resource.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    /// Whether it is a resource.
    pub is_resource: bool,
    pub path: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

/// The answer.
pub(crate) struct Decision {
    pub allowed: bool,
    pub reason: String,
}

/// Who is asked about.
#[derive(Clone)]
struct Authorizer(Arc<dyn Authorize>);

/// A question in the making.
#[derive(Clone)]
struct Check {
    authorizer: Authorizer,
    /// The name of its type: a path, a group, or a resource.
    what: &'static str,
    question: Question,
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
    fn new(authorizer: Authorizer, what: &'static str, question: Question) -> Check {
        Check { authorizer, what, question }
    }

    fn decide(&self, verb: &str) -> Decision {
        self.authorizer.0.decide(&self.question, verb)
    }
}

/// `authorizer`, and `authorizer.requestResource` of the resource that a request is about.
pub(crate) fn values<'a>(authorize: Arc<dyn Authorize>, resource: Question) -> (Value<'a>, Value<'a>) {
    let authorizer = Authorizer(authorize);
    let question = Question { is_resource: true, ..resource };
    let check = Check::new(authorizer.clone(), RESOURCE_CHECK, question);
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
fn narrow<'a>(arguments: &[Value<'a>], change: fn(&mut Question, &str)) -> Answer<'a> {
    of::<Check>(arguments, |check, texts| {
        let mut check = check.clone();
        change(&mut check.question, texts.first().copied().unwrap_or_default());
        // A question about a group becomes one about its resource.
        check.what = if check.question.is_resource { RESOURCE_CHECK } else { check.what };
        Ok(Value::opaque(check))
    })
}

type Function = for<'a> fn(&[Value<'a>]) -> Answer<'a>;

/// An environment with the functions.
pub(crate) fn with_functions(env: &Env) -> Env {
    const ONE: &str = "(string)";
    let rows: [(&str, &str, &str, &str, u64, Function); 15] = [
        ("path", AUTHORIZER, ONE, PATH_CHECK, 1, |arguments| {
            of_authorizer(arguments, |authorizer, texts| {
                let path = texts.first().copied().unwrap_or_default();
                if path.is_empty() {
                    return Err(EvalError::new("path must not be empty"));
                }
                let question = Question { path: path.to_owned(), ..Question::default() };
                Ok(Value::opaque(Check::new(authorizer.clone(), PATH_CHECK, question)))
            })
        }),
        ("group", AUTHORIZER, ONE, GROUP_CHECK, 1, |arguments| {
            of_authorizer(arguments, |authorizer, texts| {
                let group = texts.first().copied().unwrap_or_default().to_owned();
                let question = Question { group, ..Question::default() };
                Ok(Value::opaque(Check::new(authorizer.clone(), GROUP_CHECK, question)))
            })
        }),
        ("serviceAccount", AUTHORIZER, "(string, string)", AUTHORIZER, 1, |arguments| {
            of_authorizer(arguments, |authorizer, texts| {
                let [namespace, name] = texts else { return Err(EvalError::no_such_overload()) };
                Ok(Value::opaque(Authorizer(authorizer.0.of_service_account(namespace, name))))
            })
        }),
        ("resource", GROUP_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |question, text| {
                question.is_resource = true;
                question.resource = text.to_owned();
            })
        }),
        ("subresource", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |question, text| question.subresource = text.to_owned())
        }),
        ("namespace", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |question, text| question.namespace = text.to_owned())
        }),
        ("name", RESOURCE_CHECK, ONE, RESOURCE_CHECK, 1, |arguments| {
            narrow(arguments, |question, text| question.name = text.to_owned())
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
