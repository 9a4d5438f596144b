//! reqwest as it is, with all that it can, through a forward proxy in the same process: plain TCP to ourselves, MPTCP from there.
//!
//! The proxy asks for a password of the moment, since other programs of this host can reach it.
use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::PROXY_AUTHORIZATION};
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use mphttp::{Connector, Protocol};
use tokio::net::TcpListener;

type Body = BoxBody<Bytes, hyper::Error>;

fn only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = status;
    response
}

/// `https` comes as CONNECT and becomes a tunnel; `http` comes whole, and is passed on.
async fn carry(connector: Connector, mut request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::CONNECT {
        request.headers_mut().remove(PROXY_AUTHORIZATION);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        return match client.request(request).await {
            Ok(response) => response.map(BodyExt::boxed),
            Err(_) => only(StatusCode::BAD_GATEWAY),
        };
    }
    let (host, port) = (request.uri().host().unwrap_or_default(), request.uri().port_u16().unwrap_or(443));
    let Ok(there) = connector.connect(host, port).await else { return only(StatusCode::BAD_GATEWAY) };
    tokio::spawn(async move {
        if let Ok(here) = upgrade::on(request).await {
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(here), &mut there.into_inner()).await;
        }
    });
    only(StatusCode::OK)
}

async fn proxy(listener: TcpListener, connector: Connector, password: http::HeaderValue) {
    while let Ok((stream, _)) = listener.accept().await {
        let (connector, password) = (connector.clone(), password.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let known = request.headers().get(PROXY_AUTHORIZATION) == Some(&password);
            let connector = connector.clone();
            async move {
                let refused = only(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
                Ok::<_, Infallible>(if known { carry(connector, request).await } else { refused })
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000/".into());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let way = format!("http://{}", listener.local_addr()?);
    let mut secret = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut secret)
        .map_err(|_| "no random numbers")?;
    let password: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let password = http::HeaderValue::try_from(format!("Bearer {password}"))?;
    tokio::spawn(proxy(listener, Connector::new(Protocol::from_env()?), password.clone()));

    let way = reqwest::Proxy::all(way)?.custom_http_auth(password);
    let client = reqwest::Client::builder().proxy(way).build()?;
    println!("server: {}", client.get(url).send().await?.error_for_status()?.text().await?);
    Ok(())
}
