//! What the person at the keyboard wants.

use super::status;
use super::walk::Limits;
use clap::Parser;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// So long is a lap at most.
const LAP: Duration = Duration::from_secs(5);

/// Reads files through io_uring, serves them to a thousand clients, checks every byte.
#[derive(Debug, Parser)]
#[command(
    name = "tour",
    after_help = "Exit status: 0 if every byte was right, 1 if not, 2 if there was no tour."
)]
pub(crate) struct Options {
    /// A file, or a directory: hidden entries and cargo's target folders in it are skipped
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// For how long the clients ask
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,

    /// How many workers there are [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Take all files, however many and large (at most 5,000 files and 64 MiB otherwise), and try other parts of filch
    /// meanwhile, cancelled at random: files, sockets, processes, signals, standard streams, groups and locks
    #[arg(long)]
    pub(crate) all: bool,

    /// What the chance of `--all` and of the hog follows from [default: the clock]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Print one JSON object on one line, in place of the tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Say again what is said on standard input: what `--all` starts this program for
    #[arg(long, hide = true)]
    pub(crate) echo: bool,

    /// What to start this program with, so that it does that
    #[arg(long, hide = true, default_value = "--echo", allow_hyphen_values = true)]
    echo_args: Vec<OsString>,
}

impl Options {
    /// Reads the command line. What is wrong with it, or the help, is printed; the error is the exit
    /// status.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, u8> {
        let mut options = Self::try_parse_from(args).map_err(|error| {
            // Nobody listens: nothing to be done about it.
            let _ = error.print();
            if error.use_stderr() { status::NO_TOUR } else { status::RIGHT }
        })?;
        options.seed.get_or_insert_with(|| fastrand::u64(..));
        Ok(options)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    /// How to start this program once more.
    pub(crate) fn myself(&self) -> Vec<OsString> {
        let program = std::env::current_exe().unwrap_or_default();
        [program.into()].into_iter().chain(self.echo_args.iter().cloned()).collect()
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How long the next lap is, when so much time has passed. With `--all` there are several, and in between everything
    /// ends: one sees what is left.
    pub(crate) fn lap(&self, passed: Duration) -> Option<Duration> {
        let left = self.duration().checked_sub(passed).filter(|left| !left.is_zero())?;
        Some(if self.all { left.min(LAP) } else { left })
    }

    pub(crate) fn limits(&self) -> Limits {
        if self.all { Limits::NONE } else { Limits::USUAL }
    }
}
