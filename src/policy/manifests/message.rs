//! What was signed, as an object's annotation holds it. It comes from whoever may write an object.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::yaml;

/// How many manifests a message may hold.
const MOST_MANIFESTS: usize = 100;

/// What an annotation holds.
pub(super) fn decoded(annotation: &str) -> Option<Vec<u8>> {
    unpacked(&STANDARD.decode(annotation.trim()).ok()?)
}

/// What gzip packed; `None` if it is broken or larger than any signed manifest needs.
pub(super) fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    const LIMIT: usize = 8 << 20;
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).take(LIMIT as u64 + 1).read_to_end(&mut unpacked).ok()?;
    (unpacked.len() <= LIMIT).then_some(unpacked)
}

/// The manifests of a message: YAML, or files of YAML in an archive that is packed once more.
pub(super) fn manifests(message: &[u8]) -> Result<Vec<Value>, String> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let archive = || files(&unpacked(message)?);
    let text = match message.starts_with(&GZIP) {
        true => archive().map(|files| files.join("\n---\n")),
        false => std::str::from_utf8(message).ok().map(str::to_owned),
    };
    let text = text.ok_or("the message holds no manifests")?;
    // Before anything is read: what stands between documents begins a line.
    if text.lines().filter(|line| line.starts_with("---")).count() > MOST_MANIFESTS {
        return Err(format!("the message holds more than {MOST_MANIFESTS} manifests"));
    }
    let documents = yaml::read(&yaml_name(), text.as_bytes()).into_iter();
    let values = documents.map(|document| document.ok().map(|document| document.value));
    values.collect::<Option<_>>().ok_or_else(|| "the message holds no manifests".to_owned())
}

/// The name of a file that is none.
fn yaml_name() -> crate::model::RepoPath {
    "message.yaml".parse().unwrap_or_default()
}

/// The texts of the files in a tar archive.
fn files(archive: &[u8]) -> Option<Vec<String>> {
    const BLOCK: usize = 512;
    let mut rest = archive;
    let mut texts = Vec::new();
    while let Some(head) = rest.get(..BLOCK).filter(|head| head[0] != 0) {
        let digits = std::str::from_utf8(&head[124..136]).ok()?.trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(digits, 8).ok()?;
        let body = rest.get(BLOCK..BLOCK.checked_add(size)?)?;
        if matches!(head[156], 0 | b'0') {
            texts.push(String::from_utf8(body.to_vec()).ok()?);
        }
        rest = rest.get(BLOCK + size.div_ceil(BLOCK) * BLOCK..).unwrap_or_default();
    }
    Some(texts)
}
