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
///
/// With `should_panic` a panic of ours counts as the right one, so there is none unless the test has run and is over, and
/// found what was expected: then that is in what the child printed, and ours is to find it there. Where the child's harness
/// did not find it, or the test was not run at all, ours is to find no panic, whatever was printed.
#[track_caller]
pub(super) fn passes_in_a_child(name: &'static str, should_panic: bool) -> bool {
    if env::var(CHILD).is_ok_and(|child| child == name) {
        return false;
    }
    match (should_panic, run_in_a_child(name)) {
        (false, Ok(_)) => {}
        (false, Err(why)) => panic!("{why}"),
        (true, Ok(text)) => panic!("alone in its process it panicked:\n{text}"),
        (true, Err(why)) => eprintln!("{why}"),
    }
    true
}

/// What the test printed, if it was run and the child's harness says that it passed. Else why not.
fn run_in_a_child(name: &str) -> Result<String, String> {
    // The harness does not know the name of the crate.
    let test = name.split_once("::").map_or(name, |(_, test)| test);
    let (has_passed, text) =
        output_of(name, test).map_err(|error| format!("it could not be run alone: {error}"))?;
    if !text.contains("running 1 test") {
        return Err(format!("there is no test {test} to be run alone:\n{text}"));
    }
    // A test that ends the process has a good end, and the harness has said nothing.
    let has_passed = has_passed && text.contains("test result: ok. 1 passed");
    if has_passed { Ok(text) } else { Err(format!("alone in its process it failed:\n{text}")) }
}

/// Whether the child came to a good end, and what it printed.
fn output_of(name: &str, test: &str) -> io::Result<(bool, String)> {
    // Not through pipes: those end with the last process that has them, and the test may leave one that goes on.
    let (mut printed, stdout) = nameless_file()?;
    let stderr = stdout.try_clone()?;
    let status = Command::new(env::current_exe()?)
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .status()?;
    let mut text = Vec::new();
    printed.read_to_end(&mut text)?;
    Ok((status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// A file that has no name anywhere (none that somebody else may have taken, or that is left by one who was killed): to
/// read from, and to append to.
fn nameless_file() -> io::Result<(File, File)> {
    let create = |flags| {
        // SAFETY: a string that ends with a zero, and flags.
        let fd = unsafe { libc::memfd_create(c"filch-test".as_ptr(), libc::MFD_CLOEXEC | flags) };
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
    };
    // Systems can be set up to refuse any that may be executed. Before Linux 6.3 the flag is not known, and nothing refused.
    let fd = create(libc::MFD_NOEXEC_SEAL).or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => create(0),
        _ => Err(error),
    })?;
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

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn what_is_printed_to_cannot_be_executed() {
        let (mut read, mut append) = nameless_file().unwrap();
        append.write_all(b"it is read from its beginning").unwrap();
        assert_eq!(io::read_to_string(&mut read).unwrap(), "it is read from its beginning");
        // As old as the flag.
        let is_known = Path::new("/proc/sys/vm/memfd_noexec").exists();
        let mode = read.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111 == 0, is_known, "{mode:o}");
    }
}
