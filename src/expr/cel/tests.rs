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

#[test]
fn a_definition_that_fails_is_explained_by_itself_alone() {
    let env = Env::kubernetes().with_variable("object", Type::Dyn).with_variable("variables", Type::Dyn);
    let bad = env.compile("object.none").unwrap();
    let explainer = env.compile("variables.bad == 1").unwrap().explainer();
    let document = json!({});
    let mut bindings = Bindings::new().with("object", Value::of_json(&document));
    bindings.define("variables", "bad", &bad);
    let told = explainer.steps(&bindings).to_text();
    assert!(told.contains("\n  variables.bad → error: ") && told.contains("no such key: none"), "{told}");
    assert!(!told.contains("attribute") && told.lines().count() == 2, "{told}");
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

/// What the API server's own evaluator answers.
#[test]
fn answers_are_those_of_the_api_server() {
    for (text, expected) in [
        // Quantities keep track of how they are calculated.
        ("quantity('1Pi').isInteger()", json!(false)),
        ("quantity('1E').isInteger()", json!(true)),
        ("isQuantity('m') && isQuantity('e3') && !isQuantity('Ei')", json!(true)),
        ("quantity('1e400').isGreaterThan(quantity('9223372036854775807'))", json!(true)),
        ("quantity('1').sub(-9223372036854775808).compareTo(quantity('0'))", json!(-1)),
        ("quantity('10n').sub(31).asApproximateFloat()", json!(-30.999999990000003)),
        // Of a list only the first item says which overload is meant; what cannot be compared is skipped.
        ("[0.0 / 0.0, 1.0].isSorted()", json!(true)),
        ("[1.0, 0.0 / 0.0].max()", json!(1.0)),
        ("[dyn('b'), dyn(1), dyn('a')].min()", json!("a")),
        // Keys of maps.
        ("{dyn(1): 'a'}[1.0]", json!("a")),
        ("{null: 2}.size()", json!(1)),
        ("duration('1m') in {duration('60s'): 1} && null in {null: 1}", json!(true)),
        ("dyn({1: 'a', 2: 'b'}) == object.m", json!(false)),
        // Texts.
        ("'%s'.format([['\\u2028\\u00a0é']])", json!("[\"\\u2028\\u00a0é\"]")),
        ("'%.2f %.2f'.format([-0.0, -0.001])", json!("0.00 -0.00")),
        ("'%.1000f'.format([1.0]).size()", json!(234)),
        ("double('1_000') + double('0x1p-2')", json!(1000.25)),
        ("'aé'.matches('^\\\\p{^Greek}+$')", json!(true)),
        ("'ab'.find('(?P<n>a)(?P<n>b)')", json!("ab")),
        // Time zones.
        ("timestamp('9999-12-31T23:59:59Z').getHours('Europe/Berlin')", json!(0)),
        ("timestamp('2024-05-23T10:00:00Z').getHours('Local')", json!(10)),
        ("string(-dyn(duration('1m')))", json!("-60s")),
        ("optional.ofNonZeroValue(optional.none()).hasValue()", json!(true)),
        ("semver('18446744073709551615.0.0').major()", json!(-1)),
        ("format.byte().validate('aGl=').hasValue()", json!(false)),
    ] {
        assert_eq!(run(text, &json!({"m": {"a": 1, "b": 2}})), Ok(expected), "{text}");
    }
    for (text, message) in [
        ("{dyn(1.0): 'a'}[1]", "no such key: 1"),
        ("[dyn(null), dyn(1)].max()", "no such overload: max(list)"),
        ("[dyn(1), dyn(null)].max()", "no such overload"),
        ("[dyn('a')].sum()", "no such overload: sum(list)"),
        ("has(object.l.a)", "unsupported index type 'string' in list"),
        ("timestamp(0).getHours('europe/berlin')", "unknown time zone europe/berlin"),
        ("quantity('1K') == quantity('1')", "unable to parse quantity's suffix"),
        ("dyn(5).all(i, x, true)", "unsupported comprehension range type: types.Int"),
    ] {
        assert_eq!(run(text, &json!({"l": [1]})), Err(message.to_owned()), "{text}");
    }
    for bad in ["'a'.matches('[[:foo:]]')", "double('1__0') > 1.0"] {
        assert!(run(bad, &json!({})).is_err(), "{bad}");
    }
}
