//! Expressions answer as the reference engine does.

use std::borrow::Cow;
use std::path::Path;

use moin::expr::{Context, Environment, Expression};
use serde_json::Value;

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
    moin::yaml::parse(text, false).map_err(|e| e.to_string())
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
        return a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| alike(x, y)));
    }
    alike(a, b)
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

/// Deep equality; `1` and `1.0` are one number.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| alike(v, w)))
        }
        _ => a == b,
    }
}
