//! Times as the API server writes them.

/// Now, to the second.
pub(crate) fn now() -> String {
    text(jiff::Timestamp::now())
}

/// A time, to the second.
pub(crate) fn text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
