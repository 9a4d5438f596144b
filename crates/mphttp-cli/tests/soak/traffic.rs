//! What clients do all the time: each transfer checked to the byte.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mphttp::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    ledger::{Failure, Ledger},
    world::{FEW, FILES, PROXY, Random, SERVE, TLS, UPLOADS, World},
};

/// How long a request may take. Troubles are shorter, but may come one after the other.
const LONG: Duration = Duration::from_secs(12);
/// How long downloads and uploads go on without anything getting through.
const PATIENT: Duration = Duration::from_secs(12);
/// How long a download may take in all: its connections may have to be given up one after the other.
const DOWNLOAD: Duration = Duration::from_secs(48);
/// What is under way has ended by then, or never will.
const END: Duration = Duration::from_secs(75);

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Small,
    Fresh,
    Streams,
    Tls,
    Proxied,
    Download,
    DownloadProxied,
    Upload,
    Few,
}

/// How many of each there are at a time, and how long they rest after each transfer at most, in milliseconds.
const CLIENTS: [(What, &str, usize, u64); 9] = [
    (What::Small, "requests, kept alive", 80, 400),
    (What::Fresh, "requests, new connections", 20, 600),
    (What::Streams, "HTTP/2 streams", 50, 600),
    (What::Tls, "requests over TLS", 30, 600),
    (What::Proxied, "requests by the proxy", 40, 600),
    (What::Download, "downloads", 12, 800),
    (What::DownloadProxied, "downloads by the proxy", 4, 800),
    (What::Upload, "uploads", 12, 800),
    (What::Few, "requests where few fit", 10, 800),
];

/// A crowd is larger than the server has descriptors.
const CROWD: usize = 150;

struct Clients {
    kept: Client,
    fresh: Client,
    streams: Client,
}

impl Clients {
    fn new(world: &World) -> Arc<Self> {
        let make = || {
            let any = || {
                Client::builder()
                    .no_proxy()
                    .timeout(LONG)
                    .connect_timeout(LONG)
                    .danger_accept_invalid_certs(true)
            };
            Arc::new(Self {
                kept: any().pool_max_idle_per_host(64).build().unwrap(),
                fresh: any().pool_max_idle_per_host(0).build().unwrap(),
                streams: any().http2_prior_knowledge().build().unwrap(),
            })
        };
        world.client.run(make).unwrap()
    }
}

struct Shared {
    clients: RwLock<Arc<Clients>>,
    ledger: Arc<Ledger>,
    servers: [std::net::IpAddr; 2],
    contents: Vec<Vec<u8>>,
    uploads: PathBuf,
    downloads: PathBuf,
    ends: AtomicBool,
    next: AtomicU64,
    /// How many of each kind have not ended.
    at_work: [AtomicUsize; CLIENTS.len()],
}

pub struct Traffic {
    runtime: Runtime,
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

/// A runtime whose sockets are the client's.
fn runtime(world: &World) -> Runtime {
    let make = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    world.client.run(make).unwrap()
}

impl Traffic {
    pub fn begin(world: &World, ledger: &Arc<Ledger>, seed: u64) -> Self {
        let runtime = runtime(world);
        let shared = Arc::new(Shared {
            clients: RwLock::new(Clients::new(world)),
            ledger: Arc::clone(ledger),
            servers: [0, 1].map(|link: usize| world.links[link].address(&world.server).unwrap()),
            contents: world.contents.clone(),
            uploads: world.path("uploads"),
            downloads: world.path("downloads"),
            ends: AtomicBool::new(false),
            next: AtomicU64::new(0),
            at_work: CLIENTS.map(|(_, _, count, _)| AtomicUsize::new(count)),
        });
        let mut workers = JoinSet::new();
        for (kind, (what, _, count, _)) in CLIENTS.into_iter().enumerate() {
            for number in 0..count {
                let random = Random::new(seed ^ ((number as u64) << 32) ^ ((what as u64) << 48) ^ 1);
                workers.spawn_on(work(Arc::clone(&shared), kind, random), runtime.handle());
            }
        }
        Self { runtime, shared, workers }
    }

