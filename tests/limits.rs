//! Expressions, patterns and documents that would never end, or would take all memory or all of the stack, are cut off
//! with an error that says so.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::disallowed_methods, reason = "a test reads clocks")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use moin::expr::cel::{Bindings, Budget, Env, Type, Value as CelValue};
use moin::expr::{Context, Environment, Expression, Template, wildcard};
use moin::model::Manifest;
use moin::policy::{PolicySet, Request, RuleOutcome, Verdict};
use moin::yaml;
use serde_json::{Value, json};

/// Far more than any of it takes, far less than what it would take without a limit.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does work on a stack as small as those of the threads that judge objects.
fn bounded<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let measured = move || {
        let begin = Instant::now();
        let done = work();
        (done, on_core().unwrap_or(begin.elapsed()))
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(measured).unwrap();
    let (done, took) = thread.join().unwrap_or_else(|_| panic!("{name} panics"));
    assert!(took < PATIENCE, "{name} takes {took:?}");
    done
}

/// How long this thread was on a core: machines that run tests may be busy.
fn on_core() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// A text as often as said.
fn times(text: &str, count: usize) -> String {
    text.repeat(count)
}

fn jmespath(text: String, document: Value) -> Result<Value, String> {
    let shown = text[..text.len().min(80)].to_owned();
    bounded(&shown, move || {
        let yaml = |text: &str| yaml::parse(text, false).map_err(|error| error.to_string());
        let environment = Environment { yaml: Some(yaml), ..Environment::default() };
        let expression = Expression::compile(&text).map_err(|error| error.to_string())?;
        let context = Context::of_document(environment, &document);
        context.query(&expression).map(|value| value.into_owned()).map_err(|error| error.to_string())
    })
}

fn cel(text: String, document: Value) -> Result<Value, String> {
    let shown = text[..text.len().min(80)].to_owned();
    bounded(&shown, move || {
        let env = Env::kubernetes().with_bind().with_extensions().with_variable("object", Type::Dyn);
        let program = env.compile(&text).map_err(|error| error.to_string())?;
        let bindings = Bindings::new().with("object", CelValue::of_json(&document));
        let result = program.run(&bindings, &mut Budget::kubernetes());
        result.map(|value| value.to_json()).map_err(|error| error.to_string())
    })
}

fn cut(name: &str, answer: Result<Value, String>, why: &str) {
    let error = match answer {
        Ok(value) => panic!("{name} is {}", value.to_string().chars().take(80).collect::<String>()),
        Err(error) => error,
    };
    assert!(error.contains(why), "{name}: {error}");
}

const STEPS: &str = "takes too many steps";
const BUDGET: &str = "cost limit exceeded";

#[test]
fn jmespath_that_explodes_is_cut() {
    let wide = json!({"l": vec!["a"; 50_000], "t": times("a", 1 << 20), "o": (0..20_000).map(|n| (n.to_string(), n.into())).collect::<serde_json::Map<String, Value>>()});
    let doubled = |of: &str, rounds: usize| format!("{of}{}", times(" | [@, @][]", rounds));
    for text in [
        // Lists that double.
        doubled("[l][]", 30),
        doubled("[t]", 40),
        // Texts that grow.
        format!("{} | join('', @)", doubled("[t]", 12)),
        format!("t{}", times(" | join(@, ['', '', '', '', ''])", 20)),
        "replace_all(t, 'a', t)".to_owned(),
        "regex_replace_all('a', t, t)".to_owned(),
        "regex_replace_all('(a*)', t, '$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1')".to_owned(),
        // Each with each.
        "l[?contains(['b'], @)] | [@, l]".replace("['b']", "`[1]`") + &times(" | [@, @][]", 20),
        // Work that is hidden in a comparison, or in the argument of a function.
        format!("{} | [?@ == @]", doubled("[@]", 14)),
        format!("{} | map(&length(keys(o)), @)", doubled("[@]", 14)),
        format!("{} | map(&avg(l[*].length(@)), @)", doubled("[@]", 14)),
        format!("{} | map(&to_string(@), @)", doubled("[@]", 14)),
        format!("{} | map(&parse_json('[1,2,3,4,5,6,7,8,9]'), @)", doubled("l", 4)),
    ] {
        cut(&text, jmespath(text.clone(), wide.clone()), STEPS);
    }
    for (text, why) in [
        ("random('[a]{1000000}')", "random"),
        ("random('(([a]{1000}){1000}){1000}')", "random"),
        ("random('(a|b|c){0,1000}{0,1000}')", "random"),
        ("regex_match('(\\\\p{L}{1000}){1000}', 'a')", "regex_match"),
    ] {
        cut(text, jmespath(text.to_owned(), wide.clone()), why);
    }
}

