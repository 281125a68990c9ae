//! What the tests share.

use crate::support::PATIENCE;
use filch::time::{Duration, sleep};
use filch::{Runtime, is_cancelled};
use filch_testkit::limits::watchdog;
use std::future::Future;
use std::sync::{Arc, Mutex};

/// Longer than any test.
#[allow(dead_code, reason = "not every test that has this kit waits so long")]
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    pub(crate) fn add(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        self.0.lock().unwrap().contains(&what)
    }

    /// Waits until it has happened.
    pub(crate) async fn until(&self, what: &str) {
        while !self.has(what) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    /// Logs when it is dropped, and whether that was in a cancelled scope.
    pub(crate) fn on_drop(&self, cancelled: &'static str, otherwise: &'static str) -> OnDrop {
        OnDrop(self.clone(), cancelled, otherwise)
    }
}

pub(crate) struct OnDrop(Log, pub(crate) &'static str, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(if is_cancelled() { self.1 } else { self.2 });
    }
}

/// Runs `main` with two workers.
pub(crate) fn run<F: Future>(main: F) -> F::Output {
    let _watchdog = watchdog(PATIENCE);
    Runtime::builder().workers(2).run(main).expect("a runtime")
}
