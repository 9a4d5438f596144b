//! Reports of transfers that were never made, to try the words and figures.

use std::time::Duration;

use super::*;
use crate::looks::Look;

const LIMITS: Limits = Limits { time: Duration::from_secs(4), bytes: 100_000_000 };

/// A transfer of 2 s at a steady rate, over these links in equal parts.
fn steady(kind: Kind, megabits: f64, links: &[&str]) -> Transfer {
    let mut transfer = Transfer::failed(kind, &anyhow::anyhow!("never made"));
    transfer.error = None;
    (transfer.samples, transfer.looks) = (Vec::new(), Vec::new());
    for tick in 0..=20_u32 {
        let at = Duration::from_millis(100) * tick;
        let bytes = (megabits * 1e6 / 8.0 * at.as_secs_f64()) as u64;
        let share = bytes / links.len() as u64;
        transfer.samples.push((at.as_secs_f64(), bytes));
        transfer.links = links.iter().map(|link| ((*link).to_owned(), share)).collect();
        transfer.looks.push(Look { at, bytes: transfer.links.clone() });
        (transfer.bytes, transfer.seconds) = (bytes, at.as_secs_f64());
    }
    transfer.connect_seconds = Some(0.012);
    transfer.strategy = Some(if links.len() > 1 { "striped" } else { "single" });
    transfer
}

fn report(transfers: Vec<Transfer>, links: &[&str]) -> Report {
    let links = links.iter().map(|link| (*link).to_owned()).collect();
    Report::with_links("http://a.example/", 3, LIMITS, transfers, links)
}

/// Three rounds over two links.
pub fn two_links() -> Report {
    let mut transfers = Vec::new();
    for rate in [90.0, 110.0, 95.0] {
        transfers.push(steady(Kind::Tcp, rate, &["wifi"]));
        transfers.push(steady(Kind::Mptcp, rate * 1.8, &["wifi", "lte"]));
        transfers.push(steady(Kind::Striped, rate * 2.0, &["wifi", "lte"]));
    }
    report(transfers, &["wifi", "lte"])
}

#[test]
fn medians_and_ratios() {
    assert_eq!(median(&[]), None);
    assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])), (Some(2.0), Some(2.5)));
    let report = two_links();
    let [tcp, mptcp, striped] = report.kinds.as_slice() else { panic!() };
    let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 0.01;
    assert!(near(tcp.median_mbit, 95.0) && near(tcp.ratio_to_tcp, 1.0));
    assert!(near(mptcp.ratio_to_tcp, 1.8) && near(striped.ratio_to_tcp, 2.0));
    assert!(near(tcp.slowest_mbit, 90.0) && near(tcp.fastest_mbit, 110.0));
    assert!(near(mptcp.typical().unwrap().megabits(), 171.0));
}

#[test]
fn the_table_fits_eighty_columns_and_has_nothing_to_remark_when_all_is_well() {
    let report = two_links();
    assert_eq!(
        report.table(),
        "              median  from, to (Mbit/s)  x TCP   connect  over\n\
         TCP      95.0 Mbit/s          90.0, 110   1.00     12 ms  wifi 100%\n\
         MPTCP     171 Mbit/s           162, 198   1.80     12 ms  lte 50%, wifi 50%\n\
         striped   190 Mbit/s           180, 220   2.00     12 ms  lte 50%, wifi 50%\n"
    );
    assert_eq!(report.remarks(), "");
    assert!(report.table().lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_fallback_one_link_and_failures_are_said() {
    let mut fallback = steady(Kind::Mptcp, 95.0, &["wifi"]);
    fallback.why_tcp = Some("peer-or-path");
    fallback.why_tcp_text = Some("the peer answered without");
    fallback.remedy = Some("check it");
    let broken = Transfer::failed(Kind::Striped, &anyhow::anyhow!("it broke"));
    let report = report(vec![steady(Kind::Tcp, 95.0, &["wifi"]), fallback, broken], &["wifi"]);
    let remarks = report.remarks();
    for part in [
        "MPTCP was not used: the peer answered without (check it)",
        "striped: 1 of 1 failed: it broke",
        "one link with a default route, wifi",
    ] {
        assert!(remarks.contains(part), "{part} not in {remarks}");
    }
    assert!(report.table().contains("wifi 100% (TCP!)") && report.table().contains("failed"));
    let value = serde_json::to_value(&report).unwrap();
    assert!(value["kinds"][2]["median_mbit"].is_null() && value["limits"]["seconds"] == 4.0);
}

#[test]
fn paths_that_were_not_used_are_said() {
    let transfers = vec![
        steady(Kind::Tcp, 95.0, &["wifi"]),
        steady(Kind::Mptcp, 95.0, &["wifi"]),
        steady(Kind::Striped, 95.0, &["wifi"]),
    ];
    let remarks = report(transfers, &["wifi", "lte"]).remarks();
    assert!(remarks.contains("MPTCP used one path, though there are 2 links (wifi, lte)"), "{remarks}");
    assert!(remarks.contains("nothing was striped"), "{remarks}");
}

#[test]
fn the_picture_has_the_typical_transfers() {
    let svg = two_links().picture();
    for part in ["TCP: 95.0 Mbit/s", "MPTCP: 171 Mbit/s", "striped: 190 Mbit/s", ">lte<", ">wifi<"] {
        assert!(svg.contains(part), "{part}");
    }
}
