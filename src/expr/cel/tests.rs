//! The recorded answers of a real server, and what they do not show.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::*;

/// Runs an expression on a document without a schema.
fn run(text: &str, document: &Json) -> Result<Json, String> {
    let env = Env::kubernetes().with_variable("object", Type::Dyn);
    let program = env.compile(text).map_err(|error| error.message)?;
    let bindings = Bindings::new().with("object", Value::of_json(document));
    program
        .run(&bindings, &mut Budget::kubernetes())
        .map(|value| value.to_json())
        .map_err(|error| error.to_string())
}

#[test]
fn recorded_answers_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cel-cases.jsonl");
    let Ok(cases) = std::fs::read_to_string(&path) else {
        println!("skipped: ../shared/cel-cases.jsonl is not here");
        return;
    };
    let mut lines = cases.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let head = lines.next().unwrap();
    let schema = Schema::of_openapi(&head["schema"], false);
    let env = Env::kubernetes().with_schema_variable("self", &schema);
    let mut wrong = Vec::new();
    for case in lines {
        let text = case["expression"].as_str().unwrap();
        let mut found = json!({"expression": text});
        match env.compile(text) {
            Err(error) => {
                let stage = if error.instantiation { "program instantiation" } else { "compilation" };
                found["compileError"] = format!("{stage} failed: {}", error.message).into();
            }
            Ok(program) => {
                let value = Value::of_schema(&head["self"], &schema).unwrap();
                match program.run(&Bindings::new().with("self", value), &mut Budget::kubernetes()) {
                    Ok(value) => found["result"] = value.to_json(),
                    Err(error) => {
                        found["runtimeError"] = format!("Invalid value: \"object\": {error}").into()
                    }
                };
            }
        }
        if found != case {
            wrong.push(format!("expected {case}\n   found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn documents_without_schema_are_looked_at_in_place() {
    let document = json!({"spec": {"replicas": 5, "names": ["a", "b"], "none": null}});
    for (text, expected) in [
        ("object.spec.replicas > 3", json!(true)),
        ("has(object.spec.other)", json!(false)),
        ("object.spec.none == null", json!(true)),
        ("object.spec.names.map(n, n + '!')", json!(["a!", "b!"])),
        ("object.?spec.?x.orValue(1)", json!(1)),
        ("{'a': object.spec.replicas, 'b': dyn(1)}", json!({"a": 5, "b": 1})),
        ("object.spec.names.exists(n, n == 'b') && 'a' in object.spec.names", json!(true)),
    ] {
        assert_eq!(run(text, &document), Ok(expected), "{text}");
    }
    assert_eq!(run("object.spec.x == 1", &document), Err("no such key: x".into()));
}
