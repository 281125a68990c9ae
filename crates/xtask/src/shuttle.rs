//! `cargo xtask shuttle`: whole programs under random schedules.
//!
//! What loom proves of one protocol, shuttle tries of many together: the tests of `shuttle-tests` run each
//! program again and again, under schedules drawn at random and under such as hunt for bugs that take a
//! few badly placed switches (PCT). A failure prints the schedule that shows it again.

use crate::args::Args;
use crate::proc;
use crate::steps::{Done, Steps};
use crate::tree;

/// How often each program runs under each scheduler, before a change lands.
pub(crate) const SHORT: u32 = 300;

/// How often in `cargo xtask ci --full`.
pub(crate) const LONG: u32 = 20_000;

/// `cargo xtask shuttle`.
pub(crate) fn main(mut args: Args) -> Result<(), String> {
    let base = if args.flag("--full") { LONG } else { SHORT };
    let iterations = args.option("--iterations")?.unwrap_or(base);
    let names = args.names()?;
    let mut steps = Steps::new();
    steps.run("shuttle programs", || run(&names, iterations));
    steps.finish()
}

/// Runs the programs whose names contain one of `names`, or all.
pub(crate) fn run(names: &[String], iterations: u32) -> Result<Done, String> {
    let mut cargo = proc::cargo(&["test", "--quiet", "--package", "filch-shuttle-tests"]);
    cargo
        .args(["--release", "--tests", "--no-fail-fast", "--"])
        .args(names)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "--cfg filch_shuttle")
        .env("CARGO_TARGET_DIR", tree::target().join("shuttle"))
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("FILCH_SHUTTLE_ITERATIONS", iterations.to_string());
    proc::run(cargo)
}
