//! What becomes of what was written when the process ends.

use crate::kit::{InPlace, run};
use crate::support::TempFile;
use filch::io::{stderr, stdout};
use filch_testkit::child;
use std::fs::File;

const LINES: usize = 2000;

fn line(number: usize) -> String {
    format!("line {number} of what was acknowledged\n")
}

async fn write_lines() {
    for number in 0..LINES {
        stdout().write_all(line(number).as_bytes()).await.unwrap();
    }
    stderr().write_all(b"and an error").await.unwrap();
}

/// Ends the process as nothing else does: nobody is told, and nothing flushed.
fn vanish() -> ! {
    // SAFETY: it ends here.
    unsafe { libc::_exit(7) }
}

/// STDIO-6
#[test]
fn what_was_acknowledged_is_there_though_the_process_vanishes() {
    let name = "ends::what_was_acknowledged_is_there_though_the_process_vanishes";
    let output = child::try_run(name, || {
        run(1, async {
            write_lines().await;
            // In the standard library's buffer: this shows that nothing is flushed.
            print!("lost");
            vanish()
        });
    });
    assert_eq!(output.status.code(), Some(7), "{}", child::text(&output));
    let expected: String = (0..LINES).map(line).collect();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with(&expected), "{text}");
    assert!(String::from_utf8(output.stderr).unwrap().ends_with("and an error"));
}

/// STDIO-6
#[test]
fn what_was_acknowledged_is_in_the_file_though_the_process_vanishes() {
    let name = "ends::what_was_acknowledged_is_in_the_file_though_the_process_vanishes";
    // By the number of the parent.
    let path = |parent| std::env::temp_dir().join(format!("filch-stdout-ends-{parent}"));
    let output = child::try_run(name, || {
        let file = File::create(path(std::os::unix::process::parent_id())).unwrap();
        let _in_place = InPlace::of(1, file);
        run(1, async {
            write_lines().await;
            print!("lost");
            vanish()
        });
    });
    let temp = TempFile(path(std::process::id()));
    assert_eq!(output.status.code(), Some(7), "{}", child::text(&output));
    let expected: String = (0..LINES).map(line).collect();
    assert_eq!(std::fs::read_to_string(&temp.0).unwrap(), expected);
}

/// STDIO-6
#[test]
fn what_was_acknowledged_is_there_after_main() {
    let name = "ends::what_was_acknowledged_is_there_after_main";
    let output = child::try_run(name, || {
        run(2, async {
            filch::spawn(write_lines()).await.unwrap();
        });
    });
    let text = String::from_utf8(output.stdout).unwrap();
    let expected: String = (0..LINES).map(line).collect();
    let end = "test result: 1 passed, in a child\n";
    assert!(output.status.success() && text.ends_with(&(expected + end)), "{text}");
}
