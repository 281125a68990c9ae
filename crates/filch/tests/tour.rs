//! The tour, taken by a test: all of filch at once, on real files and sockets.
//!
//! The example's code is a part of this program, rather than a program of its own that may or may not
//! have been built. So its unit tests run here too.

#[path = "../examples/tour/main.rs"]
#[allow(dead_code, reason = "its `main` has nothing to do here")]
mod tour;

use filch_testkit::child;
use filch_testkit::limits::watchdog;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One at a time: each has a thousand clients, and all the descriptors that it can get.
static TURN: Mutex<()> = Mutex::new(());

/// The tour's exit status, and what it printed on standard output.
fn take(args: &[&str]) -> (u8, String) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut out = Vec::new();
    let args = ["tour"].iter().chain(args).map(OsString::from);
    let status = tour::run(args, &mut out);
    (status, String::from_utf8(out).unwrap())
}

fn take_json(args: &[&str]) -> (u8, Value) {
    let (status, out) = take(args);
    assert_eq!(out.lines().count(), 1, "{out}");
    (status, serde_json::from_str(&out).unwrap())
}

/// A folder that is there for as long as the test runs.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _of_an_earlier_run = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_byte_is_served_and_nothing_is_left_behind() {
    let folder = Folder::new("tour-files");
    folder.file("empty", "");
    folder.file("small", "hello");
    // Exactly one piece, and one byte more than two.
    folder.file("deep/down/piece", vec![7; 65_536]);
    folder.file("deep/pieces", vec![9; 131_073]);
    folder.file(".hidden", "not to be found");
    folder.file("target/made", "not to be found");
    let (status, report) =
        take_json(&[folder.path(), "--seconds", "1", "--workers", "2", "--json"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["all_is_right"], true);
    assert_eq!(report["files"], 4);
    assert_eq!(report["bytes"], 5 + 65_536 + 131_073);
    for nothing in ["wrong", "failed", "changed", "skipped", "too_large", "tasks_left"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}");
    }
    // Every client has had an answer at least.
    let number = |name: &str| report[name].as_u64().unwrap();
    assert!(number("answers") >= number("clients"), "{report}");
    assert!(number("answered_bytes") > 65_536, "{report}");
    let workers = report["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    let sum = |name| workers.iter().map(|worker| worker[name].as_u64().unwrap()).sum::<u64>();
    assert!(sum("polls") >= number("answers"), "{report}");
    // A conversation takes several operations for each answer.
    assert!(sum("completions") >= 4 * number("answers"), "{report}");
}

#[test]
fn one_file_on_one_worker_makes_a_table() {
    let folder = Folder::new("tour-one");
    folder.file("only", "hello");
    let file = folder.0.join("only");
    let (status, out) = take(&[file.to_str().unwrap(), "--seconds", "1", "--workers", "1"]);
    assert_eq!(status, 0, "{out}");
    assert!(out.contains("1 file, 5 B"), "{out}");
    assert!(out.contains("Every byte was right: "), "{out}");
}

/// What a tour of all starts in place of itself. (Here that is these tests.)
const ECHO: [&str; 4] = [
    "--echo-args=what_a_tour_of_all_talks_to",
    "--echo-args=--exact",
    "--echo-args=--ignored",
    "--echo-args=--nocapture",
];

#[test]
#[ignore = "started by others, and then says again what it is told"]
fn what_a_tour_of_all_talks_to() {
    assert_eq!(take(&["--echo"]).0, 0);
}

/// What came of a tour of all: each part was seen, and nothing is left.
fn check_all(status: u8, report: &Value) {
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["all"]["faults"], Value::Array(Vec::new()), "{report}");
    let visits = report["all"]["visits"].as_object().unwrap();
    assert_eq!(visits.len(), 7, "{report}");
}

/// In a process of its own, where nobody else has threads, descriptors and children.
#[test]
fn what_is_beyond_the_limit_is_taken_when_all_is_wanted() {
    child::run("what_is_beyond_the_limit_is_taken_when_all_is_wanted", all_is_wanted);
}

fn all_is_wanted() {
    let folder = Folder::new("tour-large");
    folder.file("small", "hello");
    let sparse = fs::File::create(folder.0.join("large")).unwrap();
    sparse.set_len((64 << 20) + 1).unwrap();
    let args = [&[folder.path(), "--seconds", "1", "--workers", "2", "--json", "--all"], &ECHO[..]];
    let args = args.concat();
    let (status, report) = take_json(&args[..6]);
    assert_eq!((status, &report["files"], &report["too_large"]), (0, &1.into(), &1.into()));
    let (status, report) = take_json(&args);
    assert_eq!((status, &report["files"], &report["too_large"]), (0, &2.into(), &0.into()));
    check_all(status, &report);
}

/// For how long the soak goes on, in seconds: `FILCH_SOAK_SECONDS`, or two minutes.
fn soak_seconds() -> String {
    std::env::var("FILCH_SOAK_SECONDS").unwrap_or_else(|_| "120".to_owned())
}

#[test]
#[ignore = "a soak test: takes two minutes"]
fn soak_a_tour_of_all_with_cancels_at_random_leaves_nothing() {
    let name = "soak_a_tour_of_all_with_cancels_at_random_leaves_nothing";
    let said = child::run(name, || {
        let _watchdog = watchdog(30 * 60);
        let (path, seconds) = (concat!(env!("CARGO_MANIFEST_DIR"), "/src"), soak_seconds());
        let args = [&[path, "--seconds", &seconds, "--workers", "2", "--json", "--all"], &ECHO[..]];
        let (status, report) = take_json(&args.concat());
        println!("{report}");
        check_all(status, &report);
        assert!(report["all"]["warm"].is_object(), "it was too short to say anything");
        for (part, visits) in report["all"]["visits"].as_object().unwrap() {
            for ended in ["right", "cut"] {
                assert_ne!(visits[ended], 0, "{part}: {report}");
            }
        }
    });
    println!("{said}");
}

#[test]
fn what_cannot_be_toured_is_refused() {
    let folder = Folder::new("tour-nothing");
    let missing = folder.0.join("missing");
    let refused: [&[&str]; 8] = [
        &["--bogus"],
        &["--workers", "0"],
        &["--workers", "many"],
        &["--seconds", "0"],
        &["--seconds"],
        &[folder.path(), "and another"],
        &[folder.path()],
        &[missing.to_str().unwrap()],
    ];
    for args in refused {
        assert_eq!(take(args), (2, String::new()), "{args:?}");
    }
}
