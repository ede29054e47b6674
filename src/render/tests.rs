//! What rendering promises, on small repositories and on the real one.

use super::testing::{Repo, repo};
use crate::finding::Code;

const FLUX: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n";

fn unit(name: &str, path: &str, more: &str) -> String {
    format!(
        "{FLUX}metadata: {{name: {name}, namespace: flux-system}}\nspec:\n  interval: 1m\n  path: {path}\n  prune: true\n  \
         sourceRef: {{kind: GitRepository, name: flux-system}}\n{more}"
    )
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: a}}\n")
}

fn codes(repo: &Repo) -> Vec<Code> {
    repo.render().findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn every_manifest_below_a_plain_folder_is_desired_state() {
    let made = repo()
        .file("a/x.yaml", &format!("{}---\n{}", config_map("one"), config_map("two")))
        .file("a/deep/y.yml", &config_map("three"))
        .file(
            "a/z.json",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"four","namespace":"a"}}"#,
        )
        .file("a/.github/ci.yaml", "on: push\n")
        .file("a/README.md", "text")
        .file("b/x.yaml", &config_map("elsewhere"))
        .path("a")
        .render();
    assert_eq!(
        made.names(),
        [
            "root: ConfigMap/a/four",
            "root: ConfigMap/a/one",
            "root: ConfigMap/a/three",
            "root: ConfigMap/a/two"
        ]
    );
    assert_eq!(made.said(), "");
    assert_eq!(made.one("ConfigMap", "one").body["metadata"]["labels"]["moin.scs.community/owner"], "moin");
    assert!(made.is_complete());
}

#[test]
fn a_folder_with_a_kustomization_brings_only_its_resources() {
    let made = repo()
        .file("a/kustomization.yaml", "kind: Kustomization\nresources:\n- x.yaml\n- ../c\n")
        .file("a/x.yaml", &config_map("one"))
        .file("a/secret.yaml", &config_map("unlisted"))
        .file("c/kustomization.yaml", "resources: [y.yaml]\nnamePrefix: ''\npatches: []\n")
        .file("c/y.yaml", &config_map("two"))
        .path("a")
        .render();
    assert_eq!(made.names(), ["root: ConfigMap/a/one", "root: ConfigMap/a/two"]);
    assert_eq!(made.said(), "");
}

#[test]
fn a_kustomization_that_is_not_understood_refuses_its_unit() {
    let repo = repo()
        .file("a/kustomization.yaml", "kind: Kustomization\nresources:\n- x.yaml\nnamePrefix: dev-\n")
        .file("a/x.yaml", &config_map("one"))
        .path("a");
    let made = repo.render();
    assert!(made.names().is_empty() && !made.is_complete());
    assert!(made.units[0].refused.is_some());
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0405]: `namePrefix` in a/kustomization.yaml is not understood and may change what is rendered
       --> a/kustomization.yaml:4:1
        |
      4 | namePrefix: dev-
        | ^^^^^^^^^^^
    "#);
}

#[test]
fn lists_are_taken_apart() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one, namespace: a}\n- 7\n";
    let repo = repo().file("a/list.yaml", list);
    let made = repo.render();
    assert_eq!(made.names(), ["root: ConfigMap/a/one"]);
    assert_eq!(made.one("ConfigMap", "one").origin.line, 4);
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0401]: not an object: a manifest is a mapping with apiVersion, kind and metadata
       --> a/list.yaml:7:3
        |
      7 | - 7
        |   ^
    "#);
}

#[test]
fn what_is_wrong_with_one_document_hides_no_other() {
    let repo = repo()
        .file("a/1.yaml", "a: b\n---\n- 1\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {}\n")
        .file("a/2.yaml", &format!("{}---\na: [\n---\n{}", config_map("one"), config_map("two")))
        .file("a/3.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: lost\n")
        .file("a/4.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team\n  namespace: team\n")
        .file("a/5.yaml", "apiVersion: x.io/v1\nkind: Unheard\nmetadata:\n  name: left-alone\n");
    let made = repo.render();
    assert_eq!(made.names(), ["root: ConfigMap/a/one", "root: ConfigMap/a/two", "root: Unheard/left-alone"]);
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0401]: this document is no Kubernetes object: apiVersion is missing, empty or not text
       |
       = at a/1.yaml:1:1

      error[MOIN-0401]: not an object: a manifest is a mapping with apiVersion, kind and metadata
       |
       = at a/1.yaml:3:1

      error[MOIN-0401]: this document is no Kubernetes object: metadata.name is missing, empty or not text
       --> a/1.yaml:7:1
        |
      7 | metadata: {}
        | ^^^^^^^^^

      error[MOIN-0201]: a value is expected here
       |
       = at a/2.yaml:6:1

      error[MOIN-0402]: ConfigMap/lost: it has no namespace; a ConfigMap lives in one, and moin never guesses `default`
       --> a/3.yaml:3:1
        |
      3 | metadata:
        | ^^^^^^^^^

      error[MOIN-0403]: Namespace/team/team: it has the namespace team, but a Namespace lives in none
       --> a/4.yaml:5:3
        |
      5 |   namespace: team
        |   ^^^^^^^^^^
    "#);
}

