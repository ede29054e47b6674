//! `generate` rules: objects that exist because another one does.

use serde_json::{Map, Value};

use crate::expr::{Context, Template};
use crate::model::ObjectId;

use super::reader::{CompileError, Reader, Result};
use super::variables::template;

/// A compiled `generate`.
#[derive(Debug, Clone)]
pub(crate) struct Generate {
    /// apiVersion, kind, name and namespace of what is made.
    target: Template,
    content: Content,
    pub(crate) synchronize: bool,
    pub(crate) existing: bool,
}

#[derive(Debug, Clone)]
enum Content {
    Data(Template),
    /// Name and namespace of the object that is copied.
    Clone(Template),
    /// Legal: an object of its kind and name alone.
    Nothing,
}

/// Looks up the object that a rule copies.
pub type CloneSource<'a> = &'a dyn Fn(&ObjectId) -> Option<Value>;

/// What `generate` uses that is not evaluated.
pub(crate) fn unsupported(reader: &Reader<'_>) -> Option<CompileError> {
    ["cloneList", "foreach"].iter().find_map(|name| {
        let part = reader.field(name)?;
        Some(part.error(format!("generate.{name} is not evaluated")))
    })
}

impl Generate {
    /// `existing` is the policy's own `generateExisting`, which the rule may override.
    pub(crate) fn compile(reader: &Reader<'_>, existing: bool) -> Result<Generate> {
        let mut target = Map::new();
        for name in ["apiVersion", "kind", "name", "namespace"] {
            if let Some(field) = reader.field(name) {
                field.text()?;
                template(&field)?;
                target.insert(name.to_owned(), field.value.clone());
            }
        }
        for name in ["kind", "name"] {
            if !target.contains_key(name) {
                return Err(reader.error(format!("{name} is missing")));
            }
        }
        let target = Value::Object(target);
        let content = match (reader.field("data"), reader.field("clone")) {
            (Some(_), Some(clone)) => return Err(clone.error("only one of data and clone can be given")),
            (Some(data), None) => {
                data.map()?;
                Content::Data(template(&data)?)
            }
            (None, Some(clone)) => Content::Clone(template(&clone)?),
            (None, None) => Content::Nothing,
        };
        Ok(Generate {
            target: template(&Reader::new(&target, reader.path.clone()))?,
            content,
            synchronize: reader.bool("synchronize")?.unwrap_or(false),
            existing: reader.bool("generateExisting")?.unwrap_or(existing),
        })
    }

    /// Makes the object.
    pub(crate) fn evaluate(
        &self,
        context: &Context<'_>,
        sources: CloneSource<'_>,
    ) -> std::result::Result<Value, String> {
        let target = self.target.resolve(context).map_err(|e| e.to_string())?;
        let text = |name: &str| match &target[name] {
            Value::Null => Ok(None),
            Value::String(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            Value::String(_) if name == "namespace" => Ok(None),
            other => Err(format!("{name} of the object to generate is {other}, which is no name")),
        };
        let kind = text("kind")?.ok_or("kind of the object to generate is missing")?;
        let name = text("name")?.ok_or("name of the object to generate is missing")?;
        let api_version = text("apiVersion")?.unwrap_or_else(|| "v1".to_owned());
        let namespace = text("namespace")?;
        let mut object = match &self.content {
            Content::Nothing => Map::new(),
            Content::Data(data) => match data.resolve(context).map_err(|e| e.to_string())?.into_owned() {
                Value::Object(map) => map,
                _ => return Err("data of the object to generate is no mapping".into()),
            },
            Content::Clone(source) => {
                let source = source.resolve(context).map_err(|e| e.to_string())?;
                copy(&api_version, &kind, &source, sources)?
            }
        };
        let metadata = object.entry("metadata").or_insert_with(|| Map::new().into());
        let Value::Object(metadata) = metadata else {
            return Err("metadata of the object to generate is no mapping".into());
        };
        metadata.insert("name".into(), name.into());
        match namespace {
            Some(namespace) => metadata.insert("namespace".into(), namespace.into()),
            None => metadata.remove("namespace"),
        };
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), kind.into());
        Ok(Value::Object(object))
    }
}

/// The source without what belongs to it alone.
fn copy(
    api_version: &str,
    kind: &str,
    source: &Value,
    sources: CloneSource<'_>,
) -> std::result::Result<Map<String, Value>, String> {
    let name = source["name"].as_str().ok_or("clone.name is missing")?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let id = ObjectId::new(group, kind, source["namespace"].as_str(), name);
    let Some(Value::Object(mut object)) = sources(&id) else {
        return Err(format!("the object to copy, {id}, is not known"));
    };
    object.remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|field, _| matches!(field.as_str(), "labels" | "annotations"));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use crate::model::FieldPath;
    use serde_json::json;

    fn generate(rule: &Value) -> std::result::Result<Value, String> {
        let rule = Generate::compile(&Reader::new(rule, FieldPath::default()), false)
            .map_err(|e| format!("{}: {}", e.path, e.message))?;
        let trigger = json!({"metadata": {"name": "team-a"}});
        let mut context = Context::new(Environment::default());
        context.bind("request.object", &trigger);
        rule.evaluate(&context, &|id| {
            (id.to_string() == "Secret/infra/pull").then(|| {
                json!({"metadata": {"name": "pull", "namespace": "infra", "uid": "1", "labels": {"a": "b"}},
                       "data": {"k": "dg=="}})
            })
        })
    }

    #[test]
    fn data_is_filled_in() {
        let mut rule = json!({
            "apiVersion": "x.io/v1", "kind": "Stack", "name": "s", "namespace": "{{ request.object.metadata.name }}",
            "data": {"metadata": {"labels": {"n": "{{ request.object.metadata.name }}"}}, "spec": {"on": true}}
        });
        assert_eq!(
            generate(&rule).unwrap(),
            json!({"apiVersion": "x.io/v1", "kind": "Stack",
                   "metadata": {"name": "s", "namespace": "team-a", "labels": {"n": "team-a"}}, "spec": {"on": true}})
        );
        rule["data"]["spec"]["on"] = json!("{{ request.object.gone }}");
        assert!(generate(&rule).unwrap_err().contains("gone"));
        rule["data"] = json!("text");
        assert!(generate(&rule).unwrap_err().starts_with("data: "));
    }

    #[test]
    fn a_copy_is_a_new_object() {
        let mut rule = json!({
            "apiVersion": "v1", "kind": "Secret", "name": "pull", "namespace": "{{ request.object.metadata.name }}",
            "clone": {"name": "pull", "namespace": "infra"}
        });
        assert_eq!(
            generate(&rule).unwrap(),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "dg=="},
                   "metadata": {"name": "pull", "namespace": "team-a", "labels": {"a": "b"}}})
        );
        rule["clone"]["name"] = json!("other");
        assert!(generate(&rule).unwrap_err().contains("Secret/infra/other"));
    }
}
