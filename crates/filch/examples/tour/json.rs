//! The report for a program: one object on one line.

use super::all::All;
use super::leftovers::Holdings;
use super::report::Report;
use super::units::per_second;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::time::Duration;

/// Writes it. Times are in seconds, latencies in microseconds.
pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", value(report))
}

fn value(report: &Report) -> Value {
    let tally = &report.tally;
    let workers = report.workers.iter().map(|worker| {
        json!({
            "polls": worker.polls,
            "steals": worker.steals,
            "parks": worker.parks,
            "busy_seconds": worker.busy.as_secs_f64(),
            "completions": worker.completions,
            "system_calls": worker.enters,
            "completions_per_system_call": worker.completions_per_call(),
        })
    });
    let percentile = |percent| micros(tally.percentile(percent));
    json!({
        "path": report.path.display().to_string(),
        "clients": report.clients,
        "files": report.files,
        "bytes": report.bytes,
        "reading_seconds": report.reading.as_secs_f64(),
        "skipped": report.skipped.count(),
        "changed": report.changed,
        "too_large": report.too_large,
        "is_cut": report.is_cut,
        "serving_seconds": report.serving.as_secs_f64(),
        "answers": tally.right,
        "answers_per_second": per_second(tally.right, report.serving),
        "answered_bytes": tally.bytes,
        "answered_bytes_per_second": per_second(tally.bytes, report.serving),
        "latency_p50": percentile(50.0),
        "latency_p99": percentile(99.0),
        "latency_p99_9": percentile(99.9),
        "wrong": tally.wrong,
        "failed": tally.failed,
        "example": tally.example,
        "tasks_left": report.tasks_left,
        "all_is_right": report.all_is_right(),
        "workers": workers.collect::<Vec<_>>(),
        "all": report.all.as_ref().map(all),
    })
}

fn all(all: &All) -> Value {
    let visits = all.log.visits.iter().map(|(name, visits)| {
        let it = json!({ "right": visits.right, "cut": visits.cut });
        ((*name).to_owned(), it)
    });
    let holdings = |it: Holdings| json!({ "memory": it.memory, "descriptors": it.descriptors });
    json!({
        "seed": all.seed,
        "visits": visits.collect::<serde_json::Map<_, _>>(),
        "warm": all.warm_and_last().map(|(warm, _)| holdings(warm)),
        "last": all.warm_and_last().map(|(_, last)| holdings(last)),
        "memory": all.memory().collect::<Vec<_>>(),
        "faults": all.faults(),
    })
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}
