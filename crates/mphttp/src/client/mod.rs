//! The HTTP client: small, shaped like reqwest's, and each response can say what its connection speaks.
//!
//! ```no_run
//! # async fn run() -> Result<(), mphttp::Error> {
//! let client = mphttp::Client::new()?;
//! let response = client.get("https://example.com/file").send().await?.error_for_status()?;
//! let watch = response.watch();
//! let body = response.bytes().await?;
//! println!("{} bytes over {}", body.len(), watch.transport());
//! # Ok(())
//! # }
//! ```

mod builder;
pub(crate) mod classify;
mod coding;
pub(crate) mod dial;
#[cfg(any(test, feature = "_fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod proxy;
pub(crate) mod receive;
mod redirect;
mod request;
mod response;
mod retry_after;
mod upload;
mod variants;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{
    HeaderMap, Method, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, PROXY_AUTHORIZATION, RANGE,
        UPGRADE,
    },
};
use http_body::Body as _;
use hyper_util::{
    client::legacy::{
        self,
        connect::{CaptureConnection, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use mptcp_socket::Protocol;
use tokio::time::Instant;
use tracing::Instrument;
use url::Url;

pub use builder::ClientBuilder;
pub(crate) use request::Request;
pub use request::RequestBuilder;
pub use response::Response;
pub(crate) use retry_after::retry_after;
pub use upload::{Upload, Uploaded, upload_url};

use crate::{Body, ConnectionInfo, Connector, Download, Error, Phase, report::without_credentials, trace};
use dial::{Dialer, LazyTls};
use proxy::Proxies;
use receive::{Limits, Received};

/// What requests call themselves.
const USER_AGENT_DEFAULT: &str = concat!("mphttp/", env!("CARGO_PKG_VERSION"));

/// Windows of HTTP/2 (RFC 9113 section 6.9): room for 100 ms at 600 Mbit/s on one stream.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// What one read may take: a system call for every 8 KiB would be felt at a gigabit a second.
const READ_BUFFER: usize = 256 << 10;

/// How often one request may meet a connection that was closed while it was kept.
const STALE: u32 = 3;

type Pool = legacy::Client<Dialer, Body>;

/// An HTTP client. Cheap to clone; clones share connections.
///
/// Connections are kept and used again, but never for another [`Protocol`] than the one they were made for.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    protocol: Protocol,
    connector: Connector,
    tls: Arc<LazyTls>,
    proxies: Arc<Proxies>,
    settings: Settings,
    /// One for each protocol, in the order of [`Protocol::ALL`], made when first needed.
    pools: [OnceLock<Pool>; 3],
}

#[derive(Clone, Debug)]
struct Settings {
    versions: Versions,
    read_timeout: Option<Duration>,
    timeout: Option<Duration>,
    redirect_limit: usize,
    allow_downgrade: bool,
    decompress: bool,
    headers: HeaderMap,
    max_header_bytes: usize,
    pool_idle_timeout: Duration,
    pool_max_idle: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            versions: Versions::Both,
            read_timeout: None,
            timeout: None,
            redirect_limit: 10,
            allow_downgrade: false,
            decompress: true,
            headers: HeaderMap::from_iter([(ACCEPT, http::HeaderValue::from_static("*/*"))]),
            max_header_bytes: 256 << 10,
            pool_idle_timeout: Duration::from_secs(90),
            pool_max_idle: usize::MAX,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    Both,
    Http1,
    Http2,
}

impl Versions {
    const fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Both => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        }
    }
}

