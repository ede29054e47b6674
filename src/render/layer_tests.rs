//! What layers, stages, clusters and hooks of `moin.yaml` promise.

use super::testing::{Repo, repo};
use super::{LiveTriggers, Renderer};
use crate::model::LiveObject;

const HEAD: &str =
    "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nmetadata: {name: example}\nspec:\n";

fn moin(spec: &str) -> Repo {
    repo().file("moin.yaml", &format!("{HEAD}{spec}"))
}

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: a}}\ndata: {data}\n")
}

fn deployment(image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: a}}\nspec:\n  replicas: 1\n  selector: {{matchLabels: {{a: b}}}}\n  \
         template:\n    metadata: {{labels: {{a: b}}}}\n    spec:\n      containers:\n      - {{name: one, image: {image}}}\n      - {{name: two, image: side}}\n"
    )
}

fn two_layers() -> Repo {
    moin("  useCases:\n    dev: {layers: [common, dev]}\n    prod: {layers: [common]}\n").use_case("dev")
}

#[test]
fn a_later_layer_changes_removes_and_adds() {
    let over = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: a}\nspec:\n  replicas: null\n  template:\n    \
                spec:\n      containers:\n      - {name: two, image: new}\n";
    let gone = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, namespace: a}\n$moin: delete\n";
    let made = two_layers()
        .file("common/web.yaml", &deployment("base"))
        .file("common/x.yaml", &format!("{}---\n{}", config_map("gone", "{}"), config_map("stays", "{}")))
        .file("dev/over.yaml", &format!("{over}---\n{gone}---\n{}", config_map("new", "{}")))
        .render();
    assert_eq!(made.said(), "");
    assert_eq!(made.names(), ["root: ConfigMap/a/new", "root: ConfigMap/a/stays", "root: Deployment/a/web"]);
    let web = made.one("Deployment", "web");
    assert!(web.body["spec"].get("replicas").is_none());
    let containers = &web.body["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "base");
    assert_eq!(containers[1]["image"], "new");
    assert_eq!(web.origin.to_string(), "common/web.yaml:1 layer common + dev/over.yaml:1");
    let place = super::place(web, &crate::model::FieldPath::of_keys(["spec", "selector"]));
    assert_eq!((place.file.as_str(), place.line), ("common/web.yaml", 6));
    assert_eq!(made.owner, "example");
    assert!(!web.body.to_string().contains("$moin"));
}

#[test]
fn a_layer_that_says_nonsense_is_told_so() {
    let wrong =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: a}\ndata: {}\n$moin: delete\n";
    let never = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: never, namespace: a}\n$moin: delete\n";
    let made = two_layers()
        .file("common/x.yaml", &config_map("x", "{}"))
        .file("dev/1.yaml", wrong)
        .file("dev/2.yaml", never)
        .file("dev/3.yaml", &format!("{}---\n{}", config_map("twice", "{}"), config_map("twice", "{a: b}")))
        .render();
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0401]: `$moin: delete` must be the only content beside apiVersion, kind and metadata
       --> dev/1.yaml:5:1
        |
      5 | $moin: delete
        | ^^^^^^

      warning[MOIN-0415]: ConfigMap/a/never: `$moin: delete` removes nothing: no earlier layer describes the object
       --> dev/2.yaml:1:1
        |
      1 | apiVersion: v1
        | ^^^^^^^^^^^

      error[MOIN-0404]: ConfigMap/a/twice: described twice and differently; neither is applied
       --> dev/3.yaml:6:1
        |
      6 | apiVersion: v1
        | ^^^^^^^^^^^
        |
       ::: dev/3.yaml:1:1
        |
      1 | apiVersion: v1
        | -----------
    "#);
}

