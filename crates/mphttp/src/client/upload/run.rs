//! One upload, from the question whether the server speaks tus to its last byte, with all that can happen in between.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION},
};
use mptcp_socket::Protocol;
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use url::Url;

use super::{
    Options, Tell, Uploaded,
    answers::{Trouble, accepted, existing, number, refusal, refused},
    patience::Patience,
    source::{Hook, Sent, Source},
    state, with_name,
};
use crate::{
    Body, ConnectionInfo, Error, Phase, Response,
    client::{Client, Inner, connection_of, receive::Limits, request::Request, uri},
    uploads::tus,
};

/// The limit for silence where the client has none: a dead connection must be noticed.
const SILENCE: Duration = Duration::from_secs(60);
/// How often an upload that has vanished is begun anew without getting further.
const ANEW: u32 = 3;

/// The upload.
pub(super) struct Run {
    client: Client,
    protocol: Protocol,
    headers: HeaderMap,
    target: Url,
    options: Options,
    source: Source,
    sent: Sent,
    patience: Patience,
    /// How far the server has ever been.
    best: u64,
    /// The server checks SHA-256.
    digests: bool,
    /// The server is known to be there.
    answered: bool,
    /// The next chunk follows a break.
    resuming: bool,
    /// The one that was told of.
    connection: Option<ConnectionInfo>,
}

/// Where it stands.
enum At {
    /// Nothing is known of the server.
    Discover,
    Create,
    /// An upload, of which only the server knows how far it is.
    Ask(Url),
    Send(Url, u64),
}

impl Run {
    pub(super) async fn start(
        client: Client,
        request: Request,
        options: Options,
        progress: Option<Hook>,
    ) -> Result<Uploaded, Error> {
        let path = options.file.clone();
        let source = blocking(move || Source::look(&path)).await?;
        let Request { url: target, mut headers, protocol, .. } = request;
        for (name, value) in &client.0.settings.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        let run = Self {
            protocol: protocol.unwrap_or(client.0.protocol),
            client,
            headers,
            target,
            patience: Patience::new(options.retry_for),
            options,
            source,
            sent: Sent::new(progress),
            best: 0,
            digests: false,
            answered: false,
            resuming: false,
            connection: None,
        };
        run.go().await
    }

    async fn go(mut self) -> Result<Uploaded, Error> {
        let at = match &self.options.state {
            Some(path) if self.options.resume => {
                let (path, target, source) = (path.clone(), self.target.clone(), self.source.clone());
                let earlier = blocking(move || Ok(state::load(&path, &target, &source))).await?;
                earlier.map_or(At::Discover, |(upload, digests)| {
                    self.digests = digests;
                    At::Ask(upload)
                })
            }
            _ => At::Discover,
        };
        // Who goes on knows that the server was there once.
        self.answered = matches!(at, At::Ask(_));
        self.resuming = self.answered;
        self.tus(at).await
    }

