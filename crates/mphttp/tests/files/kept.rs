//! Files that stay open between requests: faster, and never older than the request.

use std::{
    fs::{self, File, FileTimes},
    io::Write as _,
    os::unix::{fs::FileExt as _, fs::symlink},
    path::Path,
};

use http::{Method, StatusCode};

use super::site::{Site, ask};

/// Whether this process has the file open.
fn is_open(path: &Path) -> bool {
    let path = path.canonicalize().unwrap();
    fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target == path)
}

#[tokio::test]
async fn what_was_asked_for_stays_open_for_the_next_request() {
    let site = Site::new();
    site.write("a.txt", "content");
    assert!(!is_open(&site.path("a.txt")));
    let first = site.get("/a.txt").await;
    assert!(is_open(&site.path("a.txt")));
    let second = site.get("/a.txt").await;
    assert_eq!((first.text(), first.status), (second.text(), second.status));
    assert_eq!(first.headers, second.headers, "the answer is the same by either way");
    let tag = first.header("etag");
    let again = site.ask(Method::GET, "/a.txt", &[("if-none-match", tag)]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    let part = site.ask(Method::GET, "/a.txt", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "nte"));
    let head = site.ask(Method::HEAD, "/a.txt", &[]).await;
    assert_eq!((head.header("content-length"), head.text()), ("7", ""));
}

#[tokio::test]
async fn no_answer_is_older_than_its_request() {
    let site = Site::new();
    site.write("a.txt", "one");
    let times = {
        let meta = fs::metadata(site.path("a.txt")).unwrap();
        FileTimes::new().set_modified(meta.modified().unwrap())
    };
    assert_eq!(site.get("/a.txt").await.text(), "one");
    // In place, same length, with the old time put back.
    let mut file = File::options().write(true).open(site.path("a.txt")).unwrap();
    file.write_all(b"two").unwrap();
    file.set_times(times).unwrap();
    assert_eq!(site.get("/a.txt").await.text(), "two");
    // By a descriptor that was open before, again and again: faster than any clock's tick.
    for round in 0..500_u32 {
        let text = format!("{round:03}");
        file.write_all_at(text.as_bytes(), 0).unwrap();
        assert_eq!(site.get("/a.txt").await.text(), text);
    }
    // Longer, shorter, empty.
    for text in ["longer than before", "short", ""] {
        site.write("a.txt", text);
        let reply = site.get("/a.txt").await;
        assert_eq!((reply.text(), reply.header("content-length")), (text, &*text.len().to_string()));
    }
    // Another file takes the name.
    site.write("b.txt", "another");
    fs::rename(site.path("b.txt"), site.path("a.txt")).unwrap();
    assert_eq!(site.get("/a.txt").await.text(), "another");
    fs::remove_file(site.path("a.txt")).unwrap();
    assert_eq!(site.get("/a.txt").await.status, StatusCode::NOT_FOUND);
    fs::create_dir(site.path("a.txt")).unwrap();
    assert_eq!(site.get("/a.txt").await.status, StatusCode::MOVED_PERMANENTLY);
}

#[tokio::test]
async fn a_neighbour_that_comes_or_goes_is_noticed() {
    let site = Site::new();
    site.write("a.txt", "plain");
    site.age("a.txt", 100);
    let gzip = [("accept-encoding", "gzip")];
    for _ in 0..2 {
        assert_eq!(site.ask(Method::GET, "/a.txt", &gzip).await.text(), "plain");
    }
    site.write("a.txt.gz", "packed");
    for _ in 0..2 {
        let reply = site.ask(Method::GET, "/a.txt", &gzip).await;
        assert_eq!((reply.text(), reply.header("content-encoding")), ("packed", "gzip"));
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    }
    // Asked for by its own name it is a file like others.
    let own = site.get("/a.txt.gz").await;
    assert_eq!((own.text(), own.headers.contains_key("content-encoding")), ("packed", false));
    assert_eq!(site.ask(Method::GET, "/a.txt", &gzip).await.header("content-encoding"), "gzip");
    fs::remove_file(site.path("a.txt.gz")).unwrap();
    assert_eq!(site.ask(Method::GET, "/a.txt", &gzip).await.text(), "plain");
}

#[tokio::test]
async fn a_name_that_turns_to_lead_outside_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    let site = Site::new();
    site.write("a.txt", "inside");
    symlink("a.txt", site.path("link.txt")).unwrap();
    for _ in 0..2 {
        assert_eq!(site.get("/link.txt").await.text(), "inside");
    }
    fs::remove_file(site.path("link.txt")).unwrap();
    symlink(outside.path().join("secret.txt"), site.path("link.txt")).unwrap();
    assert_eq!(site.get("/link.txt").await.status, StatusCode::NOT_FOUND);
    // Nor do the links to directories tell what is there.
    symlink(outside.path(), site.path("out")).unwrap();
    fs::create_dir(outside.path().join("sub")).unwrap();
    for url in ["/out", "/out/sub", "/out/secret.txt"] {
        assert_eq!(site.get(url).await.status, StatusCode::NOT_FOUND, "{url}");
    }
    // The directory itself moves away, and a link takes its name: the file is the same, and no longer below the root.
    site.write("pub/b.txt", "public");
    for _ in 0..2 {
        assert_eq!(site.get("/pub/b.txt").await.text(), "public");
    }
    fs::rename(site.path("pub"), outside.path().join("moved")).unwrap();
    symlink(outside.path().join("moved"), site.path("pub")).unwrap();
    assert_eq!(site.get("/pub/b.txt").await.status, StatusCode::NOT_FOUND);
    // One handler may follow it; another with the same root, made from it, still may not.
    let lax = site.files.clone().follow_symlinks_outside(true);
    for _ in 0..2 {
        assert_eq!(ask(&lax, Method::GET, "/link.txt", &[]).await.text(), "secret");
    }
    let strict = lax.clone().follow_symlinks_outside(false);
    assert_eq!(ask(&strict, Method::GET, "/link.txt", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_some_files_stay_open() {
    let site = Site::new();
    for number in 0..100 {
        site.write(&format!("{number}.txt"), number.to_string());
        assert_eq!(site.get(&format!("/{number}.txt")).await.text(), number.to_string());
    }
    let open = (0..100).filter(|number| is_open(&site.path(format!("{number}.txt")))).count();
    assert_eq!(open, 64);
    assert!(is_open(&site.path("99.txt")) && !is_open(&site.path("0.txt")));
}
