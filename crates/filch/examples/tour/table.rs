//! The report for a person.

use super::all::All;
use super::report::Report;
use super::units::{bytes, count, per_second, things, time};
use comfy_table::{CellAlignment, Table, presets};
use std::io::{self, Write};

/// Writes it all, with an empty line before and after the tables.
pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let path = report.path.display();
    let workers = things(report.workers.len() as u64, "worker");
    let clients = things(report.clients as u64, "client");
    writeln!(out, "\nA tour of {path} with {workers}, {clients} and a hog\n")?;
    writeln!(out, "{}\n", facts(report).trim_fmt())?;
    writeln!(out, "{}\n", per_worker(report).trim_fmt())?;
    if let Some(all) = &report.all {
        writeln!(out, "{}\n", visits(all).trim_fmt())?;
    }
    writeln!(out, "{}", report.verdict())
}

fn visits(all: &All) -> Table {
    let mut table = table();
    table.add_row(["part", "all right", "cut short"]);
    for (name, visits) in &all.log.visits {
        table.add_row([(*name).to_owned(), count(visits.right), count(visits.cut)]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if let Some((warm, last)) = all.warm_and_last() {
        let [warm, last] = [warm, last].map(|it| bytes(it.memory));
        table.add_row(["memory".into(), warm, format!("then {last}")]);
    }
    table
}

fn facts(report: &Report) -> Table {
    let tally = &report.tally;
    let mut table = table();
    let files = things(report.files as u64, "file");
    let took = time(report.reading);
    table.add_row(["read".into(), format!("{files}, {}, in {took}", bytes(report.bytes))]);
    for reason in report.skipped.reasons() {
        table.add_row(["skipped", &reason]);
    }
    if report.changed > 0 {
        let files = things(report.changed as u64, "file");
        table.add_row(["left out".into(), format!("{files} that changed meanwhile")]);
    }
    if report.too_large > 0 {
        let files = things(report.too_large as u64, "file");
        table.add_row([
            "left out".into(),
            format!("{files} beyond 64 MiB in all (--all takes them)"),
        ]);
    }
    if report.is_cut {
        table.add_row(["left out", "all after the first 5,000 files (--all takes them)"]);
    }
    let rate = per_second(tally.right, report.serving);
    let answers = things(tally.right, "answer");
    table.add_row(["served".into(), format!("{answers}, {} each second", count(rate as u64))]);
    let rate = bytes(per_second(tally.bytes, report.serving) as u64);
    table.add_row(["".into(), format!("{}, {rate} each second", bytes(tally.bytes))]);
    let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| time(tally.percentile(percent)));
    table.add_row(["latency".into(), format!("p50 {p50}, p99 {p99}, p99.9 {p999}")]);
    table
}

fn per_worker(report: &Report) -> Table {
    let mut table = table();
    table.add_row(["worker", "polls", "steals", "parks", "busy", "completions", "per system call"]);
    for (number, worker) in report.workers.iter().enumerate() {
        let busy = worker.busy.as_secs_f64() / report.serving.as_secs_f64();
        table.add_row([
            number.to_string(),
            count(worker.polls),
            count(worker.steals),
            count(worker.parks),
            format!("{:.0} %", 100.0 * busy),
            count(worker.completions),
            format!("{:.1}", worker.completions_per_call()),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// No lines, only columns.
fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
