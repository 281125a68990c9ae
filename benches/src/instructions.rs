//! Instructions per operation, counted by callgrind.
//!
//! A count repeats almost exactly on the noisiest machine. Each row runs at two sizes; the difference of the counts over the
//! difference of the operations leaves out starting up, warming up and stopping. One worker, since callgrind runs one
//! thread at a time.

use std::io::{self, BufRead};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::child;
use crate::cli::Options;
use crate::measure::{OPS, Sample};
use crate::plan::{Trial, contenders, title};
use crate::report::figure;

/// Counts the rows' instructions and prints them; whether all of it worked.
///
/// # Errors
///
/// When a child cannot be started.
pub fn run(options: &Options) -> io::Result<bool> {
    if let Err(why) = callgrind_runs() {
        eprintln!("SKIPPED: instruction counts need callgrind: {why}");
        print_json(options, &[json!({ "skipped": why })]);
        return Ok(true);
    }
    let mut complete = true;
    let mut results = Vec::new();
    for row in &options.rows {
        let Some(sizes) = row.instructions else {
            eprintln!("SKIPPED: {}: instructions are not counted for this row", row.name);
            continue;
        };
        for shape in row.shapes.iter().filter(|shape| shape.workers == 1) {
            for contender in contenders(row, *shape, &options.contenders) {
                let trial = Trial::new(row, *shape, contender, true);
                (row.prepare)(&trial)?;
                let name = format!("{} {contender}", title(row, *shape));
                match per_operation(&trial, sizes) {
                    Ok(count) => {
                        say(options, &format!("{name:<40} {:>8}", figure(count)));
                        results.push(json!({
                            "row": row.name,
                            "variant": shape.variant,
                            "contender": contender,
                            "instructions_per_op": count,
                        }));
                    }
                    Err(error) => {
                        complete = false;
                        eprintln!("FAILED: {name}: {error}");
                    }
                }
            }
        }
    }
    print_json(options, &results);
    Ok(complete)
}

fn say(options: &Options, line: &str) {
    if options.json { eprintln!("{line}") } else { println!("{line}") }
}

fn print_json(options: &Options, results: &[Value]) {
    if options.json {
        println!("{}", json!({ "instructions": results }));
    }
}

fn callgrind_runs() -> Result<(), String> {
    let output = Command::new("valgrind").args(["--tool=callgrind", "--version"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("valgrind ended with {}", output.status)),
        Err(error) => Err(format!("valgrind does not start: {error}")),
    }
}

fn per_operation(trial: &Trial, (small, large): (u64, u64)) -> io::Result<f64> {
    let (few, few_ops) = count(trial, small)?;
    let (many, many_ops) = count(trial, large)?;
    Ok((many - few) / (many_ops - few_ops))
}

/// Instructions of a whole trial, and the operations it measured.
fn count(trial: &Trial, size: u64) -> io::Result<(f64, f64)> {
    let trial = Trial { size, warm: 1, ..trial.clone() };
    let wrapper = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output = child::work_command(&trial, &wrapper)?.stderr(Stdio::piped()).output()?;
    let missing = |what: &str| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("no {what}; it ended with {}:\n{stderr}", output.status))
    };
    let sample = output.stdout.lines().map_while(Result::ok).find_map(|line| Sample::decode(&line));
    let ops = sample.and_then(|sample| sample.get(OPS)).ok_or_else(|| missing("sample"))?;
    let count = output.stderr.lines().map_while(Result::ok).find_map(|line| collected(&line));
    Ok((count.ok_or_else(|| missing("count"))?, ops))
}

/// The total in callgrind's summary: `==1234== Collected : 567`.
fn collected(line: &str) -> Option<f64> {
    line.split_once("Collected :")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found() {
        assert_eq!(collected("==7== Collected : 123456"), Some(123_456.0));
        assert_eq!(collected("==7== Events    : Ir"), None);
    }
}
