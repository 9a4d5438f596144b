//! What connections cost that do nothing.

use super::*;

/// More than parked connections take, with what the allocator keeps of those that were served at once; half of what it would
/// be with the HTTP state and the buffers of all.
const BYTES_EACH: u64 = 12_000;
const CONNECTIONS: u64 = 2000;
/// How many ask at once, and how long it then takes at least until they are parked.
const AT_ONCE: usize = 400;
const PARKED: Duration = Duration::from_millis(1500);

/// What belongs to this process alone, in bytes: `Pss_Anon` of proc_pid_smaps(5).
fn own_memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

fn entries(pid: u32, what: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count()
}

fn ask(stream: &mut std::net::TcpStream) {
    stream.write_all(b"GET /hello.txt HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"hello, world\n") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
}

/// Waits until something is so.
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn thousands_of_idle_connections_cost_little_and_answer() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // The program that is started has the same limit.
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let serve = serve(&["--protocol", "tcp", "--access-log", "off"]);
    let pid = serve.child.id();
    let connect = || {
        let stream = std::net::TcpStream::connect(serve.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    };
    // What the first ones make is not what each costs.
    let mut first: Vec<_> = (0..50).map(|_| connect()).collect();
    first.iter_mut().for_each(ask);
    drop(first);
    until("the first connections end", || entries(pid, "fd") < 50);
    let (fds, threads, before) = (entries(pid, "fd"), entries(pid, "task"), own_memory(pid));
    let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
    for some in streams.chunks_mut(AT_ONCE) {
        some.iter_mut().for_each(ask);
        thread::sleep(PARKED);
    }
    let mut each = 0;
    until("memory is given back", || {
        each = own_memory(pid).saturating_sub(before) / CONNECTIONS;
        each < BYTES_EACH
    });
    println!("{each} bytes for each idle connection");
    streams.iter_mut().for_each(ask);
    drop(streams);
    until("descriptors are given back", || entries(pid, "fd") <= fds);
    until("threads are given back", || entries(pid, "task") <= threads);
}
