//! What form an answer has: JSON or YAML, whole, as a table or reduced to metadata.
//!
//! Built-in kinds are offered in protobuf by the real server; here they are not, so a client that takes nothing but
//! protobuf is refused as one is who asks for a custom kind in it.

use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::request::Form;
use super::status::Failure;

/// What an endpoint can answer with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    /// Built-in kinds say that they could do protobuf.
    pub builtin: bool,
    /// Whether it is a collection.
    pub collection: bool,
    pub watch: bool,
}

/// One of the media types that a client takes.
struct Clause<'a> {
    media_type: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let mut clauses: Vec<Clause<'_>> = accept
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters.iter().find(|(key, _)| *key == "q").and_then(|(_, q)| q.parse().ok());
            Clause { media_type, quality: quality.unwrap_or(1.0), parameters }
        })
        .filter(|clause| !clause.media_type.is_empty())
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

fn takes(clause: &Clause<'_>, media_type: &str) -> bool {
    let whole = media_type.split_once('/').map(|(kind, _)| format!("{kind}/*"));
    clause.media_type == media_type
        || clause.media_type == "*/*"
        || whole.as_deref() == Some(clause.media_type)
}

/// The form in which a resource is answered; refused in the words of the server.
pub(crate) fn form(headers: &HeaderMap, endpoint: Endpoint) -> Result<Form, Failure> {
    let types = match (endpoint.builtin, endpoint.watch) {
        (true, true) => "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
        (false, true) => "application/json;stream=watch",
        (true, false) => "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        (false, false) => "application/json, application/yaml",
    };
    let clauses = clauses(headers);
    if endpoint.builtin {
        route(&clauses, endpoint.collection)?;
    }
    for clause in &clauses {
        let offered: &[&str] =
            if endpoint.watch { &["application/json"] } else { &["application/json", "application/yaml"] };
        if !offered.iter().any(|media_type| takes(clause, media_type)) {
            continue;
        }
        let parameter =
            |key: &str| clause.parameters.iter().find(|(k, _)| *k == key).map_or("", |(_, value)| *value);
        let of_meta = parameter("g") == "meta.k8s.io" && parameter("v") == "v1";
        match parameter("as") {
            "" => return Ok(Form::Whole),
            "Table" if of_meta => return Ok(Form::Table),
            kind @ ("PartialObjectMetadata" | "PartialObjectMetadataList") if of_meta => {
                return fitting(kind, endpoint);
            }
            _ => {}
        }
    }
    Err(Failure::new(406, "NotAcceptable", format!("only the following media types are accepted: {types}")))
}

/// The router in front of built-in kinds has rules of its own: it knows no `application/*`.
fn route(clauses: &[Clause<'_>], collection: bool) -> Result<(), Failure> {
    const ANY: [&str; 4] =
        ["*/*", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    if clauses.iter().any(|clause| ANY.contains(&clause.media_type)) {
        return Ok(());
    }
    let streams = ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    let message = format!(
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf{}",
        if collection { streams } else { "" }
    );
    Err(Failure { details: Some(json!({})), ..Failure::new(406, "NotAcceptable", message) })
}

/// Metadata of a list is asked for as a list; of a watch as what its events hold.
fn fitting(kind: &str, endpoint: Endpoint) -> Result<Form, Failure> {
    let refuse = |what: &str| {
        let message = format!("you requested {kind}, but the requested object {what}");
        Err(Failure::new(406, "NotAcceptable", message))
    };
    match (kind == "PartialObjectMetadataList", endpoint.collection && !endpoint.watch) {
        (true, false) if !endpoint.watch => refuse("is not a list"),
        (false, true) => refuse("is a list"),
        _ => Ok(Form::Metadata),
    }
}

/// Whether a client would rather have YAML.
pub(crate) fn wants_yaml(headers: &HeaderMap) -> bool {
    let clauses = clauses(headers);
    let first = clauses.iter().find_map(|clause| {
        ["application/json", "application/yaml"].into_iter().find(|media_type| takes(clause, media_type))
    });
    first == Some("application/yaml")
}

/// A JSON document as YAML.
pub(crate) fn as_yaml(json: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(json).ok().map(|value| crate::yaml::write(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: Endpoint = Endpoint { builtin: true, collection: false, watch: false };

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn the_first_form_that_can_be_served_is_taken() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(form(&headers(kubectl), OBJECT), Ok(Form::Table));
        assert_eq!(form(&headers("application/yaml"), OBJECT), Ok(Form::Whole));
        assert_eq!(form(&headers("application/*"), OBJECT).unwrap_err().code, 406);
        assert_eq!(form(&headers("application/vnd.kubernetes.protobuf"), OBJECT).unwrap_err().code, 406);
        let custom = Endpoint { builtin: false, ..OBJECT };
        assert_eq!(form(&headers("application/*"), custom), Ok(Form::Whole));
    }

    #[test]
    fn yaml_is_served_to_who_prefers_it() {
        assert!(wants_yaml(&headers("application/yaml")));
        assert!(wants_yaml(&headers("application/json;q=0.5, application/yaml")));
        assert!(!wants_yaml(&headers("*/*")));
        assert!(!wants_yaml(&HeaderMap::new()));
    }
}
