//! Which tenant an object belongs to, by the folder of its files.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::Regex;
use rustc_hash::FxHashSet;

use super::documents::Doc;
use super::finish::LeftOut;
use super::gather::Piece;
use super::settings::Settings;
use crate::config::Impersonation;
use crate::finding::{Code, Finding, Location};
use crate::model::{Manifest, RepoPath, Tenant};

/// Tenants and their folders; of a repository that applies everything as moin, nothing.
#[derive(Debug, Default)]
pub(super) struct Tenancy(Option<Folders>);

#[derive(Debug)]
struct Folders {
    /// Of a path below `moin.yaml`; its group `tenant` is the name.
    pattern: Regex,
    base: RepoPath,
    impersonation: Impersonation,
}

impl Tenancy {
    /// What the repository's `moin.yaml` says, and what is wrong with that.
    pub(super) fn of(settings: &Settings) -> Result<Tenancy, Box<Finding>> {
        let Some(tenants) = &settings.repository.tenants else { return Ok(Tenancy(None)) };
        let Some(impersonation) = tenants.impersonate.clone() else { return Ok(Tenancy(None)) };
        let pattern = pattern_of(&tenants.folder).ok_or_else(|| {
            let message = format!(
                "spec.tenants.folder is {:?}; for tenants.impersonate, one folder in it must be named by ${{tenant}} alone",
                tenants.folder
            );
            let finding = Finding::error(Code::BadRepositoryFile, message);
            Box::new(match &settings.file {
                Some(file) => finding.at(Location::line(file, 1)),
                None => finding,
            })
        })?;
        Ok(Tenancy(Some(Folders { pattern, base: settings.base.clone(), impersonation })))
    }

    /// Leaves out what several tenants describe together: no one's rights would fit.
    pub(super) fn apart(&self, pieces: Vec<Piece>, out: &mut LeftOut) -> Vec<Piece> {
        let Some(folders) = &self.0 else { return pieces };
        let (alone, shared): (Vec<Piece>, Vec<Piece>) =
            pieces.into_iter().partition(|piece| folders.names(&piece.doc).len() < 2);
        for Piece { doc, unit } in shared {
            let names: Vec<String> = folders.names(&doc).into_iter().collect();
            let message = format!("the tenants {} describe one object together", names.join(" and "));
            let place = Location::in_source(&doc.source, doc.line, 1);
            let finding = Finding::error(Code::TenantOverreach, message).about(&doc.id).at(place);
            out.withhold(Some(doc.id.clone()), &unit, finding);
        }
        alone
    }

    /// As whom a document's object is applied; `None`: as moin itself.
    pub(super) fn tenant_of(&self, doc: &Doc) -> Option<Arc<Tenant>> {
        let folders = self.0.as_ref()?;
        if !folders.impersonation.covers(&doc.id.group_kind()) {
            return None;
        }
        let name = folders.names(doc).pop_first()?;
        Some(Arc::new(folders.impersonation.tenant(&name)))
    }

    /// The policies that may judge: what a tenant writes must not generate or change the objects of others.
    pub(super) fn without_tenants(
        &self,
        policies: Vec<Arc<Manifest>>,
        out: &mut LeftOut,
    ) -> Vec<Arc<Manifest>> {
        let Some(folders) = &self.0 else { return policies };
        let of_tenant = |policy: &Manifest| {
            let origin = &policy.origin;
            let overlays = origin.overlays.iter().map(|source| &source.file);
            overlays.chain([&origin.source.file]).any(|file| folders.name_of(file).is_some())
        };
        let mut told = FxHashSet::default();
        let (theirs, ours): (Vec<_>, Vec<_>) = policies.into_iter().partition(|policy| of_tenant(policy));
        for policy in theirs {
            if told.insert(policy.id.clone()) {
                let place = Location::in_source(&policy.origin.source, policy.origin.line, 1);
                let message = "a policy in a tenant's folder judges, changes and generates nothing here";
                out.findings
                    .push(Finding::warning(Code::TenantOverreach, message).about(&policy.id).at(place));
            }
        }
        ours
    }
}

impl Folders {
    fn names(&self, doc: &Doc) -> BTreeSet<String> {
        let overlays = doc.overlays.iter().map(|source| &source.file);
        overlays.chain([&doc.source.file]).filter_map(|file| self.name_of(file)).collect()
    }

    fn name_of(&self, file: &RepoPath) -> Option<String> {
        let below = file.relative_to(&self.base)?;
        Some(self.pattern.captures(below)?["tenant"].to_owned())
    }
}

