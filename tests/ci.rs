//! The CI definitions of the example: readable, safe for pull requests of strangers, and their very commands work.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::repository::TestRepository;

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config").join(file);
    moin::yaml::parse(&fs::read_to_string(path).unwrap(), true).unwrap()
}

/// Runs a script as CI does, moin on the PATH, in a clone of the repository.
fn run(repository: &TestRepository, script: &str, variables: &[(&str, &str)]) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_moin"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-e", "-o", "pipefail", "-c", script]).current_dir(repository.path());
    command.env_clear().env("PATH", path).env("HOME", repository.path().join(".git"));
    command.envs(variables.iter().copied()).output().unwrap()
}

fn holds(repository: &TestRepository, script: &str, variables: &[(&str, &str)]) {
    let output = run(repository, script, variables);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}{}", said(&output.stdout), said(&output.stderr));
}

fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).and_then(Value::as_str));
            map.values().for_each(|value| texts(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    texts(value, key, &mut found);
    found
}

/// The example as a pull request would change it, rightly.
fn changed() -> TestRepository {
    let repository = TestRepository::example();
    let file = "tenants/mgmt1/team-a/web.yaml";
    let text = fs::read_to_string(repository.path().join(file)).unwrap();
    repository.write(file, &text.replace("replicas: 3", "replicas: 5"));
    repository.commit("More machines");
    repository
}

/// ... and wrongly.
fn broken() -> TestRepository {
    let repository = changed();
    let file = "tenants/mgmt1/team-a/web.yaml";
    let text = fs::read_to_string(repository.path().join(file)).unwrap();
    repository.write(file, &text.replace("v1.34.2", "v1.34.1"));
    repository.commit("An older version");
    repository
}

#[test]
fn the_workflows_are_safe_for_pull_requests_of_strangers() {
    let (judging, telling) = (read(".github/workflows/moin.yml"), read(".github/workflows/moin-comment.yml"));
    assert_eq!(judging["permissions"], serde_json::json!({"contents": "read"}));
    assert_eq!(telling["permissions"], serde_json::json!({}), "each job says what it needs");
    assert!(
        judging["on"].get("pull_request").is_some() && judging["on"].get("pull_request_target").is_none()
    );
    assert_eq!(all(&telling, "uses"), [] as [&str; 0], "nothing of others runs with rights to write");
    for action in all(&judging, "uses") {
        let (_, commit) = action.split_once('@').unwrap();
        assert!(
            commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()),
            "{action} is not pinned"
        );
    }
    let steps = judging["jobs"]["moin"]["steps"].as_array().unwrap();
    assert_eq!(steps[0]["with"]["persist-credentials"], false);
    // What an author can choose reaches a script as a variable only, never as part of its text.
    for script in all(&judging, "run").into_iter().chain(all(&telling, "run")) {
        assert!(!script.contains("${{"), "{script}");
    }
    for file in [".github/workflows/moin.yml", ".gitlab-ci.yml", "zuul.yaml", "playbooks/moin.yaml"] {
        assert!(!read(file).to_string().contains("secrets."), "{file}");
    }
}

#[test]
fn the_commands_for_github_work() {
    let (right, wrong) = (changed(), broken());
    let workflow = read(".github/workflows/moin.yml");
    let steps = all(&workflow, "run");
    let of = |words: &str| *steps.iter().find(|script| script.contains(words)).unwrap();
    for repository in [&right, &wrong] {
        holds(repository, of("moin diff"), &[]);
        let comment = fs::read_to_string(repository.path().join("result/comment.md")).unwrap();
        assert!(
            comment.contains("## mgmt1\n### moin: 1")
                && comment.contains("## mgmt2\n### moin: nothing changes"),
            "{comment}"
        );
        for cluster in ["mgmt1", "mgmt2"] {
            let file = repository.path().join(format!("result/{cluster}.sarif"));
            let sarif: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            assert_eq!(sarif["version"], "2.1.0");
        }
    }
    holds(&right, of("moin test"), &[]);
    holds(&right, of("-o github"), &[]);
    let refused = run(&wrong, of("-o github"), &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        said.contains("::error file=tenants/mgmt1/team-a/web.yaml,line=") && said.contains("MOIN-0604"),
        "{said}"
    );
}

#[test]
fn the_commands_for_gitlab_work() {
    let (right, wrong) = (changed(), broken());
    let definition = read(".gitlab-ci.yml");
    let script = |job: &str| {
        let lines = definition[job]["script"].as_array().unwrap();
        lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    let base = [("CI_MERGE_REQUEST_DIFF_BASE_SHA", "HEAD~1")];
    for job in ["check", "test", "diff"] {
        holds(&right, &script(job), &base);
    }
    assert!(fs::read_to_string(right.path().join("junit.xml")).unwrap().contains("<testsuite"));
    assert_eq!(run(&wrong, &script("check"), &base).status.code(), Some(1));
    holds(&wrong, &script("diff"), &base);
    assert!(fs::read_to_string(wrong.path().join("comment.md")).unwrap().contains("goes down from v1.34.2"));
    assert!(
        definition["comment"]["rules"][0]["if"]
            .as_str()
            .unwrap()
            .contains("SOURCE_PROJECT_ID == $CI_PROJECT_ID")
    );
}

#[test]
fn the_commands_for_zuul_work() {
    let (right, wrong) = (changed(), broken());
    let jobs = read("zuul.yaml");
    assert_eq!(jobs[0]["job"]["run"], "playbooks/moin.yaml");
    assert_eq!(jobs[1]["project"]["gate"]["jobs"][0], jobs[0]["job"]["name"]);
    let playbook = read("playbooks/moin.yaml");
    let scripts = all(&playbook, "cmd");
    assert_eq!(scripts.len(), 3);
    for script in &scripts {
        holds(&right, script, &[]);
    }
    assert_eq!(run(&wrong, scripts[2], &[]).status.code(), Some(1));
}
