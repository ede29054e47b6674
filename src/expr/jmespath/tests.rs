//! The reference engine's answers, and what must hold for any text.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::value::equal;
use super::*;

/// What kind of failure an answer is.
#[derive(Debug, PartialEq, Eq)]
enum Class {
    Compile,
    NotFound,
    Evaluation,
}

fn class_of(message: &str) -> Class {
    if message.contains("failed to compile") {
        Class::Compile
    } else if message.contains("Unknown key") {
        Class::NotFound
    } else {
        Class::Evaluation
    }
}

fn yaml(text: &str) -> Result<Value, String> {
    match text {
        "a: yes" => Ok(json!({"a": true})),
        "a: 1\nb: [x, y]\n" => Ok(json!({"a": 1, "b": ["x", "y"]})),
        _ => Err("no such text here".to_owned()),
    }
}

fn answer(expression: &str, document: &Value) -> Result<Value, Class> {
    let compiled = Expression::compile(expression).map_err(|_| Class::Compile)?;
    let environment =
        Environment { now: 1_716_458_400_000_000_000, yaml: Some(yaml), ..Environment::default() };
    let context = Context::of_document(environment, document);
    let found = context.query(&compiled).map(Cow::into_owned);
    found.map_err(|e| if e.is_not_found() { Class::NotFound } else { Class::Evaluation })
}

/// Maps have no order in the reference engine, so what comes out of one is compared as a set.
fn same(expression: &str, a: &Value, b: &Value) -> bool {
    if let (Value::Array(a), Value::Array(b)) = (a, b)
        && (expression.contains("values(") || expression.contains("keys(") || expression.contains(".*"))
    {
        return a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| equal(x, y)));
    }
    equal(a, b)
}

#[test]
fn answers_as_the_reference_engine_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/jmespath-cases.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared/jmespath-cases.jsonl is not here");
        return;
    };
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let document = lines.next().unwrap()["document"].take();
    let mut wrong = Vec::new();
    for case in lines {
        let expression = case["expression"].as_str().unwrap();
        let expected = match case["error"].as_str() {
            Some(message) => Err(class_of(message)),
            None => Ok(case["result"].clone()),
        };
        let got = answer(expression, &document);
        let right = match (&got, &expected) {
            (Ok(got), Ok(expected)) => same(expression, got, expected),
            (Err(got), Err(expected)) => got == expected,
            _ => false,
        };
        if !right {
            wrong.push(format!("{expression}: {got:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_explosion_is_cut_off() {
    let list = json!((0..200).collect::<Vec<_>>());
    let nested = Expression::compile("map(&map(&map(&map(&map(&@, [1,2,3,4]), [1,2,3,4]), @), @), @)");
    assert!(nested.is_err(), "numbers are no expressions");
    let text = format!("{}`1`{}", "not_null(".repeat(100), ")".repeat(100));
    assert!(Expression::compile(&text).is_ok());
    assert!(Expression::compile(&format!("{}a{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    assert!(Expression::compile(&vec!["a"; 5000].join(".")).is_err());
    let wide = Expression::compile(
        "[@,@,@,@,@,@,@,@][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][]",
    );
    assert_eq!(wide.unwrap().search(&list), Err(EvalError::Limit));
    let doubling = (0..60).fold("'ab'".to_owned(), |inner, _| format!("replace_all({inner}, 'a', 'aab')"));
    assert!(Expression::compile(&doubling).unwrap().search(&list).is_err() || doubling.len() < 10_000);
}

#[test]
fn all_functions_are_there() {
    assert_eq!(function_names().count(), 25 + 51, "25 of the standard, and 51 with their own sum");
    let mut names: Vec<&str> = function_names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 76);
}

#[test]
fn errors_say_where() {
    for (text, offset) in [("a.b ||", 6), ("a[?b==`x`]", 6), ("a b", 2), ("foo(", 4), ("{a 1}", 3)] {
        assert_eq!(Expression::compile(text).unwrap_err().offset, offset, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.search(&json!({"a": [1, {"b": "c"}]}));
        }
    }

    #[test]
    fn no_plausible_text_panics(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "b", ".", "[", "]", "[?", "[]", "*", "(", ")", "|", "||", "&&", "&", "!", "==", "<", "@", "`1`",
                "`{}`", "'x'", "\"q\"", ",", ":", "1", "-1", "{", "}", " ", "length(", "sort_by(", "join(", "random(",
                "time_add(", "add(", "'1Gi'", "'5m'", "truncate(", "to_string(", "items(", "split(", "`null`", "`[]`",
            ]),
            0..14,
        )
    ) {
        if let Ok(expression) = Expression::compile(&parts.concat()) {
            let _ = expression.search(&json!({"a": [1, {"b": "c"}], "b": {"a": null}}));
        }
    }
}
