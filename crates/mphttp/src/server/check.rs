//! The answer to "how is my connection to this server made?": a sentence for people, JSON for programs.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use mptcp_socket::Watch;

use crate::{
    Body,
    report::{TransportReport, sentence_for_client},
};

/// Where servers of this project answer it.
pub const PATH: &str = "/.mphttp/check";

/// Answers a request about its own connection, as seen from the server: `local` is the server's side.
///
/// `Accept: application/json` gets a [`TransportReport`], everyone else one line of text. Never cached. 405 for
/// methods other than GET and HEAD, 500 for a request that did not come through our [`Server`](super::Server).
#[must_use]
pub fn respond<B>(request: &Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response =
            text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are understood here.\n".into());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(watch) = request.extensions().get::<Watch>() else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This server does not know its connections.\n".into(),
        );
    };
    let transport = watch.transport();
    if !prefers_json(request.headers()) {
        return text(StatusCode::OK, format!("{}\n", sentence_for_client(&transport)).into());
    }
    match serde_json::to_vec(&TransportReport::from(&transport)) {
        Ok(mut json) => {
            json.push(b'\n');
            answer(StatusCode::OK, "application/json", json.into())
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n").into()),
    }
}

fn text(status: StatusCode, text: Bytes) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// Whether JSON is named, and nothing textual is liked better (RFC 9110 section 12.5.1).
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let (mut json, mut text) = (0.0_f32, 0.0_f32);
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |q| q.parse().unwrap_or(0.0));
        match media.as_str() {
            "application/json" => json = json.max(quality),
            "text/plain" | "text/html" | "text/*" => text = text.max(quality),
            _ => {}
        }
    }
    json > 0.0 && json >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        prefers_json(&headers)
    }

    #[test]
    fn json_is_for_those_who_name_it() {
        assert!(accepts("application/json"));
        assert!(accepts("Application/JSON; q=0.9, */*; q=0.1"));
        assert!(accepts("text/plain;q=0.5, application/json"));
        assert!(!prefers_json(&HeaderMap::new()));
        assert!(!accepts("*/*"));
        assert!(!accepts("application/json;q=0"));
        assert!(!accepts("text/html,application/json;q=0.8"));
        assert!(!accepts("application/jsonlines"));
    }

    #[test]
    fn other_methods_are_told_so() {
        let request = Request::post(PATH).body(()).unwrap();
        let response = respond(&request);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    }
}
