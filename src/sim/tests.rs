//! The whole life of a Cluster in a plane, as fast as it goes; every wait is for a condition.

use std::path::Path;

use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use serde_json::json;

use super::*;
use crate::model::RepoPath;
use crate::plane::Plane;

const CLUSTERS: &str = "cluster.x-k8s.io/v1beta2";

/// A management cluster in which everything is simulated.
struct Simulated {
    plane: Plane,
    cloud: Cloud,
    stop: CancellationToken,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Simulated {
    /// With the example's kinds, Cluster API's providers, and the namespace `team` with what a tenant has.
    async fn new() -> Simulated {
        let simulated =
            Simulated { plane: Plane::new(), cloud: Cloud::default(), stop: CancellationToken::new() };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config/common/crds");
        for file in ["cluster-api.yaml", "cluster-api-operator.yaml", "cluster-stack.yaml"] {
            let text = std::fs::read(folder.join(file)).unwrap();
            for document in crate::yaml::read(&RepoPath::root(), &text) {
                simulated.plane.define(&document.unwrap().value).unwrap();
            }
        }
        simulated.start(Duration::ZERO);
        simulated
            .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}))
            .await;
        for (kind, name) in [
            ("CoreProvider", "cluster-api"),
            ("BootstrapProvider", "kubeadm"),
            ("ControlPlaneProvider", "kubeadm"),
            ("InfrastructureProvider", "openstack"),
        ] {
            simulated.create(object("operator.cluster.x-k8s.io/v1alpha2", kind, name, json!({}))).await;
        }
        let identity =
            json!({"template": {"spec": {"identityRef": {"kind": "Secret", "name": "openstack"}}}});
        let infrastructure = "infrastructure.clusterstack.x-k8s.io/v1alpha1";
        let template = "OpenStackClusterStackReleaseTemplate";
        simulated.create(object(infrastructure, template, "openstack", identity)).await;
        let reference = json!({"apiVersion": infrastructure, "kind": template, "name": "openstack"});
        let stack = json!({"provider": "openstack", "name": "scs2", "kubernetesVersion": "1.34",
            "autoSubscribe": false, "providerRef": reference, "versions": ["v1"]});
        simulated.create(object("clusterstack.x-k8s.io/v1alpha1", "ClusterStack", "scs2-1-34", stack)).await;
        simulated
    }

    fn start(&self, pace: Duration) {
        let cluster = Cluster::from_client(self.plane.client());
        tokio::spawn(Operators { cluster, cloud: self.cloud.clone(), pace }.run(self.stop.clone()));
    }

    async fn restart(&mut self, pace: Duration) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.start(pace);
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        api_of(self.plane.client(), api_version, kind)
    }

    async fn create(&self, object: Value) {
        let api = self.api(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// A Cluster with so many machines in the control plane and in each MachineDeployment.
    async fn cluster(&self, control_plane: u32, workers: &[u32]) {
        let deployments: Vec<Value> = workers
            .iter()
            .enumerate()
            .map(|(n, replicas)| json!({"class": "default-worker", "name": format!("md-{n}"), "replicas": replicas}))
            .collect();
        let topology = json!({"classRef": {"name": "openstack-scs2-1-34-v1"}, "version": "v1.34.2",
            "controlPlane": {"replicas": control_plane}, "workers": {"machineDeployments": deployments}});
        self.create(object(CLUSTERS, "Cluster", "web", json!({"topology": topology}))).await;
    }

    /// Wait until an object is as wanted; `None` while there is none.
    async fn until(
        &self,
        (api_version, kind, name): (&str, &str, &str),
        what: &str,
        wanted: impl Fn(Option<&DynamicObject>) -> bool,
    ) {
        let api = self.api(api_version, kind);
        let met = async { while await_condition(api.clone(), name, &wanted).await.is_err() {} };
        if tokio::time::timeout(Duration::from_secs(30), met).await.is_err() {
            let last = api.get_opt(name).await.unwrap();
            panic!("waited in vain until {what}: {}", serde_json::to_string_pretty(&last).unwrap());
        }
    }

    async fn until_cluster(&self, what: &str, wanted: impl Fn(&Value) -> bool) {
        self.until((CLUSTERS, "Cluster", "web"), what, |it| it.is_some_and(|it| wanted(&it.data["status"])))
            .await;
    }

    async fn names(&self, api_version: &str, kind: &str) -> Vec<String> {
        let all = self.api(api_version, kind).list(&ListParams::default()).await.unwrap();
        all.items.into_iter().map(|object| object.metadata.name.unwrap()).collect()
    }

    /// Change the Cluster; answers the generation that this makes.
    async fn change(&self, patch: Value) -> i64 {
        let api = self.api(CLUSTERS, "Cluster");
        let changed = api.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        changed.metadata.generation.unwrap()
    }

    /// A client of the workload cluster, by the Secret that anybody would take.
    async fn workload(&self) -> Client {
        let secret = self.api("v1", "Secret").get("web-kubeconfig").await.unwrap();
        let encoded = secret.data["data"]["value"].as_str().unwrap();
        let text = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&String::from_utf8(text).unwrap()).unwrap();
        let options = KubeConfigOptions::default();
        Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
    }

    /// Paths of what was written since the requests were cleared.
    fn written(&self) -> Vec<String> {
        let all = self.plane.requests().into_iter().filter(|request| request.is_write());
        all.map(|request| format!("{} {}", request.method, request.path)).collect()
    }
}

