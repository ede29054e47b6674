//! The same commands to the plane and to the real server: what kubectl says, and how it ends, is the same.
//!
//! A script is a file in `scripts/`: a shell command a line, run in `files/`. `$NS` is the script's own namespace.

use std::path::{Path, PathBuf};
use std::process::Command;

use moin::plane::Plane;
use regex::Regex;

use crate::support::real_server::{RealServer, kubectl_folder};

/// A server and the folder with what kubectl keeps for it.
pub struct Side {
    home: tempfile::TempDir,
    programs: PathBuf,
    namespace: String,
}

impl Side {
    pub fn new(kubeconfig: &str, programs: &Path, namespace: &str) -> Side {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config"), kubeconfig).unwrap();
        Side { home, programs: programs.to_owned(), namespace: namespace.to_owned() }
    }

    /// What a command says on both streams, and its exit code.
    pub fn run(&self, command: &str) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("timeout")
            .args(["60", "sh", "-c", &format!("exec 2>&1; {command}")])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl/files"))
            .env("KUBECONFIG", self.home.path().join("config"))
            .env("HOME", self.home.path())
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("NS", &self.namespace)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        format!("{}\n[{}]", said.trim_end(), output.status.code().unwrap_or(-1))
    }
}

/// What each server makes itself, made equal; then the widths of columns are, and the order of keys in JSON.
fn normal(text: &str) -> String {
    let lines = text.lines().map(|line| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(value) if value.is_object() => value.to_string(),
        _ => line.to_owned(),
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let rules = [
        // Whether client-go still says this depends on which of its two clocks is the first.
        (r#"(?m)^E\d{4} .*"Failed to watch" err="context deadline exceeded".*\n"#, ""),
        (r"\b([WE])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+", "$1"),
        (r"Resource Version:\s+\d+", "Resource Version: N"),
        (r"https?://127\.0\.0\.1:\d+", "URL"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)", "TIME"),
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r#"resourceVersion"?: "\d+""#, "resourceVersion: N"),
        (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"\b\d+s\b", "AGE"),
        (r"\b3[012]\d{3}\b", "NODEPORT"),
        (r#"\(get (\S+)\)"#, "(get $1)"),
        (r"/tmp/[^\s:]+", "FILE"),
        (r" +", " "),
        (r"-{3,}", "---"),
    ];
    rules.iter().fold(text, |text, (pattern, with)| {
        Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}

async fn compare(name: &str, script: &str) {
    let Some(server) = RealServer::shared() else { return };
    let Some(programs) = kubectl_folder() else { return };
    let plane = Plane::new();
    let serving = plane.serve("127.0.0.1:0").await.unwrap();
    let namespace = format!("kubectl-{name}");
    let real = std::fs::read_to_string(server.kubeconfig("admin")).unwrap();
    let sides = [
        Side::new(&real, &programs, &namespace),
        Side::new(&plane.kubeconfig(serving.url()), &programs, &namespace),
    ];
    let script = script.to_owned();
    let wrong = tokio::task::spawn_blocking(move || differences(&sides, &script)).await.unwrap();
    plane.stop();
    assert!(wrong.is_empty(), "{} commands differ\n{}", wrong.len(), wrong.join("\n"));
}

fn differences(sides: &[Side; 2], script: &str) -> Vec<String> {
    for side in sides {
        side.run("kubectl create namespace $NS");
        side.run("kubectl config set-context --current --namespace=$NS");
    }
    let mut wrong = Vec::new();
    for command in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [expected, actual] = [&sides[0], &sides[1]].map(|side| normal(&side.run(command)));
        if expected != actual {
            let diff = similar::TextDiff::from_lines(&expected, &actual);
            let lines = diff.unified_diff().context_radius(1).to_string();
            wrong.push(format!("$ {command}\n{lines}"));
        }
    }
    wrong
}

macro_rules! scripts {
    ($($test:ident $name:literal;)*) => {
        $(#[tokio::test]
        async fn $test() {
            compare($name, include_str!(concat!("scripts/", $name, ".txt"))).await;
        })*
    };
}

scripts! {
    generators_make_what_they_make "create";
    get_shows_the_same "get";
    applying_and_editing_do_the_same "apply";
    workloads_change_the_same "workloads";
    deleting_is_the_same "delete";
    schemas_are_explained_the_same "explain";
    the_server_says_the_same_of_itself "cluster";
}
