//! The server's side of tus and PUT, asked by curl and by plain sockets.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use super::support::{Serving, Site, curl, digest, eventually};

const TUS: &str = "Tus-Resumable: 1.0.0";
const CHUNK: &str = "Content-Type: application/offset+octet-stream";

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Begins an upload; gives its URL.
fn create(serving: &Serving, length: usize, metadata: &str) -> String {
    let (length, metadata) = (format!("Upload-Length: {length}"), format!("Upload-Metadata: {metadata}"));
    let url = serving.url("/in/");
    let (head, status) = curl(&["-i", "-X", "POST", "-H", TUS, "-H", &length, "-H", &metadata, &url]);
    assert_eq!(status, 201, "{head}");
    serving.url(header(&head, "location").unwrap())
}

fn offset(url: &str) -> Option<u64> {
    let (head, status) = curl(&["-I", "-H", TUS, url]);
    assert_eq!(header(&head, "cache-control"), (status == 200).then_some("no-store"), "{head}");
    header(&head, "upload-offset")?.parse().ok()
}

fn patch(url: &str, at: u64, file: &Path, more: &[&str]) -> (String, u16) {
    let (at, data) = (format!("Upload-Offset: {at}"), format!("@{}", file.display()));
    let mut arguments = vec!["-i", "-X", "PATCH", "-H", TUS, "-H", CHUNK, "-H", &at, "--data-binary", &data];
    arguments.extend_from_slice(more);
    arguments.push(url);
    curl(&arguments)
}

