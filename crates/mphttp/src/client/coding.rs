//! Content codings: which one a body is in, told such that everybody who looks reads the same, and how it is undone.
//!
//! Not by tower-http's layer: that takes what follows the first member of gzip for nothing, so that a body of several, as parallel
//! compressors write them, loses all but its first without a word.

use std::io;

use async_compression::{
    tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt, stream::try_unfold};
use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};
use http_body_util::BodyExt;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use super::receive::Received;
use crate::{Body, BoxError, Error};

/// What is asked for where codings are undone.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd,gzip,deflate,br");

/// How much is undone at a time, in bytes.
const PIECE: usize = 32 << 10;

/// The largest window of zstd that a server may use: 8 MiB, as a power of two (RFC 9659 section 3).
const ZSTD_WINDOW: u32 = 23;

/// Writes the content codings as one field in lower case, so that all who look at it see the same: several fields are a list, `x-gzip`
/// is `gzip`, `identity` is none (RFC 9110 sections 8.4.1 and 12.5.3).
pub(super) fn name(headers: &mut HeaderMap) {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let codings: Vec<Vec<u8>> = members
        .map(|member| match member.trim_ascii().to_ascii_lowercase() {
            coding if coding == b"x-gzip" => b"gzip".to_vec(),
            coding => coding,
        })
        .filter(|coding| !coding.is_empty() && coding != b"identity")
        .collect();
    headers.remove(CONTENT_ENCODING);
    if let (false, Ok(value)) = (codings.is_empty(), HeaderValue::from_bytes(&codings.join(&b", "[..]))) {
        headers.insert(CONTENT_ENCODING, value);
    }
}

/// The content coding, if it is one that is undone on the way; else nothing.
pub(super) fn known(headers: &HeaderMap) -> &'static str {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        Some(b"gzip") => "gzip",
        Some(b"deflate") => "deflate",
        Some(b"br") => "br",
        Some(b"zstd") => "zstd",
        _ => "",
    }
}

/// The body with a coding undone that is [known]. What follows the coding's end is an error: nobody knows what it is.
pub(super) fn undone(body: Received, coding: &str) -> Body {
    let coded = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    match coding {
        "gzip" => {
            let mut decoder = GzipDecoder::new(coded);
            decoder.multiple_members(true);
            Body::stream(pieces(decoder, GzipDecoder::get_mut))
        }
        // RFC 9110 section 8.4.1.2: it is the format zlib that is called so.
        "deflate" => Body::stream(pieces(ZlibDecoder::new(coded), ZlibDecoder::get_mut)),
        "br" => Body::stream(pieces(BrotliDecoder::new(coded), BrotliDecoder::get_mut)),
        "zstd" => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW)];
            let mut decoder = ZstdDecoder::with_params(coded, &window);
            decoder.multiple_members(true);
            Body::stream(pieces(decoder, ZstdDecoder::get_mut))
        }
        _ => Body::stream(pieces(coded, |coded| coded)),
    }
}

/// What a decoder gives, and that nothing is left of what it reads, which `rest` gives.
fn pieces<D, R>(decoder: D, rest: fn(&mut D) -> &mut R) -> impl Stream<Item = Result<Bytes, BoxError>>
where
    D: AsyncRead + Unpin,
    R: AsyncBufRead + Unpin,
{
    let start = (decoder, BytesMut::new(), false);
    let pieces = try_unfold(start, move |(mut decoder, mut buffer, begun)| async move {
        // Nothing at all is nothing, in every coding: that is how servers answer 304, and send empty files.
        if !begun && rest(&mut decoder).fill_buf().await?.is_empty() {
            return Ok(None);
        }
        buffer.reserve(PIECE);
        if decoder.read_buf(&mut buffer).await? > 0 {
            let piece = buffer.split().freeze();
            return Ok(Some((piece, (decoder, buffer, true))));
        }
        if rest(&mut decoder).fill_buf().await?.is_empty() {
            return Ok(None);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "something follows its end"))
    });
    // What the connection said went through as what a reader may say.
    pieces.map_err(|error: io::Error| error.downcast::<Error>().map_or_else(BoxError::from, BoxError::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_named_once_and_in_one_way() {
        for (fields, named, undone) in [
            (&["gzip"][..], "gzip", "gzip"),
            (&["X-GZip"], "gzip", "gzip"),
            (&["identity"], "", ""),
            (&["identity, br"], "br", "br"),
            (&[" ,, "], "", ""),
            (&["gzip, gzip"], "gzip, gzip", ""),
            (&["gzip", "gzip"], "gzip, gzip", ""),
            (&["compress"], "compress", ""),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(CONTENT_ENCODING, field.parse().unwrap());
            }
            name(&mut headers);
            let found = headers.get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap());
            assert_eq!((found, known(&headers)), (named, undone), "{fields:?}");
            assert!(headers.get_all(CONTENT_ENCODING).iter().count() <= 1);
        }
    }
}
