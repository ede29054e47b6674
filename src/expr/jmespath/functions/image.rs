//! Names of images and addresses.

use super::{Call, Val};
use crate::expr::jmespath::EvalError;

/// Registry, path, tag and digest written out; `latest` only where neither tag nor digest is.
pub(super) fn normalize<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let image =
        crate::expr::image::Image::parse(call.text(0)?, &call.interpreter.environment.default_registry)
            .ok_or_else(|| call.error(format!("bad image: {}", call.text(0).unwrap_or_default())))?;
    Ok(Val::text(image.to_string()))
}

/// Whether the host of a URL is an address outside loopback, private and link-local networks. A name is resolved
/// by nobody here: only `localhost` is known to be inside.
pub(super) fn is_external_url<'a>(call: Call<'a, '_>) -> Result<Val<'a>, EvalError> {
    let text = call.text(0)?;
    let rest = text.split_once("://").map(|(_, rest)| rest).ok_or_else(|| call.error("not a URL"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return Err(call.error("the URL has no host"));
    }
    let external = match host.parse::<core::net::IpAddr>() {
        Ok(core::net::IpAddr::V4(ip)) => {
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified())
        }
        Ok(core::net::IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
        Err(_) => host != "localhost",
    };
    Ok(Val::bool(external))
}
