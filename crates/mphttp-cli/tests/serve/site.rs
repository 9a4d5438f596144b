//! Who may see what, and how it is sent: passwords, other origins, caches, compression, forms.

use std::fs;

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
    // By htpasswd 2.4.71: htpasswd -nbB -C 4 alice wonderland
    let hash = "alice:$2y$04$20NS5dQTGPNtBKSD72TdW.1zans4jeCh2swxx0FA.44VJTqN0lgEm\n\n";
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

#[test]
fn other_origins_may_read_where_they_are_let() {
    let server = serve(&["--cors", "--auth", "bob:builder"]);
    let hello = server.url("/hello.txt");
    let Some(answer) = curl(&["-u", "bob:builder", "-H", "Origin: https://a.example", "-r", "0-4", &hello])
    else {
        return;
    };
    assert!(answer.starts_with("HTTP/1.1 206 "), "{answer}");
    assert!(answer.contains("\naccess-control-allow-origin: *\n"), "{answer}");
    let exposed = answer.lines().find(|line| line.starts_with("access-control-expose-headers: ")).unwrap();
    for name in ["accept-ranges", "content-range", "etag"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    // RFC 9110 section 11.6.1: also who gets a 401 sees that it is one.
    let answer = curl(&["-H", "Origin: https://a.example", &hello]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("-allow-origin: *\n"), "{answer}");
    // A preflight has no password, and gets none of the files.
    let preflight = |url: &str, origin: &str, method: &str| {
        let (origin, method) =
            (format!("Origin: {origin}"), format!("Access-Control-Request-Method: {method}"));
        let wanted = "Access-Control-Request-Headers: range, authorization";
        curl(&["-X", "OPTIONS", "-H", &origin, "-H", &method, "-H", wanted, url]).unwrap()
    };
    let answer = preflight(&hello, "https://a.example", "GET");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("-allow-origin: *\n"), "{answer}");
    assert!(answer.contains("\naccess-control-allow-methods: GET,HEAD\n"), "{answer}");
    let allowed = answer.lines().find(|line| line.starts_with("access-control-allow-headers: ")).unwrap();
    assert!(allowed.contains("range") && allowed.contains("authorization"), "{allowed}");

    let server = serve(&["--cors=https://a.example", "--cors=http://b.example:8080", "--bind", "127.0.0.1"]);
    let hello = server.url("/hello.txt");
    for (origin, allowed) in [
        ("https://a.example", true),
        ("http://b.example:8080", true),
        ("http://a.example", false),
        ("null", false),
    ] {
        for answer in
            [curl(&["-H", &format!("Origin: {origin}"), &hello]).unwrap(), preflight(&hello, origin, "GET")]
        {
            let line = format!("\naccess-control-allow-origin: {origin}\n");
            assert_eq!(answer.contains(&line), allowed, "{origin}: {answer}");
            assert!(answer.to_lowercase().contains("\nvary: origin\n"), "{answer}");
        }
    }
    // What is no preflight is answered as ever.
    let answer = curl(&["-X", "OPTIONS", "-H", "Origin: https://a.example", &hello]).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 204 ") && answer.contains("\nallow: GET, HEAD, OPTIONS\n"),
        "{answer}"
    );
    let (code, said) = refused(&["--cors=example.org"]);
    assert!(code == Some(2) && said.contains("an origin is *, or scheme, host and port"), "{said}");
}

