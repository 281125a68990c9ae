//! io_uring refused by the system: an error that says what failed, why, and what to do.

mod support;

use filch::Runtime;
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use std::error::Error;
use std::panic::catch_unwind;
use support::PATIENCE;

fn refuse(number: libc::c_long, errno: i32) {
    child::refuse_system_call(number, errno).expect("a filter may be set");
}

/// What is said when `io_uring_setup` fails so; checks that every way to build says it.
fn said(errno: i32) -> String {
    refuse(libc::SYS_io_uring_setup, errno);
    let error = Runtime::builder().workers(2).build().unwrap_err();
    assert!(error.is_io_uring_refused() && !error.is_on_worker());
    assert!(error.source().is_some(), "the cause is there for programs too");
    let text = error.to_string();
    let as_io: std::io::Error = error.into();
    assert_eq!(as_io.to_string(), text);
    let error = Runtime::builder().workers(2).run(async {}).unwrap_err();
    assert!(error.is_io_uring_refused());
    let payload = catch_unwind(|| filch::run(async {})).unwrap_err();
    let panic = payload.downcast_ref::<String>().expect("a text");
    assert!(panic.contains("io_uring_setup"), "{panic}");
    // Nothing of the attempts is left.
    assert_eq!(filch_testkit::leaks::threads("filch"), Default::default());
    text
}

#[test]
fn a_filter_that_forbids_it() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_filter_that_forbids_it", || {
        let text = said(libc::EPERM);
        for part in ["io_uring_setup", "not permitted", "seccomp", "allow"] {
            assert!(text.contains(part), "no {part:?} in: {text}");
        }
    });
}

#[test]
fn a_filter_that_pretends_it_is_not_there() {
    let _watchdog = watchdog(PATIENCE);
    child::run("a_filter_that_pretends_it_is_not_there", || {
        let text = said(libc::ENOSYS);
        for part in ["io_uring_setup", "not implemented", "seccomp"] {
            assert!(text.contains(part), "no {part:?} in: {text}");
        }
    });
}

#[test]
fn memory_that_may_not_be_locked() {
    let _watchdog = watchdog(PATIENCE);
    child::run("memory_that_may_not_be_locked", || {
        let text = said(libc::ENOMEM);
        for part in ["io_uring_setup", "memory", "ulimit -l"] {
            assert!(text.contains(part), "no {part:?} in: {text}");
        }
    });
}

/// The ring is there, and entering it is refused.
#[test]
fn a_filter_that_forbids_entering() {
    let _watchdog = watchdog(PATIENCE);
    let output = child::try_run("a_filter_that_forbids_entering", || {
        refuse(libc::SYS_io_uring_enter, libc::EPERM);
        // An error would be best, for there is somebody to tell.
        if let Err(error) = Runtime::builder()
            .workers(1)
            .run(filch::time::sleep(std::time::Duration::from_millis(1)))
        {
            println!("{error}");
        }
    });
    // It may not hang, nor end without a word of why.
    let text = child::text(&output);
    assert!(text.contains("not permitted"), "{text}");
}