#[test]
fn jmespath_that_is_deep_is_refused() {
    for text in [
        times("(", 100_000),
        times("[", 100_000),
        times("!", 100_000),
        times("a.", 100_000) + "a",
        times("a|", 100_000) + "a",
        times("a[?", 100_000),
        times("{a:", 100_000),
        times("a||", 100_000) + "a",
        times("&", 100_000),
        times("[*]", 100_000),
        times("f(", 100_000),
    ] {
        let shown = text[..6].to_owned();
        assert!(jmespath(text, Value::Null).is_err(), "{shown}");
    }
    let deep = format!("parse_json('{}')", times("[", 100_000));
    assert!(jmespath(deep, Value::Null).is_err());
    let deep = format!("parse_yaml('{}')", times("[", 100_000));
    assert!(jmespath(deep, Value::Null).is_err());
    // As deep as it may be.
    let most = format!("{}a", times("a.", 150));
    assert_eq!(jmespath(most, json!({"a": 1})), Ok(Value::Null));
}

#[test]
fn cel_that_explodes_is_cut() {
    let wide = json!({"l": vec!["a"; 50_000], "t": times("a", 1 << 20)});
    let bound = |start: &str, of: &str, rounds: usize| {
        let steps: Vec<String> = (1..=rounds)
            .map(|n| format!("cel.bind(v{n}, {}, ", of.replace('@', &format!("v{}", n - 1))))
            .collect();
        format!("cel.bind(v0, {start}, {}size(v{rounds}) > 0{}", steps.concat(), times(")", rounds + 1))
    };
    for text in [
        "lists.range(1000000000000).size() > 0".to_owned(),
        "lists.range(1000000).map(i, i).map(i, i).size() > 0".to_owned(),
        "lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))".to_owned(),
        "lists.range(100).map(a, lists.range(100).map(b, lists.range(100).map(c, lists.range(100)))).size() > 0".to_owned(),
        "object.l.all(a, object.l.all(b, a == b))".to_owned(),
        bound("[1, 1]", "@ + @", 40),
        bound("'ab'", "@ + @", 60),
        bound("'ab'", "@.replace('a', @)", 40),
        bound("'aaaa'", "@.replace('', @)", 40),
        bound("object.t", "[@, @, @, @].join(@)", 10),
        "lists.range(1000).map(i, object.l + object.l).size() > 0".to_owned(),
        "lists.range(1000).map(i, object.t.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')).size() > 0".to_owned(),
    ] {
        cut(&text, cel(text.clone(), wide.clone()), BUDGET);
    }
    assert!(cel("'%.1000000000f'.format([1.0]).size() < 2000".to_owned(), wide.clone()).is_ok());
    let _ = cel("[1, [2], 3].flatten(9223372036854775807).size() == 3".to_owned(), wide);
}

#[test]
fn cel_that_is_deep_is_refused() {
    for text in [
        times("(", 100_000),
        times("[", 100_000),
        times("!", 100_000) + "true",
        times("-", 100_000) + "1",
        times("{1:", 100_000),
        "object".to_owned() + &times(".a", 100_000),
        "object".to_owned() + &times("[0]", 100_000),
        times("1 + ", 100_000) + "1",
        times("true ? ", 100_000),
        times("[1].all(x, ", 100_000),
        times("size(", 100_000),
    ] {
        let shown = text[..6].to_owned();
        assert!(cel(text, Value::Null).is_err(), "{shown}");
    }
    let long = times("true && ", 20_000) + "true";
    bounded("many ands", move || drop(cel(long, Value::Null)));
}

#[test]
fn wildcards_end() {
    let text = times("a", 20_000);
    bounded("wildcards", move || {
        for pattern in ["*a*a*a*b", "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*c", "?*?*?*?*?*?*?*?*b"] {
            assert!(!wildcard::matches(pattern, &text));
        }
        assert!(!wildcard::matches(&(times("*a", 2_000) + "b"), &text));
    });
}

