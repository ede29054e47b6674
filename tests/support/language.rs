//! Texts in the languages that policies are written in, and what is done with each. The fuzz targets share it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moin::expr::cel::{Bindings, Budget, Env, Schema, Type, Value as CelValue};
use moin::expr::operator::Operator;
use moin::expr::{Context, Environment, Expression, Template, pattern, wildcard};
use moin::policy::{Operation, PolicySet, Request, Wanted};
use moin::schema::Schemas;
use moin::suite::{self, Moment};
use moin::yaml;
use serde_json::{Value, json};

/// A language: its name, which is that of its folder of seeds, and what is done with a text.
pub type Language = (&'static str, fn(&str));

pub const LANGUAGES: [Language; 5] = [
    ("policies", policies),
    ("patterns", patterns),
    ("suites", suites),
    ("jmespath", jmespath),
    ("cel", cel),
];

fn objects() -> [Value; 3] {
    let container =
        |image: &str| json!({"name": "c", "image": image, "securityContext": {"privileged": false}});
    [
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n", "labels": {"app": "web"}},
            "spec": {"containers": [container("r.io/a:1"), container("b:latest")], "replicas": 2}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ x }}", "annotations": {"a/b": "*"}},
            "data": {"k": "{{ request.object.data.k }}", "n": 3}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec":
            {"containers": [container("x")]}}}}),
    ]
}

/// Documents, of which those that are policies are compiled and asked about objects in every way.
pub fn policies(text: &str) {
    let documents = yaml::read(&"fuzz.yaml".parse().expect("a path"), text.as_bytes()).into_iter().flatten();
    let manifests: Vec<_> =
        documents.filter_map(|document| document.into_manifest().ok()).map(Arc::new).collect();
    let (mut set, _) = PolicySet::compile(&manifests);
    set.add_exceptions(&manifests);
    let schemas = Schemas::builtin();
    let objects = objects();
    for (object, operation) in objects.iter().zip([Operation::Create, Operation::Update, Operation::Delete]) {
        let old = (operation == Operation::Update).then_some(&objects[0]);
        let request = Request { operation, old_object: old, ..Request::create(object) };
        set.evaluate(&request);
        set.explain(&request, &Wanted::failures());
        set.mutate(&request, &schemas);
        set.generate(object);
    }
}

/// A pattern, or two sides of a condition, a line each.
pub fn patterns(text: &str) {
    let mut lines = text.lines();
    let (left, right) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    wildcard::matches(left, right);
    let read = |text: &str| yaml::parse(text, false).unwrap_or_else(|_| text.into());
    let (key, value) = (read(left), read(right));
    pattern::matches(&key, Some(&value));
    pattern::matches(&left.into(), Some(&value));
    for operator in Operator::names().filter_map(Operator::parse) {
        operator.evaluate(&key, &value);
        operator.evaluate(&left.into(), &right.into());
    }
}

/// A suite whose other files are as they should be.
pub fn suites(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write(suite::TEST_FILE, text);
    write("policy.yaml", POLICY);
    let objects: Vec<String> = objects().iter().map(Value::to_string).collect();
    write("resources.yaml", &objects.join("\n---\n"));
    suite::run(folder.path(), Moment { now: 0, seed: 1 });
}

const POLICY: &str = r#"
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
    - name: r
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate: {message: refused, pattern: {spec: {containers: [{image: "!*:latest"}]}}}
    - name: m
      match: {any: [{resources: {kinds: [Pod]}}]}
      mutate: {patchStrategicMerge: {metadata: {labels: {+(a): "{{ request.operation }}"}}}}
"#;

