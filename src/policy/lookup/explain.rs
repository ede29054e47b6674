//! What an entry asked for, and who answered.

use std::borrow::Cow;

use super::{Kind, Lookup, config_map, text};
use crate::expr::Context;
use crate::expr::explain::Steps;
use crate::policy::variables::DEFAULT;

impl Lookup {
    /// Where its value comes from, if that is known, and the question.
    pub(crate) fn explain(&self, context: &Context<'_>) -> (Option<Cow<'static, str>>, Steps) {
        let mut steps = Steps::default();
        let (method, target) = match self.kind.asked(context) {
            Ok(question) => question,
            Err(why) => {
                steps.add(0, "the question", Err(why));
                return (None, steps);
            }
        };
        steps.head(0, format!("{method} {target}"));
        let from = match self.kind.ask(context) {
            Ok(None) => Some(DEFAULT),
            Ok(Some(_)) => context.outside().and_then(|outside| outside.teller(method, &target)),
            Err(_) => None,
        };
        (from.map(Cow::Borrowed), steps)
    }
}

impl Kind {
    /// What is asked, and of what.
    fn asked(&self, context: &Context<'_>) -> Result<(&'static str, String), String> {
        Ok(match self {
            Kind::ConfigMap { name, namespace } => {
                let namespace = namespace.as_ref().map(|namespace| text(namespace, context)).transpose()?;
                ("GET", config_map(namespace.as_deref().unwrap_or("default"), &text(name, context)?)?)
            }
            Kind::Api { call, posts, .. } => (if *posts { "POST" } else { "GET" }, call.target(context)?),
            Kind::Global(name) => ("GlobalContextEntry", text(name, context)?),
            Kind::Image(reference) => ("image", text(reference, context)?),
        })
    }
}
