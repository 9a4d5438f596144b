//! The options of `get`, in curl's names where curl has them, and what they mean together.

use std::{io::Read, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{ArgAction, Args};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use mphttp::{
    Client, Error,
    download::{Checksum, Download, Paths},
};

use crate::{cli::ProtocolArgs, error_reporting::Failure, exit::Exit};

/// What `mphttp get` takes.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// What to get; http:// is meant where no scheme is given.
    pub url: String,
    /// Write the body to this file, which appears only when it is whole; `-` is stdout, even for a terminal.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the body to a file named as the URL's last part.
    #[arg(short = 'O', long, conflicts_with = "output")]
    pub remote_name: bool,
    #[command(flatten)]
    pub protocol: ProtocolArgs,
    /// Print one JSON object about the transfer on stdout; the body is dropped unless it goes to a file.
    #[arg(long)]
    pub json: bool,
    /// A header: `Name: value`; `Name;` for an empty one.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The method [default: GET; POST with --data; HEAD with --head; PUT with --upload-file].
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// A body for the request, `@FILE` to read it from a file without its line ends, `@-` from stdin. Several are
    /// joined by `&`.
    #[arg(short, long, value_name = "DATA")]
    data: Vec<String>,
    /// As --data, but files are sent as they are.
    #[arg(long, value_name = "DATA")]
    data_binary: Vec<String>,
    /// Upload this file; `-` is stdin. Where the server speaks tus, the upload survives broken connections, and with -C a
    /// restart of this program; elsewhere it is one PUT. -X METHOD sends it in one request of that method. A URL that ends
    /// with a slash gets the file's name.
    #[arg(short = 'T', long, value_name = "FILE", conflicts_with_all = ["data", "data_binary", "head"])]
    pub upload_file: Option<PathBuf>,
    /// Upload at most so many bytes in one request, each with a checksum where the server checks it; 10M is understood.
    #[arg(long, value_name = "SIZE", requires = "upload_file", value_parser = crate::serve_uploads::size)]
    pub upload_chunk: Option<u64>,
    /// Fail on a status of 400 or above, and write no body.
    #[arg(short, long)]
    pub fail: bool,
    /// No progress, and no line about what was used.
    #[arg(short, long, visible_short_alias = 's')]
    pub quiet: bool,
    /// Write the response headers before the body.
    #[arg(short, long)]
    pub include: bool,
    /// Ask for the headers only, and write them.
    #[arg(short = 'I', long, conflicts_with_all = ["data", "data_binary"])]
    pub head: bool,
    /// Don't follow redirects.
    #[arg(long)]
    no_location: bool,
    /// Follow redirects from https to http as well.
    #[arg(long)]
    insecure_redirects: bool,
    /// How many redirects to follow.
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_redirs: usize,
    /// Ask for a compressed response, and decompress it.
    #[arg(long)]
    pub compressed: bool,
    /// Accept any certificate. Whoever is on the way can then read and change everything.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the certificates in this PEM file as well as the system's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Basic authentication.
    #[arg(short, long, value_name = "USER:PASSWORD")]
    user: Option<String>,
    /// Use these addresses for a host and port, in place of the resolver's.
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]...")]
    resolve: Vec<String>,
    /// Send through this interface, or from this local address.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Keep to the route that the system names, even if its link is dead. Without this, interfaces with a default
    /// route of their own are tried too where there is no answer.
    #[arg(long)]
    no_race: bool,
    /// The links to use: `auto` (every interface with a default route), `off` (one connection, by the routes), or interfaces
    /// by name [default: auto with --protocol mptcp, else off].
    #[arg(long, value_name = "auto|off|NAME[,NAME]...", value_parser = paths)]
    pub paths: Option<Paths>,
    /// How many connections a download may have at a time.
    #[arg(long, value_name = "N", default_value = "6", value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Go on with what an earlier transfer has left: a download to the same file, if it is still the same on the server, or an
    /// upload of the same file.
    #[arg(short = 'C', long = "continue")]
    pub resume: bool,
    /// For how long nothing may come before a transfer is given up, in seconds; 0: the first failure is final.
    #[arg(long, value_name = "SECONDS", value_parser = seconds_or_none, default_value = "120")]
    pub retry_for: Duration,
    /// The checksum that the body must have; else there is no file, and the exit code is 102.
    #[arg(long, value_name = "sha256=DIGITS")]
    pub checksum: Option<String>,
    /// The limit for connecting, TLS included, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Option<Duration>,
    /// The limit for silence, in seconds: no end of the TLS handshake yet, no response, or no more of its body.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    read_timeout: Duration,
    /// The limit for the whole transfer, in seconds.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,
    /// HTTP/1.1 only.
    #[arg(long = "http1.1")]
    http1: bool,
    /// HTTP/2 only; without negotiation where the scheme is http.
    #[arg(long, conflicts_with = "http1")]
    http2: bool,
    /// Use this proxy, whatever the environment says.
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,
    /// Use no proxy, whatever the environment says.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "proxy")]
    noproxy: bool,
}

