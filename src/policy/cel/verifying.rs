//! ImageValidatingPolicy (policies.kyverno.io): what is demanded of the images of pods.
//!
//! Which images it is about, its conditions and whatever it demands without asking a registry are evaluated; an expression
//! that verifies a signature or reads an attestation is an error that says so.

use serde_json::{Map, Value as Json};

use crate::expr::cel::{Budget, Program, Value};
use crate::expr::image::Image;
use crate::expr::wildcard;

use super::super::images::pod_spec;
use super::super::reader::{Reader, Result};
use super::environment::Scope;
use super::expression;
use super::inputs::Inputs;

/// What such a policy has beside its expressions.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    /// What tells the images that are meant; without any, every image is.
    references: Vec<Reference>,
    /// Where images stand in objects that hold no pods.
    extractors: Vec<(String, Program)>,
    attestors: Json,
    attestations: Json,
}

/// An entry of `matchImageReferences`.
#[derive(Debug, Clone)]
enum Reference {
    Glob(String),
    /// It sees the image as `ref`.
    Expression(Program),
}

/// What an expression calls the image that it is about.
const REFERENCE: &str = "ref";

impl Reference {
    fn compile(entry: &Reader<'_>) -> Result<Reference> {
        entry.only(&["glob", "expression"])?;
        match (entry.string("glob")?.filter(|glob| !glob.is_empty()), entry.field("expression")) {
            (Some(glob), None) => Ok(Reference::Glob(glob)),
            (None, Some(text)) => {
                Scope::of_reference(REFERENCE).compile_bool(&text, false).map(Reference::Expression)
            }
            _ => Err(entry.error("either glob or expression is expected here")),
        }
    }

    fn is_meant(&self, image: &str, inputs: &Inputs<'_>) -> std::result::Result<bool, String> {
        match self {
            Reference::Glob(glob) => {
                let whole = Image::parse(image, "docker.io")
                    .map(|image| format!("{}/{}", image.registry, image.path));
                let fits = |text: &str| wildcard::matches(glob, text);
                Ok(fits(image) || whole.is_some_and(|whole| fits(&whole)))
            }
            Reference::Expression(program) => {
                let mut bindings = inputs.bindings(&[]);
                bindings.set(REFERENCE, Value::text(image));
                let meant = program.run(&bindings, &mut Budget::kubernetes());
                meant.map(|meant| meant.as_bool() == Some(true)).map_err(|why| why.to_string())
            }
        }
    }
}

impl Verified {
    /// Of a policy's `spec`.
    pub(super) fn compile(spec: &Reader<'_>, scope: &Scope) -> Result<Verified> {
        let references = spec.list("matchImageReferences")?;
        let references = references.iter().map(Reference::compile).collect::<Result<_>>()?;
        let extractor = |entry: &Reader<'_>| {
            let name = entry.string("name")?.ok_or_else(|| entry.error("name is missing"))?;
            Ok((name, scope.compile(&expression(entry)?)?))
        };
        let named = |list: &str| -> Result<Json> {
            let named = spec.list(list)?;
            let of = |entry: &Reader<'_>| {
                let name = entry.string("name")?.ok_or_else(|| entry.error("name is missing"))?;
                Ok((name, entry.value.clone()))
            };
            named.iter().map(of).collect::<Result<Map<_, _>>>().map(Json::Object)
        };
        Ok(Verified {
            references,
            extractors: spec.list("images")?.iter().map(extractor).collect::<Result<_>>()?,
            attestors: named("attestors")?,
            attestations: named("attestations")?,
        })
    }

    /// What its expressions see: the images that it is about, by where they stand. `None` if there are none.
    pub(super) fn given(
        &self,
        object: &Json,
        inputs: &Inputs<'_>,
    ) -> std::result::Result<Option<Vec<(&'static str, Json)>>, String> {
        let mut images = Map::new();
        let spec = pod_spec(object).map(|(spec, _)| spec);
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let containers = spec.and_then(|spec| spec[list].as_array()).into_iter().flatten();
            let found = containers.filter_map(|container| container["image"].as_str()).map(Json::from);
            images.insert(list.to_owned(), found.collect());
        }
        let bindings = inputs.bindings(&[]);
        for (name, program) in &self.extractors {
            let found = program.run(&bindings, &mut Budget::kubernetes()).map_err(|why| why.to_string())?;
            images.insert(name.clone(), found.to_json());
        }
        let all = images.values().filter_map(Json::as_array).flatten().filter_map(Json::as_str);
        let mut meant = false;
        for image in all {
            meant = meant || self.is_meant(image, inputs)?;
        }
        if !meant {
            return Ok(None);
        }
        let images = Json::Object(images);
        Ok(Some(vec![
            ("images", images),
            ("attestors", self.attestors.clone()),
            ("attestations", self.attestations.clone()),
        ]))
    }

    fn is_meant(&self, image: &str, inputs: &Inputs<'_>) -> std::result::Result<bool, String> {
        let mut meant = self.references.is_empty();
        for reference in &self.references {
            meant = meant || reference.is_meant(image, inputs)?;
        }
        Ok(meant)
    }
}

/// The names that only such policies have.
pub(super) const NAMES: [&str; 3] = ["images", "attestors", "attestations"];