#[test]
fn without_a_choice_nothing_is_applied() {
    let mut repo = two_layers().file("common/x.yaml", &config_map("x", "{}"));
    repo.options.use_case = None;
    let made = repo.render();
    assert!(made.manifests.is_empty() && made.units.iter().all(|unit| unit.refused.is_some()));
    assert!(!made.is_complete());
    insta::assert_snapshot!(made.said(), @r#"
      error[MOIN-0302]: moin.yaml has several use cases, and none was chosen: dev, prod
       --> moin.yaml:5:3
        |
      5 |   useCases:
        |   ^^^^^^^^^
        |
        = help: choose one with --use-case, or a management cluster with --cluster
    "#);
}

#[test]
fn a_moin_yaml_that_is_not_valid_stops_everything() {
    let made = moin("  stagges: []\n").file("x.yaml", &config_map("x", "{}")).render();
    assert!(made.manifests.is_empty() && !made.is_complete());
    assert!(made.described().iter().any(|id| id.name() == "x"));
    assert!(made.units[0].refused.as_deref().is_some_and(|why| why.contains("stagges")));
}

#[test]
fn stages_follow_each_other_with_their_hooks() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: backup-, namespace: a}\nspec: {}\n";
    let repo = moin(
        "  stages:\n  - {name: first, folders: [base], timeout: 2m}\n  - name: second\n    folders: [\"*\"]\n    onFailure: continue\n    \
         hooks: {before: [hooks/backup.yaml], after: [hooks/check.yaml]}\n",
    )
    .file("base/x.yaml", &config_map("base", "{}"))
    .file("apps/x.yaml", &config_map("app", "{}"))
    .file("hooks/backup.yaml", job)
    .file("hooks/check.yaml", &job.replace("generateName: backup-", "name: check"));
    let made = repo.render();
    assert_eq!(made.said(), "");
    let units: Vec<String> = made
        .units
        .iter()
        .map(|unit| {
            format!(
                "{} after {:?}",
                unit.name,
                unit.depends_on.iter().map(|n| n.as_str()).collect::<Vec<_>>()
            )
        })
        .collect();
    assert_eq!(
        units,
        [
            "stage/first after []",
            "stage/second/before after [\"stage/first\"]",
            "stage/second after [\"stage/second/before\"]",
            "stage/second/after after [\"stage/second\"]",
        ]
    );
    let jobs = |repo: &Repo| {
        let made = repo.render();
        made.names().into_iter().filter(|name| name.contains("Job")).collect::<Vec<_>>()
    };
    let before = jobs(&repo);
    assert!(before[0].starts_with("stage/second/before: Job/a/backup-"));
    assert_eq!(before[1], "stage/second/after: Job/a/check");
    assert_eq!(jobs(&repo.clone().file("base/x.yaml", &config_map("base", "{a: b}"))), before);
    let after = jobs(&repo.file("apps/x.yaml", &config_map("app", "{a: b}")));
    assert!(after[0] != before[0] && after[1] == before[1]);
}

#[test]
fn a_cluster_gets_its_own_folders_and_no_others() {
    let repo = moin(
        "  useCases:\n    prod: {layers: [common]}\n  clusters:\n    one: {useCase: prod, folders: [common/of-one]}\n    \
         two: {useCase: prod, folders: [common/of-two, tenants/b]}\n",
    )
    .file("common/x.yaml", &config_map("x", "{}"))
    .file("common/of-one/x.yaml", &config_map("x", "{own: one}"))
    .file("common/of-two/x.yaml", &config_map("yonder", "{}"))
    .file("tenants/b/x.yaml", &config_map("zone", "{}"));
    assert_eq!(repo.clone().cluster("two").render().names().len(), 3);
    assert_eq!(repo.clone().render().names(), ["root: ConfigMap/a/x"]);
    let one = repo.clone().cluster("one").render();
    assert_eq!(one.names(), ["root: ConfigMap/a/x"]);
    assert_eq!(one.one("ConfigMap", "x").body["data"]["own"], "one");
    assert!(repo.cluster("three").render().units[0].refused.is_some());
}

#[test]
fn safeties_are_switched_off_only_where_it_is_allowed() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: NAME\n  namespace: a\n  annotations:\n    \
                moin.scs.community/prune: never\n    other: stays\n";
    let made = moin("  protection: {annotations: [\"common/**\"]}\n")
        .file("common/x.yaml", &text.replace("NAME", "allowed"))
        .file("tenants/x.yaml", &text.replace("NAME", "refused"))
        .render();
    assert_eq!(made.one("ConfigMap", "allowed").annotation("moin.scs.community/prune"), Some("never"));
    let refused = made.one("ConfigMap", "refused");
    assert_eq!(refused.annotation("moin.scs.community/prune"), None);
    assert_eq!(refused.annotation("other"), Some("stays"));
    insta::assert_snapshot!(made.said(), @r#"
      warning[MOIN-0413]: ConfigMap/a/refused: moin.scs.community/prune is not honoured in tenants/x.yaml: protection.annotations does not list the file
       --> tenants/x.yaml:7:5
        |
      7 |     moin.scs.community/prune: never
        |     ^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

const GENERATE: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: per-team}
spec:
  rules:
  - name: quota
    match: {any: [{resources: {kinds: [Namespace], names: ['team-*']}}]}
    generate:
      synchronize: true
      apiVersion: v1
      kind: ConfigMap
      name: quota
      namespace: '{{request.object.metadata.name}}'
      data: {data: {of: '{{request.object.metadata.name}}'}}
