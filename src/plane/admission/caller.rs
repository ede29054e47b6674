//! Calls a webhook over HTTPS.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::services::{self, Services};
use crate::plane::server::Server;

/// Where a webhook is, and a client for it once it was called.
#[derive(Debug)]
pub(super) struct Caller {
    /// The URL as error texts name it, without the time-out.
    url: String,
    service: Option<Service>,
    authorities: Vec<u8>,
    timeout: Duration,
    client: OnceCell<Client>,
}

#[derive(Debug)]
struct Service {
    namespace: String,
    name: String,
    port: u16,
}

struct Client {
    client: kube::Client,
    /// Where it connects to.
    address: String,
    /// The path behind the client's own URL.
    path: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Caller {
    /// For a `clientConfig`.
    pub fn of(config: &Value, timeout: Duration) -> Caller {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let service = config["service"].as_object().map(|service| Service {
            namespace: service.get("namespace").map(text).unwrap_or_default(),
            name: service.get("name").map(text).unwrap_or_default(),
            port: service
                .get("port")
                .and_then(Value::as_u64)
                .and_then(|port| port.try_into().ok())
                .unwrap_or(443),
        });
        let url = match &service {
            Some(service) => {
                let path = text(&config["service"]["path"]);
                format!("https://{}.{}.svc:{}{path}", service.name, service.namespace, service.port)
            }
            None => text(&config["url"]),
        };
        Caller {
            url,
            service,
            authorities: STANDARD.decode(text(&config["caBundle"])).unwrap_or_default(),
            timeout,
            client: OnceCell::new(),
        }
    }

    /// Posts a document and reads the answer; errors in the words of Go's HTTP client.
    pub async fn post(&self, server: &Server, body: Vec<u8>) -> Result<Value, String> {
        let shown = format!("{}?timeout={}s", self.url, self.timeout.as_secs());
        if let Some(answers) = &server.settings.webhooks {
            let (code, bytes) = answers.of(&self.url, &body);
            return read(code, &bytes);
        }
        let failed = |why: String| format!("Post \"{shown}\": {why}");
        let client = self.client.get_or_try_init(|| self.connect(server.settings.services.as_ref(), server));
        let call = async {
            let client = client.await.map_err(&failed)?;
            let uri = format!("{}?timeout={}s", client.path, self.timeout.as_secs());
            let request = Request::post(uri)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json, */*")
                .header(header::USER_AGENT, "kube-apiserver-admission")
                .body(kube::client::Body::from(body))
                .map_err(|error| failed(error.to_string()))?;
            let answer = client
                .client
                .send(request)
                .await
                .map_err(|error| failed(go_error(&error, &client.address)))?;
            let code = answer.status().as_u16();
            let bytes =
                answer.into_body().collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
            read(code, &bytes)
        };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(failed("context deadline exceeded".to_owned())),
        }
    }

    async fn connect(&self, services: Option<&Services>, server: &Server) -> Result<Client, String> {
        let uri: http::Uri = self.url.parse().map_err(|error| format!("{error}"))?;
        let path = uri.path().to_owned();
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let (address, name) = match &self.service {
            None => (host, None),
            Some(Service { namespace, name, port }) => {
                let address = services::resolve(server, services, namespace, name, *port)?;
                (address, Some(format!("{name}.{namespace}.svc")))
            }
        };
        let uri = format!("https://{address}").parse().map_err(|error| format!("{error}"))?;
        let mut config = kube::Config::new(uri);
        config.tls_server_name = name;
        config.proxy_url = None;
        // What the webhook answers is what the client is told: nobody asks it again.
        config.default_retry = false;
        if !self.authorities.is_empty() {
            config.root_cert = Some(certificates(&self.authorities));
        }
        let client = kube::Client::try_from(config).map_err(|error| error.to_string())?;
        Ok(Client { client, address, path })
    }
}

/// The certificates of a PEM file.
fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::pem_slice_iter(pem).filter_map(|der| Some(der.ok()?.as_ref().to_vec())).collect()
}

/// The answer of a webhook, or what the real server's client makes of it.
fn read(code: u16, bytes: &[u8]) -> Result<Value, String> {
    if (200..300).contains(&code) {
        return serde_json::from_slice(bytes)
            .map_err(|_| "couldn't get version/kind; json parse error: ".to_owned() + &not_json(bytes));
    }
    if let Ok(status) = serde_json::from_slice::<Value>(bytes)
        && status["kind"] == "Status"
    {
        return Err(status["message"].as_str().unwrap_or_default().to_owned());
    }
    let said = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]).trim().to_owned();
    Err(match code {
        404 => "the server could not find the requested resource".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 | 415 => said,
        406 if said.is_empty() => {
            "the server was unable to respond with a content type that the client supports".to_owned()
        }
        406 => said,
        409 => "the server reported a conflict".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the request"
            .to_owned(),
        400 => "the server rejected our request for an unknown reason".to_owned(),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        500.. => format!("an error on the server ({said:?}) has prevented the request from succeeding"),
        _ => {
            "the server responded with the status code ".to_owned()
                + &format!("{code} but did not return more information")
        }
    })
}

/// What Go says of text that is no JSON object.
fn not_json(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes).unwrap_or_default().trim_start().chars().next() {
        None => "unexpected end of JSON input".to_owned(),
        Some(first) => format!("invalid character '{first}' looking for beginning of value"),
    }
}

/// An error of the connection in the words of Go's HTTP client, where it has words of its own.
fn go_error(error: &kube::Error, address: &str) -> String {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(error) = at {
        if let Some(known) = known_error(error, address) {
            return known;
        }
        last = error.to_string();
        at = error.source();
    }
    last
}

fn known_error(error: &(dyn std::error::Error + 'static), address: &str) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_error(tls));
    }
    let io = error.downcast_ref::<std::io::Error>()?;
    // What an I/O error holds is not its source: that is the source of what it holds.
    if let Some(known) = io.get_ref().and_then(|held| known_error(held, address)) {
        return Some(known);
    }
    match io.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            Some(format!("dial tcp {address}: connect: connection refused"))
        }
        std::io::ErrorKind::UnexpectedEof => Some("EOF".to_owned()),
        _ => None,
    }
}

fn tls_error(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let why = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "x509: certificate has expired or is not yet valid".to_owned()
        }
        other => other.to_string(),
    };
    format!("tls: failed to verify certificate: {why}")
}
