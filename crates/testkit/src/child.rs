//! A test in a process of its own, for what a process cannot undo or should not share.
//!
//! ```no_run
//! # // Not run: there is no test harness here to start again.
//! #[test]
//! fn a_limit_is_kept() {
//!     filch_testkit::child::run("a_limit_is_kept", || {
//!         // Lower the limit, and check what happens.
//!     });
//! }
//! ```

use std::io;
use std::process::{Command, Output};

const VARIABLE: &str = "FILCH_TESTKIT_CHILD";

/// Runs `body` in a child: this very test, started again by its full name. Gives the child's output for
/// further checks, in the parent; does not return in the child.
///
/// # Panics
///
/// In the parent, if the child fails, with what it printed.
#[track_caller]
pub fn run(test: &str, body: impl FnOnce()) -> String {
    let output = try_run(test, body);
    let text = text(&output);
    assert!(output.status.success(), "the child {test} failed ({}):\n{text}", output.status);
    assert!(text.contains("1 passed"), "no test is named {test}:\n{text}");
    text
}

/// As [`run`], whatever becomes of the child. What it [skips](crate::skip()) is said here again.
///
/// # Panics
///
/// If the child cannot be started.
#[track_caller]
pub fn try_run(test: &str, body: impl FnOnce()) -> Output {
    if std::env::var(VARIABLE).is_ok_and(|value| value == test) {
        // A shell starts what runs in the background with Ctrl-C ignored, and that is inherited.
        // SAFETY: the default is installed, and no code of ours.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        body();
        // The harness would take what follows in the test for the parent's part.
        println!("test result: 1 passed, in a child");
        std::process::exit(0);
    }
    // Under AddressSanitizer, too, memory that is not there is an error and not the end.
    let mut options = std::env::var("ASAN_OPTIONS").unwrap_or_default();
    options.push_str(":allocator_may_return_null=1");
    let output = Command::new(std::env::current_exe().expect("the test binary has a path"))
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(VARIABLE, test)
        .env("ASAN_OPTIONS", options)
        .output()
        .expect("the test binary starts again");
    crate::pass_on_skips(&output);
    output
}

/// Everything that a process printed.
pub fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Lets this process have no more than `most` descriptors (RLIMIT_NOFILE, the soft limit).
///
/// # Errors
///
/// The system's.
pub fn limit_descriptors(most: u64) -> io::Result<()> {
    // SAFETY: a limit is two numbers.
    let mut limit = unsafe { std::mem::zeroed::<libc::rlimit>() };
    // SAFETY: the structure is there.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == -1 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = most;
    // SAFETY: as above.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Has every later call of the system call `number` in this process fail with `errno`, in threads that
/// exist already too.
///
/// # Errors
///
/// The system's.
pub fn refuse_system_call(number: libc::c_long, errno: i32) -> io::Result<()> {
    // "Load the number; unless it is this one skip an instruction; refuse; allow."
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let give = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let refuse = libc::SECCOMP_RET_ERRNO | (errno as u32 & libc::SECCOMP_RET_DATA);
    let mut steps = [
        step(load, 0, 0, 0),
        step(jump, 0, 1, number as u32),
        step(give, 0, 0, refuse),
        step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program and its steps outlive the call, which copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    match result {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!("thread {thread} has another filter"))),
    }
}
