//! What must never be served: all that is outside the root, hidden, no regular file, or not to be read.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use http::Method;

use super::site::{Site, ask};

#[tokio::test]
async fn no_way_out_of_the_root() {
    let site = Site::with_ten_bytes();
    site.write("dir/inner.txt", "inner");
    let secret = site.above.path().join("secret");
    symlink("../secret", site.path("out")).unwrap();
    symlink(&secret, site.path("out-absolute")).unwrap();
    symlink("/", site.path("out-dir")).unwrap();
    symlink("..", site.path("dir/up")).unwrap();
    symlink("../..", site.path("dir/up-up")).unwrap();
    symlink("dir/inner.txt", site.path("in")).unwrap();
    symlink("../ten.txt", site.path("dir/in-by-parent")).unwrap();
    symlink(site.path("dir"), site.path("in-absolute")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    symlink("/proc/self/root", site.path("magic")).unwrap();
    let cases = [
        ("/in", 200),
        ("/dir/in-by-parent", 200),
        ("/dir/up/ten.txt", 200),
        ("/in-absolute/inner.txt", 200),
        ("/out", 404),
        ("/out-absolute", 404),
        ("/out-dir/", 404),
        ("/out-dir/etc/passwd", 404),
        ("/dir/up-up/secret", 404),
        ("/magic/", 404),
        ("/loop", 404),
        ("/dangling", 404),
        ("/../secret", 404),
        ("/%2e%2e/secret", 404),
        ("/.%2e/secret", 404),
        ("/..%2fsecret", 404),
        ("/dir/..%2f..%2fsecret", 404),
        ("/dir/../../secret", 404),
        ("/..%5csecret", 404),
        ("/%2e%2e%5csecret", 404),
        ("/%252e%252e/secret", 404),
        ("/%c0%ae%c0%ae/secret", 404),
        ("/ten.txt%00.png", 404),
        ("/ten.txt/", 404),
        ("/ten.txt/x", 404),
        ("/%2fetc%2fpasswd", 404),
        ("//etc/passwd", 404),
    ];
    for (url, status) in cases {
        let reply = site.get(url).await;
        assert_eq!(reply.status, status, "{url}");
        assert!(!reply.text().contains("secret") && !reply.text().contains("root:"), "{url}");
    }
    let long = format!("/{}", "x".repeat(300));
    assert_eq!(site.get(&long).await.status, 404, "ENAMETOOLONG");
    let deep = format!("/{}", "x/".repeat(4000));
    assert_eq!(site.get(&deep).await.status, 404, "ENAMETOOLONG");

    let open = site.files.clone().follow_symlinks_outside(true);
    for (url, status) in
        [("/out", 200), ("/out-absolute", 200), ("/in", 200), ("/loop", 404), ("/../secret", 404)]
    {
        assert_eq!(ask(&open, Method::GET, url, &[]).await.status, status, "{url}");
    }
}

#[tokio::test]
async fn hidden_names() {
    let site = Site::new();
    site.write(".git/config", "");
    site.write(".well-known/security.txt", "");
    site.write("seen", "");
    assert_eq!(site.get("/.git/config").await.status, 404);
    assert_eq!(site.get("/.well-known/security.txt").await.status, 200, "RFC 8615");
    assert!(!site.get("/").await.text().contains(".git"));
    let all = site.files.clone().hidden(true);
    assert_eq!(ask(&all, Method::GET, "/.git/config", &[]).await.status, 200);
    assert!(ask(&all, Method::GET, "/", &[]).await.text().contains(".git"));
}

#[tokio::test]
async fn what_is_no_file_is_neither_served_nor_waited_for() {
    let site = Site::new();
    rustix::fs::mknodat(rustix::fs::CWD, site.path("fifo"), rustix::fs::FileType::Fifo, 0o666.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    symlink("/dev/zero", site.path("zero")).unwrap();
    let open = site.files.clone().follow_symlinks_outside(true);
    for url in ["/fifo", "/socket", "/zero"] {
        assert_eq!(site.get(url).await.status, 404, "{url}");
        assert_eq!(ask(&open, Method::GET, url, &[]).await.status, 404, "{url}");
    }
    // As neighbour and as index as well.
    site.write("a.txt", "a");
    fs::rename(site.path("fifo"), site.path("a.txt.gz")).unwrap();
    assert_eq!(site.ask(Method::GET, "/a.txt", &[("accept-encoding", "gzip")]).await.text(), "a");
    fs::rename(site.path("a.txt.gz"), site.path("index.html")).unwrap();
    let listing = site.get("/").await;
    assert_eq!(listing.status, 200);
    assert!(listing.text().contains("a.txt") && !listing.text().contains("index.html"));
}

#[tokio::test]
async fn unreadable_is_forbidden() {
    let site = Site::with_ten_bytes();
    fs::set_permissions(site.path("ten.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(site.path("ten.txt")).is_ok() {
        eprintln!("skipped: this user (root?) may read every file");
        return;
    }
    let reply = site.get("/ten.txt").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (403, "403 This may not be read.\n"));
}
