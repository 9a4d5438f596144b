//! Where floods come to: a host that serves in four ways, one that attacks, and one whose user only wants to be served.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use mphttp::Client;
use netlab::{Host, Lab, LinkSpec};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::process::{Figures, Process, Serving};

/// How many connections each server takes, and how many a flood makes at each.
pub const ROOM: usize = 400;
pub const FLOOD: usize = 2 * ROOM;

const HELLO: &str = "hello, world\n";
/// How often a good client asks each server during a flood, half of it on a connection that is kept.
const ASKS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Serve,
    Tls,
    Reverse,
    Forward,
}

/// What is flooded.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub kind: Kind,
    pub address: SocketAddr,
}

impl Target {
    /// How a path is asked for here: a forward proxy wants to know where.
    pub fn path(&self, path: &str) -> String {
        match self.kind {
            Kind::Forward => format!("http://{}:{UPSTREAM}{path}", self.address.ip()),
            _ => path.to_owned(),
        }
    }
}

const SERVE: u16 = 8000;
const TLS: u16 = 8443;
const REVERSE: u16 = 8080;
const FORWARD: u16 = 3128;
/// What both proxies lead to.
pub const UPSTREAM: u16 = 9000;

pub struct Ground {
    pub server: Host,
    pub attacker: Host,
    good: Runtime,
    pub bad: Runtime,
    /// As the attacker reaches them.
    pub targets: Vec<Target>,
    /// As the good client does.
    wanted: Vec<Target>,
    processes: Vec<Process>,
    before: Vec<Figures>,
    _site: TempDir,
    _lab: Lab,
}

/// How a good client was served.
pub struct Served {
    pub requests: usize,
    pub median: Duration,
    pub longest: Duration,
    pub failures: Vec<String>,
}

/// A runtime whose sockets are the host's.
fn runtime(host: &Host) -> Runtime {
    let make = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    host.run(make).unwrap()
}

impl Ground {
    pub fn new(limits: &[&str]) -> Self {
        let lab = Lab::new().unwrap();
        let [good, attacker, server] = ["good", "attacker", "server"].map(|name| lab.host(name).unwrap());
        let near = lab.link(&good, &server, LinkSpec::new().name("near")).unwrap();
        let far = lab.link(&attacker, &server, LinkSpec::new().name("far")).unwrap();
        let site = tempfile::tempdir().unwrap();
        std::fs::write(site.path().join("hello.txt"), HELLO).unwrap();
        std::fs::write(site.path().join("big"), vec![b'x'; 20_000_000]).unwrap();
        let (seen, given) = (near.address(&server).unwrap(), far.address(&server).unwrap());
        let room = ROOM.to_string();
        let start = |name, metrics, arguments: &[&str], limits: &[&str]| {
            let arguments = arguments.iter().chain(limits).map(ToString::to_string).collect();
            Serving { host: server.clone(), name, arguments, metrics, descriptors: None }.start()
        };
        let directory = site.path().to_str().unwrap();
        let few = [&["--max-connections", &room][..], limits].concat();
        let upstream = format!("http://127.0.0.1:{UPSTREAM}");
        let processes = vec![
            start("serve", 9101, &["serve", directory, "--port", "8000", "--upload"], &few),
            start("serve, TLS", 9102, &["serve", directory, "--port", "8443", "--self-signed"], &few),
            start("proxy --to", 9103, &["proxy", "--listen", "8080", "--to", &upstream], &few),
            start(
                "proxy --forward",
                9104,
                &[
                    "proxy",
                    "--forward",
                    "--listen",
                    "[::]:3128",
                    "--allow",
                    "10.0.0.0/8",
                    "--allow-target",
                    "10.0.0.0/8",
                ],
                &few,
            ),
            start(
                "upstream",
                9105,
                &["serve", directory, "--port", "9000", "--upload"],
                &["--max-connections-per-address", "5000"],
            ),
        ];
        let targets = |at: IpAddr| {
            let kinds =
                [(Kind::Serve, SERVE), (Kind::Tls, TLS), (Kind::Reverse, REVERSE), (Kind::Forward, FORWARD)];
            kinds.map(|(kind, port)| Target { kind, address: SocketAddr::new(at, port) }).to_vec()
        };
        let mut ground = Self {
            good: runtime(&good),
            bad: runtime(&attacker),
            targets: targets(given),
            wanted: targets(seen),
            server,
            attacker,
            processes,
            before: Vec::new(),
            _site: site,
            _lab: lab,
        };
        // What the first requests make is not what floods leave behind.
        let first = ground.serve_well(Duration::from_secs(10));
        assert!(first.failures.is_empty(), "{:#?}", first.failures);
        ground.before = ground.processes.iter().map(Process::figures).collect();
        ground
    }