/// Reads a time limit.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "give seconds, such as 5 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(limit) if !limit.is_zero() => Ok(limit),
        _ => Err("give more than 0 seconds".to_owned()),
    }
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    if text.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { seconds(text) }
}

fn paths(text: &str) -> Result<Paths, String> {
    text.parse().map_err(|error: Error| error.to_string())
}

fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::new(Exit::Usage, message).into()
}

impl GetArgs {
    /// The URL, with the scheme that curl would guess.
    pub fn full_url(&self) -> String {
        if self.url.contains("://") { self.url.clone() } else { format!("http://{}", self.url) }
    }

    /// The client for these options.
    pub fn client(&self) -> anyhow::Result<Client> {
        let mut builder = Client::builder()
            .protocol(self.protocol.choice()?)
            .read_timeout(self.read_timeout)
            .decompression(self.compressed)
            .redirect_limit(if self.no_location { 0 } else { self.max_redirs })
            .allow_insecure_redirects(self.insecure_redirects)
            .danger_accept_invalid_certs(self.insecure);
        if let Some(path) = &self.cacert {
            let failed = || Failure::new(Exit::CaCertificate, format!("can't use {}", path.display()));
            let pem = std::fs::read(path).with_context(failed)?;
            builder = builder.add_root_certificate_pem(pem).with_context(failed)?;
        }
        for rule in &self.resolve {
            let (host, port, addresses) = resolve_rule(rule).ok_or_else(|| {
                usage(format!("--resolve {rule:?} is not of the form HOST:PORT:ADDR[,ADDR]..."))
            })?;
            builder = builder.resolve_port(host, port, addresses.into_iter().map(|ip| (ip, port).into()));
        }
        if let Some(name) = &self.interface {
            builder = match name.parse() {
                Ok(address) => builder.local_address(address),
                Err(_) => builder.interface(name),
            };
        } else if !self.no_race {
            // A host whose routes can't be read has no others. Where there is a tunnel, what is for it alone isn't known before
            // the name is resolved.
            let host = mptcp_paths::Snapshot::read().ok().filter(|host| !host.has_tunnel());
            let ways = host.map(|host| host.ways_out()).unwrap_or_default();
            // The first is the one that the routes name anyway.
            builder = builder.race_interfaces(ways.into_iter().skip(1).map(|way| way.interface));
        }
        if let Some(limit) = self.connect_timeout {
            builder = builder.connect_timeout(limit);
        }
        if let Some(limit) = self.max_time {
            builder = builder.timeout(limit);
        }
        if self.http1 {
            builder = builder.http1_only();
        }
        if self.http2 {
            builder = builder.http2_prior_knowledge();
        }
        if let Some(url) = &self.proxy {
            builder = builder.proxy(url);
        }
        if self.noproxy {
            builder = builder.no_proxy();
        }
        Ok(builder.build()?)
    }

    /// Whether what is asked for is a body that can be fetched in parts.
    pub fn is_download(&self) -> bool {
        let get = self.method.as_ref().is_none_or(|method| method == "GET");
        let sends = !self.data.is_empty() || !self.data_binary.is_empty() || self.upload_file.is_some();
        let range = self.headers.iter().any(|line| {
            line.split([':', ';']).next().is_some_and(|name| name.trim().eq_ignore_ascii_case("range"))
        });
        get && !sends && !range && !self.head && !self.include && !self.compressed
    }

