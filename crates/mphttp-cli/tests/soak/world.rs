//! Two hosts, two links, the servers, and disks that can be filled.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use netlab::{Host, Lab, Link, LinkSpec, Rate};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use tempfile::TempDir;

use super::process::{Figures, Process, Serving};

/// xorshift64: the same troubles for the same seed.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.below(u64::MAX).to_le_bytes());
        words.flatten().take(length).collect()
    }
}

/// Files that are served: name and size.
pub const FILES: [(&str, usize); 3] = [("small", 4_000), ("middle", 100_000), ("big", 2_000_000)];

pub const SERVE: u16 = 8000;
pub const UPLOADS: u16 = 8001;
pub const FEW: u16 = 8002;
pub const TLS: u16 = 8443;
pub const PROXY: u16 = 8080;

/// How many descriptors the server has that is to run out of them.
const DESCRIPTORS: u32 = 90;

pub struct World {
    pub lab: Lab,
    pub client: Host,
    pub server: Host,
    pub links: [Link; 2],
    pub processes: Vec<Process>,
    pub contents: Vec<Vec<u8>>,
    folder: TempDir,
}

/// Mounts of this process are seen by nobody else.
pub fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}

/// How many descriptors this process has.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

impl World {
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let (client, server) = (lab.host("client").unwrap(), lab.host("server").unwrap());
        let link =
            |name| lab.link(&client, &server, LinkSpec::new().name(name).rate(Rate::mbit(100))).unwrap();
        let links = [link("wifi"), link("lte")];
        lab.enable_multipath(&client, &server).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("www")).unwrap();
        for (disk, size) in [("uploads", "size=24m"), ("downloads", "size=64m")] {
            fs::create_dir(path(disk)).unwrap();
            mount(Some("tmpfs"), &path(disk), Some("tmpfs"), MsFlags::empty(), Some(size)).unwrap();
        }
        let mut random = Random::new(7);
        let contents: Vec<_> = FILES.iter().map(|(_, size)| random.bytes(*size)).collect();
        for ((name, _), bytes) in FILES.iter().zip(&contents) {
            fs::write(path("www").join(name), bytes).unwrap();
        }
        let (www, uploads) = (path("www").display().to_string(), path("uploads").display().to_string());
        let serving = |name, metrics, descriptors, arguments: &[&str]| {
            let short = ["--keep-alive-timeout", "6", "--head-timeout", "6", "--idle-timeout", "6"];
            let arguments = arguments.iter().chain(&short).map(ToString::to_string).collect();
            Serving { host: server.clone(), name, arguments, metrics, descriptors }
        };
        let processes = [
            serving("serve", 9101, None, &["serve", &www, "--port", "8000"]),
            serving(
                "serve --upload",
                9102,
                None,
                &["serve", &uploads, "--port", "8001", "--upload", "--overwrite"],
            ),
            serving("serve, few descriptors", 9103, Some(DESCRIPTORS), &["serve", &www, "--port", "8002"]),
            serving("serve --self-signed", 9104, None, &["serve", &www, "--port", "8443", "--self-signed"]),
            serving(
                "proxy --to",
                9105,
                None,
                &["proxy", "--listen", "8080", "--to", "http://127.0.0.1:8000"],
            ),
        ];
        let processes = processes.iter().map(Serving::start).collect();
        Self { lab, client, server, links, processes, contents, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Removes what uploads and downloads that came to nothing have left.
    pub fn tidy(&self) {
        for disk in ["uploads", "downloads"] {
            for entry in fs::read_dir(self.path(disk)).unwrap() {
                let path = entry.unwrap().path();
                let _ = if path.is_dir() { empty(&path) } else { fs::remove_file(&path) };
            }
        }
    }

    /// What the servers hold when nobody asks anything of them: as soon as that is no more than before, at last after a while.
    pub fn at_rest(&self, before: Option<&[Figures]>) -> Vec<Figures> {
        let begun = Instant::now();
        loop {
            let now: Vec<_> = self.processes.iter().map(Process::figures).collect();
            let quiet = now.iter().all(|figures| figures.connections == 0 && figures.in_flight == 0);
            let flat = before.is_none_or(|before| self.grown(before, &now).is_empty());
            if (quiet && flat) || begun.elapsed() > Duration::from_secs(40) {
                return now;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What the servers hold that they should not: more memory than half as much again, or 24 MB more (what an allocator keeps
    /// of a crowd); 8 descriptors more; 4 threads more; any connection or request.
    pub fn grown(&self, before: &[Figures], after: &[Figures]) -> Vec<String> {
        let mut grown = Vec::new();
        for ((process, before), after) in self.processes.iter().zip(before).zip(after) {
            let name = process.serving.name;
            for (what, after, most) in [
                ("memory", after.resident, before.resident + (before.resident / 2).max(24 << 20)),
                ("descriptors", after.descriptors, before.descriptors + 8),
                ("threads", after.threads, before.threads + 4),
                ("connections", after.connections, 0),
                ("requests in flight", after.in_flight, 0),
            ] {
                if after > most {
                    grown.push(format!("{name}: {what}: {after} are more than {most}"));
                }
            }
        }
        grown
    }

    pub fn table(&self, before: &[Figures], after: &[Figures]) -> String {
        let mut text = format!(
            "{:<24} {:>16} {:>12} {:>10} {:>12}\n",
            "server: before, after", "memory, MB", "descriptors", "threads", "connections"
        );
        for ((process, before), after) in self.processes.iter().zip(before).zip(after) {
            let pair = |of: fn(&Figures) -> u64| format!("{} {}", of(before), of(after));
            let memory = |figures: &Figures| format!("{:.1}", figures.resident as f64 / 1e6);
            text += &format!(
                "{:<24} {:>16} {:>12} {:>10} {:>12}\n",
                process.serving.name,
                format!("{} {}", memory(before), memory(after)),
                pair(|figures| figures.descriptors),
                pair(|figures| figures.threads),
                pair(|figures| figures.connections),
            );
        }
        text
    }

    pub fn faults(&mut self) -> Vec<String> {
        self.processes.iter_mut().flat_map(Process::faults).collect()
    }

    /// Whether a server said that it had no descriptors left.
    pub fn lacked_descriptors(&self) -> bool {
        let said = self.processes.iter().flat_map(Process::said);
        said.into_iter().any(|line| line.contains("can't accept connections for now"))
    }
}

/// Removes what is in a directory, and leaves it: a server holds it.
fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

impl Drop for World {
    fn drop(&mut self) {
        self.processes.clear();
        for disk in ["uploads", "downloads"] {
            let _ = umount2(&self.path(disk), MntFlags::MNT_DETACH);
        }
    }
}
