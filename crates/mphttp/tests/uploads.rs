//! `Client::upload` against a server that has bad moments: statuses that pass, uploads that vanish, chunks that come
//! spoilt, and servers that know nothing of tus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use mphttp::{
    Body, Client, Error, Protocol, Server,
    client::Uploaded,
    server::{RequestBody, service_fn},
    uploads::Uploads,
};
use tempfile::TempDir;

/// What happens to the next request of a method, in place of what should.
#[derive(Clone, Debug)]
enum Moment {
    /// This status, with a `Retry-After`, unread.
    Status(u16, Option<&'static str>),
    /// The first byte of its body is another.
    Spoilt,
    Fine,
}

struct Bench {
    folder: TempDir,
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    /// A server with these moments for its requests of these methods; afterwards all is well.
    fn new(moments: &[(&'static str, Moment)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("www");
        fs::create_dir(&root).unwrap();
        let uploads = Uploads::new(&root).unwrap();
        let moments: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(moments.iter().cloned().collect()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let server = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/", server.local_addr().unwrap());
        let service = service_fn(move |request: Request<RequestBody>| {
            log.lock().unwrap().push(request.method().to_string());
            let mut waiting = moments.lock().unwrap();
            let next = waiting.front().is_some_and(|(method, _)| method == request.method());
            let moment = if next { waiting.pop_front().map(|(_, moment)| moment) } else { None };
            let uploads = uploads.clone();
            async move { Ok::<_, Infallible>(live(uploads, request, moment.unwrap_or(Moment::Fine)).await) }
        });
        tokio::spawn(server.run(service, std::future::pending()));
        Self { folder, url, seen }
    }

    fn file(&self, bytes: usize) -> PathBuf {
        let path = self.folder.path().join("file");
        fs::write(&path, (0..bytes).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>()).unwrap();
        path
    }

    async fn upload(&self, file: &PathBuf) -> Result<Uploaded, Error> {
        self.client().upload(&self.url).file(file).send().await
    }

    fn client(&self) -> Client {
        Client::builder().no_proxy().build().unwrap()
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().join(" ")
    }

    #[track_caller]
    fn whole(&self, file: &PathBuf) {
        assert!(fs::read(self.folder.path().join("www/file")).unwrap() == fs::read(file).unwrap());
    }
}

async fn live(uploads: Uploads, request: Request<RequestBody>, moment: Moment) -> Response<Body> {
    match moment {
        Moment::Fine => uploads.respond(request).await,
        Moment::Status(status, retry_after) => {
            let mut response = Response::builder().status(status);
            if let Some(value) = retry_after {
                response = response.header("retry-after", value);
            }
            response.body(Body::from("so it is\nand more")).unwrap()
        }
        Moment::Spoilt => {
            let (head, body) = request.into_parts();
            let mut bytes = body.collect().await.unwrap().to_bytes().to_vec();
            bytes[0] ^= 1;
            uploads.respond(Request::from_parts(head, Body::from(bytes))).await
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    let bench = Bench::new(&[
        ("OPTIONS", Moment::Status(503, Some("0"))),
        ("POST", Moment::Status(429, Some("1"))),
        ("PATCH", Moment::Status(503, Some("1"))),
        ("HEAD", Moment::Status(500, None)),
    ]);
    let file = bench.file(1000);
    let start = Instant::now();
    let uploaded = bench.upload(&file).await.unwrap();
    bench.whole(&file);
    assert!(uploaded.resumable() && uploaded.interruptions() == 4, "{uploaded:?}");
    assert_eq!(bench.seen(), "OPTIONS OPTIONS POST POST PATCH HEAD HEAD PATCH PATCH");
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn more_patience_than_there_is_ends_it_at_once() {
    let bench = Bench::new(&[("PATCH", Moment::Status(503, Some("3600")))]);
    let file = bench.file(1000);
    let start = Instant::now();
    let error = bench.upload(&file).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    let Error::UploadStuck { got: 0, size: 1000, source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("503 Service Unavailable: so it is"), "{error}");
}

#[tokio::test]
async fn an_upload_that_vanishes_is_begun_anew_but_not_for_ever() {
    let gone = Moment::Status(410, None);
    let bench = Bench::new(&[("PATCH", gone.clone()), ("PATCH", Moment::Status(404, None))]);
    let file = bench.file(1000);
    bench.upload(&file).await.unwrap();
    bench.whole(&file);
    assert_eq!(bench.seen(), "OPTIONS POST PATCH POST PATCH POST PATCH");
    let always = vec![("PATCH", gone); 10];
    let bench = Bench::new(&always);
    let error = bench.upload(&bench.file(1000)).await.unwrap_err();
    assert!(error.to_string().ends_with("410 Gone: the upload is gone"), "{error}");
}

#[tokio::test]
async fn a_conflict_is_asked_about() {
    let bench = Bench::new(&[("PATCH", Moment::Status(409, None)), ("PATCH", Moment::Status(423, None))]);
    let file = bench.file(1000);
    bench.upload(&file).await.unwrap();
    bench.whole(&file);
    // After a break the first PATCH has no body: whether the upload is still busy is found out for nothing.
    assert_eq!(bench.seen(), "OPTIONS POST PATCH HEAD PATCH HEAD PATCH PATCH");
}

#[tokio::test]
async fn a_spoilt_chunk_is_sent_again() {
    let bench = Bench::new(&[("PATCH", Moment::Fine), ("PATCH", Moment::Spoilt)]);
    let file = bench.file(1000);
    let uploaded = bench.client().upload(&bench.url).file(&file).chunk(400).send().await.unwrap();
    bench.whole(&file);
    assert_eq!(bench.seen(), "OPTIONS POST PATCH PATCH HEAD PATCH PATCH PATCH");
    assert_eq!((uploaded.size(), uploaded.sent(), uploaded.interruptions()), (1000, 1400, 1));
}

#[tokio::test]
async fn without_tus_it_is_one_put() {
    let bench = Bench::new(&[("OPTIONS", Moment::Status(405, None))]);
    let file = bench.file(1000);
    let uploaded = bench.upload(&file).await.unwrap();
    bench.whole(&file);
    assert_eq!((uploaded.resumable(), bench.seen().as_str()), (false, "OPTIONS PUT"));
    assert_eq!(uploaded.url().path(), "/file");
    assert_eq!(uploaded.response().status(), StatusCode::CREATED);
    // Announced, but not for this URL.
    let bench = Bench::new(&[("POST", Moment::Status(405, None))]);
    let file = bench.file(1000);
    bench.upload(&file).await.unwrap();
    assert_eq!(bench.seen(), "OPTIONS POST PUT");
    // It is not tried again, as it can't be gone on with.
    let bench =
        Bench::new(&[("OPTIONS", Moment::Status(405, None)), ("PUT", Moment::Status(503, Some("0")))]);
    let error = bench.upload(&bench.file(1000)).await.unwrap_err();
    assert!(matches!(error, Error::UploadRefused { status: StatusCode::SERVICE_UNAVAILABLE, .. }), "{error}");
}

#[tokio::test]
async fn hooks_tell_how_far_it_is_and_over_what() {
    let bench = Bench::new(&[("PATCH", Moment::Status(503, None))]);
    let file = bench.file(1_000_000);
    let (far, links) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (tell_far, tell_links) = (Arc::clone(&far), Arc::clone(&links));
    let upload = bench.client().upload(&bench.url).file(&file);
    let upload = upload.progress(move |sent, size| tell_far.lock().unwrap().push((sent, size)));
    let upload = upload.on_connection(move |watch| tell_links.lock().unwrap().push(watch.transport()));
    let uploaded = upload.send().await.unwrap();
    let far = far.lock().unwrap();
    assert_eq!((far.first(), far.last()), (Some(&(0, 1_000_000)), Some(&(1_000_000, 1_000_000))));
    let links = links.lock().unwrap();
    assert_eq!(links.len(), 2, "the one that broke, and a new one");
    assert!(links.iter().all(|transport| transport.is_mptcp()));
    assert!(uploaded.response().transport().is_mptcp());
}

#[tokio::test]
async fn over_http2_too_and_what_is_cancelled_there_leaves_nothing() {
    let bench = Bench::new(&[]);
    let client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    // No length is announced, and there is no more to come: then the request is taken back.
    let piece = futures_util::stream::once(async { Ok::<_, Infallible>("some") });
    let body = Body::stream(futures_util::StreamExt::chain(piece, futures_util::stream::pending()));
    let request = client.put(format!("{}half", bench.url)).body(body).timeout(Duration::from_millis(300));
    assert!(request.send().await.unwrap_err().is_timeout());
    let hidden = bench.folder.path().join("www/.mphttp-uploads");
    let start = Instant::now();
    while fs::read_dir(&hidden).unwrap().count() > 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!bench.folder.path().join("www/half").exists());
    let file = bench.file(3_000_000);
    client.upload(&bench.url).file(&file).send().await.unwrap();
    bench.whole(&file);
}

#[tokio::test]
async fn too_many_unfinished_ones_are_refused_until_old_ones_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str| {
        let request = Request::post("/").header("tus-resumable", "1.0.0").header("upload-length", "10");
        let request = request.header("upload-metadata", format!("filename {name}"));
        request.body(Body::empty()).unwrap()
    };
    let uploads = Uploads::new(folder.path()).unwrap().max_incomplete(2);
    for (name, status) in [("YQ==", 201), ("Yg==", 201), ("Yw==", 503)] {
        let response = uploads.respond(create(name)).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key("retry-after"), status == 503);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let uploads = uploads.keep_incomplete(Duration::from_millis(10));
    assert_eq!(uploads.respond(create("Yw==")).await.status(), 201);
}
