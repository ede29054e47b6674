//! Units of Flux: order, suspension, health.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use moin::finding::Code;
use serde_json::{Value, json};

use crate::support::scenario::{CRD, HELM_RELEASE, Scenario, crd, finding, holds, map};

/// A Kustomization `flux-system/NAME` that applies `apps/NAME`, with these lines in its spec.
fn unit(name: &str, more: &str) -> String {
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: {name}\n  namespace: flux-system\nspec:\n  path: ./apps/{name}\n  interval: 1m\n  prune: true\n  sourceRef: {{kind: GitRepository, name: flux-system}}\n{more}"
    )
}

const RELEASE: &str = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: chart\n  namespace: default\nspec:\n  interval: 1m\n";

async fn with_flux(files: &[(&str, String)]) -> Scenario {
    let scenario = Scenario::with(files).in_folder("flux");
    let definition = crd("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "hr");
    scenario.somebody_applies("flux", CRD, definition).await;
    let established = |object: Option<&Value>| {
        object.is_some_and(|it| {
            crate::support::scenario::condition(&it["status"], "Established") == Some("True")
        })
    };
    scenario.until(CRD, None, "helmreleases.helm.toolkit.fluxcd.io", established).await;
    scenario
}

fn phase<'a>(status: &'a Value, unit: &str) -> &'a str {
    let units = status["units"].as_array().into_iter().flatten();
    units.clone().find(|it| it["name"] == unit).and_then(|it| it["phase"].as_str()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependent_waits_until_what_it_needs_is_ready() {
    let scenario = with_flux(&[
        ("flux/base.yaml", unit("base", "  wait: true\n")),
        ("flux/top.yaml", unit("top", "  dependsOn:\n    - name: base\n")),
        ("apps/base/release.yaml", RELEASE.to_owned()),
        ("apps/top/a.yaml", map("a", "1")),
    ])
    .await;
    let daemon = scenario.forever();
    scenario.until(HELM_RELEASE, Some("default"), "chart", |object| object.is_some()).await;
    scenario
        .until_told(|status| {
            phase(status, "flux-system/base") == "WaitingForHealth"
                && phase(status, "flux-system/top") == "WaitingForDependency"
        })
        .await;
    assert!(scenario.map("a").await.is_none());

    let ready = json!({"status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True",
        "reason": "InstallSucceeded", "message": "done", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let releases = scenario.api(HELM_RELEASE, Some("default"));
    releases.patch_status("chart", &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
    scenario.until_value("a", "1").await;
    scenario.until_told(|status| phase(status, "flux-system/top") == "Ready").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_does_not_become_ready_in_time_is_named() {
    let scenario = with_flux(&[
        ("flux/base.yaml", unit("base", "  timeout: 2s\n  healthChecks:\n    - {apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, name: chart, namespace: default}\n")),
        ("flux/top.yaml", unit("top", "  dependsOn: [{name: base}]\n")),
        ("flux/other.yaml", unit("other", "")),
        ("apps/base/release.yaml", RELEASE.to_owned()),
        ("apps/top/a.yaml", map("a", "1")),
        ("apps/other/b.yaml", map("b", "1")),
    ])
    .await;
    let ended = scenario.once_within(Duration::from_secs(30)).await;
    assert_eq!(ended.code, 1);
    let late = finding(&ended, Code::UnitTimedOut, "");
    holds(
        late.message.contains("flux-system/base") && late.message.contains("HelmRelease/default/chart"),
        late,
    );
    finding(&ended, Code::DependencyNotReady, "");
    assert!(scenario.map("a").await.is_none());
    assert!(scenario.map("b").await.is_some(), "who does not depend on it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_unit_is_neither_applied_nor_pruned() {
    let scenario = with_flux(&[
        ("flux/app.yaml", unit("app", "")),
        ("apps/app/a.yaml", map("a", "1")),
        ("apps/app/b.yaml", map("b", "1")),
    ])
    .await;
    scenario.converges().await;
    scenario.repository.remove("apps/app/b.yaml");
    scenario
        .commit(&[("flux/app.yaml", unit("app", "  suspend: true\n")), ("apps/app/a.yaml", map("a", "2"))]);
    scenario.once().await;
    assert_eq!(scenario.value("a").await.as_deref(), Some("1"));
    assert!(scenario.map("b").await.is_some(), "a suspended unit deletes nothing");
    scenario.commit(&[("flux/app.yaml", unit("app", ""))]);
    scenario.converges().await;
    assert_eq!(scenario.value("a").await.as_deref(), Some("2"));
    assert!(scenario.map("b").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_depends_on_a_suspended_unit_waits_and_says_so() {
    let scenario = with_flux(&[
        ("flux/base.yaml", unit("base", "  suspend: true\n")),
        ("flux/app.yaml", unit("app", "  dependsOn: [{name: base}]\n")),
        ("apps/base/b.yaml", map("b", "1")),
        ("apps/app/a.yaml", map("a", "1")),
    ])
    .await;
    let ended = scenario.once().await;
    assert_eq!(ended.code, 1, "{:#?}", ended.report);
    let waits = ended.report.units.iter().find(|unit| unit.name == "flux-system/app").unwrap();
    assert_eq!(waits.message, "waits for unit flux-system/base, which is suspended");
    assert!(
        ended.report.summary().ends_with("; unit flux-system/base is suspended"),
        "{}",
        ended.report.summary()
    );
    assert!(scenario.map("a").await.is_none() && scenario.map("b").await.is_none());
}
