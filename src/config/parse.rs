//! `moin.yaml` to a [`Repository`].

use std::collections::BTreeMap;

use super::approval::{Approval, ApprovalAction, SHORTEST_REVISION};
use super::fields::{Fields, Problems, repo_path};
use super::glob::Glob;
use super::impersonation::Impersonation;
use super::lease::LeaseTimes;
use super::protection::{KindPattern, Protection};
use super::repository::{
    Adoption, FILE, ManagementCluster, OnFailure, Rebuild, Repository, SecretRef, Stage, TenantTemplate,
    UseCase,
};
use crate::finding::{Code, Finding, Location};
use crate::model::{API_VERSION, FieldPath, ObjectId, RepoPath, Snapshot};
use crate::yaml::{self, Document};

impl Repository {
    /// What `moin.yaml` in `folder` says, and what is wrong with it. Without such a file: the default.
    pub fn read(snapshot: &Snapshot, folder: &RepoPath) -> (Repository, Vec<Finding>) {
        let Some((path, file)) =
            folder.join(FILE).ok().and_then(|path| Some((path.clone(), snapshot.files.get(&path)?)))
        else {
            return (Repository::default(), Vec::new());
        };
        Repository::read_file(&path, &file.bytes)
    }

    /// What the bytes of a `moin.yaml` say, and what is wrong with them.
    pub fn read_file(path: &RepoPath, bytes: &[u8]) -> (Repository, Vec<Finding>) {
        let (mut repository, mut findings) = (None, Vec::new());
        for document in yaml::read(path, bytes) {
            match document {
                Err(finding) => findings.push(finding),
                Ok(document) if repository.is_none() => {
                    let (read, more) = Repository::parse(&document);
                    findings.extend(more);
                    repository = Some(read);
                }
                Ok(document) => {
                    let place = Location::in_source(&document.source, document.line, 1);
                    let message = format!("{FILE} holds one document; this is another");
                    findings.push(Finding::error(Code::BadRepositoryFile, message).at(place));
                }
            }
        }
        if repository.is_none() && findings.is_empty() {
            let finding = Finding::error(Code::BadRepositoryFile, format!("{FILE} is empty"));
            findings.push(finding.at(Location::line(path, 1)));
        }
        (repository.unwrap_or_default(), findings)
    }

    /// What one document says, and what is wrong with it: wrong values are left at their default.
    pub fn parse(document: &Document) -> (Repository, Vec<Finding>) {
        let mut problems = Problems::of(&document.source, Code::BadRepositoryFile);
        let p = &mut problems;
        let mut root = Fields::of(Some(&document.value), FieldPath::default(), p);
        identify(&mut root, p);
        let mut metadata = root.mapping("metadata", p);
        let name = name(&mut metadata, p);
        // Labels and annotations mean nothing here, and hurt nobody.
        let _ = (metadata.get("labels"), metadata.get("annotations"));
        metadata.finish(p);
        let mut spec = root.mapping("spec", p);
        let repository = Repository {
            name,
            source: Some(document.source.clone()),
            use_cases: use_cases(&mut spec, p),
            stages: stages(&mut spec, p),
            policies: spec.paths("policies", p),
            clusters: clusters(&mut spec, p),
            lease: lease(&mut spec, p),
            adoption: spec.choice("adoption", &Adoption::WORDS, p).unwrap_or_default(),
            protection: protection(&mut spec, p),
            approvals: approvals(&mut spec, p),
            tenants: tenants(&mut spec, p),
            policy_reports: spec.flag("policyReports", p),
        };
        spec.finish(p);
        root.finish(p);
        references(&repository, p);
        (repository, problems.findings)
    }
}

fn identify(root: &mut Fields<'_>, problems: &mut Problems) {
    for (field, expected) in [("apiVersion", API_VERSION), ("kind", "Repository")] {
        let found = root.text(field, problems);
        if found != Some(expected) && (found.is_some() || root.get(field).is_none()) {
            let path = FieldPath::of_keys([field]);
            problems.add(&path, format!("{field} must be {expected}"));
        }
    }
}

/// The owner name: a label's value and part of the name of a Lease.
fn name(metadata: &mut Fields<'_>, problems: &mut Problems) -> Option<String> {
    let name = metadata.text("name", problems)?;
    let path = metadata.path.key("name");
    is_dns_label(name, 58, &path, problems).then(|| name.to_owned())
}