fn set(policy: &str) -> PolicySet {
    let manifests: Vec<Arc<Manifest>> = yaml::read(&"policy.yaml".parse().unwrap(), policy.as_bytes())
        .into_iter()
        .map(|document| Arc::new(document.unwrap().into_manifest().unwrap()))
        .collect();
    PolicySet::compile(&manifests).0
}

/// What a rule of a classic policy says of an object.
fn judged(rule: Value, object: Value) -> Vec<RuleOutcome> {
    let mut rule = rule;
    rule["name"] = json!("r");
    rule["match"] = json!({"any": [{"resources": {"kinds": ["*"]}}]});
    let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
        "spec": {"validationFailureAction": "Enforce", "rules": [rule]}});
    bounded("a policy", move || set(&policy.to_string()).evaluate(&Request::create(&object)))
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "spec": spec})
}

fn is_cut(outcomes: &[RuleOutcome], why: &str) {
    let [outcome] = outcomes else { panic!("{} outcomes", outcomes.len()) };
    assert_eq!(outcome.result, Verdict::Error, "{}", outcome.message);
    assert!(outcome.message.contains(why), "{}", outcome.message);
    assert!(outcome.refuses());
}

#[test]
fn loops_in_loops_are_cut() {
    let many: Vec<Value> = (0..3_000).map(Value::from).collect();
    let deny = json!({"conditions": {"any": [{"key": "{{ element }}", "operator": "Equals", "value": -1}]}});
    let nested = json!([{"list": "request.object.spec.l", "foreach": [{"list": "request.object.spec.l",
        "foreach": [{"list": "request.object.spec.l", "deny": deny}]}]}]);
    is_cut(
        &judged(json!({"validate": {"message": "m", "foreach": nested}}), object(json!({"l": many}))),
        STEPS,
    );
    // Without any expression in the innermost loop.
    let nested = json!([{"list": "request.object.spec.l", "foreach": [{"list": "request.object.spec.l",
        "foreach": [{"list": "request.object.spec.l", "elementScope": false, "pattern": {"kind": "ConfigMap"}}]}]}]);
    is_cut(
        &judged(json!({"validate": {"message": "m", "foreach": nested}}), object(json!({"l": many}))),
        STEPS,
    );
}

#[test]
fn joins_of_long_lists_end() {
    let list = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    let condition = |operator: &str| {
        json!({"validate": {"deny": {"conditions": {"any": [
            {"key": "{{ request.object.spec.a }}", "operator": operator, "value": "{{ request.object.spec.b }}"}]}}}})
    };
    for operator in ["AnyIn", "AllNotIn", "AnyNotIn", "AllIn"] {
        let plain =
            judged(condition(operator), object(json!({"a": list("a-", 20_000), "b": list("b-", 20_000)})));
        assert!(matches!(plain[0].result, Verdict::Pass | Verdict::Fail), "{}", plain[0].message);
    }
    let wild =
        judged(condition("AnyIn"), object(json!({"a": list("*a*-", 20_000), "b": list("*b*-", 20_000)})));
    is_cut(&wild, STEPS);
}

#[test]
fn variables_of_themselves_and_long_chains_are_cut() {
    let rule = |context: Vec<Value>, key: &str| {
        let deny = json!({"conditions": {"any": [{"key": key, "operator": "Equals", "value": -1}]}});
        json!({"context": context, "validate": {"message": "m", "deny": deny}})
    };
    let to_each_other = vec![
        json!({"name": "x", "variable": {"jmesPath": "y"}}),
        json!({"name": "y", "variable": {"jmesPath": "x"}}),
    ];
    is_cut(&judged(rule(to_each_other, "{{ x }}"), object(json!({}))), "");
    let chain = |value: &str| -> Vec<Value> {
        let link = |n: usize| json!({"name": format!("v{n}"), "variable": {"jmesPath": value.replace('@', &format!("v{}", n + 1))}});
        (0..5_000).map(link).chain([json!({"name": "v5000", "variable": {"value": 1}})]).collect()
    };
    is_cut(&judged(rule(chain("@"), "{{ v0 }}"), object(json!({}))), "deep");
    is_cut(&judged(rule(chain("[[[[[[[[[[@]]]]]]]]]]"), "{{ v0 }}"), object(json!({}))), "deep");
    // Each is read before the next, so that only the value grows deep.
    let conditions: Vec<Value> = (0..5_000)
        .rev()
        .map(|n| json!({"key": format!("{{{{ type(v{n}) }}}}"), "operator": "Equals", "value": "x"}))
        .collect();
    let mut read_in_turn = rule(chain("[[[[[[[[[[@]]]]]]]]]]"), "");
    read_in_turn["validate"]["deny"]["conditions"]["any"] = conditions.into();
    is_cut(&judged(read_in_turn, object(json!({}))), "deep");
}

