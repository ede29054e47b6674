//! IP addresses and networks.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::formatting::quoted;
use super::{Answer, fail, refuse};
use crate::expr::cel::cost::{Cost, READ, TRAVERSAL, UNIT};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::error::EvalError;
use crate::expr::cel::value::{Opaque, Value};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("ip", "string_to_ip", "(string) -> net.IP()", READ, ip),
    row("family", "ip_family", "net.IP().() -> int", UNIT, family),
    row("ip.isCanonical", "ip_is_canonical", "(string) -> bool", Cost::Argument { factor: 2.0 * TRAVERSAL, sized: false }, is_canonical),
    row("isUnspecified", "ip_is_unspecified", "net.IP().() -> bool", UNIT, |args| test(args, |ip| ip.is_unspecified())),
    row("isLoopback", "ip_is_loopback", "net.IP().() -> bool", UNIT, |args| test(args, |ip| ip.is_loopback())),
    row("isLinkLocalMulticast", "ip_is_link_local_multicast", "net.IP().() -> bool", UNIT, |args| test(args, link_local_multicast)),
    row("isLinkLocalUnicast", "ip_is_link_local_unicast", "net.IP().() -> bool", UNIT, |args| test(args, link_local_unicast)),
    row("isGlobalUnicast", "ip_is_global_unicast", "net.IP().() -> bool", UNIT, |args| test(args, global_unicast)),
    row("isIP", "is_ip", "(string) -> bool", READ, is_ip),
    row("string", "ip_to_string", "(net.IP()) -> string", UNIT, text),
    row("cidr", "string_to_cidr", "(string) -> net.CIDR()", READ, cidr),
    row("containsIP", "cidr_contains_ip_string", "net.CIDR().(string) -> bool", Cost::InNetwork(true), contains_ip),
    row("containsIP", "cidr_contains_ip_ip", "net.CIDR().(net.IP()) -> bool", Cost::InNetwork(false), contains_ip),
    row("containsCIDR", "cidr_contains_cidr_string", "net.CIDR().(string) -> bool", Cost::Subnet(true), contains_cidr),
    row("containsCIDR", "cidr_contains_cidr", "net.CIDR().(net.CIDR()) -> bool", Cost::Subnet(false), contains_cidr),
    row("ip", "cidr_ip", "net.CIDR().() -> net.IP()", UNIT, network_ip),
    row("prefixLength", "cidr_prefix_length", "net.CIDR().() -> int", UNIT, prefix_length),
    row("masked", "cidr_masked", "net.CIDR().() -> net.CIDR()", UNIT, masked),
    row("isCIDR", "is_cidr", "(string) -> bool", READ, is_cidr),
    row("string", "cidr_to_string", "(net.CIDR()) -> string", UNIT, text),
];

#[derive(Debug, PartialEq)]
struct Ip(IpAddr);

impl Opaque for Ip {
    fn type_name(&self) -> &str {
        "net.IP"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn size(&self) -> Option<u64> {
        Some(if self.0.is_ipv4() { 4 } else { 16 })
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

#[derive(Debug, PartialEq, Clone, Copy)]
struct Cidr {
    ip: IpAddr,
    bits: u8,
}

impl Opaque for Cidr {
    fn type_name(&self) -> &str {
        "net.CIDR"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn size(&self) -> Option<u64> {
        Some(u64::from(self.bits).div_ceil(8))
    }

    fn text(&self) -> String {
        format!("{}/{}", self.ip, self.bits)
    }
}

impl Cidr {
    fn masked(self) -> Cidr {
        let ip = match self.ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(ip) & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(ip) & mask))
            }
        };
        Cidr { ip, bits: self.bits }
    }

    fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && Cidr { ip, bits: self.bits }.masked() == self.masked()
    }
}

fn link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.octets()[0] == 0xff && ip.octets()[1] & 0x0f == 2,
    }
}

fn link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn global_unicast(ip: IpAddr) -> bool {
    let special = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local_unicast(ip);
    !special && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn address<'v>(args: &'v [Value<'_>]) -> Option<&'v Ip> {
    args.first()?.downcast()
}

fn network<'v>(args: &'v [Value<'_>]) -> Option<&'v Cidr> {
    args.first()?.downcast()
}

fn test<'a>(args: &[Value<'a>], is: impl Fn(IpAddr) -> bool) -> Answer<'a> {
    address(args).map_or_else(refuse, |ip| Ok(Value::Bool(is(ip.0))))
}

