//! The cases of `http_cases::file`: what is sent of a file, and that every answer has the fields that one of its status must have.

use std::net::SocketAddr;

use http_cases::{
    file::{DATE, File},
    script,
};

use super::{
    places::{SITE, connect},
    requests::fits,
    wire::{Message, Wire},
};

/// From this server, or what stands before it.
pub fn ask(case: &File, server: SocketAddr) {
    let (method, path) = case.ask.split_once(' ').unwrap();
    let mut wire = connect(server);
    // What the file is called by, if it is there.
    let whole = exchange(&mut wire, "GET", path, "");
    let tag = whole.field("etag").unwrap_or_default();
    let mut answer = exchange(&mut wire, method, path, &case.fields.replace("{tag}", &tag));
    judge(&answer, &tag, whole.body.len());
    if answer.status() == 206 && answer.field("content-range").is_none() {
        answer.body = parts(&answer).into_bytes();
    }
    for field in case.carries {
        let (name, value) = field.split_once(": ").unwrap();
        assert_eq!(answer.field(name).as_deref(), Some(value), "{field}");
    }
    let expected = case.answer;
    let answer = Ok(answer);
    assert!(fits(expected, &answer), "not {expected:?} but {answer:?}");
}

fn exchange(wire: &mut Wire, method: &str, path: &str, fields: &str) -> Message {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {SITE}\r\n{fields}\r\n");
    wire.play(&script::steps(&request, "", "").unwrap(), |_| ());
    wire.answer(method == "HEAD").unwrap()
}

/// The fields of an answer by its status: RFC 9110 sections 6.6.1, 15.3.7, 15.4.5 and 15.5.17.
fn judge(answer: &Message, tag: &str, size: usize) {
    let status = answer.status();
    let has =
        |name: &str| answer.field(name).unwrap_or_else(|| panic!("no {name} in a {status}: {answer:?}"));
    let lacks = |name: &str| assert_eq!(answer.field(name), None, "{name} in a {status}");
    has("date");
    if matches!(status, 200 | 206 | 304) {
        assert_eq!(has("etag"), tag);
        assert_eq!((has("last-modified").as_str(), has("vary").as_str()), (DATE, "Accept-Encoding"));
    }
    match status {
        200 | 206 => {
            assert_eq!(has("accept-ranges"), "bytes");
            has("content-length");
            let parts = has("content-type").starts_with("multipart/byteranges; boundary=");
            if status == 200 || parts {
                // Section 15.3.7.2: within the parts alone.
                lacks("content-range");
            } else {
                has("content-range");
            }
        }
        304 => ["content-length", "content-type", "content-range"].into_iter().for_each(lacks),
        416 => assert_eq!(has("content-range"), format!("bytes */{size}")),
        _ => lacks("content-range"),
    }
}

/// A body in parts (RFC 9110 section 14.6) as a case tells it.
fn parts(answer: &Message) -> String {
    let kind = answer.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let body = String::from_utf8(answer.body.clone()).unwrap();
    let body = body.strip_suffix(&format!("\r\n--{boundary}--\r\n")).expect("an end of the parts");
    let (nothing, rest) = body.split_once(&format!("--{boundary}\r\n")).unwrap();
    assert_eq!(nothing, "", "before the first part");
    let between = format!("\r\n--{boundary}\r\n");
    let told = rest.split(&between).map(|part| {
        let (head, content) = part.split_once("\r\n\r\n").unwrap();
        let (kind, place) = head.split_once("\r\n").unwrap();
        assert_eq!(kind, "Content-Type: text/plain; charset=utf-8");
        format!("{}={content}", place.strip_prefix("Content-Range: bytes ").unwrap())
    });
    told.collect::<Vec<_>>().join(", ")
}