    /// What only downloads can do was asked for.
    pub fn only_download(&self) -> Option<&'static str> {
        [(self.resume && self.upload_file.is_none(), "--continue"), (self.checksum.is_some(), "--checksum")]
            .into_iter()
            .find_map(|(given, name)| given.then_some(name))
    }

    /// The download for these options.
    pub fn download(&self, client: &Client) -> anyhow::Result<Download> {
        let mut download = self
            .request(client)?
            .download()
            .connections(self.connections.into())
            .retry_for(self.retry_for)
            .resume(self.resume)
            .any_status(!self.fail);
        // Who keeps to the route wants no other link.
        let paths = self.paths.clone().or(self.no_race.then_some(Paths::Off));
        if let Some(paths) = paths {
            download = download.paths(paths);
        }
        if let Some(checksum) = &self.checksum {
            download = download.checksum(checksum.parse::<Checksum>()?);
        }
        Ok(download)
    }

    /// The request for these options.
    pub fn request(&self, client: &Client) -> anyhow::Result<mphttp::client::RequestBuilder> {
        let data = self.body()?;
        let method = match &self.method {
            Some(word) => Method::from_bytes(word.as_bytes())
                .map_err(|_| usage(format!("{word:?} is not an HTTP method")))?,
            None if self.head => Method::HEAD,
            None if data.is_some() => Method::POST,
            None if self.upload_file.is_some() => Method::PUT,
            None => Method::GET,
        };
        let mut headers = HeaderMap::new();
        for line in &self.headers {
            let (name, value) = header(line)?;
            headers.append(name, value);
        }
        let mut request = super::upload::begin(self, client, method)?;
        if let Some(data) = data {
            if !headers.contains_key(CONTENT_TYPE) {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            }
            request = request.body(data);
        }
        if let Some(user) = &self.user
            && !headers.contains_key(AUTHORIZATION)
        {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            request = request.basic_auth(user, password);
        }
        Ok(request.headers(headers))
    }

    fn body(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let texts = self.data.iter().map(|text| (text, true));
        let parts: Vec<_> = texts.chain(self.data_binary.iter().map(|text| (text, false))).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        let mut body = Vec::new();
        for (index, (text, strip)) in parts.into_iter().enumerate() {
            if index > 0 {
                body.push(b'&');
            }
            let Some(path) = text.strip_prefix('@') else {
                body.extend_from_slice(text.as_bytes());
                continue;
            };
            let failed = || Failure::new(Exit::Read, format!("can't read {path:?} for the request's body"));
            let mut content = Vec::new();
            if path == "-" {
                std::io::stdin().read_to_end(&mut content).with_context(failed)?;
            } else {
                content = std::fs::read(path).with_context(failed)?;
            }
            if strip {
                content.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
            }
            body.append(&mut content);
        }
        Ok(Some(body))
    }
}

/// `Name: value`, or `Name;` for a header without a value.
pub(crate) fn header(line: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
        (Some((name, value)), _) => (name, value.trim()),
        (None, Some(name)) => (name, ""),
        (None, None) => {
            let why = "write it like \"Name: value\"".to_owned();
            return Err(Error::Invalid { what: format!("the header {line:?}"), why });
        }
    };
    let invalid = |why: String| Error::Invalid { what: format!("the header {line:?}"), why };
    let name =
        name.trim().parse().map_err(|error: http::header::InvalidHeaderName| invalid(error.to_string()))?;
    let value = HeaderValue::from_str(value).map_err(|error| invalid(error.to_string()))?;
    Ok((name, value))
}

/// `HOST:PORT:ADDR[,ADDR]...`, IPv6 addresses with or without brackets.
pub(crate) fn resolve_rule(rule: &str) -> Option<(&str, u16, Vec<IpAddr>)> {
    let (host, rest) = match rule.strip_prefix('[') {
        Some(inner) => inner.split_once("]:")?,
        None => rule.split_once(':')?,
    };
    let (port, addresses) = rest.split_once(':')?;
    let addresses = addresses
        .split(',')
        .map(|text| text.trim_start_matches('[').trim_end_matches(']').parse().ok())
        .collect::<Option<Vec<_>>>()?;
    (!host.is_empty()).then_some((host, port.parse().ok()?, addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolve_rules_are_curls() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            resolve_rule("a.example:443:192.0.2.1,[2001:db8::1]"),
            Some(("a.example", 443, vec![ip("192.0.2.1"), ip("2001:db8::1")]))
        );
        assert_eq!(resolve_rule("[::1]:80:::2"), Some(("::1", 80, vec![ip("::2")])));
        for rule in ["", "a.example", "a.example:443", "a.example:x:192.0.2.1", ":1:192.0.2.1", "a:1:b"] {
            assert_eq!(resolve_rule(rule), None, "{rule:?}");
        }
    }

    #[test]
    fn headers_may_be_empty_but_not_shapeless() {
        assert_eq!(header("X-A:  b: c ").unwrap(), ("x-a".parse().unwrap(), "b: c".parse().unwrap()));
        assert_eq!(header("X-A;").unwrap().1, "");
        assert!(header("X-A").is_err() && header("bad name: x").is_err());
    }

    #[test]
    fn limits_are_positive() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "x", "inf", "nan"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
