//! The loop of the live screen: looks at the connections, heeds keys and signals, and gives the terminal back as it was,
//! whichever way it ends.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::Context;
use mptcp_paths::connections::Reader;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use tokio::sync::mpsc;

use super::{
    board::{Board, Order},
    screen::Screen,
};
use crate::runtime::block_on_until_signal;

/// How long the thread for keys can be deaf to the end.
const KEYS_LOOK: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);

/// What a key or the terminal wants.
enum Wish {
    Quit,
    Redraw,
    Refresh,
}

/// The terminal, in its alternate screen; as it was before when this is dropped.
struct Restored(DefaultTerminal);

impl Restored {
    fn new() -> anyhow::Result<Self> {
        // It has a panic give the terminal back too.
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                let _ = ratatui::try_restore();
                Err(error).context("can't draw on this terminal")
            }
        }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        // It may be gone with its window.
        let _ = ratatui::try_restore();
    }
}

/// Shows the connections until somebody has seen enough.
pub fn run(reader: Reader, order: Order, interval: Duration) -> anyhow::Result<()> {
    block_on_until_signal(async {
        let (tell, keys) = mpsc::channel(16);
        let mut terminal = Restored::new()?;
        std::thread::spawn(move || listen(&tell));
        show(&mut terminal.0, reader, order, interval, keys).await
    })
}

/// Hands on what the terminal tells, until nobody listens any more.
fn listen(tell: &mpsc::Sender<io::Result<Event>>) {
    while !tell.is_closed() {
        let event = match event::poll(KEYS_LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let failed = event.is_err();
        if tell.blocking_send(event).is_err() || failed {
            return;
        }
    }
}

async fn show(
    terminal: &mut DefaultTerminal,
    mut reader: Reader,
    order: Order,
    mut interval: Duration,
    mut keys: mpsc::Receiver<io::Result<Event>>,
) -> anyhow::Result<()> {
    let mut board = Board::default();
    let mut screen = Screen::new(board.update(reader.read()?, Instant::now()), order);
    // Rates take two looks: the second comes soon, so that nobody waits long for the first of them.
    let mut next = Instant::now() + interval.min(Duration::from_millis(300));
    loop {
        terminal.draw(|frame| screen.draw(frame)).context("can't draw on this terminal")?;
        let refresh = tokio::select! {
            event = keys.recv() => {
                // No terminal any more: its window was closed.
                let Some(event) = event else { return Ok(()) };
                match heed(&event.context("can't read the terminal")?, &mut screen, &mut interval) {
                    Wish::Quit => return Ok(()),
                    Wish::Redraw => false,
                    Wish::Refresh => true,
                }
            }
            () = tokio::time::sleep_until(next.into()) => true,
        };
        if refresh {
            next = Instant::now() + interval;
            if !screen.held {
                screen.show(board.update(reader.read()?, Instant::now()));
            }
        }
    }
}

fn heed(event: &Event, screen: &mut Screen, interval: &mut Duration) -> Wish {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return Wish::Redraw };
    if *kind == KeyEventKind::Release {
        return Wish::Redraw;
    }
    let control = modifiers.contains(KeyModifiers::CONTROL);
    match code {
        KeyCode::Char('c' | 'd') if control => return Wish::Quit,
        KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
        KeyCode::Char('s') => screen.sort_by_next(),
        KeyCode::Char('r') => screen.reverse(),
        KeyCode::Char('b') => screen.exchange_columns(),
        KeyCode::Char(' ') => screen.held = !screen.held,
        KeyCode::Up | KeyCode::Char('k') => screen.move_by(-1),
        KeyCode::Down | KeyCode::Char('j') => screen.move_by(1),
        KeyCode::PageUp => screen.move_by(-screen.page()),
        KeyCode::PageDown => screen.move_by(screen.page()),
        KeyCode::Home => screen.move_by(isize::MIN),
        KeyCode::End => screen.move_by(isize::MAX),
        KeyCode::Char('+') => {
            *interval = (*interval * 2).min(LONGEST);
            return Wish::Refresh;
        }
        KeyCode::Char('-') => {
            *interval = (*interval / 2).max(SHORTEST);
            return Wish::Refresh;
        }
        _ => {}
    }
    Wish::Redraw
}
