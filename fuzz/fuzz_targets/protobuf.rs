//! Any bytes as the object in a protobuf body.
#![no_main]

mod common;

use common::bodies::{PROTOBUF_KINDS, endpoints, is_sound, plane, protobuf, send};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&first, object)) = bytes.split_first() else { return };
    let (api_version, kind, path) = PROTOBUF_KINDS[usize::from(first) % PROTOBUF_KINDS.len()];
    let Some(endpoint) = endpoints().into_iter().find(|endpoint| endpoint.name == "create protobuf") else {
        return;
    };
    common::with_plane(plane, |running| {
        let endpoint = common::bodies::Endpoint { path, ..endpoint };
        let (router, body) = (running.plane.router(), protobuf(api_version, kind, object));
        let (code, answer) = running.runtime.block_on(send(&router, &endpoint, &body));
        assert!(is_sound(code, &answer));
    });
});
