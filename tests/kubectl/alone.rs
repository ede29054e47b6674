//! What needs the controllers that a bare API server does not have: kubectl against the plane alone.

use moin::plane::Plane;

use crate::commands::Side;
use crate::support::real_server::kubectl_folder;

/// Runs commands one after the other; each must end well and say something.
async fn check(steps: &'static [(&'static str, &'static str)]) {
    let Some(programs) = kubectl_folder() else { return };
    let plane = Plane::new();
    let serving = plane.serve("127.0.0.1:0").await.unwrap();
    let side = Side::new(&plane.kubeconfig(serving.url()), &programs, "alone");
    tokio::task::spawn_blocking(move || {
        for (command, expected) in steps {
            let said = side.run(command);
            assert!(said.contains(expected), "$ {command}\n{said}");
        }
    })
    .await
    .unwrap();
    plane.stop();
}

/// A ConfigMap that another one owns.
const OWNED: &str = r#"kubectl create configmap owner && uid=$(kubectl get configmap owner -o jsonpath='{.metadata.uid}') &&
    printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"%s","blockOwnerDeletion":true}]}}' "$uid" | kubectl create -f -"#;

#[tokio::test]
async fn a_namespace_is_deleted_with_all_that_is_in_it() {
    check(&[
        ("kubectl create namespace a", "created\n[0]"),
        ("kubectl -n a create configmap x && kubectl -n a create deployment d --image=i", "[0]"),
        ("kubectl delete namespace a --timeout=30s", "deleted\n[0]"),
        ("kubectl get namespace a", "not found\n[1]"),
        ("kubectl -n a get configmap x", "not found\n[1]"),
    ])
    .await;
}

#[tokio::test]
async fn dependents_go_before_after_or_never() {
    check(&[
        (OWNED, "configmap/owned created\n[0]"),
        ("kubectl delete configmap owner --cascade=foreground --timeout=20s", "[0]"),
        ("kubectl get configmap owned --ignore-not-found -o name", "\n[0]"),
        ("kubectl get configmap owned", "not found"),
        (OWNED, "[0]"),
        ("kubectl delete configmap owner --cascade=background", "[0]"),
        ("kubectl wait --for=delete configmap/owned --timeout=20s", "[0]"),
        (OWNED, "[0]"),
        ("kubectl delete configmap owner --cascade=orphan --timeout=20s", "[0]"),
        (
            "kubectl get configmap owned -o jsonpath='{.metadata.ownerReferences}{.metadata.name}'",
            "owned\n[0]",
        ),
        ("kubectl get configmap owner", "not found"),
    ])
    .await;
}

#[tokio::test]
async fn a_definition_is_deleted_with_its_objects() {
    check(&[
        ("kubectl apply -f crd.yaml", "created"),
        (
            "kubectl wait --for=condition=Established crd/gadgets.kubectl.example.org --timeout=20s",
            "condition met",
        ),
        ("kubectl apply -f gadget.yaml", "created"),
        ("kubectl delete crd gadgets.kubectl.example.org --timeout=20s", "deleted\n[0]"),
        ("kubectl get gadgets", "could not find the requested resource"),
    ])
    .await;
}

#[tokio::test]
async fn people_learn_who_they_are_and_what_they_may() {
    check(&[
        ("kubectl auth whoami -o jsonpath='{.status.userInfo.groups}'", "system:masters"),
        ("kubectl auth can-i --list", "*.*"),
        ("kubectl auth can-i create pods --as=jane", "no\n[1]"),
        ("kubectl create clusterrolebinding jane --clusterrole=edit --user=jane", "created"),
        ("kubectl auth can-i create pods --as=jane", "yes\n[0]"),
        ("kubectl create configmap mine --as=jane", "created\n[0]"),
        (
            "kubectl create namespace mine --as=jane",
            "cannot create resource \"namespaces\" in API group \"\" at the cluster scope\n[1]",
        ),
        ("kubectl create serviceaccount robot && kubectl create token robot --duration=1h", "\ney"),
    ])
    .await;
}
