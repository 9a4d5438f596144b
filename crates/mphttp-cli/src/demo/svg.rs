//! Draws the demo's runs: throughput of each link over time, stacked, a panel for each run.

use std::fmt::Write as _;

use super::record::Run;

const WIDTH: f64 = 720.0;
const PANEL: f64 = 130.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const GAP: f64 = 52.0;
const BOTTOM: f64 = 40.0;
/// Blue and orange stay apart for colour-blind eyes, and on light and dark pages.
const COLOURS: [&str; 4] = ["#3b82c4", "#e08a1e", "#5aa469", "#a05ab4"];

/// One picture of all runs, on common axes so that they can be compared by eye.
pub fn draw(runs: &[Run], links: &[&str]) -> String {
    let seconds = runs.iter().map(|run| run.seconds).fold(1.0, f64::max) * 1.02;
    let peak =
        runs.iter().flat_map(|run| stacked(run, links)).map(|(_, sums)| total(&sums)).fold(10.0, f64::max);
    let top_rate = (peak / 50.0).ceil() * 50.0;
    let height = TOP + (PANEL + GAP) * runs.len() as f64 - GAP + BOTTOM;
    let mut svg = String::new();
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" font-family="system-ui, sans-serif" font-size="12">
<title>Throughput of each link over time</title>
<style>text {{ fill: #333 }} .axis {{ stroke: #999; stroke-width: 1 }} .grid {{ stroke: #ccc; stroke-width: .5 }} .cut {{ stroke: #c22; stroke-width: 1.5; stroke-dasharray: 5 3 }} .note {{ fill: #c22 }} .bg {{ fill: #fff }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} .bg {{ fill: #111 }} .grid {{ stroke: #444 }} .note {{ fill: #f77 }} }}</style>
<rect class="bg" width="{WIDTH}" height="{height:.0}"/>
"##
    );
    for (index, link) in links.iter().enumerate() {
        let x = LEFT + 110.0 * index as f64;
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            svg,
            r#"<rect x="{x:.0}" y="10" width="12" height="12" fill="{colour}"/><text x="{:.0}" y="20">{}</text>"#,
            x + 18.0,
            escape(link)
        );
    }
    for (index, run) in runs.iter().enumerate() {
        panel(&mut svg, run, links, TOP + (PANEL + GAP) * index as f64, seconds, top_rate);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, run: &Run, links: &[&str], y: f64, seconds: f64, top_rate: f64) {
    let x_of = |s: f64| LEFT + s / seconds * (WIDTH - LEFT - RIGHT);
    let y_of = |rate: f64| y + PANEL - (rate / top_rate).min(1.0) * PANEL;
    let title = format!("{}: {:.1} s, {:.0} Mbit/s", run.title, run.seconds, run.megabits());
    let _ =
        writeln!(svg, r#"<text x="{LEFT}" y="{:.1}" font-weight="600">{}</text>"#, y - 8.0, escape(&title));
    let mut rate = 0.0;
    while rate <= top_rate {
        let line = y_of(rate);
        let _ = writeln!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{line:.1}" y2="{line:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{rate:.0}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            line + 4.0
        );
        rate += 50.0;
    }
    let points = stacked(run, links);
    // From the top of the stack downwards, so that each area covers the lower part of the one before.
    for (index, _) in links.iter().enumerate().rev() {
        let mut path = format!("M{:.1},{:.1}", x_of(0.0), y_of(0.0));
        let mut last = 0.0;
        for (at, sums) in &points {
            let height: f64 = sums.iter().take(index + 1).sum();
            let _ = write!(path, " L{:.1},{:.1}", x_of(*at), y_of(height));
            last = *at;
        }
        let _ = write!(path, " L{:.1},{:.1} Z", x_of(last), y_of(0.0));
        let _ = writeln!(svg, r#"<path d="{path}" fill="{}"/>"#, COLOURS[index % COLOURS.len()]);
    }
    if let Some(cut) = &run.cut {
        let x = x_of(cut.at_seconds);
        let _ = writeln!(
            svg,
            r#"<line class="cut" x1="{x:.1}" x2="{x:.1}" y1="{y:.1}" y2="{:.1}"/><text class="note" x="{:.1}" y="{:.1}">{} dies</text>"#,
            y + PANEL,
            x + 5.0,
            y + 12.0,
            escape(cut.link)
        );
    }
    let _ = writeln!(
        svg,
        r#"<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/>"#,
        WIDTH - RIGHT,
        y + PANEL,
        y + PANEL
    );
    let mut second = 0.0;
    while second <= seconds {
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{second:.0} s</text>"#,
            x_of(second),
            y + PANEL + 16.0
        );
        second += 1.0;
    }
    let _ = writeln!(svg, r#"<text x="8" y="{:.1}">Mbit/s</text>"#, y - 8.0);
}

/// For each time the rates of all links, in the order of `links`.
fn stacked(run: &Run, links: &[&str]) -> Vec<(f64, Vec<f64>)> {
    let rates: Vec<_> = links.iter().map(|link| run.rates(link)).collect();
    let times = rates.first().map_or(&[][..], Vec::as_slice);
    times
        .iter()
        .enumerate()
        .map(|(index, (at, _))| {
            (*at, rates.iter().map(|rates| rates.get(index).map_or(0.0, |(_, rate)| *rate)).collect())
        })
        .collect()
}

fn total(rates: &[f64]) -> f64 {
    rates.iter().sum()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{super::record::*, *};
    use std::{collections::BTreeMap, time::Duration};

    fn run(megabytes_a_look: u64) -> Run {
        let looks = (0..20u64)
            .map(|n| Look {
                at: Duration::from_millis(100 * n),
                bytes: BTreeMap::from([("wifi".to_owned(), n * megabytes_a_look * 1_000_000)]),
            })
            .collect();
        Run {
            title: "a <run>",
            protocol: "mptcp",
            why_tcp: None,
            bytes: 19 * megabytes_a_look * 1_000_000,
            seconds: 1.9,
            longest_gap_seconds: 0.0,
            by_link: BTreeMap::from([("wifi".to_owned(), 19 * megabytes_a_look * 1_000_000)]),
            whole: true,
            cut: Some(Cut { link: "wifi", at_seconds: 1.0 }),
            looks,
        }
    }

    #[test]
    fn rates_are_megabits_a_second() {
        let rates = run(1).rates("wifi");
        assert!(rates.iter().all(|(_, rate)| (*rate - 80.0).abs() < 0.01), "{rates:?}");
        assert!(run(1).rates("lte").iter().all(|(_, rate)| *rate == 0.0));
        assert!((run(1).share("wifi") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_picture_has_a_panel_for_each_run_and_no_raw_markup_from_titles() {
        let svg = draw(&[run(1), run(2)], &["wifi", "lte"]);
        assert_eq!(svg.matches("a &lt;run&gt;").count(), 2);
        assert_eq!(svg.matches("wifi dies").count(), 2);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    }
}
