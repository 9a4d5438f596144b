#![allow(missing_docs)]
#[path = "support/lab.rs"]
mod support;
use netlab::{LinkSpec, Rate};
use std::{
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};
use support::{Bench, MEGABYTE, mphttp};
fn main() -> ExitCode {
    netlab::enter().unwrap();
    let var = |n: &str, d: &str| std::env::var(n).unwrap_or(d.to_owned());
    let links = var("LINKS", "100:0:0,100:0:0");
    let specs: Vec<LinkSpec> = links
        .split(',')
        .zip(["wifi", "lte", "third"])
        .map(|(t, name)| {
            let f: Vec<f64> = t.split(':').map(|x| x.parse().unwrap()).collect();
            let mut s = LinkSpec::new().name(name).rate(Rate::mbit(f[0] as u64));
            if f[1] > 0.0 {
                s = s.delay(Duration::from_secs_f64(f[1] / 1000.0));
            }
            if f[2] > 0.0 {
                s = s.loss(f[2] / 100.0);
            }
            s
        })
        .collect();
    let bench = Bench::new(specs);
    if let Ok(cc) = std::env::var("CONGESTION") {
        bench.server.sysctl("net.ipv4.tcp_congestion_control", &cc).unwrap();
    }
    if std::env::var_os("NOMPTCP").is_some() {
        bench.client.sysctl("net.mptcp.enabled", "0").unwrap();
    }
    let mb: u64 = var("MB", "100").parse().unwrap();
    bench.file("big", mb * MEGABYTE);
    let serve = var("SERVE", "");
    let serve: Vec<&str> = serve.split_whitespace().collect();
    let _serving = bench.serve(&serve);
    let which: usize = var("URL", "0").parse().unwrap();
    let url = format!("http://{}:8000/big", bench.links[which].address(&bench.server).unwrap());
    for args in var("ARGS", "").split(';') {
        for _ in 0..var("N", "1").parse().unwrap() {
            let mut c = Command::new(mphttp());
            c.args(["get", "-o"])
                .arg(bench.path("got"))
                .args(args.split_whitespace())
                .arg(&url)
                .env("no_proxy", "*")
                .env("NO_COLOR", "1");
            c.stdout(Stdio::inherit()).stderr(Stdio::piped());
            let t = Instant::now();
            let child = bench.client.spawn(c).unwrap();
            if let Ok(k) = std::env::var("KILL") {
                let f: Vec<String> = k.split(':').map(str::to_owned).collect();
                bench.wait_for(bench.carried() + f[2].parse::<u64>().unwrap() * MEGABYTE);
                println!("killing at {:.3}", t.elapsed().as_secs_f64());
                let i: usize = f[0].parse().unwrap();
                if f[1] == "hole" {
                    bench.links[i].set_black_hole(true).unwrap();
                } else {
                    bench.links[i].set_carrier(false).unwrap();
                }
            }
            let out = child.wait_with_output().unwrap();
            let s = t.elapsed().as_secs_f64();
            println!("[{args}] {s:.3} s = {:.1} Mbit/s", mb as f64 * 8.0 / s);
            println!("{}", String::from_utf8_lossy(&out.stderr));
        }
    }
    ExitCode::SUCCESS
}
