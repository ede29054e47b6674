//! `generate` rules: objects that exist because another one does.

mod explain;

use serde_json::{Map, Value};

use crate::expr::{Context, Expression, Outside, Template};

use super::condition::Conditions;
use super::reader::{Reader, Result};
use super::selector::Selector;
use super::validate::STEPS_AN_ELEMENT;
use super::variables::{self, Entry, bind_element, expression, template};

/// A compiled `generate`.
#[derive(Debug, Clone)]
pub(crate) struct Generate {
    makes: Makes,
    pub(crate) synchronize: bool,
    pub(crate) existing: bool,
    pub(crate) keeps: bool,
}

#[derive(Debug, Clone)]
enum Makes {
    One(Made),
    ForEach(Vec<ForEach>),
}

#[derive(Debug, Clone)]
struct ForEach {
    list: Expression,
    entries: Vec<Entry>,
    preconditions: Option<Conditions>,
    made: Made,
}

#[derive(Debug, Clone)]
struct Made {
    /// apiVersion, kind, name and namespace of what is made.
    target: Template,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Data(Template),
    /// Name and namespace of the object that is copied.
    Clone(Template),
    /// All objects of some kinds in a namespace are copied.
    CloneList {
        namespace: Option<Template>,
        kinds: Vec<Template>,
        selector: Option<Selector>,
    },
    /// Legal: an object of its kind and name alone.
    Nothing,
}

type AllMade = std::result::Result<Vec<Value>, String>;

impl Generate {
    /// `existing` is the policy's own `generateExisting`, which the rule may override.
    pub(crate) fn compile(reader: &Reader<'_>, existing: bool) -> Result<Generate> {
        let steps = reader.list("foreach")?;
        let makes = match steps.is_empty() {
            true => Makes::One(Made::compile(reader)?),
            false => Makes::ForEach(steps.iter().map(ForEach::compile).collect::<Result<_>>()?),
        };
        Ok(Generate {
            makes,
            synchronize: reader.bool("synchronize")?.unwrap_or(false),
            existing: reader.bool("generateExisting")?.unwrap_or(existing),
            keeps: reader.bool("orphanDownstreamOnPolicyDelete")?.unwrap_or(false),
        })
    }

    /// Makes the objects.
    pub(crate) fn evaluate(&self, context: &Context<'_>) -> AllMade {
        let steps = match &self.makes {
            Makes::One(made) => return made.evaluate(context),
            Makes::ForEach(steps) => steps,
        };
        let mut objects = Vec::new();
        for step in steps {
            objects.extend(step.evaluate(context)?);
        }
        Ok(objects)
    }
}

impl ForEach {
    fn compile(reader: &Reader<'_>) -> Result<ForEach> {
        let list = reader.field("list").ok_or_else(|| reader.error("list is missing"))?;
        Ok(ForEach {
            list: expression(&list)?,
            entries: variables::entries(reader)?,
            preconditions: reader.field("preconditions").map(|c| Conditions::compile(&c)).transpose()?,
            made: Made::compile(reader)?,
        })
    }

    fn evaluate(&self, context: &Context<'_>) -> AllMade {
        let list = context
            .query(&self.list)
            .map_err(|e| format!("failed to evaluate list {}: {e}", self.list.text()))?;
        let elements = match list.as_ref() {
            Value::Array(elements) => elements.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut objects = Vec::new();
        for (index, element) in elements.iter().enumerate().filter(|(_, element)| !element.is_null()) {
            context.spend(STEPS_AN_ELEMENT).map_err(|e| e.to_string())?;
            let mut inner = context.child();
            bind_element(&mut inner, element, index, 0);
            variables::bind(&mut inner, &self.entries);
            if let Some(conditions) = &self.preconditions {
                let held = conditions.evaluate(&inner).map_err(|e| {
                    format!("failed to evaluate generate.foreach[{index}].preconditions: {e}")
                })?;
                if !held.holds {
                    continue;
                }
            }
            objects.extend(self.made.evaluate(&inner)?);
        }
        Ok(objects)
    }
}

impl Made {
    fn compile(reader: &Reader<'_>) -> Result<Made> {
        let mut target = Map::new();
        for name in ["apiVersion", "kind", "name", "namespace"] {
            if let Some(field) = reader.field(name) {
                field.text()?;
                template(&field)?;
                target.insert(name.to_owned(), field.value.clone());
            }
        }
        let content = content(reader)?;
        for name in ["kind", "name"] {
            if !target.contains_key(name) && !matches!(content, Content::CloneList { .. }) {
                return Err(reader.error(format!("{name} is missing")));
            }
        }
        let target = Value::Object(target);
        Ok(Made { target: template(&Reader::new(&target, reader.path.clone()))?, content })
    }

