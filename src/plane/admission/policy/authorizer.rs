//! What the one who asks may do, by the server's rules.

use std::sync::Arc;

use crate::expr::admission::authorizer::{self, Authorize, Decision, Question};
use crate::expr::cel::Value;
use crate::plane::admission::attributes::Attributes;
use crate::plane::auth::{Attributes as Wanted, User};
use crate::plane::server::Server;

/// Who is asked about.
struct Asker {
    server: Arc<Server>,
    user: Arc<User>,
}

impl Authorize for Asker {
    fn decide(&self, question: &Question, verb: &str) -> Decision {
        let wanted = Wanted {
            user: &self.user,
            verb,
            is_resource: question.is_resource,
            group: &question.group,
            resource: &question.resource,
            subresource: &question.subresource,
            namespace: &question.namespace,
            name: &question.name,
            path: &question.path,
        };
        let decision = self.server.rbac.authorize(&wanted);
        Decision { allowed: decision.allowed, reason: decision.reason }
    }

    fn of_service_account(&self, namespace: &str, name: &str) -> Arc<dyn Authorize> {
        let user = Arc::new(User::service_account(namespace, name, ""));
        Arc::new(Asker { server: self.server.clone(), user })
    }
}

/// `authorizer` and `authorizer.requestResource` of a request.
pub(super) fn values<'a>(attributes: &Attributes<'_>) -> (Value<'a>, Value<'a>) {
    let call = attributes.call;
    let asker = Asker { server: call.server.clone(), user: call.user.clone() };
    let resource = Question {
        is_resource: true,
        group: call.resource.gvk.group.to_string(),
        resource: call.resource.plural.clone(),
        subresource: attributes.subresource().to_owned(),
        namespace: attributes.namespace.clone(),
        name: attributes.name.clone(),
        path: String::new(),
    };
    authorizer::values(Arc::new(asker), resource)
}
