//! Cross-origin resource sharing (the Fetch standard, section 3.3): which other sites' scripts may read what is served.
//! Reading is all that they may: no preflight allows another method than GET and HEAD.

use std::{convert::Infallible, future::Future, time::Duration};

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use mphttp::Body;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// What scripts may send besides what needs no leave: ranges, preconditions and a password.
const ALLOWED: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
];
/// What they may see besides what needs no leave.
const EXPOSED: [HeaderName; 6] = [
    header::ACCEPT_RANGES,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::DATE,
    header::ETAG,
    header::VARY,
];
/// How long a browser may rely on a preflight's answer.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Which origins may read.
#[derive(Clone, Debug)]
pub struct Cors(CorsLayer);

impl Cors {
    /// For these origins, or all if one of them is `*`; `None` if there are none.
    pub fn new(origins: &[String]) -> Option<Self> {
        if origins.is_empty() {
            return None;
        }
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::HEAD])
            .allow_headers(ALLOWED)
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE);
        Some(Self(if origins.iter().any(|origin| origin == "*") {
            layer.allow_origin(Any).vary([])
        } else {
            let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
            layer.allow_origin(AllowOrigin::list(origins)).vary([header::ORIGIN])
        }))
    }

    /// Answers a preflight; has anything else answered, and says in the answer who may read it.
    pub async fn around<B, F>(
        &self,
        request: Request<B>,
        answer: impl FnMut(Request<B>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        let mut answer = answer;
        // Only with this field it is a preflight: tus asks with OPTIONS what a server can.
        let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if *request.method() == Method::OPTIONS && !preflight {
            return answer(request).await;
        }
        let inner = service_fn(|request| {
            let answer = answer(request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        match self.0.layer(inner).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// An origin as browsers send it (RFC 6454 section 6.2): scheme, host and port, nothing more.
pub fn origin(text: &str) -> Result<String, String> {
    // Browsers send it in lower case, whatever the address that was typed.
    let text = text.to_ascii_lowercase();
    let whole = |uri: &Uri| {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let plain = format!("{scheme}://{authority}") == text && !authority.as_str().contains('@');
        (plain && uri.path_and_query().is_none_or(|rest| rest == "/")).then_some(())
    };
    if text == "*" || text.parse().ok().as_ref().and_then(whole).is_some() {
        return Ok(text);
    }
    Err("an origin is *, or scheme, host and port, such as https://example.org:8443".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_no_path() {
        for good in
            ["*", "https://example.org", "http://localhost:3000", "http://[::1]:8000", "HTTPS://Example.org"]
        {
            assert_eq!(origin(good), Ok(good.to_ascii_lowercase()), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "https://example.org/",
            "https://u@example.org",
            "null",
            "https://",
            "http://a/b",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
