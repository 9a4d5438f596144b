//! What a terminal gets: progress, and no garbage.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use nix::pty::{Winsize, openpty};

use super::support::{Server, command, read_head};

/// Runs the program on a terminal; gives its exit code and what the terminal was sent.
fn on_a_terminal(arguments: &[&str], stdout_too: bool) -> (Option<i32>, String) {
    let size = Winsize { ws_row: 25, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).unwrap();
    let mut command = command();
    command.args(arguments).env("TERM", "xterm").stderr(terminal.slave.try_clone().unwrap());
    command.stdout(if stdout_too { terminal.slave.try_clone().unwrap().into() } else { Stdio::null() });
    let mut running: Child = command.spawn().unwrap();
    // Its ends of the terminal must be the last: reading ends, with an error, when they are gone.
    drop((command, terminal.slave));
    let mut shown = Vec::new();
    let _ = File::from(terminal.master).read_to_end(&mut shown);
    (running.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn progress_has_a_row_per_path() {
    let server = Server::new(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        for _ in 0..10 {
            let _ = stream.write_all(&[b'x'; 100_000]);
            thread::sleep(Duration::from_millis(50));
        }
    });
    let (code, shown) = on_a_terminal(&["-o", "/dev/null", &server.url()], false);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("/1.00 MB"), "{shown}");
    let row = shown.split(['\n', '\r']).find(|line| line.contains("  lo  ")).expect("a row for the path");
    assert!(row.contains("bit/s") && row.contains("100%"), "{row}");
    assert!(shown.contains("1.0 MB in ") && shown.contains(" over TCP: "), "{shown}");
    let (_, quiet) = on_a_terminal(&["-qo", "/dev/null", &server.url()], false);
    assert_eq!(quiet, "");
}

#[test]
fn a_terminal_gets_text_but_nothing_binary_unasked() {
    let text = Server::of("hello");
    let (code, shown) = on_a_terminal(&["-q", &text.url()], true);
    assert_eq!((code, shown.as_str()), (Some(0), "hello"));
    let binary = Server::of("\0\x01\x02");
    let (code, shown) = on_a_terminal(&["-q", &binary.url()], true);
    assert!(code == Some(23) && shown.contains("would garble the terminal"), "{shown}");
    let (code, shown) = on_a_terminal(&["-q", "-o", "-", &binary.url()], true);
    assert_eq!((code, shown.as_str()), (Some(0), "\0\x01\x02"));
}

#[test]
fn header_fields_give_a_terminal_no_orders() {
    // U+009B is what ESC and [ are together (ECMA-48 section 5.3).
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nX-A: \u{9b}2J\u{e9}\r\nContent-Length: 5\r\n\r\nhello");
    let (code, shown) = on_a_terminal(&["-qi", &server.url()], true);
    assert!(
        code == Some(0) && shown.contains("x-a: \u{fffd}2J\u{e9}") && shown.ends_with("hello"),
        "{shown:?}"
    );
    let ended = super::get(["-qi", &server.url()]);
    assert!(ended.stdout.contains("x-a: \u{9b}2J\u{e9}"), "{ended:?}");
}
