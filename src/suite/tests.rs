//! Suites that test nothing, or something else than they seem to.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const POLICY: &str = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  - name: r\n    \
                      match: {any: [{resources: {kinds: [ConfigMap]}}]}\n    validate: {message: m, pattern: {data: {a: b}}}\n";
const GOOD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\ndata: {a: b}\n";
const TEST: &str = "apiVersion: cli.kyverno.io/v1alpha1\nkind: Test\nmetadata: {name: t}\npolicies: [policy.yaml]\nresources: [good.yaml]\n";
const ROW: &str = "- {policy: p, rule: r, kind: ConfigMap, resources: [good], result: pass}\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Everything that is not well: `file:line message help` and `line why`.
fn said(folder: &Path) -> Vec<String> {
    let report = run(folder, Moment { now: 0, seed: 1 });
    let problems = report.problems.iter().map(|finding| {
        let at = finding.location.as_ref().map(|at| format!("{}:{}", at.file.file_name(), at.line));
        let help = finding.help.as_deref().unwrap_or_default();
        format!("{} {} [{help}]", at.unwrap_or_default(), finding.message)
    });
    let unmet = report.results.iter().filter_map(|result| match &result.outcome {
        Outcome::Met => None,
        Outcome::Unmet(why) => Some(format!("{}:{} {why}", result.file, result.line)),
    });
    problems.chain(unmet).collect()
}

fn of_test(test: &str) -> Vec<String> {
    said(folder(&[("policy.yaml", POLICY), ("good.yaml", GOOD), (TEST_FILE, test)]).path())
}

fn of_cases(files: &[(&str, &str)]) -> Vec<String> {
    said(folder(&[&[("policy.yaml", POLICY)], files].concat()).path())
}

#[test]
fn a_suite_that_is_well_says_nothing() {
    assert_eq!(of_test(&format!("{TEST}results:\n{ROW}")), Vec::<String>::new());
    assert_eq!(of_cases(&[("admit/good.yaml", GOOD), ("README.md", "")]), Vec::<String>::new());
}

#[test]
fn a_suite_without_an_expectation_is_no_suite() {
    let help = "[write entries of `results`: policy, rule, kind, resources and result]";
    let nothing = "the suite expects nothing, so nothing is tested";
    assert_eq!(of_test(&format!("{TEST}results: []\n")), [format!("kyverno-test.yaml:6 {nothing} {help}")]);
    assert_eq!(of_test(TEST), [format!("kyverno-test.yaml:3 {nothing} {help}")]);
    let misspelt = of_test(&format!("{TEST}resutls:\n{ROW}"));
    assert_eq!(misspelt, ["kyverno-test.yaml:6 unknown key resutls [did you mean results?]"]);
}

#[test]
fn an_entry_names_what_there_is() {
    let of = |from: &str, to: &str| of_test(&format!("{TEST}results:\n{}", ROW.replace(from, to)));
    assert_eq!(
        of(", resources: [good]", ""),
        [
            "kyverno-test.yaml:7 the entry names no `resources` [write `resources`: the names of the objects that the result is about]"
        ]
    );
    assert_eq!(of(" rule: r,", ""), ["kyverno-test.yaml:7 the entry names no `rule` [the policy has r]"]);
    // Not even a skip is an answer.
    for result in ["pass", "skip"] {
        let of =
            |from: &str, to: &str| of(&format!("{from}, result: pass"), &format!("{to}, result: {result}"));
        assert_eq!(
            of("[good]", "[god]"),
            ["kyverno-test.yaml:7 no file of the suite holds an object named god (did you mean good?)"]
        );
        assert_eq!(
            of("kind: ConfigMap, resources: [good]", "kind: Secret, resources: [good]"),
            ["kyverno-test.yaml:7 good is a ConfigMap, not a Secret"]
        );
        assert_eq!(
            of("rule: r, kind: ConfigMap, resources: [good]", "rule: q, kind: ConfigMap, resources: [good]"),
            ["kyverno-test.yaml:7 the policy has no rule q (did you mean r?); it has r"]
        );
        assert_eq!(
            of(
                "policy: p, rule: r, kind: ConfigMap, resources: [good]",
                "policy: other, rule: r, resources: [good]"
            ),
            ["kyverno-test.yaml:7 no file of `policies` holds the policy other"]
        );
    }
}

