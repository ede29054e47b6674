//! What reports promise: they depend on results alone, fit, and change only with what they say.

use super::*;
use crate::model::{Gvk, Manifest, ServedKind};
use crate::policy::PolicyNotes;
use crate::render::testing::repo;
use proptest::prelude::*;

fn kinds() -> ReportKinds {
    let kind = |kind: &str, namespaced: bool| ServedKind {
        gvk: Gvk::new("wgpolicyk8s.io/v1alpha2", kind),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced,
    };
    let all = [kind("PolicyReport", true), kind("ClusterPolicyReport", false)];
    let all = all.map(|served| (served.gvk.group_kind(), vec![served]));
    ReportKinds::served(&all.into_iter().collect()).unwrap()
}

fn manifests() -> Vec<Arc<Manifest>> {
    let maps: String = (0..6)
        .map(|n| {
            let namespace = ["a", "b"][n % 2];
            format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}, namespace: {namespace}}}\n"
            )
        })
        .collect();
    let namespaces = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    repo().file("all.yaml", &(maps + namespaces)).render().manifests
}

fn result(rule: &str, verdict: Verdict, message: &str) -> RuleResult {
    RuleResult {
        policy: "p".into(),
        rule: rule.into(),
        verdict,
        scored: true,
        message: message.into(),
        notes: PolicyNotes { severity: Some("high".into()), category: Some("Storage".into()) }.into(),
    }
}

fn about(manifest: &Arc<Manifest>, results: Vec<RuleResult>) -> ObjectResults {
    ObjectResults { manifest: manifest.clone(), results: results.into() }
}

fn reports(results: &[ObjectResults]) -> Vec<Arc<Value>> {
    PolicyReports::default().about("moin", &kinds(), results, |_| true)
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Pass),
        Just(Verdict::Fail),
        Just(Verdict::Warn),
        Just(Verdict::Skip),
        Just(Verdict::Error)
    ]
}

fn outcomes() -> impl Strategy<Value = Vec<(usize, String, Verdict, String)>> {
    prop::collection::vec((0..7usize, "[a-c]", verdicts(), "[a-z]{0,8}"), 0..24)
}

