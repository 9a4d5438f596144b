//! No terminal, and tiny ones.

use std::{fs::File, process::Stdio};

use crate::{
    Odd, program, run,
    support::{Bench, MEGABYTE, mphttp},
    terminal::Terminal,
};

pub const ODD: &[Odd] = &[
    Odd {
        name: "no terminal",
        made: "stdin, stdout and stderr that are closed, that are a full device, and that are files",
        expected: "`get` and `serve` do their work; `top` says to use `--once` (exit code 2); output that is asked for and can't be written is \
                   an error (exit code 23)",
        test: no_terminal,
    },
    Odd {
        name: "a tiny terminal",
        made: "terminals of 1 column and 1 row up to 20 and 5",
        expected: "`top` draws what fits and obeys its keys; the progress of `get` doesn't keep it from ending",
        test: tiny,
    },
];

fn no_terminal() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    let _serving = bench.serve(&[]);
    let url = bench.url("small");
    run(&bench.client, program(&["top"])).assert(2, "--once");

    let output = bench.path("got").display().to_string();
    let mut closed = std::process::Command::new("sh");
    closed.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh", &mphttp(), "get", "-o", &output, &url]);
    run(&bench.client, closed).assert(0, "");
    assert_eq!(bench.got(), digest);

    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut get = program(&["get", "-o", &output, &url]);
    get.stderr(full());
    run(&bench.client, get).assert(0, "");
    for arguments in
        [vec!["get", &url], vec!["doctor"], vec!["paths"], vec!["top", "--once", "--interval", "0"]]
    {
        let mut command = program(&arguments);
        command.stdout(full());
        let status = bench.client.run(|| command.stderr(Stdio::piped()).spawn()).unwrap().unwrap();
        let said = crate::Said::from(status.wait_with_output().unwrap());
        said.assert(23, "stdout");
    }
}

fn tiny() {
    let bench = Bench::two_links();
    bench.file("small", MEGABYTE / 10);
    let _serving = bench.serve(&[]);
    let url = bench.url("small");
    for (columns, rows) in [(1, 1), (2, 1), (1, 2), (20, 5)] {
        let mut terminal = Terminal::new(columns, rows);
        let mut top = terminal.spawn(&bench.client, program(&["top"]));
        terminal.wait_for("its own screen", |_| true);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(15);
        while !terminal.in_alternate_screen() {
            assert!(std::time::Instant::now() < deadline, "{columns}x{rows}: no screen");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        terminal.keys("q");
        assert_eq!(top.code(), Some(0), "{columns}x{rows}");
        terminal.assert_restored();
        let mut get = terminal.spawn(&bench.client, program(&["get", "-o", "/dev/null", &url]));
        assert_eq!(get.code(), Some(0), "{columns}x{rows}");
    }
}
