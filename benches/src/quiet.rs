//! Is anybody else using this machine?
//!
//! Before a trial, [`wait`] looks at how busy the processors are and waits, for a bounded time, until they are idle. During
//! a trial, a [`Watch`] compares the time that all processors were busy with what our own processes used: the difference is
//! what others, the host included, took from us.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// How long one look takes.
const LOOK: Duration = Duration::from_millis(200);
/// Busy share of all cores up to which a machine that runs nothing of ours counts as quiet.
const QUIET: f64 = 0.04;
/// Share of all cores that others may take during a trial before it counts as disturbed.
const DISTURBED: f64 = 0.04;
/// CPU time that others may take in any case: `/proc/stat` counts in ticks of 10 ms, and short trials have few of them.
const TOLERANCE: Duration = Duration::from_millis(40);

/// Waits until the machine is quiet, or `patience` is over. Whether it was quiet.
///
/// # Errors
///
/// When `/proc/stat` cannot be read.
pub fn wait(patience: Duration) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        let before = Ticks::now()?;
        thread::sleep(LOOK);
        if Ticks::now()?.since(before).busy_share() <= QUIET {
            return Ok(true);
        }
        if start.elapsed() >= patience {
            return Ok(false);
        }
    }
}

/// Notices what others do to the machine during a trial.
#[derive(Debug)]
pub struct Watch {
    ticks: Ticks,
    own: Duration,
    start: Instant,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    ///
    /// When `/proc/stat` cannot be read.
    pub fn start() -> io::Result<Self> {
        let own = sys::cpu_of_children() + sys::cpu_of_self();
        Ok(Self { ticks: Ticks::now()?, own, start: Instant::now() })
    }

    /// What others used since the start. Our children must have ended and been waited for.
    ///
    /// # Errors
    ///
    /// When `/proc/stat` cannot be read.
    pub fn others(self) -> io::Result<Others> {
        let own = sys::cpu_of_children() + sys::cpu_of_self() - self.own;
        let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
        let available = self.start.elapsed().as_secs_f64() * cores;
        let busy = Ticks::now()?.since(self.ticks).busy_share() * available;
        Ok(Others { used: (busy - own.as_secs_f64()).max(0.0), available })
    }
}

/// The CPU time that others used during a trial.
#[derive(Debug, Clone, Copy, Default)]
pub struct Others {
    /// In seconds.
    pub used: f64,
    /// What all cores together had, in seconds.
    pub available: f64,
}

impl Others {
    /// The share of all cores.
    pub fn share(self) -> f64 {
        self.used / self.available
    }

    /// Whether that was enough for the trial to be taken with a grain of salt.
    pub fn disturb(self) -> bool {
        self.used > DISTURBED * self.available + TOLERANCE.as_secs_f64()
    }
}

/// Clock ticks over all processors since the machine started.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    busy: u64,
    total: u64,
}

impl Ticks {
    fn now() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        Self::parse(&text).ok_or_else(|| io::Error::other("/proc/stat has no `cpu` line"))
    }

    /// The first line: `cpu user nice system idle iowait irq softirq steal guest guest_nice`; the last two are also in the
    /// first two.
    fn parse(text: &str) -> Option<Self> {
        let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
        let fields: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
        let total = fields.iter().sum();
        Some(Self { busy: total - fields.get(3)? - fields.get(4)?, total })
    }

    fn since(self, before: Self) -> Self {
        Self { busy: self.busy - before.busy, total: self.total - before.total }
    }

    fn busy_share(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.busy as f64 / self.total as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_for_disks_is_not_busy() {
        let ticks = Ticks::parse("cpu  10 1 5 100 40 2 3 4 7 0\ncpu0 ...").unwrap();
        assert_eq!(ticks, Ticks { busy: 25, total: 165 });
    }

    #[test]
    fn nonsense_is_noticed() {
        assert_eq!(Ticks::parse("intr 1 2 3"), None);
        assert_eq!(Ticks::parse("cpu  1 2"), None);
        assert_eq!(Ticks::parse(""), None);
    }

    #[test]
    fn a_few_ticks_disturb_nobody() {
        assert!(!Others { used: 0.03, available: 0.2 }.disturb());
        assert!(!Others { used: 0.1, available: 4.0 }.disturb());
        assert!(Others { used: 0.3, available: 4.0 }.disturb());
    }

    #[test]
    fn shares() {
        let before = Ticks { busy: 10, total: 100 };
        assert_eq!(Ticks { busy: 30, total: 200 }.since(before).busy_share(), 0.2);
        assert_eq!(before.since(before).busy_share(), 0.0);
    }
}
