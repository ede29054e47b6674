//! `moin plane`: one embedded API server.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, output};
use crate::model::RepoPath;
use crate::plane::{AuditLevel, AuditLog, Plane, write_private};
use crate::yaml;

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
        let plane = builder.open().map_err(|error| format!("--data: {error}"))?;
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
    find_files(folder, &mut files).map_err(|error| format!("--crds: {}: {error}", folder.display()))?;
    files.sort();
    let mut wrong = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name: RepoPath =
            path.file_name().unwrap_or_default().to_string_lossy().parse().unwrap_or_default();
        for document in yaml::read(&name, &bytes) {
            match document {
                Err(finding) => wrong.push(format!("{}: {}", path.display(), finding.message)),
                Ok(document) if document.value["kind"] == "CustomResourceDefinition" => {
                    if let Err(error) = plane.define(&document.value) {
                        wrong.push(format!("{}:{}: {error}", path.display(), document.line));
                    }
                }
                // What else lies there is none of the plane's business.
                Ok(_) => {}
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
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
