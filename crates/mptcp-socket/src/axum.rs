//! axum: a listener for `axum::serve`, and what a request's connection speaks as extractors of its handler.
//!
//! Extractors find the connection where `mphttp`'s server puts it (a [`Watch`] in the request's extensions) or where
//! `axum::serve` does (`into_make_service_with_connect_info::<Watch>()`).

use std::{io, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts, connect_info::Connected},
    http::{StatusCode, request::Parts},
    serve::{IncomingStream, Listener},
};
use tokio::net::TcpStream;

use crate::{Accepting, Transport, Watch, Watched};

impl Listener for Accepting {
    type Io = Watched<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Connected<IncomingStream<'_, Accepting>> for Watch {
    fn connect_info(stream: IncomingStream<'_, Accepting>) -> Self {
        stream.io().watch()
    }
}

/// What a handler gets that asks for a connection nobody keeps: 500 and the remedy.
const NOT_KEPT: (StatusCode, &str) = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "the server does not tell what its connections speak: serve with mphttp::Server, or with axum::serve on \
     Listening::into_accepting() and into_make_service_with_connect_info::<Watch>()",
);

/// The request's connection, to be asked at any time, also while the answer is sent.
///
/// Rejects with 500 where the server does not keep it; the text says what to do.
impl<S: Sync> FromRequestParts<S> for Watch {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let kept = parts.extensions.get::<Self>();
        let kept =
            kept.or_else(|| parts.extensions.get::<ConnectInfo<Self>>().map(|ConnectInfo(watch)| watch));
        kept.cloned().ok_or(NOT_KEPT)
    }
}

/// What the request's connection speaks, over which paths, when the handler begins. Rejects as [`Watch`] does.
impl<S: Sync> FromRequestParts<S> for Transport {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Watch::from_request_parts(parts, state).await.map(|watch| watch.transport())
    }
}
