//! Mutating admission: one after the other, each sees what the one before it made; if anything changed, those that
//! want to are asked a second time.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::webhook::{Refusal, Webhook};
use crate::merge::json_patch;
use crate::plane::patch;
use crate::plane::status::Failure;

/// Who is asked again after somebody changed the object.
#[derive(Default)]
pub(super) struct Reinvocation {
    /// Asked already, and would be again.
    candidates: HashSet<String>,
    again: HashSet<String>,
    last: Option<Value>,
}

impl Reinvocation {
    /// The object is not what those that were asked have seen.
    pub fn changed(&mut self) {
        self.again.extend(self.candidates.drain());
    }

    /// Before a second round: somebody else may have changed the object since.
    pub fn begin_again(&mut self, object: Option<&Value>) {
        if self.last.as_ref() != object {
            self.changed();
        }
    }

    /// After a round.
    pub fn end(&mut self, object: Option<&Value>) {
        self.last = object.cloned();
    }

    pub fn is_due(&self, id: &str) -> bool {
        self.again.contains(id)
    }

    pub fn asked(&mut self, id: &str) {
        self.candidates.insert(id.to_owned());
    }
}

/// Asks the webhooks in one round; whether one of them changed the object.
pub(super) async fn ask(
    attributes: &Attributes<'_>,
    hooks: &[Arc<Webhook>],
    object: &mut Option<Value>,
    old: Option<&Value>,
    state: &mut Reinvocation,
    round: usize,
) -> Result<bool, Failure> {
    let mut any = false;
    for (index, hook) in hooks.iter().enumerate() {
        let Some(form) = hook.asked(attributes, object.as_ref(), old)? else { continue };
        if round > 0 && !state.is_due(&hook.id) {
            continue;
        }
        let shown = |body: Option<&Value>| body.map_or(Value::Null, |body| attributes.in_form(&form, body));
        let before = shown(object.as_ref());
        let place = format!("round_{round}_index_{index}");
        let notes = &attributes.call.notes;
        let verdict = hook.ask(attributes, &form, &before, &shown(old), true).await;
        let after = match verdict {
            Ok(verdict) => patched(hook, &before, verdict.patch.as_deref(), &verdict.patch_type),
            Err(refusal) => Err(refusal),
        };
        let changed = matches!(&after, Ok(Some(after)) if *after != before);
        notes.annotate(format!("mutation.webhook.admission.k8s.io/{place}"), hook.mutation_note(changed));
        if changed {
            any = true;
            state.changed();
        }
        if hook.reinvoked {
            state.asked(&hook.id);
        }
        match after {
            Ok(None) => {}
            Ok(Some(after)) => {
                let mut after = attributes.in_own_form(&form, after);
                attributes.call.normalise(&mut after, false);
                *object = Some(after);
            }
            Err(Refusal::Denied(failure)) => return Err(*failure),
            Err(Refusal::Unreachable(_)) if hook.ignores_failures => {
                let key = format!("failed-open.mutation.webhook.admission.k8s.io/{place}");
                notes.annotate(key, hook.name.clone());
            }
            Err(Refusal::Unreachable(why)) => return Err(Failure::internal_error(&why)),
        }
    }
    Ok(any)
}

/// The object after a webhook's patch; `None` without one.
fn patched(
    hook: &Webhook,
    before: &Value,
    patch: Option<&[u8]>,
    patch_type: &str,
) -> Result<Option<Value>, Refusal> {
    let Some(patch) = patch else { return Ok(None) };
    let unreadable =
        |why: String| Refusal::Unreachable(format!("failed calling webhook {:?}: {why}", hook.name));
    let operations = patch::operations(patch)
        .map_err(|error| unreadable(format!("received undecodable patch in webhook response: {error}")))?;
    if operations.is_empty() {
        return Ok(None);
    }
    let failed = |why: String| Refusal::Denied(Box::new(Failure::internal_error(&why)));
    if before.is_null() {
        return Err(failed(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            hook.name
        )));
    }
    if patch_type != "JSONPatch" {
        return Err(unreadable(format!("unsupported patch type {patch_type:?}")));
    }
    json_patch::apply(before, &operations).map(Some).map_err(|error| failed(error.to_string()))
}

/// Field managers that make no sense after admission are what they were before; a warning says so.
pub(super) fn keep_managers(attributes: &Attributes<'_>, before: &Value, object: &mut Value) {
    let Some(why) = managers_error(&object["metadata"]["managedFields"]) else { return };
    let managers = before["metadata"]["managedFields"].clone();
    crate::plane::write::set_or_remove(&mut object["metadata"], "managedFields", managers);
    attributes.call.notes.warn(format!(
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: {why}"
    ));
}

fn managers_error(managers: &Value) -> Option<String> {
    for entry in managers.as_array().into_iter().flatten() {
        match entry["operation"].as_str().unwrap_or_default() {
            "Apply" | "Update" => {}
            other => return Some(format!("invalid operation: {other}")),
        }
        if entry["apiVersion"].as_str().unwrap_or_default().is_empty() {
            return Some("apiVersion must not be empty".to_owned());
        }
        if entry["fieldsType"].as_str().unwrap_or_default().is_empty() {
            return Some("fieldsType must not be empty".to_owned());
        }
        if entry["fieldsType"] != json!("FieldsV1") {
            return Some(format!("invalid fieldsType: {}", entry["fieldsType"].as_str().unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asked_for_it_is_asked_again() {
        let mut state = Reinvocation::default();
        state.asked("a");
        state.changed();
        state.asked("b");
        assert!(state.is_due("a") && !state.is_due("b"));
        state.end(Some(&json!(1)));
        state.begin_again(Some(&json!(1)));
        assert!(!state.is_due("b"), "nothing happened since");
        state.begin_again(Some(&json!(2)));
        assert!(state.is_due("b"));
    }

    #[test]
    fn managers_are_looked_at() {
        let entry = json!([{"operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}]);
        assert_eq!(managers_error(&entry), None);
        assert_eq!(managers_error(&Value::Null), None);
        assert_eq!(managers_error(&json!([{"operation": "X"}])).unwrap(), "invalid operation: X");
    }
}
