//! A kubeconfig for a plane's administrator.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::auth::authenticate::ADMIN;
use super::auth::user::MASTERS;
use super::server::Server;

/// For a server at a URL.
pub(crate) fn of(server: &Server, url: &str) -> String {
    let token = &server.token;
    let mut cluster = format!("    server: {url}\n");
    let mut users = format!("- name: moin\n  user:\n    token: {token}\n");
    let mut contexts = context("moin");
    let authority = url.starts_with("https:").then(|| server.keys.authority().ok()).flatten();
    if let Some(authority) = authority {
        cluster.push_str(&data("certificate-authority-data", authority.certificate()));
        if let Ok(identity) = authority.client(ADMIN, &[MASTERS.to_owned()]) {
            users.push_str("- name: moin-certificate\n  user:\n");
            users.push_str(&data("client-certificate-data", &identity.certificate));
            users.push_str(&data("client-key-data", &identity.key));
            contexts.push_str(&context("moin-certificate"));
        }
    }
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: moin\n  cluster:\n{cluster}users:\n{users}contexts:\n{contexts}current-context: moin\n"
    )
}

fn data(field: &str, pem: &str) -> String {
    format!("    {field}: {}\n", STANDARD.encode(pem))
}

fn context(user: &str) -> String {
    format!("- name: {user}\n  context:\n    cluster: moin\n    user: {user}\n    namespace: default\n")
}
