//! Addresses that only this machine or its network reaches: no server outside may send pyoci there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};

use url::{Host, Url};

/// Whether `to`, which a server at `from` names, is an address of this machine or of its network while `from` is none.
///
/// Addresses are judged as they are written, and names of this machine; other names are not looked up, but for that of
/// `from`: a registry of the house may name its neighbours by their addresses.
pub fn leads_inside(from: &Url, to: &Url) -> bool {
    is_inside(to) && from.host() != to.host() && !is_inside(from) && !resolves_inside(from)
}

fn is_inside(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => is_inside_v4(address),
        Some(Host::Ipv6(address)) => is_inside_v6(address),
        None => false,
    }
}

fn resolves_inside(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else {
        return false;
    };
    let addresses = (name, url.port_or_known_default().unwrap_or(443)).to_socket_addrs();
    addresses.into_iter().flatten().any(|address| match address.ip() {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => is_inside_v6(address),
    })
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // > Shared Address Space: 100.64.0.0/10 (RFC 6598); some clouds have their metadata service in it.
    let is_shared = first == 100 && (64..128).contains(&second);
    first == 0
        || is_shared
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    // `::ffff:10.0.0.1`, and what NAT64 makes of it (RFC 6052).
    let segments = address.segments();
    let is_translated = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let mapped = address.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = address.octets();
        is_translated.then(|| Ipv4Addr::new(a, b, c, d))
    });
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || mapped.is_some_and(is_inside_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSIDE: [&str; 15] = [
        "127.0.0.1:5000",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "localhost",
        "a.localhost.",
        "[::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
    ];

    fn url(host: &str) -> Url {
        format!("https://{host}/x").parse().unwrap()
    }

    #[test]
    fn a_server_outside_leads_to_no_address_inside() {
        for to in INSIDE {
            assert!(leads_inside(&url("203.0.113.5"), &url(to)), "{to}");
            assert!(leads_inside(&url("[2001:db8::1]"), &url(to)), "{to}");
            assert!(!leads_inside(&url("192.168.7.7"), &url(to)), "{to}");
            assert!(!leads_inside(&url(to), &url(to)), "{to}");
        }
        for to in [
            "198.51.100.1",
            "auth.example",
            "[2001:db8::2]",
            "localhost.example",
        ] {
            assert!(!leads_inside(&url("203.0.113.5"), &url(to)), "{to}");
        }
    }
}
