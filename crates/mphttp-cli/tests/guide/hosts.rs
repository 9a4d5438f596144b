//! The ground that pages stand on: two hosts with two links, the names that pages use, and what a reader would have at hand.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use netlab::{Host, Lab, LinkSpec, Rate};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

/// The server's address on the first link, which all the names stand for (RFC 2606, RFC 6761).
const SERVER: &str = "10.1.0.2";
const NAMES: &str = "server far.example far app.example example.com example.net example.org";

/// By htpasswd 2.4.71: `htpasswd -nbB -C 4 alice wonderland`.
const USERS: &str = "alice:$2y$04$20NS5dQTGPNtBKSD72TdW.1zans4jeCh2swxx0FA.44VJTqN0lgEm\n";

/// How long the file is that pages call big.iso: enough for a second path, which comes with the first data.
const BIG: usize = 8_000_000;

/// What all blocks share.
pub struct Ground {
    folder: tempfile::TempDir,
    python: Option<PathBuf>,
}

/// One block's hosts.
pub struct Hosts {
    _lab: Lab,
    _folder: tempfile::TempDir,
    pub client: Place,
    pub server: Place,
}

/// A host, and what a shell there has.
pub struct Place {
    pub host: Host,
    pub name: &'static str,
    pub folder: PathBuf,
    pub environment: BTreeMap<String, String>,
}

impl Ground {
    /// Gives this process an `/etc/hosts` of its own. Call it while there is one thread.
    pub fn new(python: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        fs::write(path("hosts"), format!("127.0.0.1 localhost\n::1 localhost\n{SERVER} {NAMES}\n")).unwrap();
        // Nobody answers there, at once: the machine's own resolver is out of reach, and would be waited for.
        fs::write(path("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        for name in ["hosts", "resolv.conf"] {
            let there = std::path::Path::new("/etc").join(name);
            if there.exists() {
                mount(Some(&path(name)), &there, nothing, MsFlags::MS_BIND, nothing).unwrap();
            }
        }

        fs::create_dir(path("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_mphttp"), path("bin/mphttp")).unwrap();
        // In a namespace of one's own one is root already.
        fs::write(path("bin/sudo"), "#!/bin/sh\nexec \"$@\"\n").unwrap();
        fs::set_permissions(path("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();

        let mut big = fs::File::create(path("big.iso")).unwrap();
        let mut state = 88_172_645_463_325_252_u64;
        let mut bytes = Vec::with_capacity(BIG);
        while bytes.len() < BIG {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_ne_bytes());
        }
        big.write_all(&bytes).unwrap();

        let names: Vec<String> = NAMES.split(' ').chain([SERVER]).map(str::to_owned).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(path("chain.pem"), made.cert.pem()).unwrap();
        fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, python }
    }

    /// Two hosts with links between them; the kernel uses both, unless they are to be `bare`.
    pub fn hosts(&self, bare: bool) -> Hosts {
        let lab = Lab::new().unwrap();
        let [client, server] = ["client", "server"].map(|name| lab.host(name).unwrap());
        for name in ["wlan0", "wwan0"] {
            lab.link(&client, &server, LinkSpec::new().name(name).rate(Rate::mbit(100))).unwrap();
        }
        if !bare {
            lab.enable_multipath(&client, &server).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let place = |host, name: &'static str| {
            let home = folder.path().join(name);
            for folder in ["files", "incoming", "run"] {
                fs::create_dir_all(home.join(folder)).unwrap();
            }
            for name in ["chain.pem", "key.pem"] {
                fs::copy(self.folder.path().join(name), home.join(name)).unwrap();
            }
            Place { host, name, environment: self.environment(&home), folder: home }
        };
        let (client, server) = (place(client, "client"), place(server, "server"));
        fs::write(server.folder.join("users"), USERS).unwrap();
        fs::hard_link(self.folder.path().join("big.iso"), server.folder.join("files/big.iso")).unwrap();
        Hosts { _lab: lab, _folder: folder, client, server }
    }

    fn environment(&self, home: &std::path::Path) -> BTreeMap<String, String> {
        let mut path = vec![self.folder.path().join("bin")];
        path.extend(self.python.iter().filter_map(|python| Some(python.parent()?.to_owned())));
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        // Where `ip` and `sysctl` are, which not everybody has in the PATH.
        path.extend(["/usr/sbin".into(), "/sbin".into()]);
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let certificates = text(self.folder.path().join("chain.pem"));
        [
            ("PATH", std::env::join_paths(path).unwrap().into_string().unwrap()),
            ("HOME", text(home.to_owned())),
            ("TMPDIR", text(home.join("run"))),
            ("RUNTIME_DIRECTORY", text(home.join("run"))),
            ("XDG_RUNTIME_DIR", text(home.join("run"))),
            ("LANG", "C.UTF-8".to_owned()),
            ("CURL_CA_BUNDLE", certificates.clone()),
            ("REQUESTS_CA_BUNDLE", certificates.clone()),
            ("SSL_CERT_FILE", certificates),
            // Both hosts may run programs that remember counters for their user.
            ("NSTAT_HISTORY", text(home.join("nstat"))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

impl Hosts {
    pub fn place(&mut self, name: &str) -> &mut Place {
        match name {
            "client" | "near" | "laptop" => &mut self.client,
            "server" | "far" => &mut self.server,
            _ => panic!("there is no host {name}"),
        }
    }
}
