//! The documents of policy folders: policies, and what nobody would obey there.
//!
//! Whatever stands there was meant to guard something. What cannot be a policy is said, and what was meant as one and is
//! misspelt refuses everything, as a policy that cannot be read does. Tests of policies may lie beside them: the
//! folders of cases, and what a suite's file has around it, are left out. A policy in a folder of cases is an object of a
//! test only where the policy beside the folder is about such policies.

use std::sync::Arc;

use super::documents::{Doc, FileDocs, Reader, is_manifest_file};
use super::folder::Folders;
use super::layout::Layout;
use crate::finding::{Code, Finding, Location};
use crate::model::{FieldPath, Gvk, RepoPath, Snapshot};
use crate::policy::Standing;
use crate::yaml;

/// The file that makes a folder a suite of policy tests.
const SUITE: &str = "kyverno-test.yaml";
/// The file that has folders of cases beside it.
const CASES: &str = "policy.yaml";
/// What policies may ask for.
const ENTRY: &str = "GlobalContextEntry";

/// What the policy folders bring.
#[derive(Default)]
pub(super) struct OfFolders {
    pub docs: Vec<Arc<Doc>>,
    pub findings: Vec<Finding>,
    /// Why nothing can be judged.
    pub refused: Option<String>,
    /// What is no policy.
    others: Vec<Arc<Doc>>,
}

/// Reads the policy folders.
pub(super) fn read(
    snapshot: &Snapshot,
    layout: &Layout,
    folders: &mut Folders,
    reader: &mut Reader,
) -> OfFolders {
    let mut out = OfFolders::default();
    for folder in &layout.policies {
        let known = (out.docs.len(), out.findings.len(), out.others.len());
        match folders.files(snapshot, folder, &[]) {
            Ok(files) => {
                reader.prefetch(snapshot, &files);
                for path in files.iter().filter(|path| is_manifest_file(path)) {
                    let docs = reader.file(snapshot, path);
                    if let Some(tested) = tested_by(snapshot, folder, path) {
                        if !is_applied(layout, path) {
                            out.refuse(folder, no_cases(&docs, &reader.file(snapshot, &tested)));
                        }
                        continue;
                    }
                    out.refuse(folder, unreadable(snapshot, path, &docs));
                    out.sort_out(folder, &docs);
                }
            }
            Err(problems) => out.refuse(folder, problems),
        }
        if known == (out.docs.len(), out.findings.len(), out.others.len()) && snapshot.has_folder(folder) {
            let message = format!("the folder of policies {folder} holds no policy, so it judges nothing");
            out.findings.push(
                Finding::warning(Code::NoPolicy, message)
                    .help("put policies there, or take it out of spec.policies"),
            );
        }
    }
    let params: Vec<Gvk> = out.docs.iter().filter_map(|doc| param_kind(doc)).collect();
    for doc in std::mem::take(&mut out.others) {
        let file = &doc.source.file;
        let of_tests = &*doc.gvk.group == "cli.kyverno.io" || is_beside_suite(snapshot, file);
        if !of_tests && !is_applied(layout, file) {
            out.findings.push(no_policy(&doc, params.contains(&doc.gvk)));
        }
    }
    out
}

impl OfFolders {
    fn sort_out(&mut self, folder: &RepoPath, docs: &FileDocs) {
        for doc in &docs.docs {
            match Standing::of(&doc.gvk) {
                Standing::Policy => self.docs.push(doc.clone()),
                // What the controller keeps for itself asks for nothing.
                Standing::Beside if &*doc.gvk.kind != ENTRY => {}
                Standing::Misspelt { field, what, help } => {
                    let message = format!("{what}: the document is obeyed by nobody");
                    let finding = Finding::error(Code::NoPolicy, message).about(&doc.id);
                    self.refuse(folder, vec![finding.at(at(doc, field)).help(help)]);
                }
                Standing::Beside | Standing::Foreign => self.others.push(doc.clone()),
            }
        }
    }

    fn refuse(&mut self, folder: &RepoPath, mut problems: Vec<Finding>) {
        if let Some(first) = problems.first() {
            self.refused
                .get_or_insert_with(|| format!("a policy in {folder} cannot be read: {}", first.message));
        }
        self.findings.append(&mut problems);
    }
}

