//! Who may use the proxy: by address, and by a token.

use std::{fmt, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::PROXY_AUTHORIZATION};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Error;

/// Reads an address range: `192.0.2.0/24`, `2001:db8::/32`, or one address.
///
/// # Errors
/// [`Error::Invalid`] for anything else.
pub fn range(text: &str) -> Result<IpNet, Error> {
    let one = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    text.parse::<IpNet>().ok().map(|range| range.trunc()).or_else(one).ok_or_else(|| Error::Invalid {
        what: format!("the address range {text:?}"),
        why: "write it like 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7".into(),
    })
}

/// Who may use a proxy. By default: clients on the same host (loopback addresses), and nobody else.
#[derive(Clone, Debug, Default)]
pub struct Access {
    allow: Vec<IpNet>,
    token: Option<Token>,
}

/// Why a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its address is in no range.
    Address,
    /// It gave no token, or a wrong one.
    Token,
}

impl Access {
    /// Loopback clients only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also clients of these addresses; loopback clients always are.
    #[must_use]
    pub fn allow(mut self, ranges: impl IntoIterator<Item = IpNet>) -> Self {
        self.allow.extend(ranges);
        self
    }

    /// Everybody must give this token, loopback clients too. Without [ranges](Access::allow), clients of any address may.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Whether nobody but clients on the same host gets in.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.allow.is_empty() && self.token.is_none()
    }

    /// Whether a token is asked for.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Judges a client, whose address is canonical, by the head of its request.
    pub(super) fn check(&self, client: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        let open = self.allow.is_empty() && self.token.is_some();
        if !open && !client.is_loopback() && !self.allow.iter().any(|range| range.contains(&client)) {
            return Err(Refusal::Address);
        }
        match &self.token {
            Some(token) if !token.is_in(headers) => Err(Refusal::Token),
            _ => Ok(()),
        }
    }
}

/// A shared secret. Only its SHA-256 is kept, and compared in constant time: neither an answer's delay nor a dump of
/// memory's tells it.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token as clients send it: at least eight visible ASCII characters, no spaces.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else; what was given is not repeated.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(Sha256::digest(text).into()));
        }
        Err(Error::Invalid {
            what: "the token".into(),
            why: "it needs at least eight visible ASCII characters, without spaces; openssl rand -hex 16 makes one"
                .into(),
        })
    }

    /// Whether `Proxy-Authorization` holds it: `Bearer TOKEN`, or `Basic` with it as the password of any user.
    pub(in crate::proxy) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(PROXY_AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let Some((scheme, credentials)) = value.split_once(' ') else { return false };
        let credentials = credentials.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(credentials.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Ok(pair) = STANDARD.decode(credentials) else { return false };
        // The first colon ends the user name (RFC 7617 section 2).
        let Some(colon) = pair.iter().position(|&byte| byte == b':') else { return false };
        pair.get(colon + 1..).is_some_and(|password| self.is(password))
    }

    fn is(&self, given: &[u8]) -> bool {
        Sha256::digest(given).as_slice().ct_eq(&self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(PROXY_AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    fn basic(pair: &str) -> HeaderMap {
        with(&format!("Basic {}", STANDARD.encode(pair)))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn closed_to_all_but_loopback_unless_opened() {
        let none = HeaderMap::new();
        let closed = Access::new();
        assert!(closed.is_loopback_only());
        assert_eq!(closed.check(ip("127.0.0.9"), &none), Ok(()));
        assert_eq!(closed.check(ip("::1"), &none), Ok(()));
        assert_eq!(closed.check(ip("192.0.2.1"), &none), Err(Refusal::Address));
        let some = Access::new().allow([range("192.0.2.0/24").unwrap(), range("2001:db8::1").unwrap()]);
        assert!(!some.is_loopback_only());
        for client in ["192.0.2.1", "2001:db8::1", "127.0.0.1"] {
            assert_eq!(some.check(ip(client), &none), Ok(()), "{client}");
        }
        for client in ["192.0.3.1", "2001:db8::2"] {
            assert_eq!(some.check(ip(client), &none), Err(Refusal::Address), "{client}");
        }
    }

    #[test]
    fn a_token_is_asked_of_everybody() {
        let token = || Token::new("correct:horse").unwrap();
        let access = Access::new().token(token());
        for client in ["127.0.0.1", "198.51.100.1"] {
            for right in
                [with("Bearer correct:horse"), with("bearer  correct:horse "), basic("me:correct:horse")]
            {
                assert_eq!(access.check(ip(client), &right), Ok(()));
            }
            let wrong = ["Bearer correct:hors", "Bearer", "Basic", "Basic !", "Digest correct:horse", ""];
            let wrong = wrong.map(with).into_iter();
            let pairs = ["correct:horse", "me", "me:correct:horse2", ":"].map(basic);
            for wrong in wrong.chain(pairs).chain([HeaderMap::new()]) {
                assert_eq!(access.check(ip(client), &wrong), Err(Refusal::Token), "{wrong:?}");
            }
        }
        let both = access.allow([range("192.0.2.0/24").unwrap()]);
        let right = with("Bearer correct:horse");
        assert_eq!(both.check(ip("198.51.100.1"), &right), Err(Refusal::Address));
        assert_eq!(both.check(ip("192.0.2.1"), &right), Ok(()));
    }

    #[test]
    fn what_can_be_no_token_or_range_is_refused_and_not_repeated() {
        for bad in ["", "short", "with a space in it", "tab\ttab\ttab", "ümlaute-sind-keine"] {
            let error = Token::new(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || bad == "short" || !error.contains(bad), "{error}");
        }
        assert_eq!(format!("{:?}", Token::new("12345678").unwrap()), "Token(..)");
        for bad in ["", "192.0.2.0/33", "example.com", "192.0.2"] {
            assert!(range(bad).is_err(), "{bad}");
        }
        assert_eq!(range("192.0.2.77/24").unwrap().to_string(), "192.0.2.0/24");
    }
}
