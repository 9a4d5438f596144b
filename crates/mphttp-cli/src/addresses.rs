//! Under which URLs a listener can be reached: what `serve` prints, and the names its own certificate carries.

use std::net::{IpAddr, SocketAddr};

/// An address of this host, with the name of its interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    pub ip: IpAddr,
    pub interface: String,
}

/// The addresses under which other hosts may reach this one: no loopback, and no IPv6 link-local ones, which no
/// browser takes.
pub fn of_host() -> Vec<HostAddress> {
    let mut found = imp::all();
    found.retain(|address| !address.ip.is_loopback() && !is_link_local(address.ip));
    // IPv4 first: shorter to type on a phone.
    found.sort_by_key(|address| address.ip.is_ipv6());
    found.dedup();
    found
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// The URLs of a listener, each with a remark or none.
pub fn urls(scheme: &str, local: SocketAddr, host: &[HostAddress]) -> Vec<(String, Option<String>)> {
    let port = local.port();
    let url = |ip: IpAddr| format!("{scheme}://{}/", SocketAddr::new(ip, port));
    if !local.ip().is_unspecified() {
        return vec![(url(local.ip()), None)];
    }
    let mut urls = vec![(format!("{scheme}://localhost:{port}/"), None)];
    let reachable = host.iter().filter(|address| local.is_ipv6() || address.ip.is_ipv4());
    urls.extend(reachable.map(|address| (url(address.ip), Some(address.interface.clone()))));
    urls
}

/// The names for a certificate of this listener's own.
pub fn names(local: SocketAddr, host: &[HostAddress]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(imp::host_name().filter(|name| is_dns_name(name)));
    if local.ip().is_unspecified() {
        names.extend(host.iter().map(|address| address.ip.to_string()));
    } else {
        names.push(local.ip().to_string());
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// What a certificate can carry: some hosts are called things that DNS does not know.
fn is_dns_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

#[cfg(unix)]
mod imp {
    use super::HostAddress;
    use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, unistd::gethostname};
    use std::net::IpAddr;

    pub(super) fn all() -> Vec<HostAddress> {
        // Without the list, the server runs all the same: only fewer URLs are printed.
        let Ok(list) = getifaddrs() else { return Vec::new() };
        list.filter(|entry| entry.flags.contains(InterfaceFlags::IFF_UP))
            .filter_map(|entry| {
                let address = entry.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
                let ip = v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))?;
                Some(HostAddress { ip, interface: entry.interface_name })
            })
            .collect()
    }

    pub(super) fn host_name() -> Option<String> {
        gethostname().ok()?.into_string().ok()
    }
}

#[cfg(not(unix))]
mod imp {
    use super::HostAddress;

    pub(super) fn all() -> Vec<HostAddress> {
        Vec::new()
    }

    pub(super) fn host_name() -> Option<String> {
        std::env::var("COMPUTERNAME").ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<HostAddress> {
        let address = |ip: &str, interface: &str| HostAddress {
            ip: ip.parse().unwrap(),
            interface: interface.to_owned(),
        };
        vec![address("192.0.2.7", "eth0"), address("2001:db8::7", "wwan0")]
    }

    fn printed(local: &str) -> Vec<String> {
        urls("http", local.parse().unwrap(), &host()).into_iter().map(|(url, _)| url).collect()
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_under_each() {
        assert_eq!(
            printed("[::]:8000"),
            ["http://localhost:8000/", "http://192.0.2.7:8000/", "http://[2001:db8::7]:8000/"]
        );
        assert_eq!(printed("0.0.0.0:80"), ["http://localhost:80/", "http://192.0.2.7:80/"]);
    }

    #[test]
    fn a_listener_on_one_address_is_reached_there() {
        assert_eq!(printed("127.0.0.1:8000"), ["http://127.0.0.1:8000/"]);
        assert_eq!(printed("[::1]:8000"), ["http://[::1]:8000/"]);
    }

    #[test]
    fn a_certificate_carries_each_name_once() {
        let names = names("127.0.0.1:1".parse().unwrap(), &host());
        assert_eq!(names.iter().filter(|name| *name == "127.0.0.1").count(), 1);
        assert!(!names.contains(&"192.0.2.7".to_owned()), "not listening there");
        assert!(is_dns_name("host-1.example") && !is_dns_name("my_host") && !is_dns_name("a..b"));
    }
}
