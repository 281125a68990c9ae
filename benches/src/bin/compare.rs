//! Compares filch and its peers. See `benches/README.md`.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use filch_benches::cli::{self, HELP, Mode, Options};
use filch_benches::plan::{Row, Shape, Trial, contenders};
use filch_benches::quiet::{self, Watch};
use filch_benches::report::{Entry, Outcome, Table};
use filch_benches::rows::ROWS;
use filch_benches::{child, files, instructions};
use serde_json::json;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        Some((first, rest)) if first == child::SUBCOMMAND => child::main(rest).map(|()| true),
        _ => match cli::parse(&args) {
            Ok(options) => run(&options),
            Err(mistake) => {
                eprintln!("compare: {mistake}\n\n{HELP}");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<bool> {
    match options.mode {
        Mode::Help => print!("{HELP}"),
        Mode::List => list(),
        Mode::Instructions | Mode::Compare => {
            let done = match options.mode {
                Mode::Compare => compare(options),
                _ => instructions::run(options),
            };
            files::data::remove()?;
            return done;
        }
    }
    Ok(true)
}

fn list() {
    for row in ROWS {
        let mark = if row.by_default { "*" } else { " " };
        let contenders = row.contenders.join(", ");
        println!("{mark} {:<14} {:<6} {} ({contenders})", row.name, row.group, row.about);
    }
}

fn compare(options: &Options) -> io::Result<bool> {
    if cfg!(debug_assertions) {
        eprintln!("compare: built without optimisation: the figures mean nothing");
    }
    let mut tables = Vec::new();
    for row in &options.rows {
        let fits = |shape: &&Shape| {
            let variant = options.variant.as_deref();
            options.workers.is_none_or(|workers| workers == shape.workers)
                && variant.is_none_or(|variant| variant == shape.variant)
        };
        for shape in row.shapes.iter().filter(fits) {
            let table = measure(row, *shape, options)?;
            if table.entries.is_empty() {
                continue;
            }
            if options.json {
                eprintln!("{}", table.text());
            } else {
                println!("{}", table.text());
            }
            tables.push(table);
        }
    }
    if options.json {
        println!(
            "{}",
            json!({
                "machine": machine(),
                "quick": options.quick,
                "repeat": options.repeat,
                "results": tables.iter().flat_map(Table::json).collect::<Vec<_>>(),
            })
        );
    }
    Ok(!tables.iter().any(Table::has_failures))
}

/// Runs all contenders of a shape in turn, `repeat` times: what disturbs the machine for a while then disturbs all alike.
fn measure(row: &'static Row, shape: Shape, options: &Options) -> io::Result<Table> {
    let mut entries: Vec<_> = contenders(row, shape, &options.contenders)
        .into_iter()
        .map(|contender| Entry { contender, outcomes: Vec::new() })
        .collect();
    (row.prepare)(&Trial::new(row, shape, "", options.quick))?;
    for repeat in 1..=options.repeat {
        for entry in &mut entries {
            let trial = Trial::new(row, shape, entry.contender, options.quick);
            let outcome = measure_once(&trial, options);
            if let Err(error) = &outcome {
                eprintln!("FAILED: {error}");
            }
            report_progress(&trial, repeat, outcome.as_ref().ok());
            entry.outcomes.push(outcome.ok());
        }
    }
    Ok(Table { row, shape, entries })
}

fn measure_once(trial: &Trial, options: &Options) -> io::Result<Outcome> {
    let patience = if options.quick { Duration::from_secs(1) } else { Duration::from_secs(10) };
    let quiet = !options.wait || quiet::wait(patience)?;
    let watch = Watch::start()?;
    let sample = child::run(trial)?;
    let others = watch.others()?;
    Ok(Outcome { sample, quiet, others })
}

fn report_progress(trial: &Trial, repeat: usize, outcome: Option<&Outcome>) {
    let Some(outcome) = outcome else { return };
    let figures: Vec<_> = trial.row.columns[..2]
        .iter()
        .filter_map(|metric| {
            let value = outcome.sample.get(metric.name)?;
            Some(format!("{} {}", filch_benches::report::figure(value), metric.name))
        })
        .collect();
    let mut notes = String::new();
    if !outcome.quiet {
        notes += " (the machine was not quiet before)";
    }
    if outcome.others.disturb() {
        notes += &format!(" (others used {:.0} % of the cores)", outcome.others.share() * 100.0);
    }
    let (title, contender) = (trial.title(), &trial.contender);
    eprintln!("{title} #{repeat} {contender}: {}{notes}", figures.join(", "));
}

/// What the figures depend on.
fn machine() -> serde_json::Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "cpu": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
    })
}
