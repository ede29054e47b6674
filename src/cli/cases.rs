//! Files of recorded answers: texts and what the reference makes of them, one JSON object a line. `moin eval --cases`
//! and the tests compare by the same rules.

use std::borrow::Cow;

use clap::ValueEnum;
use serde_json::Value;

use crate::expr::cel::{Bindings, Budget, Env, Schema, Value as CelValue};
use crate::expr::{Context, Environment, Expression};
use crate::finding::any_of;
use crate::yaml;

/// The languages there are answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// A document, as the API server reads it.
    Yaml,
    /// JMESPath with the policy language's functions.
    Jmespath,
    /// CEL with Kubernetes' functions.
    Cel,
}

/// How a file of answers held.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// How many held.
    pub passed: usize,
    /// What differs: the text, what was expected, what was found.
    pub failed: Vec<String>,
}

/// The time in recorded answers: 2024-05-23T10:00:00Z.
const NOW: i128 = 1_716_458_400_000_000_000;

/// Compares a file of answers.
///
/// # Errors
/// The lines that are no recorded answers, by their numbers.
pub fn compare(language: Language, text: &str) -> Result<Report, String> {
    let (mut lines, mut malformed) = (Vec::new(), Vec::new());
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        // What nests deeper than the JSON reader goes is YAML, too.
        let read = serde_json::from_str::<Value>(line).or_else(|error| {
            // The complaint is about the JSON that the line was meant to be.
            yaml::parse(line, true).map_err(|_| format!("no JSON: column {}", error.column()))
        });
        match read.and_then(|case| fit(language, &case, lines.is_empty()).map(|()| case)) {
            Ok(case) => lines.push(case),
            Err(why) => malformed.push(format!("line {}: {why}", i + 1)),
        }
    }
    if !malformed.is_empty() {
        return Err(malformed.join("\n"));
    }
    let mut report = Report::default();
    match language {
        Language::Yaml => lines.iter().for_each(|case| report.add(yaml_case(case))),
        Language::Jmespath => {
            let (head, cases) = split_head(&lines)?;
            cases.iter().for_each(|case| report.add(jmespath_case(case, &head["document"])));
        }
        Language::Cel => cel_cases(&lines, &mut report)?,
    }
    Ok(report)
}

/// Whether a line is what the language's files hold.
fn fit(language: Language, case: &Value, is_first: bool) -> Result<(), String> {
    if !case.is_object() {
        return Err("no JSON object".to_owned());
    }
    let has = |keys: &[&str]| keys.iter().any(|key| case.get(key).is_some());
    let (text, answers, head): (_, &[&str], &[&str]) = match language {
        Language::Yaml => ("input", &["json", "error"], &[]),
        Language::Jmespath => ("expression", &["result", "error"], &["document"]),
        Language::Cel => ("expression", &["result", "compileError", "runtimeError"], &["schema", "self"]),
    };
    let is_head = has(head) && case.get(text).is_none();
    if language == Language::Jmespath && is_first != is_head {
        return Err(match is_head {
            true => "only the first line holds a `document`".to_owned(),
            false => "the first line must hold a `document`".to_owned(),
        });
    }
    match case.get(text) {
        _ if is_head => Ok(()),
        None => Err(format!("no `{text}`")),
        Some(value) if !value.is_string() => Err(format!("`{text}` is no text")),
        Some(_) if !has(answers) => Err(format!("no answer: {}", any_of(answers))),
        Some(_) => Ok(()),
    }
}

impl Report {
    fn add(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(difference) => self.failed.push(difference),
        }
    }
}

fn split_head(lines: &[Value]) -> Result<(&Value, &[Value]), String> {
    lines.split_first().ok_or_else(|| "the file is empty".to_owned())
}

fn differs(text: &str, expected: &str, found: &str) -> Result<(), String> {
    Err(format!("{text}\n  expected {expected}\n  found    {found}"))
}

fn yaml_case(case: &Value) -> Result<(), String> {
    let input = case["input"].as_str().unwrap_or_default();
    for (strict, refused) in [(false, &case["error"]), (true, &case["strictError"])] {
        let expected = (*refused != Value::Bool(true)).then(|| &case["json"]);
        let found = yaml::parse(input, strict);
        if found.as_ref().ok() != expected {
            let found = found.map_or_else(|error| format!("error: {error}"), |value| value.to_string());
            let expected = expected.map_or_else(|| "an error".to_owned(), Value::to_string);
            let name = case["case"].as_str().unwrap_or_default();
            return differs(&format!("{name}, strict {strict}: {input:?}"), &expected, &found);
        }
    }
    Ok(())
}

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

fn read_yaml(text: &str) -> Result<Value, String> {
    yaml::parse(text, false).map_err(|error| error.to_string())
}

