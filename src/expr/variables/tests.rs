use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::expr::Environment;

fn resolve(template: Value, document: &Value) -> Result<Value, String> {
    let template = Template::compile(&template).map_err(|e| e.to_string())?;
    let context = Context::of_document(Environment::default(), document);
    template.resolve(&context).map(Cow::into_owned).map_err(|e| e.to_string())
}

fn document() -> Value {
    json!({
        "request": {"operation": "CREATE", "object": {
            "metadata": {"name": "web", "labels": {"app": "x", "a.b/c": "y"}},
            "spec": {"replicas": 3, "names": ["a", "b"], "evil": "it's {{ x }}", "key": "app"},
        }, "oldObject": {"metadata": {"name": "old"}}},
        "x": "X",
        "y": "{{ x }}",
        "i": 1,
        "image": "nginx",
        "n": null,
    })
}

#[test]
fn texts_resolve() {
    for (template, expected) in [
        ("plain", json!("plain")),
        ("{{ request.object.spec.replicas }}", json!(3)),
        ("{{request.object.spec.names}}", json!(["a", "b"])),
        ("n={{ request.object.spec.replicas }}!", json!("n=3!")),
        ("{{ x }}{{ x }}-{{ i }}", json!("XX-1")),
        ("names: {{ request.object.spec.names }}", json!("names: [\"a\",\"b\"]")),
        ("{{ request.object.metadata.{n: name} }}", json!({"n": "web"})),
        ("{{ to_upper('{{ image }}:{{ i }}') }}", json!("NGINX:1")),
        ("{{ request.object.spec.names[{{ i }}] }}", json!("b")),
        ("{{ request.object.metadata.labels.\"{{ request.object.spec.key }}\" }}", json!("x")),
        ("{{ request.object.metadata.labels.{{ request.object.spec.key }} }}", json!("x")),
        ("{{ length(`{{ request.object.spec.names }}`) }}", json!(2)),
        ("{{ to_upper('{{ to_lower('{{ x }}') }}') }}", json!("X")),
        ("\\{{ x }} {{ x }}", json!("{{ x }} X")),
        ("\\{{ x }}", json!("{{ x }}")),
        ("a {{ y }}", json!("a X")),
        ("a {{- y }}", json!("a {{ x }}")),
        ("{{ y }}", json!("{{ x }}")),
        ("{{ n }}", json!(null)),
        ("a{{ n }}", json!("anull")),
        ("{{ nothing || '' }}", json!("")),
        ("{{ }", json!("{{ }")),
    ] {
        assert_eq!(resolve(json!(template), &document()), Ok(expected), "{template}");
    }
}

#[test]
fn a_value_that_ends_its_string_is_parsed_as_it_stands() {
    let document = json!({"evil": "it's", "safe": "its", "quoted": "x', 'y"});
    assert_eq!(resolve(json!("{{ to_upper('{{ safe }}') }}"), &document), Ok(json!("ITS")));
    assert!(resolve(json!("{{ to_upper('{{ evil }}') }}"), &document).is_err());
    assert_eq!(resolve(json!("{{ join('-', ['{{ quoted }}']) }}"), &document), Ok(json!("x-y")));
}

#[test]
fn keys_and_trees_resolve() {
    let template = json!({"{{ x }}": [{"a": "{{ i }}"}, 2], "static": {"b": "c"}});
    assert_eq!(resolve(template, &document()), Ok(json!({"X": [{"a": 1}, 2], "static": {"b": "c"}})));
    assert!(resolve(json!({"{{ i }}": 1}), &document()).unwrap_err().contains("string"));
    assert!(Template::compile(&json!({"a": ["\\{{ b }}"]})).unwrap().as_static().is_some());
}

#[test]
fn failures_say_where() {
    let error = resolve(json!({"a": ["x", "{{ request.object.none.x }}"]}), &document()).unwrap_err();
    assert_eq!(error, "failed to resolve request.object.none.x at path a[1]: Unknown key \"none\" in path");
    let error = Template::compile(&json!({"a": "{{ b ? }}"})).unwrap_err();
    assert_eq!(
        (error.path.to_string().as_str(), error.expression.as_str(), error.error.offset),
        ("a", "b ?", 2)
    );
}

#[test]
fn a_deleted_object_is_the_old_one() {
    let mut document = document();
    document["request"]["operation"] = json!("DELETE");
    for template in
        ["{{ request.object.metadata.name }}", "{{ to_lower('{{ request.object.metadata.name }}') }}"]
    {
        assert_eq!(resolve(json!(template), &document), Ok(json!("old")));
    }
}

#[test]
fn the_current_place() {
    let template = json!({"metadata": {"=(labels)": {"a.b/c": "{{ to_upper('{{ @ }}') }}"}}, "spec": {"names": ["{{@}}"]}});
    assert_eq!(
        resolve(template, &document()),
        Ok(json!({"metadata": {"=(labels)": {"a.b/c": "Y"}}, "spec": {"names": ["a"]}}))
    );
}

#[test]
fn references() {
    let template = json!({"spec": {"a": {"=(limit)": "{{ i }}Gi", "request": "$(<=./../limit)", "n": 2}, "b": "x$(/spec/a/limit)", "c": "\\$(x)"}});
    let resolved = resolve(template, &document()).unwrap();
    assert_eq!(resolved["spec"]["a"]["request"], "<=1Gi");
    assert_eq!(resolved["spec"]["b"], "x1Gi");
    assert_eq!(resolved["spec"]["c"], "$(x)");
    assert!(resolve(json!({"a": "$(./../b)"}), &document()).is_err());
    assert!(resolve(json!({"a": "$(./../b)", "b": 1}), &document()).is_err());
    assert_eq!(resolve(json!({"a": "$(>./../b)", "b": 1}), &document()).unwrap()["a"], ">1.000000");
}

#[test]
fn a_text_without_end_is_cut_off() {
    let document = json!({"a": "x {{ a }}", "b": "{{ b }}{{ b }}{{ b }} "});
    assert!(resolve(json!("z {{ a }}"), &document).unwrap_err().contains("cut off"));
    assert!(resolve(json!("z {{ b }}"), &document).unwrap_err().contains("cut off"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = resolve(json!(text), &document());
    }

    #[test]
    fn no_plausible_text_panics(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "{", "}", "x", " ", "\\", "'", "`", "\"", "request.object", "@", "-", "$(", ")", "/", "..",
                "to_upper(", "[", "]", ".", "y", "i", "\u{F0000}",
            ]),
            0..16,
        )
    ) {
        let _ = resolve(json!({parts.concat(): parts.concat()}), &document());
    }
}
