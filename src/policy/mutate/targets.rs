//! `mutate.targets`: objects that a rule changes when another one triggers it.

use serde_json::Value;

use crate::expr::{Context, Outside, Template, wildcard};

use super::super::condition::Conditions;
use super::super::reader::{Reader, Result};
use super::super::selector::Selector;
use super::super::variables::{self, Entry, template};

/// One entry of `targets`.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    api_version: Option<Template>,
    kind: Template,
    namespace: Option<Template>,
    name: Option<Template>,
    selector: Option<Selector>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) preconditions: Option<Conditions>,
}

/// The entries of `targets`.
pub(super) fn compile(mutate: &Reader<'_>) -> Result<Vec<Target>> {
    mutate.list("targets")?.iter().map(target).collect()
}

fn target(reader: &Reader<'_>) -> Result<Target> {
    reader.only(&[
        "apiVersion",
        "kind",
        "namespace",
        "name",
        "uid",
        "selector",
        "context",
        "preconditions",
    ])?;
    let optional = |name: &str| reader.field(name).map(|field| template(&field)).transpose();
    Ok(Target {
        api_version: optional("apiVersion")?,
        kind: optional("kind")?.ok_or_else(|| reader.error("kind is missing"))?,
        namespace: optional("namespace")?,
        name: optional("name")?,
        selector: reader.field("selector").map(|s| Selector::compile(&s)).transpose()?,
        entries: variables::entries(reader)?,
        preconditions: reader.field("preconditions").map(|c| Conditions::compile(&c)).transpose()?,
    })
}

impl Target {
    /// The objects that it names. A policy of a namespace reaches only what is in its own.
    pub(crate) fn select<'o>(
        &self,
        context: &Context<'_>,
        outside: &'o dyn Outside,
        own_namespace: Option<&str>,
    ) -> std::result::Result<Vec<&'o Value>, String> {
        let text = |template: &Option<Template>| match template {
            None => Ok(String::new()),
            Some(template) => match template.resolve(context).map_err(|e| e.to_string())?.as_ref() {
                Value::String(text) => Ok(text.clone()),
                other => Err(format!("{other} is no text")),
            },
        };
        let (api_version, name) = (text(&self.api_version)?, text(&self.name)?);
        let kind = self.kind.resolve(context).map_err(|e| e.to_string())?;
        // A subresource is changed through the object it belongs to.
        let kind = kind.as_str().unwrap_or_default().split('/').next().unwrap_or_default().to_owned();
        let namespace = match own_namespace {
            Some(own) => own.to_owned(),
            None => text(&self.namespace)?,
        };
        let fits = |pattern: &str, value: &Value| {
            pattern.is_empty() || wildcard::matches(pattern, value.as_str().unwrap_or_default())
        };
        let mut objects = outside.objects(&api_version, &kind);
        objects.retain(|object| {
            let metadata = &object["metadata"];
            let labels = metadata["labels"].as_object().cloned().unwrap_or_default();
            fits(&name, &metadata["name"])
                && fits(&namespace, &metadata["namespace"])
                && self.selector.as_ref().is_none_or(|selector| selector.matches(&labels))
        });
        Ok(objects)
    }
}
