//! What is wrong with the objects that configure admission.

mod expression;
mod policy;
mod report;
mod resources;
mod webhook;

use serde_json::Value;

use self::report::Report;
use crate::plane::kinds::Resource;
use crate::plane::status::FieldError;

/// Errors of an object of the group; `before` is the stored one when this is an update.
pub(crate) fn validate(resource: &Resource, body: &Value, before: Option<&Value>) -> Vec<FieldError> {
    let mut report = Report::default();
    if &*resource.gvk.group != "admissionregistration.k8s.io" {
        return report.errors;
    }
    match &*resource.gvk.kind {
        "ValidatingWebhookConfiguration" => webhook::configuration(body, before, false, &mut report),
        "MutatingWebhookConfiguration" => webhook::configuration(body, before, true, &mut report),
        "ValidatingAdmissionPolicy" => policy::validating(body, before, &mut report),
        "ValidatingAdmissionPolicyBinding" => policy::binding(body, true, &mut report),
        "MutatingAdmissionPolicy" => policy::mutating(body, before, &mut report),
        "MutatingAdmissionPolicyBinding" => policy::binding(body, false, &mut report),
        _ => {}
    }
    report.errors
}
