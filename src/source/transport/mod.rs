//! How bytes get to a remote: https over rustls, ssh over the system's program. libgit2 itself is built without either.

mod http;
mod no_proxy;
mod register;
mod ssh;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

pub(super) use register::register;

/// Credentials of a remote, and how to get there. Files are read at each connection, for tokens are rotated.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// User for https; the token is its password.
    pub username: Option<String>,
    /// File with a token or password for https.
    pub token_file: Option<PathBuf>,
    /// Send the token as a bearer token instead of as a password.
    pub bearer: bool,
    /// File with the certificates (PEM) that https trusts, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// URL of the proxy for https.
    pub proxy: Option<String>,
    /// Hosts for which no proxy is used, as in `NO_PROXY`: `.example.org,10.0.0.0/8,host`.
    pub no_proxy: String,
    /// File with the private key for ssh.
    pub ssh_key: Option<PathBuf>,
    /// File with the host keys that ssh accepts.
    pub known_hosts: Option<PathBuf>,
    /// The ssh program.
    pub ssh_program: PathBuf,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            username: None,
            token_file: None,
            bearer: false,
            ca_file: None,
            proxy: None,
            no_proxy: String::new(),
            ssh_key: None,
            known_hosts: None,
            ssh_program: "ssh".into(),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("username", &self.username)
            .field("token_file", &self.token_file)
            .field("bearer", &self.bearer)
            .field("ca_file", &self.ca_file)
            // Its URL may hold a password.
            .field("proxy", &self.proxy.as_deref().map(super::redact))
            .field("no_proxy", &self.no_proxy)
            .field("ssh_key", &self.ssh_key)
            .field("known_hosts", &self.known_hosts)
            .field("ssh_program", &self.ssh_program)
            .finish()
    }
}

/// What a transport needs to know about the request under way.
#[derive(Clone)]
struct Journey {
    access: Access,
    /// User and password that stood in the URL.
    userinfo: Option<(String, String)>,
    deadline: Instant,
}

thread_local! {
    /// libgit2 makes a transport on the thread that connects, and hands it nothing but the URL.
    static JOURNEY: RefCell<Option<Journey>> = const { RefCell::new(None) };
}

/// Does something with a remote; transports made meanwhile on this thread use this access.
pub(super) fn with_access<T>(
    access: &Access,
    userinfo: Option<(&str, &str)>,
    deadline: Instant,
    work: impl FnOnce() -> T,
) -> T {
    /// Takes the credentials away again, also when `work` panics.
    struct Ended;
    impl Drop for Ended {
        fn drop(&mut self) {
            JOURNEY.with(|journey| *journey.borrow_mut() = None);
        }
    }
    let _ended = Ended;
    let journey = Journey {
        access: access.clone(),
        userinfo: userinfo.map(|(user, password)| (user.to_owned(), password.to_owned())),
        deadline,
    };
    JOURNEY.with(|slot| *slot.borrow_mut() = Some(journey));
    work()
}

fn journey() -> Result<Journey, git2::Error> {
    JOURNEY
        .with(|journey| journey.borrow().clone())
        .ok_or_else(|| git2::Error::from_str("no request to a source is under way on this thread"))
}

/// An error that ends a connection. libgit2 takes C strings: a NUL in the text would be a panic.
fn failure(code: git2::ErrorCode, class: git2::ErrorClass, message: &str) -> git2::Error {
    git2::Error::new(code, class, message.replace('\0', " "))
}