    /// Asks each server some times, and says how it went.
    pub fn serve_well(&self, bound: Duration) -> Served {
        let asking: Vec<_> = self.wanted.iter().map(|target| self.good.spawn(ask(*target, bound))).collect();
        let (mut times, mut failures) = (Vec::new(), Vec::new());
        for (asked, target) in asking.into_iter().zip(&self.wanted) {
            for outcome in self.good.block_on(asked).unwrap() {
                match outcome {
                    Ok(time) => times.push(time),
                    Err(error) => failures.push(format!("{:?}: {error}", target.kind)),
                }
            }
        }
        times.sort();
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        let (median, longest) = (at(times.len() / 2), at(times.len().saturating_sub(1)));
        Served { requests: times.len(), median, longest, failures }
    }

    /// What is wrong with the servers.
    pub fn faults(&mut self, memory: u64) -> Vec<String> {
        let mut faults = Vec::new();
        for process in &mut self.processes {
            faults.extend(process.faults());
            let (name, resident) = (process.serving.name, process.figures().resident);
            if resident > memory {
                faults.push(format!("{name} holds {} MB", resident >> 20));
            }
        }
        faults
    }

    /// How often the servers did what their limits ask of them.
    pub fn cuts(&self, why: &str) -> f64 {
        let name = format!("mphttp_connections_cut_total{{why=\"{why}\"}}");
        self.processes.iter().map(|process| process.metrics()[&name]).sum()
    }

    /// What became of connections, and what the servers hold.
    pub fn table(&self) -> String {
        let mut text =
            format!("{:<18} {:>8} {:>6} {:>8}  connections cut\n", "server", "memory", "fds", "threads");
        for process in &self.processes {
            let (figures, metrics) = (process.figures(), process.metrics());
            let cut = metrics.iter().filter_map(|(name, count)| {
                let why = name.strip_prefix("mphttp_connections_cut_total{why=\"")?.trim_end_matches("\"}");
                (*count > 0.0).then(|| format!("{why} {count}"))
            });
            let cut = cut.collect::<Vec<_>>().join(", ");
            let Figures { resident, descriptors, threads, .. } = figures;
            text += &format!(
                "{:<18} {:>5} MB {descriptors:>6} {threads:>8}  {cut}\n",
                process.serving.name,
                resident >> 20
            );
        }
        text
    }

    /// All that the floods took is given back.
    pub fn recovers(&self) {
        let begun = Instant::now();
        loop {
            let now: Vec<_> = self.processes.iter().map(Process::figures).collect();
            // Connections that are kept, to upstreams and by the good client, come and go.
            let kept = 2 * ASKS as u64 + 8;
            let flat = now.iter().zip(&self.before).all(|(now, before)| {
                now.descriptors <= before.descriptors + kept && now.connections <= before.connections + kept
            });
            if flat {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "before {:#?}, now {now:#?}", self.before);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

async fn ask(target: Target, bound: Duration) -> Vec<Result<Duration, String>> {
    let client = |kept| {
        let builder = Client::builder().danger_accept_invalid_certs(true).pool_max_idle_per_host(kept);
        let builder = match target.kind {
            Kind::Forward => builder.proxy(format!("http://{}", target.address)),
            _ => builder.no_proxy(),
        };
        builder.connect_timeout(bound).timeout(bound).build().unwrap()
    };
    let (kept, fresh) = (client(1), client(0));
    let scheme = if target.kind == Kind::Tls { "https" } else { "http" };
    let url = match target.kind {
        Kind::Forward => target.path("/hello.txt"),
        _ => format!("{scheme}://{}/hello.txt", target.address),
    };
    let mut outcomes = Vec::new();
    for number in 0..ASKS {
        let client = if number % 2 == 0 { &fresh } else { &kept };
        let begun = Instant::now();
        let asked = async { client.get(&url).send().await?.error_for_status()?.text().await };
        outcomes.push(match asked.await {
            Ok(text) if text == HELLO => Ok(begun.elapsed()),
            Ok(text) => Err(format!("{} bytes of something else", text.len())),
            Err(error) => Err(format!("{error} after {:?}", begun.elapsed())),
        });
        if begun.elapsed() * 2 > bound {
            // One is enough to know, where each waits for long.
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    outcomes
}
