//! A test in a process of its own: only there are descriptors nobody else's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::FromRawFd;
use std::process::{Command, Stdio};
use std::{env, fs};

/// Says in the child which test it is for.
const CHILD: &str = "FILCH_TEST_ALONE";

/// Open descriptors, and what each is.
pub(super) type Descriptors = BTreeMap<i32, String>;

/// Runs the test in a child, and panics with what it printed if it does there. False in the child, which has to run it.
#[track_caller]
pub(super) fn passes_in_a_child(name: &'static str, should_panic: bool) -> bool {
    if env::var(CHILD).is_ok_and(|child| child == name) {
        return false;
    }
    // The harness does not know the name of the crate.
    let test = name.split_once("::").map_or(name, |(_, test)| test);
    // Not through pipes: those end with the last process that has them, and the test may leave one that goes on.
    let (mut printed, stdout) = nameless_file().expect("a file for what a test prints");
    let stderr = stdout.try_clone().expect("a descriptor");
    let status = Command::new(env::current_exe().expect("a test binary has a path"))
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .status()
        .expect("a test binary can be started again");
    let mut text = Vec::new();
    printed.read_to_end(&mut text).expect("what the test printed");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("running 1 test"), "there is no test {test} to be run alone:\n{text}");
    // With `should_panic` the child's harness takes one thing for the other. If it found what was expected, then that is in
    // what the child printed, and ours is to find it there. If it did not, then ours is to find nothing: in what the child
    // printed there is what was expected, too.
    match (should_panic, status.success()) {
        (false, true) => {}
        (false, false) => panic!("alone in its process it failed:\n{text}"),
        (true, true) => panic!("alone in its process it panicked:\n{text}"),
        (true, false) => eprintln!("alone in its process it failed:\n{text}"),
    }
    true
}

/// A file that has no name anywhere (none that somebody else may have taken, or that is left by one who was killed): to
/// read from, and to append to.
fn nameless_file() -> io::Result<(File, File)> {
    // SAFETY: a string that ends with a zero, and flags.
    let fd = unsafe { libc::memfd_create(c"filch-test".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else's.
    let read = unsafe { File::from_raw_fd(fd) };
    let append = File::options().append(true).open(format!("/proc/self/fd/{fd}"))?;
    Ok((read, append))
}

/// The descriptors of this process, without the one used to look.
pub(super) fn descriptors() -> Descriptors {
    // With no descriptor to be had for it, too many were left.
    let entries = fs::read_dir("/proc/self/fd").expect("a look at what descriptors there are");
    let found = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let what = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        (!(what.starts_with("/proc/") && what.ends_with("/fd"))).then_some((number, what))
    });
    found.collect()
}