#[test]
fn flux_units_are_followed_and_not_applied() {
    let made = repo()
        .file("flux/self.yaml", &unit("self", "./flux", ""))
        .file(
            "flux/apps.yaml",
            &unit("apps", "./apps", "  dependsOn: [{name: base}]\n  wait: true\n  timeout: 5m\n"),
        )
        .file("flux/base.yaml", &unit("base", "./base/", "  suspend: true\n"))
        .file("apps/x.yaml", &config_map("app"))
        .file("base/x.yaml", &format!("{}---\n{}", config_map("base"), unit("nested", "nested", "")))
        .file("nested/x.yaml", &config_map("nested"))
        .path("flux")
        .render();
    assert_eq!(
        made.names(),
        [
            "flux-system/base: ConfigMap/a/base",
            "flux-system/nested: ConfigMap/a/nested",
            "flux-system/apps: ConfigMap/a/app"
        ]
    );
    let names: Vec<&str> = made.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["flux-system/base", "flux-system/nested", "flux-system/self", "flux-system/apps"]);
    assert!(made.units[0].suspended && made.units[3].wait && made.units[3].timeout.is_some());
    insta::assert_snapshot!(made.said(), @r#"
      note[MOIN-0411]: Kustomization objects taken as units, and not applied: flux-system/base, flux-system/nested, flux-system/self, flux-system/apps
    "#);
}

#[test]
fn a_unit_that_is_not_understood_is_refused_and_what_it_holds_is_described() {
    let repo = repo()
        .file(
            "flux/apps.yaml",
            &unit("apps", "./apps", "  targetNamespace: x\n  postBuild: {substitute: {a: b}}\n"),
        )
        .file("flux/ok.yaml", &unit("ok", "./ok", "  decryption: {provider: sops}\n  patches: []\n"))
        .file("flux/gone.yaml", &unit("gone", "./gone", ""))
        .file("flux/lost.yaml", &unit("lost", "./ok/../lost", "  dependsOn: [{name: nobody}]\n"))
        .file("apps/x.yaml", &config_map("app"))
        .file("lost/x.yaml", &config_map("lost"))
        .file("ok/x.yaml", &config_map("fine"))
        .path("flux");
    let made = repo.render();
    assert_eq!(made.names(), ["flux-system/ok: ConfigMap/a/fine"]);
    let described: Vec<String> = {
        let mut ids: Vec<String> = made.described().iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    };
    assert_eq!(described, ["ConfigMap/a/app", "ConfigMap/a/fine", "ConfigMap/a/lost"]);
    insta::assert_snapshot!(made.said(), @r#"
      note[MOIN-0411]: Kustomization objects taken as units, and not applied: flux-system/apps, flux-system/gone, flux-system/lost, flux-system/ok

      error[MOIN-0405]: Kustomization/flux-system/apps: spec.targetNamespace is not understood and may change what the unit applies; nothing of it is applied
       --> flux/apps.yaml:9:3
        |
      9 |   targetNamespace: x
        |   ^^^^^^^^^^^^^^^^

      error[MOIN-0405]: Kustomization/flux-system/apps: spec.postBuild is not understood and may change what the unit applies; nothing of it is applied
        --> flux/apps.yaml:10:3
         |
      10 |   postBuild: {substitute: {a: b}}
         |   ^^^^^^^^^^

      error[MOIN-0406]: Kustomization/flux-system/gone: the unit's path gone is not in the repository
       --> flux/gone.yaml:6:3
        |
      6 |   path: ./gone
        |   ^^^^^

      error[MOIN-0408]: flux-system/lost depends on flux-system/nobody, which does not exist
       |
       = at flux/lost.yaml:1:1
    "#);
}

fn git_repository(name: &str, url: &str) -> String {
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: {name}, namespace: flux-system}}\n\
         spec:\n  url: {url}\n  ref: {{branch: another}}\n"
    )
}

