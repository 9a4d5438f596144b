//! What is sent on request: how long caches keep it, a page where there is nothing, and compression on the fly.

use std::fs;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use http::Method;
use mphttp::files::Files;
use tokio::io::AsyncReadExt as _;

use super::site::{Reply, Site, ask};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

fn rules(texts: &[&str]) -> Vec<mphttp::files::CacheRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn caches_are_told_how_long_rfc_9111_section_5_2_2() {
    let site = Site::with_ten_bytes();
    site.write("assets/app.js", "app");
    site.write("index.html", "index");
    let files = site.files.clone().cache(rules(&["60", "assets/*=31536000,immutable", "*.html=no-cache"]));
    // The second time the file is open already.
    for _ in 0..2 {
        for (url, value) in
            [("/ten.txt", "max-age=60"), ("/assets/app.js", "max-age=31536000, immutable"), ("/", "no-cache")]
        {
            let reply = ask(&files, Method::GET, url, &[]).await;
            assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (200, value), "{url}");
            let tag = reply.header("etag");
            let reply = ask(&files, Method::GET, url, &[("if-none-match", tag)]).await;
            assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (304, value), "{url}");
            let reply = ask(&files, Method::GET, url, &[("range", "bytes=0-1")]).await;
            assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (206, value), "{url}");
        }
    }
    for (url, fields, status) in [
        ("/missing", ("accept", "*/*"), 404),
        ("/ten.txt", ("if-match", "\"other\""), 412),
        ("/ten.txt", ("range", "bytes=99-"), 416),
    ] {
        let reply = ask(&files, Method::GET, url, &[fields]).await;
        assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (status, ""), "{url}");
    }
    assert_eq!(site.get("/ten.txt").await.header("cache-control"), "", "nothing without rules");
}

#[tokio::test]
async fn a_page_stands_for_what_is_not_there() {
    let site = Site::new();
    site.write("index.html", "the application");
    site.write("app/admin.html", "admin");
    site.write("ten.txt", "0123456789");
    fs::create_dir(site.path("folder")).unwrap();
    let files = site.files.clone().listing(false).fallback("index.html");
    for url in ["/users/7", "/users/", "/ten.txt/more", "/ten.txt/", "/a%20b?c=d", "/%3Cscript%3E"] {
        let reply = ask(&files, Method::GET, url, &[BROWSER]).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "the application"), "{url}");
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(reply.header("cache-control"), "no-cache");
        let vary: Vec<_> = reply.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["Accept-Encoding", "Accept"]);
        let head = ask(&files, Method::HEAD, url, &[BROWSER]).await;
        assert_eq!((head.status.as_u16(), head.header("content-length"), head.text()), (200, "15", ""));
        let again = ask(&files, Method::GET, url, &[BROWSER, ("if-none-match", reply.header("etag"))]).await;
        assert_eq!(again.status, 304);
        // What asks for something else than a page gets the truth.
        for accept in ["*/*", "application/json", "image/*", "text/css,*/*;q=0.1", "text/html;q=0"] {
            let reply = ask(&files, Method::GET, url, &[("accept", accept)]).await;
            assert_eq!((reply.status.as_u16(), reply.header("vary")), (404, "Accept"), "{url} {accept}");
        }
        assert_eq!(ask(&files, Method::GET, url, &[]).await.status, 404);
        assert_eq!(ask(&files, Method::POST, url, &[BROWSER]).await.status, 405);
    }
    for (url, status) in
        [("/ten.txt", 200), ("/folder/", 403), ("/folder", 301), ("/.git/config", 404), ("/..%2f", 404)]
    {
        assert_eq!(ask(&files, Method::GET, url, &[BROWSER]).await.status, status, "{url}");
    }
    let files = site.files.clone().fallback("app/admin.html").cache(rules(&["*.html=5"]));
    let reply = ask(&files, Method::GET, "/x", &[BROWSER]).await;
    assert_eq!((reply.text(), reply.header("cache-control")), ("admin", "max-age=5"));
    // Without the page there is nothing, and nobody is told another story.
    fs::remove_file(site.path("app/admin.html")).unwrap();
    assert_eq!(ask(&files, Method::GET, "/x", &[BROWSER]).await.status, 404);
    assert_eq!(site.ask(Method::GET, "/x", &[BROWSER]).await.status, 404);
}

async fn unpacked(reply: &Reply) -> Vec<u8> {
    let mut plain = Vec::new();
    match reply.header("content-encoding") {
        "zstd" => ZstdDecoder::new(&reply.body[..]).read_to_end(&mut plain).await.unwrap(),
        "gzip" => GzipDecoder::new(&reply.body[..]).read_to_end(&mut plain).await.unwrap(),
        other => panic!("{other}: {:?}", reply.headers),
    };
    plain
}

fn compressing(site: &Site) -> Files {
    site.files.clone().compress(true)
}

