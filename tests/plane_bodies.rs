//! Whatever is in a body: the plane answers, and does not panic.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

#[allow(dead_code, reason = "the fuzz targets use the rest")]
#[path = "support/bodies.rs"]
mod bodies;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bodies::{Choices, Endpoint, endpoints, furnish, is_sound, mutate, plane, send};
use futures::FutureExt as _;
use moin::plane::Plane;
use serde_json::Value;

/// How many bodies each endpoint gets.
const ROUNDS: u64 = 20;

#[tokio::test]
async fn valid_bodies_are_understood() {
    let mut wrong = Vec::new();
    for endpoint in endpoints() {
        let plane = plane().await;
        let (code, answer) = send(&plane.router(), &endpoint, &endpoint.body).await;
        let expected = match endpoint.name {
            "delete options" => 200..=409, // the uid is another
            "token" => 200..=404,          // the Secret is not there
            "update custom" => 422..=422,  // custom objects are not put without their version
            _ => 200..=201,
        };
        if !expected.contains(&code) {
            let answer = String::from_utf8_lossy(&answer);
            wrong.push(format!("{} {}: {code} {answer}", endpoint.name, endpoint.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_body_makes_the_plane_panic_or_hang() {
    let rounds = std::env::var("MOIN_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let plane = plane().await;
    let router = plane.router();
    let mut wrong = Vec::new();
    for (index, endpoint) in endpoints().iter().enumerate() {
        for round in 0..rounds {
            let seed = (index as u64 * 1_000_003 + round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let body = mutate(&endpoint.body, &mut Choices::new(&[], seed));
            let begin = Instant::now();
            let answer = AssertUnwindSafe(send(&router, endpoint, &body)).catch_unwind().await;
            let took = begin.elapsed();
            let shown = String::from_utf8_lossy(&body[..body.len().min(2000)]);
            match answer {
                Err(_) => wrong.push(format!("{} {} panics: {shown}", endpoint.name, endpoint.path)),
                Ok((code, answer)) if !is_sound(code, &answer) => {
                    let answer = String::from_utf8_lossy(&answer);
                    wrong.push(format!("{} {}: {code} {answer}: {shown}", endpoint.name, endpoint.path));
                }
                Ok(_) if took > Duration::from_secs(2) => {
                    wrong.push(format!("{} {} takes {took:?}: {shown}", endpoint.name, endpoint.path));
                }
                Ok(_) => {}
            }
        }
        furnish(&plane).await;
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is stored must be read again, however deep it is: by the next request and by the next process.
#[tokio::test]
async fn what_is_too_deep_to_be_read_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Plane::builder().controllers(false).data(folder.path()).open().unwrap();
    let at = |name: &'static str| endpoints().into_iter().find(|endpoint| endpoint.name == name).unwrap();
    let (mut stored, create) = (Vec::new(), at("create custom"));
    {
        let plane = open();
        furnish(&plane).await;
        for depth in (90..130).chain([200, 255]) {
            let mut body: Value = serde_json::from_slice(&create.body).unwrap();
            let name = format!("w{depth}");
            body["metadata"]["name"] = name.as_str().into();
            let deep = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
            let body = body.to_string().replace(r#"{"x":[1,{"y":null}]}"#, &deep);
            let yaml = Endpoint { content_type: "application/yaml", ..create.clone() };
            let (code, _) = send(&plane.router(), &yaml, body.as_bytes()).await;
            assert!(code == 201 || code == 400, "{depth}: {code}");
            stored.extend((code == 201).then_some(name));
        }
    }
    assert!(stored.len() > 10);
    let router = open().router();
    for name in stored {
        let path = format!("/apis/moin.test/v1/namespaces/default/widgets/{name}").leak();
        let (code, answer) = send(&router, &Endpoint { method: "GET", path, ..create.clone() }, b"").await;
        assert_eq!(code, 200);
        assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["metadata"]["name"], name);
    }
}
