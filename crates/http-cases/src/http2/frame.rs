//! Frames of HTTP/2 as they are written (RFC 9113 section 4, its numbers in section 11), and header blocks (RFC 7541).

use super::Step;

/// A frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; [`EACH`] in [`Step::Times`].
    pub stream: u32,
    /// What is in it.
    pub payload: Payload,
}

/// What is in a frame.
#[derive(Clone, Copy, Debug)]
pub enum Payload {
    /// These bytes.
    Bytes(&'static [u8]),
    /// So many of one byte.
    Fill(u8, usize),
    /// A header block: the lists one after the other.
    Fields(&'static [&'static [Field]]),
    /// A header block with other bytes before and after it.
    Around(&'static [u8], &'static [&'static [Field]], &'static [u8]),
    /// Settings and their values.
    Settings(&'static [(u16, u32)]),
    /// A number of 32 bits.
    Number(u32),
}

/// A part of a header block.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// A field, literally, without indexing.
    Is(&'static str, &'static str),
    /// One with a value of any bytes.
    Raw(&'static str, &'static [u8]),
    /// One with a value of so many letters.
    Long(&'static str, usize),
    /// Bytes of HPACK as they are.
    Hpack(&'static [u8]),
    /// The same bytes of HPACK so many times.
    Many(usize, &'static [u8]),
}

/// In [`Step::Times`]: the next stream of a client.
pub const EACH: u32 = u32::MAX;

macro_rules! numbers {
    ($($kind:ty: $($name:ident = $value:expr),+;)+) => {
        $($(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: $kind = $value;
        )+)+
    };
}

numbers! {
    u8: DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PUSH_PROMISE = 5, PING = 6, GOAWAY = 7,
        WINDOW_UPDATE = 8, CONTINUATION = 9;
    // Flags. WHOLE is that of a request without a body.
    u8: NONE = 0, ACK = 1, END = 1, HEAD = 4, PADDED = 8, PRIORITIZED = 32, WHOLE = END | HEAD;
    u16: HEADER_TABLE_SIZE = 1, ENABLE_PUSH = 2, INITIAL_WINDOW_SIZE = 4, MAX_FRAME_SIZE = 5;
    u32: NO_ERROR = 0, PROTOCOL_ERROR = 1, INTERNAL_ERROR = 2, FLOW_CONTROL_ERROR = 3, STREAM_CLOSED = 5,
        FRAME_SIZE_ERROR = 6, REFUSED_STREAM = 7, CANCEL = 8, COMPRESSION_ERROR = 9, ENHANCE_YOUR_CALM = 11;
}

/// The names of error codes (RFC 9113 section 7).
#[must_use]
pub fn code(code: u32) -> String {
    let names = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
    ];
    let name = usize::try_from(code).ok().and_then(|code| names.get(code));
    name.map_or_else(|| code.to_string(), ToString::to_string)
}

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const fn frame(kind: u8, flags: u8, stream: u32, payload: Payload) -> Step {
    Step::Frame(Frame { kind, flags, stream, payload })
}

pub(super) const fn raw(kind: u8, flags: u8, stream: u32, payload: &'static [u8]) -> Step {
    frame(kind, flags, stream, Payload::Bytes(payload))
}

/// HEADERS.
#[must_use]
pub const fn headers(flags: u8, stream: u32, fields: &'static [&'static [Field]]) -> Step {
    frame(HEADERS, flags, stream, Payload::Fields(fields))
}

pub(super) const fn more(flags: u8, stream: u32, fields: &'static [&'static [Field]]) -> Step {
    frame(CONTINUATION, flags, stream, Payload::Fields(fields))
}

pub(super) const fn data(flags: u8, stream: u32, bytes: &'static [u8]) -> Step {
    raw(DATA, flags, stream, bytes)
}

pub(super) const fn reset(stream: u32, code: u32) -> Step {
    frame(RST_STREAM, NONE, stream, Payload::Number(code))
}

/// SETTINGS.
#[must_use]
pub const fn settings(values: &'static [(u16, u32)]) -> Step {
    frame(SETTINGS, NONE, 0, Payload::Settings(values))
}

/// The acknowledgement of SETTINGS.
pub const SETTINGS_ACK: Step = raw(SETTINGS, ACK, 0, &[]);

pub(super) const fn window(stream: u32, increment: u32) -> Step {
    frame(WINDOW_UPDATE, NONE, stream, Payload::Number(increment))
}

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident = $method:literal $path:literal;)+) => {
        $($(#[$doc])*
        pub const $name: &[Field] = &[
            Field::Is(":method", $method),
            Field::Is(":scheme", "http"),
            Field::Is(":path", $path),
            Field::Is(":authority", "site.test"),
        ];)+
    };
}

