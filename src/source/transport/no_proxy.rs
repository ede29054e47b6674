//! Which hosts are reached without the proxy.

use std::net::IpAddr;

/// Whether a list as in `NO_PROXY` names a host: `*`, a domain with all below it, an address, or a network.
pub(super) fn matches(list: &str, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' '])
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            match (address, entry.split_once('/')) {
                (Some(address), Some((network, bits))) => in_network(address, network, bits),
                (Some(address), None) => entry.parse() == Ok(address),
                (None, _) => {
                    let domain = entry.trim_start_matches("*.").trim_start_matches('.');
                    let domain = domain.split(':').next().unwrap_or_default();
                    !domain.is_empty()
                        && host
                            .strip_suffix(domain)
                            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                }
            }
        })
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let (a, b, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    // A shift by the whole width is no shift: nothing is compared, and everything is in the network.
    bits <= width && (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_and_networks() {
        let list = "localhost, .svc.cluster.local,example.org,10.0.0.0/8,fd00::/8,192.0.2.1";
        for host in [
            "localhost",
            "git.svc.cluster.local",
            "Git.Example.org",
            "example.org",
            "10.1.2.3",
            "[fd00::1]",
            "192.0.2.1",
        ] {
            assert!(matches(list, host), "{host}");
        }
        for host in ["notexample.org", "11.0.0.1", "192.0.2.11", "fe80::1", "org"] {
            assert!(!matches(list, host), "{host}");
        }
        assert!(matches("*", "anything") && matches("0.0.0.0/0", "8.8.8.8") && !matches("", "a"));
    }
}
