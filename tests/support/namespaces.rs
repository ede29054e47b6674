//! Networks of their own for processes, and a router between them that can lose what one sends to another.
//!
//! A test that wants them runs a second time in a network namespace of its own, which is the router. All of it, the
//! addresses too, is private to that process and goes away with it.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// Set in the process that is in a namespace of its own.
const INSIDE: &str = "MOIN_TEST_ROUTER";

/// What became of the wish for a namespace.
pub enum Entered {
    /// This process is in one.
    Inside(Router),
    /// Another process was, and this is what it said; it ended well.
    Ran(String),
    /// None can be made here, for this reason.
    Unavailable(String),
}

/// Runs this test of the binary again in a network namespace, unless this is that run.
///
/// # Panics
/// When the test fails in there.
pub fn enter(test: &str) -> Entered {
    if std::env::var_os(INSIDE).is_some() {
        return Entered::Inside(Router::new());
    }
    let flags = match usable() {
        Ok(flags) => flags,
        Err(why) => return Entered::Unavailable(why),
    };
    let binary = std::env::current_exe().expect("the test binary");
    let ran = Command::new("unshare")
        .args([flags, "--"])
        .arg(binary)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let said = said(&ran);
    assert!(ran.status.success(), "in a network namespace:\n{said}");
    Entered::Ran(said)
}

/// How unshare makes a namespace in which everything works that is needed: as root, else as one who is root inside.
fn usable() -> Result<&'static str, String> {
    const TRY: &str = "ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward && unshare --net true \
                       && ip link add m0 type veth peer name m1 && ip rule add from 192.0.2.1 to 192.0.2.2 blackhole";
    let mut why = String::new();
    for flags in ["-n", "-rn"] {
        match Command::new("unshare").args([flags, "sh", "-c", TRY]).stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(flags),
            Ok(output) => why = said(&output).trim().replace('\n', "; "),
            Err(error) => why = format!("unshare: {error}"),
        }
    }
    Err(why)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The namespace of this process: it forwards between those of its hosts.
pub struct Router {
    hosts: AtomicU8,
}

/// A network namespace with one address.
pub struct Host {
    /// The namespace lives as long as this process, and that as long as we hold its standard input.
    keeper: Child,
    address: String,
}

impl Router {
    fn new() -> Router {
        run("ip", &["link", "set", "lo", "up"]);
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("it could be written when it was tried");
        Router { hosts: AtomicU8::new(1) }
    }

    /// A new host.
    pub fn host(&self) -> Host {
        let number = self.hosts.fetch_add(1, Ordering::SeqCst);
        let ready = "ip link set lo up && echo ready && read -r _";
        let mut keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", ready])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = [0; 6];
        let mut output = keeper.stdout.take().expect("a pipe");
        std::io::Read::read_exact(&mut output, &mut line).expect("a namespace");
        let (link, id) = (format!("host{number}"), keeper.id().to_string());
        let (here, there) = (format!("10.77.{number}.1"), format!("10.77.{number}.2"));
        run("ip", &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &id]);
        run("ip", &["addr", "add", &format!("{here}/30"), "dev", &link]);
        run("ip", &["link", "set", &link, "up"]);
        let host = Host { keeper, address: there.clone() };
        for args in [
            &["addr", "add", &format!("{there}/30"), "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
            &["route", "add", "default", "via", &here],
        ] {
            succeeds(host.command("ip").args(args));
        }
        host
    }

    /// From now on nothing that one sends arrives at the other; nobody is told.
    pub fn lose(&self, from: &Host, to: &Host) {
        run("ip", &["rule", "add", "from", &from.address, "to", &to.address, "blackhole"]);
    }

    /// It arrives again.
    pub fn deliver(&self, from: &Host, to: &Host) {
        run("ip", &["rule", "del", "from", &from.address, "to", &to.address, "blackhole"]);
    }
}

impl Host {
    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A program that will run there, as the very process that is started.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.keeper.id())).args(["--", program]);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn run(program: &str, args: &[&str]) {
    succeeds(Command::new(program).args(args));
}

fn succeeds(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", said(&output));
}