fn api_of(client: Client, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match kind {
        "Namespace" | "Node" | "PersistentVolume" => Api::all_with(client, &resource),
        _ => Api::namespaced_with(client, if kind == "Service" { "default" } else { "team" }, &resource),
    }
}

fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": "team"});
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
}

fn holds(status: &Value, kind: &str) -> bool {
    object::array(&status["conditions"]).any(|it| it["type"] == kind && it["status"] == "True")
}

fn is_well(status: &Value) -> bool {
    holds(status, "Available") && holds(status, "TopologyReconciled") && !holds(status, "RollingOut")
}

#[tokio::test]
async fn a_cluster_comes_with_its_machines_and_its_nodes() {
    let simulated = Simulated::new().await;
    simulated.cluster(3, &[2]).await;
    simulated.until_cluster("it is well", is_well).await;
    let machines = simulated.names(CLUSTERS, "Machine").await;
    assert_eq!(machines, ["web-1", "web-2", "web-3", "web-md-0-1", "web-md-0-2"]);
    let nodes: Api<DynamicObject> = api_of(simulated.workload().await, "v1", "Node");
    assert_eq!(nodes.list(&ListParams::default()).await.unwrap().items.len(), 5);
    let cluster = simulated.api(CLUSTERS, "Cluster").get("web").await.unwrap();
    assert_eq!(cluster.data["status"]["phase"], "Provisioned");
    assert_eq!(cluster.data["spec"]["infrastructureRef"]["kind"], "OpenStackCluster");
    let live = crate::model::LiveObject::new(serde_json::to_value(&cluster).unwrap());
    let health = crate::observe::health(&live.body);
    assert_eq!(health.status, crate::model::HealthStatus::Healthy, "{}", health.reason);
    // Everything that they own says who they are.
    let message = &cluster.data["status"]["conditions"][0]["message"];
    assert!(message.as_str().unwrap().starts_with("simulated: "), "{message}");
    let managers = cluster.metadata.managed_fields.unwrap_or_default();
    let theirs = managers.iter().filter_map(|entry| entry.manager.as_deref());
    assert!(theirs.filter(|name| name.starts_with(MANAGER)).count() >= 2);
}

#[tokio::test]
async fn with_nothing_to_do_nothing_is_written_not_even_after_a_restart() {
    let mut simulated = Simulated::new().await;
    simulated.cluster(1, &[1]).await;
    simulated.until_cluster("it is well", is_well).await;
    simulated.restart(Duration::ZERO).await;
    // Whatever changes in a namespace, all of it is looked at: when this is answered, so is the rest.
    let marker =
        json!({"provider": "openstack", "name": "none", "kubernetesVersion": "1.34", "versions": []});
    simulated.plane.clear_requests();
    simulated.create(object("clusterstack.x-k8s.io/v1alpha1", "ClusterStack", "marker", marker)).await;
    let is_answered = |it: Option<&DynamicObject>| it.is_some_and(|it| holds(&it.data["status"], "Ready"));
    let stack = ("clusterstack.x-k8s.io/v1alpha1", "ClusterStack", "marker");
    simulated.until(stack, "the marker is answered", is_answered).await;
    let written = simulated.written();
    assert!(written.iter().all(|path| path.contains("clusterstacks")), "{written:?}");
}