fn of(outcomes: &[(usize, String, Verdict, String)]) -> Vec<ObjectResults> {
    let manifests = manifests();
    let one = |(at, rule, verdict, message): &(usize, String, Verdict, String)| {
        about(&manifests[*at], vec![result(rule, *verdict, message)])
    };
    outcomes.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_does_not_matter_and_no_result_is_lost(outcomes in outcomes(), seed in any::<u64>()) {
        let mut shuffled = outcomes.clone();
        shuffled.sort_by_key(|one| {
            use std::hash::{BuildHasher, BuildHasherDefault};
            BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one((seed, &one.1, &one.3, one.0))
        });
        let (first, second) = (reports(&of(&outcomes)), reports(&of(&shuffled)));
        let text = |reports: &[Arc<Value>]| reports.iter().map(|report| report.to_string()).collect::<Vec<_>>();
        prop_assert_eq!(text(&first), text(&second));
        let count = |report: &Arc<Value>| results_of(report).len();
        prop_assert_eq!(first.iter().map(count).sum::<usize>(), outcomes.len());
        for report in &first {
            let counted: u64 = report["summary"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
            prop_assert_eq!(counted as usize, count(report));
        }
    }

    #[test]
    fn what_is_unchanged_is_not_made_again_and_says_the_same(outcomes in outcomes(), now in 0..1000i64) {
        let mut made = PolicyReports::default();
        let first = made.about("moin", &kinds(), &of(&outcomes), |_| true);
        let again = made.about("moin", &kinds(), &of(&outcomes), |_| true);
        prop_assert!(first.iter().zip(&again).all(|(a, b)| Arc::ptr_eq(a, b)) && first.len() == again.len());
        for report in &first {
            let live = stamped(report, None, now);
            prop_assert!(says_the_same(&live, report));
            prop_assert_eq!(stamped(report, Some(&live), now + 7), live);
        }
    }
}

#[test]
fn a_report_as_a_whole() {
    let manifests = manifests();
    let map = &manifests.iter().find(|manifest| manifest.id.name() == "m0").unwrap();
    let namespace = &manifests.iter().find(|manifest| manifest.id.kind() == "Namespace").unwrap();
    let mut odd = result("", Verdict::Skip, "é".repeat(600).as_str());
    odd.notes = PolicyNotes { severity: Some("terrible".into()), category: None }.into();
    let results = [about(map, vec![result("r", Verdict::Fail, "too red")]), about(namespace, vec![odd])];
    let [of_cluster, of_a] = &reports(&results)[..] else { panic!("two reports") };
    assert_eq!(
        **of_a,
        json!({"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
            "metadata": {"name": "moin-moin", "namespace": "a",
                "labels": {"app.kubernetes.io/managed-by": "moin", "moin.scs.community/reports-of": "moin"}},
            "results": [{"source": "moin", "policy": "p", "rule": "r", "result": "fail", "scored": true,
                "message": "too red", "severity": "high", "category": "Storage",
                "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "a", "name": "m0"}]}],
            "summary": {"error": 0, "fail": 1, "pass": 0, "skip": 0, "warn": 0}})
    );
    assert_eq!(of_cluster["kind"], "ClusterPolicyReport");
    let skipped = &of_cluster["results"][0];
    assert!(skipped["severity"].is_null() && skipped["category"].is_null() && skipped["rule"].is_null());
    let message = skipped["message"].as_str().unwrap();
    assert!(message.len() < 1030 && message.ends_with("é …"), "{message}");
}

#[test]
fn what_does_not_fit_is_counted_and_the_worst_stays() {
    let manifests = manifests();
    let map = &manifests.iter().find(|manifest| manifest.id.name() == "m0").unwrap();
    let long = "x".repeat(1000);
    let mut all: Vec<RuleResult> =
        (0..2000).map(|n| result(&format!("r{n:04}"), Verdict::Pass, &long)).collect();
    all[1999].verdict = Verdict::Fail;
    let report = &reports(&[about(map, all)])[0];
    let kept = results_of(report);
    assert!(stamped(report, None, 1_700_000_000).to_string().len() < 1_100_000);
    assert_eq!(kept.last().unwrap()["rule"], "r1999");
    assert_eq!(report["metadata"]["annotations"][LEFT_OUT], (2000 - kept.len()).to_string());
    assert_eq!((&report["summary"]["pass"], &report["summary"]["fail"]), (&json!(1999), &json!(1)));
}

#[test]
fn a_change_is_seen_and_only_what_is_new_gets_a_new_time() {
    let manifests = manifests();
    let map = &manifests.iter().find(|manifest| manifest.id.name() == "m0").unwrap();
    let of = |message: &str| {
        let results = vec![result("a", Verdict::Pass, "fine"), result("b", Verdict::Fail, message)];
        reports(&[about(map, results)])[0].clone()
    };
    let live = stamped(&of("red"), None, 5);
    assert!(!says_the_same(&live, &of("blue")));
    let next = stamped(&of("blue"), Some(&live), 9);
    let times: Vec<&Value> = results_of(&next).iter().map(|result| &result["timestamp"]["seconds"]).collect();
    assert_eq!(times, [5, 9]);
    let mut taken = live.clone();
    taken["metadata"]["labels"] = Value::Null;
    assert!(!says_the_same(&taken, &of("red")));
}

#[test]
fn of_a_namespace_that_is_not_there_nothing_is_reported() {
    let manifests = manifests();
    let results: Vec<ObjectResults> =
        manifests.iter().map(|one| about(one, vec![result("r", Verdict::Pass, "")])).collect();
    let mut made = PolicyReports::default();
    assert_eq!(made.about("moin", &kinds(), &results, |name| name == "a").len(), 2);
    assert_eq!(made.about("moin", &kinds(), &results, |_| true).len(), 3);
    assert!(made.about("moin", &kinds(), &[], |_| true).is_empty());
}

#[test]
fn a_cluster_may_serve_the_successor_alone_or_nothing() {
    let kind = |kind: &str| ServedKind {
        gvk: Gvk::new("openreports.io/v1alpha1", kind),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced: kind == "Report",
    };
    let served = |names: &[&str]| {
        names.iter().map(|name| (kind(name).gvk.group_kind(), vec![kind(name)])).collect::<HashMap<_, _>>()
    };
    let found = ReportKinds::served(&served(&["Report", "ClusterReport"])).unwrap();
    assert_eq!(&*found.of(None).gvk.kind, "ClusterReport");
    assert!(ReportKinds::served(&served(&["Report"])).is_none(), "one of the two is not enough");
}