    /// Clients with new connections, for those that come: who knows what the old ones have been through.
    pub fn anew(&self, world: &World) {
        *self.shared.clients.write().unwrap() = Clients::new(world);
    }

    /// Lets what is under way end, and says what did not.
    pub fn end(mut self) -> Vec<String> {
        self.shared.ends.store(true, Ordering::SeqCst);
        let workers = &mut self.workers;
        let mut panics = Vec::new();
        let ended = self.runtime.block_on(async {
            let ending = async {
                while let Some(ended) = workers.join_next().await {
                    panics.extend(ended.err().map(|error| format!("a client ended: {error}")));
                }
            };
            timeout(END, ending).await
        });
        if ended.is_err() {
            let left = self.shared.at_work.iter().map(|count| count.load(Ordering::SeqCst));
            let left = CLIENTS.iter().zip(left).filter(|(_, count)| *count > 0);
            let left: Vec<_> = left.map(|((_, name, ..), count)| format!("{count} x {name}")).collect();
            panics.push(format!("clients have not ended in {END:?}: {}", left.join(", ")));
        }
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        panics
    }
}

async fn work(shared: Arc<Shared>, kind: usize, mut random: Random) {
    let (what, name, _, rest) = CLIENTS[kind];
    while !shared.ends.load(Ordering::SeqCst) {
        let stormy = shared.ledger.is_storm();
        let outcome = transfer(&shared, what, &mut random).await;
        // A trouble that begins meanwhile is one.
        shared.ledger.note(name, stormy || shared.ledger.is_storm(), outcome);
        sleep(Duration::from_millis(random.below(rest))).await;
    }
    shared.at_work[kind].fetch_sub(1, Ordering::SeqCst);
}

async fn transfer(shared: &Shared, what: What, random: &mut Random) -> Result<u64, Failure> {
    let clients = Arc::clone(&shared.clients.read().unwrap());
    let at = shared.servers[random.below(2) as usize];
    let url = |scheme: &str, port: u16, file: usize| format!("{scheme}://{at}:{port}/{}", FILES[file].0);
    let (client, url, file) = match what {
        What::Small => (&clients.kept, url("http", SERVE, 0), 0),
        What::Fresh => (&clients.fresh, url("http", SERVE, 0), 0),
        What::Streams => (&clients.streams, url("http", SERVE, 1), 1),
        What::Tls => (&clients.kept, url("https", TLS, 1), 1),
        What::Proxied => (&clients.kept, url("http", PROXY, 1), 1),
        What::Few => (&clients.fresh, url("http", FEW, 0), 0),
        What::Download => return download(shared, &clients.fresh, &url("http", SERVE, 2)).await,
        What::DownloadProxied => return download(shared, &clients.fresh, &url("http", PROXY, 2)).await,
        What::Upload => return upload(shared, &clients.fresh, at, random).await,
    };
    let response = client.get(&url).send().await?.error_for_status()?;
    shared.ledger.spoke(if response.transport().is_mptcp() { "MPTCP" } else { "TCP" });
    let (watch, version) = (response.watch(), response.version());
    let outcome = check(&shared.contents[file], &response.bytes().await?);
    outcome.map_err(|failure| match failure {
        Failure::Wrong(text) => Failure::Wrong(format!("{text}; {version:?} over {:?}", watch.transport())),
        other => other,
    })
}

/// Compares to the byte, and says where wrong bytes are from, which tells much of how they came there.
fn check(wanted: &[u8], got: &[u8]) -> Result<u64, Failure> {
    if got == wanted {
        return Ok(got.len() as u64);
    }
    let same = got.iter().zip(wanted).take_while(|(one, other)| one == other).count();
    let wrong = &got[same..];
    let begin = &wrong[..wrong.len().min(16)];
    let place = wanted.windows(begin.len().max(1)).position(|bytes| bytes == begin);
    let end = wanted.windows(16).position(|bytes| got.len() >= 16 && bytes == &got[got.len() - 16..]);
    let right_again = wrong.iter().zip(&wanted[same..]).position(|(one, other)| one == other);
    let twice = place.is_some_and(|place| place < same) && begin.len() == 16;
    let kind = if twice { Failure::Twice } else { Failure::Wrong };
    Err(kind(format!(
        "{} bytes of {}, wrong from {same} on, where those of {place:?} are ({:?}); the last 16 are those of {end:?}; a byte is \
         right again {right_again:?} later",
        got.len(),
        wanted.len(),
        String::from_utf8_lossy(begin),
    )))
}

async fn download(shared: &Shared, client: &Client, url: &str) -> Result<u64, Failure> {
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let path = shared.downloads.join(format!("{number}"));
    // Not the time of a request: it goes on as long as anything comes.
    let download = client.get(url).timeout(DOWNLOAD).download().retry_for(PATIENT);
    let done = download.to_file(&path).await;
    if let Err(error) = done {
        let _ = std::fs::remove_file(&path);
        return Err(error.into());
    }
    let got = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    check(&shared.contents[2], &got)
}

async fn upload(
    shared: &Shared,
    client: &Client,
    at: std::net::IpAddr,
    random: &mut Random,
) -> Result<u64, Failure> {
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let bytes = random.bytes(300_000);
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &bytes)?;
    let url = format!("http://{at}:{UPLOADS}/up-{number}");
    client.upload(&url).file(file.path()).retry_for(PATIENT).send().await?;
    let there = shared.uploads.join(format!("up-{number}"));
    let got = std::fs::read(&there)?;
    std::fs::remove_file(&there)?;
    check(&bytes, &got)
}

