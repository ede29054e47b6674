//! Which names a tenant may have.

use serde_json::Value;

use crate::model::{Manifest, RepoPath, SYSTEM_NAMESPACE, Snapshot};
use crate::yaml;

/// The longest name of a namespace, and the longest value of a label.
const LONGEST_LABEL: usize = 63;
/// The longest name of anything else.
const LONGEST_NAME: usize = 253;

/// Why a name cannot be a tenant's.
pub fn refused(name: &str) -> Option<String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = (1..=LONGEST_LABEL).contains(&name.len())
        && name.bytes().all(|b| inner(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !good {
        return Some(format!(
            "{name:?} cannot be the name of a namespace: use lower case letters, digits and '-', at most 63, with a letter \
             or digit at both ends"
        ));
    }
    let reserved = name == "default" || name == SYSTEM_NAMESPACE || name.starts_with("kube-");
    reserved.then(|| format!("the name {name} is reserved: Kubernetes and moin use it themselves"))
}

/// Where a Namespace of this name stands already, for whatever management cluster; the template itself does not count.
pub fn taken(name: &str, snapshot: &Snapshot, template: &RepoPath) -> Option<String> {
    let is_manifest = |path: &RepoPath| {
        [".yaml", ".yml", ".json"].iter().any(|end| path.as_str().ends_with(end)) && !path.is_in(template)
    };
    let files = snapshot.files.iter().filter(|(path, _)| is_manifest(path));
    files.filter(|(_, file)| mentions(&file.bytes, name)).find_map(|(path, file)| {
        let documents = yaml::read(path, &file.bytes);
        let mut documents = documents.into_iter().flatten();
        let found = documents.find(|document| is_namespace(&document.value, name))?;
        Some(format!("{path}:{}", found.line))
    })
}

fn mentions(bytes: &[u8], name: &str) -> bool {
    bytes.windows(name.len()).any(|window| window == name.as_bytes())
}

fn is_namespace(object: &Value, name: &str) -> bool {
    let here =
        object["apiVersion"] == "v1" && object["kind"] == "Namespace" && object["metadata"]["name"] == name;
    here || object["items"].as_array().is_some_and(|items| items.iter().any(|item| is_namespace(item, name)))
}

/// Names and labels of new objects that the API server would not take; the template may have added something to the
/// tenant's name.
pub fn too_long(objects: &[&Manifest], tenant: &str) -> Option<String> {
    objects.iter().find_map(|object| {
        let id = &object.id;
        let limit = if matches!(id.kind(), "Namespace" | "Cluster") { LONGEST_LABEL } else { LONGEST_NAME };
        let labels = object.body["metadata"]["labels"].as_object().into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| {
            Some((format!("label {key} of {id}"), value.as_str()?, LONGEST_LABEL))
        });
        let name = [(format!("name of {}", id.kind()), id.name(), limit)].into_iter();
        let (what, value, limit) = name.chain(labels).find(|(_, value, limit)| value.len() > *limit)?;
        let over = value.len() - limit;
        let advice = match tenant.len().checked_sub(over) {
            Some(left) if left > 0 && value.contains(tenant) => {
                format!("use a name of at most {left} characters")
            }
            _ => "shorten the value that it is made of".to_owned(),
        };
        Some(format!(
            "{value} is too long for the {what}: {} characters, and {limit} are allowed; {advice}",
            value.len()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be() {
        for name in ["", "Team", "team_c", "-team", "team-", "team.c", "a/b", "..", "\u{e4}", &"x".repeat(64)]
        {
            assert!(refused(name).is_some_and(|why| why.contains("cannot be the name")), "{name}");
        }
        for name in ["default", "kube-system", "kube-x", "moin-system"] {
            assert!(refused(name).is_some_and(|why| why.contains("reserved")), "{name}");
        }
        for name in ["a", "team-c", "0", &"x".repeat(63)] {
            assert_eq!(refused(name), None);
        }
    }
}
