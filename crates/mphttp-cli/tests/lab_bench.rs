//! `mphttp bench` against a real server, over two links, over one, and through a box that strips MPTCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;

use std::{
    fs,
    process::{Command, ExitCode, Output},
    time::{Duration, Instant},
};

use netlab::{BoxKind, LinkSpec, Rate, Segments};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Bench, MEGABYTE, mphttp};

fn main() -> ExitCode {
    support::main(vec![
        ("two links: all three are measured, and both links shown", two_links),
        ("one link is said to be one, and a stripped MPTCP to be TCP", one_link),
        ("a limit of bytes is kept to", limits),
        ("a server without MPTCP and without ranges is said to be so", poor_server),
        ("links that MPTCP does not use are said", no_endpoints),
        ("a picture appears whole or not at all", pictures),
        ("what can't be measured is an error", errors),
        ("what the URL says of users is not told", credentials),
    ])
}

fn command(bench: &Bench, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(mphttp());
    command.arg("bench").args(arguments).arg(bench.url(name));
    command.env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*");
    command
}

fn run(bench: &Bench, name: &str, arguments: &[&str]) -> Output {
    let mut command = command(bench, name, arguments);
    bench.client.run(|| command.output()).unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn remarks(value: &Value) -> String {
    value["remarks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|remark| remark.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

fn two_links() {
    let bench = Bench::new(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(50))));
    bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let picture = bench.path("bench.svg");
    let arguments = ["--rounds", "2", "--seconds", "1.5", "--json", "--svg", picture.to_str().unwrap()];
    let output = run(&bench, "big", &arguments);
    let value = json(&output);
    assert_eq!(value["links"], serde_json::json!(["wifi", "lte"]));
    let kinds = value["kinds"].as_array().unwrap();
    let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["tcp", "mptcp", "striped"]);
    for kind in kinds {
        println!("{}: {} Mbit/s, {} x TCP", kind["kind"], kind["median_mbit"], kind["ratio_to_tcp"]);
        let transfers = kind["transfers"].as_array().unwrap();
        assert_eq!(transfers.len(), 2);
        for transfer in transfers {
            assert!(transfer["error"].is_null() && transfer["whole"] == false, "{transfer}");
            let seconds = number(&transfer["seconds"]);
            assert!((1.0..6.0).contains(&seconds), "{seconds}");
            let samples = transfer["samples"].as_array().unwrap();
            assert!(samples.len() > 5);
            // They grow, and end with the sum.
            let bytes: Vec<f64> = samples.iter().map(|sample| number(&sample[1])).collect();
            assert!(bytes.is_sorted() && bytes.last() == transfer["bytes"].as_f64().as_ref());
            let links = transfer["links"].as_object().unwrap();
            if kind["kind"] == "tcp" {
                assert_eq!(links.keys().collect::<Vec<_>>(), ["wifi"]);
            } else {
                assert!(number(&links["wifi"]) > 1e6 && number(&links["lte"]) > 1e6, "{transfer}");
            }
        }
    }
    let [tcp, mptcp, striped] = [0, 1, 2].map(|index| number(&kinds[index]["median_mbit"]));
    // One link of 50 Mbit/s carries less than that, two carry more.
    assert!((25.0..51.0).contains(&tcp), "{tcp}");
    assert!((55.0..101.0).contains(&mptcp) && (55.0..101.0).contains(&striped), "{mptcp} {striped}");
    assert!((number(&kinds[1]["ratio_to_tcp"]) - mptcp / tcp).abs() < 1e-6);
    assert_eq!(kinds[1]["transfers"][0]["protocol"], "mptcp");
    assert_eq!(kinds[2]["transfers"][0]["strategy"], "striped");
    assert_eq!(remarks(&value), "");
    let lines = text(&output.stderr);
    assert!(lines.contains("6 transfers of at most 1.5 s") && lines.contains("round 2 of 2"), "{lines}");
    let svg = fs::read_to_string(picture).unwrap();
    assert!(svg.contains(">wifi<") && svg.contains(">lte<") && svg.ends_with("</svg>\n"));
    assert!(["TCP: ", "MPTCP: ", "striped: "].iter().all(|part| svg.contains(part)), "{svg}");
}

