//! Makes `src/plane/protobuf/messages.txt`, the field numbers of built-in kinds in protobuf, from the sources of
//! the Kubernetes Go modules.
//!
//!     cargo run --example proto_table -- ~/go/pkg/mod/k8s.io v0.35.4 src/plane/protobuf/messages.txt
//!
//! `generated.proto` says number and type of a field, the Go struct beside it how JSON names it, whether JSON puts
//! its fields into the parent (`~`), and whether JSON leaves out its zero value (`?`). A line is a message:
//!
//!     apps.v1.DeploymentSpec replicas=1:i selector=2:@meta.v1.LabelSelector ...
//!
//! Types: `s` text, `b` bool, `i` whole number, `d` number, `y` bytes, `@ROW` a message; after `[]` in a list, after
//! `{}` in a dictionary. A row whose name ends in `=` is in JSON the value of its only field.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the modules keep the types of the served versions.
const FOLDERS: [&str; 24] = [
    "api@/core/v1",
    "api@/admissionregistration/v1",
    "api@/apps/v1",
    "api@/authentication/v1",
    "api@/authorization/v1",
    "api@/autoscaling/v1",
    "api@/autoscaling/v2",
    "api@/batch/v1",
    "api@/certificates/v1",
    "api@/coordination/v1",
    "api@/discovery/v1",
    "api@/events/v1",
    "api@/flowcontrol/v1",
    "api@/networking/v1",
    "api@/node/v1",
    "api@/policy/v1",
    "api@/rbac/v1",
    "api@/resource/v1",
    "api@/scheduling/v1",
    "api@/storage/v1",
    "apimachinery@/pkg/apis/meta/v1",
    "apimachinery@/pkg/runtime",
    "apiextensions-apiserver@/pkg/apis/apiextensions/v1",
    "kube-aggregator@/pkg/apis/apiregistration/v1",
];

/// Messages whose JSON is not that of a struct; the program knows each by its name.
const SPECIAL: [&str; 6] = [
    "meta.v1.Time",
    "meta.v1.MicroTime",
    "meta.v1.Duration",
    "meta.v1.FieldsV1",
    "meta.v1.Timestamp",
    "runtime.TypeMeta",
];

struct Message {
    name: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    number: u32,
    kind: String,
    inline: bool,
    omit_zero: bool,
}

/// What the Go struct says about a field: its name in JSON, inline, left out when zero.
type Tags = BTreeMap<(String, u32), (String, bool, bool)>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [modules, version, to] = arguments.as_slice() else {
        return Err("usage: proto_table MODULES VERSION TARGET_FILE".into());
    };
    let mut lines = BTreeSet::new();
    for folder in FOLDERS {
        let folder = Path::new(modules).join(folder.replacen('@', &format!("@{version}"), 1));
        let (tags, structs) = go_structs(&folder)?;
        for message in messages(&fs::read_to_string(folder.join("generated.proto"))?) {
            let short_name = message.name.rsplit('.').next().unwrap_or_default().to_owned();
            if SPECIAL.contains(&message.name.as_str())
                || short_name.ends_with("List") && short_name != "List"
            {
                continue;
            }
            lines.insert(line(message, &short_name, &tags, &structs));
        }
    }
    fs::write(to, lines.into_iter().map(|line| line + "\n").collect::<String>())?;
    Ok(())
}

fn line(message: Message, short_name: &str, tags: &Tags, structs: &BTreeSet<String>) -> String {
    let plain = structs.contains(short_name);
    let mut text = message.name;
    if !plain && message.fields.len() == 1 {
        text.push('=');
    }
    for mut field in message.fields {
        if let Some((name, inline, omit_zero)) = tags.get(&(short_name.to_owned(), field.number)) {
            field.inline = *inline;
            field.omit_zero = *omit_zero;
            if !name.is_empty() {
                field.name.clone_from(name);
            }
        }
        let mark = if field.inline {
            "~"
        } else if field.omit_zero {
            "?"
        } else {
            ""
        };
        text.push_str(&format!(" {}={}:{mark}{}", field.name, field.number, field.kind));
    }
    text
}

