//! What a test could not do is seen, and fails where it has to be done.

use filch_testkit::{child, skip};
use std::process::{Command, Output};

/// In the processes that are to skip.
const INSIDE: &str = "FILCH_TESTKIT_SKIPS";

/// Runs a test of this binary as cargo does: what it prints is kept back if it passes.
fn run_inside(test: &str, is_required: bool) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact"]).env(INSIDE, "1").env_remove("RUST_TEST_NOCAPTURE");
    command.env("FILCH_REQUIRE_SERVICES", if is_required { "1" } else { "0" });
    command.output().unwrap()
}

/// Checks what is told of the test when it skips, by lines of stderr if it may, by its failure if not.
fn is_seen(test: &str) {
    let output = run_inside(test, false);
    let text = child::text(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let said = String::from_utf8(output.stderr).unwrap();
    let said: Vec<_> = said.lines().collect();
    let [line] = said[..] else { panic!("not one line: {said:?}") };
    let (mark, end) = ("SKIPPED: crates/testkit/tests/skip.rs:", ": no moon, and no stars");
    let place = line.strip_prefix(mark).and_then(|rest| rest.strip_suffix(end));
    let place = place.unwrap_or_else(|| panic!("{line}"));
    assert!(place.split(':').all(|number| number.parse::<u32>().is_ok()), "{line}");

    let output = run_inside(test, true);
    let text = child::text(&output);
    assert!(!output.status.success() && text.contains("1 failed"), "{text}");
    for part in ["FILCH_REQUIRE_SERVICES", "no moon,", "and no stars"] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    assert!(!text.contains("SKIPPED"), "{text}");
}

#[test]
fn a_skip_is_seen_though_its_test_passes() {
    if std::env::var_os(INSIDE).is_some() {
        println!("not to be seen");
        return skip("no moon,\nand no stars");
    }
    is_seen("a_skip_is_seen_though_its_test_passes");
}

#[test]
fn a_skip_in_a_child_is_seen() {
    if std::env::var_os(INSIDE).is_some() {
        child::run("a_skip_in_a_child_is_seen", || {
            eprintln!("not to be seen");
            skip("no moon,\nand no stars");
        });
        return;
    }
    is_seen("a_skip_in_a_child_is_seen");
}
