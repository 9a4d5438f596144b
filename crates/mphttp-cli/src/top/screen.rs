//! The screen: a title, the table, the chosen line in full, and the keys.

use clap::ValueEnum;
use ratatui::{
    Frame,
    layout::{Constraint, Layout as Split},
    style::{Color, Modifier, Style, Stylize},
    text::{Line as Text, Span},
    widgets::Paragraph,
};

use super::{
    SortKey,
    board::{Order, View},
    layout::{Columns, Layout, Line, short, whole},
};

/// What is on the screen and how.
pub struct Screen {
    pub view: View,
    pub order: Order,
    pub columns: Columns,
    /// Whether the figures stand still.
    pub held: bool,
    /// What the cursor is on, by name, since places change.
    chosen: Option<(String, Option<usize>)>,
    /// The first line shown.
    offset: usize,
    /// How many lines there was room for when it was last drawn.
    room: usize,
}

impl Screen {
    pub fn new(view: View, order: Order) -> Self {
        let mut screen =
            Self { view, order, columns: Columns::Rates, held: false, chosen: None, offset: 0, room: 1 };
        screen.view.sort(order);
        screen
    }

    /// Shows a new look.
    pub fn show(&mut self, mut view: View) {
        view.sort(self.order);
        self.view = view;
    }

    /// Sorts by the next key.
    pub fn sort_by_next(&mut self) {
        let keys = SortKey::value_variants();
        let at = keys.iter().position(|key| *key == self.order.key).unwrap_or(0);
        if let Some(&key) = keys.get((at + 1) % keys.len().max(1)) {
            self.order.key = key;
        }
        self.view.sort(self.order);
    }

    /// Turns the order round.
    pub fn reverse(&mut self) {
        self.order.reverse = !self.order.reverse;
        self.view.sort(self.order);
    }

    /// Shows bytes in place of rates, or rates again.
    pub fn exchange_columns(&mut self) {
        self.columns = if self.columns == Columns::Rates { Columns::Bytes } else { Columns::Rates };
    }

    /// Moves the cursor by so many lines.
    pub fn move_by(&mut self, lines: isize) {
        let all = Layout::new(80, self.columns).lines(&self.view);
        // From nowhere, the first step down leads to the first line.
        let at = match self.cursor(&all) {
            Some(at) => at.saturating_add_signed(lines),
            None => usize::try_from(lines.saturating_sub(1)).unwrap_or(0),
        };
        self.chosen = all.get(at.min(all.len().saturating_sub(1))).map(|line| self.name(line));
    }

    /// How many lines a page has.
    pub fn page(&self) -> isize {
        isize::try_from(self.room.max(2) - 1).unwrap_or(1)
    }

    fn name(&self, line: &Line) -> (String, Option<usize>) {
        let id = self.view.connections.get(line.connection).map(|row| row.id.clone());
        (id.unwrap_or_default(), line.path)
    }

