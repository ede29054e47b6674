//! Objects of units that do not prune say so themselves: once they are no longer rendered, nothing else could.

use std::collections::HashSet;
use std::sync::Arc;

use super::finish::set_text;
use super::layers::address;
use super::memo::Memo;
use crate::model::{Manifest, Unit, UnitName};

/// Annotation: never delete the object.
const PRUNE: &str = "moin.scs.community/prune";

/// Marked manifests by what they were made of, which is kept alive so that its address stays its own.
pub(super) type KeepMemo = Memo<usize, (Arc<Manifest>, Arc<Manifest>)>;

/// Marks what stands in units that do not prune.
pub(super) fn mark_unpruned(
    manifests: Vec<Arc<Manifest>>,
    units: &[Unit],
    memo: &mut KeepMemo,
) -> Vec<Arc<Manifest>> {
    let unpruned: HashSet<&UnitName> =
        units.iter().filter(|unit| !unit.prune).map(|unit| &unit.name).collect();
    if unpruned.is_empty() {
        return manifests;
    }
    let mark = |manifest: Arc<Manifest>| {
        if !unpruned.contains(&manifest.unit) {
            return manifest;
        }
        memo.get(address(&manifest), || (marked(&manifest), manifest.clone())).0
    };
    manifests.into_iter().map(mark).collect()
}

fn marked(manifest: &Manifest) -> Arc<Manifest> {
    let mut body = (*manifest.body).clone();
    set_text(&mut body, "annotations", PRUNE, "never");
    Arc::new(Manifest { body: Arc::new(body), ..manifest.clone() })
}

#[cfg(test)]
mod tests {
    use crate::render::testing::repo;

    #[test]
    fn objects_of_a_unit_that_does_not_prune_say_so() {
        let unit = |prune: bool| {
            format!(
                "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: a, namespace: \
                 flux-system}}\nspec: {{path: ./apps, prune: {prune}, interval: 1m, sourceRef: {{kind: \
                 GitRepository, name: flux-system}}}}\n"
            )
        };
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: a}\n";
        for (prune, expected) in [(false, Some("never")), (true, None)] {
            let made = repo()
                .file("clusters/unit.yaml", &unit(prune))
                .file("apps/x.yaml", object)
                .path("clusters")
                .render();
            assert_eq!(made.one("ConfigMap", "x").annotation(super::PRUNE), expected);
        }
    }
}
