//! What `files` promises, case by case, on real directories. Conditional requests and ranges are cases of the crate `http-cases`.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "files/confined.rs"]
mod confined;
#[cfg(target_os = "linux")]
#[path = "files/kept.rs"]
mod kept;
#[path = "files/shaped.rs"]
mod shaped;
#[path = "files/site.rs"]
mod site;
#[path = "files/wire.rs"]
mod wire;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use http::Method;
use mphttp::files::Files;

use site::{Site, ask};

#[tokio::test]
async fn a_file_with_all_that_belongs_to_it() {
    let site = Site::with_ten_bytes();
    let reply = site.get("/ten.txt").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), "0123456789");
    for (name, expected) in [
        ("content-length", "10"),
        ("content-type", "text/plain; charset=utf-8"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("vary", "Accept-Encoding"),
    ] {
        assert_eq!(reply.header(name), expected, "{name}");
    }
    assert!(reply.header("etag").starts_with('"'), "strong (RFC 9110 section 8.8.3)");
    let modified = httpdate::parse_http_date(reply.header("last-modified")).unwrap();
    assert!(modified < SystemTime::now());
}

#[tokio::test]
async fn content_types() {
    let site = Site::new();
    for (name, expected) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.JSON", "application/json"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("unknown", "application/octet-stream"),
    ] {
        site.write(name, "");
        let reply = site.get(&format!("/{name}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, expected), "{name}");
        assert_eq!((reply.header("content-length"), reply.body.len()), ("0", 0), "{name}");
    }
}

#[tokio::test]
async fn methods_rfc_9110_section_9() {
    let site = Site::with_ten_bytes();
    for (method, status) in [("OPTIONS", 204), ("POST", 405), ("PUT", 405), ("DELETE", 405), ("BREW", 405)] {
        let reply = site.ask(method.parse().unwrap(), "/ten.txt", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("allow")),
            (status, "GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
    assert_eq!(site.ask(Method::OPTIONS, "*", &[]).await.status, 204);
}

#[tokio::test]
async fn head_is_get_without_content_rfc_9110_section_9_3_2() {
    let site = Site::with_ten_bytes();
    site.write("ten.txt.gz", "compressed");
    site.write("dir/file", "");
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("/ten.txt", &[]),
        ("/ten.txt", &[("accept-encoding", "gzip")]),
        ("/ten.txt", &[("if-none-match", "*")]),
        ("/ten.txt", &[("if-match", "\"other\"")]),
        ("/dir", &[]),
        ("/dir/", &[]),
        ("/dir/", &[("accept", "application/json")]),
        ("/missing", &[]),
        ("/../secret", &[]),
    ];
    for (url, fields) in cases {
        let get = site.ask(Method::GET, url, fields).await;
        let head = site.ask(Method::HEAD, url, fields).await;
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{url} {fields:?}");
        assert!(head.body.is_empty(), "{url}");
    }
    // Section 14.2: Range is for GET alone.
    let ranged = site.ask(Method::HEAD, "/ten.txt", &[("range", "bytes=0-1")]).await;
    assert_eq!((ranged.status.as_u16(), ranged.header("content-length")), (200, "10"));
}

#[tokio::test]
async fn a_tag_tells_states_apart_rfc_9110_section_8_8_1() {
    let site = Site::with_ten_bytes();
    let tag = async |name: &str| site.get(name).await.header("etag").to_owned();
    let first = tag("/ten.txt").await;
    assert_eq!(tag("/ten.txt").await, first, "it holds while nothing changes");
    // Another inode with the same size, content and time.
    let time = fs::metadata(site.path("ten.txt")).unwrap().modified().unwrap();
    site.write("new", "0123456789");
    File::options().write(true).open(site.path("new")).unwrap().set_modified(time).unwrap();
    fs::rename(site.path("new"), site.path("ten.txt")).unwrap();
    let second = tag("/ten.txt").await;
    assert_ne!(second, first, "replaced");
    let later = time + Duration::from_nanos(1);
    File::options().write(true).open(site.path("ten.txt")).unwrap().set_modified(later).unwrap();
    let third = tag("/ten.txt").await;
    assert_ne!(third, second, "a nanosecond later");
    File::options().append(true).open(site.path("ten.txt")).unwrap().write_all(b"x").unwrap();
    assert_ne!(tag("/ten.txt").await, third, "grown");
}

#[tokio::test]
async fn what_separates_parts_is_new_each_time() {
    let site = Site::with_ten_bytes();
    let kind = async || {
        let reply = site.ask(Method::GET, "/ten.txt", &[("range", "bytes=0-0,9-9")]).await;
        reply.header("content-type").to_owned()
    };
    let first = kind().await;
    assert!(first.starts_with("multipart/byteranges; boundary="), "{first}");
    assert_ne!(kind().await, first, "no file can be made to contain it");
}

#[tokio::test]
async fn precompressed_neighbours_rfc_9110_section_12_5_3() {
    let site = Site::with_ten_bytes();
    site.write("ten.txt.gz", "GZ-GZ");
    site.write("ten.txt.br", "BR");
    site.write("alone.txt.gz", "GZ");
    for (accept, coding, content) in [
        ("gzip", "gzip", "GZ-GZ"),
        ("gzip, br, zstd", "br", "BR"),
        ("zstd, gzip;q=0.1", "gzip", "GZ-GZ"),
        ("br;q=0.1, gzip", "gzip", "GZ-GZ"),
        ("gzip;q=0", "", "0123456789"),
        ("identity", "", "0123456789"),
        ("identity, gzip;q=0.9", "", "0123456789"),
        ("zstd", "", "0123456789"),
    ] {
        let reply = site.ask(Method::GET, "/ten.txt", &[("accept-encoding", accept)]).await;
        assert_eq!((reply.header("content-encoding"), reply.text()), (coding, content), "{accept}");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8", "{accept}");
        assert_eq!(reply.header("vary"), "Accept-Encoding", "{accept}");
    }
    assert_eq!(site.ask(Method::GET, "/alone.txt", &[("accept-encoding", "gzip")]).await.status, 404);

    let plain = site.get("/ten.txt").await;
    let gzip = site.ask(Method::GET, "/ten.txt", &[("accept-encoding", "gzip")]).await;
    let itself = site.get("/ten.txt.gz").await;
    assert_ne!(plain.header("etag"), gzip.header("etag"));
    assert_ne!(itself.header("etag"), gzip.header("etag"), "one file, two representations");
    assert_eq!(itself.header("content-type"), "application/gzip");

    let fields = [("accept-encoding", "gzip"), ("range", "bytes=3-"), ("if-range", gzip.header("etag"))];
    let part = site.ask(Method::GET, "/ten.txt", &fields).await;
    assert_eq!((part.header("content-range"), part.text()), ("bytes 3-4/5", "GZ"));
    let fields = [("range", "bytes=3-"), ("if-range", gzip.header("etag"))];
    assert_eq!(site.ask(Method::GET, "/ten.txt", &fields).await.status, 200, "the tag of another coding");

    site.age("ten.txt.gz", 7200);
    let stale = site.ask(Method::GET, "/ten.txt", &[("accept-encoding", "gzip")]).await;
    assert_eq!(stale.header("content-encoding"), "", "older than the file itself");
    let off =
        ask(&site.files.clone().precompressed(false), Method::GET, "/ten.txt", &[("accept-encoding", "br")])
            .await;
    assert_eq!((off.header("content-encoding"), off.header("vary")), ("", ""));
}

#[tokio::test]
async fn directories() {
    let site = Site::new();
    site.write("with/index.html", "<p>index");
    site.write("without/a b", "12345");
    for (url, to) in [
        ("/with", "./with/"),
        ("/with?a=1&b", "./with/?a=1&b"),
        ("//with", "./with/"),
        ("/without", "./without/"),
    ] {
        let reply = site.get(url).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (301, to), "{url}");
    }
    let index = site.get("/with/").await;
    assert_eq!((index.text(), index.header("content-type")), ("<p>index", "text/html; charset=utf-8"));
    assert_eq!(site.get("/with/index.html/").await.status, 404);

    let page = site.get("/without/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text().contains("<a href=\"a%20b\">a b</a></td><td>5 B</td>"), "{}", page.text());
    assert!(page.text().contains("href=\"../\""), "a way up");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(!page.text().contains("http"), "nothing from elsewhere");
    assert!(!site.get("/").await.text().contains("href=\"../\""), "no way up from the root");

    let closed = site.files.clone().listing(false);
    assert_eq!(ask(&closed, Method::GET, "/without/", &[]).await.status, 403);
    assert_eq!(ask(&closed, Method::GET, "/with/", &[]).await.status, 200);
    let other = site.files.clone().index("a b");
    assert_eq!(ask(&other, Method::GET, "/without/", &[]).await.text(), "12345");
    let none = site.files.clone().index("");
    assert!(ask(&none, Method::GET, "/with/", &[]).await.text().contains("index.html"));
}

