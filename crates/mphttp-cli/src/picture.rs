//! Draws transfers as SVG: throughput of each link over time, stacked, a panel for each transfer.

use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;

use crate::looks::{Look, rates};

/// A transfer in the picture.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What it was and what came of it, for people.
    pub title: String,
    /// How long it took.
    pub seconds: f64,
    /// What each link had carried when.
    pub looks: &'a [Look],
    /// Something that happened: when, and what.
    pub event: Option<(f64, String)>,
}

const WIDTH: f64 = 720.0;
const PANEL: f64 = 130.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const GAP: f64 = 52.0;
const BOTTOM: f64 = 40.0;
/// Blue and orange stay apart for colour-blind eyes, and on light and dark pages.
const COLOURS: [&str; 4] = ["#3b82c4", "#e08a1e", "#5aa469", "#a05ab4"];

/// One picture of all transfers, on common axes so that they can be compared by eye.
pub fn draw(runs: &[Panel<'_>], links: &[&str]) -> String {
    let seconds = runs.iter().map(|run| run.seconds).fold(0.1, f64::max) * 1.02;
    let peak =
        runs.iter().flat_map(|run| stacked(run, links)).map(|(_, sums)| total(&sums)).fold(0.01, f64::max);
    let top_rate = (peak / step(peak)).ceil() * step(peak);
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

fn panel(svg: &mut String, run: &Panel<'_>, links: &[&str], y: f64, seconds: f64, top_rate: f64) {
    let x_of = |s: f64| LEFT + s / seconds * (WIDTH - LEFT - RIGHT);
    let y_of = |rate: f64| y + PANEL - (rate / top_rate).min(1.0) * PANEL;
    let _ = writeln!(
        svg,
        r#"<text x="{LEFT}" y="{:.1}" font-weight="600">{}</text>"#,
        y - 8.0,
        escape(&run.title)
    );
    for rate in marks(top_rate, step(top_rate)) {
        let line = y_of(rate);
        let _ = writeln!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{line:.1}" y2="{line:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            line + 4.0,
            number(rate)
        );
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
    if let Some((at, what)) = &run.event {
        let x = x_of(*at);
        let _ = writeln!(
            svg,
            r#"<line class="cut" x1="{x:.1}" x2="{x:.1}" y1="{y:.1}" y2="{:.1}"/><text class="note" x="{:.1}" y="{:.1}">{}</text>"#,
            y + PANEL,
            x + 5.0,
            y + 12.0,
            escape(what)
        );
    }
    let _ = writeln!(
        svg,
        r#"<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/>"#,
        WIDTH - RIGHT,
        y + PANEL,
        y + PANEL
    );
    for second in marks(seconds, step(seconds)) {
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{} s</text>"#,
            x_of(second),
            y + PANEL + 16.0,
            number(second)
        );
    }
    let _ = writeln!(svg, r#"<text x="8" y="{:.1}">Mbit/s</text>"#, y - 8.0);
}

/// For each time the rates of all links, in the order of `links`.
fn stacked(run: &Panel<'_>, links: &[&str]) -> Vec<(f64, Vec<f64>)> {
    let rates: Vec<_> = links.iter().map(|link| rates(run.looks, link)).collect();
    let times = rates.first().map_or(&[][..], Vec::as_slice);
    times
        .iter()
        .enumerate()
        .map(|(index, (at, _))| {
            (*at, rates.iter().map(|rates| rates.get(index).map_or(0.0, |(_, rate)| *rate)).collect())
        })
        .collect()
}

/// A round distance between the marks of an axis: 1, 2 or 5 times a power of ten, such that there are three to nine.
pub fn step(top: f64) -> f64 {
    let raw = (top / 4.0).max(1e-6);
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| raw <= factor * power * 1.0001);
    factor.unwrap_or(10.0) * power
}

/// The marks of an axis, from 0.
fn marks(top: f64, step: f64) -> impl Iterator<Item = f64> {
    // Never more than there is room for, whatever rounding does.
    (0..20).map(move |index| f64::from(index) * step).take_while(move |mark| *mark <= top * 1.0001)
}

/// A mark's number without needless digits.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A file beside the one that is to be, which takes its name once it is whole and vanishes otherwise. Made before the
/// wait for what goes into it, so that a path that can't be written to is told at once.
pub fn unfinished(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As open to others as any new file, not as closed as temporary ones are.
    let permissions = fs::Permissions::from_mode(0o644);
    let made = tempfile::Builder::new()
        .prefix(".mphttp.")
        .suffix(".part")
        .permissions(permissions)
        .tempfile_in(folder);
    made.with_context(|| format!("can't write {}", path.display()))
}

/// Writes the picture and gives the file its name.
pub fn finish(mut file: tempfile::NamedTempFile, path: &Path, svg: &str) -> anyhow::Result<()> {
    let failed = || format!("can't write {}", path.display());
    std::io::Write::write_all(&mut file, svg.as_bytes()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

fn total(rates: &[f64]) -> f64 {
    rates.iter().sum()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, time::Duration};

    fn looks(bytes_a_look: u64) -> Vec<Look> {
        (0..20u64)
            .map(|n| Look {
                at: Duration::from_millis(100 * n),
                bytes: BTreeMap::from([("wifi".to_owned(), n * bytes_a_look)]),
            })
            .collect()
    }

    #[test]
    fn the_picture_has_a_panel_for_each_run_and_no_raw_markup_from_titles() {
        let looks = looks(1_000_000);
        let run = Panel {
            title: "a <run>".into(),
            seconds: 1.9,
            looks: &looks,
            event: Some((1.0, "wifi dies".into())),
        };
        let svg = draw(&[run.clone(), run], &["wifi", "lte"]);
        assert_eq!(svg.matches("a &lt;run&gt;").count(), 2);
        assert_eq!(svg.matches("wifi dies").count(), 2);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    }

    #[test]
    fn slow_fast_and_empty_transfers_have_axes_that_can_be_read() {
        for bytes in [0, 10, 1000, 1_000_000, 10_000_000_000] {
            let looks = looks(bytes);
            let run = Panel { title: String::new(), seconds: 1.9, looks: &looks, event: None };
            let svg = draw(&[run], &["wifi"]);
            assert!((3..=20).contains(&svg.matches("class=\"grid\"").count()), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        for (top, distance) in [(200.0, 50.0), (190.0, 50.0), (7.0, 2.0), (0.3, 0.1), (9.9e3, 5e3)] {
            assert!((step(top) - distance).abs() < 1e-9, "{top}: {}", step(top));
        }
        assert_eq!([number(0.0), number(50.0), number(0.25)], ["0", "50", "0.25"]);
    }
}
