//! What the trials come to: tables for people, JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::{Metric, Sample};
use crate::plan::{Row, Shape, title};
use crate::quiet::Others;
use crate::stats::{Summary, median, speed};

/// One trial's figures and what else went on.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The figures.
    pub sample: Sample,
    /// Whether the machine was quiet before.
    pub quiet: bool,
    /// What others did to the machine meanwhile.
    pub others: Others,
}

/// All trials of one contender in one shape of a row; `None` where one failed.
#[derive(Debug)]
pub struct Entry {
    /// Who.
    pub contender: &'static str,
    /// One for each repeat, in order.
    pub outcomes: Vec<Option<Outcome>>,
}

/// All trials of one shape of a row.
#[derive(Debug)]
pub struct Table {
    /// The row.
    pub row: &'static Row,
    /// The shape.
    pub shape: Shape,
    /// One for each contender.
    pub entries: Vec<Entry>,
}

impl Entry {
    fn values(&self, metric: &str) -> Vec<f64> {
        self.outcomes.iter().flatten().filter_map(|outcome| outcome.sample.get(metric)).collect()
    }

    fn count(&self, what: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().flatten().filter(|outcome| what(outcome)).count()
    }
}

/// How much faster a contender is than the baseline: the median, lowest and highest of the ratios between trials that
/// directly followed each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

impl Table {
    fn ratio(&self, entry: &Entry, column: usize) -> Option<Ratio> {
        let metric = self.row.columns[column];
        let base = self.entries.iter().find(|entry| entry.contender == self.row.baseline)?;
        let pairs = entry.outcomes.iter().zip(&base.outcomes);
        let ratios: Vec<_> = pairs
            .filter_map(|(ours, theirs)| {
                let value = |outcome: &Option<Outcome>| outcome.as_ref()?.sample.get(metric.name);
                Some(speed(value(ours)?, value(theirs)?, metric.better))
            })
            .collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Ratio { median: median(&ratios)?, low, high })
    }

    /// The columns that somebody has figures for, with their places; the first two always, since the ratios are theirs.
    fn columns(&self) -> impl Iterator<Item = (usize, Metric)> {
        let columns = self.row.columns.iter().copied().enumerate();
        columns.filter(|(column, metric)| {
            *column < 2 || self.entries.iter().any(|entry| !entry.values(metric.name).is_empty())
        })
    }

    /// The table for people.
    pub fn text(&self) -> String {
        let mut lines = vec![self.header()];
        lines.extend(self.entries.iter().map(|entry| self.line(entry)));
        let mut text = format!("\n{}\n", title(self.row, self.shape));
        let columns = lines[0].len();
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(width).collect();
        for line in &lines {
            let cells = line.iter().zip(&widths).enumerate();
            let cells: Vec<_> = cells
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
        }
        text
    }

    fn header(&self) -> Vec<String> {
        let mut cells = vec![String::new()];
        for (column, metric) in self.columns() {
            cells.push(metric.name.to_owned());
            if column == 0 {
                cells.extend(["best".to_owned(), "spread%".to_owned()]);
            }
        }
        cells.push(format!("x {}", self.row.baseline));
        cells.extend(["low..high".to_owned(), "x cpu".to_owned(), "notes".to_owned()]);
        cells
    }

    fn line(&self, entry: &Entry) -> Vec<String> {
        let mut cells = vec![entry.contender.to_owned()];
        for (column, metric) in self.columns() {
            let summary = Summary::of(&entry.values(metric.name), metric.better);
            cells.push(cell(summary.map(|summary| figure(summary.median))));
            if column == 0 {
                cells.push(cell(summary.map(|summary| figure(summary.best))));
                cells.push(cell(summary.map(|summary| format!("{:.0}", summary.spread))));
            }
        }
        let ratio = self.ratio(entry, 0);
        cells.push(cell(ratio.map(|ratio| format!("{:.2}", ratio.median))));
        cells.push(cell(ratio.map(|ratio| format!("{:.2}..{:.2}", ratio.low, ratio.high))));
        cells.push(cell(self.ratio(entry, 1).map(|ratio| format!("{:.2}", ratio.median))));
        cells.push(notes(self.row, entry));
        cells
    }

    /// The table for programs: one object for each contender.
    pub fn json(&self) -> Vec<Value> {
        self.entries.iter().map(|entry| self.entry_json(entry)).collect()
    }

    fn entry_json(&self, entry: &Entry) -> Value {
        let metrics = self.row.columns.iter().filter_map(|metric| {
            let values = entry.values(metric.name);
            let summary = Summary::of(&values, metric.better)?;
            let value = json!({
                "median": summary.median,
                "best": summary.best,
                "spread_percent": summary.spread,
                "values": values,
            });
            Some((metric.name.to_owned(), value))
        });
        let ratio = |column| {
            self.ratio(entry, column).map(
                |ratio| json!({ "median": ratio.median, "low": ratio.low, "high": ratio.high }),
            )
        };
        let versus = self.row.baseline.replace('-', "_");
        json!({
            "row": self.row.name,
            "variant": self.shape.variant,
            "workers": self.shape.workers,
            "contender": entry.contender,
            "remark": remark(self.row, entry),
            "baseline": self.row.baseline,
            "trials": entry.outcomes.len(),
            "failed": entry.outcomes.iter().filter(|outcome| outcome.is_none()).count(),
            "not_quiet_before": entry.count(|outcome| !outcome.quiet),
            "disturbed": entry.count(|outcome| outcome.others.disturb()),
            "metrics": metrics.collect::<serde_json::Map<_, _>>(),
            (format!("speed_vs_{versus}")): ratio(0),
            (format!("cpu_vs_{versus}")): ratio(1),
        })
    }

    /// Whether a trial failed.
    pub fn has_failures(&self) -> bool {
        self.entries.iter().any(|entry| entry.outcomes.iter().any(Option::is_none))
    }
}

