//! What is left of a group when it has returned: nothing that a destructor would tell of.

use crate::kit::run;
use crate::seen::Told;
use crate::support::PATIENCE;
use filch::group;
use filch::task::yield_now;
use filch_testkit::limits::watchdog;
use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// GROUP-13. What the supervisor has captured is gone when the group returns, whoever keeps a handle.
#[test]
fn group_13_what_a_supervisor_has_is_dropped_before_the_end() {
    let held = Arc::new(());
    run(async {
        let supervisor = |held: &Arc<()>| {
            let held = held.clone();
            move |_| assert!(Arc::strong_count(&held) > 0)
        };
        let kept = group(async |g| {
            let child = g.spawn(async { Err::<(), _>("told") });
            Ok((child, g))
        });
        let kept = kept.supervisor(supervisor(&held)).await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
        drop(kept);
        // Dropped, it has one until its last child is over: then the group around is, too.
        let mut kept = None;
        let around = group(async |_| {
            let dropped = group(async |g| {
                kept = Some(g.clone());
                g.spawn_ok(pending::<()>());
                pending::<()>().await;
                Ok(())
            });
            filch::select! {
                _ = dropped.supervisor(supervisor(&held)) => unreachable!(),
                () = yield_now() => {}
            }
            Ok(())
        });
        around.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
        drop(kept);
    });
}

/// Panics when it is dropped.
#[derive(Debug)]
struct Nasty(&'static str);

impl Drop for Nasty {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(self.0));
    }
}

impl fmt::Display for Nasty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }
}

impl std::error::Error for Nasty {}

/// GROUP-5. The first panic goes on, whatever is dropped for it; each other one is told of, and each error.
#[test]
fn group_5_destructors_may_panic_when_it_ends() {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let main = async {
        // With one worker the children begin when the body is over.
        let panics = group(async |g| {
            g.spawn(async { Err::<(), _>(Nasty("the error's")) });
            g.spawn_ok(async { std::panic::resume_unwind(Box::new("the first")) });
            Ok(Nasty("the output's"))
        });
        let mut panics = Box::pin(panics);
        std::future::poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(cx)))
                .map_or_else(std::task::Poll::Ready, |polled| polled.map(|_| unreachable!()))
        })
        .await
    };
    let payload = told.builder().workers(1).run(main).unwrap();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the first"));
    let lines = told.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for what in ["the output's", "an error", "the error's"] {
        assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:?}");
    }
}

/// GROUP-3. Nor does the output's destructor lose the errors.
#[test]
fn group_3_errors_are_given_though_the_output_panics_in_its_end() {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let main = async {
        let failed = group(async |g| {
            g.spawn(async { Err::<(), _>("an error") });
            Ok(Nasty("the output's"))
        });
        failed.await.unwrap_err().to_string()
    };
    assert!(told.builder().workers(1).run(main).unwrap().ends_with(": an error"));
    let lines = told.lines();
    assert!(lines.len() == 1 && lines[0].contains("the output's"), "{lines:?}");
}