    fn cursor(&self, lines: &[Line]) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        lines.iter().position(|line| self.name(line) == *chosen)
    }

    /// Draws all of it.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let rows =
            [1, 1, 0, 1, 1].map(|high| if high == 0 { Constraint::Min(0) } else { Constraint::Length(high) });
        let [title, header, body, detail, keys] = Split::vertical(rows).areas(area);
        let layout = Layout::new(area.width.into(), self.columns);
        let lines = layout.lines(&self.view);
        self.room = body.height.into();
        let cursor = self.cursor(&lines);
        self.scroll(cursor, lines.len());
        frame.render_widget(Paragraph::new(self.title(area.width.into())), title);
        frame.render_widget(Paragraph::new(layout.header()).reversed(), header);
        let shown: Vec<Text<'_>> = lines
            .iter()
            .enumerate()
            .skip(self.offset)
            .take(self.room)
            .map(|(index, line)| {
                Text::from(Span::styled(line.text.as_str(), self.style(line, cursor == Some(index))))
            })
            .collect();
        if shown.is_empty() {
            frame.render_widget(Paragraph::new("no MPTCP connections now").dim(), body);
        } else {
            frame.render_widget(Paragraph::new(shown), body);
        }
        let chosen = cursor.and_then(|at| lines.get(at));
        frame.render_widget(Paragraph::new(self.detail(chosen)), detail);
        let help = "q quit  s sort  r reverse  b bytes/rates  ↑↓ choose  space hold  +- interval";
        frame.render_widget(Paragraph::new(help).dim(), keys);
    }

    fn scroll(&mut self, cursor: Option<usize>, lines: usize) {
        if let Some(at) = cursor {
            self.offset = self.offset.min(at).max((at + 1).saturating_sub(self.room));
        }
        self.offset = self.offset.min(lines.saturating_sub(self.room));
    }

    fn title(&self, width: usize) -> Text<'static> {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let (connections, paths) = (self.view.connections.len(), self.view.paths());
        let (receive, send) = self.view.rates();
        let left = format!(
            "{}, {}  receive {} send {} bit/s",
            count(connections, "connection"),
            count(paths, "path"),
            short(receive),
            short(send)
        );
        let key = self.order.key.to_possible_value().map(|value| value.get_name().to_owned());
        let mut right = format!("by {}", key.unwrap_or_default());
        if self.order.reverse {
            right.push_str(", reversed");
        }
        match self.view.interval_seconds {
            _ if self.held => right.push_str(", HELD"),
            Some(seconds) => right.push_str(&format!(", {seconds:.1} s")),
            None => {}
        }
        let gap = width.saturating_sub(left.chars().count() + right.chars().count()).max(1);
        Text::from(vec![Span::from(left).bold(), Span::from(" ".repeat(gap)), Span::from(right)])
    }

    /// The chosen path or connection in full; else what could not be seen.
    fn detail(&self, chosen: Option<&Line>) -> Text<'static> {
        let row = chosen.and_then(|line| self.view.connections.get(line.connection));
        let Some(row) = row else {
            return Text::from(self.view.notes().join("; ")).style(Style::new().fg(Color::Yellow));
        };
        match chosen.and_then(|line| row.paths.get(line.path?)) {
            Some(path) => Text::from(format!(
                "{} {} received {} sent {}",
                whole(path),
                path.congestion.clone().unwrap_or_default(),
                short(path.report.bytes_received.map(|bytes| bytes as f64)),
                short(path.report.bytes_sent.map(|bytes| bytes as f64)),
            )),
            None => Text::from(format!("{} → {}, user {}, {}", row.local, row.remote, row.uid, row.state)),
        }
    }

    fn style(&self, line: &Line, chosen: bool) -> Style {
        let row = self.view.connections.get(line.connection);
        let path = row.zip(line.path).and_then(|(row, index)| row.paths.get(index));
        let style = match path {
            None => Style::new().add_modifier(Modifier::BOLD),
            Some(path) => match path.state() {
                "up" => Style::new(),
                "backup" => Style::new().fg(Color::Cyan),
                _ => Style::new().fg(Color::Red),
            },
        };
        if chosen { style.add_modifier(Modifier::REVERSED) } else { style }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::super::board::tests::{row, sample};
    use super::*;

    const RATE: Order = Order { key: SortKey::Rate, reverse: false };

    /// What a terminal of this size shows, line by line.
    fn drawn(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn eighty_columns_show_it_all() {
        let shown = drawn(&mut Screen::new(sample(), RATE), 80, 12);
        assert_eq!(
            shown,
            [
                "3 connections, 3 paths  receive 1.3G send 2.0G bit/s              by rate, 1.0 s",
                "    PID PROGRAM         REMOTE, OR PATHS        STATE  RECV/s SEND/s RTTms  RETR",
                "      - (user 1000)     [2001:db8:8…0:7348]:443          1.2G   2.0G  12.3     3",
                "  └ enp0s31f6 2001:db8…70:7349→2001:db8…70:7348 up       1.2G   2.0G  12.3     3",
                "   4711 firefox         203.0.113.77:443                95.1M   320k  12.3    17",
                "  ├ wlan0     192.168.178.123→203.0.113.77:443  up      94.1M   320k  12.3    17",
                "  └ lte       10.64.1.2:50000→203.0.113.77:443  backup   990k      0  12.3     0",
                "     99 curl            198.51.100.7:80         lost        -      -     -     -",
                "",
                "",
                "1 of these belong to processes of other users: run as root to see them",
                "q quit  s sort  r reverse  b bytes/rates  ↑↓ choose  space hold  +- interval",
            ]
        );
    }

    #[test]
    fn the_cursor_stays_with_its_connection() {
        let mut screen = Screen::new(sample(), RATE);
        for _ in 0..4 {
            screen.move_by(1);
        }
        // From nowhere to the first, then down to the first path of firefox.
        let shown = drawn(&mut screen, 80, 12);
        assert!(
            shown[10].starts_with("192.168.178.123:43222 → 203.0.113.77:443 cubic received 123M"),
            "{shown:#?}"
        );
        screen.reverse();
        assert_eq!(drawn(&mut screen, 80, 12)[10], shown[10]);
        screen.move_by(-99);
        assert!(drawn(&mut screen, 80, 12)[10].contains("198.51.100.7:80, user 1000"));
    }

    #[test]
    fn the_order_changes_and_is_said() {
        let mut screen = Screen::new(sample(), RATE);
        screen.sort_by_next();
        assert!(drawn(&mut screen, 80, 12)[0].ends_with("by receive, 1.0 s"));
        screen.reverse();
        let shown = drawn(&mut screen, 80, 12);
        assert!(shown[0].ends_with("by receive, reversed, 1.0 s") && shown[2].contains("curl"), "{shown:#?}");
        for _ in 0..SortKey::value_variants().len() {
            screen.sort_by_next();
        }
        assert_eq!(screen.order.key, SortKey::Receive);
    }

    #[test]
    fn bytes_take_the_place_of_rates_and_a_wide_terminal_has_both() {
        let mut screen = Screen::new(sample(), RATE);
        screen.exchange_columns();
        let shown = drawn(&mut screen, 80, 12);
        assert!(
            shown[1].contains("RECVD") && !shown[1].contains("RECV/s") && shown[4].contains("247M"),
            "{shown:#?}"
        );
        let wide = drawn(&mut screen, 120, 12);
        assert!(wide[1].contains("RECVD") && wide[1].contains("RECV/s"), "{wide:#?}");
    }

    #[test]
    fn what_does_not_fit_is_scrolled_to() {
        let mut view = sample();
        view.connections = (0..100).map(|id| row(id, Some((1, "many")), "192.0.2.1:80", vec![])).collect();
        let mut screen = Screen::new(view, Order { key: SortKey::Pid, reverse: false });
        drawn(&mut screen, 80, 12);
        screen.move_by(isize::MAX);
        screen.move_by(screen.page());
        drawn(&mut screen, 80, 12);
        assert_eq!((screen.offset, screen.room), (92, 8));
        // Fewer lines than before.
        screen.show(sample());
        assert!(drawn(&mut screen, 80, 12)[2].contains("(user 1000)") || screen.offset == 0);
        for (width, height) in [(1, 1), (20, 3), (80, 4), (300, 100)] {
            drawn(&mut screen, width, height);
        }
    }
}
