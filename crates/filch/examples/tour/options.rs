//! What the person at the keyboard wants.

use super::status;
use super::walk::Limits;
use clap::Parser;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

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

    /// Take all files, however many and large (at most 5,000 files and 64 MiB otherwise)
    #[arg(long)]
    pub(crate) all: bool,

    /// Print one JSON object on one line, in place of the tables
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// Reads the command line. What is wrong with it, or the help, is printed; the error is the exit
    /// status.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, u8> {
        Self::try_parse_from(args).map_err(|error| {
            // Nobody listens: nothing to be done about it.
            let _ = error.print();
            if error.use_stderr() { status::NO_TOUR } else { status::RIGHT }
        })
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn limits(&self) -> Limits {
        if self.all { Limits::NONE } else { Limits::USUAL }
    }
}
