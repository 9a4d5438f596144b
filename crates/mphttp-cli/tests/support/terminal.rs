//! A terminal for programs under test: a pty, and what a real one would show of what is written to it.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use netlab::Host;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    pty::{Winsize, openpty},
    sys::termios::{LocalFlags, Termios, tcgetattr},
};

pub struct Terminal {
    master: File,
    slave: File,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
}

/// A program in the terminal; it doesn't outlive a test that fails.
pub struct Program(Child);

impl Program {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end; gives its exit code.
    pub fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Terminal {
    pub fn new(columns: u16, rows: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let (master, slave) = (File::from(pty.master), File::from(pty.slave));
        // A program that held its own terminal's other end would never see it go.
        for end in [&master, &slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let before = tcgetattr(&slave).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            rows.try_into().unwrap(),
            columns.try_into().unwrap(),
            0,
        )));
        let (shown, mut written) = (Arc::clone(&screen), master.try_clone().unwrap());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with the last descriptor of the other side.
            while let Ok(count @ 1..) = written.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { master, slave, before, screen }
    }

    /// Starts a program whose terminal this is.
    pub fn spawn(&self, host: &Host, mut command: Command) -> Program {
        let end = || Stdio::from(self.slave.as_fd().try_clone_to_owned().unwrap());
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        Program(host.spawn(command).unwrap())
    }

    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until what is shown is as wanted; gives it.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let shown = self.screen.lock().unwrap().screen().contents();
            if wanted(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "{what} is not shown:\n{shown}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn in_alternate_screen(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    pub fn is_raw(&self) -> bool {
        let flags = tcgetattr(&self.slave).unwrap().local_flags;
        !flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    /// The terminal is as it was before the program, and its cursor is seen.
    pub fn assert_restored(&self) {
        assert_eq!(tcgetattr(&self.slave).unwrap(), self.before);
        // What was written last may still be on its way to the reader.
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.in_alternate_screen() || self.screen.lock().unwrap().screen().hide_cursor() {
            assert!(Instant::now() < deadline, "still in its own screen, or without a cursor");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
