//! `verifyImages`: which images a rule is about. What it demands of them only a registry can tell, which is not asked; of an
//! object without such images it demands nothing.

use serde_json::Value;

use crate::expr::image::Image;
use crate::expr::wildcard;

use super::images::pod_spec;
use super::reader::{Reader, Result};
use super::validate::Judgement;

/// A compiled `verifyImages`.
#[derive(Debug, Clone)]
pub(crate) struct VerifyImages {
    entries: Vec<Entry>,
    /// Whether images stand elsewhere than in pods.
    extracts: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    references: Vec<String>,
    skipped: Vec<String>,
}

impl VerifyImages {
    pub(crate) fn compile(rule: &Reader<'_>) -> Result<VerifyImages> {
        let entry = |entry: &Reader<'_>| {
            let mut references = entry.strings("imageReferences")?;
            references.extend(entry.string("image")?.filter(|image| !image.is_empty()));
            Ok(Entry { references, skipped: entry.strings("skipImageReferences")? })
        };
        Ok(VerifyImages {
            entries: rule.list("verifyImages")?.iter().map(entry).collect::<Result<_>>()?,
            extracts: rule.field("imageExtractors").is_some(),
        })
    }

    /// An error that names an image that it is about; `None` if there is none.
    pub(crate) fn evaluate(&self, object: &Value, registry: &str) -> Option<Judgement> {
        let unknown = |what: &str| Some(Judgement::error("the rule cannot be evaluated", what));
        if self.extracts {
            return unknown("images of imageExtractors are in a registry: not evaluated offline");
        }
        let (spec, _) = pod_spec(object)?;
        let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| spec[list].as_array());
        let containers = lists.into_iter().flatten().flatten();
        let found = containers.filter_map(|container| container["image"].as_str()).find(|image| {
            // What is no name of an image is for nobody to verify.
            let whole = Image::parse(image, registry).map(|image| whole(&image));
            whole.is_none_or(|whole| self.entries.iter().any(|entry| entry.is_about(&whole)))
        });
        unknown(&format!("{} is in a registry: not evaluated offline", found?))
    }
}

impl Entry {
    fn is_about(&self, image: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| wildcard::matches(pattern, image));
        any(&self.references) && !any(&self.skipped)
    }
}

/// A reference written out: by its digest, or else by its tag.
fn whole(image: &Image) -> String {
    let base = format!("{}/{}", image.registry, image.path);
    match &image.digest {
        Some(digest) => format!("{base}@{digest}"),
        None => format!("{base}:{}", image.tag.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldPath;
    use serde_json::json;

    fn said(rule: &Value, images: &[&str]) -> Option<String> {
        let compiled = VerifyImages::compile(&Reader::new(rule, FieldPath::default())).unwrap();
        let containers: Vec<Value> = images.iter().map(|image| json!({"image": image})).collect();
        let pod = json!({"kind": "Pod", "spec": {"containers": containers}});
        compiled.evaluate(&pod, "docker.io").map(|judgement| judgement.message)
    }

    #[test]
    fn only_images_that_are_meant_need_a_registry() {
        let rule = json!({"verifyImages": [{"imageReferences": ["ghcr.io/team/*"], "skipImageReferences": ["*:dev"]}, {"image": "docker.io/nginx:*"}]});
        for (images, meant) in [
            (&["quay.io/a/b:1"][..], None),
            (&["quay.io/a/b:1", "ghcr.io/team/app:v1"], Some("ghcr.io/team/app:v1 is in a registry")),
            (&["ghcr.io/team/app:dev"], None),
            (&["ghcr.io/team/app@sha256:0123"], Some("sha256")),
            (&["nginx"], Some("nginx is in a registry")),
            (&[], None),
        ] {
            let said = said(&rule, images);
            assert_eq!(said.is_some(), meant.is_some(), "{images:?}");
            assert!(meant.is_none_or(|part| said.unwrap().contains(part)), "{images:?}");
        }
        let elsewhere =
            json!({"imageExtractors": {"Task": []}, "verifyImages": [{"imageReferences": ["a"]}]});
        assert!(said(&elsewhere, &[]).unwrap().contains("imageExtractors"));
    }
}
