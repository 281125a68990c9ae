//! The rules of cancelling with clean-up, each by its number in `docs/semantics.md`.

mod support;

use filch::task::{Report, yield_now};
use filch::time::{Duration, sleep, timeout};
use filch::{Cancelled, Runtime, cancellable, check_cancelled, is_cancelled, shield, shielded};
use filch_testkit::limits::watchdog;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use support::{PATIENCE, runtime};

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn has(&self, what: &str) -> bool {
        self.0.lock().unwrap().contains(&what)
    }

    /// Waits until it has happened.
    async fn until(&self, what: &str) {
        while !self.has(what) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    /// Logs when it is dropped, and whether that was in a cancelled scope.
    fn on_drop(&self, cancelled: &'static str, otherwise: &'static str) -> OnDrop {
        OnDrop(self.clone(), cancelled, otherwise)
    }
}

struct OnDrop(Log, &'static str, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(if is_cancelled() { self.1 } else { self.2 });
    }
}

/// Runs `main` with two workers.
fn run<F: Future>(main: F) -> F::Output {
    let _watchdog = watchdog(PATIENCE);
    Runtime::builder().workers(2).run(main).expect("a runtime")
}

#[test]
fn cancel_1_a_boundary_ends_with_an_error_and_the_code_behind_it_runs() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                log.add("begun");
                let cut = cancellable(sleep(HOUR)).await;
                assert_eq!(cut, cut.map(|()| unreachable!("an hour has not passed")));
                log.add("behind");
                "its output"
            }
        });
        log.until("begun").await;
        task.cancel();
        assert_eq!(task.await.expect("it came to its end"), "its output");
    });
    assert_eq!(log.all(), ["begun", "behind"]);
}