/// A pattern for the files below a folder with `${...}` in its name. The tenant's name must be a whole part of the
/// path, so that no other folder can be taken for his.
fn pattern_of(folder: &str) -> Option<Regex> {
    let mut pattern = String::from("^");
    let mut named = false;
    for part in folder.trim_matches('/').split('/') {
        if part == "${tenant}" && !named {
            named = true;
            pattern.push_str("(?P<tenant>[^/]+)/");
            continue;
        }
        let mut rest = part;
        while let Some((before, after)) = rest.split_once("${") {
            pattern.push_str(&regex::escape(before));
            pattern.push_str("[^/]+");
            rest = after.split_once('}')?.1;
        }
        pattern.push_str(&regex::escape(rest));
        pattern.push('/');
    }
    named.then(|| Regex::new(&pattern).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectId;
    use crate::render::testing::{Repo, repo};

    fn moin(impersonate: &str) -> Repo {
        repo().file(
            "moin.yaml",
            &format!(
                "apiVersion: moin.scs.community/v1alpha1\nkind: Repository\nspec:\n  tenants:\n    template: t\n    \
                 folder: tenants/${{cluster}}/${{tenant}}\n    impersonate: {impersonate}\n"
            ),
        )
    }

    fn object(kind: &str, name: &str) -> String {
        let namespace = if kind == "Namespace" { "" } else { ", namespace: a" };
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}{namespace}}}\n")
    }

    fn user(repo: &Repo, name: &str) -> Option<String> {
        let made = repo.render();
        let manifest = made.manifests.iter().find(|manifest| manifest.id.name() == name);
        let manifest = manifest.unwrap_or_else(|| panic!("{name}: {:?}", made.findings));
        let tenant = manifest.origin.tenant.as_ref();
        let noted = manifest.annotation(crate::model::TENANT);
        assert_eq!(noted, tenant.map(|tenant| tenant.name.as_str()));
        tenant.map(|tenant| format!("{} {:?}", tenant.user, tenant.groups))
    }

    #[test]
    fn the_folder_says_whose_it_is_and_nothing_else() {
        let repo = moin("{groups: ['oidc:${tenant}']}")
            .file("tenants/mgmt1/a/x.yaml", &object("ConfigMap", "x"))
            .file("tenants/mgmt1/a/deep/er.yaml", &object("ConfigMap", "deep"))
            .file("tenants/mgmt1/a/ns.yaml", &object("Namespace", "a"))
            .file("tenants/mgmt1/shared.yaml", &object("ConfigMap", "shared"))
            .file("common/tenants/mgmt1/a/y.yaml", &object("ConfigMap", "elsewhere"));
        let a = Some("moin:tenant:a [\"oidc:a\"]".to_owned());
        assert_eq!(user(&repo, "x"), a);
        assert_eq!(user(&repo, "deep"), a);
        for name in ["a", "shared", "elsewhere"] {
            assert_eq!(user(&repo, name), None, "{name}");
        }
        let claimed = "metadata:\n  name: x\n  namespace: a\n  annotations: {moin.scs.community/tenant: b}\n";
        let claimed = format!("apiVersion: v1\nkind: ConfigMap\n{claimed}");
        assert_eq!(user(&repo.file("tenants/mgmt1/a/x.yaml", &claimed), "x"), a);
    }

    #[test]
    fn the_same_file_under_other_settings_is_rendered_anew() {
        let with = |impersonate| moin(impersonate).file("tenants/m/a/x.yaml", &object("ConfigMap", "x"));
        assert_eq!(user(&with("{user: 'team:${tenant}'}"), "x").unwrap(), "team:a []");
        assert_eq!(user(&with("{except: [ConfigMap]}"), "x"), None);
    }

    #[test]
    fn what_cannot_stand_for_tenants_is_refused() {
        for bad in [
            "{user: team}",
            "{user: 'system:${tenant}'}",
            "{groups: ['system:masters']}",
            "{user: '${tenant}'}",
        ] {
            let made = moin(bad).file("tenants/m/a/x.yaml", &object("ConfigMap", "x")).render();
            assert!(made.findings.iter().any(|it| it.code == Code::BadRepositoryFile), "{bad}");
        }
    }

    #[test]
    fn a_policy_of_a_tenant_generates_nothing() {
        let policy = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec:\n  rules:\n  - name: r\n    \
            match: {any: [{resources: {kinds: [Namespace]}}]}\n    generate:\n      apiVersion: v1\n      kind: ConfigMap\n      \
            name: gift\n      namespace: a\n      data: {data: {k: v}}\n";
        let gift = ObjectId::new("", "ConfigMap", Some("a"), "gift");
        let made = |file: &str| {
            let repo = moin("{}").file(file, policy).file("ns.yaml", &object("Namespace", "a"));
            let made = repo.render();
            let told = made.findings.iter().any(|finding| finding.code == Code::TenantOverreach);
            (made.manifests.iter().any(|manifest| manifest.id == gift), told)
        };
        assert_eq!(made("platform/p.yaml"), (true, false));
        assert_eq!(made("tenants/m/a/p.yaml"), (false, true));
    }
}