/// What is no policy, or what policies ask for, which they find only among what is rendered.
fn no_policy(doc: &Doc, is_parameter: bool) -> Finding {
    let message = match (&*doc.gvk.kind, is_parameter) {
        (ENTRY, _) => "stands in a folder of policies, where it answers no policy",
        (_, true) => "stands in a folder of policies, where it is no policy's parameter",
        _ => "stands in a folder of policies, but is no policy: it is neither obeyed nor applied",
    };
    let finding = Finding::error(Code::NoPolicy, message).about(&doc.id).at(at(doc, "kind"));
    if is_parameter || &*doc.gvk.kind == ENTRY {
        return finding.help("move it to a folder that is rendered: policies find it there");
    }
    finding
}

/// Whether what a file holds is rendered, too.
fn is_applied(layout: &Layout, file: &RepoPath) -> bool {
    let is_left_out = |layer: &RepoPath| layout.except.iter().any(|out| file.is_in(out) && !layer.is_in(out));
    layout.layers.iter().any(|layer| file.is_in(layer) && !is_left_out(layer))
}

/// The policies of a folder of cases that are no objects of its tests.
fn no_cases(cases: &FileDocs, tested: &FileDocs) -> Vec<Finding> {
    let is_meant = |doc: &&Arc<Doc>| {
        // As the kind or as the resource: `ClusterPolicy`, `clusterpolicies`.
        let kind = doc.gvk.kind.to_lowercase();
        let stem = kind.strip_suffix('y').unwrap_or(&kind);
        tested.docs.iter().any(|policy| policy.value["spec"].to_string().to_lowercase().contains(stem))
    };
    let policies = cases.docs.iter().filter(|doc| Standing::of(&doc.gvk) == Standing::Policy);
    let dropped = policies.filter(|doc| !is_meant(doc)).map(|doc| {
        let message =
            "stands in a folder of cases, whose policy is not about it: the document is obeyed by nobody";
        let finding = Finding::error(Code::NoPolicy, message).about(&doc.id).at(at(doc, "kind"));
        finding.help("move the policy out of the folder, or give the folder another name")
    });
    dropped.collect()
}

fn at(doc: &Doc, field: &str) -> Location {
    super::place_in(&doc.source, &doc.id, &FieldPath::of_keys([field]))
}

/// What of a file could not be read, without documents that do not even look like objects (values of tests, metadata of
/// a catalogue).
fn unreadable(snapshot: &Snapshot, path: &RepoPath, docs: &FileDocs) -> Vec<Finding> {
    let is_odd = |finding: &&Finding| finding.code == Code::NotAnObject;
    let mut found: Vec<Finding> = docs.findings.iter().filter(|f| !is_odd(f)).cloned().collect();
    let odd: Vec<&Finding> = docs.findings.iter().filter(is_odd).collect();
    let Some(file) = snapshot.files.get(path).filter(|_| !odd.is_empty() && !is_beside_suite(snapshot, path))
    else {
        return found;
    };
    for document in yaml::read(path, &file.bytes).into_iter().flatten() {
        if document.value.get("kind").is_none() && document.value.get("apiVersion").is_none() {
            continue;
        }
        let first = document.source.line;
        let lines = u32::try_from(document.source.document().lines().count()).unwrap_or(u32::MAX);
        let is_here = |finding: &&&Finding| {
            let line = finding.location.as_ref().map_or(0, |at| at.line);
            (first..=first.saturating_add(lines)).contains(&line)
        };
        found.extend(odd.iter().filter(is_here).map(|finding| (*finding).clone()));
    }
    found.dedup();
    found
}

/// The file of the policy that a file is a case of: what is admitted, refused or generated, in folders beside it. Only what
/// lies within the folder of policies is one.
fn tested_by(snapshot: &Snapshot, policies: &RepoPath, path: &RepoPath) -> Option<RepoPath> {
    let within = above(path).take_while(|folder| folder != policies);
    let mut cases = within.filter(|folder| matches!(folder.file_name(), "admit" | "reject" | "generate"));
    cases.find_map(|folder| {
        folder.parent().join(CASES).ok().filter(|tested| snapshot.files.contains_key(tested))
    })
}

