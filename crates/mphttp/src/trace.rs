//! The spans of requests, on both sides, and how a trace gets from one to the other.
//!
//! Names of fields are those of OpenTelemetry's conventions for HTTP, so that exporters need no translation. A span costs a
//! request nothing but a comparison unless somebody listens. With the feature `otel`, a server's spans continue the trace
//! that the client names in `traceparent` (W3C Trace Context), and a client's requests name theirs.

use http::{HeaderMap, Method, Request, Version};
use mptcp_socket::Watch;
use tracing::{Span, field::Empty};
use url::Url;

use crate::{Response, report, server::Peer};

/// The span of a request that a server answers.
pub(crate) fn of_server<B>(request: &Request<B>, peer: &Peer, watch: impl FnOnce() -> Option<Watch>) -> Span {
    let span = tracing::info_span!(
        target: "mphttp::server",
        "request",
        otel.kind = "server",
        otel.name = Empty,
        http.request.method = Empty,
        url.path = Empty,
        url.scheme = Empty,
        client.address = Empty,
        network.protocol.version = Empty,
        mphttp.protocol = Empty,
        mphttp.why_tcp = Empty,
        http.response.status_code = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    // Recorded only now: telling what a connection speaks takes system calls.
    let method = request.method().as_str();
    span.record("otel.name", method);
    span.record("http.request.method", method);
    span.record("url.path", request.uri().path());
    span.record("url.scheme", if peer.tls { "https" } else { "http" });
    span.record("client.address", tracing::field::display(peer.remote.ip()));
    span.record("network.protocol.version", version(request.version()));
    if let Some(watch) = watch() {
        record_transport(&span, &watch);
    }
    propagation::take(&span, request.headers());
    span
}

/// The span of a request that a client makes, redirects not included.
pub(crate) fn of_client(method: &Method, url: &Url) -> Span {
    let span = tracing::info_span!(
        target: "mphttp::client",
        "request",
        otel.kind = "client",
        otel.name = Empty,
        http.request.method = Empty,
        url.full = Empty,
        server.address = Empty,
        server.port = Empty,
        network.protocol.version = Empty,
        mphttp.protocol = Empty,
        mphttp.why_tcp = Empty,
        http.response.status_code = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    span.record("otel.name", method.as_str());
    span.record("http.request.method", method.as_str());
    span.record("url.full", report::without_credentials(url));
    span.record("server.address", url.host_str());
    span.record("server.port", url.port_or_known_default());
    span
}

/// Notes what came back.
pub(crate) fn answered(span: &Span, response: &Response) {
    let (status, reused) = (response.status().as_u16(), response.reused());
    tracing::debug!(target: "mphttp::client", parent: span, status, reused, "answered");
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", status);
    span.record("network.protocol.version", version(response.version()));
    record_transport(span, &response.watch());
}

fn record_transport(span: &Span, watch: &Watch) {
    let spoken = watch.spoken();
    span.record("mphttp.protocol", spoken.as_str());
    span.record("mphttp.why_tcp", spoken.reason().map(|reason| reason.as_str()));
}

/// Names the span's trace in the headers of a request, unless the caller has named one.
pub(crate) fn pass_on(span: &Span, headers: &mut HeaderMap) {
    propagation::give(span, headers);
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(not(feature = "otel"))]
mod propagation {
    use http::HeaderMap;
    use tracing::Span;

    pub(super) fn take(_: &Span, _: &HeaderMap) {}

    pub(super) fn give(_: &Span, _: &mut HeaderMap) {}
}

#[cfg(feature = "otel")]
mod propagation {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use opentelemetry::{
        global,
        propagation::{Extractor, Injector},
        trace::TraceContextExt,
    };
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    struct Taken<'a>(&'a HeaderMap);

    impl Extractor for Taken<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }

    struct Given<'a>(&'a mut HeaderMap);

    impl Injector for Given<'_> {
        fn set(&mut self, key: &str, value: String) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(key.as_bytes()), HeaderValue::try_from(value))
                && !self.0.contains_key(&name)
            {
                self.0.insert(name, value);
            }
        }
    }

    pub(super) fn take(span: &Span, headers: &HeaderMap) {
        let context = global::get_text_map_propagator(|propagator| propagator.extract(&Taken(headers)));
        if context.span().span_context().is_valid() {
            // Fails where no exporter listens: then there is no trace to continue.
            let _ = span.set_parent(context);
        }
    }

    pub(super) fn give(span: &Span, headers: &mut HeaderMap) {
        if span.is_disabled() || headers.contains_key("traceparent") {
            return;
        }
        let context = span.context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut Given(headers));
        });
    }
}
