//! What each worker did while the clients were at it.

use filch::Metrics;
use std::time::Duration;

/// What a worker did, and its ring, between two looks.
#[derive(Debug)]
pub(crate) struct WorkerReport {
    pub(crate) polls: u64,
    /// Times it took tasks from another worker, be it from the queue or the slot.
    pub(crate) steals: u64,
    pub(crate) parks: u64,
    pub(crate) busy: Duration,
    /// Operations that its ring completed.
    pub(crate) completions: u64,
    /// System calls that this took.
    pub(crate) enters: u64,
}

impl WorkerReport {
    /// One for each worker.
    pub(crate) fn between(before: &Metrics, after: &Metrics) -> Vec<Self> {
        let workers = before.workers.iter().zip(&after.workers);
        let rings = before.rings.iter().zip(&after.rings);
        let report = |((was, is), (ring_was, ring_is))| -> Self {
            let (was, is): (&filch::WorkerMetrics, &filch::WorkerMetrics) = (was, is);
            let (ring_was, ring_is): (&filch::RingMetrics, &filch::RingMetrics) =
                (ring_was, ring_is);
            Self {
                polls: is.polls - was.polls,
                steals: is.steals + is.slot_steals - was.steals - was.slot_steals,
                parks: is.parks - was.parks,
                busy: is.busy - was.busy,
                completions: ring_is.completed - ring_was.completed,
                enters: ring_is.enters - ring_was.enters,
            }
        };
        workers.zip(rings).map(report).collect()
    }

    /// How many operations a system call was good for.
    pub(crate) fn completions_per_call(&self) -> f64 {
        if self.enters == 0 { 0.0 } else { self.completions as f64 / self.enters as f64 }
    }
}
