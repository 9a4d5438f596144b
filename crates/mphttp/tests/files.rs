//! What `files` promises, case by case, on real directories.
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
async fn conditional_requests_rfc_9110_section_13() {
    let site = Site::with_ten_bytes();
    let fresh = site.get("/ten.txt").await;
    let (tag, date) = (fresh.header("etag"), fresh.header("last-modified"));
    let weak = format!("W/{tag}");
    let list = format!("\"x\", {tag}");
    for (name, value, status) in [
        ("if-none-match", tag, 304),
        ("if-none-match", &weak, 304),
        ("if-none-match", &list, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"x\"", 200),
        ("if-modified-since", date, 304),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT", 200),
        ("if-match", tag, 200),
        ("if-match", &weak, 412),
        ("if-match", "\"x\"", 412),
        ("if-unmodified-since", date, 200),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 412),
    ] {
        let reply = site.ask(Method::GET, "/ten.txt", &[(name, value)]).await;
        assert_eq!(reply.status, status, "{name}: {value}");
        if status == 304 {
            // Section 15.4.5: what a cache needs, and nothing of the content.
            assert_eq!((reply.header("etag"), reply.header("vary")), (tag, "Accept-Encoding"));
            assert!(reply.body.is_empty() && !reply.headers.contains_key("content-length"));
        }
    }
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
async fn one_range_rfc_9110_section_14() {
    let site = Site::with_ten_bytes();
    for (range, status, place, content) in [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=8-", 206, "bytes 8-9/10", "89"),
        ("bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("bytes=0-4,5-9", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=0-0,99-", 206, "bytes 0-0/10", "0"),
        ("bytes=10-", 416, "bytes */10", "416 The file is shorter than that.\n"),
        ("bytes=-0", 416, "bytes */10", "416 The file is shorter than that.\n"),
        ("bytes=4-3", 200, "", "0123456789"),
        ("lines=1-2", 200, "", "0123456789"),
    ] {
        let reply = site.ask(Method::GET, "/ten.txt", &[("range", range)]).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-range")), (status, place), "{range}");
        assert_eq!(reply.text(), content, "{range}");
        assert_eq!(reply.header("content-length"), content.len().to_string(), "{range}");
    }
}

#[tokio::test]
async fn several_ranges_rfc_9110_section_14_6() {
    let site = Site::with_ten_bytes();
    let reply = site.ask(Method::GET, "/ten.txt", &[("range", "bytes=8-9, 0-1,-1")]).await;
    assert_eq!(reply.status, 206);
    assert_eq!(reply.header("content-range"), "", "section 15.3.7.2: only within the parts");
    let boundary = reply.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let kind = "Content-Type: text/plain; charset=utf-8";
    let expected = format!(
        "--{boundary}\r\n{kind}\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n\
         --{boundary}\r\n{kind}\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--{boundary}--\r\n"
    );
    assert_eq!(reply.text(), expected);
    assert_eq!(reply.header("content-length"), expected.len().to_string());
    let again = site.ask(Method::GET, "/ten.txt", &[("range", "bytes=0-0,9-9")]).await;
    assert!(!again.header("content-type").contains(boundary), "no file can be made to contain it");
}

#[tokio::test]
async fn if_range_rfc_9110_section_13_1_5() {
    let site = Site::with_ten_bytes();
    let whole = site.get("/ten.txt").await;
    let (tag, date) = (whole.header("etag"), whole.header("last-modified"));
    let weak = format!("W/{tag}");
    for (value, status) in [
        (tag, 206),
        (date, 206),
        (weak.as_str(), 200),
        ("\"x\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        let fields = [("range", "bytes=0-0"), ("if-range", value)];
        assert_eq!(site.ask(Method::GET, "/ten.txt", &fields).await.status, status, "{value}");
    }
    // Section 13.2.2: the other preconditions come first.
    let fields = [("range", "bytes=0-0"), ("if-range", tag), ("if-none-match", tag)];
    assert_eq!(site.ask(Method::GET, "/ten.txt", &fields).await.status, 304);
    let fields = [("range", "bytes=99-"), ("if-range", "\"x\"")];
    assert_eq!(site.ask(Method::GET, "/ten.txt", &fields).await.status, 200, "no 416 for another state");
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