";

#[test]
fn policies_of_a_folder_judge_and_generate_but_are_not_applied() {
    let repo = moin("  policies: [policies]\n")
        .file("policies/p.yaml", GENERATE)
        .file("a/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-git}\n");
    let namespace = |name: &str, phase: &str| {
        let body = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": phase}});
        (name.to_owned(), LiveObject::new(body))
    };
    let live = [
        namespace("team-live", "Active"),
        namespace("team-going", "Terminating"),
        namespace("other", "Active"),
    ];
    let namespaces = live.into_iter().collect();
    let live = LiveTriggers { namespaces: &namespaces, ..LiveTriggers::none() };
    let mut renderer = Renderer::default();
    let made = renderer.render(&repo.snapshot, &repo.options, &live);
    assert_eq!(made.said(), "");
    assert_eq!(
        made.names(),
        ["root: ConfigMap/team-git/quota", "root: ConfigMap/team-live/quota", "root: Namespace/team-git"]
    );
    let generated = &made.manifests[1];
    assert_eq!(generated.annotation("moin.scs.community/generated-by"), Some("per-team/quota/team-live"));
    assert_eq!(generated.body["metadata"]["labels"]["moin.scs.community/owner"], "example");
    assert_eq!(generated.origin.to_string(), "policies/p.yaml:8 generated by per-team/quota/team-live");
    assert_eq!(made.policies.len(), 1);
    let again = renderer.render(&repo.snapshot, &repo.options, &live);
    assert!(made.manifests.iter().zip(&again.manifests).all(|(a, b)| std::sync::Arc::ptr_eq(a, b)));
}

#[test]
fn a_policy_that_cannot_be_read_stops_everything() {
    let repo = moin("  policies: [policies]\n").file("x.yaml", &config_map("x", "{}"));
    assert!(repo.render().manifests.is_empty(), "the folder is missing");
    assert!(repo.file("policies/p.yaml", "a: [\n").render().manifests.is_empty(), "it is broken");
}

#[test]
fn the_example() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/moin-cluster-config");
    for (use_case, cluster) in
        [(Some("dev"), None), (Some("ci"), None), (None, Some("mgmt1")), (None, Some("mgmt2"))]
    {
        let mut repo = Repo::on_disk(&root);
        repo.options.use_case = use_case.map(str::to_owned);
        repo.options.cluster = cluster.map(str::to_owned);
        let made = repo.render();
        let errors: Vec<String> = made
            .findings
            .iter()
            .filter(|finding| finding.severity == crate::finding::Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors.join("\n\n"), "", "{use_case:?} {cluster:?}");
        assert!(made.manifests.len() > 10, "{use_case:?} {cluster:?}: {:?}", made.names());
    }
}

#[test]
fn mutate_rules_change_what_is_judged() {
    let mutate = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: label}\nspec:\n  rules:\n  - name: team\n    \
                  match: {any: [{resources: {kinds: [ConfigMap]}}]}\n    mutate:\n      patchStrategicMerge:\n        metadata:\n          \
                  labels:\n            team: blue\n";
    let repo = moin("  policies: [policies]\n")
        .file("policies/p.yaml", mutate)
        .file("x.yaml", &config_map("x", "{}"));
    let made = repo.render();
    assert_eq!(made.said(), "");
    assert_eq!(made.one("ConfigMap", "x").body["metadata"]["labels"]["team"], "blue");
}

#[test]
fn an_exception_counts_only_beside_the_policies() {
    let deny = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: no}\nspec:\n  validationFailureAction: Enforce\n  rules:\n  \
                - name: none\n    match: {any: [{resources: {kinds: [ConfigMap]}}]}\n    validate: {message: refused, pattern: {data: {must: be}}}\n";
    let except = "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: yes-please, namespace: a}\nspec:\n  \
                  exceptions: [{policyName: \"no\", ruleNames: [none]}]\n  match: {any: [{resources: {kinds: [ConfigMap]}}]}\n";
    let repo = moin("  policies: [policies]\n")
        .file("policies/p.yaml", &deny.replace("name: no}", "name: \"no\"}"))
        .file("x.yaml", &config_map("x", "{}"));
    let refuses = |repo: &Repo| {
        let made = repo.render();
        let request = crate::policy::Request::create(&made.one("ConfigMap", "x").body);
        made.policy_set.evaluate(&request).iter().any(|outcome| outcome.refuses())
    };
    assert!(refuses(&repo));
    assert!(refuses(&repo.clone().file("e.yaml", except)));
    assert!(!refuses(&repo.file("policies/e.yaml", except)));
}