fn jmespath_answer(expression: &str, document: &Value) -> Result<Value, Class> {
    let compiled = Expression::compile(expression).map_err(|_| Class::Compile)?;
    let environment = Environment { now: NOW, yaml: Some(read_yaml), ..Environment::default() };
    let context = Context::of_document(environment, document);
    let found = context.query(&compiled).map(Cow::into_owned);
    found.map_err(|error| if error.is_not_found() { Class::NotFound } else { Class::Evaluation })
}

fn jmespath_case(case: &Value, document: &Value) -> Result<(), String> {
    let expression = case["expression"].as_str().unwrap_or_default();
    let expected = match case["error"].as_str() {
        Some(message) => Err(class_of(message)),
        None => Ok(case["result"].clone()),
    };
    let found = jmespath_answer(expression, document);
    let same = match (&found, &expected) {
        (Ok(found), Ok(expected)) => same_values(expression, found, expected),
        (Err(found), Err(expected)) => found == expected,
        _ => false,
    };
    if same { Ok(()) } else { differs(expression, &format!("{expected:?}"), &format!("{found:?}")) }
}

/// Maps have no order in the reference engine, so what comes out of one is compared as a set.
fn same_values(expression: &str, a: &Value, b: &Value) -> bool {
    if let (Value::Array(a), Value::Array(b)) = (a, b)
        && (expression.contains("values(") || expression.contains("keys(") || expression.contains(".*"))
    {
        return a.len() == b.len() && a.iter().all(|x| b.iter().any(|y| alike(x, y)));
    }
    alike(a, b)
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

/// A line with a schema and a value of `self` holds for the lines after it.
fn cel_cases(lines: &[Value], report: &mut Report) -> Result<(), String> {
    split_head(lines)?;
    let mut env = Env::kubernetes();
    let mut document = &Value::Null;
    let mut schema = None;
    for line in lines {
        if line.get("expression").is_some() {
            report.add(cel_case(line, &env, document, schema.as_deref()));
            continue;
        }
        document = &line["self"];
        let read = Schema::of_openapi(&line["schema"], false);
        env = Env::kubernetes().with_schema_variable("self", &read);
        schema = Some(read);
    }
    Ok(())
}

/// The class of an answer must be the same, and a value be equal. The text of an error is for people.
fn cel_case(case: &Value, env: &Env, document: &Value, schema: Option<&Schema>) -> Result<(), String> {
    let expression = case["expression"].as_str().unwrap_or_default();
    let found = cel_answer(expression, env, document, schema);
    let same = match &found {
        Ok(value) => case.get("result").is_some_and(|expected| alike(expected, value)),
        Err((class, _)) => case.get(*class).is_some(),
    };
    if same {
        return Ok(());
    }
    let expected: Vec<String> = ["result", "compileError", "runtimeError"]
        .into_iter()
        .filter_map(|class| Some(format!("{class} {}", case.get(class)?)))
        .collect();
    let found = match found {
        Ok(value) => format!("result {value}"),
        Err((class, message)) => format!("{class} {message:?}"),
    };
    differs(expression, &expected.join(", "), &found)
}

/// The value of an expression; or which kind of error it has, and its text as the API server tells it.
pub fn cel_answer(
    expression: &str,
    env: &Env,
    document: &Value,
    schema: Option<&Schema>,
) -> Result<Value, (&'static str, String)> {
    let program = env.compile(expression).map_err(|error| {
        let stage = if error.instantiation { "program instantiation" } else { "compilation" };
        ("compileError", format!("{stage} failed: {}", error.message))
    })?;
    let failed = |error| ("runtimeError", format!("Invalid value: \"object\": {error}"));
    let value = match schema {
        Some(schema) => CelValue::of_schema(document, schema).map_err(failed)?,
        None => CelValue::of_json(document),
    };
    let bindings = Bindings::new().with("self", value);
    program.run(&bindings, &mut Budget::kubernetes()).map(|value| value.to_json()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_answer_is_named() {
        let cel = "{\"expression\": \"1\", \"result\": 1}\n{\"expresion\": \"1\", \"result\": 1}\n\n{\"expression\": \"1\"}\n[\n";
        assert_eq!(
            compare(Language::Cel, cel).unwrap_err(),
            "line 2: no `expression`\nline 4: no answer: result, compileError or runtimeError\nline 5: no JSON: column 1"
        );
        let jmespath = "{\"expression\": \"a\", \"result\": 1}\n";
        assert!(compare(Language::Jmespath, jmespath).unwrap_err().contains("must hold a `document`"));
        let well = "{\"document\": {\"a\": 1}}\n{\"expression\": \"a\", \"result\": 1}\n";
        assert_eq!(compare(Language::Jmespath, well).unwrap().passed, 1);
        assert_eq!(compare(Language::Yaml, "{\"case\": \"x\"}").unwrap_err(), "line 1: no `input`");
    }
}
