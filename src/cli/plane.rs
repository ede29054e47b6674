//! `moin plane`: one embedded API server.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::{Outcome, output};
use crate::model::{FieldPath, RepoPath};
use crate::plane::{AuditLevel, AuditLog, Plane, write_private};
use crate::yaml::{self, Document};

/// Serve one embedded API server over TLS: kubectl works against it.
///
/// Prints `ready URL` when it answers; ends on Ctrl-C. RBAC is on: the kubeconfig is the administrator's.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moin plane --listen 127.0.0.1:8001 --kubeconfig plane.kubeconfig &\n  \
    kubectl --kubeconfig plane.kubeconfig get namespaces")]
pub struct PlaneArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Write the administrator's kubeconfig to this file, readable by its owner only.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Keep everything in this folder and go on with what it holds; without it, everything is in memory and gone at
    /// the end. What was answered survives a crash of the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Serve the kinds of the CustomResourceDefinitions in this folder (*.yaml, *.yml, *.json, in subfolders too) from
    /// the start.
    #[arg(long, value_name = "DIR")]
    crds: Option<PathBuf>,
    /// Append an audit log to this file: a JSON line (audit.k8s.io/v1) for each answered request.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// How much the audit log holds of a request.
    #[arg(long, value_enum, default_value_t = Level::Metadata, requires = "audit")]
    audit_level: Level,
    /// Publish the plane's certificate authority in every namespace, as the ConfigMap kube-root-ca.crt.
    #[arg(long)]
    root_ca: bool,
    /// Let requests ask for faults with the header Moin-Fault: status=503; times=2, delay=250ms, hang, lose-answer,
    /// cut=3 (a watch breaks off after three events). Only for tests.
    #[arg(long)]
    fault_header: bool,
    /// Serve plain HTTP: who brings no credentials is the administrator. Only for tests on the loopback.
    #[arg(long)]
    insecure_http: bool,
}

/// How much an audit log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// Who asked for what, and how it was answered.
    Metadata,
    /// Also the objects that were sent and answered; never those of Secrets and tokens.
    RequestResponse,
}

impl From<Level> for AuditLevel {
    fn from(level: Level) -> AuditLevel {
        match level {
            Level::Metadata => AuditLevel::Metadata,
            Level::RequestResponse => AuditLevel::RequestResponse,
        }
    }
}

/// Run the command.
pub fn run(args: PlaneArgs) -> Outcome {
    tokio::runtime::Runtime::new()?.block_on(async {
        // Nobody can ask this process what it was asked.
        let mut builder = Plane::builder().remember_requests(0);
        if let Some(folder) = &args.data {
            builder = builder.data(folder);
        }
        if let Some(path) = &args.audit {
            let log = AuditLog::file(path)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
            builder = builder.audit(log.level(args.audit_level.into()));
        }
        if args.fault_header {
            builder = builder.fault_header();
        }
        builder = builder.root_ca(args.root_ca);
        let plane = builder.open().map_err(|error| match &args.data {
            Some(folder) => format!("--data {}: {error}", folder.display()),
            None => error.to_string(),
        })?;
        if let Some(folder) = &args.crds {
            define_all(&plane, folder)?;
        }
        let serving = if args.insecure_http {
            plane.serve(&args.listen).await
        } else {
            plane.serve_tls(&args.listen).await
        };
        let serving = serving.map_err(|error| {
            format!("cannot listen on {}: {error}; give ADDRESS:PORT, such as 127.0.0.1:0", args.listen)
        })?;
        if let Some(path) = &args.kubeconfig {
            write_private(path, &plane.kubeconfig(serving.url()))
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        output::result(&format!("ready {}\n", serving.url()))?;
        super::run::stop_signal().cancelled().await;
        plane.stop();
        serving.finished().await?;
        plane.close();
        Ok(0)
    })
}

/// Defines what the files of a folder hold; what is refused is named with its file and line.
fn define_all(plane: &Plane, folder: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    find_files(folder, &mut files).map_err(|error| format!("--crds {}: {error}", folder.display()))?;
    files.sort();
    let (mut wrong, mut defined) = (Vec::new(), 0);
    for path in &files {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name: RepoPath = name.parse().unwrap_or_default();
        for document in yaml::read(&name, &bytes) {
            match document.map(|document| define(plane, &document)) {
                Ok(said) => {
                    defined += said.len();
                    let said = said.into_iter().filter_map(Result::err);
                    wrong.extend(said.map(|(line, why)| format!("{}:{line}: {why}", path.display())));
                }
                Err(finding) => {
                    let line = finding.location.as_ref().map_or(1, |at| at.line);
                    wrong.push(format!("{}:{line}: {}", path.display(), finding.message));
                }
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    match defined {
        0 => Err(format!("--crds {}: no CustomResourceDefinition is there", folder.display())),
        _ => Ok(()),
    }
}

/// Defines what a document holds, or each item of a list: what came of each definition, with its line if it is refused.
/// What else lies there is none of the plane's business.
fn define(plane: &Plane, document: &Document) -> Vec<Result<(), (u32, String)>> {
    let items = match &document.value["items"] {
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (Some(at), item)).collect(),
        _ => vec![(None, &document.value)],
    };
    let mut said = Vec::new();
    for (at, item) in items {
        let line = || match at {
            Some(at) => yaml::locate(&document.source, &FieldPath::of_keys(["items"]).index(at)).line,
            None => document.line,
        };
        let (version, kind) = (item["apiVersion"].as_str().unwrap_or_default(), &item["kind"]);
        if kind == "CustomResourceDefinition" {
            said.push(plane.define(item).map_err(|error| (line(), error.to_string())));
        } else if version.starts_with("apiextensions.k8s.io/") {
            said.push(Err((line(), format!("{kind} is no kind of {version}"))));
        }
    }
    said
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, files)?;
        } else if path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_is_refused_is_named_with_its_place() {
        let folder = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.yaml", "a: 1\n---\nb: [\n");
        write(
            "b.yaml",
            "# one\nkind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: {name: x}\n",
        );
        write(
            "c.json",
            "{\"kind\": \"CustomResourceDefinitio\", \"apiVersion\": \"apiextensions.k8s.io/v1\"}",
        );
        write(
            "d.yaml",
            "kind: List\nitems:\n- apiVersion: apiextensions.k8s.io/v1\n  kind: CustomResourceDefinition\n  metadata: {name: y}\n",
        );
        let said = define_all(&Plane::builder().build(), folder.path()).unwrap_err();
        for place in ["a.yaml:4: ", "b.yaml:2: ", "c.json:1: ", "d.yaml:3: "] {
            let place = format!("{}/{place}", folder.path().display());
            assert!(said.contains(&place), "{place} in {said}");
        }
        std::fs::remove_dir_all(folder.path()).unwrap();
        std::fs::create_dir(folder.path()).unwrap();
        assert!(
            define_all(&Plane::builder().build(), folder.path())
                .unwrap_err()
                .contains("no CustomResourceDefinition")
        );
    }
}
