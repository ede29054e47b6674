//! Digests, in hexadecimal.

use sha1::Digest as _;

use super::{Function, TEXT, Val, row};
use md5::md5;

pub(super) const TABLE: &[Function] = &[
    row("sha256", &[TEXT], |call| Ok(Val::text(hex(&sha2::Sha256::digest(call.text(0)?))))),
    row("sha1", &[TEXT], |call| Ok(Val::text(hex(&sha1::Sha1::digest(call.text(0)?))))),
    row("md5", &[TEXT], |call| Ok(Val::text(hex(&md5(call.text(0)?.as_bytes()))))),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

mod md5 {
    //! MD5 (RFC 1321), for policies that name things by it; not for security.

    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

    pub(super) fn md5(message: &[u8]) -> [u8; 16] {
        let mut padded = message.to_vec();
        padded.push(0x80);
        while padded.len() % 64 != 56 {
            padded.push(0);
        }
        padded.extend((message.len() as u64).wrapping_mul(8).to_le_bytes());
        let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        for block in padded.chunks_exact(64) {
            let mut words = [0u32; 16];
            for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
                *word = bytes.iter().rev().fold(0, |w, b| w << 8 | u32::from(*b));
            }
            let mixed = mix(state, &words);
            for (s, m) in state.iter_mut().zip(mixed) {
                *s = s.wrapping_add(m);
            }
        }
        let mut digest = [0; 16];
        for (out, byte) in digest.iter_mut().zip(state.iter().flat_map(|s| s.to_le_bytes())) {
            *out = byte;
        }
        digest
    }

    fn mix(state: [u32; 4], words: &[u32; 16]) -> [u32; 4] {
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64_usize {
            let (f, g) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let constant = (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a.wrapping_add(f).wrapping_add(constant).wrapping_add(words[g]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4]));
        }
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_of_the_rfc() {
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&md5(b"message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(
            hex(&md5(b"12345678901234567890123456789012345678901234567890123456789012345678901234567890")),
            "57edf4a22be3c955ac49da2e2107b67a"
        );
    }
}
