//! Addresses: of the network, of the web, of people.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Four numbers, zeros before them allowed; also an IPv6 address that ends in such.
pub(super) fn is_ipv4(text: &str) -> bool {
    parse_sloppy_v4(text).is_some() || (text.contains('.') && text.parse::<Ipv6Addr>().is_ok())
}

fn parse_sloppy_v4(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0u8; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number: u32 = part
            .trim_start_matches('0')
            .parse()
            .or_else(|e| if part.bytes().all(|b| b == b'0') { Ok(0) } else { Err(e) })
            .ok()?;
        *byte = u8::try_from(number).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(bytes))
}

/// An address and how many of its bits count.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = if parse_sloppy_v4(address).is_some() {
        32
    } else if address.parse::<Ipv6Addr>().is_ok() {
        128
    } else {
        return false;
    };
    bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u32>().is_ok_and(|bits| bits <= most)
}

/// 6, 8 or 20 bytes in pairs of digits (`:` or `-` between) or in fours (`.` between).
pub(super) fn is_mac(text: &str) -> bool {
    let groups = |separator: char, width: usize| -> Option<usize> {
        let groups: Vec<&str> = text.split(separator).collect();
        let fine = groups.iter().all(|g| g.len() == width && g.bytes().all(|b| b.is_ascii_hexdigit()));
        fine.then(|| groups.len() * width / 2)
    };
    [(':', 2), ('-', 2), ('.', 4)]
        .into_iter()
        .any(|(separator, width)| matches!(groups(separator, width), Some(6 | 8 | 20)))
}

/// A label of DNS in small letters.
pub(super) fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(edge) && text.ends_with(edge) && text.chars().all(|c| edge(c) || c == '-')
}

/// A host's name: one label, or several and a top-level domain; letters and symbols of any script.
pub(super) fn is_hostname(text: &str) -> bool {
    if text.len() > 255 || text.split('.').any(|label| label.len() > 63) {
        return false;
    }
    let letter = |c: char| c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphabetic()) || is_symbol(c);
    let Some((labels, top)) = text.rsplit_once('.') else {
        // The lone label may have one dash, behind its first character.
        let mut chars = text.chars();
        let first = chars.next().is_some_and(letter);
        let rest = chars.as_str();
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        let plain = first && rest.chars().count() <= 62 && rest.chars().all(letter);
        return plain;
    };
    let top_level = |c: char| c.is_ascii_alphabetic() || (!c.is_ascii() && c.is_alphabetic());
    let count = top.chars().count();
    (2..=63).contains(&count)
        && top.chars().all(top_level)
        && labels.split('.').all(|label| {
            label.starts_with(letter)
                && label.ends_with(letter)
                && label.chars().all(|c| letter(c) || c == '-')
        })
}

fn is_symbol(c: char) -> bool {
    let mut buffer = [0; 4];
    super::matches(c.encode_utf8(&mut buffer), r"^\p{S}$")
}

/// An absolute URI or an absolute path.
pub(super) fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        return !scheme.is_empty();
    }
    let (authority, path) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        Some(after) => after.find('/').map_or((after, ""), |slash| after.split_at(slash)),
        None => ("", rest),
    };
    is_authority(authority) && escapes_are_whole(path)
}

/// The scheme (or nothing) and the rest; `None` where it begins with a colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return None,
            ':' => return Some((&text[..at], &text[at + 1..])),
            _ => return Some(("", text)),
        }
    }
    Some(("", text))
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user_fine = user.chars().all(|c| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c));
    let (name, port) = match host.rsplit_once(']') {
        Some((name, port)) => (name.strip_prefix('[').unwrap_or("\n"), port),
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, &host[host.len() - port.len() - 1..]),
            None => (host, ""),
        },
    };
    let port_fine = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let name_fine = name
        .chars()
        .all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c));
    user_fine && port_fine && name_fine && escapes_are_whole(name) && escapes_are_whole(user)
}

fn escapes_are_whole(text: &str) -> bool {
    text.match_indices('%').all(|(at, _)| {
        text.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// An address of RFC 5322: `a@b`, or a name and `<a@b>`.
pub(super) fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(inside) => match inside.rsplit_once('<') {
            Some((name, address)) if is_display_name(name.trim()) => address,
            _ => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']'));
    (quoted || is_dot_atom(local))
        && literal.map_or_else(|| is_dot_atom(domain), |address| address.parse::<core::net::IpAddr>().is_ok())
}

fn is_display_name(name: &str) -> bool {
    let quoted = name.len() >= 2 && name.starts_with('"') && name.ends_with('"');
    quoted || name.split_whitespace().all(|word| word.chars().all(|c| is_atom_text(c) || c == '.'))
}

fn is_dot_atom(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_text))
}

fn is_atom_text(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}
