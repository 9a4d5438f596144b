//! Downloads from servers that do as they are told: what is cut short is gone on with, what changes is never mixed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "download/site.rs"]
mod site;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use mphttp::{
    Client, Error,
    download::{Downloaded, Strategy, leftover},
};
use sha2::{Digest, Sha256};
use site::{Site, body};

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Downloads into a file, which must then be what the site has.
async fn whole(site: &Site) -> Downloaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let done = client().download(site.url()).to_file(&path).await.unwrap();
    assert_eq!(hex(&fs::read(&path).unwrap()), hex(&site.body()));
    assert_eq!(names(folder.path()), ["got"]);
    done
}

#[tokio::test]
async fn a_body_comes_as_it_is() {
    for bytes in [0, 1, 65_536, 5_000_000] {
        let site = Site::new(body(bytes, 1));
        let done = whole(&site).await;
        assert_eq!((done.bytes, done.resumed, done.failures), (bytes as u64, 0, 0));
        assert_eq!((done.strategy, site.requests().len()), (Strategy::Single, 1));
        // A file is wanted as it is, and all of it.
        let request = &site.requests()[0];
        assert!(request.contains("accept-encoding: identity") && !request.contains("range:"), "{request}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_comes_too() {
    let site = Site::new(body(300_000, 1)).chunked();
    assert_eq!(whole(&site).await.bytes, 300_000);
}

#[tokio::test]
async fn what_is_cut_short_is_gone_on_with() {
    let site = Site::new(body(1_000_000, 1)).cut_after(300_000);
    let done = whole(&site).await;
    assert_eq!(done.failures, 3);
    let requests = site.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests[1..] {
        assert!(request.contains("range: bytes=") && request.contains("if-range: \"1\""), "{request}");
    }
}

#[tokio::test]
async fn a_date_is_as_good_as_a_tag_if_it_is_old_enough() {
    let site = Site::new(body(1_000_000, 1)).cut_after(600_000).dated();
    whole(&site).await;
    assert!(site.requests()[1].contains("if-range: Tue, 01 Sep 2026 10:00:00 GMT"));
}

#[tokio::test]
async fn a_server_that_always_sends_all_is_listened_to_again() {
    let site = Site::new(body(1_000_000, 1)).cut_after(700_000).without_ranges();
    // The second answer is cut at the same place, and brings nothing new.
    let error =
        client().download(site.url()).retry_for(Duration::from_millis(300)).discard().await.unwrap_err();
    assert!(matches!(error, Error::GaveUp { .. }), "{error}");
    let site = Site::new(body(1_000_000, 1)).cut_once_after(700_000).without_ranges();
    assert_eq!(whole(&site).await.failures, 1);
}

#[tokio::test]
async fn without_a_validator_it_starts_anew_but_not_for_ever() {
    let site = Site::new(body(1_000_000, 1)).cut_once_after(700_000).weak();
    assert_eq!(whole(&site).await.failures, 1);
    assert!(site.requests().iter().all(|request| !request.contains("range:")));
    let site = Site::new(body(1_000_000, 1)).cut_after(700_000).weak();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let error = client().download(site.url()).to_file(&path).await.unwrap_err();
    assert!(matches!(error, Error::Incomplete { .. }), "{error}");
    assert_eq!((site.requests().len(), names(folder.path()).len()), (4, 0));
}

#[tokio::test]
async fn starting_anew_waits_for_a_server_that_is_gone_for_a_moment() {
    let site = Site::new(body(1_000_000, 1)).cut_once_after(700_000).weak().then_gone();
    assert!(whole(&site).await.failures >= 1);
}

#[tokio::test]
async fn versions_are_never_mixed() {
    let site = Site::new(body(1_000_000, 1)).cut_once_after(600_000);
    // When it is asked for the rest, there is another version.
    let site = site.then(body(1_100_000, 2));
    let done = whole(&site).await;
    assert_eq!(done.bytes, 1_100_000);
    // A reader who has some of it already can't be given another.
    let site = Site::new(body(1_000_000, 1)).cut_once_after(600_000).then(body(1_100_000, 2));
    let mut downloading = client().download(site.url()).stream().await.unwrap();
    let error = loop {
        match downloading.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("mixed"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Changed { .. }), "{error}");
}

#[tokio::test]
async fn a_reader_gets_it_in_order_and_at_its_own_pace() {
    let site = Site::new(body(3_000_000, 1)).cut_after(700_000);
    let mut downloading = client().download(site.url()).window(100_000).stream().await.unwrap();
    assert_eq!((downloading.status().as_u16(), downloading.content_length()), (200, Some(3_000_000)));
    let mut got = Vec::new();
    while let Some(piece) = downloading.chunk().await.unwrap() {
        got.extend_from_slice(&piece);
        if got.len() < 200_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(hex(&got), hex(&site.body()));
    assert_eq!(downloading.finish().await.unwrap().bytes, 3_000_000);
}

#[tokio::test]
async fn what_is_left_is_gone_on_with_later() {
    let site = Site::new(body(1_000_000, 1)).cut_after(400_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let download = |resume| client().download(site.url()).retry_for(Duration::ZERO).resume(resume);
    download(false).to_file(&path).await.unwrap_err();
    let left = leftover(&path).unwrap();
    assert_eq!((left.received, left.total), (400_000, 1_000_000));
    assert_eq!(names(folder.path()), ["got.mphttp-part", "got.mphttp-part.json"]);
    download(true).to_file(&path).await.unwrap_err();
    assert_eq!(leftover(&path).unwrap().received, 800_000);
    let done = download(true).to_file(&path).await.unwrap();
    assert_eq!((done.resumed, done.bytes), (800_000, 1_000_000));
    assert_eq!(fs::read(&path).unwrap(), site.body());
    assert_eq!(names(folder.path()), ["got"]);
}

#[tokio::test]
async fn what_is_left_of_another_version_is_of_no_use() {
    let site = Site::new(body(1_000_000, 1)).cut_once_after(400_000).then(body(900_000, 2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    client().download(site.url()).retry_for(Duration::ZERO).to_file(&path).await.unwrap_err();
    let done = client().download(site.url()).resume(true).to_file(&path).await.unwrap();
    assert_eq!((done.resumed, done.bytes), (0, 900_000));
    assert_eq!(fs::read(&path).unwrap(), site.body());
}

#[tokio::test]
async fn a_state_that_was_tampered_with_is_not_believed() {
    for spoil in [
        "not json",
        "{}",
        r#"{"form":1,"url":"x","version":{},"total":1,"pieces":[[0,9]],"synced":true,"boot":null}"#,
    ] {
        let site = Site::new(body(500_000, 1));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("got");
        fs::write(folder.path().join("got.mphttp-part"), "x").unwrap();
        fs::write(folder.path().join("got.mphttp-part.json"), spoil).unwrap();
        let done = client().download(site.url()).resume(true).to_file(&path).await.unwrap();
        assert_eq!((done.resumed, fs::read(&path).unwrap() == site.body()), (0, true), "{spoil}");
    }
}

#[tokio::test]
async fn one_download_to_a_file_at_a_time() {
    let site = Site::new(body(2_000_000, 1)).slow();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let first = tokio::spawn(client().download(site.url()).to_file(path.clone()));
    while !path.with_file_name("got.mphttp-part").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = client().download(site.url()).to_file(&path).await.unwrap_err();
    assert!(error.to_string().contains("another download is writing"), "{error}");
    first.await.unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), site.body());
}

#[tokio::test]
async fn a_dropped_download_leaves_what_can_be_gone_on_with() {
    let site = Site::new(body(3_000_000, 1)).slow();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let download = client().download(site.url()).to_file(&path);
    assert!(tokio::time::timeout(Duration::from_millis(150), download).await.is_err());
    let left = leftover(&path).unwrap();
    assert!(left.received > 0 && left.received < 3_000_000, "{left:?}");
    // Unless nobody could.
    let site = Site::new(body(3_000_000, 1)).slow().weak();
    let path = folder.path().join("other");
    let download = client().download(site.url()).to_file(&path);
    assert!(tokio::time::timeout(Duration::from_millis(150), download).await.is_err());
    assert!(names(folder.path()).iter().all(|name| !name.starts_with("other")), "{:?}", names(folder.path()));
}

#[tokio::test]
async fn servers_that_ask_to_wait_are_waited_for() {
    let site = Site::new(body(1000, 1)).busy(1, Some("1"));
    let start = Instant::now();
    whole(&site).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    // In the middle as at the beginning.
    let site = Site::new(body(1_000_000, 1)).cut_once_after(500_000).then_busy(1, Some("1"));
    let start = Instant::now();
    assert_eq!(whole(&site).await.bytes, 1_000_000);
    assert!(start.elapsed() >= Duration::from_secs(1));
    // But not for an hour, nor where no time is named.
    let site = Site::new(body(1000, 1)).busy(9, Some("3600"));
    let error = client().download(site.url()).discard().await.unwrap_err();
    assert!(error.to_string().contains("asks to wait 3600 s"), "{error}");
    let site = Site::new(body(1000, 1)).busy(9, Some("18446744073709551615"));
    assert!(matches!(client().download(site.url()).discard().await, Err(Error::Busy { .. })));
    let site = Site::new(body(1000, 1)).busy(9, None);
    let error = client().download(site.url()).discard().await.unwrap_err();
    assert!(matches!(error, Error::Status { .. }), "{error}");
}

#[tokio::test]
async fn checksums_are_checked_before_there_is_a_file() {
    let site = Site::new(body(200_000, 1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let right = format!("sha256={}", hex(&site.body())).parse().unwrap();
    let done = client().download(site.url()).checksum(right).to_file(&path).await.unwrap();
    assert!(done.verified);
    fs::remove_file(&path).unwrap();
    let wrong = format!("sha256={}", hex(b"other")).parse().unwrap();
    let error = client().download(site.url()).checksum(wrong).to_file(&path).await.unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    assert!(names(folder.path()).is_empty());
    // Without a file as well.
    let wrong = format!("sha256={}", hex(b"other")).parse().unwrap();
    assert!(matches!(
        client().download(site.url()).checksum(wrong).discard().await,
        Err(Error::Checksum { .. })
    ));
}

#[tokio::test]
async fn digests_that_the_server_sends_are_checked() {
    let site = Site::new(body(200_000, 1)).digest("Repr-Digest", None);
    assert!(whole(&site).await.verified);
    let site = Site::new(body(200_000, 1)).digest("Repr-Digest", Some(b"other"));
    assert!(matches!(client().download(site.url()).discard().await, Err(Error::Checksum { .. })));
    // The digest of a part that is spoilt: it is asked for again.
    let site = Site::new(body(1_000_000, 1)).cut_once_after(500_000).part_digests_wrong(1);
    assert_eq!(whole(&site).await.failures, 2);
    // But not for ever.
    let site = Site::new(body(1_000_000, 1)).cut_once_after(500_000).part_digests_wrong(u32::MAX);
    let error = client().download(site.url()).discard().await.unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
}

#[tokio::test]
async fn a_status_that_is_no_success_is_an_error_unless_it_may_be_one() {
    let site = Site::new(body(10, 1)).status("404 Not Found");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let error = client().download(site.url()).to_file(&path).await.unwrap_err();
    assert!(matches!(error, Error::Status { .. }) && names(folder.path()).is_empty(), "{error}");
    let done = client().download(site.url()).any_status(true).to_file(&path).await.unwrap();
    assert_eq!((done.status.as_u16(), done.bytes), (404, 10));
}

#[tokio::test]
async fn no_error_page_takes_the_place_of_a_body_that_had_begun() {
    for status in ["502 Bad Gateway", "404 Not Found"] {
        let site = Site::new(body(1_000_000, 1)).cut_once_after(600_000).weak().then_status(status);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("got");
        match client().download(site.url()).any_status(true).to_file(&path).await {
            // The server has recovered.
            Ok(_) => assert_eq!(fs::read(&path).unwrap(), site.body()),
            Err(error) => {
                assert!(matches!(error, Error::Status { .. }) && names(folder.path()).is_empty(), "{error}")
            }
        }
    }
}

#[tokio::test]
async fn a_part_that_nobody_asked_for_is_no_body() {
    let site = Site::new(body(1_000_000, 1)).parts_unasked();
    let error = client().download(site.url()).discard().await.unwrap_err();
    assert!(error.to_string().contains("a part of the body"), "{error}");
}

#[tokio::test]
async fn without_retries_silence_ends_it() {
    let site = Site::new(body(1_000_000, 1)).stall_once_after(400_000);
    let client = Client::builder().no_proxy().read_timeout(Duration::from_secs(1)).build().unwrap();
    let error = client.download(site.url()).retry_for(Duration::ZERO).discard().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test]
async fn a_reader_that_pauses_is_no_failure_of_the_server() {
    let site = Site::new(body(1_000_000, 1));
    let download = client().download(site.url()).window(100_000).retry_for(Duration::from_secs(1));
    let mut downloading = download.stream().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut got = Vec::new();
    while let Some(piece) = downloading.chunk().await.unwrap() {
        got.extend_from_slice(&piece);
    }
    assert_eq!(hex(&got), hex(&site.body()));
}

#[tokio::test]
async fn limits_beyond_the_clock_are_none() {
    let site = Site::new(body(1000, 1));
    let client =
        Client::builder().no_proxy().read_timeout(Duration::MAX).timeout(Duration::MAX).build().unwrap();
    client.download(site.url()).retry_for(Duration::MAX).discard().await.unwrap();
    assert_eq!(client.get(site.url()).send().await.unwrap().bytes().await.unwrap().len(), 1000);
}

#[tokio::test]
async fn what_is_no_plain_get_is_refused() {
    let client = client();
    for request in
        [client.post("http://localhost/"), client.get("http://localhost/").header("range", "bytes=0-1")]
    {
        let error = request.download().discard().await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error =
        client.download("http://localhost/").to_file(folder.path().join("no/where")).await.unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    let error = client.download("http://localhost/").to_file("/dev/null").await.unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[tokio::test]
async fn a_connection_that_stalls_is_replaced() {
    let site = Site::new(body(1_000_000, 1)).stall_once_after(400_000);
    let start = Instant::now();
    let done = whole(&site).await;
    assert_eq!(done.failures, 1);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn redirects_are_followed_once_and_again_if_they_lead_elsewhere_later() {
    let target = Site::new(body(1_000_000, 1)).cut_once_after(400_000);
    let from = Site::new(Vec::new()).redirect(target.url());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got");
    let done = client().download(from.url()).to_file(&path).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), target.body());
    // The rest was asked for where the first part came from.
    assert_eq!((from.requests().len(), done.url.as_str()), (1, target.url().as_str()));
    // A link that holds for one request only: the original one leads to a fresh one.
    let target = Site::new(body(1_000_000, 1)).cut_once_after(400_000).then_status("403 Forbidden");
    let from = Site::new(Vec::new()).redirect(target.url());
    client().download(from.url()).to_file(&path).await.unwrap();
    assert_eq!((from.requests().len(), fs::read(&path).unwrap() == target.body()), (2, true));
}

#[tokio::test]
async fn progress_is_told() {
    let site = Site::new(body(2_000_000, 1)).slow();
    let (tell, told) = std::sync::mpsc::channel();
    let download =
        client().download(site.url()).progress(move |progress| tell.send(progress.clone()).unwrap());
    download.discard().await.unwrap();
    let told: Vec<_> = told.iter().collect();
    assert!(told.len() >= 2 && told.is_sorted_by_key(|progress| progress.bytes), "{told:?}");
    let last = told.last().unwrap();
    assert_eq!((last.bytes, last.total, last.links.len()), (2_000_000, Some(2_000_000), 1));
}