fn is_dns_label(name: &str, longest: usize, path: &FieldPath, problems: &mut Problems) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ok = name.len() <= longest
        && name.bytes().all(|b| inner(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !ok {
        let message =
            format!("{path} must be lower case letters, digits and '-', at most {longest} characters");
        problems.add(path, message);
    }
    ok
}

fn use_cases(spec: &mut Fields<'_>, problems: &mut Problems) -> BTreeMap<String, UseCase> {
    let mut use_cases = BTreeMap::new();
    for (name, mut fields) in spec.entries("useCases", problems) {
        let layers = fields.paths("layers", problems);
        let line = problems.place(&fields.path).line;
        if layers.is_empty() {
            problems.add(&fields.path, format!("use case {name} has no layers"));
        }
        fields.finish(problems);
        use_cases.insert(name.to_owned(), UseCase { layers, line });
    }
    use_cases
}

fn stages(spec: &mut Fields<'_>, problems: &mut Problems) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for mut fields in spec.mappings("stages", problems) {
        let at = fields.path.clone();
        let Some(stage) = stage(&mut fields, problems) else { continue };
        fields.finish(problems);
        if let Some(twin) = stages.iter().find(|other| other.name == stage.name) {
            let message = format!("stage {} stands twice, first in line {}", stage.name, twin.line);
            problems.add(&at, message);
            continue;
        }
        if let Some(other) = stages.iter().find(|other| other.rest && stage.rest) {
            let message = format!("stages {} and {} both take the rest ('*')", other.name, stage.name);
            problems.add(&at, message);
        }
        stages.push(stage);
    }
    stages
}

