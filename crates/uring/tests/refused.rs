//! A system that refuses rings: which call failed, why, what to do.
//!
//! Each case runs in a process of its own, because what it forbids stays forbidden.

use filch_uring::{Cause, Config, Driver, SetupError};
use std::process::Command;

/// Runs the test `name` again, alone, in a child; true if this is the child.
fn in_child(name: &str) -> bool {
    if std::env::var_os("FILCH_ALONE").is_some() {
        return true;
    }
    let this = std::env::current_exe().expect("it runs");
    let status = Command::new(this)
        .args(["--exact", name, "--nocapture"])
        .env("FILCH_ALONE", "1")
        .status()
        .expect("it starts");
    assert!(status.success());
    false
}

/// From now on `io_uring_setup` fails with `errno` in this thread.
fn forbid(errno: i32) {
    let number = libc::SYS_io_uring_setup as u32;
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // Load the system call's number, which comes first in `seccomp_data`.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: a valid program, which the kernel copies.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const filter), 0);
    }
}

fn refused() -> SetupError {
    Driver::new(&Config::default()).expect_err("it is forbidden")
}

#[test]
fn by_a_seccomp_filter() {
    if !in_child("by_a_seccomp_filter") {
        return;
    }
    forbid(libc::EPERM);
    let error = refused();
    assert_eq!((error.call(), error.raw_os_error()), ("io_uring_setup", Some(libc::EPERM)));
    // A machine that forbids it by sysctl anyway says that.
    assert!(matches!(error.cause(), Cause::Seccomp | Cause::Sysctl), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("io_uring_setup failed") && text.contains(error.advice()), "{text}");
}

#[test]
fn by_a_filter_that_plays_an_old_kernel() {
    if !in_child("by_a_filter_that_plays_an_old_kernel") {
        return;
    }
    forbid(libc::ENOSYS);
    assert_eq!(refused().cause(), Cause::Seccomp);
}

#[test]
fn for_want_of_memory() {
    if !in_child("for_want_of_memory") {
        return;
    }
    forbid(libc::ENOMEM);
    let error = refused();
    assert_eq!(error.cause(), Cause::Memory);
    assert!(error.to_string().contains("ulimit -l"), "{error}");
}

#[test]
fn for_want_of_descriptors() {
    if !in_child("for_want_of_descriptors") {
        return;
    }
    // The next free number; a ring would take it, its eventfd the next, its timer the one after.
    let next = std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").expect("a file"));
    for (spare, call) in [(0, "io_uring_setup"), (1, "eventfd"), (2, "timerfd_create")] {
        let limit = libc::rlimit { rlim_cur: next as u64 + spare, rlim_max: 4_096 };
        // SAFETY: a valid limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        let error = refused();
        assert_eq!((error.call(), error.cause()), (call, Cause::Descriptors), "{error}");
    }
    let limit = libc::rlimit { rlim_cur: next as u64 + 3, rlim_max: 4_096 };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    Driver::new(&Config::default()).expect("three are enough, and the failures left none open");
}
