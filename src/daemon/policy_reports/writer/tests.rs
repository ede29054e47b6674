use super::*;
use crate::model::Gvk;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::json;

const GROUP: &str = "wgpolicyk8s.io";

fn kind() -> ServedKind {
    let gvk = Gvk::new("wgpolicyk8s.io/v1alpha2", "ClusterPolicyReport");
    ServedKind { gvk, plural: "clusterpolicyreports".to_owned(), namespaced: false }
}

fn wanted(names: &[&str]) -> Wanted {
    let report = |name: &&str| {
        let report = json!({"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "ClusterPolicyReport",
            "metadata": {"name": name, "labels": {REPORTS_OF: "moin"}}, "summary": {"fail": 1},
            "results": [{"policy": "p", "result": "fail"}]});
        (ObjectId::of(&report).unwrap(), (kind(), Arc::new(report)))
    };
    Wanted { kinds: vec![kind()], reports: names.iter().map(report).collect() }
}

fn writer(client: kube::Client) -> Writer {
    let fence = Fence::default();
    fence.open_until(Instant::now() + Duration::from_secs(3600));
    Writer::new(Cluster::from_client(client), "moin", fence, Arc::default(), mpsc::unbounded_channel().0)
}

/// The time to look again has come.
fn later(writer: &mut Writer) {
    let known = writer.known.as_mut().unwrap();
    known.looked = known.looked.and_then(|looked| looked.checked_sub(LOOK_AGAIN));
}

fn plane() -> crate::plane::Plane {
    let plane = crate::plane::Plane::new();
    let result = json!({"type": "object", "properties": {"policy": {"type": "string"}, "result": {"type": "string"},
        "scored": {"type": "boolean", "default": true},
        "timestamp": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let schema = json!({"type": "object", "properties": {"results": {"type": "array", "items": result},
        "summary": {"type": "object", "additionalProperties": {"type": "integer"}}}});
    let names = json!({"kind": "ClusterPolicyReport", "plural": "clusterpolicyreports"});
    let version =
        json!({"name": "v1alpha2", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("clusterpolicyreports.{GROUP}")},
        "spec": {"group": GROUP, "scope": "Cluster", "names": names, "versions": [version]}});
    plane.define(&definition).unwrap();
    plane
}

#[tokio::test]
async fn what_others_delete_or_edit_comes_back_and_nothing_is_written_in_vain() {
    let plane = plane();
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(GROUP, "v1alpha2", "ClusterPolicyReport"),
        "clusterpolicyreports",
    );
    let reports: Api<DynamicObject> = Api::all_with(plane.client(), &resource);
    let (mut writer, wanted) = (writer(plane.client()), wanted(&["a"]));
    writer.write(&wanted).await;
    let first = reports.get("a").await.unwrap();

    // The definition adds a default: that is no reason to write again.
    let revision = plane.revision();
    later(&mut writer);
    assert!(writer.due() <= Instant::now());
    writer.write(&wanted).await;
    assert_eq!(plane.revision(), revision);
    assert!(writer.due() > Instant::now() + LOOK_AGAIN / 2, "idle until the next look");

    let edit = json!({"summary": {"fail": 0}});
    reports.patch("a", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    later(&mut writer);
    writer.write(&wanted).await;
    assert_eq!(reports.get("a").await.unwrap().data["summary"]["fail"], 1);

    reports.delete("a", &DeleteParams::default()).await.unwrap();
    later(&mut writer);
    writer.write(&wanted).await;
    assert_ne!(reports.get("a").await.unwrap().metadata.uid, first.metadata.uid);
}

type Requests = Arc<Mutex<Vec<String>>>;

/// A server that refuses some reports by their names.
fn refusing() -> (kube::Client, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let router = axum::Router::new().fallback(
        move |method: http::Method, uri: http::Uri, body: axum::body::Bytes| async move {
            let name = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
            seen.lock().push(format!("{method} {name}"));
            let refusal = |code: u16, reason: &str, message: &str| {
                let body = json!({"kind": "Status", "code": code, "reason": reason, "message": message});
                (http::StatusCode::from_u16(code).unwrap(), axum::Json(body))
            };
            match name.as_str() {
                "bad" => refusal(422, "Invalid", "it is wrong"),
                "ending" => refusal(
                    403,
                    "Forbidden",
                    "unable to create new content in namespace x because it is being terminated",
                ),
                "clusterpolicyreports" => {
                    (http::StatusCode::OK, axum::Json(json!({"metadata": {}, "items": []})))
                }
                _ => {
                    let mut body: Value = serde_json::from_slice(&body).unwrap();
                    body["metadata"]["uid"] = "1".into();
                    (http::StatusCode::OK, axum::Json(body))
                }
            }
        },
    );
    (kube::Client::new(router, "default"), requests)
}

#[tokio::test]
async fn a_report_that_is_refused_waits_alone() {
    let (client, requests) = refusing();
    let mut writer = writer(client);
    writer.write(&wanted(&["a", "bad", "ending"])).await;
    assert_eq!(
        requests.lock().split_off(0),
        ["GET clusterpolicyreports", "PATCH a", "PATCH bad", "PATCH ending"]
    );
    writer.tell();
    let told = writer.problem.lock().clone().unwrap().message;
    assert!(told.contains("bad: it is wrong") && !told.contains("more"), "{told}");

    // News is written at once; what failed waits, and nothing is listed anew.
    writer.write(&wanted(&["a", "b", "bad", "ending"])).await;
    assert_eq!(requests.lock().split_off(0), ["PATCH b"]);
    let now = Instant::now();
    assert!(writer.due() > now && writer.due() < now + 2 * QUIET, "its own next try");
    for failing in writer.failing.values_mut() {
        failing.until = now;
    }
    writer.write(&wanted(&["a", "b", "bad", "ending"])).await;
    assert_eq!(requests.lock().split_off(0), ["PATCH bad", "PATCH ending"]);

    // What is not wanted any more is no trouble any more; a namespace that ends never was.
    writer.write(&wanted(&["a", "b", "ending"])).await;
    writer.tell();
    assert_eq!(*writer.problem.lock(), None);
}

#[tokio::test]
async fn nothing_is_asked_while_writes_are_not_ours() {
    let (client, requests) = refusing();
    let mut writer = writer(client);
    writer.fence.close();
    writer.write(&wanted(&["a"])).await;
    assert!(requests.lock().is_empty() && writer.due() <= Instant::now());
}
