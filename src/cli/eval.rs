//! `moin eval`: an expression on a document.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use serde_json::Value;

use super::cases::{self, Language};
use super::{BoxError, Outcome, output};
use crate::expr::cel::{Bindings, Budget, Env, Type, Value as CelValue};
use crate::expr::explain::Steps;
use crate::expr::{Context, Environment, Expression};
use crate::finding::{Finding, counted};
use crate::model::RepoPath;
use crate::yaml;

const EXAMPLES: &str = "\
Examples:
  moin eval cel 'object.spec.replicas > 3' -i deployment.yaml
  moin eval jmespath 'spec.containers[].image' -i pod.yaml
  moin eval cel 'self.a.all(x, x > 1)' -i file.yaml --explain    each part with its value
  moin eval yaml -i file.yaml            the file as the API server reads it, in JSON
  moin eval cel --cases cases.jsonl      compare recorded answers

In CEL, `self` and `object` are the document.
Exit codes: 0 a value, or all answers held; 1 an error, or an answer that differs; 2 could not run.";

/// Evaluate an expression on a document.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalArgs {
    /// The language.
    #[arg(value_enum)]
    language: Language,
    /// The expression; for yaml the document itself, if no file is named.
    #[arg(required_unless_present_any = ["cases", "input"])]
    expression: Option<String>,
    /// A file with the document, in YAML or JSON; `-` for stdin. Without one, the document is empty.
    #[arg(short, long, value_name = "FILE", conflicts_with = "cases")]
    input: Option<PathBuf>,
    /// Which document of a file that holds several, counted from 1.
    #[arg(long, value_name = "NUMBER", conflicts_with = "cases")]
    document: Option<usize>,
    /// Show how the expression came to its value: every part of it with its own.
    #[arg(long, conflicts_with = "cases")]
    explain: bool,
    /// Run a file of recorded answers, a JSON object a line, and print what differs.
    #[arg(long, value_name = "FILE", conflicts_with = "expression")]
    cases: Option<PathBuf>,
}

/// Run the command.
pub fn run(args: &EvalArgs) -> Outcome {
    if let Some(file) = &args.cases {
        return compare(args.language, file);
    }
    let text = args.input.as_deref().map(read).transpose()?;
    let name = args.input.as_deref().unwrap_or(Path::new("-"));
    if args.explain && args.language == Language::Yaml {
        return Err("--explain is for expressions: cel and jmespath".into());
    }
    if args.language == Language::Yaml {
        let text = text.or_else(|| args.expression.clone()).unwrap_or_default();
        return match document(name, &text, args.document)? {
            Ok(value) => show(&value),
            Err(finding) => refuse(&output::shown(&finding, output::colors(&std::io::stderr()))),
        };
    }
    let document = match text {
        Some(text) => match document(name, &text, args.document)? {
            Ok(document) => document,
            Err(finding) => {
                output::findings(&[finding]);
                return Err("the document cannot be read".into());
            }
        },
        None => Value::Object(serde_json::Map::new()),
    };
    let Some(expression) = &args.expression else { return Err("an expression is needed".into()) };
    let answer = match args.language {
        Language::Cel => cel(expression, &document, args.explain),
        _ => jmespath(expression, &document, args.explain),
    };
    match answer {
        Ok(Answer::Steps(steps)) => {
            output::result(&steps.to_text())?;
            Ok(u8::from(steps.as_slice().first().is_some_and(|step| matches!(step.value, Some(Err(_))))))
        }
        Ok(Answer::Value(value)) => show(&value),
        Err(message) => refuse(&message),
    }
}

/// What is shown of an evaluation.
#[derive(Debug, PartialEq)]
enum Answer {
    Value(Value),
    Steps(Steps),
}

fn read(file: &Path) -> Result<String, BoxError> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// The document of a text that is meant: the only one, or the one of this number. What is wrong with it is a finding.
///
/// # Errors
/// When there is no such document, or it is not said which of several is meant.
fn document(name: &Path, text: &str, number: Option<usize>) -> Result<Result<Value, Finding>, BoxError> {
    let shown: RepoPath = if name == Path::new("-") {
        "input".parse()?
    } else {
        name.file_name().unwrap_or_default().to_string_lossy().parse()?
    };
    let mut documents = yaml::read(&shown, text.as_bytes());
    let count = documents.len();
    let at = match number {
        Some(number) if (1..=count).contains(&number) => number - 1,
        Some(number) => {
            return Err(format!(
                "there is no document {number}: the input holds {}",
                counted(count, "document")
            )
            .into());
        }
        None if count > 1 => {
            return Err(
                format!("the input holds {count} documents: say with --document which (from 1)").into()
            );
        }
        None if count == 0 => return Ok(Ok(Value::Null)),
        None => 0,
    };
    Ok(documents.swap_remove(at).map(|document| document.value).map_err(|mut finding| {
        // What the caller has is the caller's to see, whatever it holds.
        for place in finding.location.iter_mut().chain(&mut finding.related) {
            place.text = text.lines().nth(place.line.saturating_sub(1) as usize).map(str::to_owned);
        }
        finding
    }))
}

