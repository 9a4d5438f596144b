//! Who may see what, and how it is sent: passwords, other origins, caches, compression, forms.

use std::{fs, process::Command};

use super::{Serve, mphttp, run, serve, text};

/// The answer's head and body, as curl shows them; `None`, which is said, without curl.
fn curl(arguments: &[&str]) -> Option<String> {
    run("curl", &[&["-sSi", "--max-time", "20"], arguments].concat()).map(|output| {
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        text(&output).replace('\r', "")
    })
}

/// The program's refusal to start: its exit code and what it says.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = mphttp().arg("serve").arg(folder.path()).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_password_is_asked_for_everywhere_rfc_7617() {
    let server = serve(&["--auth", "bob:builder", "--auth", "zoë:x y:z", "--access-log", "common"]);
    for path in ["/hello.txt", "/", "/nothing", "/.mphttp/check"] {
        let Some(answer) = curl(&[&server.url(path)]) else { return };
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(
            answer.contains("\nwww-authenticate: Basic realm=\"mphttp\", charset=\"UTF-8\"\n"),
            "{answer}"
        );
        assert!(server.line().starts_with("127.0.0.1 - - ["));
        let answer = curl(&["-u", "bob:Builder", &server.url(path)]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(server.line().starts_with("127.0.0.1 - - ["), "nobody has proved to be bob");
    }
    let answer = curl(&["-u", "bob:builder", &server.url("/hello.txt")]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\n\nhello, world\n"), "{answer}");
    assert!(server.line().starts_with("127.0.0.1 - bob ["));
    let answer = curl(&["-u", "zoë:x y:z", &server.url("/.mphttp/check")]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(server.line().starts_with("127.0.0.1 - zo\\xc3\\xab ["));
    let warned = |server: &Serve| server.banner.iter().any(|line| line.starts_with("Warning: without TLS"));
    assert!(warned(&server), "{:?}", server.banner);
    assert!(!warned(&serve(&["--auth", "bob:builder", "--bind", "127.0.0.1"])));
    assert!(!warned(&serve(&["--auth", "bob:builder", "--self-signed"])));
}

#[test]
fn passwords_come_from_a_file_as_htpasswd_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let users_name = users.to_str().unwrap();
    // By the program itself, where there is one.
    let hash = match Command::new("htpasswd").args(["-bnB", "-C", "4", "alice", "wonderland"]).output() {
        Ok(output) => text(&output),
        Err(_) => format!("alice:{}\n", bcrypt::hash("wonderland", 4).unwrap()),
    };
    fs::write(&users, hash).unwrap();
    let server = serve(&["--auth-file", users_name]);
    for (pair, status) in [("alice:wonderland", 200), ("alice:other", 401), ("bob:wonderland", 401)] {
        let Some(answer) = curl(&["-u", pair, &server.url("/hello.txt")]) else { return };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{pair}: {answer}");
    }
    fs::write(&users, "alice:plain\n").unwrap();
    let (code, said) = refused(&["--auth-file", users_name]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("users, line 1: that is no bcrypt hash") && said.contains("htpasswd -B"), "{said}");
    let (code, said) = refused(&["--auth", "bob"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--auth takes USER:PASSWORD"), "{said}");
}
