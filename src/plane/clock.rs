//! Times as the API server writes them.

/// Now, to the second.
pub(crate) fn now() -> String {
    text(jiff::Timestamp::now())
}

/// A time, to the second.
pub(crate) fn text(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time this many seconds from now, as HTTP headers have it.
pub(crate) fn http_date(seconds: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Nanoseconds since 1970.
pub(crate) fn nanoseconds() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}
