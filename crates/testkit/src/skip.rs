//! Tests that cannot run what they are for, because the machine has not got it.

use std::fmt::Display;
use std::io::Write;
use std::panic::Location;
use std::process::Output;

/// With 1 in it, whatever would be skipped fails.
const REQUIRED: &str = "FILCH_REQUIRE_SERVICES";

/// What each line begins with.
const MARK: &str = "SKIPPED: ";

/// Says where a test cannot do what it is for, and `what` is missing. The test then returns, or leaves that part out.
/// The line is seen although the test passes, also from a [`child`](crate::child).
///
/// # Panics
///
/// If `FILCH_REQUIRE_SERVICES` is 1: there a test that did nothing is no test that passed.
#[track_caller]
pub fn skip(what: impl Display) {
    let is_required = std::env::var_os(REQUIRED).is_some_and(|value| value == "1");
    assert!(!is_required, "this test has to run ({REQUIRED} is 1), and cannot: {what}");
    // The caller is named by its place: it may be on any thread, in a process that is not the harness's.
    let text = format!("{MARK}{}: {what}", Location::caller());
    say(&text.replace('\n', " "));
}

/// Says again what a process of which this is the output has skipped.
pub fn pass_on_skips(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().filter(|line| line.starts_with(MARK)).for_each(say);
}

/// One line, in one go, past the harness: it keeps what a test that passes has said by `print!` and `eprint!`.
fn say(line: &str) {
    let mut stderr = std::io::stderr();
    stderr.write_all(format!("{line}\n").as_bytes()).expect("somebody listens");
}
