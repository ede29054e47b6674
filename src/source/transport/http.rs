//! git over https: the protocol without state, each exchange a request of its own.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use git2::{ErrorClass, ErrorCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use super::{Journey, failure, no_proxy};

/// Some forges answer only programs that call themselves git.
const USER_AGENT: &str = concat!("git/2.0 (moin ", env!("CARGO_PKG_VERSION"), ")");

const MOST_REDIRECTS: usize = 5;

/// Connections to one remote.
pub(super) struct Http {
    exchange: Arc<Exchange>,
}

struct Exchange {
    journey: Journey,
    /// Where the remote really is, after the first request was redirected.
    base: Mutex<Option<String>>,
}

impl Http {
    pub(super) fn new(journey: Journey) -> Result<Http, git2::Error> {
        Ok(Http { exchange: Arc::new(Exchange { journey, base: Mutex::default() }) })
    }
}

impl SmartSubtransport for Http {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            Service::UploadPackLs => {
                let reader = self.exchange.advertisement(url.trim_end_matches('/'))?;
                Ok(Box::new(Answer(reader)))
            }
            Service::UploadPack => Ok(Box::new(Post {
                exchange: Arc::clone(&self.exchange),
                url: url.trim_end_matches('/').to_owned(),
                request: Vec::new(),
                answer: None,
            })),
            Service::ReceivePackLs | Service::ReceivePack => {
                Err(git2::Error::from_str("moin never writes to a repository"))
            }
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

type Body = Box<dyn Read + Send>;

/// What the remote says unasked.
struct Answer(Body);

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(plain)
    }
}

impl Write for Answer {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("this request has no body"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A question that is sent when its answer is wanted.
struct Post {
    exchange: Arc<Exchange>,
    url: String,
    request: Vec<u8>,
    answer: Option<Body>,
}

impl Write for Post {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Post {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let question = std::mem::take(&mut self.request);
                let answer = self
                    .exchange
                    .question(&self.url, &question)
                    .map_err(|e| io::Error::other(e.message().to_owned()))?;
                self.answer.insert(answer)
            }
        };
        answer.read(buffer).map_err(plain)
    }
}

/// libgit2 takes C strings: a NUL in the text would be a panic.
fn plain(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string().replace('\0', " "))
}

impl Exchange {
    /// The remote's references. Redirects are followed here alone, as git does; what comes after goes to where they
    /// led.
    fn advertisement(&self, url: &str) -> Result<Body, git2::Error> {
        let mut asked = format!("{url}/info/refs?service=git-upload-pack");
        for _ in 0..=MOST_REDIRECTS {
            let mut request =
                self.agent(&asked)?.get(&asked).header("Accept", "*/*").header("Pragma", "no-cache");
            if let Some(value) = self.authorization(url, &asked)? {
                request = request.header("Authorization", value);
            }
            let answer = request.call().map_err(|e| network(&e))?;
            if answer.status().is_redirection() {
                let to = answer.headers().get("location").and_then(|value| value.to_str().ok());
                asked = redirected(&asked, to.unwrap_or_default()).ok_or_else(|| {
                    failure(
                        ErrorCode::GenericError,
                        ErrorClass::Http,
                        "redirected to where git does not follow",
                    )
                })?;
                continue;
            }
            check(&answer, "application/x-git-upload-pack-advertisement")?;
            let base = asked.split("/info/refs").next().unwrap_or_default();
            *self.base.lock().unwrap_or_else(PoisonError::into_inner) = Some(base.to_owned());
            return Ok(Box::new(answer.into_body().into_reader()));
        }
        Err(failure(ErrorCode::GenericError, ErrorClass::Http, "redirected too often"))
    }

    /// Asks for objects.
    fn question(&self, url: &str, question: &[u8]) -> Result<Body, git2::Error> {
        let base = self.base.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let base = base.unwrap_or_else(|| url.to_owned());
        let mut request = self
            .agent(&base)?
            .post(format!("{base}/git-upload-pack"))
            .header("Content-Type", "application/x-git-upload-pack-request")
            .header("Accept", "application/x-git-upload-pack-result");
        if let Some(value) = self.authorization(url, &base)? {
            request = request.header("Authorization", value);
        }
        let answer = request.send(question).map_err(|e| network(&e))?;
        check(&answer, "application/x-git-upload-pack-result")?;
        Ok(Box::new(answer.into_body().into_reader()))
    }

