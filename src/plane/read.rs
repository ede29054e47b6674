//! Get and list.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::call::{Answer, Call, Content, Subresource};
use super::kinds::Resource;
use super::list_options::{ListOptions, Match, revision_of};
use super::request::Form;
use super::status::Failure;
use super::store::{Object, Page, Range};
use super::{convert, scale, table};

impl Call<'_> {
    /// GET of an object or of a subresource.
    pub fn get(&self) -> Result<Answer, Failure> {
        let revision = self.query.get("resourceVersion").unwrap_or_default();
        let wanted = revision_of(revision).map_err(Failure::internal)?;
        self.check_not_too_new(wanted)?;
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
        let options = ListOptions::of(&self.query, &self.resource)?;
        let page = self.page(&options)?;
        let metadata = self.page_metadata(&page, options.selection.is_everything());
        Ok(self.list_of(&page.objects, metadata))
    }

    /// The metadata of a list: where it goes on and, of a list of `everything`, how much is left.
    pub fn page_metadata(&self, page: &Page, everything: bool) -> Value {
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        match &page.rest {
            Some((namespace, name, remaining)) => {
                let start = Start { namespace, name, within: self.scope().is_some() };
                metadata["continue"] = start.token(page.revision as i64).into();
                if everything {
                    metadata["remainingItemCount"] = (*remaining).into();
                }
            }
            None if self.resource.custom && self.form == Form::Whole => metadata["continue"] = "".into(),
            None => {}
        }
        metadata
    }

    /// The objects that a list or a delete-collection is about.
    pub fn page(&self, options: &ListOptions) -> Result<Page, Failure> {
        let scoped = self.scope();
        let start = options.token.as_deref().map(|token| Continue::decode(token, scoped)).transpose()?;
        let at = match &start {
            Some(_) if !options.revision.is_empty() && options.revision != "0" => {
                return Err(Failure::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            Some(start) => u64::try_from(start.revision).ok(),
            None => {
                let wanted = revision_of(&options.revision)
                    .map_err(|why| Failure::bad_request(format!("invalid resource version: {why}")))?;
                self.check_not_too_new(wanted)?;
                let exact = match options.matching {
                    Match::Exact => true,
                    Match::NotOlderThan => false,
                    Match::Unset => options.limit.is_some() && wanted > 0,
                };
                exact.then_some(wanted)
            }
        };
        let range = Range {
            namespace: scoped,
            after: start.as_ref().map(|start| (start.namespace.as_str(), start.name.as_str())),
            // What need not be new comes from the cache, whole.
            limit: options.limit.filter(|_| options.revision != "0"),
            at,
        };
        let list = |object: &Object| options.selection.matches(object);
        self.server.store.list(&self.resource.collection, &range, list).map_err(|_| match &start {
            None => Failure::expired("The resourceVersion for the provided list is too old."),
            Some(start) => {
                let place =
                    Start { namespace: &start.namespace, name: &start.name, within: scoped.is_some() };
                Failure { token: Some(place.token(-1)), ..Failure::expired(EXPIRED_TOKEN) }
            }
        })
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

    /// A resourceVersion that was never given out cannot be waited for.
    fn check_not_too_new(&self, wanted: u64) -> Result<(), Failure> {
        let current = self.server.store.revision();
        if wanted > current { Err(Failure::too_large_revision(wanted, current)) } else { Ok(()) }
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

const EXPIRED_TOKEN: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// The object behind which a list goes on.
struct Start<'a> {
    namespace: &'a str,
    name: &'a str,
    /// Whether the list is one of a namespace.
    within: bool,
}

impl Start<'_> {
    /// A token for a list at a resourceVersion, or (-1) at the present. It names the key after the object's.
    fn token(&self, revision: i64) -> String {
        let place = if self.within {
            format!("/{}\0", self.name)
        } else if self.namespace.is_empty() {
            format!("{}\0", self.name)
        } else {
            format!("{}/{}\0", self.namespace, self.name)
        };
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": place});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }
}

/// Where a list goes on.
struct Continue {
    revision: i64,
    namespace: String,
    name: String,
}

impl Continue {
    /// From a token of a list of a namespace, or of all.
    fn decode(token: &str, scope: Option<&str>) -> Result<Continue, Failure> {
        let wrong = |why: String| Failure::bad_request(format!("invalid continue token: {why}"));
        let invalid = |why: String| wrong(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| invalid(error.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        let version = token["v"].as_str().unwrap_or_default();
        if version != "meta.k8s.io/v1" {
            return Err(invalid(format!("server does not recognize this encoded version {version}")));
        }
        let (revision, start) =
            (token["rv"].as_i64().unwrap_or(0), token["start"].as_str().unwrap_or_default());
        if revision == 0 {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned(),
            ));
        }
        if start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)".to_owned()));
        }
        let place = start.strip_prefix('/').unwrap_or(start);
        if place.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong(format!("continue key is not valid: {start}")));
        }
        let place = place.strip_suffix('\0').unwrap_or(place);
        let (namespace, name) = match scope {
            Some(scope) => (scope, place),
            None => place.split_once('/').unwrap_or(("", place)),
        };
        Ok(Continue { revision, namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continue_token_survives_its_text() {
        for (namespace, within, scope) in [("a", false, None), ("a", true, Some("a")), ("", false, None)] {
            let token = Start { namespace, name: "b", within }.token(7);
            let read = Continue::decode(&token, scope).unwrap();
            assert_eq!((read.revision, read.namespace.as_str(), read.name.as_str()), (7, namespace, "b"));
        }
        assert_eq!(Continue::decode("nonsense", None).err().unwrap().code, 400);
    }
}