impl Client {
    /// A client as [`ClientBuilder`]'s defaults make it.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Builds a client of other habits.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url.as_ref())
    }

    /// A GET request.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A POST request.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// Downloads a body: over every link, and through the loss of any. See [`Download`].
    pub fn download(&self, url: impl AsRef<str>) -> Download {
        self.get(url).download()
    }

    /// An upload of a file, which goes on where it was when the connection breaks if the server speaks tus.
    pub fn upload(&self, url: impl AsRef<str>) -> Upload {
        Upload::of(self.put(url))
    }

    /// The protocol of requests that don't choose one.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    fn pool(&self, protocol: Protocol) -> &Pool {
        let [tcp, mptcp, mptcp_only] = &self.0.pools;
        let slot = match protocol {
            Protocol::Tcp => tcp,
            Protocol::Mptcp => mptcp,
            Protocol::MptcpOnly => mptcp_only,
        };
        slot.get_or_init(|| {
            let inner = &self.0;
            let settings = &inner.settings;
            let connector = inner.connector.clone().with_protocol(protocol);
            let dialer = Dialer {
                connector,
                proxies: Arc::clone(&inner.proxies),
                tls: Arc::clone(&inner.tls),
                silence: settings.read_timeout,
            };
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(settings.pool_idle_timeout)
                .pool_max_idle_per_host(settings.pool_max_idle)
                // The library stops no sooner than a buffer is full; the limit itself is kept in `exchange`.
                .http1_max_buf_size(settings.max_header_bytes.max(READ_BUFFER))
                .http2_max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
                .http2_initial_stream_window_size(STREAM_WINDOW)
                .http2_initial_connection_window_size(CONNECTION_WINDOW)
                .http2_only(settings.versions == Versions::Http2)
                .build(dialer)
        })
    }

    pub(crate) async fn execute(&self, request: Request) -> Result<Response, Error> {
        let settings = &self.0.settings;
        let total = request
            .timeout
            .or(settings.timeout)
            .filter(|_| !request.for_download)
            .and_then(|limit| Some((limit, Instant::now().checked_add(limit)?)));
        let limits = Limits { read: settings.read_timeout, total };
        match total {
            None => self.follow(request, limits).await,
            Some((after, end)) => tokio::time::timeout_at(end, self.follow(request, limits))
                .await
                .map_err(|_| Error::Timeout { phase: Phase::Total, after })?,
        }
    }

    /// Sends the request, and those that redirects lead to.
    async fn follow(&self, request: Request, limits: Limits) -> Result<Response, Error> {
        let settings = &self.0.settings;
        let Request { mut method, mut url, mut headers, mut body, protocol, for_download, .. } = request;
        let protocol = protocol.unwrap_or(self.0.protocol);
        for (name, value) in &settings.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        let (mut redirects, mut stale) = (0, 0);
        loop {
            let kept = body.try_clone();
            let mut request = http::Request::new(body);
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri(&url)?;
            *request.headers_mut() = headers.clone();
            let mut response = match self.once(request, &url, protocol, limits).await {
                Ok(response) => response,
                // RFC 9112 section 9.3.1: a kept connection may be closed just as it is used again.
                Err(Failed { stale: true, .. })
                    if method.is_idempotent() && kept.is_some() && stale < STALE =>
                {
                    stale += 1;
                    tracing::debug!("a kept connection was closed as it was used again: trying anew");
                    body = kept.unwrap_or_default();
                    continue;
                }
                Err(failed) => return Err(failed.error),
            };
            if for_download {
                response.sent.clone_from(&headers);
            }
            if settings.redirect_limit == 0 {
                return Ok(response);
            }
            let (status, answer) = (response.status(), response.headers());
            let Some(mut next) = redirect::next(status, answer, &method, &url, settings.allow_downgrade)?
            else {
                return Ok(response);
            };
            body = match (next.keeps_body, kept) {
                (false, _) => Body::empty(),
                (true, Some(body)) => body,
                // A stream can't be sent again: the redirect is the caller's to follow.
                (true, None) => return Ok(response),
            };
            (redirects, stale) = (redirects + 1, 0);
            if redirects > settings.redirect_limit {
                return Err(Error::TooManyRedirects { limit: settings.redirect_limit, url: next.url.into() });
            }
            tracing::debug!(%status, to = without_credentials(&next.url), "redirected");
            redirect::strip(&mut headers, &url, &next);
            if let Some(credentials) = request::take_credentials(&mut next.url) {
                headers.insert(AUTHORIZATION, credentials);
            }
            (url, method) = (next.url, next.method);
        }
    }

    /// One request and its response, decompressed; in a span of its own.
    async fn once(
        &self,
        mut request: http::Request<Body>,
        url: &Url,
        protocol: Protocol,
        limits: Limits,
    ) -> Result<Response, Failed> {
        let span = trace::of_client(request.method(), url);
        trace::pass_on(&span, request.headers_mut());
        let result = self.ask(request, url, protocol, limits).instrument(span.clone()).await;
        match &result {
            Ok(response) => trace::answered(&span, response),
            Err(Failed { error, stale }) => tracing::debug!(parent: &span, %error, stale, "no answer"),
        }
        result
    }

    async fn ask(
        &self,
        mut request: http::Request<Body>,
        url: &Url,
        protocol: Protocol,
        limits: Limits,
    ) -> Result<Response, Failed> {
        if let Some(value) = self.0.proxies.authorization(request.uri()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        // Who asks for a coding wants it as it is; and a range counts bytes of what is sent.
        let headers = request.headers();
        let raw = headers.contains_key(ACCEPT_ENCODING) || headers.contains_key(RANGE);
        let undo = self.0.settings.decompress && !raw;
        if undo {
            request.headers_mut().insert(ACCEPT_ENCODING, coding::ACCEPTED);
        }
        // The head of an answer to HEAD tells of a body that does not come.
        let undo = undo && request.method() != Method::HEAD;
        let (mut head, body) = self.exchange(request, protocol, limits).await?.into_parts();
        let length = body.size_hint().exact();
        let coding = if undo { coding::known(&head.headers) } else { "" };
        let body = if coding.is_empty() {
            Body::new(body)
        } else {
            head.headers.remove(CONTENT_ENCODING);
            head.headers.remove(CONTENT_LENGTH);
            coding::undone(body, coding)
        };
        let connection: ConnectionInfo = head.extensions.remove().ok_or_else(|| Error::NoAnswer {
            host: url.authority().to_owned(),
            source: "the response came over no connection of ours".into(),
        })?;
        let requests_before = connection.count_request();
        let length = if coding.is_empty() { length } else { None };
        let sent = HeaderMap::new();
        Ok(Response { head, body, url: url.clone(), connection, requests_before, length, coding, sent })
    }

    /// One request and its response as it comes from the connection.
    async fn exchange(
        &self,
        mut request: http::Request<Body>,
        protocol: Protocol,
        limits: Limits,
    ) -> Result<http::Response<Received>, Failed> {
        let authority: Arc<str> = request.uri().authority().map_or("", |authority| authority.as_str()).into();
        let captured = capture_connection(&mut request);
        let upgrades = request.headers().contains_key(UPGRADE);
        if let Some(tell) = request.extensions_mut().remove::<upload::Tell>() {
            tell.found(captured.clone());
        }
        let responding = self.pool(protocol).request(request);
        let result = match limits.read {
            None => responding.await,
            Some(after) => tokio::select! {
                biased;
                result = responding => result,
                () = silence(captured.clone(), after) => {
                    return Err(Error::Timeout { phase: Phase::Read, after }.into());
                }
            },
        };
        let limit = self.0.settings.max_header_bytes;
        let mut response = result.map_err(|error| {
            let error = classify::of_request(error, &authority, limit);
            let closed = matches!(error, Error::NoAnswer { .. } | Error::Broken { .. });
            let reused = connection_of(&captured).is_some_and(|connection| connection.is_used());
            Failed { stale: closed && reused, error }
        })?;
        if head_bytes(response.headers()) > limit {
            return Err(Error::HeadersTooLarge { host: authority.to_string(), limit }.into());
        }
        if let Some(error) = classify::unasked(response.status(), response.headers(), upgrades, &authority) {
            return Err(error.into());
        }
        coding::name(response.headers_mut());
        Ok(response.map(|incoming| Received::new(incoming, authority, limits)))
    }
}

