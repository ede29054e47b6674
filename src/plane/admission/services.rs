//! Where the services are that webhooks name: there is no network of a cluster here, so somebody has to say.

use std::fmt;
use std::sync::Arc;

use crate::plane::server::Server;
use crate::plane::store::Key;

/// Finds the address, `host:port`, of a service's port.
#[derive(Clone)]
pub(crate) struct Services(Arc<Resolver>);

type Resolver = dyn Fn(&str, &str, u16) -> Option<String> + Send + Sync;

impl Services {
    pub fn new(find: impl Fn(&str, &str, u16) -> Option<String> + Send + Sync + 'static) -> Services {
        Services(Arc::new(find))
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Services(..)")
    }
}

/// Answers in the place of all webhooks: a URL and a review, and code and body of the answer.
#[derive(Clone)]
pub(crate) struct Answers(Arc<Answerer>);

type Answerer = dyn Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync;

impl Answers {
    pub fn new(answer: impl Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync + 'static) -> Answers {
        Answers(Arc::new(answer))
    }

    pub(super) fn of(&self, url: &str, review: &[u8]) -> (u16, Vec<u8>) {
        self.0(url, review)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers(..)")
    }
}

/// The address of a service's port: as somebody says, or as the stored Service says.
pub(super) fn resolve(
    server: &Server,
    services: Option<&Services>,
    namespace: &str,
    name: &str,
    port: u16,
) -> Result<String, String> {
    if let Some(address) = services.and_then(|services| services.0(namespace, name, port)) {
        return Ok(address);
    }
    let key = Key { resource: "services".into(), namespace: namespace.into(), name: name.into() };
    let service = server.store.get(&key).ok_or_else(|| format!("service {name:?} not found"))?;
    let spec = &service.body()["spec"];
    let host = match spec["type"].as_str() {
        Some("ExternalName") => spec["externalName"].as_str(),
        _ => spec["clusterIP"].as_str().filter(|address| *address != "None"),
    };
    let served = spec["ports"].as_array().into_iter().flatten().any(|p| p["port"] == port);
    if !served && spec["type"] != "ExternalName" {
        return Err(format!("no service port {port} found for service {name:?}"));
    }
    host.map(|host| format!("{host}:{port}"))
        .ok_or_else(|| format!("service {namespace}/{name} has no address here"))
}