/// An expression, alone and in a template.
pub fn jmespath(text: &str) {
    let document = json!({
        "request": {"operation": "CREATE", "object": {"metadata": {"name": "a", "labels": {"b": "{{ c }}"}}, "n": [1, 2.5]}},
        "c": "it's", "t": "2024-05-23T10:00:00Z", "q": "1Gi", "d": "5m", "null": null, "l": ["a", "b*"],
    });
    let yaml = |text: &str| yaml::parse(text, false).map_err(|error| error.to_string());
    let environment =
        Environment { max_steps: 20_000, max_total: 100_000, yaml: Some(yaml), ..Environment::default() };
    let context = Context::of_document(environment, &document);
    if let Ok(expression) = Expression::compile(text) {
        let _ = context.query(&expression);
        expression.explain(&context);
    }
    if let Ok(template) =
        Template::compile(&json!({ text: text, "again": [text, format!("{{{{ {text} }}}}")] }))
    {
        let _ = template.resolve(&context);
        template.explain(&context);
    }
}

/// An expression: compiled, estimated, run and explained.
pub fn cel(text: &str) {
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
    let env = Env::kubernetes()
        .with_bind()
        .with_extensions()
        .with_schema_variable("self", &schema)
        .with_variable("object", Type::Dyn);
    let Ok(program) = env.compile(text) else { return };
    program.estimate(Some(&schema));
    let explainer = program.explainer();
    let Ok(value) = CelValue::of_schema(&document, &schema) else { return };
    let bindings = Bindings::new().with("self", value).with("object", CelValue::of_json(&document));
    let _ = program.run(&bindings, &mut Budget::new(100_000, 100_000)).map(|value| value.to_json());
    explainer.steps(&bindings);
}

/// The texts that others are made of, by the name of the language.
pub fn seeds(language: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(language);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder of seeds").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("a text"));
    // Seeds of expressions are a line each.
    texts
        .flat_map(|text| match language {
            "jmespath" | "cel" => text.lines().map(str::to_owned).collect(),
            "patterns" => text.split("\n\n").map(str::to_owned).collect(),
            _ => vec![text],
        })
        .collect()
}

/// Numbers that look random and are the same each time.
pub struct Choices(u64);

impl Choices {
    pub fn new(seed: u64) -> Choices {
        Choices(seed)
    }

    /// A number below another.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % most.max(1) as u64) as usize
    }
}

/// What is put in at any place.
const PIECES: [&str; 62] = [
    "",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "{{",
    "}}",
    "\\",
    "'",
    "\"",
    "`",
    "|",
    "||",
    "&&",
    "&",
    "!",
    "?",
    "*",
    "+",
    "-",
    ".",
    ":",
    ",",
    "@",
    "$",
    "#",
    "%",
    "~",
    "=",
    "==",
    "<",
    ">",
    "0",
    "-1",
    "1.5",
    "9223372036854775807",
    "1e309",
    "null",
    "true",
    "é",
    "\u{0}",
    "\u{10ffff}",
    "\n",
    "\n  ",
    "\t",
    " ",
    "- ",
    "element",
    "request.object",
    "{{ @ }}",
    "$(./a)",
    "[?",
    "[*]",
    "[]",
    ".all(x, x)",
    ".map(x, x)",
    "1Gi",
    "10-20",
    "P1D",
    "2024-02-30T25:00:00Z",
];

/// A text that is another one with some places changed, among them by parts of a third.
pub fn mutate(text: &str, other: &str, choices: &mut Choices) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let other: Vec<char> = other.chars().collect();
    for _ in 0..=choices.below(4) {
        let at = choices.below(chars.len() + 1);
        let end = (at + choices.below(12)).min(chars.len());
        match choices.below(6) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let again: Vec<char> = chars[at..end].to_vec();
                let count = 1 + choices.below(3);
                for _ in 0..count {
                    chars.splice(at..at, again.iter().copied());
                }
            }
            2 => drop(chars.splice(at..end, PIECES[choices.below(PIECES.len())].chars())),
            3 | 4 => drop(chars.splice(at..at, PIECES[choices.below(PIECES.len())].chars())),
            _ => {
                let from = choices.below(other.len() + 1);
                let to = (from + choices.below(40)).min(other.len());
                chars.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    chars.into_iter().collect()
}
