//! What the limits say of connections, in made-up time.

use super::*;
use tokio::time::advance;

const HEAD: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(75);
const STUCK: Duration = Duration::from_secs(100);

async fn after(gauge: &Gauge, seconds: u64) -> Verdict {
    advance(Duration::from_secs(seconds)).await;
    gauge.judge(HEAD, IDLE, STUCK)
}

fn fine(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fine(_))
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_has_the_time_of_a_head() {
    let gauge = Gauge::new();
    assert!(fine(after(&gauge, 29).await));
    assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_has_all_the_time() {
    let gauge = Gauge::new();
    let request = gauge.request(false, false);
    assert!(fine(after(&gauge, 3600).await));
    drop(request);
    assert!(fine(after(&gauge, 74).await));
    assert_eq!(after(&gauge, 1).await, Verdict::Idle);
}

#[tokio::test(start_paused = true)]
async fn the_next_head_is_timed_from_its_first_byte() {
    let gauge = Gauge::new();
    drop(gauge.request(false, false));
    assert!(fine(after(&gauge, 70).await));
    gauge.has_read(1);
    assert!(fine(after(&gauge, 29).await));
    gauge.has_read(1);
    assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_still_reads_is_not_idle() {
    let gauge = Gauge::new();
    drop(gauge.request(false, false));
    advance(Duration::from_secs(60)).await;
    gauge.has_written(1);
    assert!(fine(after(&gauge, 60).await));
    assert_eq!(after(&gauge, 15).await, Verdict::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_stuck_though_a_request_is_in_flight() {
    let gauge = Gauge::new();
    let _request = gauge.request(false, false);
    gauge.waits_to_write();
    advance(Duration::from_secs(60)).await;
    gauge.has_written(1);
    gauge.waits_to_write();
    advance(Duration::from_secs(60)).await;
    gauge.waits_to_write();
    assert!(fine(after(&gauge, 39).await));
    assert_eq!(after(&gauge, 1).await, Verdict::Stuck);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_http2_that_the_client_never_takes_is_stuck() {
    let gauge = Gauge::new();
    let (taken, left) = (gauge.request(true, false), gauge.request(true, false));
    left.offers();
    for _ in 0..3 {
        assert!(fine(after(&gauge, 90).await));
        taken.offers();
        taken.offers_no_more();
    }
    assert!(fine(after(&gauge, 99).await));
    assert_eq!(after(&gauge, 1).await, Verdict::Stuck);
    left.offers_no_more();
    assert!(fine(after(&gauge, 3600).await), "now its handler is the one to wait for");
}

#[tokio::test(start_paused = true)]
async fn who_can_make_room() {
    let gauge = Gauge::new();
    assert!(!gauge.could_go(), "its first request may be on its way");
    advance(LEFT_ALONE).await;
    assert!(gauge.could_go());
    let request = gauge.request(false, false);
    advance(HEAD).await;
    assert!(!gauge.could_go(), "it waits for its answer");
    gauge.waits_to_write();
    advance(PATIENCE).await;
    assert!(gauge.could_go(), "it takes nothing");
    gauge.has_written(1);
    assert!(gauge.could_go(), "it takes hardly anything");
    gauge.has_written(5000);
    gauge.body(true);
    advance(PATIENCE / 2).await;
    gauge.has_read(5000);
    advance(PATIENCE / 2).await;
    assert!(!gauge.could_go());
    gauge.has_read(1);
    advance(PATIENCE / 2).await;
    assert!(gauge.could_go(), "it sends hardly anything");
    gauge.body(false);
    drop(request);
    gauge.unflushed();
    advance(LEFT_ALONE).await;
    assert!(!gauge.could_go(), "its answer has not left yet");
}

#[tokio::test(start_paused = true)]
async fn frames_between_http2_requests_are_no_heads() {
    let gauge = Gauge::new();
    drop(gauge.request(true, false));
    gauge.has_read(1);
    assert!(fine(after(&gauge, 74).await));
    assert_eq!(after(&gauge, 1).await, Verdict::Idle);
}

#[tokio::test(start_paused = true)]
async fn silence_is_between_requests_only() {
    let gauge = Gauge::new();
    let begun = Instant::now();
    assert_eq!(gauge.silent_since(), Some(begun));
    gauge.has_read(1);
    assert_eq!(gauge.silent_since(), None, "a head has begun");
    let request = gauge.request(false, false);
    gauge.body(true);
    assert_eq!(gauge.silent_since(), None, "a request is under way");
    drop(request);
    assert_eq!(gauge.silent_since(), None, "its body is not read");
    gauge.body(false);
    assert_eq!(gauge.silent_since(), Some(begun));
    gauge.unflushed();
    assert_eq!(gauge.silent_since(), None, "bytes have not left yet");
    gauge.flushed();
    drop(gauge.request(true, false));
    assert_eq!(gauge.silent_since(), None, "HTTP/2 is never silent");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_what_follows_the_last_answer() {
    let gauge = Gauge::new();
    drop(gauge.request(false, false));
    assert!(!gauge.ends());
    let request = gauge.request(false, true);
    assert!(!gauge.ends(), "its answer is not complete");
    drop(request);
    assert!(gauge.ends());
}

#[tokio::test(start_paused = true)]
async fn the_next_look_comes_before_any_deadline() {
    let gauge = Gauge::new();
    drop(gauge.request(false, false));
    assert_eq!(gauge.judge(HEAD, IDLE, STUCK), Verdict::Fine(Instant::now() + HEAD));
}