    /// The loop of tus.
    async fn tus(mut self, mut at: At) -> Result<Uploaded, Error> {
        let (mut anew, mut interruptions, mut started_at) = (0, 0, None);
        let mut last = None;
        loop {
            let step = match &at {
                At::Discover => self.discover().await.map(|response| (At::Create, response)),
                At::Create => self.create().await.map(|(url, response)| (At::Send(url, 0), response)),
                At::Ask(url) => self.ask(url).await.map(|(n, response)| (At::Send(url.clone(), n), response)),
                At::Send(url, n) => {
                    self.append(url, *n).await.map(|(n, response)| (At::Send(url.clone(), n), response))
                }
            };
            match step {
                Ok((next, response)) => {
                    if let At::Send(_, offset) = &next {
                        started_at.get_or_insert(*offset);
                        if *offset > self.best {
                            (self.best, anew) = (*offset, 0);
                            self.patience.progress();
                        }
                    }
                    last = Some(response);
                    at = next;
                }
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::NotTus) => return self.put().await,
                Err(Trouble::Gone(error)) => {
                    anew += 1;
                    if anew > ANEW {
                        return Err(error);
                    }
                    // What an earlier process, or the server, has forgotten is no progress to be measured by.
                    (self.best, started_at, self.resuming) = (0, Some(0), false);
                    at = At::Create;
                }
                // A first connection that fails is more likely a wrong URL than a bad moment.
                Err(Trouble::Passing(error, _)) if !self.answered => return Err(error),
                Err(Trouble::Passing(error, asked)) => {
                    let Some(wait) = self.patience.next(asked) else {
                        return Err(Error::UploadStuck {
                            got: self.best,
                            size: self.source.size,
                            after: self.patience.limit,
                            source: Box::new(error),
                        });
                    };
                    tracing::info!(%error, ?wait, "the upload was interrupted");
                    sleep(wait).await;
                    interruptions += 1;
                    self.resuming = !matches!(at, At::Discover | At::Create);
                    // Kept connections may be as dead as the one that broke.
                    self.client = fresh(&self.client);
                    at = match at {
                        At::Discover | At::Create => at,
                        At::Ask(url) | At::Send(url, _) => At::Ask(url),
                    };
                }
            }
            if let (At::Send(url, offset), Some(_)) = (&at, &last)
                && *offset >= self.source.size
                && let Some(response) = last.take()
            {
                if let Some(path) = self.options.state.clone() {
                    // It may never have been written.
                    let _ = spawn_blocking(move || std::fs::remove_file(path)).await;
                }
                return Ok(Uploaded {
                    size: self.source.size,
                    started_at: started_at.unwrap_or(0),
                    sent: self.sent.bytes(),
                    interruptions,
                    resumable: true,
                    url: url.clone(),
                    response,
                });
            }
        }
    }

    /// OPTIONS: whether the server speaks tus here, and what of it.
    async fn discover(&mut self) -> Result<Response, Trouble> {
        let response = self.ask_for(Method::OPTIONS, &self.target.clone(), HeaderMap::new()).await?;
        if matches!(response.status().as_u16(), 429 | 503) {
            accepted(response).await?;
            return Err(Trouble::NotTus);
        }
        let headers = response.headers();
        let lists = |name: &HeaderName, word: &str| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|item| item.trim() == word)
        };
        let speaks = response.status().is_success()
            && (lists(&tus::VERSIONS, tus::VERSION) || lists(&tus::RESUMABLE, tus::VERSION))
            && lists(&tus::EXTENSION, "creation");
        self.digests = lists(&tus::EXTENSION, "checksum") && lists(&tus::ALGORITHMS, "sha256");
        if !speaks {
            return Err(Trouble::NotTus);
        }
        let limit = number(headers, &tus::MAX_SIZE);
        if let Some(limit) = limit.filter(|&limit| self.source.size > limit) {
            return Err(Trouble::Fatal(Error::UploadRefused {
                url: self.target.to_string(),
                status: StatusCode::PAYLOAD_TOO_LARGE,
                text: format!("it takes {limit} bytes at most, and the file has {}", self.source.size),
            }));
        }
        Ok(response)
    }

    /// POST: a new upload.
    async fn create(&mut self) -> Result<(Url, Response), Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(tus::LENGTH, self.source.size.into());
        if let Some(name) = self.options.file.file_name() {
            let name = STANDARD.encode(name.to_string_lossy().as_bytes());
            let value = HeaderValue::try_from(format!("filename {name}")).ok();
            headers.extend(value.map(|value| (tus::METADATA, value)));
        }
        let response = self.ask_for(Method::POST, &self.target.clone(), headers).await?;
        if matches!(response.status().as_u16(), 404 | 405 | 501) {
            return Err(Trouble::NotTus);
        }
        let response = accepted(response).await?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let refuse = |why| {
            let location = location.unwrap_or_default().to_owned();
            Trouble::Fatal(Error::Redirect { location, why })
        };
        let upload = location.and_then(|text| response.url().join(text).ok());
        let upload = upload.filter(|url| matches!(url.scheme(), "http" | "https"));
        let upload =
            upload.ok_or_else(|| refuse("it should be the upload's URL; tell whoever runs the server"))?;
        if self.target.scheme() == "https"
            && upload.scheme() == "http"
            && !self.client.0.settings.allow_downgrade
        {
            return Err(refuse("it gives up TLS; tell whoever runs the server, or allow it"));
        }
        if let Some(path) = self.options.state.clone() {
            let (target, url, source) = (self.target.clone(), upload.clone(), self.source.clone());
            let digests = self.digests;
            let saved = blocking(move || {
                if let Err(error) = state::save(&path, &target, &url, &source, digests) {
                    tracing::warn!(path = %path.display(), %error, "another process could not go on with this upload");
                }
                Ok(())
            });
            saved.await?;
        }
        Ok((upload, response))
    }

    /// HEAD: how far the upload is.
    async fn ask(&mut self, upload: &Url) -> Result<(u64, Response), Trouble> {
        let response = self.ask_for(Method::HEAD, upload, HeaderMap::new()).await?;
        let response = existing(response, &[]).await?;
        match (number(response.headers(), &tus::OFFSET), number(response.headers(), &tus::LENGTH)) {
            (Some(offset), None) if offset <= self.source.size => Ok((offset, response)),
            (Some(offset), Some(length)) if offset <= length && length == self.source.size => {
                Ok((offset, response))
            }
            // Somebody else's.
            (Some(_), _) => Err(Trouble::Gone(refused(&response, "it is an upload of another file"))),
            (None, _) => Err(Trouble::Fatal(refused(&response, "it does not say how far the upload is"))),
        }
    }

    /// PATCH: what comes next, up to the end or a chunk's.
    async fn append(&mut self, upload: &Url, offset: u64) -> Result<(u64, Response), Trouble> {
        let size = self.source.size;
        let end = self.options.chunk.map_or(size, |chunk| size.min(offset.saturating_add(chunk)));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, tus::CHUNK_TYPE);
        headers.insert(tus::OFFSET, offset.into());
        if self.options.chunk.is_some() && self.digests {
            let source = self.source.clone();
            let digest = blocking(move || source.digest(&(offset..end))).await?;
            let value = HeaderValue::try_from(format!("sha256 {}", STANDARD.encode(digest)));
            headers.extend(value.ok().map(|value| (tus::CHECKSUM, value)));
        }
        if self.resuming {
            // The server may not have noticed that the last connection is dead. A chunk of nothing finds that out for a
            // round trip, while one of many bytes would be sent, in good part, to be dropped.
            let mut headers = headers.clone();
            headers.remove(tus::CHECKSUM);
            let response = self.ask_for(Method::PATCH, upload, headers).await?;
            // What else a server may have against it is its own affair.
            if matches!(response.status().as_u16(), 409 | 423 | 429 | 503) {
                existing(response, &[409, 423]).await?;
            }
            self.resuming = false;
        }
        let response = match self.send(Method::PATCH, upload, headers, offset..end).await {
            Ok(response) => response,
            Err(error) => {
                self.patience.cut_off(self.sent.latest());
                return Err(error.into());
            }
        };
        // The offset was not the server's; another request, ours on a dead connection perhaps, is busy; what came was
        // spoilt: HEAD tells how to go on.
        let response = existing(response, &[409, 423, 460]).await?;
        match number(response.headers(), &tus::OFFSET) {
            Some(now) if now > offset && now <= size => Ok((now, response)),
            _ => Err(Trouble::Passing(refused(&response, "it does not say how far the upload is"), None)),
        }
    }

    /// Without tus: all at once.
    async fn put(mut self) -> Result<Uploaded, Error> {
        let url = with_name(self.target.clone(), &self.source.path);
        let size = self.source.size;
        let response = self.send(Method::PUT, &url, HeaderMap::new(), 0..size).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let sent = self.sent.bytes();
        Ok(Uploaded { size, started_at: 0, sent, interruptions: 0, resumable: false, url, response })
    }

    /// How long a connection may be silent.
    fn silence(&self) -> Duration {
        let limit = self.client.0.settings.read_timeout.unwrap_or(SILENCE);
        limit.min(self.patience.limit).max(Duration::from_secs(1))
    }

    /// The headers for a URL: what was meant for the target goes to no other host.
    fn headers_for(&self, url: &Url, more: HeaderMap, tus: bool) -> HeaderMap {
        let mut headers = self.headers.clone();
        if url.origin() != self.target.origin() {
            for name in [AUTHORIZATION, COOKIE] {
                headers.remove(name);
            }
        }
        if tus {
            headers.insert(tus::RESUMABLE, HeaderValue::from_static(tus::VERSION));
        }
        for (name, value) in more {
            headers.extend(name.map(|name| (name, value)));
        }
        headers
    }

    /// A request without a body.
    async fn ask_for(&mut self, method: Method, url: &Url, more: HeaderMap) -> Result<Response, Error> {
        let headers = self.headers_for(url, more, method != Method::OPTIONS);
        let protocol = Some(self.protocol);
        let request = Request {
            method,
            url: url.clone(),
            headers,
            body: Body::empty(),
            timeout: None,
            protocol,
            for_download: false,
        };
        let after = self.silence();
        let response = timeout(after, self.client.execute(request))
            .await
            .map_err(|_| Error::Timeout { phase: Phase::Read, after })??;
        self.answered = true;
        Ok(response)
    }

    /// A request with a part of the file.
    async fn send(
        &mut self,
        method: Method,
        url: &Url,
        more: HeaderMap,
        range: Range<u64>,
    ) -> Result<Response, Error> {
        let (source, sent) = (self.source.clone(), self.sent.clone());
        sent.at(range.start, source.size);
        let body = blocking(move || source.body(range, sent)).await?;
        let (tell, found) = Tell::new();
        let mut request = http::Request::new(body);
        *request.uri_mut() = uri(url)?;
        *request.headers_mut() = self.headers_for(url, more, method == Method::PATCH);
        *request.method_mut() = method;
        request.extensions_mut().insert(tell);
        let limits = Limits { read: Some(self.silence()), total: None };
        let (client, hook, latest) = (&self.client, &mut self.options.connection, &mut self.connection);
        let telling = async move {
            if let Ok(mut captured) = found.await {
                drop(captured.wait_for_connection_metadata().await);
                if let (Some(connection), Some(hook)) = (connection_of(&captured), hook)
                    && latest.as_ref().is_none_or(|latest| !latest.is(&connection))
                {
                    hook(connection.watch());
                    *latest = Some(connection);
                }
            }
            std::future::pending::<Response>().await
        };
        let sending = client.once(request, url, self.protocol, limits);
        let failed = tokio::select! {
            result = sending => match result {
                Ok(response) => return Ok(response),
                Err(failed) => failed.error,
            },
            response = telling => return Ok(response),
        };
        // What was really wrong, if it was the file.
        let source = self.source.clone();
        blocking(move || source.open()).await?;
        Err(failed)
    }
}

/// The same client with no connections.
fn fresh(client: &Client) -> Client {
    let inner = &client.0;
    Client(Arc::new(Inner {
        protocol: inner.protocol,
        connector: inner.connector.clone(),
        tls: Arc::clone(&inner.tls),
        proxies: Arc::clone(&inner.proxies),
        settings: inner.settings.clone(),
        pools: [const { OnceLock::new() }; 3],
    }))
}

/// Does what blocks elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|error| Error::RequestBody(error.into()))?
}
