//! Basic authentication (RFC 7617): who may use the server, by name and password.
//!
//! A bcrypt hash takes milliseconds on purpose, and a browser sends its password with every request: one that was right
//! is remembered, as a keyed digest, so that only the first request pays.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use bcrypt::HashParts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use mphttp::Body;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{error_reporting::Failure, exit::Exit};

/// RFC 7617 section 2.1: names and passwords are UTF-8.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"mphttp\", charset=\"UTF-8\"");
/// bcrypt's cost doubles with each step: this one takes seconds, and every wrong password would cost them.
const MAX_COST: u32 = 16;
/// bcrypt looks at 72 bytes, so that several passwords can be right for one hash.
const MAX_REMEMBERED: usize = 1024;

/// Whom the server knows. Clones share it.
#[derive(Clone, Debug)]
pub struct Accounts(Arc<Known>);

struct Known {
    /// Of this process alone: without it nobody can choose a digest.
    key: [u8; 32],
    /// Digests of `user:password` that are right, and the user's name.
    digests: RwLock<Vec<([u8; 32], Arc<str>)>>,
    /// How many of the digests are from the command line: they stay.
    given: usize,
    hashes: HashMap<String, String>,
    /// What a name that nobody has is checked against, so that it takes as long as one that somebody has.
    decoy: Option<String>,
    /// Wrong passwords must not take all of the host's cores.
    checking: Semaphore,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("given", &self.given).field("hashes", &self.hashes.len()).finish()
    }
}

impl Accounts {
    /// Takes `USER:PASSWORD` of the command line, and a file. `None` if there is neither.
    ///
    /// # Errors
    /// If one is malformed, if the file can't be read, or if a name is there twice.
    pub fn new(given: &[String], file: Option<&Path>) -> anyhow::Result<Option<Self>> {
        if given.is_empty() && file.is_none() {
            return Ok(None);
        }
        let key = random();
        let hashes = file.map(read).transpose()?.unwrap_or_default();
        let mut digests: Vec<([u8; 32], Arc<str>)> = Vec::new();
        for account in given {
            let (user, password) = account.split_once(':').unwrap_or((account, ""));
            if !is_name(user) || password.is_empty() {
                return Err(usage("--auth takes USER:PASSWORD", NAMES));
            }
            if hashes.contains_key(user) || digests.iter().any(|(_, known)| **known == *user) {
                return Err(usage(&format!("the user {user} is there twice"), "give each user one password"));
            }
            digests.push((digest(&key, account.as_bytes()), user.into()));
        }
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Ok(Some(Self(Arc::new(Known {
            key,
            given: digests.len(),
            digests: RwLock::new(digests),
            decoy: hashes.values().next().cloned(),
            hashes,
            checking: Semaphore::new((cores / 2).max(1)),
        }))))
    }

    /// The user whose name and password a request has, if both are right.
    pub async fn user(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let pair = credentials(headers)?;
        let known = &self.0;
        let digest = digest(&known.key, &pair);
        if let Some(user) = known.remembered(&digest) {
            return Some(user);
        }
        let pair = String::from_utf8(pair).ok()?;
        let (name, password) = pair.split_once(':')?;
        let found = known.hashes.get(name);
        let hash = found.or(known.decoy.as_ref())?.clone();
        let password = password.to_owned();
        let _turn = known.checking.acquire().await.ok()?;
        let right = spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false)).await.ok()?;
        if !right || found.is_none() {
            return None;
        }
        let user: Arc<str> = name.into();
        known.remember(digest, Arc::clone(&user));
        Some(user)
    }
}

impl Known {
    /// All are looked at, whichever it is: how long it takes says nothing.
    fn remembered(&self, digest: &[u8; 32]) -> Option<Arc<str>> {
        let digests = self.digests.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (known, user) in &*digests {
            if bool::from(known.ct_eq(digest)) {
                found = Some(user);
            }
        }
        found.cloned()
    }

    fn remember(&self, digest: [u8; 32], user: Arc<str>) {
        let mut digests = self.digests.write().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= self.given + MAX_REMEMBERED {
            digests.truncate(self.given);
        }
        if !digests.iter().any(|(known, _)| *known == digest) {
            digests.push((digest, user));
        }
    }
}

/// The answer to who has not said who they are (RFC 9110 section 15.5.2).
pub fn challenge() -> Response<Body> {
    let mut response =
        Response::new(Body::from("401 Say who you are: a name and a password are needed here.\n"));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `user:password`, as it came.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    BASE64_STANDARD.decode(token.trim()).ok()
}

fn digest(key: &[u8; 32], pair: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(pair).finalize().into()
}

/// From the keys that the system gives each process for its hash tables.
fn random() -> [u8; 32] {
    let mut key = [0; 32];
    for piece in key.chunks_mut(8) {
        piece.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
    }
    key
}

const NAMES: &str = "a name has no colon, space or control character, and no password is empty";

/// Names that stay one field of the access log.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == ':' || c == '"' || c.is_whitespace() || c.is_control())
}

