//! Zeros in all codings.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http_cases::liars::Coding;

/// So many zeros, coded so, the first coding first.
pub fn zeros(codings: &[Coding], count: usize) -> Vec<u8> {
    codings.iter().fold(vec![0; count], |bytes, coding| coded(*coding, &bytes))
}

fn coded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 1 << 16, 5, 22);
            encoder.write_all(bytes).unwrap();
            drop(encoder);
            out
        }
        Coding::Zstd => zstd::encode_all(bytes, 3).unwrap(),
    }
}
