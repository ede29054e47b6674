//! What a tenant sees: the files of a new one, and the comment on the pull request.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use insta::assert_snapshot;
use support::moin::{Finished, Moin};
use support::repository::TestRepository;

const MOTD: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: motd, namespace: team-c}\ndata: {text: moin}\n";

fn moin(repository: &TestRepository, args: &[&str]) -> Finished {
    Moin::about(repository.path(), args)
}

#[test]
fn a_pull_request_of_a_tenant_is_told_in_a_comment() {
    let comment = moin(
        &TestRepository::with_a_tenant(),
        &["diff", "HEAD~1..HEAD", "--cluster", "mgmt1", "-o", "markdown"],
    );
    assert_eq!((comment.code, comment.stderr.as_str()), (Some(1), ""));
    let (told, diffs) = comment.stdout.split_once("<details>").unwrap();
    assert_snapshot!(told, @r"
    ### moin: 6 to create

    What merging this would do to the cluster, worked out from the files alone; nothing was applied.

    | | object | what happens | risk | file |
    |---|---|---|---|---|
    | + | Namespace `team-c` | create | new | `tenants/mgmt1/team-c/namespace.yaml:1` |
    | + | Cluster `team-c/first` | create | new, starts machines | `tenants/mgmt1/team-c/first.yaml:1` |

    Brought by rules of this repository; these objects stand in no file of their own:

    | | object | what happens | risk | rule | because of |
    |---|---|---|---|---|---|
    | + | ResourceQuota `team-c/tenant` | create | new | `small` of policy `quota-per-tenant`, `policies/quota-per-tenant.yaml:33` | Namespace `team-c` |
    | + | RoleBinding `team-c/tenant` | create | new | `team-role-binding` of policy `namespace-cluster-stack`, `policies/namespace-cluster-stack.yaml:64` | Namespace `team-c` |
    | + | ClusterStack `team-c/scs2-1-34` | create | new | `cluster-stack` of policy `namespace-cluster-stack`, `policies/namespace-cluster-stack.yaml:29` | Namespace `team-c` |
    | + | OpenStackClusterStackReleaseTemplate `team-c/openstack` | create | new | `openstack-template` of policy `namespace-cluster-stack`, `policies/namespace-cluster-stack.yaml:49` | Namespace `team-c` |
    ");
    assert_eq!(diffs.matches("</details>").count(), 6);
}

#[test]
fn a_refused_cluster_is_part_of_the_diff() {
    let repository = TestRepository::with_a_tenant();
    repository.write("tenants/mgmt1/team-c/old.yaml", &TestRepository::cluster("old", "1-26", "v1.26.0"));
    repository.write("tenants/mgmt1/team-c/first.yaml", &TestRepository::cluster("first", "1-34", "v1.34.3"));
    repository.commit("An old one");
    let range = ["diff", "HEAD~1..HEAD", "--cluster", "mgmt1"];
    let comment = moin(&repository, &[&range[..], &["-o", "markdown"]].concat());
    assert_eq!(comment.code, Some(1));
    assert_snapshot!(comment.stdout.split_once("<details>").unwrap().0, @r"
    ### moin: 1 to change, 1 refused; replaces machines, cannot be taken back

    What merging this would do to the cluster, worked out from the files alone; nothing was applied.

    **Refused or wrong: not applied until it is mended**

    - Cluster `team-c/old` in `tenants/mgmt1/team-c/old.yaml:10` at `spec.topology.version`: supported-kubernetes-version: Kubernetes v1.26.0 is not supported; these are, with all later patches: 1.32.4, 1.33.0, 1.34.0, 1.35.0 (MOIN-0502, see `policies/supported-kubernetes-version.yaml:12`)<br>What to do: Change the object as the policy's message says.
    - Cluster `team-c/old` in `tenants/mgmt1/team-c/old.yaml:9`: no ClusterStack in namespace team-c makes the class openstack-scs2-1-26-v1 (MOIN-0609, see `policies/namespace-cluster-stack.yaml:29`)<br>What to do: use openstack-scs2-1-34-v1, or add the version to a ClusterStack first

    | | object | what happens | risk | file |
    |---|---|---|---|---|
    | ! | Cluster `team-c/old` | refused, see above | refused by a policy and by the API | `tenants/mgmt1/team-c/old.yaml:1` |
    | ~ | Cluster `team-c/first` | change<br>`spec.topology.version` from `v1.34.2` to `v1.34.3` | **replaces machines, cannot be taken back** | `tenants/mgmt1/team-c/first.yaml:1` |
    ");
    let report = moin(&repository, &[&range[..], &["-o", "json"]].concat()).json();
    assert_eq!(report["objects"][0]["action"], "update");
    assert_eq!(report["findings"][0]["code"], "MOIN-0502");
    let refused = &report["objects"][1];
    assert_eq!(
        (&refused["object"], &refused["action"]),
        (&"Cluster.cluster.x-k8s.io/team-c/old".into(), &"refused".into())
    );
    // Once it is there, it is no news any more, but still wrong.
    repository.write("tenants/mgmt1/team-c/motd.yaml", MOTD);
    repository.commit("Something else");
    let next = moin(&repository, &range);
    assert!(next.stdout.ends_with("1 to create, 1 error\n"), "{}", next.stdout);
}

#[test]
fn what_a_change_means_is_said_for_each_object() {
    let repository = TestRepository::example();
    let file = "tenants/mgmt1/team-a/web.yaml";
    let web = std::fs::read_to_string(repository.path().join(file)).unwrap();
    let range = ["diff", "HEAD~1..HEAD", "--cluster", "mgmt1", "-o", "markdown"];
    let after = |text: &str| {
        repository.write(file, text);
        repository.commit("Change");
        moin(&repository, &range).stdout.split("<details>").next().unwrap().to_owned()
    };
    let replicas =
        after(&web.replace("name: general\n          replicas: 3", "name: general\n          replicas: 5"));
    assert!(replicas.contains("### moin: 1 to change\n") && replicas.contains("| in place |"), "{replicas}");
    let classes = after(&web.replace("class: default-worker", "class: gpu-worker"));
    assert!(classes.contains("| **replaces machines** |"), "{classes}");
    let patch = after(&web.replace("v1.34.2", "v1.34.3"));
    assert!(patch.contains("| **replaces machines, cannot be taken back** |"), "{patch}");
    assert_snapshot!(after(&web.replace("v1.34.2", "v1.34.1")), @r"
    ### moin: 1 refused

    What merging this would do to the cluster, worked out from the files alone; nothing was applied.

    **Refused or wrong: not applied until it is mended**

    - Cluster `team-a/web` in `tenants/mgmt1/team-a/web.yaml:15`: the version goes down from v1.34.3 to v1.34.1: Cluster API refuses that, for ever (MOIN-0604)<br>What to do: keep v1.34.3 or go on to a later one; for an older Kubernetes, make a new Cluster

    | | object | what happens | risk | file |
    |---|---|---|---|---|
    | ! | Cluster `team-a/web` | refused, see above | refused by the API | `tenants/mgmt1/team-a/web.yaml:1` |
    ");
    repository.write("policies/supported-kubernetes-version.yaml", "# nothing\n");
    assert_snapshot!(after(&web), @r"
    ### moin: 1 to change; replaces machines, cannot be taken back

    What merging this would do to the cluster, worked out from the files alone; nothing was applied.

    **This change loosens what guards the cluster: review that first**

    - ValidatingPolicy `supported-kubernetes-version` in `policies/supported-kubernetes-version.yaml:1`: the policy is removed; it still judges this change (MOIN-0707)<br>What to do: Review this first.

    | | object | what happens | risk | file |
    |---|---|---|---|---|
    | ~ | Cluster `team-a/web` | change<br>`spec.topology.version` from `v1.34.1` to `v1.34.2` | **replaces machines, cannot be taken back** | `tenants/mgmt1/team-a/web.yaml:1` |
    ");
}

#[test]
fn nothing_in_an_object_can_break_out_of_the_comment() {
    let repository = TestRepository::with_a_tenant();
    let evil = "|`x`| <!-- --> @everyone ![](https://evil.example/x) \u{202e} ``` </details>";
    repository.write(
        "tenants/mgmt1/team-c/evil.yaml",
        &format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: evil\n  namespace: team-c\n  annotations:\n    '{evil}': '{evil}'\n\
             data: {{'<img src=x>': \"```\\n# heading\\n</details>\\n@all\"}}\n---\napiVersion: v1\nkind: Secret\n\
             metadata: {{name: s, namespace: team-c}}\nstringData: {{password: hunter2}}\n"
        ),
    );
    repository.commit("Evil");
    let comment = moin(&repository, &["diff", "HEAD~1..HEAD", "--cluster", "mgmt1", "-o", "markdown"]).stdout;
    assert!(!comment.contains("hunter2") && !comment.contains('\u{202e}'), "{comment}");
    // Outside of code blocks nothing of it is left that means anything.
    let mut fence: Option<String> = None;
    for line in comment.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if *open == line => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                for bad in ["<!--", "<img", "](http", "@everyone", "@all"] {
                    assert!(!line.contains(bad), "{line}");
                }
            }
        }
    }
    assert!(fence.is_none() && comment.len() < 65_536);
}

#[test]
fn a_new_tenant_is_written_from_the_template_of_the_repository() {
    let repository = TestRepository::example();
    let folder = repository.path().display().to_string();
    let new = |args: &[&str]| {
        let place = ["--repo", &folder, "--cluster", "mgmt1"];
        Moin::new().run(&[&["tenant", "new"], args, &place].concat())
    };
    let made = new(&["team-c", "--set", "workload=web"]);
    assert_eq!(made.code, Some(0), "{}", made.said());
    assert_eq!(made.stdout, "tenants/mgmt1/team-c/namespace.yaml\ntenants/mgmt1/team-c/web.yaml\n");
    let shown = moin(&repository, &["diff", "--cluster", "mgmt1", "-o", "markdown"]);
    let table = shown.stdout.split("<details>").next().unwrap();
    assert_snapshot!(table, @r"
    ### moin: 6 to create

    What merging this would do to the cluster, worked out from the files alone; nothing was applied.

    | | object | what happens | risk | file |
    |---|---|---|---|---|
    | + | Namespace `team-c` | create | new | `tenants/mgmt1/team-c/namespace.yaml:3` |
    | + | Cluster `team-c/web` | create | new, starts machines | `tenants/mgmt1/team-c/web.yaml:3` |

    Brought by rules of this repository; these objects stand in no file of their own:

    | | object | what happens | risk | rule | because of |
    |---|---|---|---|---|---|
    | + | ResourceQuota `team-c/tenant` | create | new | `small` of policy `quota-per-tenant`, `policies/quota-per-tenant.yaml:33` | Namespace `team-c` |
    | + | RoleBinding `team-c/tenant` | create | new | `team-role-binding` of policy `namespace-cluster-stack`, `policies/namespace-cluster-stack.yaml:64` | Namespace `team-c` |
    | + | ClusterStack `team-c/scs2-1-34` | create | new | `cluster-stack` of policy `namespace-cluster-stack`, `policies/namespace-cluster-stack.yaml:29` | Namespace `team-c` |
    | + | OpenStackClusterStackReleaseTemplate `team-c/openstack` | create | new | `openstack-template` of policy `namespace-cluster-stack`, `policies/namespace-cluster-stack.yaml:49` | Namespace `team-c` |
    ");
    // What has no value in a file's name is not asked for.
    assert_eq!(new(&["team-d"]).stdout, "tenants/mgmt1/team-d/namespace.yaml\n");
    assert!(
        made.stderr.contains("git switch -c tenant-team-c")
            && made.stderr.contains("git add tenants/mgmt1/team-c")
    );
}

#[test]
fn a_tenant_that_cannot_be_is_not_written() {
    let repository = TestRepository::example();
    let folder = repository.path().display().to_string();
    let new = |args: &[&str]| {
        let place = ["--repo", &folder, "--cluster", "mgmt1"];
        Moin::new().run(&[&["tenant", "new"], args, &place].concat())
    };
    let longest = "x".repeat(63);
    repository.write(
        "templates/tenant/more.yaml",
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: bot\n  \
        namespace: ${tenant}\n  labels: {of: ${tenant}-bot}\n",
    );
    repository.write("tenants/mgmt1/half/notes.txt", "left over");
    for (args, code, why) in [
        (
            &["team-a"][..],
            2,
            "the name team-a is taken: its namespace is in tenants/mgmt1/team-a/namespace.yaml:",
        ),
        (
            &["team-b"],
            2,
            "the name team-b is taken: its namespace is in tenants/mgmt2/team-b/namespace.yaml:",
        ),
        (&["half"], 2, "the folder tenants/mgmt1/half is in use"),
        (&["Team_C"], 2, "cannot be the name of a namespace"),
        (&["kube-system"], 2, "reserved"),
        (&[&longest], 2, "use a name of at most 59 characters"),
        (&["team-e", "--set", "size"], 2, "write KEY=VALUE"),
        (&["team-e", "--set", "wrkload=web"], 2, "perhaps workload is meant"),
        (&["team-e", "--set", "tenant=x"], 2, "the tenant is the NAME"),
        (&["team-e", "--set", "workload=a\nb"], 2, "one line of text"),
        (&["team-e", "--set", "workload=../../../x"], 2, "which is not in tenants/mgmt1/team-e"),
        (
            &["team-f", "--set", "workload=old", "--set", "version=v1.26.0"],
            1,
            "tenants/mgmt1/team-f/old.yaml:",
        ),
        (
            &["team-f", "--set", "workload=old", "--set", "version=1.34"],
            1,
            "say the patch version, too: v1.34.0",
        ),
    ] {
        let refused = new(args);
        assert_eq!(refused.code, Some(code), "{args:?}: {}", refused.said());
        assert!(refused.stdout.is_empty() && refused.stderr.contains(why), "{args:?}: {}", refused.said());
        for name in ["team-e", "team-f", &longest] {
            assert!(!repository.path().join("tenants/mgmt1").join(name).exists(), "{args:?} wrote");
        }
    }
}