fn show(value: &Value) -> Outcome {
    output::result(&format!("{}\n", serde_json::to_string_pretty(value)?))?;
    Ok(0)
}

fn refuse(message: &str) -> Outcome {
    eprintln!("{message}");
    Ok(1)
}

fn compare(language: Language, file: &Path) -> Outcome {
    let report =
        cases::compare(language, &read(file)?).map_err(|error| format!("{}:\n{error}", file.display()))?;
    let mut out = String::new();
    for difference in &report.failed {
        out.push_str(difference);
        out.push('\n');
    }
    out.push_str(&format!("{} passed, {} failed\n", report.passed, report.failed.len()));
    output::result(&out)?;
    Ok(u8::from(!report.failed.is_empty()))
}

fn cel(expression: &str, document: &Value, explain: bool) -> Result<Answer, String> {
    let env = Env::kubernetes().with_variables([("self", Type::Dyn), ("object", Type::Dyn)]);
    let program = env.compile(expression).map_err(|error| {
        if error.instantiation { marked(expression, error.offset, &error.message) } else { error.message }
    })?;
    let explainer = explain.then(|| program.explainer());
    let bindings =
        Bindings::new().with("self", CelValue::of_json(document)).with("object", CelValue::of_json(document));
    if let Some(explainer) = &explainer {
        return Ok(Answer::Steps(explainer.steps(&bindings)));
    }
    let result = program.run(&bindings, &mut Budget::kubernetes());
    result.map(|value| Answer::Value(value.to_json())).map_err(|error| match error.place() {
        Some(place) => marked(expression, place, error.message()),
        None => format!("ERROR: {error}"),
    })
}

fn jmespath(expression: &str, document: &Value, explain: bool) -> Result<Answer, String> {
    let compiled = Expression::compile(expression).map_err(|error| {
        let characters = expression.get(..error.offset).map_or(0, |before| before.chars().count());
        marked(expression, characters, &error.message)
    })?;
    let now =
        SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0));
    let yaml = |text: &str| yaml::parse(text, false).map_err(|error| error.to_string());
    let environment = Environment { now, yaml: Some(yaml), ..Environment::default() };
    let context = Context::of_document(environment, document);
    if explain {
        return Ok(Answer::Steps(compiled.explain(&context)));
    }
    context
        .query(&compiled)
        .map(|value| Answer::Value(value.into_owned()))
        .map_err(|error| format!("ERROR: {error}"))
}

/// A message, the line of the expression it is about, and a mark under the place.
fn marked(expression: &str, place: usize, message: &str) -> String {
    let mut rest = place;
    for (i, line) in expression.split('\n').enumerate() {
        let length = line.chars().count();
        if rest <= length {
            let column = rest + 1;
            return format!(
                "ERROR: <input>:{}:{column}: {message}\n | {line}\n | {}^",
                i + 1,
                ".".repeat(rest)
            );
        }
        rest -= length + 1;
    }
    format!("ERROR: {message}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_show_their_place() {
        let document = json!({"a": 1});
        assert_eq!(cel("self.a + 1", &document, false), Ok(Answer::Value(json!(2))));
        let error = cel("self.a == 1 &&\n object.b == 2", &document, false).unwrap_err();
        assert_eq!(error, "ERROR: <input>:2:8: no such key: b\n |  object.b == 2\n | .......^");
        assert!(jmespath("a ==", &document, false).unwrap_err().contains('^'));
    }

    #[test]
    fn one_of_several_documents_must_be_chosen() {
        let read = |text: &str, number| document(Path::new("a.yaml"), text, number);
        let two = "a: 1\n---\na: 2\n";
        assert!(read(two, None).unwrap_err().to_string().contains("--document"));
        assert_eq!(read(two, Some(2)).unwrap().unwrap(), json!({"a": 2}));
        assert!(read(two, Some(3)).unwrap_err().to_string().contains("holds 2 documents"));
        assert_eq!(read("# nothing\n", None).unwrap().unwrap(), Value::Null);
        let broken = read("a: b: c\n", None).unwrap().unwrap_err().to_string();
        assert!(
            broken.contains("a.yaml:1") && broken.contains("a: b: c") && broken.contains('^'),
            "{broken}"
        );
    }
}
