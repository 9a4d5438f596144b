//! How long caches may keep what is sent: rules for `Cache-Control` (RFC 9111 section 5.2.2) by a file's name.

use std::io;
use std::path::Path;
use std::str::FromStr;

use glob::{MatchOptions, Pattern};
use http::HeaderValue;

/// `*` stops at a slash: `assets/*` is the folder, `assets/**/*` all below it.
const HOW: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A rule for `Cache-Control`, made from text (`parse`): `DIRECTIVES` for all files that no pattern fits, or
/// `PATTERN=DIRECTIVES`.
///
/// Directives are those of responses (RFC 9111 section 5.2.2, RFC 8246, RFC 5861), with commas between; a bare number is
/// `max-age`, in seconds: `3600`, `no-cache`, `assets/*=31536000,immutable`. A pattern is held against the file's path
/// below the root: `*` and `?` stand for anything but a slash, `**` for any folders, `[a-z]` for one of these; without a
/// slash it is held against the file's name, in whatever folder.
///
/// ```
/// use mphttp::files::CacheRule;
/// assert!("assets/**/*.js=31536000,immutable".parse::<CacheRule>().is_ok());
/// assert!("for ever".parse::<CacheRule>().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct CacheRule {
    pattern: Option<Pattern>,
    value: HeaderValue,
}

impl FromStr for CacheRule {
    type Err = io::Error;

    /// # Errors
    /// [`io::ErrorKind::InvalidInput`], with what is wrong.
    fn from_str(text: &str) -> io::Result<Self> {
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if let Some(value) = directives(text) {
            return Ok(Self { pattern: None, value });
        }
        // Directives hold equals signs, and so may names.
        let split =
            text.match_indices('=').find_map(|(at, _)| Some((&text[..at], directives(&text[at + 1..])?)));
        let Some((pattern, value)) = split.filter(|(pattern, _)| !pattern.is_empty()) else {
            return Err(wrong("a rule is DIRECTIVES or PATTERN=DIRECTIVES, such as 3600, no-cache or assets/*=31536000,immutable".to_owned()));
        };
        let pattern = Pattern::new(pattern.trim_start_matches('/'))
            .map_err(|error| wrong(format!("the pattern {pattern} can't be read: {error}")))?;
        Ok(Self { pattern: Some(pattern), value })
    }
}

/// The field's value, if these are all directives.
fn directives(text: &str) -> Option<HeaderValue> {
    let all: Option<Vec<String>> = text.split(',').map(str::trim).map(directive).collect();
    HeaderValue::from_str(&all?.join(", ")).ok()
}

fn directive(text: &str) -> Option<String> {
    let number =
        |text: &str| !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    if number(text) {
        return Some(format!("max-age={text}"));
    }
    let text = text.to_ascii_lowercase();
    let known = match text.split_once('=') {
        Some(("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", seconds)) => {
            number(seconds)
        }
        Some(_) => false,
        None => matches!(
            text.as_str(),
            "no-cache"
                | "no-store"
                | "no-transform"
                | "public"
                | "private"
                | "immutable"
                | "must-revalidate"
                | "must-understand"
                | "proxy-revalidate"
        ),
    };
    known.then_some(text)
}

/// The rules of a site: the first pattern that fits decides, then the rule without one.
#[derive(Clone, Debug)]
pub(super) struct Rules(Vec<CacheRule>);

impl Rules {
    /// `None` if there are none.
    pub(super) fn new(rules: impl IntoIterator<Item = CacheRule>) -> Option<Self> {
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|rule| rule.pattern.is_none());
        (!rules.is_empty()).then_some(Self(rules))
    }

    /// The field for a file, given by its path below the root.
    pub(super) fn of(&self, path: &Path) -> Option<&HeaderValue> {
        let whole = path.to_string_lossy();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fits = |rule: &&CacheRule| match &rule.pattern {
            None => true,
            Some(pattern) if pattern.as_str().contains('/') => pattern.matches_with(&whole, HOW),
            Some(pattern) => pattern.matches_with(&name, HOW),
        };
        self.0.iter().find(fits).map(|rule| &rule.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_fits_decides_then_the_rule_without_one() {
        let rules =
            ["60", "/assets/*=31536000, immutable", "*.html=no-cache", "deep/**/*=max-age=5,public", "a=b=7"];
        let rules = Rules::new(rules.map(|rule| rule.parse().unwrap())).unwrap();
        for (path, value) in [
            ("hello.txt", "max-age=60"),
            ("assets/app.js", "max-age=31536000, immutable"),
            ("assets/page.html", "max-age=31536000, immutable"),
            ("assets/sub/app.js", "max-age=60"),
            ("other/assets/app.js", "max-age=60"),
            ("sub/page.html", "no-cache"),
            ("deep/x", "max-age=5, public"),
            ("deep/a/b/x", "max-age=5, public"),
            ("a=b", "max-age=7"),
        ] {
            assert_eq!(rules.of(Path::new(path)).unwrap(), value, "{path}");
        }
        let rules = Rules::new(["*.js=1".parse().unwrap()]).unwrap();
        assert_eq!(rules.of(Path::new("a.css")), None);
        assert!(Rules::new([]).is_none());
    }

    #[test]
    fn what_no_cache_would_understand_is_refused() {
        for text in [
            "",
            "=60",
            "for ever",
            "-1",
            "1.5",
            "60,",
            "max-age=",
            "max-age=x",
            "a=",
            "[=60",
            "99999999999",
            "a**=1",
        ] {
            assert_eq!(text.parse::<CacheRule>().unwrap_err().kind(), io::ErrorKind::InvalidInput, "{text}");
        }
    }
}
