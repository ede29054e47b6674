//! The moin binary, run as a user would run it, in an environment of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::namespaces::Host;

/// Runs moin with a home folder of its own, so that nothing of the machine leaks in.
pub struct Moin {
    home: tempfile::TempDir,
}

/// What a run of moin left.
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A moin that runs in the background. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Moin {
    /// With an empty home folder.
    pub fn new() -> Moin {
        Moin { home: tempfile::tempdir().expect("a folder") }
    }

    /// A command of its own home, about this repository.
    pub fn about(repository: &Path, args: &[&str]) -> Finished {
        let folder = repository.display().to_string();
        let (command, rest) = args.split_first().expect("a command");
        Moin::new().run(&[&[*command, "--repo", &folder], rest].concat())
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        self.clean(Command::new(env!("CARGO_BIN_EXE_moin")), args)
    }

    fn clean<S: AsRef<OsStr>>(&self, mut command: Command, args: &[S]) -> Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("NO_COLOR", "1").current_dir(self.home.path());
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Finished {
        self.start(args).wait(Duration::from_secs(120))
    }

    /// Starts it and goes on.
    pub fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Running {
        self.begin(self.command(args))
    }

    /// Starts it in a network of its own.
    pub fn start_on<S: AsRef<OsStr>>(&self, host: &Host, args: &[S]) -> Running {
        self.begin(self.clean(host.command(env!("CARGO_BIN_EXE_moin")), args))
    }

    fn begin(&self, mut command: Command) -> Running {
        let (stdout, stderr) = (self.file("stdout"), self.file("stderr"));
        let child = command
            .stdout(fs::File::create(&stdout).expect("a file"))
            .stderr(fs::File::create(&stderr).expect("a file"))
            .spawn()
            .expect("moin starts");
        Running { child, stdout, stderr }
    }

    fn file(&self, stream: &str) -> PathBuf {
        let number = fs::read_dir(self.home.path()).expect("our folder").count();
        self.home.path().join(format!("{number}-{stream}"))
    }
}

impl Running {
    /// What it has said so far, on both streams.
    pub fn said(&self) -> String {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        read(&self.stdout) + &read(&self.stderr)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our child")
    }

    /// Asks it to end, as Kubernetes would, and waits.
    pub fn terminate(self, limit: Duration) -> Finished {
        let status = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(status.expect("kill starts").success(), "it had ended by itself:\n{}", self.said());
        self.wait(limit)
    }

    /// Ends it without a warning, as the kernel would.
    pub fn kill(mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it has not ended by then.
    pub fn wait(mut self, limit: Duration) -> Finished {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                let read = |path| fs::read_to_string(path).unwrap_or_default();
                return Finished {
                    code: status.code(),
                    stdout: read(&self.stdout),
                    stderr: read(&self.stderr),
                };
            }
            assert!(start.elapsed() < limit, "not ended within {limit:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Both streams.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// What stands on standard output, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.said()))
    }
}
