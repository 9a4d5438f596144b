//! A [`Transport`] as JSON: one shape for `GET /.mphttp/check`, `mphttp get --json` and whoever else tells programs
//! what a connection speaks.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mptcp_socket::{Path, PathState, Spoken, Transport};
use serde::Serialize;
use url::Url;

/// A URL as it may be written down and shown: without user, password and fragment. What is no URL stays as it is.
#[must_use]
pub fn public_url(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| without_credentials(&url))
}

/// The same of a URL that is one.
pub(crate) fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail: only URLs without a host have no room for them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url.into()
}

/// What a connection speaks, for programs.
///
/// Made to be embedded: `#[serde(flatten)]` puts its fields among those of a larger object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TransportReport {
    /// `"mptcp"` or `"tcp"`.
    pub protocol: &'static str,
    /// A stable word for why it is TCP ([`Reason::as_str`](mptcp_socket::Reason::as_str)); null for MPTCP.
    pub why_tcp: Option<&'static str>,
    /// The same as a clause for people; null for MPTCP.
    pub why_tcp_text: Option<&'static str>,
    /// The paths that exist now, then those that were seen and have gone (state `closed`).
    pub paths: Vec<PathReport>,
    /// How many paths the connection has had in its life; the list leaves out the oldest of very many.
    pub paths_total: u32,
}

/// One path, for programs. What the kernel doesn't tell is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PathReport {
    /// Local address and port.
    pub local: Option<SocketAddr>,
    /// Remote address and port.
    pub remote: Option<SocketAddr>,
    /// Name of the interface that holds the local address.
    pub interface: Option<String>,
    /// Smoothed round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Payload bytes received.
    pub bytes_received: Option<u64>,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: Option<u64>,
    /// Segments retransmitted.
    pub retransmits: Option<u32>,
    /// The state of the path's TCP connection: `established`, `closed` …
    pub state: &'static str,
}

impl From<&Transport> for TransportReport {
    fn from(transport: &Transport) -> Self {
        let reason = transport.spoken.reason();
        Self {
            protocol: transport.spoken.as_str(),
            why_tcp: reason.map(|reason| reason.as_str()),
            why_tcp_text: reason.map(|reason| reason.explain()),
            paths: transport.paths.iter().chain(&transport.gone).map(PathReport::from).collect(),
            paths_total: transport.paths_total,
        }
    }
}

impl From<&Path> for PathReport {
    fn from(path: &Path) -> Self {
        Self {
            local: path.local.map(plain),
            remote: path.remote.map(plain),
            interface: path.interface.clone(),
            rtt_ms: path.rtt.map(milliseconds),
            bytes_received: path.bytes_received,
            bytes_sent: path.bytes_sent,
            retransmits: path.retransmits,
            state: path.state.as_str(),
        }
    }
}

/// The sentence for people who ask how their own connection to a server is made.
///
/// `transport` is the server's view. Reasons that lie with the server say so: the reader is at the other end.
#[must_use]
pub fn sentence_for_client(transport: &Transport) -> String {
    use mptcp_socket::Reason;
    let living = transport.paths.iter().filter(|path| path.state != PathState::Closed).count();
    match transport.spoken {
        Spoken::Mptcp => {
            format!("You are using MPTCP over {living} {}.", if living == 1 { "path" } else { "paths" })
        }
        Spoken::Tcp(reason) => {
            let server = matches!(
                reason,
                Reason::NotRequested
                    | Reason::Platform
                    | Reason::KernelTooOld
                    | Reason::NotBuilt
                    | Reason::Disabled
                    | Reason::Denied
                    | Reason::Unknown
            );
            let place = if server { "on the server, " } else { "" };
            let mut text = format!("You are using TCP: {place}{}.", reason.explain());
            if let Some(remedy) = reason.remedy() {
                let whom = if server { "Whoever runs it can fix that: " } else { "What helps: " };
                text.push(' ');
                text.push_str(whom);
                text.push_str(remedy);
                text.push('.');
            }
            text
        }
    }
}

/// An IPv4 client of a dual-stack listener under its IPv4 address (RFC 4291 section 2.5.5.2).
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are what the kernel measures: more digits would only be noise of the conversion.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use mptcp_socket::Watched;
    use std::net::{TcpListener, TcpStream};

    fn tcp() -> Transport {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Watched::new(stream, mptcp_socket::Origin::unknown()).watch().transport()
    }

    #[test]
    fn the_json_has_the_documented_fields_and_no_others() {
        let json = serde_json::to_value(TransportReport::from(&tcp())).unwrap();
        let mut fields: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        assert_eq!(fields, ["paths", "paths_total", "protocol", "why_tcp", "why_tcp_text"]);
        assert_eq!((&json["protocol"], &json["why_tcp"]), (&"tcp".into(), &"tcp-socket".into()));
        let mut fields: Vec<_> = json["paths"][0].as_object().unwrap().keys().cloned().collect();
        fields.sort();
        let documented = [
            "bytes_received",
            "bytes_sent",
            "interface",
            "local",
            "remote",
            "retransmits",
            "rtt_ms",
            "state",
        ];
        assert_eq!(fields, documented);
        assert!(json["paths"][0]["local"].as_str().unwrap().starts_with("127.0.0.1:"));
    }

    #[test]
    fn one_path_is_singular() {
        let mut transport = tcp();
        transport.spoken = Spoken::Mptcp;
        assert_eq!(sentence_for_client(&transport), "You are using MPTCP over 1 path.");
        transport.paths.push(transport.paths[0].clone());
        assert_eq!(sentence_for_client(&transport), "You are using MPTCP over 2 paths.");
    }

    #[test]
    fn the_sentence_says_where_the_reason_lies() {
        let mut transport = tcp();
        transport.spoken = Spoken::Tcp(mptcp_socket::Reason::Client);
        assert_eq!(sentence_for_client(&transport), "You are using TCP: the client asked for plain TCP.");
        transport.spoken = Spoken::Tcp(mptcp_socket::Reason::Disabled);
        let text = sentence_for_client(&transport);
        assert!(text.contains("on the server") && text.contains("net.mptcp.enabled"), "{text}");
    }

    #[test]
    fn ipv4_clients_of_a_dual_stack_listener_have_ipv4_addresses() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
        assert_eq!(plain(mapped).to_string(), "192.0.2.1:80");
        let own: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!(plain(own), own);
    }
    #[test]
    fn urls_are_shown_without_users_and_passwords() {
        for (url, shown) in [
            ("http://me:secret@host:8000/a?b=c#d", "http://host:8000/a?b=c"),
            ("https://me@[::1]/", "https://[::1]/"),
            ("http://host/a%20b", "http://host/a%20b"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(public_url(url), shown);
        }
    }
}
