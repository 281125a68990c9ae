//! Ctrl-C: each test in a process of its own.

use crate::kit::{HOUR, Log, builder};
use crate::support::PATIENCE;
use filch::time::{Duration, sleep};
use filch::{Interrupt, Runtime, cancellable, is_cancelled, shielded};
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use std::future::pending;
use std::os::unix::process::ExitStatusExt;

/// Sends SIGINT to this process; true if that could be done.
fn interrupt() -> bool {
    // SAFETY: a plain call.
    unsafe { libc::kill(libc::getpid(), libc::SIGINT) == 0 }
}

/// What is installed for SIGINT.
fn handler() -> libc::sighandler_t {
    // SAFETY: zero is fine for it; nothing is changed, and the place is there.
    unsafe {
        let mut present = std::mem::zeroed::<libc::sigaction>();
        assert_eq!(libc::sigaction(libc::SIGINT, std::ptr::null(), &raw mut present), 0);
        present.sa_sigaction
    }
}

/// A main future that is interrupted where it waits, and cleans up.
async fn cleans_up(log: &Log) {
    let work = async {
        assert!(interrupt());
        sleep(HOUR).await;
    };
    let clean_up = async || {
        sleep(Duration::from_millis(2)).await;
        assert!(!is_cancelled());
        log.add("cleaned up");
    };
    cancellable(work).on_cancel(clean_up).await.unwrap_err();
    assert!(is_cancelled());
    log.add("behind it");
}

/// RUN-8.
#[test]
fn the_first_interrupt_cancels_main_and_run_dies_of_it() {
    let _watchdog = watchdog(PATIENCE);
    let test = "interrupt::the_first_interrupt_cancels_main_and_run_dies_of_it";
    let output = child::try_run(test, || {
        filch::run(async {
            drop(filch::spawn(async {
                let clean_up = async || println!("a task, too");
                cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
            }));
            let log = Log::default();
            cleans_up(&log).await;
            println!("{}", log.take().join(", "));
            // Not a whole line: it is written all the same.
            print!("the last words");
            sleep(HOUR).await;
            println!("never");
        });
        println!("never");
    });
    let text = child::text(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGINT), "{text}");
    assert!(text.contains("cleaned up, behind it\n"), "{text}");
    assert!(text.contains("a task, too") && text.contains("the last words"), "{text}");
    assert!(!text.contains("never"), "{text}");
}

/// RUN-9: an error says so, and the signal is as it was.
#[test]
fn an_interrupted_main_is_an_error_of_the_builder() {
    let _watchdog = watchdog(PATIENCE);
    child::run("interrupt::an_interrupted_main_is_an_error_of_the_builder", || {
        for workers in [1, 2] {
            for _ in 0..2 {
                let (log, reports) = (Log::default(), Log::default());
                let error = builder(workers, &reports)
                    .run(async {
                        cleans_up(&log).await;
                        log.add("waits");
                        sleep(HOUR).await;
                        log.add("never");
                    })
                    .unwrap_err();
                assert!(error.is_interrupted() && !error.is_on_worker(), "{error}");
                assert_eq!(log.take(), ["cleaned up", "behind it", "waits"]);
                assert_eq!(handler(), libc::SIG_DFL);
                assert_eq!(reports.take(), [""; 0]);
            }
        }
        // Sent from elsewhere, to one that sleeps, or that polls for ever.
        for busy in [false, true] {
            let main = async {
                drop(filch::spawn_blocking(interrupt));
                loop {
                    if busy {
                        filch::task::yield_now().await;
                    } else {
                        sleep(HOUR).await;
                    }
                }
            };
            let error = builder(2, &Log::default()).run(main).unwrap_err();
            assert!(error.is_interrupted());
        }
    });
}

/// RUN-9: completion wins.
#[test]
fn a_main_that_has_an_output_all_the_same_returns_it() {
    let _watchdog = watchdog(PATIENCE);
    child::run("interrupt::a_main_that_has_an_output_all_the_same_returns_it", || {
        let log = Log::default();
        let output = filch::run(async {
            cleans_up(&log).await;
            7
        });
        assert_eq!((output, handler()), (7, libc::SIG_DFL));
    });
}

/// RUN-10.
#[test]
fn the_second_interrupt_ends_the_process() {
    let _watchdog = watchdog(PATIENCE);
    let output = child::try_run("interrupt::the_second_interrupt_ends_the_process", || {
        let _ = builder(2, &Log::default()).run(async {
            assert!(interrupt());
            let stubborn = async {
                // Once the first has come: two that wait to be delivered are one.
                while handler() != libc::SIG_DFL {
                    sleep(Duration::from_millis(1)).await;
                }
                println!("goes on");
                interrupt();
                sleep(HOUR).await;
                println!("never");
            };
            shielded(stubborn).await;
        });
        println!("never");
    });
    let text = child::text(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGINT), "{text}");
    assert!(text.contains("goes on") && !text.contains("never"), "{text}");
}

/// RUN-11.
#[test]
fn what_the_program_does_about_it_is_left_alone() {
    static HEARD: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    extern "C" fn own(_: libc::c_int) {
        HEARD.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    let _watchdog = watchdog(PATIENCE);
    child::run("interrupt::what_the_program_does_about_it_is_left_alone", || {
        let own = own as extern "C" fn(libc::c_int) as libc::sighandler_t;
        for present in [libc::SIG_IGN, own] {
            // SAFETY: the handler touches one atomic.
            unsafe { libc::signal(libc::SIGINT, present) };
            let run = builder(1, &Log::default()).run(async {
                assert_eq!(handler(), present);
                assert!(interrupt());
                // Some thread takes it, some time.
                while present == own && HEARD.load(std::sync::atomic::Ordering::Relaxed) == 0 {
                    filch::task::yield_now().await;
                }
                assert!(!is_cancelled());
            });
            run.unwrap();
            assert_eq!(handler(), present);
        }
        assert_eq!(HEARD.load(std::sync::atomic::Ordering::Relaxed), 1);
        // One that comes while it runs stays, too.
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        let main = async {
            // SAFETY: as above.
            unsafe { libc::signal(libc::SIGINT, own) };
        };
        builder(1, &Log::default()).run(main).unwrap();
        assert_eq!(handler(), own);
        // And it can be turned off.
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        let main = async { assert_eq!(handler(), libc::SIG_DFL) };
        Runtime::builder().interrupt(Interrupt::Leave).run(main).unwrap();
    });
}

/// RUN-11: of two at a time, the first is told.
#[test]
fn one_main_at_a_time_hears_of_it() {
    let _watchdog = watchdog(PATIENCE);
    child::run("interrupt::one_main_at_a_time_hears_of_it", || {
        let error = builder(1, &Log::default()).run(async {
            let other = std::thread::spawn(|| {
                builder(1, &Log::default()).run(async {
                    assert!(interrupt());
                    sleep(Duration::from_millis(5)).await;
                    is_cancelled()
                })
            });
            sleep(HOUR).await;
            drop(other);
        });
        assert!(error.unwrap_err().is_interrupted());
    });
}