#[test]
fn tus_as_the_protocol_has_it() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload", "--max-upload", "5M"]);
    let (head, status) = curl(&["-i", "-X", "OPTIONS", &serving.url("/in/")]);
    assert_eq!(status, 204);
    assert_eq!(header(&head, "tus-version"), Some("1.0.0"));
    assert_eq!(header(&head, "tus-extension"), Some("creation,creation-with-upload,termination,checksum"));
    assert_eq!(header(&head, "tus-checksum-algorithm"), Some("sha1,sha256"));
    assert_eq!(header(&head, "tus-max-size"), Some("5000000"));

    let (one, two) = (site.file("one", 1_000_000), site.file("two", 700_000));
    // "../b.bin"
    let url = create(&serving, 1_700_000, "filename Li4vYi5iaW4=,other dGV4dA==");
    assert_eq!(offset(&url), Some(0));
    assert_eq!(patch(&url, 5, &one, &[]).1, 409);
    let plain = ["-X", "PATCH", "-H", TUS, "-H", "Upload-Offset: 0", "--data-binary", "x"];
    assert_eq!(curl(&[&plain[..], &[&url]].concat()).1, 415);
    assert_eq!(patch(&url, 0, &one, &["-H", "Upload-Checksum: md5 AAAA"]).1, 400);
    assert_eq!(patch(&url, 0, &one, &["-H", "Upload-Checksum: sha1 AAAA"]).1, 460);
    assert_eq!(offset(&url), Some(0), "of a spoilt chunk nothing counts");
    let sum = base64(&digest(&one));
    let (head, status) = patch(&url, 0, &one, &["-H", &format!("Upload-Checksum: sha256 {sum}")]);
    assert_eq!((status, header(&head, "upload-offset")), (204, Some("1000000")), "{head}");
    assert_eq!(patch(&url, 1_000_000, &one, &[]).1, 413, "more than was announced");
    assert_eq!(offset(&url), Some(1_000_000));
    assert!(!site.served("in/b.bin").exists());
    assert_eq!(patch(&url, 1_000_000, &two, &[]).1, 204);
    let whole = [fs::read(&one).unwrap(), fs::read(&two).unwrap()].concat();
    assert_eq!(fs::read(site.served("in/b.bin")).unwrap(), whole);
    // For a client that missed the answer.
    assert_eq!(offset(&url), Some(1_700_000));

    let (head, status) = curl(&["-i", "-X", "POST", "-H", "Tus-Resumable: 0.2.2", &serving.url("/in/")]);
    assert_eq!((status, header(&head, "tus-version")), (412, Some("1.0.0")));
    let post = |length: &str| curl(&["-X", "POST", "-H", TUS, "-H", length, &serving.url("/in/")]).1;
    assert_eq!(post("Upload-Length: 5000001"), 413);
    assert_eq!((post("Upload-Length: x"), post("Upload-Defer-Length: 1")), (400, 400));
    assert_eq!(curl(&["-X", "POST", &serving.url("/in/")]).1, 405);
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let number =
            piece.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)) << (8 * (3 - piece.len()));
        for digit in 0..4 {
            text.push(if digit <= piece.len() {
                DIGITS[number >> (18 - 6 * digit) & 63].into()
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn an_upload_is_given_up_and_another_begins_with_its_first_bytes() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let url = create(&serving, 100, "");
    assert_eq!(curl(&["-X", "DELETE", "-H", TUS, &url]).1, 204);
    assert_eq!((offset(&url), curl(&["-X", "DELETE", "-H", TUS, &url]).1), (None, 404));
    assert_eq!(site.unfinished(), Vec::<String>::new());
    // For clients that know GET and POST only.
    let url = create(&serving, 100, "");
    let delete = "X-HTTP-Method-Override: DELETE";
    assert_eq!(curl(&["-X", "POST", "-H", TUS, "-H", delete, &url]).1, 204);

    let file = site.file("f", 5000);
    let data = format!("@{}", file.display());
    // "f"
    let headers =
        ["-H", TUS, "-H", CHUNK, "-H", "Upload-Length: 5000", "-H", "Upload-Metadata: filename Zg=="];
    let (head, status) =
        curl(&[&headers[..], &["-i", "--data-binary", &data, &serving.url("/in/")]].concat());
    assert_eq!((status, header(&head, "upload-offset")), (201, Some("5000")), "{head}");
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    // Of one that fails at once nobody learns the URL: it does not stay.
    let before = site.unfinished();
    let sum = ["-H", "Upload-Checksum: sha1 AAAA", "-H", "Upload-Metadata: filename Zw=="];
    let headers = [&headers[..6], &sum].concat();
    assert_eq!(curl(&[&headers[..], &["--data-binary", &data, &serving.url("/in/")]].concat()).1, 460);
    assert_eq!(site.unfinished(), before);
}

#[test]
fn half_a_chunk_with_a_checksum_counts_for_nothing_after_a_crash_either() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let url = create(&serving, 200, "filename Zg==");
    assert_eq!(patch(&url, 0, &site.file("sure", 90), &[]).1, 204);
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    let path = url.splitn(4, '/').nth(3).unwrap();
    write!(stream, "PATCH /{path} HTTP/1.1\r\nHost: x\r\n{TUS}\r\n{CHUNK}\r\nUpload-Checksum: sha1 AAAA\r\n")
        .unwrap();
    write!(stream, "Upload-Offset: 90\r\nContent-Length: 100\r\n\r\n0123456789").unwrap();
    let data = site.served(".mphttp-uploads").join(format!("{}.data", url.rsplit('/').next().unwrap()));
    eventually("ten bytes of it are written", || fs::metadata(&data).unwrap().len() == 100);
    assert_eq!(offset(&url), Some(90));
    let port = serving.port;
    // SIGKILL.
    drop(serving);
    let _serving = site.serve(port, &["--upload"]);
    assert_eq!(offset(&url), Some(90));
    assert_eq!(patch(&url, 90, &site.file("rest", 110), &[]).1, 204);
    let whole =
        [fs::read(site.file("sure", 90)).unwrap(), fs::read(site.file("rest", 110)).unwrap()].concat();
    assert_eq!(fs::read(site.served("in/f")).unwrap(), whole);
}

#[test]
fn nobody_sees_what_is_not_whole() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let url = create(&serving, 2000, "filename Zg==");
    assert_eq!(patch(&url, 0, &site.file("half", 1000), &[]).1, 204);
    assert!(!curl(&[&serving.url("/")]).0.contains("mphttp-uploads"));
    for name in site.unfinished() {
        assert_eq!(curl(&[&serving.url(&format!("/.mphttp-uploads/{name}"))]).1, 404, "{name}");
        assert_eq!(curl(&[&serving.url(&format!("/%2Emphttp-uploads/{name}"))]).1, 404, "{name}");
    }
    assert_eq!((curl(&[&serving.url("/in/f")]).1, curl(&[&url]).1), (404, 412));
    assert_eq!(curl(&["-T", site.file("x", 1).to_str().unwrap(), &serving.url("/.mphttp-uploads/x")]).1, 404);
    assert_eq!(
        curl(&["--path-as-is", "-T", site.file("x", 1).to_str().unwrap(), &serving.url("/in/../../x")]).1,
        404
    );
    // Readable for others than the owner it is not either.
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(site.served(".mphttp-uploads")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_link_does_not_lead_out() {
    let site = Site::new();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), site.served("out")).unwrap();
    let serving = site.serve(0, &["--upload"]);
    let file = site.file("f", 10);
    let (text, status) = curl(&["-T", file.to_str().unwrap(), &serving.url("/out/f")]);
    assert!(matches!(status, 403 | 404 | 409), "{status} {text}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn curl_puts_whole_files_and_half_ones_leave_nothing() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload", "--overwrite"]);
    let (file, other) = (site.file("f", 2_000_000), site.file("g", 3000));
    let put = |file: &Path, more: &[&str]| {
        curl(&[more, &["-T", file.to_str().unwrap(), &serving.url("/in/f")]].concat()).1
    };
    assert_eq!(put(&file, &[]), 201);
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    assert_eq!(put(&other, &["-H", "If-None-Match: *"]), 412);
    assert_eq!(put(&other, &["-H", "If-Match: \"another\""]), 412);
    assert_eq!(put(&other, &["-H", "Content-Range: bytes 0-9/10"]), 400);
    assert_eq!(digest(&site.served("in/f")), digest(&file));
    assert_eq!(put(&other, &["-H", "Transfer-Encoding: chunked"]), 204);
    assert_eq!(digest(&site.served("in/f")), digest(&other));

    for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(serving.address()).unwrap();
        write!(stream, "PUT /in/half HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n64\r\n{}", "x".repeat(100))
            .unwrap();
        eventually("it has begun", || !site.unfinished().is_empty());
        stream.shutdown(Shutdown::Both).unwrap();
        eventually("it is gone", || site.unfinished().is_empty());
        assert!(!site.served("in/half").exists());
    }
}

