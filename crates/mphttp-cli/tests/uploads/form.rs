//! Forms, as curl and browsers without script send them: which files they leave, and which nothing.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use super::support::{Serving, Site, curl, digest, ended, eventually, failed, upload, went_well};

/// A form of files, each with its name and content, as a browser writes it down.
fn form(files: &[(&str, &str)]) -> String {
    let parts = files.iter().map(|(name, content)| {
        let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        format!("--edge\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n")
    });
    parts.collect::<String>() + "--edge--\r\n"
}

/// Posts it as a browser would; the whole answer.
fn post(serving: &Serving, path: &str, fields: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: multipart/form-data; boundary=edge\r\n{fields}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        serving.port,
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn curl_sends_several_files_at_once() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let (one, two) = (site.file("one ä.bin", 3_000_000), site.file("two", 0));
    let field = |file: &std::path::Path| format!("file=@\"{}\"", file.display());
    let (field_one, field_two) = (field(&one), field(&two));
    let arguments = ["-F", "comment=no file", "-F", &field_one, "-F", &field_two, &serving.url("/in/")];
    let (text, status) = curl(&arguments);
    assert_eq!((status, text.as_str()), (201, "Stored: one ä.bin\nStored: two\n"));
    assert_eq!(digest(&site.served("in/one ä.bin")), digest(&one));
    assert_eq!(fs::metadata(site.served("in/two")).unwrap().len(), 0);
    assert!(site.unfinished().is_empty());
    // What is there stays, and is no reason to leave the others out.
    fs::write(&one, "other").unwrap();
    let new = site.file("new", 10);
    let field_new = field(&new);
    let (text, status) = curl(&["-F", &field_one, "-F", &field_new, &serving.url("/in/")]);
    assert_eq!(status, 409, "{text}");
    assert!(text.starts_with("Not stored: one ä.bin: There is a file of that name already"), "{text}");
    assert!(text.ends_with("\nStored: new\n"), "{text}");
    assert_eq!(fs::metadata(site.served("in/one ä.bin")).unwrap().len(), 3_000_000);
    assert_eq!(digest(&site.served("in/new")), digest(&new));
    drop(serving);
    let serving = site.serve(0, &["--upload", "--overwrite", "--max-upload", "1M"]);
    assert_eq!(curl(&["-F", &field_one, &serving.url("/in/")]).1, 201);
    assert_eq!(fs::read(site.served("in/one ä.bin")).unwrap(), b"other");
    // What is longer than it may be leaves nothing.
    let long = site.file("long", 1_000_001);
    let (text, status) = curl(&["-F", &field(&long), &serving.url("/in/")]);
    assert!(status == 413 && text.contains("1000000 bytes"), "{status} {text}");
    assert!(!site.served("in/long").exists() && site.unfinished().is_empty());
    // Without a file, to no folder, to a server that takes none.
    assert_eq!(curl(&["-F", "comment=x", &serving.url("/in/")]).1, 400);
    assert_eq!(curl(&["-F", &field_new, &serving.url("/none/")]).1, 409);
    assert_eq!(curl(&["-F", &field_new, &serving.url("/in/new")]).1, 409);
    assert_eq!(curl(&["-F", &field_new, &serving.url("/.mphttp-uploads/")]).1, 404);
    drop(serving);
    let serving = site.serve(0, &[]);
    assert_eq!(curl(&["-F", &field_new, &serving.url("/")]).1, 405);
    assert!(!curl(&[&serving.url("/")]).0.contains("<form"));
}

#[test]
fn folders_are_made_and_names_lead_nowhere_else() {
    let site = Site::new();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), site.served("in/out")).unwrap();
    std::os::unix::fs::symlink("/nowhere", site.served("in/dangling")).unwrap();
    fs::write(site.served("in/file"), "mine").unwrap();
    let serving = site.serve(0, &["--upload", "--overwrite"]);
    let answer = post(&serving, "/in/", "", &form(&[("a/b/c.txt", "deep"), ("a/d.txt", "less"), ("", "")]));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(fs::read(site.served("in/a/b/c.txt")).unwrap(), b"deep");
    assert_eq!(fs::read(site.served("in/a/d.txt")).unwrap(), b"less");
    for name in [
        "../up",
        "a/../../up",
        "/etc/up",
        "a//up",
        ".up",
        "a/.git/up",
        "..",
        "a\\\\up",
        "a\tup",
        ".mphttp-uploads/up",
        "file/up",
        "out/up",
        "a/b",
        "dangling",
        "out",
    ] {
        let answer = post(&serving, "/in/", "", &form(&[(name, "evil"), ("good", name)]));
        let status = answer.split(' ').nth(1).unwrap();
        assert!(matches!(status, "400" | "403" | "404" | "409"), "{name}: {answer}");
        assert!(answer.contains("Not stored: "), "{name}: {answer}");
        assert_eq!(fs::read_to_string(site.served("in/good")).unwrap(), name, "the other is fine");
    }
    let long = format!("{}/up", "x".repeat(300));
    assert!(post(&serving, "/in/", "", &form(&[(&long, "")])).starts_with("HTTP/1.1 400 "));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(fs::read(site.served("in/file")).unwrap(), b"mine");
    let found =
        std::process::Command::new("find").arg(site.served("..")).args(["-name", "*up"]).output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
    assert!(site.unfinished().is_empty());
}

