//! The options of a list, watch or delete-collection, read and refused in the server's order.

use std::time::Duration;

use super::kinds::Resource;
use super::request::Query;
use super::select::{FieldSelector, LabelSelector, Selection};
use super::status::{Failure, FieldError};

/// What a list or a watch is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub selection: Selection,
    pub bookmarks: bool,
    /// As it was given; empty when it was not.
    pub revision: String,
    pub matching: Match,
    pub timeout: Option<Duration>,
    pub limit: Option<usize>,
    /// Where the list goes on.
    pub token: Option<String>,
    /// Whether a watch begins with what is there.
    pub initial: Option<bool>,
}

/// How the resourceVersion is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Match {
    #[default]
    Unset,
    Exact,
    NotOlderThan,
}

impl ListOptions {
    /// Of a query.
    pub fn of(query: &Query, resource: &Resource) -> Result<ListOptions, Failure> {
        let (timeout, limit) = (query.integer("timeoutSeconds")?, query.integer("limit")?);
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default())
            .map_err(Failure::bad_request)?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())
            .map_err(Failure::bad_request)?;
        let revision = query.get("resourceVersion").unwrap_or_default().to_owned();
        let token = query.get("continue").map(str::to_owned);
        let watch = query.flag("watch");
        let matching = query.get("resourceVersionMatch").unwrap_or_default();
        let mut initial = query.raw("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
        let errors = if watch {
            watch_errors(matching, initial, token.is_some())
        } else {
            list_errors(matching, &revision, initial, token.is_some())
        };
        if !errors.is_empty() {
            return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors));
        }
        if watch && initial.is_none() && (revision.is_empty() || revision == "0") {
            initial = Some(true);
        }
        let fields = fields.for_kind(resource).map_err(Failure::bad_request)?;
        Ok(ListOptions {
            selection: Selection { labels, fields },
            bookmarks: query.flag("allowWatchBookmarks"),
            revision,
            matching: match matching {
                "Exact" => Match::Exact,
                "NotOlderThan" => Match::NotOlderThan,
                _ => Match::Unset,
            },
            timeout: timeout.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0).map(Duration::from_secs),
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
            token,
            initial,
        })
    }
}

fn list_errors(matching: &str, revision: &str, initial: Option<bool>, continued: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |message: String| errors.push(FieldError::new("resourceVersionMatch", message));
    if !matching.is_empty() {
        if revision.is_empty() {
            wrong(
                "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided".to_owned(),
            );
        }
        if continued {
            wrong("Forbidden: resourceVersionMatch is forbidden when continue is provided".to_owned());
        }
        if matching != "Exact" && matching != "NotOlderThan" {
            wrong(format!(
                "Unsupported value: {matching:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
            ));
        }
        if matching == "Exact" && revision == "0" {
            wrong(
                "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"".to_owned(),
            );
        }
    }
    if initial.is_some() {
        let message = "Forbidden: sendInitialEvents is forbidden for list";
        errors.push(FieldError::new("sendInitialEvents", message));
    }
    errors
}

fn watch_errors(matching: &str, initial: Option<bool>, continued: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |message: String| errors.push(FieldError::new("resourceVersionMatch", message));
    if initial.is_some() && matching != "NotOlderThan" {
        wrong(
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan".to_owned(),
        );
    }
    if !matching.is_empty() {
        if initial.is_none() {
            wrong(
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
                    .to_owned(),
            );
        }
        if matching != "NotOlderThan" {
            wrong(format!("Unsupported value: {matching:?}: supported values: \"NotOlderThan\""));
        }
        if continued {
            wrong("Forbidden: resourceVersionMatch is forbidden when continue is provided".to_owned());
        }
    }
    errors
}

/// A resourceVersion of a query; refused as the storage refuses it, in the words of `wrapped`.
pub(crate) fn revision_of(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}")
    })
}