#[tokio::test]
async fn a_new_version_goes_to_the_control_plane_and_then_to_one_deployment_after_the_other() {
    let simulated = Simulated::new().await;
    simulated.cluster(1, &[1, 1]).await;
    simulated.until_cluster("it is well", is_well).await;
    simulated.plane.clear_requests();
    let generation = simulated.change(json!({"spec": {"topology": {"version": "v1.34.3"}}})).await;
    simulated
        .until_cluster("it rolled", |status| {
            is_well(status) && status["observedGeneration"].as_i64() >= Some(generation)
        })
        .await;
    let machines = simulated.api(CLUSTERS, "Machine").list(&ListParams::default()).await.unwrap();
    assert_eq!(machines.items.len(), 3);
    assert!(machines.items.iter().all(|machine| machine.data["spec"]["version"] == "v1.34.3"));
    // When each machine of the new version was first written.
    let requests = simulated.plane.requests();
    let first = |machine: &str| {
        let end = format!("/machines/{machine}");
        requests.iter().position(|request| request.method == "PATCH" && request.path.ends_with(&end)).unwrap()
    };
    let order = [first("web-2"), first("web-md-0-2"), first("web-md-1-2")];
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn a_cluster_goes_in_order_once_nothing_in_it_would_outlive_it() {
    let simulated = Simulated::new().await;
    simulated.cluster(1, &[1]).await;
    simulated.until_cluster("it is well", is_well).await;
    let services: Api<DynamicObject> = api_of(simulated.workload().await, "v1", "Service");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    simulated.plane.clear_requests();
    simulated.api(CLUSTERS, "Cluster").delete("web", &Default::default()).await.unwrap();
    simulated
        .until_cluster("it says what holds it up", |status| {
            object::array(&status["conditions"]).any(|condition| {
                condition["type"] == "Deleting"
                    && condition["message"].as_str().is_some_and(|text| text.contains("Service default/shop"))
            })
        })
        .await;
    assert_eq!(simulated.names(CLUSTERS, "Machine").await.len(), 2);
    services.delete("shop", &Default::default()).await.unwrap();
    simulated.until((CLUSTERS, "Cluster", "web"), "it is gone", |it| it.is_none()).await;
    assert!(simulated.names(CLUSTERS, "Machine").await.is_empty());
    assert!(simulated.cloud.workload_clusters().await.is_empty());
    let requests = simulated.plane.requests();
    let deleted = |end: &str| {
        requests.iter().position(|request| request.method == "DELETE" && request.path.ends_with(end)).unwrap()
    };
    let order = [
        "/machinedeployments/web-md-0",
        "/machines/web-md-0-1",
        "/kubeadmcontrolplanes/web",
        "/machines/web-1",
        "/openstackclusters/web",
    ]
    .map(deleted);
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn a_cluster_stack_stays_while_a_cluster_uses_it() {
    let simulated = Simulated::new().await;
    simulated.cluster(1, &[]).await;
    simulated.until_cluster("it is well", is_well).await;
    let stack = ("clusterstack.x-k8s.io/v1alpha1", "ClusterStack", "scs2-1-34");
    simulated.api(stack.0, stack.1).delete(stack.2, &Default::default()).await.unwrap();
    let refuses = |it: Option<&DynamicObject>| {
        it.is_some_and(|it| {
            it.data["status"]["conditions"][0]["message"]
                .as_str()
                .is_some_and(|text| text.contains("team/web"))
        })
    };
    simulated.until(stack, "it says who uses it", refuses).await;
    // Nor does what it made go, whoever deletes it.
    let release = "openstack-scs2-1-34-v1";
    simulated.api(stack.0, "ClusterStackRelease").delete(release, &Default::default()).await.unwrap();
    assert_eq!(simulated.names(stack.0, "ClusterStackRelease").await, [release]);
    assert_eq!(simulated.names(CLUSTERS, "ClusterClass").await, [release]);
    simulated.api(CLUSTERS, "Cluster").delete("web", &Default::default()).await.unwrap();
    simulated.until(stack, "it is gone", |it| it.is_none()).await;
}

#[tokio::test]
async fn a_paused_cluster_is_left_alone() {
    let simulated = Simulated::new().await;
    simulated.cluster(1, &[1]).await;
    simulated.until_cluster("it is well", is_well).await;
    simulated.change(json!({"spec": {"paused": true, "topology": {"version": "v1.34.9"}}})).await;
    simulated.until_cluster("it says that it is paused", |status| holds(status, "Paused")).await;
    assert_eq!(simulated.names(CLUSTERS, "Machine").await.len(), 2);
    simulated.change(json!({"spec": {"paused": false}})).await;
    simulated.until_cluster("it goes on", |status| is_well(status) && !holds(status, "Paused")).await;
    let machine = simulated.api(CLUSTERS, "Machine").get("web-2").await.unwrap();
    assert_eq!(machine.data["spec"]["version"], "v1.34.9");
}

/// Stopped and started again in the middle of everything, it comes to the same end.
#[tokio::test]
async fn it_can_be_restarted_at_any_moment() {
    let mut simulated = Simulated::new().await;
    simulated.cluster(2, &[2]).await;
    for phase in ["Provisioning", "Provisioned"] {
        simulated.until_cluster(phase, |status| status["phase"] == phase).await;
        simulated.restart(Duration::from_millis(5)).await;
    }
    simulated.until_cluster("it is well", is_well).await;
    let machines = simulated.names(CLUSTERS, "Machine").await;
    assert_eq!(machines, ["web-1", "web-2", "web-md-0-1", "web-md-0-2"]);
}
