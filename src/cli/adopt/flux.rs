//! Flux's Kustomizations, as far as taking over from them needs.

use serde_json::Value;

use crate::model::{Gvk, LiveObject, ObjectId};

/// The group of Flux's Kustomization.
pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// The field manager with which Flux applies.
pub const MANAGER: &str = "kustomize-controller";

/// A live Kustomization.
#[derive(Debug, Clone)]
pub struct Kustomization {
    /// Its identity.
    pub id: ObjectId,
    /// As it lives.
    pub live: LiveObject,
    /// What it has applied.
    pub inventory: Vec<ObjectId>,
}

impl Kustomization {
    /// Of a live object.
    pub fn of(live: LiveObject) -> Option<Kustomization> {
        let id = ObjectId::of(&live.body).ok()?;
        let entries = live.body["status"]["inventory"]["entries"].as_array().into_iter().flatten();
        let inventory = entries.filter_map(|entry| entry_of(entry["id"].as_str()?)).collect();
        Some(Kustomization { id, live, inventory })
    }

    /// `flux-system/apps`, as moin calls the unit.
    pub fn unit(&self) -> String {
        format!("{}/{}", self.id.namespace().unwrap_or_default(), self.id.name())
    }

    /// Whether Flux leaves it alone.
    pub fn is_suspended(&self) -> bool {
        self.live.body["spec"]["suspend"] == true
    }

    /// Whether Flux is at work on it.
    pub fn is_busy(&self) -> bool {
        let conditions = self.live.body["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter().any(|condition| condition["type"] == "Reconciling" && condition["status"] == "True")
        })
    }

    /// Why its deletion would take along what it applied; `None` when it would not.
    pub fn prunes(&self) -> Option<String> {
        let spec = &self.live.body["spec"];
        let policy = spec["deletionPolicy"].as_str().unwrap_or("MirrorPrune");
        match policy {
            "Orphan" => None,
            "Delete" | "WaitForTermination" => Some(format!("spec.deletionPolicy is {policy}")),
            // It is required; what is not said is taken for the worst.
            _ if spec["prune"] == false => None,
            _ => Some("spec.prune is true".to_owned()),
        }
    }

    /// The version in which it lives.
    pub fn gvk(&self) -> Option<Gvk> {
        Gvk::of(&self.live.body).ok()
    }
}

/// An entry of an inventory: `NAMESPACE_NAME_GROUP_KIND`, a colon in a name written as `__`.
fn entry_of(id: &str) -> Option<ObjectId> {
    let (rest, kind) = id.rsplit_once('_')?;
    let (rest, group) = rest.rsplit_once('_')?;
    let (namespace, name) = rest.split_once('_')?;
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    Some(ObjectId::new(group, kind, namespace, &name.replace("__", ":")))
}

/// Those that apply others before those that are applied: the first would set the others back.
pub fn parents_first(mut all: Vec<Kustomization>) -> Vec<Kustomization> {
    let mut sorted: Vec<Kustomization> = Vec::with_capacity(all.len());
    while !all.is_empty() {
        let free = |one: &Kustomization| {
            !all.iter().any(|other| other.id != one.id && other.inventory.contains(&one.id))
        };
        // In a circle nobody is first.
        let next = all.iter().position(free).unwrap_or(0);
        sorted.push(all.remove(next));
    }
    sorted
}

/// The managed fields of an object with those of Flux given to moin; `None` when Flux has none. The marks that Flux
/// puts on everything it applies go to nobody: they stay as they are.
pub fn handed_over(body: &Value, to: &str) -> Option<Vec<Value>> {
    let entries = body["metadata"]["managedFields"].as_array()?;
    let is_flux = |entry: &Value| entry["manager"] == MANAGER && entry["operation"] == "Apply";
    if !entries.iter().any(is_flux) {
        return None;
    }
    let mut kept: Vec<Value> = entries.iter().filter(|entry| !is_flux(entry)).cloned().collect();
    for entry in entries.iter().filter(|entry| is_flux(entry)) {
        let mut fields = entry["fieldsV1"].clone();
        drop_marks(&mut fields);
        let twin = kept.iter_mut().find(|other| {
            other["manager"] == to
                && ["operation", "apiVersion", "subresource"].iter().all(|key| other[*key] == entry[*key])
        });
        match twin {
            Some(twin) => unite(&mut twin["fieldsV1"], fields),
            None => {
                let mut entry = entry.clone();
                entry["manager"] = to.into();
                entry["fieldsV1"] = fields;
                kept.push(entry);
            }
        }
    }
    Some(kept)
}

