//! The controllers of service accounts: each namespace has its `default` account and, if wanted, the certificate of
//! the authority in `kube-root-ca.crt`; Secrets that ask for a token get one, and go with their account.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::token::ISSUER;
use super::user::service_account_name;
use crate::plane::clock;
use crate::plane::kinds::Resource;
use crate::plane::server::Server;
use crate::plane::store::{Key, Object, Range};

const MANAGER: &str = "kube-controller-manager";
const DEFAULT: &str = "default";
const ROOT_CA: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// After an object was written.
pub(crate) fn wrote(server: &Arc<Server>, resource: &Resource, key: &Key, object: &Object) {
    if !server.settings.controllers {
        return;
    }
    match (&*resource.gvk.group, &*resource.gvk.kind) {
        ("", "Namespace") if !object.is_deleting() => furnish(server, &key.name),
        ("", "Secret") if !object.is_deleting() => {
            let body = object.body();
            if body["type"] == TOKEN_TYPE && body["data"]["token"].is_null() {
                spawn_fill(server, key);
            }
        }
        // The Secrets that were there first, and wait for their account.
        ("", "ServiceAccount") => {
            for (key, _) in token_secrets(server, &key.namespace, &key.name) {
                spawn_fill(server, &key);
            }
        }
        _ => {}
    }
}

/// After an object was removed.
pub(crate) fn removed(server: &Arc<Server>, resource: &Resource, key: &Key) {
    if !server.settings.controllers || !resource.gvk.group.is_empty() {
        return;
    }
    let own = match &*resource.gvk.kind {
        "ServiceAccount" => {
            for (key, object) in token_secrets(server, &key.namespace, &key.name) {
                spawn_delete(server, &key, object.uid());
            }
            DEFAULT
        }
        "ConfigMap" => ROOT_CA,
        _ => return,
    };
    let namespace = Key { resource: "namespaces".into(), namespace: "".into(), name: key.namespace.clone() };
    let lives = server.store.get(&namespace).is_some_and(|namespace| !namespace.is_deleting());
    if &*key.name == own && lives {
        furnish(server, &key.namespace);
    }
}

/// Gives a namespace what every namespace has; what is there already stays.
pub(crate) fn furnish(server: &Arc<Server>, namespace: &str) {
    let now = clock::now();
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": namespace, "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": now,
        })
    };
    let put = |resource: &str, name: &str, body: Value| {
        let key = Key { resource: resource.into(), namespace: namespace.into(), name: name.into() };
        // When somebody else has made one, that is as well.
        let _ = server.store.put(&key, None, body);
    };
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(DEFAULT)});
    put("serviceaccounts", DEFAULT, account);
    let authority = server.settings.root_ca.then(|| server.keys.authority().ok()).flatten();
    if let Some(authority) = authority {
        let mut metadata = metadata(ROOT_CA);
        metadata["annotations"] = json!({"kubernetes.io/description": DESCRIPTION});
        metadata["managedFields"] = json!([{
            "manager": MANAGER, "operation": "Update", "apiVersion": "v1", "time": now, "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:data": {".": {}, "f:ca.crt": {}},
                "f:metadata": {"f:annotations": {".": {}, "f:kubernetes.io/description": {}}},
            },
        }]);
        let data = json!({"ca.crt": authority.certificate()});
        put(
            "configmaps",
            ROOT_CA,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),
        );
    }
}

/// The Secrets that hold, or wait for, a token of an account.
fn token_secrets(server: &Server, namespace: &str, account: &str) -> Vec<(Key, Arc<Object>)> {
    let range = Range { namespace: Some(namespace), ..Range::default() };
    let page = server.store.list("secrets", &range, |secret| {
        let body = secret.body();
        body["type"] == TOKEN_TYPE && body["metadata"]["annotations"][ACCOUNT_NAME] == account
    });
    let key = |object: &Object| Key {
        resource: "secrets".into(),
        namespace: namespace.into(),
        name: object.name().into(),
    };
    page.map(|page| page.objects).unwrap_or_default().into_iter().map(|o| (key(&o), o)).collect()
}

fn spawn_fill(server: &Arc<Server>, key: &Key) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (server, key) = (server.clone(), key.clone());
    runtime.spawn(async move { fill(&server, &key).await });
}

fn spawn_delete(server: &Arc<Server>, key: &Key, uid: &str) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (server, key, uid) = (server.clone(), key.clone(), uid.to_owned());
    runtime.spawn(async move { delete(&server, &key, &uid).await });
}

async fn delete(server: &Arc<Server>, key: &Key, uid: &str) {
    let registry = server.registry();
    let Some(secrets) = registry.find("", "v1", "secrets") else { return };
    let call = server.own_call(secrets.clone(), &key.namespace, &key.name);
    // What is gone already needs nothing more.
    let _ = call.delete(&json!({"preconditions": {"uid": uid}})).await;
}

/// Puts token, namespace and certificate into a Secret. One whose account is not there, or is another one by now,
/// is deleted.
async fn fill(server: &Arc<Server>, key: &Key) {
    let registry = server.registry();
    let Some(secrets) = registry.find("", "v1", "secrets") else { return };
    let mut call = server.own_call(secrets.clone(), &key.namespace, &key.name);
    MANAGER.clone_into(&mut call.options.manager);
    // A few times, should others write in between.
    for _ in 0..8 {
        let Some(live) = call.live().filter(|live| !live.is_deleting()) else { return };
        let mut body = live.body();
        let annotations = &body["metadata"]["annotations"];
        let name = annotations[ACCOUNT_NAME].as_str().unwrap_or_default().to_owned();
        let account = Key {
            resource: "serviceaccounts".into(),
            namespace: key.namespace.clone(),
            name: name.as_str().into(),
        };
        let account = server.store.get(&account);
        let named = annotations[ACCOUNT_UID].as_str().filter(|uid| !uid.is_empty());
        let Some(account) = account.filter(|account| named.is_none_or(|uid| uid == account.uid())) else {
            return delete(server, key, live.uid()).await;
        };
        if !body["data"]["token"].is_null() {
            return;
        }
        complete(server, &mut body, key, &name, account.uid());
        match call.replace(&live, body, false).await {
            Ok(Ok(_)) | Err(_) => return,
            Ok(Err(_)) => {}
        }
    }
}

fn complete(server: &Server, body: &mut Value, key: &Key, account: &str, uid: &str) {
    let of = |field: &str| format!("kubernetes.io/serviceaccount/{field}");
    let token = server.keys.signer.sign(&json!({
        "iss": ISSUER, "sub": service_account_name(&key.namespace, account),
        of("namespace"): &*key.namespace, of("secret.name"): &*key.name,
        of("service-account.name"): account, of("service-account.uid"): uid,
    }));
    body["metadata"]["annotations"][ACCOUNT_UID] = uid.into();
    if !body["data"].is_object() {
        body["data"] = json!({});
    }
    body["data"]["token"] = STANDARD.encode(token).into();
    body["data"]["namespace"] = STANDARD.encode(&*key.namespace).into();
    if let Ok(authority) = server.keys.authority() {
        body["data"]["ca.crt"] = STANDARD.encode(authority.certificate()).into();
    }
}