#[test]
fn pages_of_other_sites_upload_nothing() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload", "--cors"]);
    let form = form(&[("x", "content")]);
    for field in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nOrigin: http://127.0.0.1:1\r\n",
    ] {
        let answer = post(&serving, "/in/", field, &form);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{field}: {answer}");
        assert!(!site.served("in/x").exists());
    }
    let own = format!("Origin: http://127.0.0.1:{}\r\nAccept: text/html\r\n", serving.port);
    let answer = post(&serving, "/in/?sort=size", &own, &form);
    assert!(answer.starts_with("HTTP/1.1 303 ") && answer.contains("\r\nlocation: ./\r\n"), "{answer}");
    assert_eq!(fs::read(site.served("in/x")).unwrap(), b"content");
    // No preflight lets another site's script do what a form can't.
    for method in ["PUT", "POST", "PATCH"] {
        let asked = format!("Access-Control-Request-Method: {method}");
        let arguments = ["-i", "-X", "OPTIONS", "-H", "Origin: https://evil.example", "-H", &asked];
        let (head, _) = curl(&[&arguments[..], &[&serving.url("/in/y")]].concat());
        assert!(head.contains("access-control-allow-methods: GET,HEAD\r\n"), "{head}");
    }
}

#[test]
fn what_is_cut_short_or_no_form_leaves_nothing() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let whole = form(&[("first", "1"), ("second", "22")]);
    // An end that the length agrees with: what was whole by then is kept, and said.
    let cut = whole.len() - "2\r\n--edge--\r\n".len();
    let answer = post(&serving, "/in/", "", &whole[..cut]);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Stored: first\n"), "{answer}");
    assert!(site.served("in/first").exists() && !site.served("in/second").exists());
    for body in ["", "--edge", "--other\r\n\r\n", "--edge\r\nno header\r\n\r\nx\r\n--edge--\r\n"] {
        let answer = post(&serving, "/in/", "", body);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
    }
    // A header without end is not kept in memory for ever.
    let endless = format!("--edge\r\nX: {}", "x".repeat(3 << 20));
    assert!(post(&serving, "/in/", "", &endless).starts_with("HTTP/1.1 400 "));
    // A connection that breaks.
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    let start = form(&[("half", &"x".repeat(1000))]);
    write!(
        stream,
        "POST /in/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=edge\r\nContent-Length: 5000\r\n\r\n{}",
        &start[..500]
    )
    .unwrap();
    eventually("it has begun", || !site.unfinished().is_empty());
    stream.shutdown(Shutdown::Both).unwrap();
    eventually("it is gone", || site.unfinished().is_empty());
    assert!(!site.served("in/half").exists());
}

#[test]
fn a_form_needs_the_password_too() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload", "--auth", "bob:builder"]);
    assert!(serving.banner.iter().any(|line| line.starts_with("Uploads are on: whoever has a password")));
    let file = format!("file=@{}", site.file("f", 10).display());
    assert_eq!(curl(&["-F", &file, &serving.url("/in/")]).1, 401);
    assert!(!site.served("in/f").exists());
    assert_eq!(curl(&["-u", "bob:builder", "-F", &file, &serving.url("/in/")]).1, 201);
    let other = site.file("g", 10);
    failed(&ended(upload(&other, &serving.url("/in/"), &["-f"])), 22, "401");
    went_well(&ended(upload(&other, &serving.url("/in/"), &["-u", "bob:builder"])));
    assert_eq!(digest(&site.served("in/g")), digest(&other));
}

#[test]
fn a_form_is_never_whole_in_memory() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let file = site.file("big", 0);
    fs::File::options().write(true).open(&file).unwrap().set_len(400_000_000).unwrap();
    let before = serving.memory();
    assert_eq!(curl(&["-F", &format!("file=@{}", file.display()), &serving.url("/in/")]).1, 201);
    let after = serving.memory();
    println!("{before} kB, then {after} kB");
    assert!(after < before + 50_000, "{before} kB, then {after} kB");
    assert_eq!(fs::metadata(site.served("in/big")).unwrap().len(), 400_000_000);
}
