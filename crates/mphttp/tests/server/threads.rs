//! Serving on threads with a runtime each: what holds for one runtime holds for several.

use std::num::NonZeroUsize;

use super::*;

const THREADS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

fn on_threads() -> Server {
    bind(Protocol::Mptcp).threads(THREADS)
}

/// Answers with the name of its thread; `/block` holds that up.
async fn named(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/block" {
        std::thread::sleep(Duration::from_millis(500));
    }
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    Ok(Response::new(Body::from(name)))
}

#[tokio::test]
async fn a_handler_that_blocks_leaves_the_other_threads_to_serve() {
    let server = on_threads();
    let (address, stats) = (server.local_addr().unwrap(), server.stats());
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(server.run(service_fn(named), async { drop(stopped.await) }));
    let blocked = tokio::spawn(async move { get1(address, "/block").await.1 });
    while stats.counts().requests == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let other = timeout(SOON, get1(address, "/")).await.unwrap().1;
    assert!(!blocked.is_finished(), "the other one was to be answered meanwhile");
    let blocked = blocked.await.unwrap();
    assert!(
        blocked.starts_with("mphttp-") && other.starts_with("mphttp-") && blocked != other,
        "{blocked} {other}"
    );
    stop.send(()).unwrap();
    timeout(SOON, done).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_on_every_thread_and_refuses_the_new() {
    let server = start(on_threads());
    let address = server.address;
    let in_flight: Vec<_> =
        (0..12).map(|_| tokio::spawn(async move { get1(address, "/slow").await })).collect();
    server.until(|counts| counts.requests == 12).await;
    let stopping = tokio::spawn(server.stop());
    sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(address).await.is_err(), "a stopping server takes no connection");
    for answer in in_flight {
        assert_eq!(answer.await.unwrap(), (StatusCode::OK, "slow, but whole".into()));
    }
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_closed_on_every_thread() {
    let server = start(on_threads().grace(Duration::from_millis(100)));
    let long = "GET /long HTTP/1.1\r\nhost: test\r\n\r\n";
    let stuck: Vec<_> = (0..6).map(|_| tokio::spawn(raw(server.address, long))).collect();
    server.until(|counts| counts.requests == 6).await;
    server.stop().await;
    for stuck in stuck {
        assert_eq!(stuck.await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_dropped_server_closes_everything() {
    let Running { address, stats, done, stop: _stop } = start(on_threads());
    let stuck = tokio::spawn(raw(address, "GET /long HTTP/1.1\r\nhost: test\r\n\r\n"));
    while stats.counts().requests == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    done.abort();
    assert!(done.await.unwrap_err().is_cancelled());
    assert_eq!(timeout(SOON, stuck).await.unwrap().unwrap(), "");
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(begun.elapsed() < SOON, "the listener is still there");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Fewer connections than threads: each waits for a slot before it accepts.
#[tokio::test]
async fn the_limit_of_connections_holds_over_all_threads() {
    let server = start(on_threads().max_connections(2));
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.until(|counts| counts.open == 2).await;
    let address = server.address;
    let waiting = tokio::spawn(async move { get1(address, "/").await });
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.stats.counts().accepted, 2);
    drop(held);
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().1, "hello");
    server.stop().await;
}
