//! `cargo xtask test`: everything that is tested without special tools, in one command.
//!
//! Some quarter of an hour on two cores. The parts that could grow without end, the models, have a
//! budget: when there are too many for 20 s each, each gets less.

use std::time::Duration;

use crate::args::Args;
use crate::loom::{self, Limits};
use crate::proc;
use crate::steps::Steps;

/// What all loom models together may take.
const LOOM_BUDGET: Duration = Duration::from_secs(240);

/// All packages with all features, to the end.
const ALL: [&str; 5] = ["test", "--quiet", "--workspace", "--all-features", "--no-fail-fast"];

/// `cargo xtask test`.
pub(crate) fn main(args: Args) -> Result<(), String> {
    args.finish()?;
    let mut steps = Steps::new();
    run(&mut steps);
    steps.finish()
}

/// The steps of `cargo xtask test`.
pub(crate) fn run(steps: &mut Steps) {
    steps.run("unit and integration tests", || {
        let mut cargo = proc::cargo(&ALL);
        cargo.args(["--lib", "--bins", "--tests"]);
        proc::run(cargo)
    });
    steps.run("doc tests", || {
        let mut cargo = proc::cargo(&ALL);
        cargo.arg("--doc");
        proc::run(cargo)
    });
    steps.run("loom models", || {
        loom::run(&[], Limits { budget: Some(LOOM_BUDGET), ..Limits::QUICK })
    });
}
