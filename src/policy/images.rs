//! The variable `images`: the parts of each container's image name.

use serde_json::{Map, Value, json};

use crate::expr::image::Image;
use crate::expr::{Context, EvalError, LazyVariable};

/// The images of an object's pods, read when an expression asks for them.
#[derive(Debug)]
pub(crate) struct Images<'a> {
    object: &'a Value,
}

impl<'a> Images<'a> {
    pub(crate) fn of(object: &'a Value) -> Images<'a> {
        Images { object }
    }
}

impl LazyVariable for Images<'_> {
    fn evaluate(&self, context: &Context<'_>) -> Result<Value, EvalError> {
        let Some((spec, place)) = pod_spec(self.object) else { return Ok(Value::Object(Map::new())) };
        let registry = &context.environment().default_registry;
        let mut images = Map::new();
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            let mut found = Map::new();
            for (i, container) in spec[list].as_array().into_iter().flatten().enumerate() {
                let (Some(name), Some(image)) = (container["name"].as_str(), container["image"].as_str())
                else {
                    continue;
                };
                let Some(image) = Image::parse(image, registry) else {
                    return Err(EvalError::Failed(format!("{image:?} is not the name of an image")));
                };
                found.insert(name.to_owned(), describe(&image, &format!("{place}/{list}/{i}/image")));
            }
            if !found.is_empty() {
                images.insert(list.to_owned(), found.into());
            }
        }
        Ok(Value::Object(images))
    }
}

/// Where an object keeps its pod's spec.
pub(crate) fn pod_spec(object: &Value) -> Option<(&Value, &'static str)> {
    let place = match object["kind"].as_str()? {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            "/spec/template/spec"
        }
        _ => return None,
    };
    Some((object.pointer(place)?, place))
}

fn describe(image: &Image, pointer: &str) -> Value {
    let base = format!("{}/{}", image.registry, image.path);
    let with_tag = format!("{base}:{}", image.tag.as_deref().unwrap_or_default());
    let reference =
        image.digest.as_ref().map_or_else(|| with_tag.clone(), |digest| format!("{base}@{digest}"));
    let mut described = json!({
        "registry": image.registry, "name": image.name, "path": image.path,
        "reference": reference, "referenceWithTag": with_tag, "jsonPointer": pointer,
    });
    for (field, value) in [("tag", &image.tag), ("digest", &image.digest)] {
        if let Some(value) = value {
            described[field] = value.as_str().into();
        }
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Environment, Expression};

    #[test]
    fn images_are_known_by_the_names_of_their_containers() {
        let pod =
            json!({"spec": {"containers": [{"name": "a", "image": "ghcr.io/t/app:v1"}, {"name": "b"}]}});
        for (kind, known) in [("Pod", true), ("Deployment", false)] {
            let mut object = pod.clone();
            object["kind"] = kind.into();
            let images = Images::of(&object);
            let mut context = Context::new(Environment::default());
            context.bind_lazy("images", &images);
            let ask = Expression::compile("images.containers.a.[registry, path, name, tag]").unwrap();
            let found = context.query(&ask).map(|v| v.into_owned());
            assert_eq!(found.is_ok_and(|v| v == json!(["ghcr.io", "t/app", "app", "v1"])), known);
        }
    }
}
