//! Precompressed neighbours of a file (`page.html.br`), chosen by `Accept-Encoding` (RFC 9110 section 12.5.3).

use std::path::{Path, PathBuf};

use http::header::{self, HeaderMap};

use super::negotiate::weighted;

/// A content coding of which there may be a neighbour on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// The best compression first: the order among equals.
    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// The name in `Content-Encoding`.
    pub(super) fn token(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    fn is(self, name: &str) -> bool {
        // RFC 9110 section 8.4.1.3: "x-gzip" is "gzip".
        name.eq_ignore_ascii_case(self.token())
            || (self == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }

    /// The neighbour's path.
    pub(super) fn beside(self, path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        });
        name.into()
    }
}

/// The codings that the client would rather have than the plain file, best first. Without `Accept-Encoding`: none.
///
/// A coding that only `*` admits must beat the plain file; one that is named wins a tie with it.
pub(super) fn preferred(headers: &HeaderMap) -> Vec<Coding> {
    let accepted = weighted(headers, header::ACCEPT_ENCODING);
    let weight = |admits: &dyn Fn(&str) -> bool| {
        accepted.iter().filter(|(name, _)| admits(name)).map(|(_, weight)| *weight).max()
    };
    let any = weight(&|name| name == "*");
    let identity = weight(&|name| name.eq_ignore_ascii_case("identity")).or(any).unwrap_or(0);
    let mut codings: Vec<_> = Coding::ALL
        .into_iter()
        .filter_map(|coding| {
            let named = weight(&|name| coding.is(name));
            let weight = named.or(any)?;
            let wins = weight > identity || (named.is_some() && weight == identity);
            (weight > 0 && wins).then_some((weight, coding))
        })
        .collect();
    codings.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    codings.into_iter().map(|(_, coding)| coding).collect()
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    #[test]
    fn codings_by_weight_rfc_9110_section_12_5_3() {
        let cases: &[(&str, &[Coding])] = &[
            ("gzip", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("GZIP, deflate", &[Gzip]),
            ("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip]),
            ("gzip;q=1, br;q=0.5", &[Gzip, Brotli]),
            ("br;q=0, gzip", &[Gzip]),
            ("gzip;q=0", &[]),
            ("identity", &[]),
            ("", &[]),
            ("deflate", &[]),
            ("identity;q=0.5, gzip;q=0.4", &[]),
            ("identity;q=0.5, gzip", &[Gzip]),
            ("gzip, identity", &[Gzip]),
            ("identity, *;q=0", &[]),
            ("*", &[]),
            ("*;q=0.5", &[]),
            ("identity;q=0, *", &[Brotli, Zstd, Gzip]),
            ("gzip, *;q=0", &[Gzip]),
            ("br;q=nonsense, gzip", &[Gzip]),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(preferred(&headers), *expected, "{value}");
        }
        assert_eq!(preferred(&HeaderMap::new()), []);
    }

    #[test]
    fn the_neighbour_keeps_the_whole_name() {
        assert_eq!(Gzip.beside(Path::new("a/b.tar")), Path::new("a/b.tar.gz"));
        assert_eq!(Zstd.beside(Path::new("x")), Path::new("x.zst"));
    }
}
