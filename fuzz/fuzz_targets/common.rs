//! What the targets that drive a plane share.
#![allow(dead_code, reason = "no target uses all of it")]

#[path = "../../tests/support/bodies.rs"]
pub mod bodies;

use std::cell::RefCell;

use bodies::{Choices, Endpoint, endpoints, furnish, is_sound, mutate, plane, send};
use moin::plane::Plane;
use tokio::runtime::Runtime;

/// After so many requests a plane is replaced, so that it stays small and a finding can be found again.
const REQUESTS: usize = 200;

/// A plane, its runtime and how often it was asked.
pub struct Running {
    pub runtime: Runtime,
    pub plane: Plane,
    asked: usize,
}

thread_local!(static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) });

/// Calls `ask` with a plane that has the objects which the requests are about.
pub fn with_plane(make: impl AsyncFn() -> Plane, ask: impl FnOnce(&Running)) {
    RUNNING.with_borrow_mut(|running| {
        if running.as_ref().is_none_or(|running| running.asked >= REQUESTS) {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let plane = runtime.block_on(make());
            *running = Some(Running { runtime, plane, asked: 0 });
        }
        let running = running.as_mut().expect("made above");
        running.asked += 1;
        ask(running);
    });
}

/// Sends bytes as the body of one of the requests of a kind: as they are, or as what changes a valid body.
pub fn body_of(kind: &str, bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let of_kind: Vec<Endpoint> =
        endpoints().into_iter().filter(|endpoint| endpoint.name.starts_with(kind)).collect();
    let endpoint = &of_kind[usize::from(first >> 1) % of_kind.len()];
    let body = match first & 1 {
        0 => bytes.to_vec(),
        _ => mutate(&endpoint.body, &mut Choices::new(bytes, 1)),
    };
    with_plane(plane, |running| {
        running.runtime.block_on(async {
            let (code, answer) = send(&running.plane.router(), endpoint, &body).await;
            assert!(is_sound(code, &answer), "{code} {}", String::from_utf8_lossy(&answer));
            if endpoint.method == "DELETE" {
                furnish(&running.plane).await;
            }
        });
    });
}
