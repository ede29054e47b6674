//! git over ssh: the system's ssh program runs `git-upload-pack` over there, and its pipes are the connection.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use git2::{ErrorClass, ErrorCode};

use super::{Access, Journey, failure};

/// How much of what ssh complains is kept.
const LONGEST_COMPLAINT: u64 = 4096;

/// Connections to one remote.
pub(super) struct Ssh {
    journey: Journey,
}

impl Ssh {
    pub(super) fn new(journey: Journey) -> Ssh {
        Ssh { journey }
    }
}

impl SmartSubtransport for Ssh {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        if !matches!(action, Service::UploadPackLs | Service::UploadPack) {
            return Err(git2::Error::from_str("moin never writes to a repository"));
        }
        let error = |text: &str| failure(ErrorCode::GenericError, ErrorClass::Ssh, text);
        let arguments = arguments(&self.journey.access, url)
            .ok_or_else(|| error("not a URL of a repository over ssh"))?;
        let program = &self.journey.access.ssh_program;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| error(&format!("{} cannot be run: {e}", program.display())))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(error("ssh has no pipes"));
        };
        let (tell, complaint) = mpsc::channel();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            let mut stderr = stderr;
            let _ = stderr.by_ref().take(LONGEST_COMPLAINT).read_to_end(&mut kept);
            // Nobody may care by now.
            let _ = tell.send(String::from_utf8_lossy(&kept).into_owned());
            // What comes after is read and dropped, so that ssh never waits for a full pipe.
            let _ = io::copy(&mut stderr, &mut io::sink());
        });
        let child = Arc::new(Mutex::new(child));
        let watchdog = watch(Arc::clone(&child), self.journey.deadline);
        Ok(Box::new(Pipes { stdin, stdout, child, complaint, _watchdog: watchdog }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// Kills the program at the deadline, unless the connection ends (the sender is dropped) before.
fn watch(child: Arc<Mutex<Child>>, deadline: Instant) -> mpsc::Sender<()> {
    let (sender, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let left = deadline.saturating_duration_since(Instant::now());
        if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            // It may have ended by itself.
            let _ = locked(&child).kill();
        }
    });
    sender
}

fn locked(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
    child: Arc<Mutex<Child>>,
    complaint: mpsc::Receiver<String>,
    _watchdog: mpsc::Sender<()>,
}

impl Pipes {
    /// What ssh said before it ended, as an error.
    fn ended(&mut self) -> io::Error {
        let _ = locked(&self.child).kill();
        // A child of ssh may hold the pipe open; it is not waited for.
        let said = self.complaint.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let tail = said[said.len().saturating_sub(3)..].join("; ").replace('\0', " ");
        io::Error::other(if tail.is_empty() {
            "ssh ended without a word".to_owned()
        } else {
            format!("ssh: {tail}")
        })
    }
}

impl Read for Pipes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stdout.read(buffer) {
            Ok(0) if !buffer.is_empty() => Err(self.ended()),
            answer => answer,
        }
    }
}

impl Write for Pipes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stdin.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.ended()),
            answer => answer,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.flush()
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let mut child = locked(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What to call ssh with; `None` when the URL is none of ssh.
fn arguments(access: &Access, url: &str) -> Option<Vec<OsString>> {
    let rest = url.strip_prefix("ssh://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (host, port) = split_port(authority);
    if host.is_empty() || host.starts_with('-') || path.len() < 2 {
        return None;
    }
    let mut out: Vec<OsString> = Vec::new();
    let mut option = |name: &str, value: OsString| {
        let mut text = OsString::from(format!("{name}="));
        text.push(value);
        out.extend([OsString::from("-o"), text]);
    };
    option("StrictHostKeyChecking", "yes".into());
    option("BatchMode", "yes".into());
    // A shared connection would outlive the request, and hold its pipes.
    option("ControlMaster", "no".into());
    option("ControlPath", "none".into());
    option("ConnectTimeout", "15".into());
    option("ServerAliveInterval", "15".into());
    option("ServerAliveCountMax", "2".into());
    if let Some(file) = &access.known_hosts {
        option("UserKnownHostsFile", quoted(file));
        option("GlobalKnownHostsFile", "/dev/null".into());
    }
    if let Some(file) = &access.ssh_key {
        option("IdentityFile", quoted(file));
        option("IdentitiesOnly", "yes".into());
    }
    if access.known_hosts.is_some() && access.ssh_key.is_some() {
        // All is said: the files of the user that runs moin have no part in it.
        out.extend(["-F".into(), "none".into()]);
    }
    if let Some(port) = port {
        out.extend(["-p".into(), port.into()]);
    }
    out.extend(["-T".into(), "--".into(), host.into(), command(path).into()]);
    Some(out)
}

/// ssh splits the values of some options at spaces.
fn quoted(file: &std::path::Path) -> OsString {
    let mut out = OsString::from("\"");
    out.push(file);
    out.push("\"");
    out
}

/// `user@host` without brackets, and the port.
fn split_port(authority: &str) -> (String, Option<&str>) {
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(host_at);
    if let Some(inner) = host.strip_prefix('[')
        && let Some((address, after)) = inner.split_once(']')
    {
        return (format!("{user}{address}"), after.strip_prefix(':'));
    }
    match host.rsplit_once(':') {
        Some((name, port)) => (format!("{user}{name}"), Some(port)),
        None => (authority.to_owned(), None),
    }
}

/// What the shell over there is to run. `/~/x` is relative to the home, where the shell begins.
fn command(path: &str) -> String {
    let path = match path.strip_prefix("/~/") {
        Some(relative) => relative,
        None if path.starts_with("/~") => &path[1..],
        None => path,
    };
    // A path must not be taken for an option.
    let path = if path.starts_with('-') { format!("./{path}") } else { path.to_owned() };
    format!("git-upload-pack '{}'", path.replace('\'', "'\\''").replace('!', "'\\!'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(access: &Access, url: &str) -> String {
        let all = arguments(access, url).unwrap();
        all.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_command_line_is_strict() {
        let access = Access {
            ssh_key: Some("/k e y".into()),
            known_hosts: Some("/known".into()),
            ..Access::default()
        };
        let line = words(&access, "ssh://git@host:2222/a/b'c.git");
        for part in [
            "-o StrictHostKeyChecking=yes",
            "-o BatchMode=yes",
            "-o UserKnownHostsFile=\"/known\"",
            "-o IdentityFile=\"/k e y\"",
            "-F none",
            "-p 2222",
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert!(line.ends_with(r"-T -- git@host git-upload-pack '/a/b'\''c.git'"), "{line}");
        assert!(
            words(&Access::default(), "ssh://git@host/~/org/x.git").ends_with("git-upload-pack 'org/x.git'")
        );
        assert!(words(&Access::default(), "ssh://[::1]:22/x").contains("-p 22 -T -- ::1 "));
        assert!(arguments(&access, "ssh://-oProxyCommand=x/y").is_none());
        assert_eq!(command("/~/--upload=x"), "git-upload-pack './--upload=x'");
    }
}
