//! Where the cases run: a `Server` in this process, a reverse proxy and a forward proxy with servers behind them that record what
//! arrives, or answer as a case says.

use std::{
    convert::Infallible,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use http_cases::{file::WRITTEN, script::Step};
use mphttp::{
    Body, Server,
    files::Files,
    server::{RequestBody, service_fn},
};
use mptcp_socket::Protocol;

use super::{
    running::{Running, SOON, mphttp},
    wire::{Message, Trouble, Wire},
};

/// What a client calls the server, where it need not be an address.
pub const SITE: &str = "site.test";

/// Fields of one connection, and others that a server behind should hear of only in the cases that say so.
const TOLD: [&str; 13] = [
    "connection",
    "content_length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-connection",
    "te",
    "trailer",
    "transfer_encoding",
    "upgrade",
    "x-odd",
    "x_forwarded_for",
];

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A case that failed is no reason for the next one to.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn connect(address: SocketAddr) -> Wire {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream.set_nodelay(true).unwrap();
    Wire::new(stream)
}

/// A message in short: what both the recording server and the echo make of a request.
fn short(method: &str, target: &str, body: &Message, host: Option<&str>) -> String {
    let target = if target.len() > 100 { format!("({} bytes)", target.len()) } else { target.to_owned() };
    let mut text = format!("{method} {target}");
    let expected = host.is_none() || body.field("host").as_deref() == host;
    if !expected {
        text += &format!(" host={}", body.field("host").unwrap_or_default());
    }
    for name in TOLD {
        if let Some(value) = body.field(name).filter(|_| host.is_some()) {
            text += &format!(" [{name}: {value}]");
        }
    }
    if !body.body.is_empty() {
        text += &format!(" = {}", body.shown());
    }
    for (name, value) in &body.trailers {
        text += &format!(" + {name}: {value}");
    }
    text
}

/// The status that a target asks for: `/echo/204`, `/echo/205`, `/echo/304`.
fn status(target: &str) -> u16 {
    let asked = target.strip_prefix("/echo/").and_then(|code| code.parse().ok());
    asked.filter(|status| matches!(status, 204 | 205 | 304)).unwrap_or(200)
}

/// A directory of files as the cases know it.
pub fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(WRITTEN);
    for (name, content) in [("ten.txt", "0123456789"), ("empty.txt", "")] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    }
    folder
}

/// A server with files and an echo, in a thread of its own for as long as the program runs.
pub fn serve(folder: &std::path::Path) -> SocketAddr {
    let files = Files::new(folder).unwrap();
    let server = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let service = service_fn(move |request: Request<RequestBody>| {
            let files = files.clone();
            async move {
                let path = request.uri().path();
                if !path.starts_with("/echo") {
                    return Ok::<_, Infallible>(files.respond(&request).await.map(Body::new));
                }
                Ok(echo(request).await)
            }
        });
        runtime.block_on(server.run(service, std::future::pending())).unwrap();
    });
    address
}

/// Answers with what was asked.
async fn echo(request: Request<RequestBody>) -> Response<Body> {
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    let mut message = Message::default();
    let mut body = request.into_body();
    while let Some(frame) =
        std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)).await
    {
        let Ok(frame) = frame else {
            let mut response = Response::new(Body::from("the body broke off"));
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            return response;
        };
        match frame.into_data() {
            Ok(data) => message.body.extend_from_slice(&data),
            Err(frame) => {
                for (name, value) in frame.into_trailers().unwrap_or_default().iter() {
                    message
                        .trailers
                        .push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
                }
            }
        }
    }
    let mut response = Response::new(Body::from(short(&method, &target, &message, None)));
    // With a body, whatever the status makes of it.
    *response.status_mut() = http::StatusCode::from_u16(status(&target)).unwrap();
    response
}

/// What the server behind a proxy does with requests for `/case`: everything else it answers with what was asked.
#[derive(Default)]
pub struct Behind {
    /// What came, in its order; faults of it begin with an exclamation mark.
    pub seen: Mutex<Vec<String>>,
    /// What it says to a request for `/case`, instead of an answer.
    pub script: Mutex<Vec<Step>>,
    /// What `Host` it expects.
    host: Mutex<String>,
    connections: AtomicUsize,
    /// On which connection the last request for `/case` came.
    pub on: AtomicUsize,
}

/// A running proxy with a server behind it. One case at a time.
pub struct Proxied {
    pub proxy: Running,
    pub behind: Arc<Behind>,
    /// What stands before paths, and what goes into `Host`.
    pub site: String,
    pub host: String,
    /// Where the server behind is.
    pub address: String,
}

impl Proxied {
    pub fn reverse() -> Self {
        let (behind, address) = Behind::start();
        let proxy = proxy(&["--to", &format!("http://{address}")]);
        Self::new(proxy, behind, (String::new(), SITE.into()), address)
    }

    pub fn forward() -> Self {
        let (behind, address) = Behind::start();
        let proxy = proxy(&["--forward"]);
        Self::new(proxy, behind, (format!("http://{address}"), address.to_string()), address)
    }

    fn new(proxy: Running, behind: Arc<Behind>, (site, host): (String, String), address: SocketAddr) -> Self {
        lock(&behind.host).clone_from(&host);
        Self { proxy, behind, site, host, address: address.to_string() }
    }
}

pub fn proxy(arguments: &[&str]) -> Running {
    Running::start(mphttp().args(["proxy", "--listen", "127.0.0.1:0"]).args(arguments))
}

impl Behind {
    fn start() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behind = Arc::new(Self::default());
        let shared = Arc::clone(&behind);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let behind = Arc::clone(&shared);
                thread::spawn(move || {
                    let number = behind.connections.fetch_add(1, Ordering::SeqCst);
                    stream.set_nodelay(true).unwrap();
                    behind.serve(Wire::new(stream), number);
                });
            }
        });
        (behind, address)
    }

    fn serve(&self, mut wire: Wire, number: usize) {
        loop {
            let request = match wire.request() {
                Ok(request) => request,
                // Whoever reads by the letter does nothing with what has no end.
                Err(Trouble::Ended | Trouble::Broken) => return,
                Err(trouble) => return lock(&self.seen).push(format!("!{trouble:?}")),
            };
            let mut line = request.start.split(' ');
            let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
            let host = lock(&self.host).clone();
            let seen = short(method, target, &request, Some(&host));
            lock(&self.seen).push(seen.clone());
            if target == "/case" {
                self.on.store(number, Ordering::SeqCst);
                let script = lock(&self.script).clone();
                wire.play(&script, |wire| drop(wire.request()));
                continue;
            }
            // Which connection a request came on tells whether the one before left it usable.
            let body = if target == "/next" { format!("{number}") } else { seen };
            let status = status(target);
            let body = if status == 200 { body } else { String::new() };
            let length =
                if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            let mut answer = format!("HTTP/1.1 {status} Status\r\n{length}\r\n");
            if method != "HEAD" {
                answer += &body;
            }
            wire.play(&[Step::Send(answer.into_bytes())], |_| ());
        }
    }
}
