//! How to reach an API server.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::error::chain;
use super::{Cluster, ClusterError};

/// How long one request may take, from sending to the last byte of the answer. Watches are not bound by it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

impl Cluster {
    /// Connects as kubectl would: with the given kubeconfig, else `KUBECONFIG`, else `~/.kube/config`, else as a pod.
    /// Nothing is asked of the API server yet.
    ///
    /// # Errors
    /// [`ClusterError::Config`] when no way to connect can be made out.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Cluster, ClusterError> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = match (kubeconfig, context) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path).map_err(|e| bad_config(&e))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|e| bad_config(&e))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|e| bad_config(&e))?,
            (None, None) => Config::infer().await.map_err(|e| bad_config(&e))?,
        };
        Cluster::of_config(config)
    }

    /// Connects with a kubeconfig that came from a cluster, such as a Secret of Cluster API. It may run no program and
    /// name no file: whoever can write the Secret must not gain this machine by it.
    ///
    /// # Errors
    /// [`ClusterError::Config`] when it cannot be read or names a program or file.
    pub async fn connect_with_text(kubeconfig: &str, context: Option<&str>) -> Result<Cluster, ClusterError> {
        // What the readers say may quote the text, and with it the credentials.
        let unusable = |what: &str| ClusterError::Config { reason: what.to_owned() };
        let file = Kubeconfig::from_yaml(kubeconfig).map_err(|_| unusable("it is no valid kubeconfig"))?;
        if let Some(what) = reaches_out(&file) {
            let reason = format!("the kubeconfig names {what}, which is not allowed in one from a cluster");
            return Err(ClusterError::Config { reason });
        }
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(file, &options).await;
        let config = config.map_err(|_| unusable("its context leads to no usable cluster and user"))?;
        Cluster::of_config(config).map_err(|_| unusable("its certificates, key or token cannot be used"))
    }

    /// With a client that is there already: a test's, or that of the embedded API server.
    pub fn from_client(client: Client) -> Cluster {
        Cluster {
            client,
            url: "in-process".into(),
            timeout: REQUEST_TIMEOUT,
            most_bytes: usize::MAX,
            acting: None,
        }
    }

    /// The same, each request with another time-out.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Cluster {
        self.timeout = timeout;
        self
    }

    /// The same, no answer longer than this: for a server that is not ours, or a path that we did not choose.
    #[must_use]
    pub(super) fn with_most_bytes(mut self, most: usize) -> Cluster {
        self.most_bytes = most;
        self
    }

    fn of_config(mut config: Config) -> Result<Cluster, ClusterError> {
        // The client would repeat a request for minutes inside one call. When to try again is decided elsewhere.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        let url = config.cluster_url.to_string().into();
        let client = Client::try_from(config).map_err(|e| ClusterError::of_client(&e))?;
        Ok(Cluster { client, url, timeout: REQUEST_TIMEOUT, most_bytes: usize::MAX, acting: None })
    }
}

/// What is wrong with a kubeconfig, but none of its text: who reads YAML would quote lines of it, and credentials in them.
fn bad_config(error: &(dyn Error + 'static)) -> ClusterError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(KubeconfigError::Parse(error)) = error.downcast_ref() {
            let place = error.location();
            let place = place.map(|it| format!(": line {}, column {}", it.line(), it.column()));
            let reason = format!("the kubeconfig cannot be read{}", place.unwrap_or_default());
            return ClusterError::Config { reason };
        }
        cause = error.source();
    }
    ClusterError::Config { reason: chain(error) }
}

/// The first thing in a kubeconfig that reaches out of it.
fn reaches_out(file: &Kubeconfig) -> Option<&'static str> {
    let clusters = file.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let users = file.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    if clusters.into_iter().any(|cluster| cluster.certificate_authority.is_some()) {
        return Some("a file with certificates");
    }
    for user in users {
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Some("a program");
        }
        if user.token_file.is_some() || user.client_certificate.is_some() || user.client_key.is_some() {
            return Some("a file with credentials");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {USER}}]
";

    #[tokio::test]
    async fn a_kubeconfig_from_a_cluster_runs_nothing() {
        let with = |user: &str| KUBECONFIG.replace("USER", user);
        assert!(Cluster::connect_with_text(&with("token: x"), None).await.is_ok());
        for bad in
            ["exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}", "tokenFile: /etc/passwd"]
        {
            let error = Cluster::connect_with_text(&with(bad), None).await.err().unwrap();
            assert!(matches!(error, ClusterError::Config { .. }), "{error}");
        }
        assert!(Cluster::connect_with_text(&with("token: x"), Some("b")).await.is_err());
        assert!(Cluster::connect_with_text("{", None).await.is_err());
    }

    #[tokio::test]
    async fn no_part_of_a_kubeconfig_is_in_an_error() {
        let parts = ["s3cret", "elsewhere"];
        for bad in [
            "apiVersion: v1\nusers: [{name: a, user: {token: s3cret}\n",
            "users: {token: s3cret}",
            "s3cret: [elsewhere",
            &KUBECONFIG
                .replace("current-context: a", "current-context: s3cret")
                .replace("USER", "token: s3cret"),
            &KUBECONFIG.replace("http://127.0.0.1:1", "s3cret elsewhere").replace("USER", ""),
            &KUBECONFIG.replace("USER", "client-certificate-data: s3cret, client-key-data: elsewhere"),
        ] {
            let error = Cluster::connect_with_text(bad, None).await.err().unwrap().to_string();
            assert!(parts.iter().all(|part| !error.contains(part)), "{error}");
        }
    }

    #[tokio::test]
    async fn of_a_kubeconfig_that_cannot_be_read_only_the_place_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for bad in ["users:\n- name: a\n  user:\n    token: s3cret\n   x: [\n", "users: {token: s3cret}"] {
            std::fs::write(&path, bad).unwrap();
            let error = Cluster::connect(Some(&path), None).await.err().unwrap().to_string();
            assert!(error.contains("cannot be read: line ") && !error.contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let cluster =
            Cluster::connect_with_text(&KUBECONFIG.replace("USER", "token: x"), None).await.unwrap();
        let error = cluster.discover().await.unwrap_err();
        assert!(matches!(error, ClusterError::Unreachable { .. }) && error.is_retryable(), "{error}");
    }
}
