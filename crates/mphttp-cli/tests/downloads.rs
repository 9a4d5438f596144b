//! Downloads over every link: never slower than the best one, never lost. Real programs, real links, real losses.
//!
//! What is measured here only has to show that the means is the right one; `cargo xtask bench situations` measures how much
//! is won.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;

use std::{process::ExitCode, time::Duration};

use netlab::{LinkSpec, Rate};
use support::{Bench, MEGABYTE, seconds};

fn main() -> ExitCode {
    support::main(vec![
        ("100 + 100", || faster_than_tcp([(100, 0), (100, 0)], &[], 1.8, "mptcp")),
        ("100 + 10", || faster_than_tcp([(100, 0), (10, 0)], &[], 1.03, "striped")),
        ("50 + 5", || faster_than_tcp([(50, 0), (5, 0)], &[], 1.03, "striped")),
        ("200 + 50", || faster_than_tcp([(200, 0), (50, 0)], &[], 1.15, "striped")),
        ("500 + 500", || faster_than_tcp([(500, 0), (500, 0)], &[], 1.5, "mptcp")),
        ("100 near + 100 far", || faster_than_tcp([(100, 10), (100, 80)], &[], 1.6, "striped")),
        ("a TCP server, 100 + 100", || {
            faster_than_tcp([(100, 0), (100, 0)], &["--protocol", "tcp"], 1.8, "striped");
        }),
    ])
}

fn spec(name: &str, (mbit, delay): (u64, u64)) -> LinkSpec {
    let spec = LinkSpec::new().name(name).rate(Rate::mbit(mbit));
    if delay == 0 { spec } else { spec.delay(Duration::from_millis(delay)) }
}

fn links(links: [(u64, u64); 2]) -> Bench {
    let [wifi, lte] = links;
    Bench::new([spec("wifi", wifi), spec("lte", lte)])
}

/// Downloads over two links of such rates (Mbit/s) and delays (ms), and as plain TCP does over the first.
fn faster_than_tcp(rates: [(u64, u64); 2], serve: &[&str], wanted: f64, strategy: &str) {
    let bench = links(rates);
    let digest = bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(serve);
    let tcp = bench.get("big", &["--protocol", "tcp"]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!(tcp["strategy"], "single");
    let ours = bench.get("big", &[]).json();
    assert_eq!(bench.got(), digest);
    let ratio = seconds(&tcp, "seconds") / seconds(&ours, "seconds");
    println!("{ratio:.3} times as fast as TCP: {}", ours["links"]);
    assert!(ratio >= wanted, "{ratio:.3}");
    assert_eq!(ours["strategy"], strategy);
}
