//! Frames of HTTP/2 (RFC 9113), made by hand: no library would send what is sent here.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// RFC 9113 section 4.1.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The start of a connection, whose answers may have so many bytes each before the client asks for more.
pub fn begin(window: u32) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE.
    let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
    bytes.extend(frame(SETTINGS, 0, 0, &setting));
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &0x3fff_0000_u32.to_be_bytes()));
    bytes
}

/// A request's head, in indexed and literal fields (RFC 7541 section 6).
pub fn head(method: &str, authority: &str, path: &str) -> Vec<u8> {
    let mut block = match method {
        "GET" => vec![0x82],
        _ => vec![0x83],
    };
    // :scheme http; then literals without indexing, whose names are those of the static table.
    block.push(0x86);
    for (name, value) in [(1, authority), (4, path)] {
        block.push(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}
