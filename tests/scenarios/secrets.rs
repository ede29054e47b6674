//! The values of Secrets are for the cluster alone.

use moin::model::SYSTEM_NAMESPACE;

use crate::support::moin::Moin;
use crate::support::scenario::{EVENT, OWNER, RECONCILIATION, Scenario, map};

/// What must never be seen; as plain text and in base64 (`bWFya2VyLW9mLWEtc2VjcmV0`).
const MARKER: &str = "marker-of-a-secret";
const MARKER_64: &str = "bWFya2VyLW9mLWEtc2VjcmV0";

fn secret(name: &str, body: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: default\n{body}")
}

fn unseen(what: &str, text: &str) {
    for marker in [MARKER, MARKER_64, "marker-of"] {
        let line = text.lines().find(|line| line.contains(marker));
        assert!(line.is_none(), "{what} shows a secret: {line:?}");
    }
}

/// Runs every command on the repository, and looks at all that they say and write.
async fn every_command_keeps_silent(scenario: &Scenario, theme: &str) {
    let (_serving, kubeconfig) = scenario.serve().await;
    let source = scenario.source_args();
    let folder = scenario.repository.path().display().to_string();
    let cluster = ["--kubeconfig".to_owned(), kubeconfig.clone()];
    let local = |words: &[&str]| {
        let mut args: Vec<String> = words.iter().map(ToString::to_string).collect();
        args.extend(["--repo".to_owned(), folder.clone()]);
        args
    };
    let mut commands = vec![local(&["render"]), local(&["check"]), local(&["check", "-o", "json"])];
    commands.push(local(&["check", "-o", "github"]));
    for format in ["unified", "json", "markdown"] {
        commands.push(local(&["diff", "HEAD~1..HEAD", "-o", format]));
        commands.push([local(&["diff", "--live", "-o", format]), cluster.to_vec()].concat());
    }
    let run = ["run", "--once", "--timeout", "20s", "-v"].map(str::to_owned).to_vec();
    commands.push([run, source.clone(), cluster.to_vec()].concat());
    commands.push([local(&["diff", "--live"]), cluster.to_vec()].concat());
    commands.push([vec!["status".to_owned(), "-o".to_owned(), "json".to_owned()], cluster.to_vec()].concat());
    let finished = tokio::task::spawn_blocking(move || {
        let moin = Moin::new();
        commands.into_iter().map(|args| (args.join(" "), moin.run(&args))).collect::<Vec<_>>()
    });
    for (command, finished) in finished.await.unwrap() {
        assert!(finished.code.is_some_and(|code| code < 100), "{command}: {}", finished.said());
        unseen(&format!("{theme}: moin {command}"), &finished.said());
    }
    let told = scenario.get(RECONCILIATION, Some(SYSTEM_NAMESPACE), OWNER).await;
    unseen(&format!("{theme}: the Reconciliation"), &format!("{told:#?}"));
    let events = scenario.api(EVENT, None).list(&Default::default()).await.unwrap();
    unseen(&format!("{theme}: an Event"), &serde_json::to_string_pretty(&events.items).unwrap());
}

async fn stays_unseen(theme: &str, before: &str, after: &str) {
    let scenario = Scenario::with(&[("a.yaml", map("a", "1")), ("s.yaml", secret("s", before))]);
    scenario.once().await;
    scenario.commit(&[("a.yaml", map("a", "2")), ("s.yaml", secret("s", after))]);
    every_command_keeps_silent(&scenario, theme).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_secret_is_never_shown() {
    let plain = format!("stringData:\n  password: {MARKER}\n");
    let encoded = format!("data:\n  password: {MARKER_64}\n");
    stays_unseen("created", "", &plain).await;
    stays_unseen("changed", &plain, &encoded.replace("password", "other")).await;
    stays_unseen("removed", &encoded, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_secret_is_never_shown() {
    let plain = "stringData:\n  password: x\n";
    stays_unseen("syntax", plain, &format!("stringData:\n  password: {MARKER}\n  other: [\n")).await;
    stays_unseen("indentation", plain, &format!("stringData:\n  password: \"{MARKER}\n more: x\n")).await;
    stays_unseen("duplicate", plain, &format!("stringData:\n  a: {MARKER}\n  a: {MARKER}x\n")).await;
    stays_unseen("not base64", plain, &format!("data:\n  password: {MARKER}!\n")).await;
    stays_unseen("wrong type", plain, &format!("stringData: {MARKER}\n")).await;
    stays_unseen("unknown field", plain, &format!("stringdata:\n  password: {MARKER}\n")).await;
    stays_unseen("number", plain, &format!("stringData:\n  password: [{MARKER}]\n")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_breaks_a_policy_is_never_shown() {
    let policy = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: short\nspec:\n  validationFailureAction: Enforce\n  rules:\n    - name: rule\n      match: {any: [{resources: {kinds: [Secret]}}]}\n      validate:\n        message: \"the password is {{ request.object.stringData.password }}\"\n        pattern: {stringData: {password: short}}\n";
    let scenario = Scenario::with(&[
        ("moin.yaml", crate::support::scenario::settings("  policies: [policies]")),
        ("policies/short.yaml", policy.to_owned()),
        ("a.yaml", map("a", "1")),
    ]);
    scenario.once().await;
    scenario.commit(&[("s.yaml", secret("s", &format!("stringData:\n  password: {MARKER}\n")))]);
    every_command_keeps_silent(&scenario, "policy").await;
}