/// A failed exchange.
struct Failed {
    error: Error,
    /// Whether it may be for no other reason than that a kept connection was closed.
    stale: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, stale: false }
    }
}

/// The connection that was found for a request.
fn connection_of(captured: &CaptureConnection) -> Option<ConnectionInfo> {
    let mut extensions = http::Extensions::new();
    captured.connection_metadata().as_ref()?.get_extras(&mut extensions);
    extensions.remove()
}

/// The size of headers as HTTP/1.1 writes them.
fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// Ends once a connection that was found for a request has taken no bytes for so long.
async fn silence(mut captured: CaptureConnection, limit: Duration) {
    // The reference it gives must not live across the next wait.
    drop(captured.wait_for_connection_metadata().await);
    let start = std::time::Instant::now();
    let connection = connection_of(&captured);
    loop {
        let last = connection.as_ref().map_or(start, |connection| connection.last_write().max(start));
        // A limit beyond what the clock can tell is none.
        let Some(due) = last.checked_add(limit) else { return std::future::pending().await };
        if std::time::Instant::now() >= due {
            return;
        }
        tokio::time::sleep_until(due.into()).await;
    }
}

/// The URL for the HTTP library, which knows no fragments and takes no user names.
fn uri(url: &Url) -> Result<Uri, Error> {
    let text = url.as_str();
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    text.parse().map_err(|error: http::uri::InvalidUri| Error::BadUrl {
        url: url.to_string(),
        why: error.to_string(),
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.0.protocol).finish_non_exhaustive()
    }
}
