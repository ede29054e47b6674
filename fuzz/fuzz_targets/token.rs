//! Any text as a bearer token: as it is, and as the parts of a JSON web token; and any bytes as requests about tokens.
#![no_main]

mod common;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower::ServiceExt as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::body_of("token", bytes);
    let encoded: Vec<String> =
        bytes.splitn(3, |byte| *byte == b'.').map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    common::with_plane(common::bodies::plane, |running| {
        for token in [bytes.to_vec(), encoded.join(".").into_bytes()] {
            let value = [b"Bearer ", &token[..]].concat();
            let request =
                http::Request::get("/api/v1/namespaces").header("authorization", value).body(Body::empty());
            let Ok(request) = request else { continue };
            let Ok(answer) = running.runtime.block_on(running.plane.router().oneshot(request));
            assert!(matches!(answer.status().as_u16(), 200 | 401), "{}", answer.status());
        }
    });
});
