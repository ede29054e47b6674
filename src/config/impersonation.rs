//! Applying a tenant's objects as that tenant, so that a change in his folder can do no more than he could.

use super::fields::{Fields, Problems};
use super::protection::KindPattern;
use crate::model::{FieldPath, GroupKind, Tenant};

/// Stands for the tenant's name in the names of user and groups.
const NAME: &str = "${tenant}";
const DEFAULT_USER: &str = "moin:tenant:${tenant}";

/// As whom the objects of tenants' folders are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonation {
    /// The user, with `${tenant}` in it.
    pub user: String,
    /// His groups; may hold `${tenant}`.
    pub groups: Vec<String>,
    /// Kinds in a tenant's folder that moin applies as itself.
    pub except: Vec<KindPattern>,
}

impl Impersonation {
    /// The tenant of that name.
    pub fn tenant(&self, name: &str) -> Tenant {
        let filled = |text: &String| text.replace(NAME, name);
        let groups = self.groups.iter().map(filled).collect();
        Tenant { name: name.to_owned(), user: filled(&self.user), groups }
    }

    /// Whether objects of this kind are applied as the tenant.
    pub fn covers(&self, kind: &GroupKind) -> bool {
        !self.except.iter().any(|pattern| pattern.matches(kind))
    }

    /// `spec.tenants.impersonate`.
    pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> Impersonation {
        let user = fields.text("user", problems).unwrap_or(DEFAULT_USER).to_owned();
        check(&user, &fields.path.key("user"), problems);
        if !user.contains(NAME) {
            let message = format!("the user of a tenant must hold {NAME}: tenants must not be the same user");
            problems.add(&fields.path.key("user"), message);
        }
        let groups = fields.texts("groups", problems);
        for (group, path) in &groups {
            check(group, path, problems);
        }
        let groups = groups.into_iter().map(|(group, _)| group.to_owned()).collect();
        let mut except = Vec::new();
        let given = fields.get("except").is_some();
        for (text, path) in fields.texts("except", problems) {
            match KindPattern::parse(text) {
                Some(kind) => except.push(kind),
                None => {
                    problems.add(&path, format!("{text:?} is no kind; write Namespace or Kind.group"));
                }
            }
        }
        if !given {
            // Nobody but moin can make the namespace in which a tenant has rights.
            except.push(KindPattern { kind: "Namespace".to_owned(), group: Some(String::new()) });
        }
        Impersonation { user, groups, except }
    }

    /// What of this lets tenants do more than the one before.
    pub(super) fn loosened_since(now: Option<&Impersonation>, old: Option<&Impersonation>) -> Vec<String> {
        match (now, old) {
            (None, Some(_)) => {
                vec![
                    "objects of tenants are applied with moin's own rights instead of the tenant's"
                        .to_owned(),
                ]
            }
            (Some(now), Some(old)) if now != old => {
                let what = |it: &Impersonation| {
                    let kinds: Vec<&str> = it.except.iter().map(|kind| kind.kind.as_str()).collect();
                    format!("{} {:?}, except {}", it.user, it.groups, kinds.join(", "))
                };
                vec![format!("objects of tenants are applied as {} instead of {}", what(now), what(old))]
            }
            _ => Vec::new(),
        }
    }
}

/// Names that Kubernetes gives a meaning of its own are nobody's tenant.
fn check(name: &str, path: &FieldPath, problems: &mut Problems) {
    if name.is_empty() || name.starts_with("system:") || name.starts_with(NAME) {
        let message =
            format!("{name:?} cannot stand for a tenant: it is empty, or is or could be one of system:*");
        problems.add(path, message);
    } else if !name.bytes().all(|b| b.is_ascii_graphic()) {
        problems.add(path, format!("{name:?} has characters that no name of a user may have"));
    }
}
