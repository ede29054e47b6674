//! Get and list.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::call::{Answer, Call, Content, Subresource};
use super::kinds::Resource;
use super::request::Form;
use super::select::Selection;
use super::status::{Failure, FieldError};
use super::store::{Object, Range};
use super::{convert, scale, table};

impl Call<'_> {
    /// GET of an object or of a subresource.
    pub fn get(&self) -> Result<Answer, Failure> {
        self.check_not_too_new()?;
        let object = self.live().ok_or_else(|| Failure::not_found(&self.resource, self.name()))?;
        if self.subresource == Some(Subresource::Scale) {
            let missing = || Failure::not_found(&self.resource, self.name());
            let paths = self.resource.scale.as_ref().ok_or_else(missing)?;
            return Ok(Answer::value(200, scale::of(&self.as_served(&object), paths)));
        }
        Ok(Answer::object(200, object))
    }

    /// GET of a collection.
    pub fn list(&self) -> Result<Answer, Failure> {
        let selection = self.selection()?;
        let token = self.query.get("continue").map(Continue::decode).transpose()?;
        let limit = self.query.number("limit").filter(|limit| *limit > 0).map(|limit| limit as usize);
        if token.is_none() {
            self.check_match()?;
            self.check_not_too_new()?;
        }
        let exact = self.query.get("resourceVersionMatch") == Some("Exact");
        let at = match &token {
            Some(token) => Some(token.revision),
            None if exact => self.query.number("resourceVersion"),
            None => None,
        };
        let range = Range {
            namespace: self.scope(),
            after: token.as_ref().map(|token| (token.namespace.as_str(), token.name.as_str())),
            limit,
            at,
        };
        let page = self
            .server
            .store
            .list(&self.resource.collection, &range, |object| selection.matches(object))
            .map_err(|_| expired(token.is_some()))?;
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        let narrowed = !selection.is_everything();
        match &page.rest {
            Some((namespace, name, remaining)) => {
                let token = Continue {
                    revision: page.revision,
                    namespace: namespace.to_string(),
                    name: name.to_string(),
                };
                metadata["continue"] = token.encode().into();
                if !narrowed {
                    metadata["remainingItemCount"] = (*remaining).into();
                }
            }
            None if self.resource.custom && self.form == Form::Whole => metadata["continue"] = "".into(),
            None => {}
        }
        Ok(self.list_of(&page.objects, metadata))
    }

    /// A list in the wanted form.
    pub fn list_of(&self, objects: &[Arc<Object>], metadata: Value) -> Answer {
        let (api_version, kind) = match self.form {
            Form::Table => {
                let table = table::of(&self.resource, objects, metadata, &self.query, true, &self.now);
                return Answer::value(200, table);
            }
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList"),
            Form::Whole => (self.resource.gvk.api_version(), self.resource.list_kind.as_str()),
        };
        let size: usize = objects.iter().map(|object| object.size() + 1).sum();
        let mut json = Vec::with_capacity(size + 256);
        let head = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}).to_string();
        json.extend_from_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
        json.extend_from_slice(b",\"items\":[");
        for (index, object) in objects.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            self.write_item(object, &mut json);
        }
        json.extend_from_slice(b"]}");
        Answer { code: 200, content: Content::Json(json.into()), warnings: Vec::new() }
    }

    /// Items of built-in lists do not repeat what the list says.
    fn write_item(&self, object: &Object, out: &mut Vec<u8>) {
        if self.resource.custom || self.form == Form::Metadata {
            write_object(&self.resource, object, self.form, out);
        } else if convert::is_stored_form(&self.resource) {
            object.write_untyped(out);
        } else {
            Object::unsaved(self.as_served(object)).write_untyped(out);
        }
    }

    /// The namespace that a list is confined to.
    pub fn scope(&self) -> Option<&str> {
        if self.resource.namespaced { self.namespace.as_deref() } else { None }
    }

    pub fn selection(&self) -> Result<Selection, Failure> {
        Selection::parse(self.query.get("labelSelector"), self.query.get("fieldSelector"), &self.resource)
    }

    fn check_match(&self) -> Result<(), Failure> {
        let (matching, revision) =
            (self.query.get("resourceVersionMatch"), self.query.get("resourceVersion"));
        let wrong = |message: String| {
            let errors = [FieldError::new("resourceVersionMatch", message)];
            Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors))
        };
        match (matching, revision) {
            (None, _) => {}
            (Some("Exact" | "NotOlderThan"), None) => {
                return wrong(
                    "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
                        .to_owned(),
                );
            }
            (Some("Exact"), Some("0")) => {
                return wrong(
                    "Forbidden: resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""
                        .to_owned(),
                );
            }
            (Some("Exact" | "NotOlderThan"), Some(_)) => {}
            (Some(other), _) => {
                return wrong(format!(
                    "Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
                ));
            }
        }
        if let Some(revision) = revision
            && revision.parse::<u64>().is_err()
        {
            let message = format!(
                "Invalid value: {revision:?}: strconv.ParseUint: parsing {revision:?}: invalid syntax"
            );
            let errors = [FieldError::new("resourceVersion", message)];
            return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors));
        }
        Ok(())
    }

    /// A resourceVersion that was never given out cannot be waited for.
    fn check_not_too_new(&self) -> Result<(), Failure> {
        let (Some(wanted), current) = (self.query.number("resourceVersion"), self.server.store.revision())
        else {
            return Ok(());
        };
        if wanted > current {
            return Err(Failure::new(
                504,
                "Timeout",
                format!("Too large resource version: {wanted}, current: {current}"),
            ));
        }
        Ok(())
    }
}

/// Appends an object, whole or reduced to its metadata, in the version of a resource.
pub(crate) fn write_object(resource: &Resource, object: &Object, form: Form, out: &mut Vec<u8>) {
    if form == Form::Metadata {
        out.extend_from_slice(
            b"{\"apiVersion\":\"meta.k8s.io/v1\",\"kind\":\"PartialObjectMetadata\",\"metadata\":",
        );
        out.extend_from_slice(object.metadata_json());
        out.push(b'}');
    } else if convert::is_stored_form(resource) {
        out.extend_from_slice(&object.json());
    } else {
        out.extend_from_slice(super::write::served(resource, object).to_string().as_bytes());
    }
}

/// An object reduced to its metadata.
pub(crate) fn metadata_of(object: &Object) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object.metadata(),
    })
}

fn expired(continued: bool) -> Failure {
    if continued {
        Failure::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
        )
    } else {
        Failure::expired("The resourceVersion for the provided list is too old.")
    }
}

/// Where a list goes on.
struct Continue {
    revision: u64,
    namespace: String,
    name: String,
}

impl Continue {
    fn encode(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": format!("{}/{}", self.namespace, self.name)});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn decode(token: &str) -> Result<Continue, Failure> {
        let wrong = |why: String| {
            Failure::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|e| wrong(e.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        let start = token["start"].as_str().and_then(|start| start.split_once('/'));
        let (Some(revision), Some((namespace, name))) = (token["rv"].as_u64(), start) else {
            return Err(wrong("it names no resourceVersion or start key".to_owned()));
        };
        Ok(Continue { revision, namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continue_token_survives_its_text() {
        let token = Continue { revision: 7, namespace: "a".to_owned(), name: "b".to_owned() };
        let read = Continue::decode(&token.encode()).unwrap();
        assert_eq!((read.revision, read.namespace.as_str(), read.name.as_str()), (7, "a", "b"));
        assert_eq!(Continue::decode("nonsense").err().unwrap().code, 400);
    }
}
