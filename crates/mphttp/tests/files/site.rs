//! A directory to serve, and what comes back.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use mphttp::files::Files;

/// A root with a directory above it that holds a secret.
pub(super) struct Site {
    pub(super) above: tempfile::TempDir,
    pub(super) files: Files,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Site {
    pub(super) fn new() -> Self {
        let above = tempfile::tempdir().unwrap();
        fs::create_dir(above.path().join("root")).unwrap();
        fs::write(above.path().join("secret"), "secret").unwrap();
        let files = Files::new(above.path().join("root")).unwrap();
        Site { above, files }
    }

    /// With `ten.txt`, ten bytes that are an hour old.
    pub(super) fn with_ten_bytes() -> Self {
        let site = Self::new();
        site.write("ten.txt", "0123456789");
        site.age("ten.txt", 3600);
        site
    }

    pub(super) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.above.path().join("root").join(name.as_ref())
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn age(&self, name: &str, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(self.path(name)).unwrap().set_modified(then).unwrap();
    }

    pub(super) async fn ask(&self, method: Method, url: &str, fields: &[(&'static str, &str)]) -> Reply {
        ask(&self.files, method, url, fields).await
    }

    pub(super) async fn get(&self, url: &str) -> Reply {
        self.ask(Method::GET, url, &[]).await
    }
}

pub(super) async fn ask(files: &Files, method: Method, url: &str, fields: &[(&'static str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = tokio::time::timeout(Duration::from_secs(10), files.respond(&request.body(()).unwrap()))
        .await
        .expect("no file may block");
    let (parts, body) = response.into_parts();
    Reply { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}