/// How often the server that has few descriptors had more clients than those.
static CROWDED: AtomicUsize = AtomicUsize::new(0);

/// How often a crowd came through, whatever the links did.
pub fn crowded() -> usize {
    CROWDED.load(Ordering::SeqCst)
}

/// Connects often enough that a server with few descriptors has none left, and lets go after a while.
pub fn crowd(world: &World) {
    let addresses =
        [0, 1].map(|link: usize| SocketAddr::new(world.links[link].address(&world.server).unwrap(), FEW));
    let crowd = move || {
        let connect =
            |address| std::net::TcpStream::connect_timeout(address, Duration::from_millis(300)).ok();
        // By a link that works, if there is one soon.
        let Some(address) = addresses.iter().cycle().take(20).find(|address| connect(address).is_some())
        else {
            return;
        };
        let held: Vec<_> = (0..CROWD).map_while(|_| connect(address)).collect();
        if held.len() == CROWD {
            CROWDED.fetch_add(1, Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(1500));
        drop(held);
    };
    // Its thread is the host's, and ends by itself.
    drop(world.client.thread(crowd).unwrap());
}

/// Asks for much, and resets the connection, or reads no more and is gone.
pub fn vanish(world: &World, ledger: &Ledger, seed: u64) {
    let address = SocketAddr::new(world.links[(seed % 2) as usize].address(&world.server).unwrap(), SERVE);
    let vanishing = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for number in 0..20 {
                clients.spawn(timeout(Duration::from_secs(4), async move {
                    let mut stream = TcpStream::connect(address).await?;
                    stream.write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await?;
                    let mut piece = vec![0; 50_000];
                    stream.read_exact(&mut piece).await?;
                    if number % 2 == 0 {
                        // Closed with bytes unread, it is reset.
                        sleep(Duration::from_secs(2)).await;
                    }
                    std::io::Result::Ok(())
                }));
            }
            while clients.join_next().await.is_some() {}
        });
    };
    drop(world.client.thread(vanishing).unwrap());
    ledger.note("clients that vanish", true, Ok(0));
}
