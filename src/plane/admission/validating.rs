//! Validating webhooks: all that a request is about are asked at once, and each may refuse it.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;

use super::attributes::Attributes;
use super::webhook::{Refusal, Webhook};
use crate::plane::status::Failure;

/// Asks the webhooks.
pub(super) async fn ask(
    attributes: &Attributes<'_>,
    hooks: &[Arc<Webhook>],
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(), Failure> {
    let mut asked = Vec::new();
    for hook in hooks {
        if let Some(form) = hook.asked(attributes, object, old)? {
            asked.push((hook, form));
        }
    }
    let answers = join_all(asked.into_iter().enumerate().map(async |(index, (hook, form))| {
        let shown = |body: Option<&Value>| body.map_or(Value::Null, |body| attributes.in_form(&form, body));
        match hook.ask(attributes, &form, &shown(object), &shown(old), false).await {
            Ok(_) => Ok(()),
            Err(Refusal::Denied(failure)) => Err(*failure),
            Err(Refusal::Unreachable(_)) if hook.ignores_failures => {
                let key = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
                attributes.call.notes.annotate(key, hook.name.clone());
                Ok(())
            }
            Err(Refusal::Unreachable(why)) => Err(Failure::internal_error(&why)),
        }
    }));
    answers.await.into_iter().collect()
}