fn usage(message: &str, hint: &str) -> anyhow::Error {
    Failure::new(Exit::Usage, message).hint(hint).into()
}

/// A file as htpasswd(1) makes it: `USER:HASH` a line, `#` begins a comment.
fn read(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| {
        Failure::new(Exit::Usage, format!("can't read {shown}")).hint("name a file as htpasswd makes it")
    })?;
    accounts(&text, &shown.to_string())
}

/// The same of the file's content.
pub(crate) fn accounts(text: &str, shown: &str) -> anyhow::Result<HashMap<String, String>> {
    let mut hashes = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("{shown}, line {}", index + 1);
        let (user, hash) = line.split_once(':').unwrap_or((line, ""));
        if !is_name(user) {
            return Err(usage(&format!("{place}: that is no USER:HASH"), NAMES));
        }
        let make = format!("make it with: htpasswd -B '{shown}' '{user}'");
        let parts = HashParts::from_str(hash)
            .map_err(|_| usage(&format!("{place}: that is no bcrypt hash"), &make))?;
        if parts.get_cost() > MAX_COST {
            let text = format!("{place}: a hash of cost {} takes too long to check", parts.get_cost());
            return Err(usage(&text, &format!("{make}; costs up to {MAX_COST} are taken")));
        }
        if hashes.insert(user.to_owned(), hash.to_owned()).is_some() {
            return Err(usage(
                &format!("{place}: the user {user} is there twice"),
                "remove one of the lines",
            ));
        }
    }
    if hashes.is_empty() {
        return Err(usage(&format!("{shown} holds no user"), "add one: htpasswd -B FILE USER"));
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As htpasswd 2.4.71 made it: `htpasswd -nbB -C 4 alice wonderland`.
    const HASH: &str = "$2y$04$20NS5dQTGPNtBKSD72TdW.1zans4jeCh2swxx0FA.44VJTqN0lgEm";
    /// `htpasswd -nb5 bob builder`: SHA-512 crypt, which is not taken.
    const OTHER: &str = "$6$VQ3l5QZcEg4ZgRe8$7r5Ekb2CYWseBgt99tewF30WPs8.NToEBRqBdKfwrQlSgJ93Wk19Ft7rS2doYNLQQ4aeVN/KqYt288ZKsIwed1";

    fn header(pair: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_user_rfc_7617() {
        let file = file(&format!("# people\nalice:{HASH}\n\n"));
        let accounts = Accounts::new(&["bob:builder: yes".to_owned()], Some(file.path())).unwrap().unwrap();
        for (pair, user) in [
            ("alice:wonderland", Some("alice")),
            // The second time without bcrypt.
            ("alice:wonderland", Some("alice")),
            ("bob:builder: yes", Some("bob")),
            ("alice:Wonderland", None),
            ("alice:", None),
            ("alice", None),
            ("bob:wonderland", None),
            ("bob:builder", None),
            ("carol:wonderland", None),
            (":wonderland", None),
            ("", None),
        ] {
            assert_eq!(accounts.user(&header(pair.as_bytes())).await.as_deref(), user, "{pair}");
        }
        assert_eq!(accounts.user(&header(b"alice:\xff")).await, None);
        assert_eq!(accounts.0.digests.read().unwrap().len(), 2, "only what was right is remembered");
    }

    #[tokio::test]
    async fn headers_that_are_something_else() {
        let accounts = Accounts::new(&["bob:builder".to_owned()], None).unwrap().unwrap();
        let token = BASE64_STANDARD.encode("bob:builder");
        for (value, known) in [
            (format!("Basic {token}"), true),
            (format!("bAsIc  {token}"), true),
            (format!("Bearer {token}"), false),
            (token.clone(), false),
            ("Basic".to_owned(), false),
            ("Basic bob:builder".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(accounts.user(&headers).await.is_some(), known, "{value}");
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
            assert!(accounts.user(&headers).await.is_none(), "two of them");
        }
        assert!(accounts.user(&HeaderMap::new()).await.is_none());
    }

    #[test]
    fn what_can_t_be_used_is_refused_at_the_start() {
        for given in ["bob", "bob:", ":builder", "b b:x", "b\tb:x", ""] {
            assert!(Accounts::new(&[given.to_owned()], None).is_err(), "{given}");
        }
        assert!(Accounts::new(&["bob:a".to_owned(), "bob:b".to_owned()], None).is_err());
        assert!(Accounts::new(&[], None).unwrap().is_none());
        let dear = HASH.replacen("$04$", "$31$", 1);
        for text in [
            String::new(),
            "alice:plain".to_owned(),
            "alice:$apr1$abc$def".to_owned(),
            format!("bob:{OTHER}"),
            format!("alice:{HASH}\nalice:{HASH}"),
            format!(":{HASH}"),
            format!("alice:{dear}"),
        ] {
            assert!(Accounts::new(&[], Some(file(&text).path())).is_err(), "{text}");
        }
        assert!(Accounts::new(&[], Some(Path::new("/nowhere"))).is_err());
    }
}
