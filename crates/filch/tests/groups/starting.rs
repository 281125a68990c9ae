//! Children that fail before they are ready: whose error that is.

use crate::kit::run;
use crate::seen::Told;
use crate::support::PATIENCE;
use filch::group;
use filch::task::{NotReady, yield_now};
use filch_testkit::limits::watchdog;
use std::io;
use std::sync::{Arc, Mutex};

/// GROUP-15, GROUP-3. An error that nobody was given is the group's.
#[test]
fn group_15_an_error_that_nobody_was_given_is_the_groups() {
    run(async {
        let failed = group(async |g| {
            let [a, b] = ["a", "b"].map(|name| {
                let fails = async move { Err::<(), _>(io::Error::other(name)) };
                g.named(name).start::<(), _, _, _, _>(|_ready| fails)
            });
            while !g.is_empty() {
                yield_now().await;
            }
            assert!(!g.is_ending(), "so far they are the errors of whoever waits");
            a.await?;
            // Never reached.
            b.await?;
            Ok(())
        });
        let error = failed.await.unwrap_err();
        let mut texts: Vec<_> = error.iter().map(ToString::to_string).collect();
        texts.sort();
        assert_eq!(texts.len(), 2, "{error}");
        assert_eq!(texts[1], "the body: a");
        assert!(texts[0].starts_with("task ") && texts[0].ends_with(": b"), "{error}");
        assert!(error.iter().any(|failure| failure.name() == Some("b")));
    });
}

/// GROUP-15. That it was not ready, or was cancelled, is no error then.
#[test]
fn group_15_who_does_not_fail_is_nobodys_failure() {
    run(async {
        let done = group(async |g| {
            let ended = g.start::<(), _, _, _, _>(|_ready| async { Ok::<_, String>(()) });
            let cancelled = g.start::<(), _, _, _, _>(|_ready| async {
                filch::cancellable(std::future::pending::<()>()).await
            });
            // Let go of here, it gives an error that says no more than that.
            drop(cancelled);
            while !g.is_empty() {
                yield_now().await;
            }
            drop(ended);
            let ended = g.start::<(), _, _, _, _>(|_ready| async { Ok::<_, String>(()) });
            assert!(ended.await.unwrap_err().is::<NotReady>());
            assert!(!g.is_ending());
            Ok(1)
        });
        assert_eq!(done.await.unwrap(), 1);
    });
}

/// GROUP-15, GROUP-13. Under a supervisor it is told of.
#[test]
fn group_15_a_supervisor_is_told_of_an_error_that_nobody_was_given() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    run(async move {
        let done = group(async |g| {
            let fails = async { Err::<(), _>("not given") };
            let start = g.start::<(), _, _, _, _>(|_ready| fails);
            while !g.is_empty() {
                yield_now().await;
            }
            drop(start);
            assert!(!g.is_ending());
            Ok(g.spawn_ok(async { 3 }).await)
        });
        let done = done.supervisor(move |failure| heard.lock().unwrap().push(failure.to_string()));
        assert_eq!(done.await.unwrap(), 3);
    });
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0].ends_with(": not given"), "{told:?}");
}

/// GROUP-15. The group may be over by then: it is reported.
#[test]
fn group_15_what_is_told_to_nobody_after_the_end_is_reported() {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let main = async {
        for supervised in [false, true] {
            let carried = group(async |g| {
                let fails = async { Err::<(), _>("carried away") };
                let start = g.start::<(), _, _, _, _>(|_ready| fails);
                while !g.is_empty() {
                    yield_now().await;
                }
                Ok(start)
            });
            let start = if supervised {
                carried.supervisor(|_| panic!("it is gone")).await.unwrap()
            } else {
                carried.await.unwrap()
            };
            drop(start);
        }
    };
    told.builder().workers(2).run(main).unwrap();
    let lines = told.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("carried away")), "{lines:?}");
}