/// A PATCH of 100 bytes on a plain socket, of which ten are sent.
fn begin_patch(serving: &Serving, url: &str) -> TcpStream {
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    let path = url.splitn(4, '/').nth(3).unwrap();
    write!(stream, "PATCH /{path} HTTP/1.1\r\nHost: x\r\n{TUS}\r\n{CHUNK}\r\n").unwrap();
    write!(stream, "Upload-Offset: 0\r\nContent-Length: 100\r\n\r\n0123456789").unwrap();
    stream
}

#[test]
fn one_request_writes_at_a_time_and_a_dead_one_gives_way() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let url = create(&serving, 100, "filename Zg==");
    let mut first = begin_patch(&serving, &url);
    eventually("it has begun", || offset(&url) == Some(10));
    let rest = site.file("rest", 90);
    assert_eq!(patch(&url, 10, &rest, &[]).1, 423);
    assert_eq!(curl(&["-X", "DELETE", "-H", TUS, &url]).1, 423);
    thread::sleep(Duration::from_secs(2));
    first.write_all(b"x").unwrap();
    eventually("it goes on", || offset(&url) == Some(11));
    thread::sleep(Duration::from_millis(3100));
    // It has said nothing for three seconds: another takes its place, at what has arrived.
    assert_eq!(patch(&url, 10, &rest, &[]).1, 409);
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert_eq!(patch(&url, 11, &site.file("rest", 89), &[]).1, 204);
    assert_eq!(fs::metadata(site.served("in/f")).unwrap().len(), 100);
}

#[test]
fn what_came_before_a_break_counts() {
    let site = Site::new();
    let serving = site.serve(0, &["--upload"]);
    let url = create(&serving, 100, "filename Zg==");
    drop(begin_patch(&serving, &url));
    eventually("it is kept", || offset(&url) == Some(10));
    eventually("it is free again", || patch(&url, 10, &site.file("rest", 90), &[]).1 == 204);
}
