//! Digests of a body: one that the caller knows, and those that servers send along (RFC 9530).

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Seek as _},
    str::FromStr,
};

use base64::Engine as _;
use http::HeaderMap;
use sha2::{Digest as _, Sha256, Sha512};

use crate::Error;

/// The digest that a body must have: `"sha256=…"` or `"sha512=…"`, in hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid =
            |why: &str| Error::Invalid { what: format!("the checksum {text:?}"), why: why.to_owned() };
        let (name, digits) =
            text.split_once(['=', ':']).ok_or_else(|| invalid("write it like sha256=DIGITS"))?;
        let algorithm = match name.trim().to_ascii_lowercase().as_str() {
            "sha256" | "sha-256" => Algorithm::Sha256,
            "sha512" | "sha-512" => Algorithm::Sha512,
            _ => return Err(invalid("only sha256 and sha512 are known")),
        };
        let digits = digits.trim();
        if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid("it is not made of hexadecimal digits"));
        }
        let digest = unhex(digits).filter(|digest| digest.len() == algorithm.bytes());
        let wrong = || invalid(&format!("{} has {} digits", algorithm.name(), 2 * algorithm.bytes()));
        Ok(Self { algorithm, digest: digest.ok_or_else(wrong)? })
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibbles: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let nibbles = nibbles?;
    let pairs = nibbles.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.filter_map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    whole.then(|| bytes.collect())
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.algorithm.name())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

impl Checksum {
    /// The strongest digest in a field such as `Repr-Digest: sha-256=:BASE64:` (RFC 9530 section 3) that is known here.
    pub(super) fn of_field(headers: &HeaderMap, name: &str) -> Option<Self> {
        let entries = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut known: Vec<Self> = entries
            .flat_map(|value| value.split(','))
            .filter_map(|entry| {
                let (key, value) = entry.trim().split_once('=')?;
                let algorithm = match key.trim() {
                    "sha-256" => Algorithm::Sha256,
                    "sha-512" => Algorithm::Sha512,
                    _ => return None,
                };
                let coded = value.trim().strip_prefix(':')?.split(':').next()?;
                let digest = base64::engine::general_purpose::STANDARD.decode(coded).ok()?;
                (digest.len() == algorithm.bytes()).then_some(Self { algorithm, digest })
            })
            .collect();
        known.sort_by_key(|checksum| checksum.digest.len());
        known.pop()
    }

    pub(super) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// An error unless the hasher has seen what it should.
    pub(super) fn check(&self, hasher: Hasher) -> Result<(), Error> {
        let digest = hasher.finish();
        if digest == self.digest {
            return Ok(());
        }
        Err(Error::Checksum {
            expected: self.to_string(),
            got: Self { algorithm: self.algorithm, digest }.to_string(),
        })
    }
}

/// Digests of bytes that pass by in order.
#[derive(Default)]
pub(super) struct Tally {
    next: u64,
    hashers: Vec<(Checksum, Hasher)>,
}

impl Tally {
    /// Begins with the first byte.
    pub(super) fn new(checksums: &[Checksum]) -> Self {
        let hashers = checksums.iter().map(|checksum| (checksum.clone(), checksum.hasher())).collect();
        Self { next: 0, hashers }
    }

    /// Takes in the bytes at this place; those that it has seen already count once.
    pub(super) fn update(&mut self, offset: u64, bytes: &[u8]) {
        let known = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(fresh) = bytes.get(known..) else { return };
        self.next = offset.max(self.next) + fresh.len() as u64;
        for (_, hasher) in &mut self.hashers {
            hasher.update(fresh);
        }
    }

    /// An error unless everything was what it should be.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.hashers.drain(..).try_for_each(|(checksum, hasher)| checksum.check(hasher))
    }
}

/// A digest in the making.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
        }
    }

    /// Takes in a whole file.
    pub(super) fn read(&mut self, mut file: &File) -> io::Result<()> {
        file.rewind()?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "hello".
    const HELLO: &str = "sha256=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_checksum_is_met_or_not() {
        let checksum: Checksum = HELLO.parse().unwrap();
        assert_eq!(checksum.to_string(), HELLO);
        let mut hasher = checksum.hasher();
        hasher.update(b"hel");
        hasher.update(b"lo");
        checksum.check(hasher).unwrap();
        let error = checksum.check(checksum.hasher()).unwrap_err().to_string();
        assert!(error.contains(HELLO) && error.contains("sha256=e3b0c442"), "{error}");
    }

    #[test]
    fn checksums_that_are_none_say_why() {
        for (text, clause) in [
            ("", "write it like"),
            ("md5=00", "only sha256 and sha512"),
            ("sha256=zz", "hexadecimal"),
            ("sha256=00", "has 64 digits"),
            ("sha512=0", "has 128 digits"),
        ] {
            let error = text.parse::<Checksum>().unwrap_err().to_string();
            assert!(error.contains(clause), "{text:?}: {error}");
        }
    }

    #[test]
    fn fields_are_read_and_what_is_unknown_passed_over() {
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([("repr-digest".parse().unwrap(), value.parse().unwrap())]);
            Checksum::of_field(&headers, "repr-digest")
        };
        let field = "unixsum=:AQ==:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
        assert_eq!(read(field).unwrap().to_string(), HELLO);
        for value in ["sha-256=:AQ==:", "sha-256=AQ==", "sha-256", "md5=:AQ==:", "sha-256=:!:"] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
