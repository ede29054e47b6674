use super::*;
use crate::model::FieldPath;
use serde_json::json;

fn rule(more: Value) -> Value {
    let mut rule = json!({"name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

fn said(found: &[CompileError]) -> Vec<String> {
    found.iter().map(|error| format!("{}: {}", error.path, error.message)).collect()
}

fn errors(more: Value) -> Vec<String> {
    let rule = rule(more);
    said(&of_rule(&Reader::new(&rule, FieldPath::default()), true).errors)
}

#[test]
fn what_is_whole_is_taken() {
    for whole in [
        json!({"validate": {"message": "m {{ request.object.metadata.name }}", "pattern": {"spec": {"X(a)": "null"}}}}),
        json!({"context": [{"name": "cm", "configMap": {"name": "a", "namespace": "b"}}],
            "validate": {"deny": {"conditions": {"any": [{"key": "{{ cm.data.x || '' }}", "operator": "Equals", "value": "{{ length(request.object) }}"}]}}}}),
        json!({"validate": {"foreach": [{"list": "request.object.spec.containers", "pattern": {"image": "\\{{ x }}{{ element.name }}"}}]}}),
        json!({"mutate": {"targets": [{"kind": "Pod", "name": "{{ request.object.metadata.name }}"}], "patchStrategicMerge": {"a": "{{ target.metadata.name }}"}}}),
        json!({"generate": {"kind": "ConfigMap", "name": "a", "data": {"data": {"context": "[]"}}}}),
        json!({"verifyImages": [{"imageReferences": ["*"], "attestors": [{"entries": [{"keys": {"publicKeys": "k"}}]}]}]}),
    ] {
        assert_eq!(errors(whole.clone()), [""; 0], "{whole}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (more, at, why) in [
        (json!({"validate": {"patern": {}}}), "validate.patern", "unknown field \"patern\""),
        (json!({"validate": {"Pattern": {}}}), "validate.Pattern", "pattern is meant"),
        (
            json!({"validate": {"message": 5, "pattern": {}}}),
            "validate.message",
            "text is expected here, not 5",
        ),
        (
            json!({"validate": {"foreach": [{"list": "a", "foreach": [{"lst": "b"}]}]}}),
            "validate.foreach[0].foreach[0].lst",
            "unknown",
        ),
        (json!({"mutate": {"foreach": {}}}), "mutate.foreach", "a list is expected here"),
        (
            json!({"validate": {"pattern": {}}, "mutate": {"patchStrategicMerge": {"a": 1}}}),
            "mutate",
            "one thing, not validate and mutate",
        ),
        (json!({"validate": {"pattern": {"+(a)": 1}}}), "validate.pattern.+(a)", "means nothing"),
        (
            json!({"validate": {"pattern": {"^(a)": {"b": 1}}}}),
            "validate.pattern.^(a)",
            "its value is a list",
        ),
        (
            json!({"match": {"any": [{"resources": {"kinds": ["Pod"]}}], "all": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {"pattern": {}}}),
            "match.all",
            "cannot stand together",
        ),
        (
            json!({"match": {"any": [{"resources": {"kinds": ["Pod"]}}], "resources": {"kinds": ["Pod"]}}, "validate": {"pattern": {}}}),
            "match.resources",
            "beside any or all",
        ),
        (
            json!({"match": {"any": [{"resources": {"kinds": ["*", "Pod"]}}]}, "validate": {"pattern": {}}}),
            "match.any[0].resources.kinds",
            "beside *",
        ),
        (
            json!({"context": [{"name": "request", "variable": {"value": 1}}], "validate": {"pattern": {}}}),
            "context[0]",
            "is taken",
        ),
        (
            json!({"context": [{"name": "a", "variable": {"value": 1}, "configMap": {"name": "x"}}], "validate": {"pattern": {}}}),
            "context[0]",
            "one of variable, configMap",
        ),
        (
            json!({"context": [{"name": "a", "variable": {"default": 1}}], "validate": {"pattern": {}}}),
            "context[0].variable",
            "a value or a jmesPath",
        ),
        (
            json!({"preconditions": [{"key": "{{request.operation}}", "operator": "Equals", "value": "CREATED"}], "validate": {"pattern": {}}}),
            "preconditions[0].value",
            "is no operation",
        ),
        (
            json!({"validate": {"message": "{{ nobody.knows }}", "pattern": {}}}),
            "validate.message",
            "{{ nobody.knows }} is not defined",
        ),
    ] {
        let found = errors(more);
        assert!(
            found.iter().any(|error| error.starts_with(&format!("{at}: ")) && error.contains(why)),
            "{at}: {found:?}"
        );
    }
}

#[test]
fn a_spec_is_read_as_strictly() {
    for (spec, why) in [
        (json!({"validationFailureActions": "Enforce"}), "unknown field"),
        (json!({"admission": false, "background": false}), "nothing is ever judged"),
        (json!({"applyRules": "one"}), "applyRules is All or One"),
        (json!({"rules": [{"name": "a"}, {"name": "a"}]}), "another rule is called \"a\" as well"),
        (json!({"background": "no"}), "true or false is expected"),
    ] {
        let found = said(&of_spec(&Reader::new(&spec, FieldPath::default())).errors);
        assert!(found.len() == 1 && found[0].contains(why), "{found:?}");
    }
}

#[test]
fn what_only_a_scan_cannot_know_is_a_warning() {
    let rule = rule(json!({"exclude": {"any": [{"subjects": [{"kind": "User", "name": "a"}]}]},
        "match": {"any": [{"resources": {"kinds": ["*"]}}]}, "validate": {"pattern": {"metadata": {"name": "?*"}}}}));
    let reader = Reader::new(&rule, FieldPath::default());
    assert_eq!(of_rule(&reader, true).warnings.len(), 2);
    let found = of_rule(&reader, false);
    assert!(found.warnings.is_empty() && found.errors.is_empty(), "{found:?}");
}
