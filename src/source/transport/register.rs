//! Makes the transports known to libgit2.

use std::sync::OnceLock;

use git2::transport::{Transport, register as register_transport};

use super::{http, journey, ssh};

/// Registers the transports, once in the life of the program.
///
/// # Errors
/// What libgit2 says; the same each time.
#[expect(unsafe_code, reason = "git2 has no other way to bring a transport of one's own")]
pub(in crate::source) fn register() -> Result<(), String> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    DONE.get_or_init(|| {
        let all = || {
            for scheme in ["http", "https"] {
                // SAFETY: registering must not coincide with the making of a transport. Transports are made by
                // connections of a `GitSource` alone; none exists before `register` has returned in its
                // constructor, and `OnceLock` lets one thread in and has the others wait.
                unsafe {
                    register_transport(scheme, |remote| {
                        Transport::smart(remote, true, http::Http::new(journey()?)?)
                    })?;
                }
            }
            // SAFETY: as above.
            unsafe {
                register_transport("ssh", |remote| Transport::smart(remote, false, ssh::Ssh::new(journey()?)))
            }
        };
        all().map_err(|error| error.message().to_owned())
    })
    .clone()
}