fn one_link() {
    let spec = LinkSpec::new().name("wan").rate(Rate::mbit(50)).delay(Duration::from_millis(5));
    let bench =
        Bench::new([spec.middlebox(BoxKind::StripMptcp { segments: Segments::All, direction: None })]);
    bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let output = run(&bench, "big", &["--rounds", "1", "--seconds", "1.5", "-q"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    println!("{shown}");
    assert!(shown.lines().take(22).all(|line| line.chars().count() <= 80), "{shown}");
    for part in [
        "MPTCP was not used: the peer, or a box on the way, answered without Multipath TCP",
        "one link with a default route, wan",
        "wan 100% (TCP!)",
    ] {
        assert!(shown.contains(part), "{part:?} not in\n{shown}");
    }
    // Alike as they are, each is seen.
    let plot: String = shown.lines().filter(|line| line.contains('│')).collect();
    for letter in ['T', 'M', 'S'] {
        assert!(plot.matches(letter).count() > 10, "{letter} is not in\n{shown}");
    }
}

fn limits() {
    let bench = Bench::new([LinkSpec::new().name("wan").rate(Rate::mbit(50))]);
    bench.file("big", 100 * MEGABYTE);
    let serving = bench.serve(&[]);
    let before = bench.carried();
    let value = json(&run(&bench, "big", &["--rounds", "1", "--seconds", "60", "--bytes", "3M", "--json"]));
    for kind in value["kinds"].as_array().unwrap() {
        let bytes = number(&kind["transfers"][0]["bytes"]);
        // What comes within a look, at most, is too much.
        assert!((3e6..6e6).contains(&bytes), "{kind}");
    }
    let carried = bench.carried() - before;
    println!("{carried} bytes went over the link for 9 MB");
    assert!(carried < 30 * MEGABYTE, "{carried}");
    serving.stop();
}

fn poor_server() {
    let bench = Bench::two_links();
    bench.file("small", 300_000);
    let _serving = bench.serve(&["--protocol", "tcp"]);
    let value = json(&run(&bench, "small", &["--rounds", "1", "--json"]));
    let remarks = remarks(&value);
    for part in ["MPTCP was not used", "the body came in less than 1 s", "nothing was striped"] {
        assert!(remarks.contains(part), "{part:?} not in {remarks}");
    }
    let mptcp = &value["kinds"][1]["transfers"][0];
    assert_eq!((&mptcp["protocol"], &mptcp["why_tcp"]), (&"tcp".into(), &"peer-or-path".into()));
    assert_eq!((&mptcp["whole"], mptcp["bytes"].as_u64()), (&true.into(), Some(300_000)));
}

fn no_endpoints() {
    let bench = Bench::new(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(50))));
    bench.client.path_manager().unwrap().flush().unwrap();
    bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(&[]);
    let value = json(&run(&bench, "big", &["--rounds", "1", "--seconds", "1", "--json"]));
    let remarks = remarks(&value);
    assert!(remarks.contains("MPTCP used one path, though there are 2 links (wifi, lte)"), "{remarks}");
    assert_eq!(value["kinds"][1]["transfers"][0]["protocol"], "mptcp");
}

fn pictures() {
    let bench = Bench::new([LinkSpec::new().name("wan").rate(Rate::mbit(50))]);
    bench.file("big", 100 * MEGABYTE);
    let _serving = bench.serve(&[]);
    // Ended in the middle: nothing is left.
    let folder = bench.path("pictures");
    fs::create_dir(&folder).unwrap();
    let picture = folder.join("bench.svg");
    let before = bench.carried();
    let ending = command(&bench, "big", &["--svg", picture.to_str().unwrap(), "-q"]);
    let mut child = bench.client.spawn(ending).unwrap();
    bench.wait_for(before + MEGABYTE);
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    // Where none can be, that is said before anything is measured.
    let start = Instant::now();
    let output = run(&bench, "big", &["--svg", "/nowhere/bench.svg"]);
    assert_eq!(output.status.code(), Some(23), "{}", text(&output.stderr));
    assert!(start.elapsed() < Duration::from_secs(3));
}

fn credentials() {
    let bench = Bench::two_links();
    bench.file("small", 300_000);
    let _serving = bench.serve(&[]);
    let url = bench.url("small");
    let mut command = Command::new(mphttp());
    command.args(["bench", "--rounds", "1", "--json"]).arg(url.replace("http://", "http://me:secret@"));
    command.env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*");
    let output = bench.client.run(|| command.output()).unwrap().unwrap();
    assert_eq!(json(&output)["url"], url);
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(!told.contains("secret"), "{told}");
}

fn errors() {
    let bench = Bench::two_links();
    bench.file("empty", 0);
    let _serving = bench.serve(&[]);
    let output = run(&bench, "nothing-here", &["--json"]);
    assert_eq!(output.status.code(), Some(22), "{}", text(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["error"]["kind"], "http-status");
    let output = run(&bench, "empty", &["-q"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("has no body to measure"), "{}", text(&output.stderr));
    for wrong in [["--rounds", "0"], ["--paths", "off"], ["--seconds", "0"]] {
        assert_eq!(run(&bench, "empty", &wrong).status.code(), Some(2), "{wrong:?}");
    }
}
