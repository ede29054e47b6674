//! Any text as CEL: neither compiling nor evaluating nor estimating panics, and all end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moin::expr::cel::{Bindings, Budget, Env, Schema, Type, Value};
use serde_json::json;

fuzz_target!(|text: &str| {
    let document = json!({
        "s": "it's", "i": 3, "d": 2.5, "l": [1, 2], "m": {"a-b": "x"}, "t": "2024-05-23T10:00:00Z", "n": null, "any": {"x": [1]},
    });
    let schema = Schema::of_openapi(
        &json!({"type": "object", "properties": {
            "s": {"type": "string", "maxLength": 9}, "i": {"type": "integer"}, "d": {"type": "number"},
            "l": {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "t": {"type": "string", "format": "date-time"}, "n": {"type": "string", "nullable": true},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}),
        true,
    );
    let env = Env::kubernetes().with_schema_variable("self", &schema).with_variable("object", Type::Dyn);
    let Ok(program) = env.compile(text) else { return };
    program.estimate(Some(&schema));
    let Ok(value) = Value::of_schema(&document, &schema) else { return };
    let bindings = Bindings::new().with("self", value).with("object", Value::of_json(&document));
    let _ = program.run(&bindings, &mut Budget::kubernetes()).map(|value| value.to_json());
});
