//! The status of a definition: which of its names it was given, and whether it is served.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::approval;
use super::conversion::is_bundle;
use super::storage_versions;

/// Names that definitions of one group were given.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Plural, singular and short names: all may stand in a request.
    resources: BTreeSet<String>,
    /// Kinds and list kinds.
    kinds: BTreeSet<String>,
}

impl Taken {
    /// Notes the names that a definition was given.
    pub fn add(&mut self, accepted: &Value) {
        self.resources.extend(["plural", "singular"].into_iter().filter_map(|key| owned(&accepted[key])));
        self.resources.extend(accepted["shortNames"].as_array().into_iter().flatten().filter_map(owned));
        self.kinds.extend(["kind", "listKind"].into_iter().filter_map(|key| owned(&accepted[key])));
    }
}

fn owned(text: &Value) -> Option<String> {
    text.as_str().map(str::to_owned)
}

/// The status of a definition that was just created.
pub(crate) fn initial_status(body: &Value) -> Value {
    json!({
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": null,
        "storedVersions": storage_versions(body).first().into_iter().collect::<Vec<_>>(),
    })
}

/// A version that is stored from now on is noted before anything is held against the definition.
pub(crate) fn note_storage_version(body: &mut Value) {
    let Some(name) = storage_versions(body).first().map(|name| Value::from(*name)) else { return };
    if !body["status"]["storedVersions"].is_array() {
        body["status"]["storedVersions"] = json!([]);
    }
    if let Some(stored) = body["status"]["storedVersions"].as_array_mut()
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}

/// Whether its resources are served.
pub(crate) fn is_established(body: &Value) -> bool {
    is_true(body, "Established")
}

/// Whether it was given its names.
pub(crate) fn is_accepted(body: &Value) -> bool {
    is_true(body, "NamesAccepted")
}

fn is_true(body: &Value, kind: &str) -> bool {
    find(&body["status"], kind).is_some_and(|condition| condition["status"] == "True")
}

fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Sets a condition; one that only says the same keeps its time.
pub(crate) fn set(status: &mut Value, kind: &str, truth: &str, reason: &str, message: &str, now: &str) {
    let old = find(status, kind).filter(|old| old["status"] == truth);
    let since = old.and_then(|old| old["lastTransitionTime"].as_str()).unwrap_or(now);
    let new = json!({
        "type": kind, "status": truth, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    if let Some(conditions) = status["conditions"].as_array_mut() {
        match conditions.iter_mut().find(|condition| condition["type"] == kind) {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
    }
}

/// The status that follows from the names that are free. Nothing that is already served is taken back.
pub(crate) fn status(body: &Value, taken: &Taken, now: &str) -> Value {
    let mut status = body["status"].clone();
    let (wanted, given) = (&body["spec"]["names"], body["status"]["acceptedNames"].clone());
    if !status["acceptedNames"].is_object() {
        status["acceptedNames"] = json!({});
    }
    let mut conflict = None;
    for (key, reason, names) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ] {
        match in_use(&wanted[key], &given[key], names) {
            Some(why) => conflict = Some((reason, why)),
            None => super::set_or_remove(&mut status["acceptedNames"], key, wanted[key].clone()),
        }
    }
    super::set_or_remove(&mut status["acceptedNames"], "categories", wanted["categories"].clone());
    let served = is_established(body);
    match &conflict {
        Some((reason, why)) => set(&mut status, "NamesAccepted", "False", reason, why, now),
        None => set(&mut status, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now),
    }
    let bundle = &body["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"];
    if served {
        // Stays as it is.
    } else if conflict.is_some() {
        set(&mut status, "Established", "False", "NotAccepted", "not all names are accepted", now);
    } else if !is_bundle(bundle.as_str().unwrap_or_default()) {
        let why = "The conversion webhook CABundle is invalid";
        set(&mut status, "Established", "False", "InvalidCABundle", why, now);
    } else {
        let why = "the initial names have been accepted";
        set(&mut status, "Established", "True", "InitialNamesAccepted", why, now);
    }
    if let Some((truth, reason, why)) = approval::condition(body) {
        set(&mut status, "KubernetesAPIApprovalPolicyConformant", truth, reason, &why, now);
    }
    status
}

/// Which of the names somebody else has, in words.
fn in_use(wanted: &Value, given: &Value, taken: &BTreeSet<String>) -> Option<String> {
    if wanted == given {
        return None;
    }
    let held: Vec<&str> = given.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let names = match wanted {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    let mut used: Vec<String> = names
        .into_iter()
        .filter(|name| !held.contains(name) && taken.contains(*name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
    match used.len() {
        0 => None,
        1 => used.pop(),
        _ => Some(format!("[{}]", used.join(", "))),
    }
}

/// Says of a definition how far its deletion is; whether that is news.
pub(crate) fn set_terminating(
    body: &mut Value,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) -> bool {
    let new = serde_json::json!({
        "type": "Terminating", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now,
    });
    if !body["status"]["conditions"].is_array() {
        body["status"]["conditions"] = serde_json::json!([]);
    }
    let Some(conditions) = body["status"]["conditions"].as_array_mut() else { return false };
    let Some(old) = conditions.iter_mut().find(|one| one["type"] == "Terminating") else {
        conditions.push(new);
        return true;
    };
    let since = if old["status"] == status { old["lastTransitionTime"].clone() } else { now.into() };
    let changed = old["status"] != status || old["reason"] != reason || old["message"] != message;
    *old = new;
    old["lastTransitionTime"] = since;
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({
            "metadata": {"name": format!("{plural}.g")},
            "spec": {"group": "g", "names": {
                "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"),
                "shortNames": short}},
        })
    }

    #[test]
    fn a_taken_name_is_refused_and_the_others_are_given() {
        let mut taken = Taken::default();
        let mut first = definition("gadgets", "Gadget", &["gd"]);
        first["status"] = status(&first, &taken, "2024-01-01T00:00:00Z");
        assert!(is_established(&first));
        taken.add(&first["status"]["acceptedNames"]);
        let mut second = definition("things", "Thing", &["gd", "th"]);
        second["status"] = status(&second, &taken, "2024-01-01T00:00:00Z");
        assert!(!is_established(&second));
        let accepted = find(&second["status"], "NamesAccepted").unwrap();
        assert_eq!(
            (&accepted["reason"], &accepted["message"]),
            (&json!("ShortNamesConflict"), &json!("\"gd\" is already in use"))
        );
        assert_eq!(second["status"]["acceptedNames"]["plural"], "things");
        second["status"] = status(&second, &Taken::default(), "2024-01-01T00:00:01Z");
        assert!(is_established(&second));
    }
}