requests! {
    /// A request that is answered at once.
    GET = "GET" "/";
    /// One whose answer needs no room in any window.
    WITHOUT_BODY = "HEAD" "/";
    /// One whose body is read to its end, and then answered.
    POST = "POST" "/";
    /// One that is never answered, and whose body is not read.
    HANG = "POST" "/never";
    /// One whose answer is [`LARGE_BYTES`] long.
    LARGE = "GET" "/large";
}

/// How long the answer to [`LARGE`] is.
pub const LARGE_BYTES: usize = 1 << 20;

impl Step {
    /// Adds what it looks like on the wire, with `each` for [`EACH`]. Waits have no looks.
    pub fn encode(&self, each: u32, out: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) | Self::Pieces(bytes, _) => out.extend_from_slice(bytes),
            Self::Frame(frame) => frame.encode(each, out),
            _ => {}
        }
    }
}

impl Frame {
    fn encode(&self, each: u32, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        match &self.payload {
            Payload::Bytes(bytes) => payload.extend_from_slice(bytes),
            Payload::Fill(byte, count) => payload.resize(*count, *byte),
            Payload::Fields(lists) => block(lists, &mut payload),
            Payload::Around(before, lists, after) => {
                payload.extend_from_slice(before);
                block(lists, &mut payload);
                payload.extend_from_slice(after);
            }
            Payload::Settings(values) => {
                for (name, value) in *values {
                    payload.extend_from_slice(&name.to_be_bytes());
                    payload.extend_from_slice(&value.to_be_bytes());
                }
            }
            Payload::Number(number) => payload.extend_from_slice(&number.to_be_bytes()),
        }
        let [.., a, b, c] = payload.len().to_be_bytes();
        let stream = if self.stream == EACH { each } else { self.stream };
        out.extend_from_slice(&[a, b, c, self.kind, self.flags]);
        out.extend_from_slice(&stream.to_be_bytes());
        out.extend_from_slice(&payload);
    }
}

fn block(lists: &[&[Field]], out: &mut Vec<u8>) {
    for field in lists.iter().copied().flatten() {
        let mut literal = |name: &str, value: &[u8]| {
            out.push(0);
            string(name.as_bytes(), out);
            string(value, out);
        };
        match field {
            Field::Is(name, value) => literal(name, value.as_bytes()),
            Field::Raw(name, value) => literal(name, value),
            Field::Long(name, count) => literal(name, &vec![b'a'; *count]),
            Field::Hpack(bytes) => out.extend_from_slice(bytes),
            Field::Many(count, bytes) => out.extend_from_slice(&bytes.repeat(*count)),
        }
    }
}

/// A string literal, not in Huffman's code (RFC 7541 sections 5.1 and 5.2).
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    const PREFIX: usize = 127;
    match bytes.len().checked_sub(PREFIX) {
        None => out.push(bytes.len().to_le_bytes()[0]),
        Some(mut rest) => {
            out.push(127);
            while rest >= 128 {
                out.push((rest % 128).to_le_bytes()[0] | 128);
                rest /= 128;
            }
            out.push(rest.to_le_bytes()[0]);
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(step: Step) -> Vec<u8> {
        let mut out = Vec::new();
        step.encode(7, &mut out);
        out
    }

    #[test]
    fn frames_are_written_by_the_letter() {
        assert_eq!(
            bytes(settings(&[(INITIAL_WINDOW_SIZE, 258)])),
            b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\x01\x02"
        );
        assert_eq!(bytes(reset(EACH, CANCEL)), b"\0\0\x04\x03\0\0\0\0\x07\0\0\0\x08");
        let block: &[&[Field]] = &[&[Field::Is("a", "bc"), Field::Hpack(&[0x82])]];
        assert_eq!(bytes(headers(WHOLE, 1, block)), b"\0\0\x07\x01\x05\0\0\0\x01\0\x01a\x02bc\x82");
    }

    #[test]
    fn long_strings_have_their_length_in_several_octets() {
        let mut out = Vec::new();
        // RFC 7541 appendix C.1.2, with a prefix of 7 bits: 1337 - 127 = 1210 = 9 * 128 + 58.
        string(&[b'a'; 1337], &mut out);
        assert_eq!(out[..3], [127, 58 | 128, 9]);
        assert_eq!(out.len(), 3 + 1337);
    }
}