#[test]
fn a_file_that_holds_nothing_or_no_policy_is_said() {
    let test = format!("{TEST}results:\n{}", ROW.replace("pass", "skip"));
    let of = |policy: &str| {
        said(folder(&[("policy.yaml", policy), ("good.yaml", GOOD), (TEST_FILE, &test)]).path())
    };
    let missing = "kyverno-test.yaml:7 no file of `policies` holds the policy p";
    let empty = "policy.yaml:1 policy.yaml holds no document [write what it should hold, or take the file out of the suite]";
    assert!(
        of("# nothing\n")[0]
            .ends_with("holds no document [write what it should hold, or take the file out of the suite]"),
        "{empty}"
    );
    assert_eq!(
        of(&POLICY.replace("ClusterPolicy", "ClusterPolicyy")),
        [
            "policy.yaml:2 kyverno.io/v1 has no kind ClusterPolicyy: nothing is judged by it [did you mean ClusterPolicy?]",
            missing,
        ]
    );
    assert_eq!(of(GOOD)[1], missing);
}

#[test]
fn nothing_in_a_folder_of_cases_is_passed_over() {
    let good = ("admit/good.yaml", GOOD);
    let of = |file: &str, text: &str| of_cases(&[good, (file, text)]);
    assert_eq!(of("rejects/x.yaml", GOOD), ["rejects:1 the folder holds no cases [did you mean reject?]"]);
    assert!(of("reject/x.yaml", "")[0].contains("holds no document"));
    assert_eq!(
        of("reject/x.json", "{}"),
        ["x.json:1 the file is no case: cases are *.yaml [rename it, or take it away]"]
    );
    assert_eq!(
        of("admit/x/olds.yaml", GOOD)[0],
        "olds.yaml:1 nothing of this name belongs to a case [did you mean old.yaml?]"
    );
    assert!(
        of("admit/x.yaml", "apiVersion: v1\nkind: ConfigMap\n")[0].contains("this document is no object")
    );
    assert_eq!(
        of("admit/x.yaml", &GOOD.replace("ConfigMap", "ConfigMapp")),
        ["admit/x.yaml:1 no rule of the policy says anything of a ConfigMapp here, so nothing is tested"]
    );
    let bad = of("admit/bad.yaml", &GOOD.replace("a: b", "a: c"));
    assert!(bad[0].starts_with("admit/bad.yaml:1 r is fail: "), "{bad:?}");
    let none = of_cases(&[("admit/README.md", "")]);
    assert!(none[0].starts_with("policy.yaml:1 there is no case in admit, reject or generate"), "{none:?}");
}

#[test]
fn what_could_not_be_evaluated_is_neither_admitted_nor_refused() {
    let of = |policy: &str, file: &str| said(folder(&[("policy.yaml", policy), (file, GOOD)]).path());
    let audit = POLICY.replace("Enforce", "Audit");
    let broken = audit.replace(
        "message: m, pattern: {data: {a: b}}",
        "message: m, deny: {conditions: {any: [{key: '{{ parse_json(request.object.data.a) }}', operator: Equals, value: a}]}}",
    );
    for file in ["admit/x.yaml", "reject/x.yaml"] {
        let said = of(&broken, file);
        assert!(said[0].starts_with(&format!("{file}:1 r is error: ")), "{said:?}");
    }
    let reported = of(&audit.replace("a: b", "a: c"), "reject/x.yaml");
    assert!(reported[0].starts_with("reject/x.yaml:1 no rule refuses it: r is fail: "), "{reported:?}");
    assert!(reported[0].ends_with(", which is only reported"), "{reported:?}");
}

#[test]
fn what_was_not_met_says_where_its_rule_stands() {
    let test = format!("{TEST}results:\n{}", ROW.replace("pass", "fail"));
    let of_suite = folder(&[("policy.yaml", POLICY), ("good.yaml", GOOD), (TEST_FILE, &test)]);
    let of_cases = folder(&[("policy.yaml", POLICY), ("admit/bad.yaml", &GOOD.replace("a: b", "a: c"))]);
    for folder in [of_suite, of_cases] {
        let report = run(folder.path(), Moment { now: 0, seed: 1 });
        let at = report.results[0].rule_at.as_ref().unwrap();
        assert_eq!((at.file.file_name(), at.line), ("policy.yaml", 7));
    }
}
