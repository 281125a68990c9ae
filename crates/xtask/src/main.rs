//! Chores of the filch repository, run as `cargo xtask <command>`.
//!
//! Nothing here is needed to use or to build filch. It holds what would otherwise be a folder of
//! shell scripts: what the tests are, how a model is run, what "clean" means. `.ci/run` calls
//! [`ci`] and adds nothing, so whatever fails there fails here the same way.

mod args;
mod ci;
mod compare;
mod deps;
mod loom;
mod mutate;
mod proc;
mod sanitize;
mod shuttle;
mod steps;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

use args::Args;

const HELP: &str = "\
Chores of the filch repository.

usage: cargo xtask <command> [options]

  test                   unit, integration and doc tests of the workspace, then every loom model
                         for at most 20 s; every step runs even when an earlier one failed
  loom [NAME...]         run the loom models (a model file, or part of a test's name)
      --seconds N        how long one test may explore (default 20; 0: until exhausted)
      --preemptions N    how many forced switches an execution may hold (default 2)
      --full             3 preemptions and 300 s, unless told otherwise
      --mutate           apply each patch of loom-tests/mutations to a copy of the tree and
                         demand that its model then fails (NAME: part of a patch's name)
  shuttle [NAME...]      run whole programs under random schedules (NAME: part of a test's name)
      --iterations N     how often each runs under each scheduler (default 300)
      --full             20000 times, unless told otherwise
  sanitize [PACKAGE...]  tests under AddressSanitizer and LeakSanitizer; needs a nightly toolchain
  compare [ROW...]       build and run the side-by-side comparison; options are passed on to it
  tidy                   the rules that no compiler checks: sizes, headers, words, dependencies
  ci                     what has to pass before a change lands
      --full             also: mutations, longer models, sanitizers, soaks, comparison rows
";

fn main() -> ExitCode {
    let mut args = Args::from_env();
    let command = args.command();
    let outcome = match command.as_deref() {
        Some("test") => test::main(args),
        Some("loom") => loom::main(args),
        Some("compare") => compare::main(args),
        Some("sanitize") => sanitize::main(args),
        Some("shuttle") => shuttle::main(args),
        Some("tidy") => tidy::main(args),
        Some("ci") => ci::main(args),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(format!("no command named `{other}`\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}
