//! How a definition's versions are converted: not at all, or by a webhook.

use base64::Engine as _;
use serde_json::{Value, json};

use super::path::{Errors, Path};
use super::validate::Options;
use crate::plane::names::{dns_1035_errors, subdomain_errors};

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

pub(super) fn validate(conversion: &Value, at: &Path<'_>, options: &Options, errors: &mut Errors) {
    if !conversion.is_object() {
        return;
    }
    let strategy = conversion["strategy"].as_str().unwrap_or_default();
    let strategy_at = at.child("strategy");
    match strategy {
        "" => errors.required(&strategy_at, ""),
        "None" | "Webhook" => {}
        _ => errors.not_supported(&strategy_at, strategy, &["None", "Webhook"]),
    }
    let config = &conversion["webhook"]["clientConfig"];
    let reviews: Vec<&str> = texts(&conversion["webhook"]["conversionReviewVersions"]);
    let (config_at, reviews_at) = (at.child("webhookClientConfig"), at.child("conversionReviewVersions"));
    if strategy == "Webhook" {
        client_config(config, &config_at, options, errors);
        review_versions(&reviews, &reviews_at, options, errors);
        return;
    }
    let why = "should not be set when strategy is not set to Webhook";
    if config.is_object() {
        errors.forbidden(&config_at, why);
    }
    if !reviews.is_empty() {
        errors.forbidden(&reviews_at, why);
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether a definition's webhook understands a review that the server sends, or says nothing about it.
pub(super) fn reviews_are_known(conversion: &Value) -> bool {
    let reviews = texts(&conversion["webhook"]["conversionReviewVersions"]);
    reviews.is_empty() || reviews.iter().any(|version| REVIEW_VERSIONS.contains(version))
}

fn review_versions(versions: &[&str], at: &Path<'_>, options: &Options, errors: &mut Errors) {
    if versions.is_empty() {
        errors.required(at, "");
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        if versions[..index].contains(version) {
            errors.invalid(&at.index(index), version, "duplicate version");
            continue;
        }
        for why in dns_1035_errors(version) {
            errors.invalid(&at.index(index), version, &why);
        }
    }
    if options.known_reviews && !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let why = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.invalid_value(at, &json!(versions), &why);
    }
}

fn client_config(config: &Value, at: &Path<'_>, options: &Options, errors: &mut Errors) {
    if !config.is_object() {
        errors.required(at, "required when strategy is set to Webhook");
        return;
    }
    match (config["url"].as_str(), &config["service"]) {
        (Some(url), Value::Null) => webhook_url(url, &at.child("url"), errors),
        (None, service @ Value::Object(_)) => webhook_service(service, &at.child("service"), errors),
        _ => errors.required(at, "exactly one of url or service is required"),
    }
    let bundle = config["caBundle"].as_str().unwrap_or_default();
    if !options.any_bundle && !is_bundle(bundle) {
        let why = "unable to load root certificates: unable to parse bytes as PEM block";
        errors.invalid(&at.child("caBundle"), bundle, why);
    }
}

/// Whether a text holds certificates; an empty one asks for none.
pub(super) fn is_bundle(bundle: &str) -> bool {
    let decoded = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap_or_default();
    let text = String::from_utf8_lossy(&decoded);
    bundle.is_empty()
        || text.split_once("-----BEGIN CERTIFICATE-----").is_some_and(|(_, rest)| {
            rest.split_once("-----END CERTIFICATE-----").is_some_and(|(body, _)| {
                let body: String = body.split_whitespace().collect();
                base64::engine::general_purpose::STANDARD.decode(body).is_ok_and(|der| !der.is_empty())
            })
        })
}

fn webhook_url(url: &str, at: &Path<'_>, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            (scheme, rest)
        }
        _ => ("", url),
    };
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.strip_prefix("//").unwrap_or("").split('/').next().unwrap_or_default();
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if !scheme.eq_ignore_ascii_case("https") {
        let why = format!("'https' is the only allowed URL scheme{FORM}");
        errors.invalid(at, &scheme.to_lowercase(), &why);
    }
    if host.is_empty() {
        errors.invalid(at, host, &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        errors.invalid(at, user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        errors.invalid(at, fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        errors.invalid(at, query, "query parameters are not permitted in the URL");
    }
}

/// The server takes name and namespace for each other here.
fn webhook_service(service: &Value, at: &Path<'_>, errors: &mut Errors) {
    let text = |key: &str| service[key].as_str().unwrap_or_default();
    if text("namespace").is_empty() {
        errors.required(&at.child("name"), "");
    }
    if text("name").is_empty() {
        errors.required(&at.child("namespace"), "");
    }
    let port = service["port"].as_i64().unwrap_or(443);
    if !(1..=65535).contains(&port) {
        let why = "port is not valid: must be between 1 and 65535, inclusive";
        errors.invalid_shown(&at.child("port"), &port.to_string(), why);
    }
    let path = text("path");
    let at = at.child("path");
    match path {
        "" | "/" => return,
        "//" => return errors.invalid(&at, path, "segment[0] may not be empty"),
        _ => {}
    }
    if !path.starts_with('/') {
        errors.invalid(&at, path, "must start with a '/'");
    }
    let mut rest = path.chars();
    rest.next();
    let rest = rest.as_str();
    for (index, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(&at, path, &format!("segment[{index}] may not be empty"));
            continue;
        }
        for why in subdomain_errors(step) {
            errors.invalid(&at, path, &format!("segment[{index}]: {why}"));
        }
    }
}