#[test]
fn texts_that_grow_are_cut() {
    let grows = object(
        json!({"a": "{{ request.object.spec.a }}{{ request.object.spec.a }}", "t": times("x", 1 << 20)}),
    );
    let deny = |key: &str| json!({"validate": {"deny": {"conditions": {"any": [{"key": key, "operator": "Equals", "value": "x"}]}}}});
    is_cut(&judged(deny("{{ request.object.spec.a }}-"), grows.clone()), STEPS);
    is_cut(&judged(deny(&times("{{ request.object.spec.t }}", 5_000)), grows), STEPS);
    let many = times("{{ request.object.spec.t }}", 10_000);
    is_cut(
        &judged(deny("{{ request.object.spec.a }}-"), object(json!({"a": many, "t": times("x", 1 << 20)}))),
        STEPS,
    );
}

#[test]
fn variables_in_cel_that_chain_are_cut() {
    let policy = |value: &str, validations: Vec<Value>| {
        let mut variables = vec![json!({"name": "v0", "expression": "[1]"})];
        variables.extend((1..1_500).map(|n| {
            json!({"name": format!("v{n}"), "expression": value.replace('@', &format!("variables.v{}", n - 1))})
        }));
        let policy = json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "p"},
            "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]},
                "variables": variables, "validations": validations}});
        let object = object(json!({}));
        bounded("a policy in CEL", move || set(&policy.to_string()).evaluate(&Request::create(&object)))
    };
    let last = || vec![json!({"expression": "size(variables.v1499) > 0"})];
    let deep = policy("@", last());
    assert_eq!(deep[0].result, Verdict::Error, "{}", deep[0].message);
    let nested = policy("[[[[[[[[[[@]]]]]]]]]]", last());
    assert_eq!(nested[0].result, Verdict::Error, "{}", nested[0].message);
    let in_turn = (0..1_500).map(|n| json!({"expression": format!("size(variables.v{n}) > 0")})).collect();
    let nested = policy("[[[[[[[[[[@]]]]]]]]]]", in_turn);
    assert_eq!(nested[0].result, Verdict::Error, "{}", nested[0].message);
    let doubled = policy("@ + @", last());
    assert_eq!(doubled[0].result, Verdict::Error, "{}", doubled[0].message);
}

#[test]
fn deep_and_wide_documents_are_refused_or_read() {
    for text in [
        times("[", 100_000),
        times("{a: ", 100_000),
        times("- ", 100_000) + "a",
        (0..5_000).map(|n| format!("{}a:\n", times(" ", n))).collect(),
        "a: &a [x]\n".to_owned()
            + &(0..60)
                .map(|n| {
                    format!(
                        "b{n}: &b{n} [*{p}, *{p}]\n",
                        p = if n == 0 { "a".to_owned() } else { format!("b{}", n - 1) }
                    )
                })
                .collect::<String>(),
    ] {
        bounded("YAML", move || drop(yaml::parse(&text, true)));
    }
    // A pattern and an object as deep as a document may be.
    let mut deep = json!({"x": 1});
    for _ in 0..60 {
        deep = json!({"a": [deep]});
    }
    let outcomes =
        judged(json!({"validate": {"message": "m", "pattern": {"spec": deep}}}), object(deep.clone()));
    assert_eq!(outcomes[0].result, Verdict::Pass, "{}", outcomes[0].message);
    let template = deep.to_string().replace('1', "\"{{ x }}\"");
    bounded("a template", move || drop(Template::compile(&yaml::parse(&template, false).unwrap())));
}
