//! What the clients have seen.

use hdrhistogram::Histogram;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// What one client has seen, or all of them.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answers that were right.
    pub(crate) right: u64,
    /// Bytes of right answers.
    pub(crate) bytes: u64,
    /// Answers that were wrong.
    pub(crate) wrong: u64,
    /// Clients that did not get an answer.
    pub(crate) failed: u64,
    /// The first thing that went wrong.
    pub(crate) example: Option<String>,
    /// How long right answers took, in microseconds, to two digits: it stays small, and there is one for
    /// each client.
    latency: Histogram<u32>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new(2).expect("two digits are few enough");
        Self { right: 0, bytes: 0, wrong: 0, failed: 0, example: None, latency }
    }
}

impl Tally {
    pub(crate) fn right(&mut self, bytes: usize, latency: Duration) {
        self.right += 1;
        self.bytes += bytes as u64;
        let micros = latency.as_micros() as u64;
        self.latency.record(micros).expect("it grows as it needs to");
    }

    pub(crate) fn wrong(&mut self, path: &Path, offset: u64) {
        self.wrong += 1;
        let example = || format!("{} came wrong, from byte {offset} on", path.display());
        self.example.get_or_insert_with(example);
    }

    pub(crate) fn trouble(&mut self, trouble: impl Display) {
        self.failed += 1;
        self.example.get_or_insert_with(|| format!("a client did not get an answer: {trouble}"));
    }

    /// Adds what another client has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.right += other.right;
        self.bytes += other.bytes;
        self.wrong += other.wrong;
        self.failed += other.failed;
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
        self.latency.add(&other.latency).expect("both grow as they need to");
    }

    /// The time within which so many of a hundred right answers came.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_percentile(percent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_have_seen_adds_up() {
        let mut all = Tally::default();
        for client in 1..=100u64 {
            let mut tally = Tally::default();
            tally.right(10, Duration::from_millis(client));
            all.merge(&tally);
        }
        let mut last = Tally::default();
        last.wrong(Path::new("a"), 7);
        last.trouble("refused");
        all.merge(&last);
        assert_eq!((all.right, all.bytes, all.wrong, all.failed), (100, 1000, 1, 1));
        assert_eq!(all.example.as_deref(), Some("a came wrong, from byte 7 on"));
        let median = all.percentile(50.0).as_secs_f64();
        assert!((0.049..0.052).contains(&median), "{median}");
        assert!(all.percentile(99.0) > all.percentile(50.0));
    }
}