#[test]
fn fields_for_every_answer_another_index_and_hidden_files() {
    let server = serve(&[
        "--header",
        "X-Frame-Options: DENY",
        "--header",
        "Referrer-Policy:no-referrer",
        "--index",
        "page.html",
    ]);
    for (path, status) in [("/hello.txt", 200), ("/nothing", 404), ("/sub", 301), ("/.mphttp/check", 200)] {
        let Some(answer) = curl(&[&server.url(path)]) else { return };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("\nx-frame-options: DENY\n"), "{answer}");
        assert!(answer.contains("\nreferrer-policy: no-referrer\n"), "{answer}");
    }
    assert!(curl(&[&server.url("/")]).unwrap().ends_with("It works"));
    fs::write(server.directory.path().join(".env"), "for nobody").unwrap();
    assert!(curl(&[&server.url("/.env")]).unwrap().starts_with("HTTP/1.1 404 "));
    for wrong in ["no colon", "Content-Length: 5", "a b: c", "X: \u{7f}"] {
        let (code, said) = refused(&["--header", wrong]);
        assert_eq!(code, Some(2), "{wrong}: {said}");
    }
    assert_eq!(refused(&["--index", "../index.html"]).0, Some(2));
    let server = serve(&["--hidden", "--index", ""]);
    for name in [".env", "index.html"] {
        fs::write(server.directory.path().join(name), "for all").unwrap();
    }
    assert!(curl(&[&server.url("/.env")]).unwrap().ends_with("\n\nfor all"));
    assert!(curl(&[&server.url("/")]).unwrap().contains("href=\".env\""));
}

#[test]
fn an_application_with_routes_of_its_own() {
    let server = serve(&["--cache", "60", "--cache", "*.bin=31536000,immutable", "--spa=page.html"]);
    let Some(answer) = curl(&["-H", "Accept: text/html", &server.url("/users/7")]) else { return };
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("It works"), "{answer}");
    assert!(answer.contains("\ncache-control: max-age=60\n"), "{answer}");
    assert!(curl(&[&server.url("/users/7")]).unwrap().starts_with("HTTP/1.1 404 "));
    let answer = curl(&["-I", &server.url("/sub/big.bin")]).unwrap();
    assert!(answer.contains("\ncache-control: max-age=31536000, immutable\n"), "{answer}");
    for arguments in [&["--spa"][..], &["--spa=../page.html"], &["--cache", "for ever"], &["--cache", "[=5"]]
    {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
    }
}

#[test]
fn compressed_for_those_who_take_it_and_whole_for_downloads() {
    let server = serve(&["--compress", "--access-log", "json"]);
    let content: String = (0..400_000).map(|n| format!("line {n}\n")).collect();
    fs::write(server.directory.path().join("big.txt"), &content).unwrap();
    let target = server.directory.path().join("got");
    let got = target.to_str().unwrap();
    let sent =
        || serde_json::from_str::<serde_json::Value>(&server.line()).unwrap()["bytes"].as_u64().unwrap();
    for (accept, packed) in [("gzip", true), ("zstd", true), ("identity", false)] {
        let accept = format!("Accept-Encoding: {accept}");
        let Some(head) = curl(&["-I", "-H", &accept, &server.url("/big.txt")]) else { return };
        assert_eq!((sent(), head.contains("\ncontent-encoding: ")), (0, packed), "{head}");
        assert_eq!(head.contains("\ncontent-length: "), !packed, "{head}");
        // curl undoes what it knows.
        run("curl", &["-sS", "--compressed", "-H", &accept, "-o", got, &server.url("/big.txt")]).unwrap();
        let bytes = sent();
        assert_eq!(bytes < content.len() as u64 / 3, packed, "{bytes}");
        if accept != "Accept-Encoding: zstd" || text(&run("curl", &["-V"]).unwrap()).contains("zstd") {
            assert!(fs::read_to_string(&target).unwrap() == content);
        }
    }
    // A download as a whole, and one that goes on after a part, for which ranges are needed.
    let get = |arguments: &[&str]| {
        let output =
            mphttp().arg("get").args(arguments).args(["-f", "-o", got]).arg(server.url("/big.txt")).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read_to_string(&target).unwrap() == content);
    };
    get(&[]);
    assert_eq!(sent(), content.len() as u64);
    fs::write(&target, &content[..1_000_000]).unwrap();
    run("curl", &["-sS", "--compressed", "-C", "-", "-o", got, &server.url("/big.txt")]).unwrap();
    assert!(fs::read_to_string(&target).unwrap() == content);
    assert_eq!(sent(), content.len() as u64 - 1_000_000);
}
