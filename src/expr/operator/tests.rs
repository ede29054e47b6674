use serde_json::{Value, json};

use super::*;

fn holds(key: Value, operator: &str, value: Value) -> bool {
    Operator::parse(operator).unwrap().evaluate(&key, &value)
}

fn check(cases: Vec<(Value, &str, Value, bool)>) {
    for (key, operator, value, expected) in cases {
        assert_eq!(holds(key.clone(), operator, value.clone()), expected, "{key} {operator} {value}");
    }
}

#[test]
fn equality() {
    check(vec![
        (json!("1h"), "Equals", json!("60m"), true),
        (json!("1h"), "Equals", json!(3600), true),
        (json!(3600), "NotEquals", json!("1h"), true),
        (json!("1Gi"), "Equals", json!("1024Mi"), true),
        (json!("100Mi"), "NotEquals", json!("not-a-quantity"), true),
        (json!("5"), "Equals", json!(5), true),
        (json!("nginx"), "Equals", json!("ng*"), true),
        (json!("ng*"), "Equals", json!("nginx"), false),
        (json!(1), "equals", json!(1.0), true),
        (json!(1), "Equal", json!("1"), true),
        (json!(true), "NotEquals", json!("true"), true),
        (json!(null), "Equals", json!(null), false),
        (json!(null), "NotEquals", json!("x"), false),
        (json!({"a": [1]}), "Equals", json!({"a": [1.0]}), true),
        (json!([1, 2]), "NotEquals", json!([2, 1]), true),
        (json!("0"), "Equals", json!("0"), true),
        (json!(""), "Equals", json!(""), true),
    ]);
}

#[test]
fn membership() {
    check(vec![
        (json!("kube-system"), "AnyIn", json!(["default", "kube-*"]), true),
        (json!("kube-*"), "AnyIn", json!(["kube-system"]), true),
        (json!(1_000_000), "AnyIn", json!(["1e+06"]), true),
        (json!(64), "AnyIn", json!("64"), true),
        (json!(5), "AnyIn", json!("1-10"), true),
        (json!(["0", "20"]), "AnyIn", json!("1-10"), false),
        (json!("apple"), "AnyIn", json!("[\"apple\", \"pear\"]"), true),
        (json!([]), "AnyIn", json!(["a"]), false),
        (json!({"a": 1}), "AnyIn", json!("a"), false),
        (json!(["a", "b"]), "AllIn", json!(["a", "b", "c"]), true),
        (json!(["a", "x"]), "AllIn", json!(["a", "b", "c"]), false),
        (json!(["a", "x"]), "AnyNotIn", json!(["a", "b"]), true),
        (json!([]), "AnyNotIn", json!(["a"]), false),
        (json!([1, 2, 3]), "AnyNotIn", json!(2), true),
        (json!(true), "AnyNotIn", json!(true), false),
        (json!(["kube-system", "default"]), "AllNotIn", json!("kube-system"), false),
        (json!(["default", "x"]), "AllNotIn", json!("kube-*"), true),
        (json!(["15", "20"]), "AllNotIn", json!("1-10"), true),
        (json!(null), "AllNotIn", json!(["a"]), false),
        (json!("a"), "In", json!(["a*"]), true),
        (json!(["a"]), "In", json!(["a*"]), false),
        (json!(["a", "b"]), "NotIn", json!(["a"]), true),
        (json!("b"), "NotIn", json!(["a"]), true),
    ]);
}

#[test]
fn order() {
    check(vec![
        (json!("1h"), "GreaterThan", json!("30m"), true),
        (json!(10), "LessThan", json!("1h"), true),
        (json!("1Gi"), "GreaterThanOrEquals", json!("1024Mi"), true),
        (json!("500m"), "LessThan", json!("1"), true),
        (json!("2"), "GreaterThan", json!(1), true),
        (json!(2.5), "LessThanOrEquals", json!("2.5"), true),
        (json!("1.10.0"), "GreaterThan", json!("1.9.0"), true),
        (json!(2), "greaterthan", json!(1), false),
        (json!("x"), "GreaterThan", json!(1), false),
        (json!(null), "LessThan", json!(1), false),
        (json!("1h"), "DurationGreaterThan", json!(60), true),
        (json!(60), "DurationLessThanOrEquals", json!("1m"), true),
        (json!("1"), "DurationLessThan", json!("1m"), false),
    ]);
    assert!(Operator::parse("Matches").is_none());
}