fn ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    read_ip(text).map(|ip| Value::opaque(Ip(ip)))
}

fn family<'a>(args: &[Value<'a>]) -> Answer<'a> {
    address(args).map_or_else(refuse, |ip| Ok(Value::Int(if ip.0.is_ipv4() { 4 } else { 6 })))
}

fn is_canonical<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    Ok(Value::Bool(read_ip(text)?.to_string() == text))
}

fn is_ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::Bool(read_ip(text).is_ok())))
}

fn text<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match args.first() {
        Some(Value::Opaque(value)) => Ok(Value::text(value.text())),
        _ => refuse(),
    }
}

fn cidr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    match read_cidr(text) {
        Ok(cidr) => Ok(Value::opaque(cidr)),
        Err(error) => fail(format!("network address parse error during conversion from string: {error}")),
    }
}

fn is_cidr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::Bool(read_cidr(text).is_ok())))
}

fn contains_ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (Some(network), Some(other)) = (network(args), args.get(1)) else { return refuse() };
    let ip = match (other.as_str(), other.downcast::<Ip>()) {
        // What is no address is told as a missing overload.
        (Some(text), _) => read_ip(text).map_err(|_| EvalError::no_such_overload())?,
        (None, Some(ip)) => ip.0,
        _ => return refuse(),
    };
    Ok(Value::Bool(network.contains(ip)))
}

fn contains_cidr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (Some(network), Some(other)) = (network(args), args.get(1)) else { return refuse() };
    let inner = match (other.as_str(), other.downcast::<Cidr>()) {
        (Some(_), _) => {
            cidr(&args[1..])?.downcast::<Cidr>().copied().ok_or_else(EvalError::no_such_overload)?
        }
        (None, Some(cidr)) => *cidr,
        _ => return refuse(),
    };
    Ok(Value::Bool(network.bits <= inner.bits && network.contains(inner.ip)))
}

fn network_ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    network(args).map_or_else(refuse, |network| Ok(Value::opaque(Ip(network.ip))))
}

fn prefix_length<'a>(args: &[Value<'a>]) -> Answer<'a> {
    network(args).map_or_else(refuse, |network| Ok(Value::Int(network.bits.into())))
}

fn masked<'a>(args: &[Value<'a>]) -> Answer<'a> {
    network(args).map_or_else(refuse, |network| Ok(Value::opaque(network.masked())))
}

fn read_ip(text: &str) -> Result<IpAddr, EvalError> {
    let shown = quoted(text);
    match parse_address(text) {
        Err(error) => Err(EvalError::new(format!(
            "IP Address {shown} parse error during conversion from string: {error}"
        ))),
        Ok(_) if text.contains('%') => {
            Err(EvalError::new(format!("IP address {shown} with zone value is not allowed")))
        }
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Err(EvalError::new(format!("IPv4-mapped IPv6 address {shown} is not allowed")))
        }
        Ok(ip) => Ok(ip),
    }
}

fn read_cidr(text: &str) -> Result<Cidr, String> {
    let parsed = parse_prefix(text)
        .map_err(|error| format!("network address parse error during conversion from string: {error}"))?;
    match parsed.ip {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {} is not allowed", quoted(text)))
        }
        _ => Ok(parsed),
    }
}

/// Reads an address as Go's `netip.ParseAddr`, with its messages.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    let failed = |(message, at): (&str, Option<&str>)| {
        let at = at.map(|at| format!(" (at {})", quoted(at))).unwrap_or_default();
        format!("ParseAddr({}): {message}{at}", quoted(text))
    };
    let result = match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => parse_v4(text).map(|octets| IpAddr::V4(octets.into())),
        Some(b':') => parse_v6(text).map(IpAddr::V6),
        Some(_) => Err(("missing IPv6 address", None)),
        None => Err(("unable to parse IP", None)),
    };
    result.map_err(failed)
}

type Refused<'t> = (&'static str, Option<&'t str>);

