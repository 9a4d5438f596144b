//! From the path of a URL to a path below the root, and back.
//!
//! Decoding happens once, segment by segment, so that no encoded character can become a separator or a `..`.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::platform;

/// All but the unreserved characters of RFC 3986 section 2.3: what remains means nothing in HTML, in a header or as a
/// scheme.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a request asks for, below the root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Relative, of plain names only; empty for the root.
    pub(crate) path: PathBuf,
    /// The decoded names.
    pub(crate) names: Vec<Vec<u8>>,
    /// The URL ends with a slash: only a directory will do.
    pub(crate) directory: bool,
}

impl Target {
    /// Takes a URL's path apart. `None` if it can name nothing below the root: `.` and `..` (plain or encoded), an
    /// encoded slash, NUL, or, unless `hidden`, a name that begins with a dot (but `.well-known`, RFC 8615); the folder of unfinished uploads in any case.
    /// Repeated slashes count as one.
    pub(crate) fn parse(path: &str, hidden: bool) -> Option<Self> {
        let rest = path.strip_prefix('/')?;
        let mut target = Target {
            path: PathBuf::new(),
            names: Vec::new(),
            directory: rest.is_empty() || rest.ends_with('/'),
        };
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            let name: Vec<u8> = percent_decode_str(segment).collect();
            if matches!(&name[..], b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
                return None;
            }
            if is_hidden(&name, hidden) {
                return None;
            }
            target.path.push(platform::name_from_bytes(&name)?);
            target.names.push(name);
        }
        Some(target)
    }

    /// Where the same directory is with its slash, as a relative reference: it holds under any prefix this handler may
    /// be mounted at, and can't lead to another host, whatever the name.
    pub(crate) fn with_slash(&self, query: Option<&str>) -> String {
        let name = self.names.last().map_or(String::new(), |name| encode(name));
        match query {
            Some(query) => format!("./{name}/?{query}"),
            None => format!("./{name}/"),
        }
    }
}

/// The folder of unfinished uploads, which nobody gets to see.
pub(crate) const UNFINISHED: &str = ".mphttp-uploads";

/// Whether a name is left out: those that begin with a dot, unless `hidden` files are asked for, and what is not whole
/// yet. Some file systems know no case.
pub(crate) fn is_hidden(name: &[u8], hidden: bool) -> bool {
    let dotted = name.starts_with(b".") && name != b".well-known";
    dotted && (!hidden || name.eq_ignore_ascii_case(UNFINISHED.as_bytes()))
}

/// A name as one segment of a URL.
pub(crate) fn encode(name: &[u8]) -> String {
    percent_encode(name, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(url: &str) -> Option<String> {
        Target::parse(url, false).map(|target| target.path.to_string_lossy().into_owned())
    }

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(path_of("/"), Some("".into()));
        assert_eq!(path_of("/a/b%20c"), Some("a/b c".into()));
        assert_eq!(path_of("//a///b"), Some("a/b".into()));
        assert_eq!(path_of("/a%252e"), Some("a%2e".into()));
        assert_eq!(path_of("/100%"), Some("100%".into()));
        assert_eq!(path_of("/..."), None, "hidden");
        assert_eq!(path_of("/.well-known/acme"), Some(".well-known/acme".into()));
    }

    #[test]
    fn nothing_leads_out() {
        for url in [
            "/..",
            "/a/../b",
            "/%2e%2e/b",
            "/.%2E",
            "/..%2fx",
            "/a%2Fb",
            "/%2fetc",
            "/.",
            "/a%00b",
            "*",
            "",
            "a",
            "/.git",
        ] {
            assert_eq!(path_of(url), None, "{url}");
        }
        assert!(Target::parse("/.git", true).is_some());
        assert!(Target::parse("/.mphttp-uploads/x", true).is_none());
        assert!(Target::parse("/.MPHTTP-uploads", true).is_none());
        assert!(Target::parse("/..", true).is_none());
    }

    #[test]
    fn a_redirect_stays_on_the_host() {
        let to = |url: &str, query| Target::parse(url, false).map(|target| target.with_slash(query));
        assert_eq!(to("/a/b", Some("x=1&y")), Some("./b/?x=1&y".into()));
        assert_eq!(to("//evil.example", None), Some("./evil.example/".into()));
        assert_eq!(to("/http:evil", None), Some("./http%3Aevil/".into()));
        #[cfg(unix)]
        assert_eq!(to("/%5Cevil%0d%0a", None), Some("./%5Cevil%0D%0A/".into()));
    }
}
