//! The functions of the policy language's own libraries.
//!
//! What they look up comes from [`Objects`] that are all there is, or from whom a request may ask ([`Answers`]); nothing is asked
//! of a cluster, a registry or a network from here. What nobody answers is an error that no policy passes over.

mod answers;
mod image;
mod lookup;
mod text;
mod verify;

use std::sync::{Arc, LazyLock};

use crate::expr::admission::declarations;
use crate::expr::cel::{Bindings, Env, MOMENT, Moment, Opaque, Type, Value};

use super::super::objects::Objects;

pub(crate) use answers::Answers;
pub(crate) use lookup::Generator;
use lookup::Known;

/// The environment of policies that are all CEL.
pub(super) static POLICIES: LazyLock<Env> = LazyLock::new(|| {
    let variable = |name| Type::Opaque(name, [].into());
    let env = Env::kubernetes().with_bind().with_extensions().with_variables(declarations());
    env.with_moment().with_tables(&[lookup::TABLE, text::TABLE, image::TABLE]).with_variables([
        ("resource", variable(lookup::RESOURCE.into())),
        ("globalContext", variable(lookup::GLOBAL.into())),
        ("http", variable(lookup::HTTP.into())),
        ("image", variable(lookup::IMAGES.into())),
        ("generator", variable(lookup::GENERATOR.into())),
        ("json", variable(text::JSON.into())),
        ("yaml", variable(text::YAML.into())),
        ("exceptions", Type::Dyn),
    ])
});

/// The environment of policies about images, which may name [`verifying::NAMES`](super::verifying::NAMES) as well.
pub(super) static IMAGE_POLICIES: LazyLock<Env> = LazyLock::new(|| {
    let names = super::verifying::NAMES.map(|name| (name, Type::Dyn));
    POLICIES.with_tables(&[verify::TABLE]).with_variables(names)
});

/// The environment of policies about requests of a proxy, but for what each proxy has of its own.
pub(super) static PROXIES: LazyLock<Env> = LazyLock::new(|| {
    let variable = |name| Type::Opaque(name, [].into());
    let env = Env::kubernetes().with_bind().with_extensions();
    env.with_tables(&[lookup::TABLE, text::TABLE, image::TABLE]).with_variables([
        ("resource", variable(lookup::RESOURCE.into())),
        ("http", variable(lookup::HTTP.into())),
        ("image", variable(lookup::IMAGES.into())),
        ("json", variable(text::JSON.into())),
    ])
});

/// What the functions work with, made once for a set of policies.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    moment: Arc<Moment>,
    known: Known,
    sources: [(&'static str, Arc<dyn Opaque>); 4],
    json: Arc<dyn Opaque>,
    yaml: Arc<dyn Opaque>,
}

impl Default for Library {
    fn default() -> Self {
        Library::new(None, 0, 0)
    }
}

impl Library {
    /// Of all that there is, if that is known, at a time, with a seed for what is random.
    pub(crate) fn new(known: Option<Arc<Objects<'static>>>, now: i128, seed: u64) -> Library {
        Library::of(known.map_or(Known::Nothing, Known::Whole), Moment::new(now, seed).into())
    }

    /// The same for one judgement, which asks for what it looks up.
    pub(crate) fn asking(&self, answers: Arc<Answers>) -> Library {
        Library::of(Known::Asked(answers), self.moment.clone())
    }

    fn of(known: Known, moment: Arc<Moment>) -> Library {
        let source = |name, ty| -> (&'static str, Arc<dyn Opaque>) {
            (name, Arc::new(lookup::Source::new(ty, known.clone(), None)))
        };
        Library {
            moment,
            sources: [
                source("resource", lookup::RESOURCE),
                source("globalContext", lookup::GLOBAL),
                source("http", lookup::HTTP),
                source("image", lookup::IMAGES),
            ],
            json: Arc::new(text::Format(text::JSON)),
            yaml: Arc::new(text::Format(text::YAML)),
            known,
        }
    }

    /// The same at another time.
    pub(crate) fn at(self, now: i128, seed: u64) -> Library {
        Library { moment: Arc::new(Moment::new(now, seed)), ..self }
    }

    /// All that there is, if that is known.
    pub(crate) fn known(&self) -> Option<&Objects<'static>> {
        match &self.known {
            Known::Whole(known) => Some(known),
            Known::Nothing | Known::Asked(_) => None,
        }
    }

    /// The same, to be kept.
    pub(super) fn shared(&self) -> Option<Arc<Objects<'static>>> {
        match &self.known {
            Known::Whole(known) => Some(known.clone()),
            Known::Nothing | Known::Asked(_) => None,
        }
    }

    /// Nanoseconds since 1970.
    pub(super) fn now(&self) -> i128 {
        self.moment.now()
    }

    /// Gives the libraries their names. A policy of a namespace sees nothing outside of it.
    pub(super) fn bind<'a>(&self, bindings: &mut Bindings<'a>, namespace: Option<&str>) {
        bindings.set(MOMENT, Value::Opaque(self.moment.clone()));
        for (name, source) in &self.sources {
            bindings.set(name, Value::Opaque(source.clone()));
        }
        bindings.set("json", Value::Opaque(self.json.clone()));
        bindings.set("yaml", Value::Opaque(self.yaml.clone()));
        if let Some(namespace) = namespace {
            let confined =
                lookup::Source::new(lookup::RESOURCE, self.known.clone(), Some(namespace.to_owned()));
            bindings.set("resource", Value::opaque(confined));
        }
    }
}