#[tokio::test]
async fn text_is_compressed_as_the_client_takes_it() {
    let site = Site::new();
    let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    site.write("big.txt", &text);
    let files = compressing(&site);
    for _ in 0..2 {
        for (accept, coding) in
            [("gzip, deflate, br, zstd", "zstd"), ("gzip", "gzip"), ("zstd;q=0.5, gzip", "gzip")]
        {
            let reply = ask(&files, Method::GET, "/big.txt", &[("accept-encoding", accept)]).await;
            assert_eq!((reply.status.as_u16(), reply.header("content-encoding")), (200, coding), "{accept}");
            assert!(reply.body.len() < text.len() / 3, "{} bytes", reply.body.len());
            assert!(unpacked(&reply).await == text.as_bytes());
            for (name, value) in [("content-length", ""), ("accept-ranges", ""), ("vary", "Accept-Encoding")]
            {
                assert_eq!(reply.header(name), value, "{name}");
            }
            let head = ask(&files, Method::HEAD, "/big.txt", &[("accept-encoding", accept)]).await;
            assert_eq!((&head.headers, head.body.len()), (&reply.headers, 0));
            // Other bytes than on disk: a weak tag (RFC 9110 section 8.8.1), by which a cache can ask all the same.
            let tag = reply.header("etag");
            assert!(tag.starts_with("W/\""), "{tag}");
            let fields = [("accept-encoding", accept), ("if-none-match", tag)];
            let same = ask(&files, Method::GET, "/big.txt", &fields).await;
            assert_eq!((same.status.as_u16(), same.header("etag")), (304, tag));
        }
        for accept in ["identity", "br", "gzip;q=0", ""] {
            let reply = ask(&files, Method::GET, "/big.txt", &[("accept-encoding", accept)]).await;
            assert_eq!(reply.header("content-encoding"), "", "{accept}");
            assert!(reply.body == text.as_bytes() && reply.header("etag").starts_with('"'));
            assert_eq!(reply.header("vary"), "Accept-Encoding");
        }
    }
}

#[tokio::test]
async fn what_gains_nothing_stays_as_it_is() {
    let site = Site::new();
    let kilobytes = "x".repeat(5000);
    for name in ["a.png", "a.zip", "a.bin", "a.mp4"] {
        site.write(name, &kilobytes);
    }
    site.write("short.txt", "x".repeat(1023));
    site.write("long.txt", "x".repeat(1024));
    let files = compressing(&site).cache(rules(&["b.txt=no-transform"]));
    site.write("b.txt", &kilobytes);
    let gzip = ("accept-encoding", "gzip");
    for url in ["/a.png", "/a.zip", "/a.bin", "/a.mp4", "/short.txt", "/b.txt", "/missing"] {
        let reply = ask(&files, Method::GET, url, &[gzip]).await;
        assert_eq!(reply.header("content-encoding"), "", "{url}");
        assert!(!reply.header("content-length").is_empty(), "{url}");
    }
    for name in ["long.txt", "a.svg", "a.json", "a.js", "a.wasm", "a.css", "a.html"] {
        site.write(name, &kilobytes);
        let reply = ask(&files, Method::GET, &format!("/{name}"), &[gzip]).await;
        assert_eq!(reply.header("content-encoding"), "gzip", "{name}");
        assert_eq!(unpacked(&reply).await, kilobytes.as_bytes());
    }
    // A neighbour was made with more patience.
    site.write("long.txt.gz", "made before");
    let reply = ask(&files, Method::GET, "/long.txt", &[gzip]).await;
    assert_eq!((reply.header("content-encoding"), reply.text()), ("gzip", "made before"));
    assert!(reply.header("etag").starts_with('"'));
    // Listings are text.
    for n in 0..50 {
        site.write(&format!("many/{n}"), "");
    }
    let reply = ask(&files, Method::GET, "/many/", &[gzip]).await;
    assert!(String::from_utf8(unpacked(&reply).await).unwrap().contains("</html>"));
    assert_eq!(
        site.ask(Method::GET, "/a.css", &[gzip]).await.header("content-encoding"),
        "",
        "off by default"
    );
}

#[tokio::test]
async fn ranges_are_of_the_file_as_it_is() {
    let site = Site::new();
    let text: String = (0..10_000).map(|n| format!("line {n}\n")).collect();
    site.write("big.txt", &text);
    let files = compressing(&site);
    let gzip = ("accept-encoding", "gzip");
    let reply = ask(&files, Method::GET, "/big.txt", &[gzip, ("range", "bytes=5-9")]).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text(), reply.header("content-encoding")),
        (206, &text[5..10], "")
    );
    let strong = reply.header("etag");
    assert!(strong.starts_with('"'));
    let reply = ask(&files, Method::GET, "/big.txt", &[("range", "bytes=5-9"), ("if-range", strong)]).await;
    assert_eq!(reply.status, 206);
    // RFC 9110 section 13.1.5: a weak tag never lets pieces of two representations come together.
    let weak = format!("W/{strong}");
    let reply =
        ask(&files, Method::GET, "/big.txt", &[gzip, ("range", "bytes=5-9"), ("if-range", &weak)]).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-encoding")), (200, ""));
    assert!(reply.body == text.as_bytes());
}