    fn evaluate(&self, context: &Context<'_>) -> AllMade {
        let target = self.target.resolve(context).map_err(|e| e.to_string())?;
        let text = |name: &str| match &target[name] {
            Value::Null => Ok(None),
            Value::String(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            Value::String(_) if name == "namespace" => Ok(None),
            other => Err(format!("{name} of the object to generate is {other}, which is no name")),
        };
        let namespace = text("namespace")?;
        if let Content::CloneList { namespace: from, kinds, selector } = &self.content {
            return copies(context, from.as_ref(), kinds, selector.as_ref(), namespace.as_deref());
        }
        let kind = text("kind")?.ok_or("kind of the object to generate is missing")?;
        let name = text("name")?.ok_or("name of the object to generate is missing")?;
        let api_version = text("apiVersion")?.unwrap_or_else(|| "v1".to_owned());
        let mut object = match &self.content {
            Content::Nothing | Content::CloneList { .. } => Map::new(),
            Content::Data(data) => match data.resolve(context).map_err(|e| e.to_string())?.into_owned() {
                Value::Object(map) => map,
                _ => return Err("data of the object to generate is no mapping".into()),
            },
            Content::Clone(source) => {
                let source = source.resolve(context).map_err(|e| e.to_string())?;
                copy(context, &api_version, &kind, &source)?
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
        Ok(vec![Value::Object(object)])
    }
}

fn content(reader: &Reader<'_>) -> Result<Content> {
    let parts = ["data", "clone", "cloneList"]
        .map(|name| reader.field(name).filter(|f| *f.value != Value::Object(Map::new())));
    let [data, clone, list] = match parts.iter().flatten().nth(1) {
        Some(second) => return Err(second.error("only one of data, clone and cloneList can be given")),
        None => parts,
    };
    if let Some(data) = data {
        data.map()?;
        return Ok(Content::Data(template(&data)?));
    }
    if let Some(clone) = clone {
        clone.only(&["name", "namespace"])?;
        return Ok(Content::Clone(template(&clone)?));
    }
    let Some(list) = list else { return Ok(Content::Nothing) };
    list.only(&["namespace", "kinds", "selector"])?;
    let kinds = list.list("kinds")?.iter().map(template).collect::<Result<Vec<_>>>()?;
    if kinds.is_empty() {
        return Err(list.error("kinds are missing"));
    }
    Ok(Content::CloneList {
        namespace: list.field("namespace").map(|n| template(&n)).transpose()?,
        kinds,
        selector: list.field("selector").map(|s| Selector::compile(&s)).transpose()?,
    })
}

fn outside<'a>(context: &Context<'a>) -> std::result::Result<&'a dyn Outside, String> {
    context.outside().ok_or_else(|| "objects to copy are not known here".to_owned())
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The source without what belongs to it alone.
fn copy(
    context: &Context<'_>,
    api_version: &str,
    kind: &str,
    source: &Value,
) -> std::result::Result<Map<String, Value>, String> {
    let name = source["name"].as_str().ok_or("clone.name is missing")?;
    let namespace = source["namespace"].as_str().unwrap_or_default();
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let is = |object: &&&Value| {
        group_of(&text(&object["apiVersion"])) == group_of(api_version)
            && object["metadata"]["name"] == name
            && text(&object["metadata"]["namespace"]) == namespace
    };
    match outside(context)?.objects("", kind).iter().find(is) {
        Some(object) => Ok(bare(object)),
        None => Err(format!("the object to copy, {kind} {namespace}/{name}, is not known")),
    }
}

/// Copies of all objects of some kinds in a namespace, under their own names.
fn copies(
    context: &Context<'_>,
    from: Option<&Template>,
    kinds: &[Template],
    selector: Option<&Selector>,
    namespace: Option<&str>,
) -> AllMade {
    let outside = outside(context)?;
    let from = from.map(|from| from.resolve(context)).transpose().map_err(|e| e.to_string())?;
    let mut made = Vec::new();
    for kind in kinds {
        let kind = kind.resolve(context).map_err(|e| e.to_string())?;
        let (api_version, kind) = kind
            .as_str()
            .and_then(|text| text.rsplit_once('/'))
            .ok_or_else(|| format!("{kind} is no kind to copy: write version/Kind or group/version/Kind"))?;
        for object in outside.objects(api_version, kind) {
            let metadata = &object["metadata"];
            let labels = metadata["labels"].as_object().cloned().unwrap_or_default();
            let is_from = from.as_ref().is_none_or(|from| metadata["namespace"] == **from);
            if !is_from || !selector.is_none_or(|selector| selector.matches(&labels)) {
                continue;
            }
            let mut copy = Value::Object(bare(object));
            copy["metadata"]["name"] = metadata["name"].clone();
            if let Some(namespace) = namespace {
                copy["metadata"]["namespace"] = namespace.into();
            }
            made.push(copy);
        }
    }
    Ok(made)
}

fn bare(object: &Value) -> Map<String, Value> {
    let mut object = object.as_object().cloned().unwrap_or_default();
    object.remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|field, _| matches!(field.as_str(), "labels" | "annotations"));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Environment;
    use crate::model::FieldPath;
    use crate::policy::Objects;
    use serde_json::json;

    fn all(rule: &Value) -> AllMade {
        let rule = Generate::compile(&Reader::new(rule, FieldPath::default()), false)
            .map_err(|e| format!("{}: {}", e.path, e.message))?;
        let trigger = json!({"metadata": {"name": "team-a"}});
        let mut context = Context::new(Environment::default());
        context.bind("request.object", &trigger);
        let objects = [
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "dg=="}, "metadata":
                {"name": "pull", "namespace": "infra", "uid": "1", "labels": {"a": "b"}}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "infra"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "x"}}),
        ];
        let known = Objects::of(&objects);
        context.ask(&known);
        rule.evaluate(&context)
    }

    fn generate(rule: &Value) -> std::result::Result<Value, String> {
        all(rule).map(|mut objects| objects.remove(0))
    }

    #[test]
    fn all_of_some_kinds_are_copied() {
        let mut rule = json!({"namespace": "team-a", "cloneList":
            {"namespace": "infra", "kinds": ["v1/Secret", "v1/ConfigMap"]}});
        let made = all(&rule).unwrap();
        let names: Vec<_> = made.iter().map(|o| o.pointer("/metadata/name").unwrap()).collect();
        assert_eq!(names, ["pull", "ca"]);
        assert!(
            made.iter().all(|o| o["metadata"]["namespace"] == "team-a" && o["metadata"]["uid"].is_null())
        );
        rule["cloneList"]["selector"] = json!({"matchLabels": {"a": "b"}});
        assert_eq!(all(&rule).unwrap().len(), 1);
        rule["cloneList"]["kinds"] = json!(["Secret"]);
        assert!(all(&rule).unwrap_err().contains("no kind to copy"));
        rule["data"] = json!({"a": 1});
        assert!(all(&rule).unwrap_err().contains("only one of"));
    }

    #[test]
    fn each_element_makes_its_object() {
        let rule = json!({"foreach": [{
            "list": "['a', 'b', 'c']",
            "preconditions": {"all": [{"key": "{{ element }}", "operator": "NotEquals", "value": "b"}]},
            "context": [{"name": "full", "variable": {"jmesPath": "join('-', [element, to_string(elementIndex)])"}}],
            "apiVersion": "v1", "kind": "ConfigMap", "name": "{{ full }}", "namespace": "n",
            "data": {"data": {"k": "{{ element }}"}}}]});
        let made = all(&rule).unwrap();
        let names: Vec<_> = made.iter().map(|o| o.pointer("/metadata/name").unwrap()).collect();
        assert_eq!(names, ["a-0", "c-2"]);
        assert_eq!(made[1]["data"]["k"], "c");
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
        assert!(generate(&rule).unwrap_err().contains("Secret infra/other"));
    }
}
