//! What gzip packed, unpacked (RFC 1951, RFC 1952). What is read comes from whoever may write an object, so its size is
//! limited and nothing of it is trusted.

/// More than any signed manifest needs.
const LIMIT: usize = 8 << 20;

/// The longest code of a symbol.
const MAX_BITS: usize = 15;

/// Whether bytes begin as gzip does.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks one member; `None` if it is broken or too large.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let &[0x1f, 0x8b, 8, flags, _, _, _, _, _, _, ref rest @ ..] = bytes else { return None };
    let mut rest = rest;
    if flags & 4 != 0 {
        let length = usize::from(u16::from_le_bytes([*rest.first()?, *rest.get(1)?]));
        rest = rest.get(2 + length..)?;
    }
    for text in [8, 16] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    let (out, rest) = inflate(rest)?;
    let number = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (sum, length) = (number(0)?, number(4)?);
    (crc32fast::hash(&out) == sum && u32::try_from(out.len()) == Ok(length)).then_some(out)
}

/// Bits of bytes, the lowest first.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        while self.count < count {
            self.held |= u32::from(*self.bytes.get(self.at)?) << self.count;
            self.at += 1;
            self.count += 8;
        }
        let bits = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        Some(bits)
    }
}

/// A code: how many symbols have each length, and the symbols in order.
struct Huffman {
    counts: [u16; MAX_BITS + 1],
    symbols: Vec<u16>,
}

impl Huffman {
    fn new(lengths: &[u8]) -> Option<Huffman> {
        let mut counts = [0; MAX_BITS + 1];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let mut left = 1_i32;
        let mut offsets = [0_u16; MAX_BITS + 2];
        for bits in 1..=MAX_BITS {
            left = (left << 1) - i32::from(counts[bits]);
            if left < 0 {
                return None;
            }
            offsets[bits + 1] = offsets[bits] + counts[bits];
        }
        let mut symbols = vec![0; lengths.len()];
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let place = &mut offsets[usize::from(*length)];
            symbols[usize::from(*place)] = u16::try_from(symbol).ok()?;
            *place += 1;
        }
        Some(Huffman { counts, symbols })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Option<u16> {
        let (mut code, mut first, mut index) = (0_i32, 0_i32, 0_i32);
        for count in &self.counts[1..] {
            code |= i32::try_from(bits.take(1)?).ok()?;
            let count = i32::from(*count);
            if code - count < first {
                return self.symbols.get(usize::try_from(index + (code - first)).ok()?).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// Unpacks blocks up to the last; gives what comes behind them, too.
fn inflate(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut bits = Bits { bytes, at: 0, held: 0, count: 0 };
    let mut out = Vec::new();
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(&mut bits, &mut out)?,
            1 => {
                let mut lengths = [8_u8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                block(&mut bits, &mut out, &Huffman::new(&lengths)?, &Huffman::new(&[5; 30])?)?;
            }
            2 => {
                let (literals, distances) = codes(&mut bits)?;
                block(&mut bits, &mut out, &literals, &distances)?;
            }
            _ => return None,
        }
        if last {
            return Some((out, &bytes[bits.at..]));
        }
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Option<()> {
    // The rest of the byte that was begun says nothing.
    (bits.held, bits.count) = (0, 0);
    let head = bits.bytes.get(bits.at..bits.at + 4)?;
    let length = u16::from_le_bytes([head[0], head[1]]);
    if length != !u16::from_le_bytes([head[2], head[3]]) {
        return None;
    }
    bits.at += 4;
    let end = bits.at + usize::from(length);
    out.extend_from_slice(bits.bytes.get(bits.at..end)?);
    bits.at = end;
    (out.len() <= LIMIT).then_some(())
}

/// The codes that a block brings along.
fn codes(bits: &mut Bits<'_>) -> Option<(Huffman, Huffman)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let mut number = |count: u32, more: usize| Some(usize::try_from(bits.take(count)?).ok()? + more);
    let (literals, distances, used) = (number(5, 257)?, number(5, 1)?, number(4, 4)?);
    let mut lengths = [0_u8; 19];
    for place in &ORDER[..used] {
        lengths[*place] = u8::try_from(number(3, 0)?).ok()?;
    }
    let code = Huffman::new(&lengths)?;
    let mut lengths: Vec<u8> = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (value, times) = match code.decode(bits)? {
            symbol @ 0..=15 => (u8::try_from(symbol).ok()?, 1),
            16 => (*lengths.last()?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            _ => (0, bits.take(7)? + 11),
        };
        lengths.extend(std::iter::repeat_n(value, usize::try_from(times).ok()?));
    }
    if lengths.len() > literals + distances {
        return None;
    }
    Some((Huffman::new(&lengths[..literals])?, Huffman::new(&lengths[literals..])?))
}

fn block(bits: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Huffman, distances: &Huffman) -> Option<()> {
    const LENGTHS: [u16; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163,
        195, 227, 258,
    ];
    const DISTANCES: [u16; 30] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
        3073, 4097, 6145, 8193, 12289, 16385, 24577,
    ];
    loop {
        let symbol = usize::from(literals.decode(bits)?);
        match symbol {
            0..=255 => out.push(u8::try_from(symbol).ok()?),
            256 => return Some(()),
            _ => {
                let at = symbol - 257;
                let more = if (8..28).contains(&at) { (at as u32 - 4) / 4 } else { 0 };
                let length = usize::from(*LENGTHS.get(at)?) + usize::try_from(bits.take(more)?).ok()?;
                let at = usize::from(distances.decode(bits)?);
                let more = if at >= 4 { (at as u32 - 2) / 2 } else { 0 };
                let distance = usize::from(*DISTANCES.get(at)?) + usize::try_from(bits.take(more)?).ok()?;
                let start = out.len().checked_sub(distance)?;
                for from in start..start + length {
                    out.push(out[from]);
                }
            }
        }
        if out.len() > LIMIT {
            return None;
        }
    }
}