fn stage(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Stage> {
    let at = fields.path.clone();
    let name = fields.text("name", problems);
    let mut folders = Vec::new();
    let mut rest = false;
    for (text, path) in fields.texts("folders", problems) {
        match text {
            "*" => rest = true,
            text => folders.extend(repo_path(text, &path, problems)),
        }
    }
    if folders.is_empty() && !rest {
        problems.add(&at, "a stage needs folders; '*' takes what no other stage names");
    }
    let timeout = fields.duration("timeout", problems);
    let on_failure = [("hold", OnFailure::Hold), ("continue", OnFailure::Continue)];
    let on_failure = fields.choice("onFailure", &on_failure, problems).unwrap_or_default();
    let mut hooks = fields.mapping("hooks", problems);
    let (hooks_before, hooks_after) = (hooks.paths("before", problems), hooks.paths("after", problems));
    hooks.finish(problems);
    let Some(name) = name else {
        problems.add(&at, "a stage needs a name");
        return None;
    };
    if !is_dns_label(name, 63, &at.key("name"), problems) {
        return None;
    }
    let (name, line) = (name.to_owned(), problems.place(&at).line);
    Some(Stage { name, folders, rest, timeout, on_failure, hooks_before, hooks_after, line })
}

fn clusters(spec: &mut Fields<'_>, problems: &mut Problems) -> BTreeMap<String, ManagementCluster> {
    let mut clusters = BTreeMap::new();
    for (name, mut fields) in spec.entries("clusters", problems) {
        let rebuild = [("approve", Rebuild::Approve), ("auto", Rebuild::Auto)];
        let cluster = ManagementCluster {
            use_case: fields.text("useCase", problems).map(str::to_owned),
            folders: fields.paths("folders", problems),
            kubeconfig: secret(&mut fields, problems),
            peers: fields.texts("peers", problems).into_iter().map(|(peer, _)| peer.to_owned()).collect(),
            rebuild: fields.choice("rebuild", &rebuild, problems).unwrap_or_default(),
            line: problems.place(&fields.path).line,
        };
        is_dns_label(name, 63, &fields.path, problems);
        fields.finish(problems);
        clusters.insert(name.to_owned(), cluster);
    }
    clusters
}

/// `peers: {lease: 30s}`; the other two follow from it. What does not hold together is not taken in part.
fn lease(spec: &mut Fields<'_>, problems: &mut Problems) -> LeaseTimes {
    let mut fields = spec.mapping("peers", problems);
    let usual = fields.duration("lease", problems).map_or_else(LeaseTimes::default, LeaseTimes::of);
    let times = LeaseTimes {
        renew: fields.duration("renew", problems).unwrap_or(usual.renew),
        retry: fields.duration("retry", problems).unwrap_or(usual.retry),
        ..usual
    };
    let path = fields.path.clone();
    fields.finish(problems);
    let Some((field, why)) = times.problem() else { return times };
    problems.add(&path.key(field), format!("{}: {why}", path.key(field)));
    LeaseTimes::default()
}

fn secret(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<SecretRef> {
    fields.get("kubeconfig")?;
    let mut reference = fields.mapping("kubeconfig", problems);
    let namespace = reference.text("namespace", problems).map(str::to_owned);
    let secret = reference.text("secret", problems).map(str::to_owned);
    let key = reference.text("key", problems).map(str::to_owned);
    let path = reference.path.clone();
    reference.finish(problems);
    let (Some(namespace), Some(secret)) = (namespace, secret) else {
        problems.add(&path, "kubeconfig names a Secret by namespace and secret");
        return None;
    };
    Some(SecretRef { namespace, secret, key })
}

fn protection(spec: &mut Fields<'_>, problems: &mut Problems) -> Protection {
    let mut fields = spec.mapping("protection", problems);
    let mut protection = Protection::default();
    for (text, path) in fields.texts("kinds", problems) {
        match KindPattern::parse(text) {
            Some(kind) => protection.kinds.push(kind),
            None => {
                problems.add(&path, format!("{text:?} is no kind; write Secret or Cluster.cluster.x-k8s.io"));
            }
        }
    }
    if let Some(count) = fields.count("maxDeletions", problems) {
        protection.max_deletions = count;
    }
    for (text, path) in fields.texts("annotations", problems) {
        match Glob::new(text) {
            Some(glob) => protection.annotations.push(glob),
            None => {
                problems.add(&path, format!("{text:?} is no pattern for files of the repository"));
            }
        }
    }
    fields.finish(problems);
    protection
}

fn tenants(spec: &mut Fields<'_>, problems: &mut Problems) -> Option<TenantTemplate> {
    spec.get("tenants")?;
    let mut fields = spec.mapping("tenants", problems);
    let template = fields.text("template", problems);
    let at = fields.path.key("template");
    let template = template.and_then(|text| repo_path(text, &at, problems));
    let folder = fields.text("folder", problems).map(str::to_owned);
    let values = fields.text_map("values", problems);
    let impersonate = fields.get("impersonate").is_some().then(|| {
        let mut inner = fields.mapping("impersonate", problems);
        let impersonate = Impersonation::read(&mut inner, problems);
        inner.finish(problems);
        impersonate
    });
    let path = fields.path.clone();
    fields.finish(problems);
    if template.is_none() || folder.is_none() {
        problems.add(&path, "tenants needs `template`, a folder of files, and `folder`, where they go");
    }
    Some(TenantTemplate { template: template?, folder: folder?, values, impersonate })
}

fn approvals(spec: &mut Fields<'_>, problems: &mut Problems) -> Vec<Approval> {
    let entries = spec.mappings("approvals", problems);
    entries.into_iter().filter_map(|fields| approval(fields, problems)).collect()
}

fn approval(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Approval> {
    let at = fields.path.clone();
    let action = fields.choice("action", &ApprovalAction::WORDS, problems);
    let given = |fields: &mut Fields<'_>, key| fields.get(key).is_some();
    let (has_action, before) = (given(&mut fields, "action"), problems.findings.len());
    let object = fields.text("object", problems).and_then(|text| match text.parse::<ObjectId>() {
        Ok(object) => Some(object),
        Err(error) => {
            problems.add(&at.key("object"), error.to_string());
            None
        }
    });
    let revision = fields.text("revision", problems).and_then(|text| match is_revision(text) {
        true => Some(text.to_owned()),
        false => {
            let message = format!(
                "revision is a commit id or its beginning, at least {SHORTEST_REVISION} characters of it"
            );
            problems.add(&at.key("revision"), message);
            None
        }
    });
    let cluster = fields.text("cluster", problems).map(str::to_owned);
    let reason = fields.text("reason", problems).map(str::to_owned);
    fields.finish(problems);
    let Some(action) = action else {
        if !has_action {
            problems.add(&at, "an approval needs an action");
        }
        return None;
    };
    let present = match action.needs() {
        "object" => object.is_some(),
        "revision" => revision.is_some(),
        _ => cluster.is_some(),
    };
    if problems.findings.len() > before {
        // A restriction that was not understood must not turn into none.
        return None;
    }
    if !present {
        problems.add(&at, format!("this approval needs the field {}", action.needs()));
        return None;
    }
    Some(Approval { action, object, revision, cluster, reason, line: problems.place(&at).line })
}

/// A commit id, its beginning, or the hash of a folder.
fn is_revision(text: &str) -> bool {
    let id = text.strip_prefix("folder:").unwrap_or(text);
    id.len() >= SHORTEST_REVISION && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Names that lead nowhere.
fn references(repository: &Repository, problems: &mut Problems) {
    for (name, cluster) in &repository.clusters {
        let path = FieldPath::of_keys(["spec", "clusters", name]);
        if let Some(use_case) =
            cluster.use_case.as_ref().filter(|name| !repository.use_cases.contains_key(*name))
        {
            problems.add(&path.key("useCase"), format!("there is no use case {use_case}"));
        }
        for (i, peer) in cluster.peers.iter().enumerate() {
            let message = if peer == name {
                format!("{name} cannot be its own peer")
            } else if !repository.clusters.contains_key(peer) {
                format!("there is no cluster {peer}")
            } else {
                continue;
            };
            problems.add(&path.key("peers").index(i), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{GroupKind, Revision};

    const WHOLE: &str = r#"apiVersion: moin.scs.community/v1alpha1
kind: Repository
metadata: {name: moin}            # the owner name on every object
spec:
  useCases:
    dev:  {layers: [common, use-cases/dev]}
    prod: {layers: [common, use-cases/prod, tenants]}
  stages:
    - {name: foundations, folders: [cert-manager, ingress]}
    - name: cluster-api
      folders: [capi, cluster-stack-operator]
      timeout: 10m
      onFailure: continue
      hooks: {before: [hooks/backup.yaml]}
    - {name: tenants, folders: ["*"]}
  policies: [policies]
  clusters:
    mgmt1: {useCase: prod, folders: [clusters/of-mgmt1], kubeconfig: {namespace: mgmt, secret: mgmt1-kubeconfig}, peers: [mgmt2], rebuild: approve}
    mgmt2: {useCase: prod, folders: [clusters/of-mgmt2], kubeconfig: {namespace: mgmt, secret: mgmt2-kubeconfig}, peers: [mgmt1], rebuild: auto}
  adoption: always
  protection:
    kinds: [Secret, HelmRelease.helm.toolkit.fluxcd.io]
    maxDeletions: 3
    annotations: ["common/**"]
  approvals:
    - {action: delete, object: Cluster/team-a/web, revision: 3f2c1d9, reason: "team-a closes"}
"#;

    fn parse(text: &str) -> (Repository, Vec<Finding>) {
        Repository::read_file(&FILE.parse().unwrap(), text.as_bytes())
    }

    /// The findings for the whole file with one line changed.
    fn changed(from: &str, to: &str) -> Vec<String> {
        assert!(WHOLE.contains(from), "{from}");
        let (_, findings) = parse(&WHOLE.replacen(from, to, 1));
        let line = |finding: &Finding| finding.location.as_ref().unwrap().line;
        findings.iter().map(|finding| format!("{}: {}", line(finding), finding.message)).collect()
    }

    #[test]
    fn the_whole_file_is_understood() {
        let (repository, findings) = parse(WHOLE);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(repository.name.as_deref(), Some("moin"));
        assert_eq!(repository.use_cases["prod"].layers.len(), 3);
        let stage = &repository.stages[1];
        assert_eq!((stage.timeout, stage.on_failure), (Some(Duration::from_secs(600)), OnFailure::Continue));
        assert_eq!((stage.line, stage.hooks_before[0].as_str()), (10, "hooks/backup.yaml"));
        assert!(repository.stages[2].rest && repository.stages[2].folders.is_empty());
        assert_eq!(repository.clusters["mgmt2"].rebuild, Rebuild::Auto);
        assert_eq!(repository.clusters["mgmt1"].kubeconfig.as_ref().unwrap().secret, "mgmt1-kubeconfig");
        assert_eq!(repository.adoption, Adoption::Always);
        let protection = &repository.protection;
        assert_eq!(protection.max_deletions, 3);
        assert!(protection.allows_annotations_in(&"common/a/b.yaml".parse().unwrap()));
        let kind = |group: &str, kind: &str| GroupKind { group: group.into(), kind: kind.into() };
        assert!(protection.protects(&kind("", "Secret")) && protection.protects(&kind("", "Namespace")));
        assert!(!protection.protects(&kind("example.org", "Namespace")));
        assert!(!protection.protects(&kind("", "ConfigMap")));
    }

    #[test]
    fn an_approval_allows_what_it_names_and_no_more() {
        let approval = &parse(WHOLE).0.approvals[0];
        let commit = Revision::new("3f2c1d9aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        let web = ObjectId::new("cluster.x-k8s.io", "Cluster", Some("team-a"), "web");
        let db = ObjectId::new("cluster.x-k8s.io", "Cluster", Some("team-a"), "db");
        assert!(approval.allows(ApprovalAction::Delete, &web, &commit));
        assert!(!approval.allows(ApprovalAction::Delete, &db, &commit));
        assert!(!approval.allows(ApprovalAction::Recreate, &web, &commit));
        assert!(!approval.allows(ApprovalAction::Delete, &web, &Revision::new("4f2c1d9")));
        assert!(!approval.allows_revision(ApprovalAction::Delete, &commit));
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        for (from, to, expected) in [
            ("timeout: 10m", "timout: 10m", "12: unknown field spec.stages[1].timout"),
            (
                "timeout: 10m",
                "timeout: 10",
                "12: spec.stages[1].timeout must be text, but YAML reads a number",
            ),
            ("timeout: 10m", "timeout: soon", "12: spec.stages[1].timeout is no duration"),
            (
                "onFailure: continue",
                "onFailure: stop",
                "13: spec.stages[1].onFailure is \"stop\", but must be hold or continue",
            ),
            ("adoption: always", "adoption: yes", "20: spec.adoption must be text, but YAML reads a boolean"),
            (
                "maxDeletions: 3",
                "maxDeletions: -1",
                "23: spec.protection.maxDeletions must be a whole number",
            ),
            ("kinds: [Secret,", "kinds: [secrets,", "22: \"secrets\" is no kind"),
            ("[\"common/**\"]", "common", "24: spec.protection.annotations must be a list, not a text"),
            ("revision: 3f2c1d9", "revision: 3210009", "26: spec.approvals[0].revision must be text"),
            ("revision: 3f2c1d9", "revision: main", "26: revision is a commit id"),
            ("object: Cluster/team-a/web", "object: web", "26: \"web\" is not Kind"),
            ("object: Cluster/team-a/web, ", "", "26: this approval needs the field object"),
            ("peers: [mgmt2]", "peers: [mgmt3]", "18: there is no cluster mgmt3"),
            (
                "policies: [policies]",
                "peers: {lease: 5s}",
                "16: spec.peers.lease: a lease lasts from 15s to 1m",
            ),
            (
                "policies: [policies]",
                "peers: {lease: 30s, renew: 20s}",
                "16: spec.peers.renew: a lease of 30s",
            ),
            ("useCase: prod", "useCase: production", "18: there is no use case production"),
            ("policies: [policies]", "policies: [../policies]", "16: \"../policies\" leaves the repository"),
            ("policies: [policies]", "policies: [/policies]", "16: \"/policies\" must be a path inside"),
            ("name: cluster-api", "name: foundations", "10: stage foundations stands twice, first in line 9"),
            ("kind: Repository", "kind: Repo", "2: kind must be Repository"),
            ("metadata: {name: moin}", "metadata: {name: Moin}", "3: metadata.name must be lower case"),
            ("secret: mgmt1-kubeconfig", "name: mgmt1", "18: "),
        ] {
            let found = changed(from, to);
            assert!(found.iter().any(|finding| finding.starts_with(expected)), "{to}: {found:#?}");
        }
        assert!(changed("adoption", "adoptoin")[0].contains("unknown field spec.adoptoin"));
        let (_, findings) = parse(&WHOLE.replace("  policies:", "  xyzzy: 1\n  policies:"));
        let help = findings[0].help.as_deref().unwrap();
        assert_eq!(help.matches("tenants").count(), 1, "{help}");
    }

    #[test]
    fn a_misspelt_field_is_guessed() {
        let (_, findings) = parse(&WHOLE.replace("onFailure", "onfailure"));
        assert_eq!(findings[0].help.as_deref(), Some("did you mean onFailure?"));
    }

    #[test]
    fn what_is_missing_or_more_than_one_is_said() {
        let (repository, findings) = parse("");
        assert!(repository.name.is_none() && findings.len() == 1);
        let (_, findings) = parse("apiVersion: moin.scs.community/v1alpha1\nkind: Repository\n");
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(parse(&format!("{WHOLE}---\n{WHOLE}")).1.len(), 1);
        assert_eq!(parse("- a\n").1[0].code, Code::BadRepositoryFile);
        assert_eq!(parse("a: [\n").1[0].code, Code::BrokenYaml);
    }

    #[test]
    fn what_guards_less_is_told() {
        let (old, _) = parse(&WHOLE.replace("always", "never").replace("auto", "approve"));
        let (new, _) = parse(&WHOLE.replace("[Secret, ", "[").replace("Deletions: 3", "Deletions: 30"));
        assert_eq!(
            new.loosened_since(&old),
            [
                "Secret is no longer protected",
                "a commit may delete 30 objects instead of 3",
                "adoption changes from never to always",
                "cluster mgmt2 is filled after a rebuild without an approval",
            ]
        );
        assert!(old.loosened_since(&old).is_empty());
    }
}
