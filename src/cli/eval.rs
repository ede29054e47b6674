//! `moin eval`: an expression on a document.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use serde_json::Value;

use super::cases::{self, Language};
use super::{BoxError, Outcome, output};
use crate::expr::explain::Came;
use crate::finding::{Finding, counted};
use crate::model::RepoPath;
use crate::policy::{Mistake, Neighbours, Operation, Request, Trial, Tried, World};
use crate::yaml;

const EXAMPLES: &str = "\
Examples:
  moin eval cel 'object.spec.replicas > 3' -i deployment.yaml
  moin eval jmespath 'spec.containers[].image' -i pod.yaml
  moin eval cel 'self.a.all(x, x > 1)' -i file.yaml --explain    each part with its value
  moin eval cel 'variables.image.tag()' -i pod.yaml --policy policy.yaml
  moin eval jmespath '{{ request.object.metadata.name }}-x' -i pod.yaml -u
  moin eval yaml -i file.yaml            the file as the API server reads it, in JSON
  moin eval cel --cases cases.jsonl      compare recorded answers

In CEL, `self` and `object` are the document, and `oldObject`, `request`, `namespaceObject`, `params`, `variables` and the libraries
of policies are known. In JMESPath the document's fields are names, and it is `request.object`; `{{ }}` may stand in a text.
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
    /// Show how the expression came to its value: every part of it with its own. What is in a Secret stays masked.
    #[arg(long, conflicts_with = "cases")]
    explain: bool,
    /// A policy whose `variables` (CEL) or rules' `context` (JMESPath) the expression may use.
    #[arg(long, value_name = "FILE", conflicts_with = "cases", help_heading = "What policies see")]
    policy: Option<PathBuf>,
    /// What the object was before: `oldObject`, `request.oldObject`.
    #[arg(long, value_name = "FILE", conflicts_with = "cases", help_heading = "What policies see")]
    old: Option<PathBuf>,
    /// The namespace of the object: `namespaceObject`.
    #[arg(long, value_name = "FILE", conflicts_with = "cases", help_heading = "What policies see")]
    namespace: Option<PathBuf>,
    /// The parameters of an admission policy: `params`.
    #[arg(long, value_name = "FILE", conflicts_with = "cases", help_heading = "What policies see")]
    params: Option<PathBuf>,
    /// A file with values that policies would ask a cluster for, as `moin check --values` takes it.
    #[arg(long, value_name = "FILE", conflicts_with = "cases", help_heading = "What policies see")]
    values: Option<PathBuf>,
    /// `request.operation`: CREATE, UPDATE, DELETE or CONNECT; UPDATE if there is an old object.
    #[arg(long, value_name = "NAME", conflicts_with = "cases", help_heading = "What policies see")]
    operation: Option<String>,
    /// Print a text as it is, without quotes.
    #[arg(short, long, conflicts_with_all = ["cases", "explain"])]
    unquoted: bool,
    /// Print JSON in one line.
    #[arg(long, conflicts_with_all = ["cases", "explain"])]
    compact: bool,
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
            Ok(value) => show(args, &value),
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
    match try_out(args, expression, &document)? {
        Ok(Tried::Steps(steps)) => {
            output::words(&steps.to_text())?;
            Ok(u8::from(steps.as_slice().first().is_some_and(|step| matches!(step.came, Came::Error(_)))))
        }
        Ok(Tried::Value(value)) => show(args, &value),
        Err(Mistake { message, place: Some(place) }) => refuse(&marked(expression, place, &message)),
        Err(Mistake { message, .. }) if message.starts_with("ERROR") => refuse(&message),
        Err(Mistake { message, .. }) => refuse(&format!("ERROR: {message}")),
    }
}

/// Evaluates an expression on a document and what else policies see.
fn try_out(args: &EvalArgs, expression: &str, document: &Value) -> Result<Result<Tried, Mistake>, BoxError> {
    let file = |path: &Option<PathBuf>| path.as_deref().map(document_of).transpose();
    let (old, namespace, policy) = (file(&args.old)?, file(&args.namespace)?, file(&args.policy)?);
    let (params, given) = (file(&args.params)?, file(&args.values)?);
    let operation = match &args.operation {
        Some(name) => Operation::parse(name)
            .ok_or_else(|| format!("{name:?} is no operation: CREATE, UPDATE, DELETE or CONNECT"))?,
        None if old.is_some() => Operation::Update,
        None => Operation::Create,
    };
    let world = given.map_or_else(World::nothing, |given| World::nothing().given(given));
    let around = Neighbours::none(&world);
    let asking = around.of(document);
    let values = around.values_for(document);
    let request = Request {
        old_object: old.as_ref(),
        operation,
        namespace: namespace.as_ref(),
        values: values.as_ref(),
        outside: Some(&asking),
        ..Request::create(document)
    };
    let now =
        SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0));
    let params = params.unwrap_or_default();
    let trial = Trial { request, params: &params, policy: policy.as_ref(), now };
    Ok(match args.language {
        Language::Cel => trial.cel(expression, args.explain),
        _ => trial.jmespath(expression, args.explain),
    })
}

/// The first document of a file.
fn document_of(path: &Path) -> Result<Value, BoxError> {
    let text = read(path)?;
    let shown: RepoPath = path.file_name().unwrap_or_default().to_string_lossy().parse()?;
    let first = yaml::read(&shown, text.as_bytes()).into_iter().next();
    let first = first.ok_or_else(|| format!("{} is empty", path.display()))?;
    first.map(|document| document.value).map_err(|finding| finding.to_string().into())
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

fn show(args: &EvalArgs, value: &Value) -> Outcome {
    let text = match value {
        Value::String(text) if args.unquoted => text.clone(),
        value if args.compact => value.to_string(),
        value => serde_json::to_string_pretty(value)?,
    };
    output::result(&format!("{text}\n"))?;
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
        let shown = marked("self.a == 1 &&\n object.b == 2", 22, "no such key: b");
        assert_eq!(shown, "ERROR: <input>:2:8: no such key: b\n |  object.b == 2\n | .......^");
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
