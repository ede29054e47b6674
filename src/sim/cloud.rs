//! The simulated cloud: what exists outside of the management cluster, whatever becomes of that. Each workload cluster
//! is an embedded API server of its own on a socket; the servers that boot in it appear there as nodes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::sync::Mutex;

use super::MANAGER;
use crate::plane::Plane;

/// A cloud. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct Cloud {
    workloads: Arc<Mutex<HashMap<String, Workload>>>,
}

/// A workload cluster as the cloud has it.
#[derive(Clone)]
pub(super) struct Workload {
    name: String,
    plane: Plane,
    /// Where its API server listens.
    pub host: String,
    pub port: u16,
    /// Its administrator's.
    pub kubeconfig: String,
}

impl Cloud {
    /// The names of the workload clusters that exist, those that nobody manages any more among them.
    pub async fn workload_clusters(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.workloads.lock().await.values().map(|workload| workload.name.clone()).collect();
        names.sort();
        names
    }

    /// End everything in it.
    pub async fn close(&self) {
        for (_, workload) in self.workloads.lock().await.drain() {
            workload.plane.stop();
        }
    }

    /// The workload cluster with this key; made if it is not there.
    pub(super) async fn provision(&self, key: &str, name: &str) -> io::Result<Workload> {
        let mut workloads = self.workloads.lock().await;
        if let Some(workload) = workloads.get(key) {
            return Ok(workload.clone());
        }
        let plane = Plane::builder().remember_requests(0).build();
        let serving = plane.serve_tls("127.0.0.1:0").await?;
        let address = serving.address();
        let workload = Workload {
            name: name.to_owned(),
            kubeconfig: plane.kubeconfig(serving.url()),
            host: address.ip().to_string(),
            port: address.port(),
            plane,
        };
        workloads.insert(key.to_owned(), workload.clone());
        Ok(workload)
    }

    /// The workload cluster with this key, if there is one.
    pub(super) async fn find(&self, key: &str) -> Option<Workload> {
        self.workloads.lock().await.get(key).cloned()
    }

    /// Remove a workload cluster; one that is not there is removed already.
    pub(super) async fn remove(&self, key: &str) {
        if let Some(workload) = self.workloads.lock().await.remove(key) {
            workload.plane.stop();
        }
    }
}

impl Workload {
    /// A server has booted: its node joins.
    pub async fn join(&self, node: &str, version: &str, control_plane: bool) -> Result<(), kube::Error> {
        let role = if control_plane { "control-plane" } else { "worker" };
        let nodes: Api<Node> = Api::all(self.plane.client());
        let params = PatchParams::apply(MANAGER).force();
        let body = json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node, "labels": {format!("node-role.kubernetes.io/{role}"): ""}},
            "spec": {"providerID": format!("simulated:///{node}")}});
        nodes.patch(node, &params, &Patch::Apply(&body)).await?;
        let ready = json!({"type": "Ready", "status": "True", "reason": "Simulated", "message": "simulated: it runs",
            "lastTransitionTime": null, "lastHeartbeatTime": null});
        let status = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node},
            "status": {"conditions": [ready], "nodeInfo": {"kubeletVersion": version, "architecture": "simulated",
                "bootID": "", "containerRuntimeVersion": "simulated://1", "kernelVersion": "simulated",
                "kubeProxyVersion": version, "machineID": "", "operatingSystem": "simulated",
                "osImage": "Simulated", "systemUUID": ""}}});
        nodes.patch_status(node, &params, &Patch::Apply(&status)).await?;
        Ok(())
    }

    /// A server has gone, and its node with it.
    pub async fn leave(&self, node: &str) -> Result<(), kube::Error> {
        let nodes: Api<Node> = Api::all(self.plane.client());
        match nodes.delete(node, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}