    fn agent(&self, url: &str) -> Result<Agent, git2::Error> {
        let uri: Uri = url.parse().map_err(|_| git2::Error::from_str("not a URL"))?;
        let left = self.journey.deadline.saturating_duration_since(Instant::now());
        let access = &self.journey.access;
        let proxy = match &access.proxy {
            Some(proxy) if !no_proxy::matches(&access.no_proxy, uri.host().unwrap_or_default()) => {
                // The URL of a proxy may hold a password, so the error must not quote it.
                let proxy =
                    Proxy::new(proxy).map_err(|_| git2::Error::from_str("the proxy's URL is not valid"))?;
                Some(proxy)
            }
            _ => None,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(self.roots()?)))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .https_only(uri.scheme_str() == Some("https"))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_global(Some(left.max(Duration::from_millis(1))))
            .build();
        Ok(config.into())
    }

    /// The certificates to trust.
    fn roots(&self) -> Result<Vec<Certificate<'static>>, git2::Error> {
        let found = match &self.journey.access.ca_file {
            Some(file) => {
                let unread = |reason: String| {
                    let message = format!("no certificates in {}: {reason}", file.display());
                    failure(ErrorCode::GenericError, ErrorClass::Ssl, &message)
                };
                let pem = std::fs::read(file).map_err(|e| unread(e.to_string()))?;
                let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
                let certificates = certificates.map_err(|e| unread(e.to_string()))?;
                if certificates.is_empty() {
                    return Err(unread("it is empty".to_owned()));
                }
                certificates
            }
            // What cannot be read of the system's is left out; if all is, the handshake says so.
            None => rustls_native_certs::load_native_certs().certs,
        };
        Ok(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
    }

    /// The header for a request to `to`; the credentials belong to `of`. Nothing is sent to another host, or in the clear.
    fn authorization(&self, of: &str, to: &str) -> Result<Option<String>, git2::Error> {
        let parse = |url: &str| url.parse::<Uri>().map_err(|_| git2::Error::from_str("not a URL"));
        let (of, to) = (parse(of)?, parse(to)?);
        if to.scheme_str() != Some("https") || of.authority() != to.authority() {
            return Ok(None);
        }
        let access = &self.journey.access;
        let (user, secret) = match (&access.token_file, &self.journey.userinfo) {
            (Some(file), userinfo) => {
                let token = std::fs::read_to_string(file).map_err(|error| {
                    let message = format!("the token in {} cannot be read: {error}", file.display());
                    failure(ErrorCode::Auth, ErrorClass::Http, &message)
                })?;
                let of_url = userinfo.as_ref().map(|(user, _)| user.clone());
                // Forges that look at the token alone take any user that is not empty.
                let user = access.username.clone().or(of_url).unwrap_or_else(|| "git".to_owned());
                (user, token.trim().to_owned())
            }
            (None, Some((user, password))) => (user.clone(), password.clone()),
            (None, None) => return Ok(None),
        };
        if secret.chars().any(char::is_control) {
            return Err(failure(ErrorCode::Auth, ErrorClass::Http, "the token is more than one line"));
        }
        Ok(Some(if access.bearer {
            format!("Bearer {secret}")
        } else {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
        }))
    }
}

/// Where a redirect leads; `None` out of https, or to what is no longer the same question.
fn redirected(from: &str, location: &str) -> Option<String> {
    let uri: Uri = from.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let to = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        return None;
    };
    let target: Uri = to.parse().ok()?;
    let as_secret =
        target.scheme_str() == Some("https") || scheme == "http" && target.scheme_str() == Some("http");
    let plain = !target.authority()?.as_str().contains('@');
    (as_secret && plain && target.path().ends_with("/info/refs")).then_some(to)
}

/// Whether an answer is one of git's.
fn check<B>(answer: &ureq::http::Response<B>, expected: &str) -> Result<(), git2::Error> {
    let status = answer.status().as_u16();
    let said = match status {
        200..300 => {
            let content =
                answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
            if content.starts_with(expected) {
                return Ok(());
            }
            format!("the answer is {content:?} and not git's: is this the URL of a repository?")
        }
        401 | 403 => {
            return Err(failure(ErrorCode::Auth, ErrorClass::Http, &format!("HTTP status {status}")));
        }
        404 => "HTTP status 404: no such repository, or it wants credentials".to_owned(),
        407 => "HTTP status 407: the proxy wants credentials".to_owned(),
        _ => format!("HTTP status {status}"),
    };
    Err(failure(ErrorCode::GenericError, ErrorClass::Http, &said))
}

fn network(error: &ureq::Error) -> git2::Error {
    failure(ErrorCode::GenericError, ErrorClass::Net, &super::super::redact(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_secret_and_the_same_question() {
        let from = "https://a/x/info/refs?service=git-upload-pack";
        let to = |location: &str| redirected(from, location);
        assert_eq!(to("/y/info/refs?q").as_deref(), Some("https://a/y/info/refs?q"));
        assert_eq!(to("https://b:1/y/info/refs").as_deref(), Some("https://b:1/y/info/refs"));
        assert_eq!(to("//b/y/info/refs").as_deref(), Some("https://b/y/info/refs"));
        for refused in [
            "http://a/x/info/refs",
            "https://a/login",
            "refs",
            "",
            "https://u:p@b/x/info/refs",
            "file:///x/info/refs",
        ] {
            assert_eq!(to(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_token_goes_to_its_own_host_alone() {
        let journey = Journey {
            access: super::super::Access::default(),
            userinfo: Some(("git".into(), "s3cret".into())),
            deadline: Instant::now(),
        };
        let http = Http::new(journey).unwrap();
        let sent = |to: &str| http.exchange.authorization("https://a/x", to).unwrap().is_some();
        assert!(sent("https://a/y/info/refs"));
        for other in ["https://a:444/x", "http://a/x", "https://b/x", "https://a.b/x"] {
            assert!(!sent(other), "{other}");
        }
    }
}
