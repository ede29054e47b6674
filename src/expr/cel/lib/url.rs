//! URLs, read as Go's `net/url` does, with its messages.

use std::any::Any;
use std::collections::BTreeMap;

use super::formatting::quoted;
use super::{Answer, fail, refuse};
use crate::expr::cel::cost::{Cost, TRAVERSAL, UNIT};
use crate::expr::cel::env::{Row, row};
use crate::expr::cel::value::{Key, Opaque, Text, Value};

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("url", "string_to_url", "(string) -> kubernetes.URL", Cost::Argument { factor: TRAVERSAL, sized: true }, url),
    row("isURL", "is_url_string", "(string) -> bool", UNIT, is_url),
    row("getScheme", "url_get_scheme", "kubernetes.URL.() -> string", UNIT, |args| part(args, |url| url.scheme.clone())),
    row("getHost", "url_get_host", "kubernetes.URL.() -> string", UNIT, |args| part(args, |url| url.host.clone())),
    row("getHostname", "url_get_hostname", "kubernetes.URL.() -> string", UNIT, |args| part(args, |url| url.hostname().0)),
    row("getPort", "url_get_port", "kubernetes.URL.() -> string", UNIT, |args| part(args, |url| url.hostname().1)),
    row("getEscapedPath", "url_get_escaped_path", "kubernetes.URL.() -> string", UNIT, |args| part(args, |url| url.path.clone())),
    row("getQuery", "url_get_query", "kubernetes.URL.() -> map(string, list(string))", UNIT, query),
];

#[derive(Debug, PartialEq, Default)]
struct Url {
    scheme: String,
    user: Option<String>,
    host: String,
    /// Escaped.
    path: String,
    query: String,
    fragment: Option<String>,
}

impl Opaque for Url {
    fn type_name(&self) -> &str {
        "kubernetes.URL"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if !self.host.is_empty() || self.user.is_some() {
            out.push_str("//");
            out.extend(self.user.iter().map(|user| format!("{user}@")));
            out.push_str(&self.host);
        }
        out.push_str(&self.path);
        if !self.query.is_empty() {
            out.push('?');
            out.push_str(&self.query);
        }
        out.extend(self.fragment.iter().map(|fragment| format!("#{fragment}")));
        out
    }
}

impl Url {
    /// The host without its port and brackets, and the port.
    fn hostname(&self) -> (String, String) {
        let (name, port) = match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port),
            _ => (&*self.host, ""),
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        (name.to_owned(), port.to_owned())
    }
}

fn part<'a>(args: &[Value<'a>], of: impl Fn(&Url) -> String) -> Answer<'a> {
    args.first().and_then(Value::downcast).map_or_else(refuse, |url| Ok(Value::text(of(url))))
}

fn url<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(text) = args[0].as_str() else { return refuse() };
    // A request has no fragment, a URL may have one.
    let parsed = parse(text, true).and_then(|_| {
        let (before, fragment) =
            text.split_once('#').map_or((text, None), |(before, after)| (before, Some(after)));
        let mut url = parse(before, false)?;
        url.fragment = fragment.map(str::to_owned);
        Ok(url)
    });
    match parsed {
        Ok(url) => Ok(Value::opaque(url)),
        Err(error) => {
            fail(format!("URL parse error during conversion from string: parse {}: {error}", quoted(text)))
        }
    }
}

fn is_url<'a>(args: &[Value<'a>]) -> Answer<'a> {
    args[0].as_str().map_or_else(refuse, |text| Ok(Value::Bool(parse(text, true).is_ok())))
}

/// What is wrong with a text as the URI of a request, if anything.
pub(super) fn request_error(text: &str) -> Option<String> {
    parse(text, true).err().map(|error| format!("parse {}: {error}", quoted(text)))
}

fn query<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let Some(url) = args.first().and_then(Value::downcast::<Url>) else { return refuse() };
    let mut found: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| unescape(&text.replace('+', " "), Part::Query).ok();
        if let (Some(key), Some(value)) = (plain(key), plain(value)) {
            found.entry(key).or_default().push(Value::text(value));
        }
    }
    Ok(Value::map(
        found.into_iter().map(|(key, values)| (Key::Text(Text::Shared(key.into())), Value::list(values))),
    ))
}

/// Which part of a URL; what may be in it differs.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Path,
    Host,
    User,
    Query,
}

fn parse(text: &str, request: bool) -> Result<Url, String> {
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && request {
        return Err("empty url".to_owned());
    }
    let mut url = Url::default();
    if text == "*" {
        url.path = "*".to_owned();
        return Ok(url);
    }
    let (scheme, rest) = scheme(text)?;
    url.scheme = scheme.to_lowercase();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    url.query = query.to_owned();
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            return Ok(url);
        }
        if request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let mut path = rest;
    if (!url.scheme.is_empty() || !request && !rest.starts_with("///")) && rest.starts_with("//") {
        let after = &rest[2..];
        let (authority, rest) = after.split_at(after.find('/').unwrap_or(after.len()));
        path = rest;
        parse_authority(authority, &mut url)?;
    }
    let plain = unescape(path, Part::Path)?;
    url.path = if is_escaped(path) { path.to_owned() } else { escape(&plain) };
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&text[..i], &text[i + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn parse_authority(authority: &str, url: &mut Url) -> Result<(), String> {
    let (user, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    url.host = parse_host(host)?;
    if let Some(user) = user {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
        if !user.bytes().all(known) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        unescape(user, Part::User)?;
        url.user = Some(user.to_owned());
    }
    Ok(())
}

fn parse_host(host: &str) -> Result<String, String> {
    let port = if host.starts_with('[') {
        let Some(close) = host.rfind(']') else { return Err("missing ']' in host".to_owned()) };
        &host[close + 1..]
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    let valid = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if !valid {
        return Err(format!("invalid port {} after host", quoted(port)));
    }
    unescape(host, Part::Host)
}

/// A text without its `%20`s.
fn unescape(text: &str, part: Part) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let b = bytes[i];
        if b == b'%' {
            let digits = bytes.get(i + 1..i + 3).and_then(|d| std::str::from_utf8(d).ok());
            let value = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            let Some(value) = value.and_then(|d| u8::from_str_radix(d, 16).ok()) else {
                let shown: String = text[i..].chars().take(3).collect();
                return Err(format!("invalid URL escape {}", quoted(&shown)));
            };
            // A host may only escape what is no ASCII, and the zone of an address.
            if part == Part::Host && value < 0x80 && value != b'%' {
                return Err(format!("invalid URL escape {}", quoted(&text[i..i + 3])));
            }
            out.push(value);
            i += 3;
            continue;
        }
        let allowed = b >= 0x80 || b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&b);
        if part == Part::Host && !allowed {
            return Err(format!("invalid character {} in host name", quoted(&text[i..=i])));
        }
        out.push(b);
        i += 1;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Whether a path needs no escaping.
fn is_escaped(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]%/".contains(&b))
}

fn escape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