fn parse_v4(text: &str) -> Result<[u8; 4], Refused<'_>> {
    let bytes = text.as_bytes();
    let mut fields = [0; 4];
    let (mut value, mut digits, mut field) = (0_u32, 0, 0);
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(("IPv4 field has octet with leading zero", None));
                }
                value = value * 10 + u32::from(b - b'0');
                digits += 1;
                if value > 255 {
                    return Err(("IPv4 field has value >255", None));
                }
            }
            b'.' => {
                if i == 0 || i + 1 == bytes.len() || bytes[i - 1] == b'.' {
                    return Err(("IPv4 field must have at least one digit", Some(&text[i..])));
                }
                if field == 3 {
                    return Err(("IPv4 address too long", None));
                }
                fields[field] = value as u8;
                field += 1;
                (value, digits) = (0, 0);
            }
            _ => return Err(("unexpected character", Some(text.get(i..).unwrap_or_default()))),
        }
    }
    if field < 3 {
        return Err(("IPv4 address too short", None));
    }
    fields[3] = value as u8;
    Ok(fields)
}

fn parse_v6(text: &str) -> Result<Ipv6Addr, Refused<'_>> {
    let (whole, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    if zone == Some("") {
        return Err(("zone must be a non-empty string", None));
    }
    let mut rest = whole;
    let mut octets: Vec<u8> = Vec::with_capacity(16);
    let mut ellipsis = None;
    if let Some(after) = rest.strip_prefix("::") {
        ellipsis = Some(0);
        rest = after;
        if rest.is_empty() {
            return Ok(Ipv6Addr::UNSPECIFIED);
        }
    }
    while octets.len() < 16 {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits > 4 {
            return Err(("each group must have 4 or less digits", Some(rest)));
        }
        if digits == 0 {
            return Err(("each colon-separated field must have at least one digit", Some(rest)));
        }
        if rest.as_bytes().get(digits) == Some(&b'.') {
            if ellipsis.is_none() && octets.len() != 12 {
                return Err((
                    "embedded IPv4 address must replace the final 2 fields of the address",
                    Some(rest),
                ));
            }
            if octets.len() + 4 > 16 {
                return Err((
                    "too many hex fields to fit an embedded IPv4 at the end of the address",
                    Some(rest),
                ));
            }
            octets.extend(parse_v4(rest)?);
            rest = "";
            break;
        }
        let group = u16::from_str_radix(&rest[..digits], 16).unwrap_or_default();
        octets.extend(group.to_be_bytes());
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        if !rest.starts_with(':') {
            return Err(("unexpected character, want colon", Some(rest)));
        }
        if rest.len() == 1 {
            return Err(("colon must be followed by more characters", Some(rest)));
        }
        rest = &rest[1..];
        if let Some(after) = rest.strip_prefix(':') {
            if ellipsis.is_some() {
                return Err(("multiple :: in address", Some(rest)));
            }
            ellipsis = Some(octets.len());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return Err(("trailing garbage after address", Some(rest)));
    }
    match ellipsis {
        None if octets.len() < 16 => return Err(("address string too short", None)),
        Some(_) if octets.len() == 16 => {
            return Err(("the :: must expand to at least one field of zeros", None));
        }
        Some(at) => {
            let zeros = 16 - octets.len();
            octets.splice(at..at, std::iter::repeat_n(0, zeros));
        }
        None => {}
    }
    let octets: [u8; 16] = octets.try_into().unwrap_or_default();
    Ok(octets.into())
}

/// Reads a network as Go's `netip.ParsePrefix`, with its messages.
fn parse_prefix(text: &str) -> Result<Cidr, String> {
    let failed = |message: &str| format!("netip.ParsePrefix({}): {message}", quoted(text));
    let Some((address, length)) = text.rsplit_once('/') else { return Err(failed("no '/'")) };
    let ip = parse_address(address).map_err(|error| failed(&error))?;
    if address.contains('%') {
        return Err(failed("IPv6 zones cannot be present in a prefix"));
    }
    let bad = || failed(&format!("bad bits after slash: {}", quoted(length)));
    if length.is_empty()
        || !length.bytes().all(|b| b.is_ascii_digit())
        || (length.len() > 1 && length.starts_with('0'))
    {
        return Err(bad());
    }
    let bits: u64 = length.parse().map_err(|_| bad())?;
    match u8::try_from(bits) {
        Ok(bits) if bits <= if ip.is_ipv4() { 32 } else { 128 } => Ok(Cidr { ip, bits }),
        _ => Err(failed("prefix length out of range")),
    }
}
