//! Who is it? Bearer tokens, client certificates, or nobody.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, header};

use super::token;
use super::user::{MASTERS, User};
use crate::plane::server::Server;
use crate::plane::status::Failure;

/// The name of the administrator: who calls in-process, and the owner of the server's own token.
pub(crate) const ADMIN: &str = "kubernetes-admin";

const INVALID: &str = "invalid bearer token";

/// What a connection says about who is at its other end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    pub address: Option<std::net::SocketAddr>,
    /// Who brings no credentials is the administrator: in-process, and on plain HTTP, where kubectl sends none.
    pub trusted: bool,
    pub certificate: Certificate,
}

/// The client certificate of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) enum Certificate {
    #[default]
    None,
    /// Signed by the server's authority.
    Of(Arc<User>),
    /// Not signed by it, or expired.
    Refused,
}

/// The tokens that are known from the start.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<String, Arc<User>>);

impl Tokens {
    pub fn new(admin: &str, users: &[(User, String)]) -> Tokens {
        let mut tokens: HashMap<_, _> = users
            .iter()
            .map(|(user, token)| (token.clone(), Arc::new(user.clone().authenticated())))
            .collect();
        tokens.insert(admin.to_owned(), administrator());
        Tokens(tokens)
    }

    fn get(&self, token: &str) -> Option<Arc<User>> {
        self.0.get(token).cloned()
    }
}

/// The administrator.
pub(crate) fn administrator() -> Arc<User> {
    static ADMINISTRATOR: std::sync::LazyLock<Arc<User>> =
        std::sync::LazyLock::new(|| Arc::new(User::new(ADMIN, &[MASTERS]).authenticated()));
    ADMINISTRATOR.clone()
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.split(' ').next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whose token it is, and for which of the audiences (none: the server's own). The error says why it is nobody's.
pub(crate) fn of_token(
    server: &Server,
    text: &str,
    audiences: &[String],
) -> Result<(Arc<User>, Vec<String>), String> {
    if let Some(user) = server.tokens.get(text) {
        let own = token::ISSUER.to_owned();
        if audiences.is_empty() || audiences.contains(&own) {
            return Ok((user, vec![own]));
        }
        return Err(INVALID.to_owned());
    }
    match token::authenticate(server, text, audiences) {
        Ok(Some((user, audiences))) => Ok((Arc::new(user), audiences)),
        Ok(None) => Err(INVALID.to_owned()),
        Err(why) => Err(format!("[{INVALID}, {why}]")),
    }
}

/// Who a request comes from. A certificate counts before a token; a wrong one, without a right other, is refused.
pub(crate) fn authenticate(server: &Server, headers: &HeaderMap, peer: &Peer) -> Result<Arc<User>, Failure> {
    if let Certificate::Of(user) = &peer.certificate {
        return Ok(user.clone());
    }
    if let Some(token) = bearer(headers) {
        let found = of_token(server, token, &[]);
        return found.map(|(user, _)| user).map_err(|_| Failure::unauthorized());
    }
    if matches!(peer.certificate, Certificate::Refused) || !server.settings.anonymous {
        return Err(Failure::unauthorized());
    }
    if peer.trusted { Ok(administrator()) } else { Ok(nobody()) }
}

fn nobody() -> Arc<User> {
    static NOBODY: std::sync::LazyLock<Arc<User>> = std::sync::LazyLock::new(|| Arc::new(User::anonymous()));
    NOBODY.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_as_the_server_reads_it() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer a").as_deref(), Some("a"));
        assert_eq!(of("bearer a b").as_deref(), Some("a"));
        assert_eq!(of("Basic a"), None);
        assert_eq!(of("Bearer"), None);
    }
}
