//! References to container images.

use std::any::Any;

use crate::expr::cel::{Cost, EvalError, Opaque, Row, Value, row};
use crate::expr::image::Image;

const UNIT: Cost = Cost::Fixed(1);

type Answer<'a> = Result<Value<'a>, EvalError>;

/// A reference, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    registry: String,
    repository: String,
    /// `latest` where neither tag nor digest is given.
    tag: String,
    digest: String,
    /// What stands behind the repository.
    suffix: String,
}

impl Opaque for Reference {
    fn type_name(&self) -> &str {
        "kyverno.Image"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref::<Reference>() == Some(self)
    }
}

impl Reference {
    /// As the library of registries reads it: Docker Hub is `index.docker.io`, its own images are below `library`.
    fn parse(text: &str) -> Option<Reference> {
        const HUB: &str = "index.docker.io";
        let image = Image::parse(text, HUB)?;
        let registry = if image.registry == "docker.io" { HUB.to_owned() } else { image.registry };
        let is_own = registry == HUB && !image.path.contains('/');
        let repository = if is_own { format!("library/{}", image.path) } else { image.path };
        let (digest, tag) = (image.digest.unwrap_or_default(), image.tag.unwrap_or_default());
        let written = text.split_once('@').map_or(text, |(before, _)| before);
        let tagged = written.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let mut suffix = if tagged || digest.is_empty() { format!(":{tag}") } else { String::new() };
        if !digest.is_empty() {
            suffix.push('@');
            suffix.push_str(&digest);
        }
        Some(Reference { registry, repository, tag, digest, suffix })
    }
}

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("image", "string_to_image_deprecated", "(string) -> kyverno.Image()", UNIT, reference),
    row("parseImageReference", "string_to_image", "(string) -> kyverno.Image()", UNIT, reference),
    row("isImage", "is_image_string", "(string) -> bool", UNIT, is_image),
    row("containsDigest", "image_contains_digest", "kyverno.Image().() -> bool", UNIT, contains_digest),
    row("registry", "image_registry", "kyverno.Image().() -> string", UNIT, |args| part(args, |image| image.registry.clone())),
    row("repository", "image_repository", "kyverno.Image().() -> string", UNIT, |args| part(args, |image| image.repository.clone())),
    row("identifier", "image_identifier", "kyverno.Image().() -> string", UNIT, |args| part(args, identifier)),
    row("identifierWithSeparator", "image_identifier_with_separator", "kyverno.Image().() -> string", UNIT, |args| part(args, |image| image.suffix.clone())),
    row("tag", "image_tag", "kyverno.Image().() -> string", UNIT, |args| part(args, tag)),
    row("digest", "image_digest", "kyverno.Image().() -> string", UNIT, |args| part(args, |image| image.digest.clone())),
];

fn reference<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    match Reference::parse(text) {
        Some(image) => Ok(Value::opaque(image)),
        None => Err(EvalError::new(format!("could not parse reference: {}", &**text))),
    }
}

fn is_image<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    Ok(Value::Bool(Reference::parse(text).is_some()))
}

fn contains_digest<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let image = args.first().and_then(Value::downcast::<Reference>);
    image.map_or_else(|| Err(EvalError::no_such_overload()), |i| Ok(Value::Bool(!i.digest.is_empty())))
}

fn part<'a>(args: &[Value<'a>], of: fn(&Reference) -> String) -> Answer<'a> {
    let image = args.first().and_then(Value::downcast::<Reference>);
    image.map_or_else(|| Err(EvalError::no_such_overload()), |image| Ok(Value::text(of(image))))
}

/// The digest, else the tag.
fn identifier(image: &Reference) -> String {
    if image.digest.is_empty() { image.tag.clone() } else { image.digest.clone() }
}

/// A reference by digest has no tag, even if one is written.
fn tag(image: &Reference) -> String {
    if image.digest.is_empty() { image.tag.clone() } else { String::new() }
}
