//! What a trial reports: a few named figures, on one line from the child to its parent.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::stats::Better;

/// A figure that a row reports, and how to read it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in the tables, the JSON and between the processes.
    pub name: &'static str,
    /// Which way is better.
    pub better: Better,
}

const fn lower(name: &'static str) -> Metric {
    Metric { name, better: Better::Lower }
}

const fn higher(name: &'static str) -> Metric {
    Metric { name, better: Better::Higher }
}

/// Wall time of one operation, in nanoseconds.
pub const NS_OP: Metric = lower("ns_op");
/// CPU time of the process for one operation, in nanoseconds.
pub const CPU_NS_OP: Metric = lower("cpu_ns_op");
/// Thousand requests a second.
pub const KRPS: Metric = higher("krps");
/// Thousand requests for each second of CPU time that the server used.
pub const KRPS_CPU: Metric = higher("krps_per_cpu_s");
/// Megabytes, of a million bytes, a second.
pub const MB_S: Metric = higher("mb_s");
/// Megabytes for each second of CPU time that the server used.
pub const MB_CPU: Metric = higher("mb_per_cpu_s");
/// Thousand connections a second.
pub const KCONN: Metric = higher("kconn_s");
/// Thousand connections for each second of CPU time that the server used.
pub const KCONN_CPU: Metric = higher("kconn_per_cpu_s");
/// Thousand reads a second.
pub const KIOPS: Metric = higher("kiops");
/// Thousand files a second.
pub const KFILES: Metric = higher("kfiles_s");
/// Median latency, in microseconds.
pub const P50_US: Metric = lower("p50_us");
/// 99th percentile of latency, in microseconds.
pub const P99_US: Metric = lower("p99_us");
/// 99.9th percentile of latency, in microseconds.
pub const P999_US: Metric = lower("p999_us");
/// The longest latency, in microseconds.
pub const MAX_US: Metric = lower("max_us");
/// Share of the requests that took longer than a millisecond, in per cent.
pub const LATE: Metric = lower("late_pct");
/// How late the load generator itself sent, in microseconds: 99th percentile.
pub const SENT_LATE: Metric = lower("sent_late_us");
/// Connections, of 63, without an answer while one request spins: the mean over the times one did.
pub const UNANSWERED: Metric = lower("unanswered");
/// As [`UNANSWERED`], the worst time.
pub const UNANSWERED_MAX: Metric = lower("unanswered_max");
/// Resident bytes of the process for each task.
pub const BYTES_TASK: Metric = lower("bytes_task");
/// Bytes of the heap for each task, as the allocator counts them: its own words and what it rounds up included.
pub const HEAP_TASK: Metric = lower("heap_task");
/// Cores the server kept busy.
pub const SERVER_CPU: Metric = lower("server_cores");
/// Cores the load generator kept busy.
pub const LOAD_CPU: Metric = lower("load_cores");
/// Operations measured; in no table, for the instruction counts.
pub const OPS: &str = "ops";

/// The figures of one trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample(Vec<(String, f64)>);

impl Sample {
    /// A sample without figures.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wall and CPU time for each of `ops` operations.
    pub fn per_op(ops: u64, (wall, cpu): (Duration, Duration)) -> Self {
        let per_op = |time: Duration| time.as_nanos() as f64 / ops as f64;
        Self::new()
            .with(NS_OP.name, per_op(wall))
            .with(CPU_NS_OP.name, per_op(cpu))
            .with(OPS, ops as f64)
    }

    /// Adds percentiles of latencies that were recorded in nanoseconds.
    #[must_use]
    pub fn latencies(self, histogram: &Histogram<u64>) -> Self {
        let us = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        self.with(P50_US.name, us(0.5)).with(P99_US.name, us(0.99)).with(P999_US.name, us(0.999))
    }

    /// Adds a figure.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    /// A figure by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// One line, which [`Sample::decode`] understands.
    pub fn encode(&self) -> String {
        let figures: Vec<_> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{PREFIX}{}", figures.join(" "))
    }

    /// The sample in a line; `None` when the line is something else.
    pub fn decode(line: &str) -> Option<Self> {
        let figures = line.trim_end().strip_prefix(PREFIX)?.split_ascii_whitespace();
        let figure = |text: &str| {
            let (key, value) = text.split_once('=')?;
            Some((key.to_owned(), value.parse().ok()?))
        };
        figures.map(figure).collect::<Option<_>>().map(Self)
    }
}

const PREFIX: &str = "sample ";

/// A histogram of nanoseconds up to a minute, to two digits: 30 KiB, small beside the buffers of a trial.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("the bounds are in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_survives_the_line() {
        let sample = Sample::per_op(4, (Duration::from_nanos(10), Duration::from_nanos(6)));
        assert_eq!(sample.get("ns_op"), Some(2.5));
        assert_eq!(Sample::decode(&sample.encode()), Some(sample));
    }

    #[test]
    fn other_lines_are_no_samples() {
        assert_eq!(Sample::decode("port 80"), None);
        assert_eq!(Sample::decode("sample ns_op=fast"), None);
        assert_eq!(Sample::decode("sample ns_op"), None);
    }

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut latencies = histogram();
        latencies.record_n(10_000, 99).unwrap();
        latencies.record(1_000_000).unwrap();
        let sample = Sample::new().latencies(&latencies);
        assert!((sample.get("p50_us").unwrap() - 10.0).abs() < 0.2);
        assert!(sample.get("p999_us").unwrap() > 900.0);
    }
}
