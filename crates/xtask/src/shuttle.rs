//! `cargo xtask shuttle`: whole programs under random schedules.
//!
//! What loom proves of one protocol, shuttle tries of many together: the tests of `shuttle-tests` run each
//! program again and again, under schedules drawn at random and under such as hunt for bugs that take a
//! few badly placed switches (PCT). A failure prints the schedule that shows it again.

use std::process::Command;

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

/// Runs the programs whose names contain one of `names`, or all. Each name has to be part of some program's.
pub(crate) fn run(names: &[String], iterations: u32) -> Result<Done, String> {
    if !names.is_empty() {
        let mut list = programs();
        list.args(["--list", "--format", "terse"]);
        if let Some(name) = unmatched(names, &proc::stdout(list)?) {
            return Err(format!("no program matches {name}"));
        }
    }
    let mut cargo = programs();
    cargo.args(names).env("FILCH_SHUTTLE_ITERATIONS", iterations.to_string());
    proc::run(cargo)
}

/// The first of `names` that is part of no test's in what a test binary lists.
fn unmatched<'a>(names: &'a [String], listed: &str) -> Option<&'a str> {
    let tests: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    names.iter().map(String::as_str).find(|name| !tests.iter().any(|test| test.contains(name)))
}

/// All programs, up to the arguments of the test binaries.
fn programs() -> Command {
    let mut cargo = proc::cargo(&["test", "--quiet", "--package", "filch-shuttle-tests"]);
    cargo
        .args(["--release", "--tests", "--no-fail-fast", "--"])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "--cfg filch_shuttle")
        .env("CARGO_TARGET_DIR", tree::target().join("shuttle"))
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    cargo
}

#[cfg(test)]
mod tests {
    use super::unmatched;

    #[test]
    fn every_name_has_to_be_part_of_a_test_s() {
        let listed = "a_pool_of_connections: test\n\nmany_wait: test\nmany_fast: benchmark\n";
        let first = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            unmatched(&names, listed).map(str::to_owned)
        };
        assert_eq!(first(&["pool", "many_wait"]), None);
        assert_eq!(first(&["pool", "barrier", "none"]).as_deref(), Some("barrier"));
        assert_eq!(first(&["fast"]).as_deref(), Some("fast"), "not a test");
        assert_eq!(first(&["test"]).as_deref(), Some("test"), "not part of a name");
    }
}
