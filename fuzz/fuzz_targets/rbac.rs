//! Any bytes as an RBAC object or a review; then somebody asks for what the rules are about.
#![no_main]

mod common;

use common::bodies::{Endpoint, endpoints, is_sound, send};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::body_of(if bytes.last().is_some_and(|last| last & 3 == 0) { "review" } else { "rbac" }, bytes);
    let Some(rules) =
        endpoints().into_iter().find(|endpoint| endpoint.path.ends_with("selfsubjectrulesreviews"))
    else {
        return;
    };
    common::with_plane(common::bodies::plane, |running| {
        running.runtime.block_on(async {
            let (code, answer) =
                send(&running.plane.router(), &Endpoint { user: Some("u"), ..rules.clone() }, &rules.body)
                    .await;
            assert!(is_sound(code, &answer));
            let path = "/apis/apps/v1/namespaces/default/deployments/d/scale";
            let get = Endpoint { method: "GET", path, user: Some("u"), ..rules };
            let (code, answer) = send(&running.plane.router(), &get, b"").await;
            assert!(is_sound(code, &answer));
        });
    });
});