#[test]
fn a_unit_of_another_source_is_not_followed() {
    let elsewhere = unit("pods", "./apps", "").replace("name: flux-system}", "name: podinfo}");
    let repo = repo()
        .file("flux/self.yaml", &unit("self", "flux", ""))
        .file("flux/own.yaml", &git_repository("flux-system", "https://example.com/own.git"))
        .file("flux/other.yaml", &git_repository("podinfo", "https://example.com/podinfo.git"))
        .file("flux/pods.yaml", &elsewhere)
        .file("apps/x.yaml", &config_map("app"))
        .path("flux");
    let made = repo.render();
    assert_eq!(
        made.names(),
        [
            "flux-system/self: GitRepository/flux-system/flux-system",
            "flux-system/self: GitRepository/flux-system/podinfo"
        ]
    );
    assert!(codes(&repo).contains(&Code::ForeignSource));
    insta::assert_snapshot!(made.said(), @r#"
      note[MOIN-0411]: Kustomization objects taken as units, and not applied: flux-system/pods, flux-system/self

      error[MOIN-0412]: Kustomization/flux-system/pods: the unit takes its content from GitRepository flux-system/podinfo, which is not this repository; nothing of it is applied
       --> flux/pods.yaml:8:3
        |
      8 |   sourceRef: {kind: GitRepository, name: podinfo}
        |   ^^^^^^^^^^
    "#);
}

#[test]
fn the_repository_is_known_by_any_name() {
    for (name, url, own) in [
        ("fleet", "ssh://git@example.com/team/fleet", Some("https://example.com/team/fleet.git")),
        ("fleet", "https://x/y", None),
    ] {
        let mut repo = repo()
            .file("flux/own.yaml", &git_repository(name, url))
            .file("flux/apps.yaml", &unit("apps", "./apps", "").replace("name: flux-system}", "name: fleet}"))
            .file("apps/x.yaml", &config_map("app"))
            .path("flux");
        repo.options.source_url = own.map(str::to_owned);
        assert_eq!(repo.render().names()[0], "flux-system/apps: ConfigMap/a/app");
    }
}

#[test]
fn two_descriptions_of_one_object_are_both_refused() {
    let other = config_map("one") + "data: {a: b}\n";
    let repo = repo()
        .file("b.yaml", &config_map("one"))
        .file("a.yaml", &other)
        .file("c.yaml", &config_map("same"))
        .file("d.yaml", &config_map("same"));
    let made = repo.render();
    assert_eq!(made.names(), ["root: ConfigMap/a/same"]);
    assert!(made.is_complete());
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0404]: ConfigMap/a/one: described twice and differently; neither is applied
       --> b.yaml:1:1
        |
      1 | apiVersion: v1
        | ^^^^^^^^^^^
        |
       ::: a.yaml:1:1
        |
      1 | apiVersion: v1
        | -----------

      warning[MOIN-0404]: ConfigMap/a/same: described twice, both times the same
       --> d.yaml:1:1
        |
      1 | apiVersion: v1
        | ^^^^^^^^^^^
        |
       ::: c.yaml:1:1
        |
      1 | apiVersion: v1
        | -----------
    "#);
}

#[test]
fn ciphertext_is_left_alone() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: a}\ndata: {p: \"ENC[AES256_GCM,data:x]\"}\nsops: {mac: x}\n";
    let repo = repo().file("s.yaml", &format!("{secret}---\n{}", config_map("fine")));
    let made = repo.render();
    assert_eq!(made.names(), ["root: ConfigMap/a/fine"]);
    assert!(made.is_complete(), "it is known by name");
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0409]: Secret/a/s: encrypted with SOPS, and there is no key; it is left alone
       |
       = at s.yaml:5:1
    "#);
}

