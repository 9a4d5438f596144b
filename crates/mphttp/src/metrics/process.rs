//! This process, as `proc(5)` shows it.

#[cfg(target_os = "linux")]
use super::Kind;
use super::Text;

/// Nothing, where there is no `/proc` of Linux's kind.
#[cfg(not(target_os = "linux"))]
pub(super) fn write(_: &mut Text) {}

/// Writes what can be read; the rest is left out.
#[cfg(target_os = "linux")]
pub(super) fn write(text: &mut Text) {
    use rustix::{
        param::{clock_ticks_per_second, page_size},
        process::{Resource, getrlimit},
    };
    use std::fs;
    // What is read is one of them, and closed again.
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let help = "Open file descriptors.";
        text.single("process_open_fds", Kind::Gauge, help, open.count().saturating_sub(1));
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        let help = "The limit of open file descriptors.";
        text.single("process_max_fds", Kind::Gauge, help, limit);
    }
    let ticks = clock_ticks_per_second().max(1) as f64;
    let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::parse(&stat));
    if let Some(stat) = stat {
        let help = "User and system time, in seconds.";
        text.single("process_cpu_seconds_total", Kind::Counter, help, stat.cpu_ticks as f64 / ticks);
        let help = "Resident memory, in bytes.";
        let resident = stat.resident_pages.saturating_mul(page_size() as u64);
        text.single("process_resident_memory_bytes", Kind::Gauge, help, resident);
        text.single(
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Virtual memory, in bytes.",
            stat.virtual_bytes,
        );
        text.single("process_threads", Kind::Gauge, "Threads.", stat.threads);
        let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_time(&stat));
        if let Some(booted) = booted {
            let started = booted as f64 + stat.start_ticks as f64 / ticks;
            let help = "When the process began, in seconds since 1970.";
            text.single("process_start_time_seconds", Kind::Gauge, help, started);
        }
    }
}

/// What is needed of `/proc/self/stat`.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

#[cfg(target_os = "linux")]
impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may hold anything, parentheses too.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // proc_pid_stat(5) numbers them from 1; the first of these is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(target_os = "linux")]
fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 5 0 1234 1000000 250 1844 1 1";
        let stat = Stat {
            cpu_ticks: 42,
            threads: 5,
            start_ticks: 1234,
            virtual_bytes: 1_000_000,
            resident_pages: 250,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
