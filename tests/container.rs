//! The image that `Containerfile` describes, as far as it can be told without an engine that builds it: what the file
//! says, and how the binary does with what the image gives it.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::print_stderr, reason = "a skipped part says so")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Libraries that the image has: those of the C library and the compiler, and what ssh needs anyway.
const LIBRARIES: [&str; 7] =
    ["linux-vdso.so", "ld-linux", "libc.so", "libm.so", "libgcc_s.so", "libz.so", "libpthread.so"];

/// The instructions of the file, each with its words.
fn instructions() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Containerfile");
    let text = fs::read_to_string(path).unwrap().replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        (word.to_owned(), rest.trim().to_owned())
    };
    lines.map(split).collect()
}

#[test]
fn the_image_runs_as_nobody_and_holds_nothing_else() {
    let all = instructions();
    let stages: Vec<usize> =
        all.iter().enumerate().filter(|(_, (word, _))| word == "FROM").map(|(at, _)| at).collect();
    assert_eq!(stages.len(), 2, "one stage builds, one runs");
    for (_, image) in all.iter().filter(|(word, _)| word == "FROM") {
        let name = image.split_whitespace().next().unwrap();
        let (_, tag) = name.rsplit_once(':').unwrap();
        assert!(tag != "latest" && tag.contains("slim"), "{image}");
    }
    let (build, last) = all.split_at(stages[1]);
    let of = |word: &str| -> Vec<&str> {
        last.iter().filter(|(is, _)| is == word).map(|(_, rest)| rest.as_str()).collect()
    };
    let user: Vec<u32> = of("USER")[0].split(':').map(|id| id.parse().unwrap()).collect();
    assert!(
        user.len() == 2 && user.iter().all(|id| *id >= 10_000),
        "a number, so that runAsNonRoot can tell: {user:?}"
    );
    let entry: Vec<String> = serde_json::from_str(of("ENTRYPOINT")[0]).unwrap();
    assert_eq!(entry, ["/usr/local/bin/moin"], "no shell in between");
    assert_eq!(serde_json::from_str::<Vec<String>>(of("CMD")[0]).unwrap(), ["run"]);
    assert_eq!(of("COPY"), ["--from=build /moin /usr/local/bin/moin"], "nothing of the sources");
    assert!(of("ADD").is_empty() && of("ARG").is_empty());
    let at = |word: &str| last.iter().position(|(is, _)| is == word).unwrap();
    assert!(at("USER") > at("RUN"), "what needs root comes before");
    assert!(
        build.iter().any(|(word, rest)| word == "RUN" && rest.contains("cargo build --locked --release"))
    );
    assert!(
        build.iter().any(|(_, rest)| rest.contains("--remap-path-prefix")),
        "the same bytes wherever it is built"
    );
    let home = of("ENV")[0].strip_prefix("HOME=").unwrap();
    assert!(of("VOLUME").contains(&home), "what it writes to can be mounted");
}

#[test]
fn the_binary_needs_only_what_the_image_has() {
    let Ok(output) = Command::new("ldd").arg(env!("CARGO_BIN_EXE_moin")).output() else {
        eprintln!("skipped: there is no ldd");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines().map(str::trim).filter(|line| line.contains(".so")) {
        let name = line.split(' ').next().unwrap().rsplit('/').next().unwrap();
        assert!(LIBRARIES.iter().any(|known| name.starts_with(known)), "{name} is not in the image");
    }
}

/// Runs moin with an empty environment, no writable file system, and as a user without rights, where namespaces can
/// be made; else at least from a folder that cannot be written.
fn confined(args: &[&str]) -> Output {
    let script = "mount --make-rprivate / && for at in / $(awk '{print $2}' /proc/mounts); do \
                  mount -o remount,bind,ro \"$at\" 2>/dev/null; done; \
                  if touch /tmp/moin-writes 2>/dev/null; then rm -f /tmp/moin-writes; exit 99; fi; \
                  cd / && exec env -i \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_moin")]).args(args);
    if let Ok(output) = command.output()
        && (output.status.success() || namespaces_can_be_made())
    {
        return output;
    }
    eprintln!("not wholly confined: namespaces cannot be made here");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_moin"));
    let read_only = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o555);
    fs::set_permissions(folder.path(), read_only).unwrap();
    command.args(args).env_clear().current_dir(folder.path()).output().unwrap()
}

fn namespaces_can_be_made() -> bool {
    Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|output| output.status.success())
}

#[test]
fn it_works_without_an_environment_and_writes_nothing() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config");
    let example = example.to_str().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let policies = format!("{example}/tests");
    for args in [
        &["--version"][..],
        &["explain", "MOIN-0604"],
        &["check", "--repo", example, "--cluster", "mgmt1"],
        &["render", "--repo", example, "--cluster", "mgmt2", "-o", "names"],
        &["install", "--repo", example, "--cluster", "mgmt1"],
        &["test", &policies],
    ] {
        let output = confined(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
    // What it cannot do without a place to write, it says in a sentence.
    let url = format!("file://{}", copy.path().display());
    let output = confined(&["render", "--repo", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}
