//! Named formats, such as `format.dns1123Label()`.

use std::any::Any;
use std::sync::LazyLock;

use regex::Regex;

use super::{Answer, refuse};
use crate::expr::cel::cost::{Cost, UNIT};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::value::{Opaque, Value};

/// A row of a format's function.
macro_rules! constant {
    ($($name:literal)*) => {
        &[$(row(
            concat!("format.", $name),
            concat!("format.", $name),
            "() -> kubernetes.NamedFormat",
            UNIT,
            |_| Ok(found($name).map_or(Value::Null, |format| Value::opaque(Named(format)))),
        ),)*]
    };
}

pub(crate) const CONSTANTS: &[Row] = constant!(
    "dns1123Label" "dns1123Subdomain" "dns1035Label" "qualifiedName" "dns1123LabelPrefix" "dns1123SubdomainPrefix"
    "dns1035LabelPrefix" "labelValue" "uri" "uuid" "byte" "date" "datetime"
);

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("format.named", "format-named", "(string) -> optional(kubernetes.NamedFormat)", UNIT, named),
    row("validate", "format-validate", "kubernetes.NamedFormat.(string) -> optional(list(string))", Cost::Validate, validate),
];

/// A format: its names, the size of its pattern for costs, and its check.
#[derive(Debug)]
struct Format {
    name: &'static str,
    title: &'static str,
    pattern: u64,
    check: fn(&str) -> Vec<String>,
}

static FORMATS: [Format; 13] = [
    Format { name: "dns1123Label", title: "DNS1123Label", pattern: 30, check: label },
    Format { name: "dns1123Subdomain", title: "DNS1123Subdomain", pattern: 60, check: subdomain },
    Format { name: "dns1035Label", title: "DNS1035Label", pattern: 30, check: label_1035 },
    Format { name: "qualifiedName", title: "QualifiedName", pattern: 60, check: qualified_name },
    Format {
        name: "dns1123LabelPrefix",
        title: "DNS1123LabelPrefix",
        pattern: 30,
        check: |t| label(&prefix(t)),
    },
    Format {
        name: "dns1123SubdomainPrefix",
        title: "DNS1123SubdomainPrefix",
        pattern: 60,
        check: |t| subdomain(&prefix(t)),
    },
    Format {
        name: "dns1035LabelPrefix",
        title: "DNS1035LabelPrefix",
        pattern: 30,
        check: |t| label_1035(&prefix(t)),
    },
    Format { name: "labelValue", title: "LabelValue", pattern: 40, check: label_value },
    Format {
        name: "uri",
        title: "URI",
        pattern: 1103,
        check: |t| super::url::request_error(t).into_iter().collect(),
    },
    Format {
        name: "uuid",
        title: "uuid",
        pattern: 71,
        check: |t| unless(UUID.is_match(t), "does not match the UUID format"),
    },
    Format { name: "byte", title: "byte", pattern: 84, check: |t| unless(is_base64(t), "invalid base64") },
    Format { name: "date", title: "date", pattern: 71, check: |t| unless(is_date(t), "invalid date") },
    Format {
        name: "datetime",
        title: "datetime",
        pattern: 71,
        check: |t| unless(is_date_time(t), "invalid datetime"),
    },
];

/// A pattern of this file.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are patterns")
}

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

static IS_LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^{LABEL}$")));
static IS_LABEL_1035: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^{LABEL_1035}$")));
static IS_SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^{LABEL}(\\.{LABEL})*$")));
static IS_QUALIFIED: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("^{QUALIFIED}$")));
static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"));

