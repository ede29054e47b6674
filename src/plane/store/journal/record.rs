//! How a change stands in a file: its length, a checksum, and what happened.
//!
//! ```text
//! length: u32 | crc32 of the rest: u32 | kind: u8 | resourceVersion: u64 | length of each of: resource, namespace,
//! name: u16 | resource | namespace | name | the object as JSON
//! ```
//!
//! Numbers are little-endian. The length counts what follows the checksum.

use std::io::{self, Read};

/// What every file begins with; another number is another format.
pub(super) const MAGIC: &[u8] = b"moin plane store 1\n";
/// Length and checksum.
const FRAME: usize = 8;
/// Kind, resourceVersion and three lengths.
const HEAD: usize = 1 + 8 + 3 * 2;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::plane::store) enum Kind {
    /// The object is there from now on.
    Put = 1,
    /// The object is gone; its last state.
    Removed = 2,
    /// A snapshot is complete; of no object.
    Complete = 3,
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plane::store) struct Record<'a> {
    pub kind: Kind,
    pub revision: u64,
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub json: &'a [u8],
}

impl Record<'_> {
    /// Appends the record.
    pub fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let begin = out.len();
        out.extend_from_slice(&[0; FRAME]);
        out.push(self.kind as u8);
        out.extend_from_slice(&self.revision.to_le_bytes());
        let texts = [self.resource, self.namespace, self.name];
        for text in texts {
            let length = u16::try_from(text.len()).map_err(io::Error::other)?;
            out.extend_from_slice(&length.to_le_bytes());
        }
        texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
        out.extend_from_slice(self.json);
        let payload = &out[begin + FRAME..];
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let sum = crc32fast::hash(payload);
        out[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
        out[begin + 4..begin + FRAME].copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    fn parse(payload: &[u8]) -> Option<Record<'_>> {
        let (head, mut rest) = payload.split_at_checked(HEAD)?;
        let kind = match head[0] {
            1 => Kind::Put,
            2 => Kind::Removed,
            3 => Kind::Complete,
            _ => return None,
        };
        let revision = u64::from_le_bytes(head[1..9].try_into().ok()?);
        let mut texts = [""; 3];
        for (index, text) in texts.iter_mut().enumerate() {
            let length = u16::from_le_bytes(head[9 + 2 * index..11 + 2 * index].try_into().ok()?);
            let (bytes, after) = rest.split_at_checked(length as usize)?;
            *text = std::str::from_utf8(bytes).ok()?;
            rest = after;
        }
        let [resource, namespace, name] = texts;
        Some(Record { kind, revision, resource, namespace, name, json: rest })
    }
}

/// How reading a file ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the last record.
    Whole,
    /// In a record that was not written to its end; the file is good up to this byte.
    Torn(u64),
    /// What cannot be read begins at this byte, and more follows it.
    Damaged(u64),
}

/// Calls `found` with every record behind the magic bytes of a file of this length; false from it is damage.
pub(super) fn read_all(
    mut file: impl Read,
    length: u64,
    mut found: impl FnMut(&Record<'_>) -> bool,
) -> io::Result<End> {
    let mut magic = [0; MAGIC.len()];
    if length < MAGIC.len() as u64 {
        return Ok(End::Torn(0));
    }
    file.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(io::Error::other("it is no file of this format and version"));
    }
    let mut at = MAGIC.len() as u64;
    let mut payload = Vec::new();
    while at < length {
        let mut frame = [0; FRAME];
        if length - at < FRAME as u64 {
            return Ok(End::Torn(at));
        }
        file.read_exact(&mut frame)?;
        let [size, sum] =
            [&frame[..4], &frame[4..]].map(|b| u32::from_le_bytes(b.try_into().unwrap_or([0; 4])));
        let left = length - at - FRAME as u64;
        if u64::from(size) > left {
            return Ok(End::Torn(at));
        }
        payload.resize(size as usize, 0);
        file.read_exact(&mut payload)?;
        let good =
            crc32fast::hash(&payload) == sum && Record::parse(&payload).is_some_and(|record| found(&record));
        if !good {
            // The last record may have been cut, and a file that was not written through may end in zeros.
            let last = u64::from(size) == left || (size == 0 && is_zero(&mut file)?);
            return Ok(if last { End::Torn(at) } else { End::Damaged(at) });
        }
        at += FRAME as u64 + u64::from(size);
    }
    Ok(End::Whole)
}

fn is_zero(file: &mut impl Read) -> io::Result<bool> {
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    Ok(rest.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u64) -> Record<'static> {
        let (resource, namespace, name) = ("configmaps", "a", "b");
        Record { kind: Kind::Put, revision, resource, namespace, name, json: b"{}" }
    }

    fn file() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        record(1).write(&mut bytes).unwrap();
        record(2).write(&mut bytes).unwrap();
        bytes
    }

    fn revisions(bytes: &[u8]) -> (Vec<u64>, End) {
        let mut seen = Vec::new();
        let end = read_all(bytes, bytes.len() as u64, |found| {
            assert_eq!(found, &record(found.revision));
            seen.push(found.revision);
            true
        });
        (seen, end.unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(revisions(&file()), (vec![1, 2], End::Whole));
    }

    #[test]
    fn a_cut_file_is_good_up_to_the_cut_wherever_it_is() {
        let bytes = file();
        let half = (bytes.len() - MAGIC.len()) / 2 + MAGIC.len();
        for cut in 0..bytes.len() {
            let (seen, end) = revisions(&bytes[..cut]);
            let good = if cut < MAGIC.len() {
                0
            } else if cut < half {
                MAGIC.len()
            } else {
                half
            };
            let expected = if cut == good && cut > 0 { End::Whole } else { End::Torn(good as u64) };
            assert_eq!(end, expected, "{cut}");
            assert_eq!(seen.len(), usize::from(cut >= half), "{cut}");
        }
        let mut zeros = bytes.clone();
        zeros.extend([0; 100]);
        assert_eq!(revisions(&zeros), (vec![1, 2], End::Torn(bytes.len() as u64)));
    }

    #[test]
    fn damage_before_other_records_is_no_cut() {
        let mut bytes = file();
        bytes[MAGIC.len() + 20] ^= 1;
        assert_eq!(revisions(&bytes), (vec![], End::Damaged(MAGIC.len() as u64)));
        assert!(read_all(&b"moin plane store 2\n"[..], MAGIC.len() as u64, |_| true).is_err());
    }
}
