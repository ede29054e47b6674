//! A webhook for tests: HTTPS on the loopback with a certificate of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

/// A running webhook. It lives as long as the test binary.
pub struct WebhookServer {
    port: u16,
    authority: String,
    reviews: Arc<Mutex<Vec<(String, Value)>>>,
}

impl WebhookServer {
    /// Serves what `answer` makes of a path and a review: code and body.
    pub fn start(answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> WebhookServer {
        let names = ["localhost", "127.0.0.1", "hook.default.svc"].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], PrivateKeyDer::from(key))
            .expect("a key that fits the certificate");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let reviews = Arc::new(Mutex::new(Vec::new()));
        let (config, answer, seen) = (Arc::new(config), Arc::new(answer), reviews.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer, seen) = (config.clone(), answer.clone(), seen.clone());
                std::thread::spawn(move || serve(stream, config, &*answer, &seen));
            }
        });
        WebhookServer { port, authority: certified.cert.pem(), reviews }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A `clientConfig` that leads to a path.
    pub fn client_config(&self, path: &str) -> Value {
        json!({"url": format!("https://127.0.0.1:{}{path}", self.port), "caBundle": self.ca_bundle()})
    }

    /// The certificate, as a `caBundle` holds it.
    pub fn ca_bundle(&self) -> String {
        STANDARD.encode(&self.authority)
    }

    /// The paths and reviews that came in since the last time.
    pub fn take_reviews(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.reviews.lock())
    }
}

/// Answers the requests of one connection.
fn serve(
    stream: TcpStream,
    config: Arc<rustls::ServerConfig>,
    answer: &(dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync),
    seen: &Mutex<Vec<(String, Value)>>,
) {
    let Ok(connection) = rustls::ServerConnection::new(config) else { return };
    let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).is_err() || first.is_empty() {
            return;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let target = first.split(' ').nth(1).unwrap_or("/");
        let path = target.split('?').next().unwrap_or("/").to_owned();
        let review: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (code, said) = answer(&path, &review);
        seen.lock().push((path, review));
        let said = said.to_string();
        let head = format!(
            "HTTP/1.1 {code} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            said.len()
        );
        if reader
            .get_mut()
            .write_all((head + &said).as_bytes())
            .and_then(|()| reader.get_mut().flush())
            .is_err()
        {
            return;
        }
    }
}

/// A review's answer, with the review's uid and version.
pub fn answered(review: &Value, mut response: Value) -> (u16, Value) {
    response["uid"] = review["request"]["uid"].clone();
    (200, json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}))
}

/// An answer that allows and patches.
pub fn patched(review: &Value, patch: Value) -> (u16, Value) {
    let patch = STANDARD.encode(patch.to_string());
    answered(review, json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}
