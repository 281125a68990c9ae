//! `cargo xtask compare`: filch and its peers over the same rows, in one run.

use crate::args::Args;
use crate::proc;
use crate::steps::Done;

/// `cargo xtask compare`: everything after the command goes to the comparison itself.
pub(crate) fn main(args: Args) -> Result<(), String> {
    let rest = args.into_rest();
    run(&rest.iter().map(String::as_str).collect::<Vec<_>>()).map(|_| ())
}

/// Builds the comparison with the profile that is meant for it, and runs it.
pub(crate) fn run(args: &[&str]) -> Result<Done, String> {
    let mut cargo = proc::cargo(&["run", "--quiet", "--package", "filch-benches"]);
    cargo.args(["--bin", "compare", "--profile", "compare", "--all-features", "--"]).args(args);
    proc::run(cargo)
}