#[test]
fn the_real_repository() {
    let Some(repo) = Repo::shared("moin-cluster-config") else { return };
    let made = repo.clone().path("flux/config").render();
    assert_eq!(made.units.len(), 11, "{:?}", made.units);
    assert!(made.units.iter().all(|unit| unit.refused.is_none()));
    let count = |kind: &str| made.manifests.iter().filter(|manifest| manifest.id.kind() == kind).count();
    assert_eq!(count("CustomResourceDefinition"), 13);
    assert_eq!(count("ClusterPolicy"), 2);
    assert_eq!(count("HelmRelease"), 5);
    assert_eq!(count("GitRepository"), 1);
    assert!(made.is_complete());
    insta::assert_snapshot!(made.said(), @r#"
      note[MOIN-0411]: Kustomization objects taken as units, and not applied: flux-system/capi-installation, flux-system/capi-visualizer-installation, flux-system/cert-manager-installation, flux-system/flux-config, flux-system/flux-installation, flux-system/kamaji-installation, flux-system/kyverno-installation, flux-system/capi-config, flux-system/cso-installation, flux-system/cspo-installation, flux-system/kyverno-config

      warning[MOIN-0410]: Deployment/flux-system/kustomize-controller: the repository installs Flux's kustomize-controller, which would apply the same units
          --> flux/installation/flux-installation.yaml:5336:3
           |
      5336 |   name: kustomize-controller
           |   ^^^^^
    "#);
    let prod = repo.path("prod/flux/config").render();
    insta::assert_snapshot!(prod.said(), @r#"
      note[MOIN-0411]: Kustomization objects taken as units, and not applied: flux-system/cluster-gen-installation-ks, flux-system/prod-cert-manager-config-ks, flux-system/prod-cso-config-ks, flux-system/prod-cspo-config-ks, flux-system/prod-external-dns-installation-ks, flux-system/prod-flux-config-ks, flux-system/prod-ingress-nginx-config-ks, flux-system/prod-ingress-nginx-installation-ks, flux-system/prod-k8s-config-ks, flux-system/prod-monitoring-installation-ks, flux-system/prod-os-csp-helper-installation-ks, flux-system/prod-velero-installation-ks

      error[MOIN-0409]: Secret/cso-system/cso-cluster-stack-variables: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/cso/config/secret.yaml:17:1

      error[MOIN-0409]: Secret/cspo-system/cspo-cluster-stack-variables: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/cspo/config/secret.yaml:12:1

      error[MOIN-0409]: Secret/flux-system/external-dns-secret-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/external-dns/installation/secret-values.yaml:9:1

      error[MOIN-0409]: Secret/flux-system/monitoring-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/monitoring/installation/secret-values.yaml:9:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p0-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:8:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p1-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:63:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p2-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:118:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p3-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:173:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p4-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:228:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p5-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:283:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p6-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:338:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p7-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:393:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p8-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:448:1

      error[MOIN-0409]: Secret/flux-system/os-csp-p9-values: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/os-csp-helper/installation/secret-values.yaml:503:1

      error[MOIN-0409]: Secret/velero/bsl-credentials: encrypted with SOPS, and there is no key; it is left alone
       |
       = at prod/velero/installation/secret.yaml:9:1
    "#);
}

mod order {
    use proptest::prelude::*;

    use super::{config_map, repo, unit};
    use crate::render::Manifests;

    /// What a rendering says, without where it says it.
    fn content(made: &Manifests) -> (Vec<String>, Vec<String>, Vec<String>) {
        let objects = made.manifests.iter().map(|m| format!("{} {} {}", m.unit, m.id, m.body)).collect();
        let units = made.units.iter().map(|unit| format!("{unit:?}").replace("a.yaml", "")).collect();
        let mut findings: Vec<String> =
            made.findings.iter().map(|f| format!("{} {:?} {}", f.code, f.object, f.message)).collect();
        findings.sort();
        (objects, units, findings)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_order_of_documents_and_files_never_matters(
            places in proptest::collection::vec((0usize..4, 0usize..100), 12),
        ) {
            let mut documents: Vec<String> = (0..9).map(|n| config_map(&format!("cm{}", n % 8)).replace("namespace: a", &format!("namespace: n{}", n % 3))).collect();
            documents.push(config_map("cm1") + "data: {differs: yes}\n");
            documents.push("a: b\n".to_owned());
            documents.push("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nowhere}\n".to_owned());
            let render = |placed: Vec<(usize, usize, &String)>| {
                let mut placed = placed;
                placed.sort_by_key(|(_, order, _)| *order);
                let mut files = [const { String::new() }; 4];
                for (file, _, document) in placed {
                    files[file] += &format!("---\n{document}");
                }
                let mut repo = repo().file("flux/a.yaml", &unit("apps", "apps", ""));
                for (n, text) in files.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
                    repo = repo.file(&format!("apps/{}/f{}.yaml", n % 2, 9 - n), text);
                }
                content(&repo.path("flux").render())
            };
            let one_file = documents.iter().enumerate().map(|(n, document)| (0, n, document)).collect();
            let spread = documents.iter().zip(&places).map(|(document, (file, order))| (*file, *order, document)).collect();
            prop_assert_eq!(render(one_file), render(spread));
        }
    }
}

#[test]
fn only_what_changed_is_made_anew() {
    let before = repo().file("a.yaml", &config_map("one")).file("b.yaml", &config_map("two"));
    let after = before.clone().file("b.yaml", &(config_map("two") + "data: {a: b}\n"));
    let mut renderer = super::Renderer::default();
    let mut render =
        |repo: &Repo| renderer.render(&repo.snapshot, &repo.options, &super::LiveTriggers::none()).manifests;
    let (first, second) = (render(&before), render(&after));
    assert!(std::sync::Arc::ptr_eq(&first[0], &second[0]));
    assert!(!std::sync::Arc::ptr_eq(&first[1], &second[1]));
}