#[tokio::test]
async fn a_listing_for_programs() {
    let site = Site::with_ten_bytes();
    site.write("dir/x", "");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    File::options().write(true).open(site.path("ten.txt")).unwrap().set_modified(time).unwrap();
    symlink("../secret", site.path("out")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    symlink("ten.txt", site.path("link")).unwrap();
    symlink("../ten.txt", site.path("dir/link")).unwrap();
    let list = async |url: &str| -> serde_json::Value {
        let reply = site.ask(Method::GET, url, &[("accept", "application/json")]).await;
        assert_eq!((reply.header("content-type"), reply.header("vary")), ("application/json", "Accept"));
        serde_json::from_slice(&reply.body).unwrap()
    };
    let mut root = list("/").await;
    root[0]["modified"] = "now".into();
    let file = |name: &str| {
        serde_json::json!({
            "name": name, "href": name, "type": "file", "size": 10, "modified": "1994-11-06T08:49:37Z"
        })
    };
    let dir = serde_json::json!({
        "name": "dir", "href": "dir/", "type": "directory", "size": null, "modified": "now"
    });
    assert_eq!(
        root,
        serde_json::json!([dir, file("link"), file("ten.txt")]),
        "what can be had, and nothing else"
    );
    assert_eq!(list("/dir/").await[0], file("link"), "a link through the parent, within the root");
    assert_eq!(list("/?order=desc").await[1]["name"], "ten.txt");
}

#[tokio::test]
async fn names_are_bytes() {
    let site = Site::new();
    let name = OsStr::from_bytes(b"caf\xe9 <&>%2f\\\".txt");
    fs::write(site.path(name), "latin").unwrap();
    fs::create_dir(site.path(OsStr::from_bytes(b"d\xff"))).unwrap();
    let reply = site.ask(Method::GET, "/", &[("accept", "application/json")]).await;
    let list: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(list[1]["name"], "caf\u{fffd} <&>%2f\\\".txt");
    let href = list[1]["href"].as_str().unwrap();
    assert_eq!(href, "caf%E9%20%3C%26%3E%252f%5C%22.txt");
    assert_eq!(site.get(&format!("/{href}")).await.text(), "latin");
    assert!(site.get("/").await.text().contains(href));
    assert_eq!(site.get("/d%ff").await.header("location"), "./d%FF/");
    assert_eq!(site.get("/d%ff/").await.status, 200);
}

#[tokio::test]
async fn a_root_that_cannot_be_served() {
    let site = Site::with_ten_bytes();
    for path in [site.path("missing"), site.path("ten.txt")] {
        let error = Files::new(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    // Renamed while served: still the same directory.
    fs::rename(site.path(""), site.above.path().join("moved")).unwrap();
    assert_eq!(site.get("/ten.txt").await.status, 200);
}