/// Whether the file of a suite stands in the file's folder or above it.
fn is_beside_suite(snapshot: &Snapshot, path: &RepoPath) -> bool {
    above(path).any(|folder| has(snapshot, &folder, SUITE))
}

fn has(snapshot: &Snapshot, folder: &RepoPath, file: &str) -> bool {
    folder.join(file).is_ok_and(|path| snapshot.files.contains_key(&path))
}

/// The folders that hold a path, from within.
fn above(path: &RepoPath) -> impl Iterator<Item = RepoPath> {
    let parent = |path: &RepoPath| (!path.is_root()).then(|| path.parent());
    std::iter::successors(parent(path), move |folder| parent(folder))
}

/// The kind of an admission policy's parameters.
fn param_kind(doc: &Doc) -> Option<Gvk> {
    let kind = &doc.value["spec"]["paramKind"];
    Some(Gvk::new(kind["apiVersion"].as_str()?, kind["kind"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Repo, repo};

    const POLICY: &str = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: r\n\
                          \x20   match: {any: [{resources: {kinds: [ConfigMap]}}]}\n    validate: {message: m, pattern: {data: {a: b}}}\n";

    fn with(file: &str, text: &str) -> Repo {
        let settings = "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: r}\nspec: {policies: [guard]}\n";
        repo().file("moin.yaml", settings).file("guard/p.yaml", POLICY).file(file, text)
    }

    /// `file:line:column code help` of each finding, and whether everything is refused.
    fn said(repo: &Repo) -> (Vec<String>, bool) {
        let manifests = repo.render();
        let said = manifests.findings.iter().map(|finding| {
            let at = finding.location.as_ref().unwrap();
            let help = finding.help.as_deref().unwrap_or_default();
            format!("{}:{}:{} {} {help}", at.file, at.line, at.column, finding.code).trim().to_owned()
        });
        (said.collect(), manifests.units.iter().all(|unit| unit.refused.is_some()))
    }

    fn document(api_version: &str, kind: &str) -> String {
        format!("# one\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x, namespace: a}}\n")
    }

    #[test]
    fn a_misspelt_policy_refuses_everything() {
        for (version, kind, wanted) in [
            ("kyverno.io/v1", "ClusterPolicyy", "3:1 MOIN-0509 did you mean ClusterPolicy?"),
            ("kyverno.io/v7", "ClusterPolicy", "2:1 MOIN-0509 write apiVersion: kyverno.io/v1 or v2beta1"),
            ("policies.kyverno.io/v1", "ValidatinPolicy", "3:1 MOIN-0509 did you mean ValidatingPolicy?"),
            (
                "admissionregistration.k8s.io/v3",
                "MutatingAdmissionPolicy",
                "2:1 MOIN-0509 write apiVersion: admissionregistration.k8s.io/v1, v1beta1 or v1alpha1",
            ),
        ] {
            let (said, refused) = said(&with("guard/x.yaml", &document(version, kind)));
            assert_eq!((said, refused), (vec![format!("guard/x.yaml:{wanted}")], true), "{version} {kind}");
        }
        // One without a name is no object, but was meant as one.
        let (said, refused) = said(&with("guard/x.yaml", "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\n"));
        assert!(refused && said[0].starts_with("guard/x.yaml:1:1 MOIN-0401"), "{said:?}");
    }

    #[test]
    fn what_is_no_policy_is_said() {
        let (said, refused) = said(&with("guard/x.yaml", &document("v1", "ConfigMap")));
        assert_eq!((said, refused), (vec!["guard/x.yaml:3:1 MOIN-0509".to_owned()], false));
        let (said, _) = self::said(&with("x.yaml", &document("kyverno.io/v1", "ClusterPolicyy")));
        assert_eq!(said, ["x.yaml:3:1 MOIN-0509 did you mean ClusterPolicy?"]);
    }

    #[test]
    fn what_belongs_beside_policies_is_not_touched() {
        let nothing = (Vec::<String>::new(), false);
        for (file, text) in [
            ("guard/x.yaml", document("kyverno.io/v2", "UpdateRequest")),
            ("guard/x.yaml", "name: catalogue\nversion: 1\n".to_owned()),
            ("guard/kyverno-test.yaml", document("cli.kyverno.io/v1alpha1", "Test")),
            ("guard/values.yaml", document("cli.kyverno.io/v1alpha1", "Values")),
        ] {
            assert_eq!(said(&with(file, &text)), nothing, "{file} {text}");
        }
        let suite = with("guard/a/kyverno-test.yaml", &document("cli.kyverno.io/v1alpha1", "Test"));
        assert_eq!(said(&suite.file("guard/a/resources.yaml", &document("v1", "Pod"))), nothing);
        let cases = with("guard/a/policy.yaml", &POLICY.replace("name: p}", "name: q}"));
        let cases = cases.file("guard/a/admit/x.yaml", &document("v1", "Pod"));
        let cases = cases.file("guard/a/reject/y/object.yaml", &document("kyverno.io/v1", "ClusterPolicyy"));
        assert_eq!(said(&cases.file("guard/a/reject/y/values.yaml", "a: 1\n")), nothing);
    }

    #[test]
    fn a_policy_in_a_folder_of_cases_is_not_dropped_silently() {
        let quota = POLICY.replace("name: p}", "name: quota}");
        for file in ["guard/admit/x.yaml", "guard/reject/y/x.yaml", "guard/generate/quota.yaml"] {
            let beside =
                with("guard/policy.yaml", &POLICY.replace("name: p}", "name: q}")).file(file, &quota);
            let help = "move the policy out of the folder, or give the folder another name";
            assert_eq!(said(&beside), (vec![format!("{file}:2:1 MOIN-0509 {help}")], true));
        }
        let about = POLICY.replace("[ConfigMap]", "[ClusterPolicy]").replace("name: p}", "name: q}");
        let tested = with("guard/policy.yaml", &about).file("guard/reject/x.yaml", &quota);
        assert_eq!(said(&tested), (Vec::new(), false), "it is an object of the test");
    }

    #[test]
    fn a_folder_of_policies_may_be_called_like_cases() {
        let settings = "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: r}\nspec: {policies: [guard/generate]}\n";
        let repo = repo().file("moin.yaml", settings).file("guard/policy.yaml", POLICY);
        let manifests = repo.file("guard/generate/q.yaml", &POLICY.replace("name: p}", "name: q}")).render();
        assert!(manifests.policies.iter().any(|policy| policy.id.name() == "q"), "{:?}", manifests.findings);
    }

    #[test]
    fn a_folder_without_a_policy_is_said() {
        let settings = "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: r}\nspec: {policies: [guard]}\n";
        let manifests = repo().file("moin.yaml", settings).file("guard/README.md", "later\n").render();
        let said: Vec<&str> = manifests.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(said, ["the folder of policies guard holds no policy, so it judges nothing"]);
    }

    #[test]
    fn settings_in_another_file_are_not_passed_over() {
        let settings =
            "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: r}\nspec: {}\n";
        let map = document("v1", "ConfigMap");
        let misnamed = repo().file("moin.yml", settings).file("a.yaml", &map);
        assert_eq!(said(&misnamed).0[0].split(" name").next(), Some("moin.yml:2:1 MOIN-0301"));
        assert!(said(&misnamed).1, "everything is refused");
        let beside = misnamed.file("moin.yaml", settings);
        assert_eq!((said(&beside).0.len(), said(&beside).1), (1, false));
    }

    #[test]
    fn what_policies_ask_for_is_found_only_where_it_is_rendered() {
        let policy = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: v}\nspec:\n\
                      \x20 paramKind: {apiVersion: example.org/v1, kind: Limit}\n  failurePolicy: Ignore\n  matchConstraints: {resourceRules: \
                      [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}\n  validations: [{expression: 'true'}]\n";
        let with = with("guard/v.yaml", policy);
        for asked in
            [document("example.org/v1", "Limit"), document("kyverno.io/v2alpha1", "GlobalContextEntry")]
        {
            let no_policy = |file: &str| -> Vec<String> {
                let said = said(&with.clone().file(file, &asked)).0.into_iter();
                said.filter(|said| said.contains("MOIN-0509")).collect()
            };
            let help = "move it to a folder that is rendered: policies find it there";
            assert_eq!(no_policy("guard/x.yaml"), [format!("guard/x.yaml:3:1 MOIN-0509 {help}")]);
            assert_eq!(no_policy("x.yaml"), Vec::<String>::new());
        }
    }
}
