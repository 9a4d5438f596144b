//! The plot in the terminal: throughput over time, a letter for each kind.

use ratatui::{
    buffer::Buffer,
    crossterm::style::{Color as Shade, Stylize},
    layout::Rect,
    style::{Color, Style},
    symbols::Marker,
    widgets::{Axis, Chart, Dataset, GraphType, LegendPosition, Widget},
};

use super::{
    report::{Report, Summary, median},
    transfer::{Kind, Transfer},
};
use crate::picture::{number, step};

const HEIGHT: u16 = 16;
/// Over how long a rate is measured, at least, in seconds: looks come every tenth.
const WINDOW: f64 = 0.3;

/// A letter and a colour of its own for each: a pipe has no colours.
const fn look_of(kind: Kind) -> (char, Color, Shade) {
    match kind {
        Kind::Tcp => ('T', Color::Blue, Shade::Blue),
        Kind::Mptcp => ('M', Color::Yellow, Shade::Yellow),
        Kind::Striped => ('S', Color::Green, Shade::Green),
    }
}

/// The plot, with a legend under it; nothing if there is nothing to plot.
pub fn draw(report: &Report, width: u16, colours: bool) -> String {
    let lines: Vec<(Kind, Vec<(f64, f64)>)> = report
        .kinds
        .iter()
        .enumerate()
        .map(|(turn, summary)| {
            let points = over_time(summary, usize::from(width) - 10);
            // They take turns, a column each: lines that are alike would hide each other.
            let own = points.into_iter().enumerate().filter(|(index, _)| index % report.kinds.len() == turn);
            (summary.kind, own.map(|(_, point)| point).collect::<Vec<_>>())
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (seconds, peak) = points().fold((0.0_f64, 0.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
    if seconds <= 0.0 || peak <= 0.0 {
        return String::new();
    }
    let step = step(peak);
    let top = (peak / step).ceil() * step;
    let datasets = lines.iter().map(|(kind, points)| {
        let (letter, colour, _) = look_of(*kind);
        Dataset::default()
            .marker(Marker::Custom(letter))
            .graph_type(GraphType::Scatter)
            .style(Style::new().fg(colour))
            .data(points)
    });
    let labels = |top: f64| [0.0, top / 2.0, top].map(number);
    let chart = Chart::new(datasets.collect())
        .x_axis(Axis::default().bounds([0.0, seconds]).labels(labels(seconds)))
        .y_axis(Axis::default().bounds([0.0, top]).labels(labels(top)))
        .legend_position(None::<LegendPosition>);
    let area = Rect::new(0, 0, width, HEIGHT);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    let mut text = String::from("Mbit/s\n") + &lines_of(&buffer, colours);
    text.push_str(&legend(&lines, seconds, colours));
    text
}

fn legend(lines: &[(Kind, Vec<(f64, f64)>)], seconds: f64, colours: bool) -> String {
    let names: Vec<String> = lines
        .iter()
        .map(|(kind, _)| {
            let (letter, _, shade) = look_of(*kind);
            let name = format!("{letter} {}", kind.name());
            if colours { name.with(shade).to_string() } else { name }
        })
        .collect();
    format!("{}   medians of the rounds, over {seconds:.1} s\n", names.join("   "))
}

/// The cells as text, without the blanks at the ends of lines.
fn lines_of(buffer: &Buffer, colours: bool) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let cells: Vec<_> = (0..area.width).filter_map(|x| buffer.cell((x, y))).collect();
        let used = cells.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
        for cell in cells.into_iter().take(used) {
            let shade = Kind::ALL.map(look_of).into_iter().find(|(_, colour, _)| cell.fg == *colour);
            match shade.filter(|_| colours) {
                Some((_, _, shade)) => text.push_str(&cell.symbol().with(shade).to_string()),
                None => text.push_str(cell.symbol()),
            }
        }
        text.push('\n');
    }
    text
}

/// The rate at so many times: of the transfers that lasted so long, the median.
fn over_time(summary: &Summary, count: usize) -> Vec<(f64, f64)> {
    let longest = summary.transfers.iter().map(|transfer| transfer.seconds).fold(0.0, f64::max);
    let window = WINDOW.min(longest).max(longest / count.max(1) as f64);
    (0..=count)
        .map(|index| longest * index as f64 / count.max(1) as f64)
        .filter_map(|at| {
            let rates: Vec<f64> =
                summary.transfers.iter().filter_map(|transfer| rate_at(transfer, at, window)).collect();
            median(&rates).map(|rate| (at, rate))
        })
        .collect()
}

/// Mbit/s in the window that ends then; from its beginning on, if it is younger.
fn rate_at(transfer: &Transfer, at: f64, window: f64) -> Option<f64> {
    let from = (at - window).max(0.0);
    if transfer.error.is_some() || at > transfer.seconds || at <= from {
        return None;
    }
    Some((bytes_at(transfer, at)? - bytes_at(transfer, from)?) * 8.0 / 1e6 / (at - from))
}

/// Bytes until then, between two looks in proportion.
fn bytes_at(transfer: &Transfer, at: f64) -> Option<f64> {
    let after = transfer.samples.iter().position(|(when, _)| *when >= at)?;
    let (later, more) = *transfer.samples.get(after)?;
    let Some((earlier, less)) = after.checked_sub(1).and_then(|before| transfer.samples.get(before).copied())
    else {
        return Some(more as f64);
    };
    let part = if later > earlier { (at - earlier) / (later - earlier) } else { 1.0 };
    Some(less as f64 + (more as f64 - less as f64) * part)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::two_links;
    use super::*;

    #[test]
    fn each_kind_has_its_line_in_eighty_columns() {
        let text = draw(&two_links(), 80, false);
        println!("{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        // The faster one is the higher one.
        let line = |letter: char| text.lines().position(|line| line.matches(letter).count() > 15).unwrap();
        assert!(line('S') < line('M') && line('M') < line('T'), "{text}");
        assert!(text.contains("T TCP   M MPTCP   S striped") && text.contains("200"), "{text}");
        assert!(!text.contains('\x1b') && draw(&two_links(), 80, true).contains("\x1b["));
    }

    #[test]
    fn lines_that_are_alike_are_all_seen() {
        let mut report = two_links();
        let tcp = report.kinds[0].transfers.clone();
        for summary in &mut report.kinds {
            summary.transfers.clone_from(&tcp);
        }
        let text = draw(&report, 80, false);
        let best = text.lines().max_by_key(|line| line.matches('T').count()).unwrap();
        assert!(['T', 'M', 'S'].iter().all(|letter| best.matches(*letter).count() > 15), "{text}");
    }

    #[test]
    fn steady_rates_are_steady() {
        let report = two_links();
        let points = over_time(&report.kinds[0], 70);
        assert!(points.len() >= 69 && points.iter().all(|(_, rate)| (rate - 95.0).abs() < 0.1), "{points:?}");
    }
}
