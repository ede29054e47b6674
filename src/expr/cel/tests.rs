//! What the recorded answers of a real server (`tests/cases.rs`) do not show.

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

/// The least and the most that an expression costs on a schema, and what it does cost on a value.
fn costs(text: &str, schema: &Json, value: &Json) -> (CostRange, u64) {
    let schema = Schema::of_openapi(schema, false);
    let program = Env::kubernetes().with_schema_variable("self", &schema).compile(text).unwrap();
    let mut budget = Budget::kubernetes();
    let bindings = Bindings::new().with("self", Value::of_schema(value, &schema).unwrap());
    program.run(&bindings, &mut budget).unwrap();
    (program.estimate(Some(&schema)), budget.last_cost())
}

#[test]
fn costs_are_counted_and_told_before() {
    let schema = json!({"type": "object", "properties": {
        "s": {"type": "string", "maxLength": 200},
        "l": {"type": "array", "maxItems": 10, "items": {"type": "integer"}}}});
    let value = json!({"s": "Hello, World", "l": [3, 1, 2]});
    for (text, most, actual) in [
        ("self.l.all(x, x > 0)", 53, 18),
        ("self.s == 'Hello, World'", 4, 4),
        ("self.l.exists(x, x > 2) && self.l.exists(x, x < 2)", 126, 30),
        ("self.l.map(x, x * 2).size() == 3", 156, 0),
    ] {
        let (range, cost) = costs(text, &schema, &value);
        assert!(range.min <= cost && cost <= range.max, "{text}: {range:?} {cost}");
        if actual > 0 {
            assert_eq!((range.max, cost), (most, actual), "{text}");
        }
    }
}

#[test]
fn what_costs_too_much_is_cut() {
    let env = Env::kubernetes();
    let program = env.compile("lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0))").unwrap();
    let error = program.run(&Bindings::new(), &mut Budget::kubernetes()).unwrap_err();
    assert_eq!(error.kind(), EvalErrorKind::OverBudget);
    assert_eq!(error.message(), "operation cancelled: actual cost limit exceeded");
    // Not even a side that would decide hides it.
    let program = env.compile("lists.range(1000000000).size() > 0 || true").unwrap();
    assert!(program.run(&Bindings::new(), &mut Budget::kubernetes()).is_err());
}

#[test]
fn deep_expressions_do_not_overflow_the_stack() {
    let nested =
        |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    for text in [
        nested("(", ")", 240),
        nested("[", "][0]", 120),
        nested("[1].map(x, ", ")", 110),
        nested("-(", ")", 200),
    ] {
        let Ok(program) = Env::kubernetes().compile(&text) else { continue };
        let _ = program.run(&Bindings::new(), &mut Budget::kubernetes());
        program.estimate(None);
    }
    assert!(Env::kubernetes().compile(&format!("{}1{} == 1", "(".repeat(200), ")".repeat(200))).is_ok());
}

#[test]
fn embedders_add_variables_types_and_functions() {
    let answer: Closure = std::sync::Arc::new(|args| match args {
        [Value::String(text)] => Ok(Value::Int(i64::try_from(text.len()).unwrap_or(0))),
        _ => Err(EvalError::no_such_overload()),
    });
    let patch = ObjectType::new("JSONPatch", Fields::Named([("op".into(), Type::String)].into()));
    let env = Env::kubernetes()
        .with_type(patch)
        .with_function("len", "len_string", "string.() -> int", 5, answer)
        .unwrap();
    let program = env.compile("JSONPatch{op: 'add', ?op: optional.of('x')}.op.len() == 1").unwrap();
    let mut budget = Budget::kubernetes();
    assert_eq!(program.run(&Bindings::new(), &mut budget).unwrap().as_bool(), Some(true));
    assert_eq!(program.output(), &Type::Bool);
    assert!(env.compile("JSONPatch{other: 1}").unwrap_err().message.contains("undefined field 'other'"));
}

#[test]
fn variables_are_worked_out_once_and_when_needed() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = calls.clone();
    let count: Closure = std::sync::Arc::new(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Value::Int(7))
    });
    let env = Env::kubernetes().with_function("seven", "seven", "() -> int", 1, count).unwrap();
    let seven = env.compile("seven()").unwrap();
    let env = env.with_variable("variables", Type::message("vars", [("seven", Type::Int)]));
    let program = env.compile("variables.seven + variables.seven == 14").unwrap();
    let mut bindings = Bindings::new();
    bindings.define("variables", "seven", &seven);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 0);
    let value = program.run(&bindings, &mut Budget::kubernetes()).unwrap();
    assert_eq!(value.as_bool(), Some(true));
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_compiler(text in "[a-z0-9 ().,+*/%<>=!&|?:\\[\\]{}'\"\\\\-]{0,60}") {
        if let Ok(program) = Env::kubernetes().with_variable("a", Type::Dyn).compile(&text) {
            let document = json!({"b": [1, "x", null]});
            let bindings = Bindings::new().with("a", Value::of_json(&document));
            let _ = program.run(&bindings, &mut Budget::kubernetes());
        }
    }

    #[test]
    fn whole_numbers_and_texts_survive(number in proptest::prelude::any::<i64>(), text in ".{0,20}") {
        let document = json!({"n": number, "t": text});
        proptest::prop_assert_eq!(run("int(string(object.n))", &document), Ok(json!(number)));
        proptest::prop_assert_eq!(run("string(bytes(object.t))", &document), Ok(json!(text)));
        let written = format!("{} == object.n", number);
        proptest::prop_assert_eq!(run(&written, &document), Ok(json!(true)));
    }
}
