//! `moin plane`: one embedded API server.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, output};
use crate::plane::Plane;

/// Serve one embedded API server: real HTTP, kubectl works against it.
///
/// Prints `ready URL` when it answers; ends on Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moin plane --listen 127.0.0.1:8001 --kubeconfig plane.kubeconfig &\n  \
    kubectl --kubeconfig plane.kubeconfig get namespaces")]
pub struct PlaneArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Write a kubeconfig with a token to this file, readable by its owner only.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Keep everything in this folder and go on with what it holds; without it, everything is in memory and gone at
    /// the end. What was answered survives a crash of the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Run the command.
pub fn run(args: PlaneArgs) -> Outcome {
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut builder = Plane::builder().token(uuid::Uuid::new_v4().simple().to_string());
        if let Some(folder) = &args.data {
            builder = builder.data(folder);
        }
        let plane = builder.open().map_err(|error| format!("--data: {error}"))?;
        let serving = plane.serve(&args.listen).await.map_err(|error| {
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
        Ok(0)
    })
}

/// Write a file that nobody else may read, whatever stood there before.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}
