//! What fuzzing feeds here: each function takes any bytes, has them read, and panics where a promise is broken. The fuzz
//! targets call these, and the tests beside what is read. They are modules of what they feed, most of which is private.

use http::{HeaderMap, HeaderName, HeaderValue};

pub use crate::client::fuzzing::{upload_states, urls};
pub use crate::download::fuzzing::{answers, digests, download_states};
pub use crate::files::fuzzing::{conditions, negotiation, ranges, request_paths};
pub use crate::proxy::fuzzing::{forwarding, proxy_words};
pub use crate::uploads::fuzzing::{upload_fields, upload_records};

use crate::proxy_protocol::{Header, Progress, parse};
#[cfg(unix)]
use crate::restart::Label;

/// Header fields: a line each, `name: value`. What can't be a field is left out, as HTTP's own parser would.
pub(crate) fn fields(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A map takes no more than 2^15 fields; servers take far fewer.
    for line in bytes.split(|&byte| byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// The first bytes of a connection, as a PROXY protocol header: what is read of it doesn't change with what follows, no
/// byte beyond it is asked for, and it reads the same when it is written again.
pub fn proxy_headers(bytes: &[u8]) {
    match parse(bytes) {
        Ok(Progress::Whole(header, length)) => {
            assert!(length <= bytes.len(), "a header of {length} bytes in {}", bytes.len());
            for end in 0..length {
                let Ok(Progress::Needs(more)) = parse(bytes.get(..end).unwrap_or_default()) else {
                    unreachable!("{end} of {length} bytes are not taken for a beginning");
                };
                assert!(more > 0 && end + more <= length, "{more} more than {end} of {length} asked for");
            }
            let written = header.to_bytes();
            let Ok(Progress::Whole(again, all)) = parse(&written) else {
                unreachable!("what is written is no header: {written:?}");
            };
            assert_eq!(all, written.len());
            assert_eq!(canonical(again), canonical(header));
        }
        Ok(Progress::Needs(more)) => assert!(more > 0 && bytes.len() + more <= 16 + 4096),
        // What can't become a header doesn't become one by what follows.
        Err(_) => assert!(parse(&[bytes, b"\r\n"].concat()).is_err()),
    }
}

/// With addresses in their own family: mapped ones may be written either way.
fn canonical(header: Header) -> Header {
    match header {
        Header::Proxied { mut source, mut destination } => {
            for end in [&mut source, &mut destination] {
                *end = (end.ip().to_canonical(), end.port()).into();
            }
            Header::Proxied { source, destination }
        }
        other => other,
    }
}

/// What a server tells its successor of a listener, and what a client says that it accepts of `/.mphttp/check`.
#[cfg(unix)]
pub fn handovers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        let Some(label) = Label::read(line) else { continue };
        assert_eq!(Label::read(label.line().trim_end_matches('\n')), Some(label));
    }
    let _ = crate::server::check::prefers_json(&fields(bytes));
}
