//! OpenAPI documents: paths and schemas that the plane describes are those of the real server.

use moin::plane::Plane;
use serde_json::{Map, Value, json};

use crate::support::real_server::RealServer;

async fn get(client: &kube::Client, path: &str) -> Value {
    client
        .request(http::Request::get(path).body(Vec::new()).unwrap())
        .await
        .unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn definition() -> Value {
    let schema = json!({"type": "object", "description": "A widget.", "required": ["spec"], "properties": {
        "spec": {"type": "object", "description": "What is wanted.", "properties": {
            "size": {"type": "integer", "format": "int32", "minimum": 0, "description": "How many."},
            "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "port": {"x-kubernetes-int-or-string": true, "description": "either"},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "v": {"type": "string", "nullable": true}}}},
            "names": {"type": "object", "additionalProperties": {"type": "string"}}},
            "x-kubernetes-validations": [{"rule": "self.size < 5", "message": "too big"}]},
        "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.shop.example.org"}, "spec": {
            "group": "shop.example.org", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}}},
                {"name": "v1beta1", "served": true, "storage": false,
                 "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

async fn define(client: &kube::Client) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request = http::Request::post(path).header("content-type", "application/json");
    let _: Value =
        client.request(request.body(definition().to_string().into_bytes()).unwrap()).await.unwrap();
}

/// Where two values differ: path, expected, actual.
fn differences(path: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                differences(&format!("{path}/{key}"), &expected[key], &actual[key], found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            found.push(format!("{path}\n  real  {}\n  plane {}", short(a), short(b)));
        }
    }
}

/// Known to differ: which kinds of options there are depends on which APIs a server was built with; component
/// statuses are long deprecated and not served.
fn is_allowed(path: &str) -> bool {
    path.contains("meta.v1.DeleteOptions/x-kubernetes-group-version-kind")
        || path.contains("/componentstatuses")
}

fn members<'a>(document: &'a Value, part: &str) -> &'a Map<String, Value> {
    document.pointer(part).and_then(Value::as_object).unwrap()
}

#[tokio::test]
async fn documents_are_those_of_the_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let real = server.client("admin").await;
    let plane = Plane::new().client();
    define(&real).await;
    define(&plane).await;
    let index = get(&plane, "/openapi/v3").await;
    let paths: Vec<&String> = index["paths"].as_object().unwrap().keys().collect();
    assert!(paths.iter().any(|path| *path == "apis/shop.example.org/v1beta1"), "{paths:?}");
    let mut found = Vec::new();
    for path in paths {
        let path = format!("/openapi/v3/{path}");
        crate::support::eventually("the document is there", std::time::Duration::from_secs(20), async || {
            let index = get(&real, "/openapi/v3").await;
            index["paths"].as_object().unwrap().contains_key(&path["/openapi/v3/".len()..]).then_some(())
        })
        .await;
        let (expected, actual) = (get(&real, &path).await, get(&plane, &path).await);
        differences(&format!("{path} info"), &expected["info"], &actual["info"], &mut found);
        for part in ["/paths", "/components/schemas"] {
            let expected = members(&expected, part);
            for (name, value) in members(&actual, part) {
                differences(name, expected.get(name).unwrap_or(&Value::Null), value, &mut found);
            }
        }
    }
    found.retain(|difference| !is_allowed(difference));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn a_document_is_fetched_once() {
    let plane = Plane::new();
    let serving = plane.serve("127.0.0.1:0").await.unwrap();
    let url = serving.url().to_owned();
    let fetch = move |path: String, header: Option<(&'static str, String)>| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build();
            let mut request = ureq::Agent::new_with_config(agent).get(format!("{url}{path}"));
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let mut response = request.call().unwrap();
            let header = |name: &str| {
                response
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
                    .unwrap_or_default()
            };
            let headers = [header("etag"), header("location"), header("cache-control")];
            (response.status().as_u16(), headers, response.body_mut().read_to_string().unwrap())
        })
    };
    let (_, _, index) = fetch("/openapi/v3".to_owned(), None).await.unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let there = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let (code, [tag, _, caching], body) = fetch(there.clone(), None).await.unwrap();
    assert_eq!((code, caching.as_str()), (200, "public, immutable"));
    assert!(body.starts_with('{') && there.ends_with(tag.trim_matches('"')));
    let (code, _, body) = fetch(there.clone(), Some(("if-none-match", tag))).await.unwrap();
    assert_eq!((code, body.as_str()), (304, ""));
    let (code, [_, location, _], _) =
        fetch("/openapi/v3/apis/apps/v1?hash=OLD".to_owned(), None).await.unwrap();
    assert_eq!((code, location), (301, there.clone()));
    let protobuf = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf".to_owned();
    assert_eq!(fetch(there, Some(("accept", protobuf))).await.unwrap().0, 406);
    assert_eq!(fetch("/openapi/v3/apis/none/v1".to_owned(), None).await.unwrap().0, 404);
    plane.stop();
}