fn remark(row: &Row, entry: &Entry) -> Option<&'static str> {
    let (_, remark) = row.remarks.iter().find(|(contender, _)| *contender == entry.contender)?;
    Some(remark)
}

fn notes(row: &Row, entry: &Entry) -> String {
    let failed = entry.outcomes.iter().filter(|outcome| outcome.is_none()).count();
    let counts = [
        (failed, "failed"),
        (entry.count(|outcome| outcome.others.disturb()), "disturbed"),
        (entry.count(|outcome| !outcome.quiet), "not quiet before"),
    ];
    let notes = counts.iter().filter(|(count, _)| *count > 0);
    let notes = notes.map(|(count, what)| format!("{count} {what}"));
    let notes: Vec<_> = remark(row, entry).map(str::to_owned).into_iter().chain(notes).collect();
    notes.join(", ")
}

fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// A figure to three digits.
pub fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::find;

    fn entry(contender: &'static str, values: &[Option<f64>]) -> Entry {
        let outcome = |value: f64| Outcome {
            sample: Sample::new().with("ns_op", value).with("cpu_ns_op", value * 2.0),
            quiet: true,
            others: Others { used: value, available: 4_000.0 },
        };
        let outcomes = values.iter().map(|value| value.map(outcome)).collect();
        Entry { contender, outcomes }
    }

    fn table() -> Table {
        let row = find("spawn_join").unwrap();
        let entries = vec![
            entry("filch", &[Some(50.0), None, Some(60.0), Some(40.0)]),
            entry(row.baseline, &[Some(100.0), Some(1.0), Some(180.0), Some(100.0)]),
        ];
        Table { row, shape: row.shapes[0], entries }
    }

    #[test]
    fn ratios_pair_trials_that_followed_each_other() {
        let table = table();
        let ratio = table.ratio(&table.entries[0], 0).unwrap();
        assert_eq!(ratio, Ratio { median: 2.5, low: 2.0, high: 3.0 });
    }

    #[test]
    fn failures_and_disturbances_are_noted() {
        let table = table();
        assert!(table.has_failures());
        assert_eq!(notes(table.row, &table.entries[0]), "1 failed");
        assert_eq!(notes(table.row, &table.entries[1]), "1 disturbed");
        let json = table.json();
        assert_eq!(json[0]["failed"], 1);
        assert_eq!(json[0]["metrics"]["ns_op"]["best"], 40.0);
        assert_eq!(json[1]["disturbed"], 1);
        assert_eq!(json[1]["speed_vs_tokio_mt"]["median"], 1.0);
    }

    #[test]
    fn the_table_has_a_line_for_each_contender() {
        let text = table().text();
        let lines: Vec<_> = text.trim().lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[2].trim_start().starts_with("filch"), "{text}");
        assert!(lines[2].contains("2.50"), "{text}");
    }

    #[test]
    fn three_digits() {
        assert_eq!([figure(1234.5), figure(43.21), figure(0.567)], ["1234", "43.2", "0.57"]);
    }
}
