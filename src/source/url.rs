//! URLs of repositories, credentials kept apart from what is shown.

use std::fmt;
use std::str::FromStr;

use super::SourceError;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `https://`, or plain `http://`, over which no credential is ever sent.
    Http,
    /// `ssh://` or `user@host:path`.
    Ssh,
    /// `file://` or an absolute path.
    File,
}

/// The URL of a repository. Prints without password, and for https without user.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    scheme: Scheme,
    shown: String,
    userinfo: Option<(String, String)>,
}

impl RemoteUrl {
    /// How the repository is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The URL without credentials: what is printed, recorded and given to git.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// User and password that stood in the URL.
    pub(crate) fn userinfo(&self) -> Option<(&str, &str)> {
        self.userinfo.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({:?})", self.shown)
    }
}

impl FromStr for RemoteUrl {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<RemoteUrl, SourceError> {
        let bad = |reason: &str| SourceError::BadUrl { url: redact(text), reason: reason.to_owned() };
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(bad("a URL has no spaces or control characters"));
        }
        if text.starts_with('/') {
            return Ok(RemoteUrl { scheme: Scheme::File, shown: text.to_owned(), userinfo: None });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return scp_like(text).ok_or_else(|| bad("neither a URL nor an absolute path"));
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let scheme_lower = scheme.to_ascii_lowercase();
        if scheme_lower == "file" {
            return if path.len() > 1 && authority.is_empty() {
                Ok(RemoteUrl { scheme: Scheme::File, shown: text.to_owned(), userinfo: None })
            } else {
                Err(bad("a file URL is file:///PATH"))
            };
        }
        // A host that begins with a dash would be read as an option by ssh.
        if host.is_empty() || host.starts_with('-') || path.len() < 2 {
            return Err(bad("host or path is missing"));
        }
        match scheme_lower.as_str() {
            "https" | "http" => {
                let userinfo = userinfo.map(|info| {
                    let (user, password) = info.split_once(':').unwrap_or((info, ""));
                    (percent_decode(user), percent_decode(password))
                });
                Ok(RemoteUrl {
                    scheme: Scheme::Http,
                    shown: format!("{scheme_lower}://{host}{path}"),
                    userinfo,
                })
            }
            "ssh" | "git+ssh" | "ssh+git" => {
                let user =
                    userinfo.map(|info| info.split(':').next().unwrap_or_default()).unwrap_or_default();
                if user.starts_with('-') {
                    return Err(bad("a user does not begin with a dash"));
                }
                let at = if user.is_empty() { "" } else { "@" };
                Ok(RemoteUrl {
                    scheme: Scheme::Ssh,
                    shown: format!("ssh://{user}{at}{host}{path}"),
                    userinfo: None,
                })
            }
            other => Err(bad(&format!("{other}:// is not supported; use https, ssh or file"))),
        }
    }
}

/// `user@host:path`, as git takes it for ssh.
fn scp_like(text: &str) -> Option<RemoteUrl> {
    let (host, path) = text.split_once(':')?;
    let (user, bare_host) = host.rsplit_once('@').unwrap_or(("", host));
    let plain = |s: &str| !s.starts_with('-') && !s.contains(['/', ':']);
    if bare_host.is_empty() || path.is_empty() || !plain(bare_host) || !plain(user) {
        return None;
    }
    let at = if user.is_empty() { "" } else { "@" };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/~/{path}") };
    Some(RemoteUrl {
        scheme: Scheme::Ssh,
        shown: format!("ssh://{user}{at}{bare_host}{path}"),
        userinfo: None,
    })
}

/// The text with every `user:password@` of a URL in it removed, for messages of others.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end =
            tail.find(|c: char| c == '/' || c.is_whitespace() || "'\"<>?#".contains(c)).unwrap_or(tail.len());
        rest = match tail[..end].rfind('@') {
            Some(at) => &tail[at + 1..],
            None => tail,
        };
    }
    out.push_str(rest);
    out
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| (b as char).to_digit(16);
        match (first, tail) {
            (b'%', [a, b, after @ ..]) if hex(*a).is_some() && hex(*b).is_some() => {
                bytes.push((hex(*a).unwrap_or(0) * 16 + hex(*b).unwrap_or(0)) as u8);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let url: RemoteUrl = "https://me:s3cr%40t@git.example/a/b.git".parse().unwrap();
        assert_eq!(url.to_string(), "https://git.example/a/b.git");
        assert_eq!(url.userinfo(), Some(("me", "s3cr@t")));
        assert!(!format!("{url:?}").contains("s3cr"));
        let error = "gopher://me:s3cret@host/x".parse::<RemoteUrl>().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert_eq!(redact("at 'https://a:b@h/x' and ssh://u@h/y"), "at 'https://h/x' and ssh://h/y");
    }

    #[test]
    fn forms_of_urls() {
        let shown = |text: &str| text.parse::<RemoteUrl>().map(|u| u.to_string());
        assert_eq!(shown("git@host:org/repo.git").unwrap(), "ssh://git@host/~/org/repo.git");
        assert_eq!(shown("git@host:/srv/repo.git").unwrap(), "ssh://git@host/srv/repo.git");
        assert_eq!(shown("ssh://git:pw@host:22/x").unwrap(), "ssh://git@host:22/x");
        assert_eq!(shown("/srv/x.git").unwrap(), "/srv/x.git");
        for bad in [
            "ssh://-oProxyCommand=x/y",
            "-oProxyCommand=x:y",
            "git://h/x",
            "x",
            "https://h",
            "file://h/x",
            "https://h/a b",
        ] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