/// The messages of a file.
fn messages(text: &str) -> Vec<Message> {
    let package = text
        .lines()
        .find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'))
        .unwrap_or_default()
        .to_owned();
    let mut found: Vec<Message> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("message ").and_then(|rest| rest.strip_suffix(" {")) {
            found.push(Message { name: short(&format!("{package}.{name}")), fields: Vec::new() });
        } else if let Some(field) = field(line.trim(), &package)
            && let Some(message) = found.last_mut()
        {
            message.fields.push(field);
        }
    }
    found
}

/// `optional .k8s.io.api.core.v1.PodSpec spec = 2;`
fn field(line: &str, package: &str) -> Option<Field> {
    let (declaration, number) = line.strip_suffix(';')?.split_once(" = ")?;
    let number = number.parse().ok()?;
    let (kind, name) = declaration.rsplit_once(' ')?;
    let kind = if let Some(kind) = kind.strip_prefix("optional ") {
        type_code(kind, package)?
    } else if let Some(kind) = kind.strip_prefix("repeated ") {
        format!("[]{}", type_code(kind, package)?)
    } else {
        let value = kind.strip_prefix("map<string, ")?.strip_suffix('>')?;
        format!("{{}}{}", type_code(value, package)?)
    };
    Some(Field { name: name.to_owned(), number, kind, inline: false, omit_zero: false })
}

fn type_code(kind: &str, package: &str) -> Option<String> {
    Some(match kind {
        "string" => "s".to_owned(),
        "bool" => "b".to_owned(),
        "int32" | "int64" | "uint32" | "uint64" => "i".to_owned(),
        "double" | "float" => "d".to_owned(),
        "bytes" => "y".to_owned(),
        other if other.starts_with(|c: char| c.is_ascii_lowercase()) && !other.contains('.') => return None,
        other => match other.strip_prefix('.') {
            Some(absolute) => format!("@{}", short(absolute)),
            None if other.contains('.') => format!("@{}", short(other)),
            None => format!("@{}", short(&format!("{package}.{other}"))),
        },
    })
}

/// `core.v1.Pod` for `k8s.io.api.core.v1.Pod`, as the schema table writes it.
fn short(name: &str) -> String {
    let known = [
        "k8s.io.api.",
        "k8s.io.apimachinery.pkg.apis.",
        "k8s.io.apimachinery.pkg.",
        "k8s.io.apiextensions_apiserver.pkg.apis.",
        "k8s.io.kube_aggregator.pkg.apis.",
    ];
    known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
}

/// The tags of the fields of all Go structs in a folder, and the structs' names.
fn go_structs(folder: &Path) -> Result<(Tags, BTreeSet<String>), Box<dyn Error>> {
    let (mut tags, mut structs) = (Tags::new(), BTreeSet::new());
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".go") || name.ends_with("_test.go") || name.contains("generated") {
            continue;
        }
        let mut current = String::new();
        for line in fs::read_to_string(&path)?.lines() {
            if let Some(name) = line.strip_prefix("type ").and_then(|rest| rest.strip_suffix(" struct {")) {
                current = name.to_owned();
                structs.insert(current.clone());
            } else if line == "}" {
                current.clear();
            } else if let Some((number, tag)) = tag(line)
                && !current.is_empty()
            {
                tags.insert((current.clone(), number), tag);
            }
        }
    }
    Ok((tags, structs))
}

/// ``Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"` ``
fn tag(line: &str) -> Option<(u32, (String, bool, bool))> {
    let (declaration, tag) = line.split_once('`')?;
    let part = |key: &str| Some(tag.split_once(&format!("{key}:\""))?.1.split_once('"')?.0);
    let number = part("protobuf")?.split(',').nth(1)?.parse().ok()?;
    let mut json = part("json")?.split(',');
    let name = json.next().unwrap_or_default().to_owned();
    let options: Vec<&str> = json.collect();
    let ty = declaration.split("//").next().unwrap_or_default().split_whitespace().last().unwrap_or_default();
    let inline = options.contains(&"inline") || (name.is_empty() && !options.contains(&"omitempty"));
    let omit_zero = options.contains(&"omitempty") && !ty.starts_with(['*', '[']) && !ty.starts_with("map[");
    Some((number, (name, inline, omit_zero)))
}
