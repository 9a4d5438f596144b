//! Through a reverse proxy: what reaches the server behind it, read by the letter of RFC 9112, or by a `Server` where it is
//! HTTP/2. One case at a time, since it is asked what arrived of each.

use std::{
    convert::Infallible,
    future::pending,
    mem,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use http::{Request, Response};
use http_cases::http2::{self, Behind, Smuggled};
use mphttp::{
    Body,
    server::{RequestBody, service_fn},
};
use tokio::runtime::Runtime;

use super::{
    message::{Message, Trouble, Wire as Reader},
    places::{bind, collect},
    running::{Running, SOON, mphttp},
    wire::Wire,
};

/// Whoever asks for this only wants to know whether all that was sent before has arrived.
const MARK: &str = "HEAD /";

/// What arrived behind a proxy.
#[derive(Debug)]
enum Arrived {
    /// Something, on a new connection.
    Begun,
    Whole(Message),
    Wrong(String),
}

type Log = Arc<Mutex<Vec<Arrived>>>;

/// The connections to a server, and who serves them.
type Kept = Arc<Mutex<Vec<(TcpStream, JoinHandle<()>)>>>;

/// A proxy with a server behind it that remembers.
pub struct Proxied {
    proxy: Running,
    log: Log,
    kept: Kept,
    _runtime: Option<Runtime>,
}

fn push(log: &Log, arrived: Arrived) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push(arrived);
}

impl Proxied {
    /// The proxy speaks HTTP/1.1 with the server.
    pub fn http1() -> Self {
        let (log, kept) = (Log::default(), Kept::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (to, opened) = (Arc::clone(&log), Arc::clone(&kept));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(SOON)).unwrap();
                let log = Arc::clone(&to);
                let same = stream.try_clone().unwrap();
                let serving = thread::spawn(move || serve(stream, &log));
                opened.lock().unwrap().push((same, serving));
            }
        });
        Self { proxy: proxy(address, &[]), log, kept, _runtime: None }
    }

    /// The proxy speaks HTTP/2 with the server.
    pub fn http2() -> Self {
        let log = Log::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = {
            let _inside = runtime.enter();
            bind()
        };
        let address = server.local_addr().unwrap();
        let to = Arc::clone(&log);
        let service = service_fn(move |request: Request<RequestBody>| record(Arc::clone(&to), request));
        runtime.spawn(server.run(service, pending()));
        Self { proxy: proxy(address, &["--to-http2"]), log, kept: Arc::default(), _runtime: Some(runtime) }
    }

    /// Tries a case, and says what is wrong with what came of it.
    pub fn run(&self, case: &'static Smuggled) -> Result<(), String> {
        let mut wire = Wire::plain(self.proxy.address());
        let played = wire.play(&case.case);
        // Answered after it, so all that it led to has arrived.
        Wire::others(self.proxy.address())?;
        let arrived = mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner));
        // The next case begins with new connections.
        for (stream, serving) in mem::take(&mut *self.kept.lock().unwrap()) {
            let _ = stream.shutdown(Shutdown::Write);
            // Until the proxy has ended its half too, and so won't use it again.
            serving.join().unwrap();
        }
        played.map_err(|error| format!("{error}; behind: {arrived:?}"))?;
        judge(case, &arrived).map_err(|why| format!("{why}: {arrived:?}"))
    }
}

fn proxy(to: SocketAddr, more: &[&str]) -> Running {
    let to = format!("http://{to}");
    Running::start(mphttp().args(["proxy", "--listen", "127.0.0.1:0", "--to", &to]).args(more))
}

/// Reads requests and answers them, on a connection that is kept: what is smuggled would be read as the next one.
fn serve(stream: TcpStream, log: &Log) {
    if !matches!(stream.peek(&mut [0]), Ok(1)) {
        return;
    }
    push(log, Arrived::Begun);
    let mut reader = Reader::new(stream);
    loop {
        match reader.request() {
            Ok(request) => {
                push(log, Arrived::Whole(request));
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
                reader.play(&[http_cases::script::Step::Send(answer)], |_| ());
            }
            Err(Trouble::Wrong(why)) => return push(log, Arrived::Wrong(why)),
            // It has no end, so it is none.
            Err(_) => return,
        }
    }
}

/// The same of HTTP/2, put into the words of HTTP/1.1.
async fn record(log: Log, request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut message = Message { start: format!("{} {target} HTTP/1.1", parts.method), ..Message::default() };
    if let Some(authority) = parts.uri.authority() {
        message.fields.push(("host".into(), authority.to_string()));
    }
    for (name, value) in &parts.headers {
        message.fields.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    if !message.start.starts_with(MARK) {
        push(&log, Arrived::Begun);
    }
    if let Some(body) = collect(body).await {
        message.body = body;
        push(&log, Arrived::Whole(message));
    }
    Ok(Response::new(Body::empty()))
}

fn judge(case: &Smuggled, arrived: &[Arrived]) -> Result<(), String> {
    let marks = |message: &Message| message.start.starts_with(MARK);
    let whole: Vec<_> = arrived
        .iter()
        .filter_map(|arrived| match arrived {
            Arrived::Whole(message) if !marks(message) => Some(message),
            _ => None,
        })
        .collect();
    if let Some(Arrived::Wrong(why)) = arrived.iter().find(|arrived| matches!(arrived, Arrived::Wrong(_))) {
        return Err(format!("the server behind can't read it: {why}"));
    }
    match (case.behind, &whole[..]) {
        (Behind::Nothing, []) => {
            // What asks whether the connection is of use, and whether all has arrived.
            let begun = arrived.iter().filter(|arrived| matches!(arrived, Arrived::Begun)).count();
            let marked = arrived.iter().filter(|arrived| matches!(arrived, Arrived::Whole(_))).count();
            if begun > marked { Err("something began behind".into()) } else { Ok(()) }
        }
        (Behind::Broken | Behind::AtMost(_), []) => Ok(()),
        (Behind::AtMost(line), [message]) if message.body.is_empty() => is_line(message, line),
        (Behind::One(request), [message]) => is(message, &request),
        (_, whole) => Err(format!("{} requests behind", whole.len())),
    }
}

fn is_line(message: &Message, line: &str) -> Result<(), String> {
    let same = message.start == format!("{line} HTTP/1.1");
    if same { Ok(()) } else { Err(format!("not {line}")) }
}

fn is(message: &Message, request: &http2::Request) -> Result<(), String> {
    is_line(message, request.line)?;
    if message.body != request.body.as_bytes() {
        return Err(format!("not the body {:?}", request.body));
    }
    for field in request.has {
        let has = message.fields.iter().any(|(name, value)| format!("{name}: {value}") == **field);
        if !has {
            return Err(format!("no {field}"));
        }
    }
    for name in request.lacks {
        if message.fields.iter().chain(&message.trailers).any(|(there, _)| there == name) {
            return Err(format!("{name} is there"));
        }
    }
    Ok(())
}
