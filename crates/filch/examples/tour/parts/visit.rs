//! What a visitor brings along.

use super::Fault;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Chance. All of it follows from a seed, though not when what happens.
#[derive(Debug)]
pub(crate) struct Dice(fastrand::Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// For somebody else.
    pub(crate) fn another(&mut self) -> Self {
        Self(self.0.fork())
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A short time: below 200 µs, or twice that for every try that there was before.
    pub(crate) fn moment(&mut self, tries: u32) -> Duration {
        Duration::from_micros(self.0.u64(..200 << tries.min(16)))
    }
}

/// Where all visitors go.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    folder: Arc<Path>,
    /// What to start to have what is written to it written back.
    echo: Arc<[OsString]>,
    /// How many visits there were.
    visits: Arc<AtomicU64>,
}

impl Places {
    /// With a folder for what is to be written, and a program to talk to.
    pub(crate) fn new(folder: &Path, echo: &[OsString]) -> Self {
        Self { folder: folder.into(), echo: echo.into(), visits: Arc::default() }
    }

    pub(super) fn visit(&self, dice: Dice) -> Visit {
        // Relaxed: each number is drawn once, in whatever order.
        let number = self.visits.fetch_add(1, Ordering::Relaxed);
        Visit { path: self.folder.join(number.to_string()), echo: self.echo.clone(), dice }
    }
}

/// What one visit has.
pub(super) struct Visit {
    pub(super) dice: Dice,
    /// Where nothing is yet.
    pub(super) path: PathBuf,
    pub(super) echo: Arc<[OsString]>,
}

/// An error with `what` is wrong, unless it is right.
pub(super) fn ensure(is_right: bool, what: &str) -> Result<(), Fault> {
    if is_right { Ok(()) } else { Err(what.into()) }
}

/// Gives up `$future` after a moment, by a timeout or by dropping it. The output, or nothing.
macro_rules! briefly {
    ($dice:expr, $tries:expr, $future:expr) => {{
        let moment = $dice.moment($tries);
        if $dice.below(2) == 0 {
            filch::time::timeout(moment, $future).await.ok()
        } else {
            filch::select! {
                biased;
                done = $future => Some(done),
                () = filch::time::sleep(moment) => None,
            }
        }
    }};
}

/// The output of `$future`, which is begun anew whenever it was given up. Nothing is lost by that.
macro_rules! insist {
    ($dice:expr, $future:expr) => {{
        let mut tries = 0;
        loop {
            if let Some(done) = briefly!($dice, tries, $future) {
                break done;
            }
            tries += 1;
        }
    }};
}
