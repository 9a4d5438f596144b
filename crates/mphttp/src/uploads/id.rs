//! The names of uploads: 128 random bits. Whoever knows one may write to that upload, so none can be guessed.

use std::{fmt, io};

/// An upload's name in its URL and on disk: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id([u8; 16]);

impl Id {
    /// A new one.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        // The generator that TLS keys come from.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.secure_random.fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
        Ok(Self(bytes))
    }

    /// Reads exactly what [`Id`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = plain.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A log is no place for what gives the right to write.
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let id = Id::random().unwrap();
        assert_ne!(id, Id::random().unwrap());
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        for text in [
            "",
            "..",
            "0",
            &"g".repeat(32),
            &"A".repeat(32),
            &"0".repeat(33),
            "+000000000000000000000000000000f",
        ] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }
}
