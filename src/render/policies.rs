//! The documents of policy folders: policies, and what nobody would obey there.
//!
//! Whatever stands there was meant to guard something. What cannot be a policy is said, and what was meant as one and is
//! misspelt refuses everything, as a policy that cannot be read does. Tests of policies may lie beside them: the
//! folders of cases, and what a suite's file has around it, are left out.

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
                let files = files.iter().filter(|path| is_manifest_file(path) && !is_case(snapshot, path));
                for path in files {
                    let docs = reader.file(snapshot, path);
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
        let is_left_out =
            |layer: &RepoPath| layout.except.iter().any(|out| file.is_in(out) && !layer.is_in(out));
        let is_applied = layout.layers.iter().any(|layer| file.is_in(layer) && !is_left_out(layer));
        if !of_tests && !is_applied && !params.contains(&doc.gvk) {
            out.findings.push(no_policy(&doc));
        }
    }
    out
}

impl OfFolders {
    fn sort_out(&mut self, folder: &RepoPath, docs: &FileDocs) {
        for doc in &docs.docs {
            match Standing::of(&doc.gvk) {
                Standing::Policy => self.docs.push(doc.clone()),
                Standing::Beside => {}
                Standing::Misspelt { field, what, help } => {
                    let message = format!("{what}: the document is obeyed by nobody");
                    let finding = Finding::error(Code::NoPolicy, message).about(&doc.id);
                    self.refuse(folder, vec![finding.at(at(doc, field)).help(help)]);
                }
                Standing::Foreign => self.others.push(doc.clone()),
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

fn no_policy(doc: &Doc) -> Finding {
    let message = "stands in a folder of policies, but is no policy: it is neither obeyed nor applied";
    Finding::error(Code::NoPolicy, message).about(&doc.id).at(at(doc, "kind"))
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

/// Whether a file is a case of a test: what is admitted, refused or generated, in folders beside the policy.
fn is_case(snapshot: &Snapshot, path: &RepoPath) -> bool {
    above(path).any(|folder| {
        matches!(folder.file_name(), "admit" | "reject" | "generate")
            && has(snapshot, &folder.parent(), CASES)
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
            ("guard/x.yaml", document("kyverno.io/v2alpha1", "GlobalContextEntry")),
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
    fn parameters_of_a_policy_may_stand_beside_it() {
        let policy = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: v}\nspec:\n\
                      \x20 paramKind: {apiVersion: example.org/v1, kind: Limit}\n  failurePolicy: Ignore\n  matchConstraints: {resourceRules: \
                      [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}\n  validations: [{expression: 'true'}]\n";
        let with = with("guard/v.yaml", policy).file("guard/x.yaml", &document("example.org/v1", "Limit"));
        let said = said(&with).0;
        assert!(!said.iter().any(|said| said.contains("MOIN-0509")), "{said:?}");
    }
}
