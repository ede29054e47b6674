//! Compiles and evaluates CEL expressions: nanoseconds and allocations for each evaluation.
//!
//! Prints a line for each expression. Simple rules must stay well below a microsecond, and looking at fields must not
//! allocate.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a test that prints")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads clocks")]

use std::alloc::System;
use std::hint::black_box;
use std::time::Instant;

use moin::expr::cel::{Bindings, Budget, Env, Schema, Type, Value};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: u32 = 200_000;
const EXPRESSIONS: [&str; 10] = [
    "object.spec.replicas > 3",
    "object.spec.replicas >= 1 && object.spec.replicas <= 10",
    "has(object.metadata.labels) && object.metadata.labels.app == 'web'",
    "object.metadata.name.startsWith('web')",
    "object.metadata.name.matches('^[a-z]+-[0-9]+$')",
    "object.spec.containers.all(c, c.image.startsWith('registry.example.org/'))",
    "object.spec.containers.exists(c, has(c.securityContext) && c.securityContext.privileged)",
    "object.spec.containers.map(c, c.name).join(',') == 'a,b,c'",
    "'web' in object.metadata.labels.app.split('-')",
    "object.metadata.?annotations['x'].orValue('none') == 'none'",
];

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let container =
        |name: &str| json!({"name": name, "image": format!("registry.example.org/{name}:1"), "ports": [80]});
    let object = json!({
        "metadata": {"name": "web-1", "labels": {"app": "web"}},
        "spec": {"replicas": 5, "containers": [container("a"), container("b"), container("c")]},
    });
    let env = Env::kubernetes().with_variable("object", Type::Dyn);
    for text in EXPRESSIONS {
        let program = env.compile(text).unwrap();
        let bindings = Bindings::new().with("object", Value::of_json(&object));
        measure(text, || program.run(&bindings, &mut Budget::kubernetes()).unwrap().as_bool().unwrap());
    }
    let schema = Schema::of_openapi(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"}}}}}),
        true,
    );
    let env = Env::kubernetes().with_schema_variable("self", &schema);
    let program = env.compile("self.spec.replicas > 3").unwrap();
    let bindings = Bindings::new().with("self", Value::of_schema(&object, &schema).unwrap());
    measure("self.spec.replicas > 3 (schema)", || {
        program.run(&bindings, &mut Budget::kubernetes()).unwrap().as_bool().unwrap()
    });
    measure("compile: self.spec.replicas > 3", || env.compile("self.spec.replicas > 3").is_ok());
}

fn measure(name: &str, mut run: impl FnMut() -> bool) {
    let rounds = if name.starts_with("compile") { ROUNDS / 50 } else { ROUNDS };
    for _ in 0..rounds / 10 {
        black_box(run());
    }
    let before = COUNTED.stats().allocations;
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(run());
    }
    let nanos = start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
    let allocations = (COUNTED.stats().allocations - before) as f64 / f64::from(rounds);
    println!("{nanos:8.0} ns {allocations:6.1} allocations  {name}");
}
