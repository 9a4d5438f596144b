//! The signals of a server: what ends it, and what has another process take its place.

use std::{io, time::Duration};

use tokio::time::sleep;

use crate::{error_reporting::say, restart};

/// How long requests in flight may take once a stop was asked for. Those of a process that was replaced have all the time they need.
const GRACE: Duration = Duration::from_secs(10);

/// Why a server leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was told to stop.
    Stopped,
    /// Another process has its listeners and serves.
    Replaced,
}

/// Hears them from the moment it is made.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    replace: tokio::signal::unix::Signal,
}

impl Signals {
    /// Waits until there is cause to stop accepting. A restart that fails is none.
    pub async fn cause(&mut self, quiet: bool) -> Cause {
        loop {
            if self.stop_or_replace().await == Cause::Stopped {
                if !quiet {
                    say("Stopping when the requests in flight are done; once more stops at once.");
                }
                return Cause::Stopped;
            }
            tracing::info!("starting the process that is to take over");
            let successor = tokio::select! {
                successor = restart::successor() => successor,
                () = self.stop() => return Cause::Stopped,
            };
            match successor {
                Ok(process) => {
                    if !quiet {
                        say(format_args!(
                            "Process {process} has taken over; the requests in flight end here."
                        ));
                    }
                    return Cause::Replaced;
                }
                Err(error) => say(format_args!("{error:#}")),
            }
        }
    }

    /// Waits until what is still in flight has to be given up.
    pub async fn last_moment(&mut self, cause: Cause, quiet: bool) {
        let over = async {
            match cause {
                Cause::Stopped => sleep(GRACE).await,
                Cause::Replaced => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => if !quiet {
                say("Closing what is still in flight.");
            },
            () = self.stop() => {}
        }
    }
}

#[cfg(unix)]
impl Signals {
    pub fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            replace: signal(SignalKind::user_defined2())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn stop_or_replace(&mut self) -> Cause {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Cause::Stopped,
            _ = self.interrupt.recv() => Cause::Stopped,
            _ = self.replace.recv() => Cause::Replaced,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn stop(&mut self) {
        // Without the handler there is nothing to wait for: the system ends the program itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn stop_or_replace(&mut self) -> Cause {
        self.stop().await;
        Cause::Stopped
    }
}
