//! A sequence of named steps that all run, and the table that says how each went.

use std::time::{Duration, Instant};

/// How a step ended when it did not fail.
#[derive(Debug)]
pub(crate) enum Done {
    /// It ran, and all was well.
    Passed,
    /// It could not run here, and may be left out: why.
    Skipped(String),
}

/// What came of each step so far.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    results: Vec<(String, Duration, Result<Done, String>)>,
}

impl Steps {
    /// No steps yet; the clock of the whole runs from here.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), results: Vec::new() }
    }

    /// How long ago the first step could begin.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs one step, whatever became of those before it.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<Done, String>) {
        println!("\n==> {name}");
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        match &result {
            Ok(Done::Passed) => println!("--- {name}: ok in {:.1} s", took.as_secs_f64()),
            Ok(Done::Skipped(why)) => println!("--- {name}: SKIPPED: {why}"),
            Err(why) => println!("--- {name}: FAILED in {:.1} s: {why}", took.as_secs_f64()),
        }
        self.results.push((name.to_owned(), took, result));
    }

    /// Prints the table; an error when any step failed.
    pub(crate) fn finish(self) -> Result<(), String> {
        let width = self.results.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        println!("\n==> summary");
        let mut failed = Vec::new();
        for (name, took, result) in &self.results {
            let (word, why) = match result {
                Ok(Done::Passed) => ("ok", ""),
                Ok(Done::Skipped(why)) => ("skipped", why.as_str()),
                Err(why) => {
                    failed.push(name.as_str());
                    ("FAILED", why.as_str())
                }
            };
            let line = format!("{name:width$}  {:>7.1} s  {word:<7}  {why}", took.as_secs_f64());
            println!("{}", line.trim_end());
        }
        println!("{:width$}  {:>7.1} s", "all", self.elapsed().as_secs_f64());
        if failed.is_empty() {
            return Ok(());
        }
        Err(format!("failed: {}", failed.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_does_not_stop_the_rest_and_fails_the_whole() {
        let mut steps = Steps::new();
        let mut ran = 0;
        steps.run("first", || Err("broken".to_owned()));
        steps.run("second", || {
            ran += 1;
            Ok(Done::Passed)
        });
        steps.run("third", || Ok(Done::Skipped("no nightly".to_owned())));
        assert_eq!(ran, 1);
        assert_eq!(steps.finish(), Err("failed: first".to_owned()));
    }

    #[test]
    fn a_skip_is_no_failure() {
        let mut steps = Steps::new();
        steps.run("only", || Ok(Done::Skipped("not here".to_owned())));
        assert_eq!(steps.finish(), Ok(()));
    }
}
