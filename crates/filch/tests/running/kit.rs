//! What the tests share.

use filch::task::Report;
use filch::time::Duration;
use filch::{Builder, Runtime};
use std::sync::{Arc, Mutex};

/// Longer than any test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// Waits until it has happened.
    pub(crate) async fn until(&self, what: &str) {
        while !self.0.lock().unwrap().iter().any(|entry| entry == what) {
            filch::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How often it has happened.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|entry| *entry == what).count()
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A runtime to be, with that many workers and an hour of grace: what waits for that to be over hangs the
/// test. Its reports go to the log.
pub(crate) fn builder(workers: usize, reports: &Log) -> Builder {
    let reports = reports.clone();
    Runtime::builder()
        .workers(workers)
        .grace(HOUR)
        .report_stuck_after(None)
        .on_error(move |report: &Report| reports.add(report.to_string()))
}