#[derive(Debug)]
struct Named(&'static Format);

impl Opaque for Named {
    fn type_name(&self) -> &str {
        "kubernetes.NamedFormat"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref::<Named>().is_some_and(|other| self.0.title == other.0.title)
    }

    fn text(&self) -> String {
        self.0.title.to_owned()
    }
}

fn found(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// The size of the pattern that a format checks with.
pub(crate) fn pattern_size(format: Option<&Value<'_>>) -> u64 {
    format.and_then(Value::downcast::<Named>).map_or(1, |named| named.0.pattern)
}

fn named<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(name) = args[0].as_str() else { return refuse() };
    Ok(found(name).map_or(Value::Optional(None), |format| Value::some(Value::opaque(Named(format)))))
}

fn validate<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (Some(named), Some(text)) = (args[0].downcast::<Named>(), args[1].as_str()) else { return refuse() };
    let problems = (named.0.check)(text);
    if problems.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(problems.into_iter().map(Value::text).collect())))
}

fn unless(valid: bool, problem: &str) -> Vec<String> {
    if valid { Vec::new() } else { vec![problem.to_owned()] }
}

/// What a prefix may be followed by is not looked at: a dash at its end is as good as a letter.
fn prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(before) if text.len() > 1 => format!("{before}a"),
        _ => text.to_owned(),
    }
}

fn too_long(text: &str, most: usize, unit: &str) -> Vec<String> {
    unless(text.len() <= most, &format!("must be no more than {most} {unit}"))
}

fn mismatch(message: &str, examples: &[&str], pattern: &str) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

fn label(text: &str) -> Vec<String> {
    let mut out = too_long(text, 63, "characters");
    if !IS_LABEL.is_match(text) {
        let message = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                       start and end with an alphanumeric character";
        out.push(if IS_SUBDOMAIN.is_match(text) {
            "must not contain dots".to_owned()
        } else {
            mismatch(message, &["my-name", "123-abc"], LABEL)
        });
    }
    out
}

fn subdomain(text: &str) -> Vec<String> {
    let mut out = too_long(text, 253, "characters");
    if !IS_SUBDOMAIN.is_match(text) {
        let message = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                       must start and end with an alphanumeric character";
        out.push(mismatch(message, &["example.com"], &format!("{LABEL}(\\.{LABEL})*")));
    }
    out
}

fn label_1035(text: &str) -> Vec<String> {
    let mut out = too_long(text, 63, "characters");
    if !IS_LABEL_1035.is_match(text) {
        let message = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                       alphabetic character, and end with an alphanumeric character";
        out.push(mismatch(message, &["my-name", "abc-123"], LABEL_1035));
    }
    out
}

const NAME_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn qualified_name(text: &str) -> Vec<String> {
    let examples = ["MyName", "my.name", "123-abc"];
    let mut out = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        [domain, name] => {
            if domain.is_empty() {
                out.push("prefix part must be non-empty".to_owned());
            } else {
                out.extend(subdomain(domain).into_iter().map(|problem| format!("prefix part {problem}")));
            }
            name
        }
        _ => {
            let message = mismatch(NAME_MESSAGE, &examples, QUALIFIED);
            return vec![format!(
                "a valid label key {message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".to_owned());
    } else {
        out.extend(too_long(name, 63, "bytes").into_iter().map(|problem| format!("name part {problem}")));
    }
    if !IS_QUALIFIED.is_match(name) {
        out.push(format!("name part {}", mismatch(NAME_MESSAGE, &examples, QUALIFIED)));
    }
    out
}

fn label_value(text: &str) -> Vec<String> {
    let mut out = too_long(text, 63, "bytes");
    if !text.is_empty() && !IS_QUALIFIED.is_match(text) {
        let message = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                       must start and end with an alphanumeric character";
        out.push(mismatch(message, &["MyValue", "my_value", "12345"], &format!("({QUALIFIED})?")));
    }
    out
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\n', '\r']) && crate::expr::gobase64::decode(text).is_ok()
}

fn is_date(text: &str) -> bool {
    crate::expr::gotime::parse("2006-01-02", text).is_ok()
}

fn is_date_time(text: &str) -> bool {
    crate::expr::gotime::parse(crate::expr::gotime::RFC3339, text).is_ok()
}
