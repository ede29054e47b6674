//! Any text as expression and as template: neither compiling nor evaluating panics, and both end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moin::expr::{Context, Environment, Expression, Template};
use serde_json::json;

fuzz_target!(|text: &str| {
    let document = json!({
        "request": {"operation": "CREATE", "object": {"metadata": {"name": "a", "labels": {"b": "{{ c }}"}}, "n": [1, 2.5]}},
        "c": "it's", "t": "2024-05-23T10:00:00Z", "q": "1Gi", "d": "5m", "null": null,
    });
    let environment = Environment { max_steps: 20_000, ..Environment::default() };
    let context = Context::of_document(environment, &document);
    if let Ok(expression) = Expression::compile(text) {
        let _ = context.query(&expression);
    }
    if let Ok(template) = Template::compile(&json!({ text: text, "again": [text] })) {
        let _ = template.resolve(&context);
    }
});