fn drop_marks(fields: &mut Value) {
    for place in ["f:labels", "f:annotations"] {
        let Some(Value::Object(marks)) = fields.pointer_mut(&format!("/f:metadata/{place}")) else {
            continue;
        };
        let mark = format!("f:{GROUP}/");
        marks.retain(|key, _| !key.starts_with(&mark));
        let empty = marks.keys().all(|key| key == ".");
        if empty && let Some(Value::Object(metadata)) = fields.get_mut("f:metadata") {
            metadata.remove(place);
        }
    }
    if fields["f:metadata"].as_object().is_some_and(serde_json::Map::is_empty)
        && let Value::Object(fields) = fields
    {
        fields.remove("f:metadata");
    }
}

/// Adds one set of fields to another.
fn unite(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                match into.get_mut(&key) {
                    Some(known) => unite(known, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (into @ Value::Null, more) => *into = more,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_inventory_names_objects() {
        let names = |id: &str| entry_of(id).map(|id| id.full());
        assert_eq!(
            names("a_web_cluster.x-k8s.io_Cluster").as_deref(),
            Some("Cluster.cluster.x-k8s.io/a/web")
        );
        assert_eq!(
            names("_a__b_rbac.authorization.k8s.io_ClusterRole").as_deref(),
            Some("ClusterRole.rbac.authorization.k8s.io/a:b")
        );
        assert_eq!(names("default_x__ConfigMap").as_deref(), Some("ConfigMap/default/x"));
        assert_eq!(names("nonsense"), None);
    }

    #[test]
    fn what_prunes_is_never_taken_for_harmless() {
        let prunes = |spec: Value| {
            let body = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "metadata": {"name": "x", "namespace": "f"}, "spec": spec});
            Kustomization::of(LiveObject::new(body)).unwrap().prunes().is_some()
        };
        assert!(prunes(json!({"prune": true})) && prunes(json!({})));
        assert!(prunes(json!({"prune": false, "deletionPolicy": "Delete"})));
        assert!(
            !prunes(json!({"prune": false})) && !prunes(json!({"prune": true, "deletionPolicy": "Orphan"}))
        );
    }

    #[test]
    fn fields_change_hands_and_marks_stay_with_nobody() {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields});
        let flux = entry(
            MANAGER,
            json!({"f:data": {"f:a": {}}, "f:metadata": {"f:labels":
            {"f:kustomize.toolkit.fluxcd.io/name": {}}}}),
        );
        let other =
            json!({"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsV1": {}});
        let body = |entries: Vec<Value>| json!({"metadata": {"managedFields": entries}});
        let moved = handed_over(&body(vec![flux.clone(), other.clone()]), "moin").unwrap();
        assert_eq!(moved, [other.clone(), entry("moin", json!({"f:data": {"f:a": {}}}))]);
        let ours = entry("moin", json!({"f:data": {"f:b": {}}}));
        let moved = handed_over(&body(vec![ours, flux]), "moin").unwrap();
        assert_eq!(moved, [entry("moin", json!({"f:data": {"f:a": {}, "f:b": {}}}))]);
        assert_eq!(handed_over(&body(vec![other]), "moin"), None);
    }

    #[test]
    fn who_applies_others_comes_first() {
        let one = |name: &str, applies: &[&str]| {
            let entries: Vec<Value> =
                applies.iter().map(|name| json!({"id": format!("f_{name}_{GROUP}_Kustomization")})).collect();
            let body = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Kustomization",
                "metadata": {"name": name, "namespace": "f"}, "status": {"inventory": {"entries": entries}}});
            Kustomization::of(LiveObject::new(body)).unwrap()
        };
        let sorted =
            parents_first(vec![one("apps", &[]), one("infra", &["apps"]), one("root", &["infra", "root"])]);
        let names: Vec<&str> = sorted.iter().map(|one| one.id.name()).collect();
        assert_eq!(names, ["root", "infra", "apps"]);
    }
}
