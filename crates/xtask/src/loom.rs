//! The loom models: each test of `loom-tests/tests/*.rs` in a process of its own.
//!
//! A model that explores everything within its box of time is *exhausted*; one that does not is
//! *cut*, which is no failure: it has found nothing wrong so far. loom looks at its clock only
//! every `LOOM_CHECKPOINT_INTERVAL` executions and returns quietly when the time is over, so the
//! two are told apart by the time a test took and by the line that loom logs at the end.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::proc;
use crate::steps::{Done, Steps};
use crate::{mutate, tree};

/// loom looks at the clock once in so many executions: often enough for slow models.
const CHECKPOINT_INTERVAL: &str = "100";

/// Beyond its box, a model gets this long to notice before it is killed. An execution takes
/// microseconds, and an endless one is ended by loom itself: only a bug of a model comes here.
const KILL_AFTER: Duration = Duration::from_secs(60);

/// A model gets at least this much, however little is left of the budget of them all.
const LEAST_SECONDS: u64 = 3;

/// How far a model may explore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Seconds for one test; 0: until it is exhausted.
    pub(crate) seconds: u64,
    /// Forced thread switches in one execution.
    pub(crate) preemptions: u32,
    /// What all tests together should take: when it runs short, boxes shrink.
    pub(crate) budget: Option<Duration>,
}

impl Limits {
    /// What `cargo xtask test` and a plain `cargo xtask loom` use.
    pub(crate) const QUICK: Self = Self { seconds: 20, preemptions: 2, budget: None };
    /// What `--full` uses.
    pub(crate) const FULL: Self = Self { seconds: 120, preemptions: 3, budget: None };
}

/// `cargo xtask loom`.
pub(crate) fn main(mut args: Args) -> Result<(), String> {
    let base = if args.flag("--full") { Limits::FULL } else { Limits::QUICK };
    let limits = Limits {
        seconds: args.option("--seconds")?.unwrap_or(base.seconds),
        preemptions: args.option("--preemptions")?.unwrap_or(base.preemptions),
        budget: None,
    };
    let mutate = args.flag("--mutate");
    let names = args.names()?;
    let mut steps = Steps::new();
    if mutate {
        steps.run("loom mutations", || mutate::run(&names));
    } else {
        steps.run("loom models", || run(&names, limits));
    }
    steps.finish()
}

/// Builds and runs the models that match one of `names`: a file's name, or part of a test's.
pub(crate) fn run(names: &[String], limits: Limits) -> Result<Done, String> {
    let all = models()?;
    if all.is_empty() {
        return Ok(Done::Skipped("loom-tests/tests holds no model yet".to_owned()));
    }
    // Names that are no model name tests, which only the built models can tell.
    let named: Vec<String> = all.iter().filter(|model| names.contains(model)).cloned().collect();
    let build_all = names.iter().any(|name| !all.contains(name)) || names.is_empty();
    let place = Place::repository();
    let mut tests = Vec::new();
    for binary in place.build(if build_all { &all } else { &named }, Output::Shown)? {
        for test in binary.tests()? {
            let id = format!("{}::{}", binary.model, test);
            let wanted = names.is_empty()
                || names.contains(&binary.model)
                || names.iter().any(|name| !all.contains(name) && id.contains(name.as_str()));
            if wanted {
                tests.push(Test { binary: binary.clone(), name: test, id });
            }
        }
    }
    if tests.is_empty() {
        return Err(format!("no model and no test matches {}", names.join(", ")));
    }
    let failed = run_all(tests, limits)?;
    if failed.is_empty() { Ok(Done::Passed) } else { Err(failed.join(", ")) }
}

/// Runs tests side by side, one per core; returns the ids of those that failed.
fn run_all(tests: Vec<Test>, limits: Limits) -> Result<Vec<String>, String> {
    let jobs = jobs();
    let started = Instant::now();
    let width = tests.iter().map(|test| test.id.len()).max().unwrap_or(0);
    let total = tests.len();
    let queue = Mutex::new(VecDeque::from(tests));
    let ended = Mutex::new((0, 0, Vec::new()));
    let lane = &|| -> Result<(), String> {
        loop {
            let (test, seconds) = {
                let mut queue = queue.lock().expect("no lane panics");
                let left = queue.len();
                let Some(test) = queue.pop_front() else { return Ok(()) };
                (test, limits.seconds_now(started.elapsed(), left, jobs))
            };
            let run = test.run(seconds, limits.preemptions)?;
            let mut ended = ended.lock().expect("no lane panics");
            println!("{:width$}  {}", test.id, run.describe());
            match run.end {
                End::Exhausted => ended.0 += 1,
                End::Cut => ended.1 += 1,
                End::Failed | End::TimedOut => {
                    println!("{}", run.shown_log());
                    ended.2.push(test.id);
                }
            }
        }
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..jobs).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("no lane panics"))
    })?;
    let (exhausted, cut, failed) = ended.into_inner().expect("no lane panics");
    println!("of {total} tests, {exhausted} exhausted, {cut} cut, {} failed", failed.len());
    Ok(failed)
}

/// How many tests or mutations run side by side.
pub(crate) fn jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Limits {
    /// The box for the next test, when `left` of them (itself included) wait.
    fn seconds_now(self, elapsed: Duration, left: usize, jobs: usize) -> u64 {
        let Some(budget) = self.budget else { return self.seconds };
        let share = budget.saturating_sub(elapsed).as_secs() * jobs as u64 / left.max(1) as u64;
        share.max(LEAST_SECONDS).min(self.seconds)
    }
}

/// The names of the models: the files of `loom-tests/tests`, without `.rs`.
pub(crate) fn models() -> Result<Vec<String>, String> {
    let folder = tree::root().join("loom-tests/tests");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A tree to build models from, and where the results go.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The root of the tree.
    pub(crate) tree: PathBuf,
    /// Its own target folder: the cfg changes every crate.
    pub(crate) target: PathBuf,
    /// Whether it is rebuilt again and again with small changes.
    pub(crate) incremental: bool,
}

/// What becomes of cargo's messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// They are printed as they come.
    Shown,
    /// They are part of the error, if there is one.
    Kept,
}

impl Place {
    /// The repository itself.
    fn repository() -> Self {
        Self { tree: tree::root(), target: tree::target().join("loom"), incremental: false }
    }

    /// Builds the test binaries of `models`: optimised, with debug assertions, under the cfg.
    pub(crate) fn build(&self, models: &[String], output: Output) -> Result<Vec<Binary>, String> {
        let mut cargo = proc::cargo(&["test", "--quiet", "--package", "filch-loom-tests"]);
        cargo.args(["--release", "--no-run", "--message-format=json-render-diagnostics"]);
        for model in models {
            cargo.args(["--test", model]);
        }
        cargo
            .current_dir(&self.tree)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", "--cfg filch_loom")
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
        if self.incremental {
            cargo.env("CARGO_INCREMENTAL", "1");
        }
        let messages = match output {
            Output::Shown => proc::stdout(cargo)?,
            Output::Kept => {
                let output = cargo.output().map_err(|error| format!("cannot start: {error}"))?;
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).into_owned());
                }
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
        };
        let binaries: Vec<Binary> = messages
            .lines()
            .filter_map(executable)
            .map(|(model, path)| Binary { model, path, place: self.clone() })
            .collect();
        match models.iter().find(|model| !binaries.iter().any(|binary| binary.model == **model)) {
            Some(model) => Err(format!("cargo built no binary for the model `{model}`")),
            None => Ok(binaries),
        }
    }
}

/// The target's name and the executable that one line of cargo's JSON tells of, if any. Looked
/// up by hand: the two strings are all that is needed of it.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    if !message.contains(r#""reason":"compiler-artifact""#) {
        return None;
    }
    let target = &message[message.find(r#""target":{"#)?..];
    let name = string_after(target, r#""name":""#)?;
    let path = string_after(message, r#""executable":""#)?;
    Some((name, PathBuf::from(path)))
}

fn string_after(text: &str, key: &str) -> Option<String> {
    let start = text.find(key)? + key.len();
    let length = text[start..].find('"')?;
    Some(text[start..start + length].to_owned())
}

/// The test binary of one model.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    /// The file's name, without `.rs`.
    pub(crate) model: String,
    path: PathBuf,
    place: Place,
}

impl Binary {
    /// The names of its tests.
    pub(crate) fn tests(&self) -> Result<Vec<String>, String> {
        let mut command = Command::new(&self.path);
        command.args(["--list", "--format", "terse"]);
        let listed = proc::stdout(command)?;
        Ok(listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect())
    }
}

/// One test of a model.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Where it lives.
    pub(crate) binary: Binary,
    /// Its path within the binary.
    pub(crate) name: String,
    /// `model::test`, to show and to match.
    pub(crate) id: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Every execution within the preemption bound was tried.
    Exhausted,
    /// Its time was over first; nothing wrong was found until then.
    Cut,
    /// It failed.
    Failed,
    /// It had to be killed: loom did not notice that its time was over.
    TimedOut,
}

/// What one run of a test came to.
#[derive(Debug)]
pub(crate) struct Run {
    /// How it ended.
    pub(crate) end: End,
    /// How long it took.
    pub(crate) took: Duration,
    log: String,
    file: PathBuf,
}

impl Test {
    /// Runs the test, exploring for `seconds` at most.
    pub(crate) fn run(&self, seconds: u64, preemptions: u32) -> Result<Run, String> {
        let mut command = Command::new(&self.binary.path);
        command
            .args(["--exact", &self.name, "--nocapture", "--test-threads=1"])
            .current_dir(self.binary.place.tree.join("loom-tests"))
            .env("LOOM_MAX_PREEMPTIONS", preemptions.to_string())
            .env("LOOM_CHECKPOINT_INTERVAL", CHECKPOINT_INTERVAL)
            .env("LOOM_LOG", "loom::model=info")
            .env("NO_COLOR", "1")
            // loom's stacks are all alike, and hide the message.
            .env("RUST_BACKTRACE", "0")
            .env_remove("LOOM_CHECKPOINT_FILE")
            .env_remove("LOOM_MAX_PERMUTATIONS")
            .env_remove("LOOM_MAX_DURATION");
        let mut kill_after = Duration::MAX;
        if seconds > 0 {
            command.env("LOOM_MAX_DURATION", seconds.to_string());
            kill_after = Duration::from_secs(seconds) + KILL_AFTER;
        }
        let logs = self.binary.place.target.join("logs");
        fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        let file = logs.join(format!("{}.log", self.id.replace("::", ".")));
        let started = Instant::now();
        let status = proc::run_bounded(command, &file, kill_after)?;
        let took = started.elapsed();
        let log = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let log = String::from_utf8_lossy(&log).into_owned();
        let end = match status {
            None => End::TimedOut,
            Some(status) if !status.success() => End::Failed,
            // A filter that matches nothing succeeds too.
            Some(_) if !log.contains("1 passed") => End::Failed,
            Some(_) if seconds > 0 && took.as_secs() >= seconds => End::Cut,
            Some(_) => End::Exhausted,
        };
        Ok(Run { end, took, log, file })
    }
}

impl Run {
    /// One line: how it ended, how many executions it tried if loom told, how long it took.
    pub(crate) fn describe(&self) -> String {
        let word = match self.end {
            End::Exhausted => "exhausted",
            End::Cut => "cut",
            End::Failed => "FAILED",
            End::TimedOut => "TIMED OUT",
        };
        let executions = match executions(&self.log) {
            Some(count) => format!("{count} executions"),
            None => String::new(),
        };
        format!("{word:<9}  {executions:>20}  {:>5.1} s", self.took.as_secs_f64())
    }

    /// Whether the test said itself what went wrong, rather than dying of a signal.
    pub(crate) fn panicked(&self) -> bool {
        self.log.contains("panicked at") || self.log.contains("1 failed")
    }

    /// What the test printed, without loom's own progress: when it is long, its beginning, where
    /// the first panic is, and its end.
    pub(crate) fn shown_log(&self) -> String {
        const FIRST: usize = 40;
        const LAST: usize = 15;
        let lines: Vec<&str> =
            self.log.lines().filter(|line| !line.contains("loom::model:")).collect();
        let left_out = lines.len().saturating_sub(FIRST + LAST);
        let mut shown = String::new();
        for (at, line) in lines.iter().enumerate() {
            if left_out > 0 && at == FIRST {
                shown.push_str(&format!(
                    "    ... {left_out} lines, see {}\n",
                    shown_path(&self.file)
                ));
            }
            if left_out == 0 || at < FIRST || at >= lines.len() - LAST {
                shown.push_str(&format!("    {line}\n"));
            }
        }
        shown
    }
}

/// How many executions loom says it tried: all of them, or at its last look at the clock.
fn executions(log: &str) -> Option<u64> {
    let number = |line: &str, before: &str| {
        let rest = &line[line.find(before)? + before.len()..];
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (mut total, mut running) = (None, None);
    for line in log.lines().filter(|line| line.contains("loom::model:")) {
        if let Some(count) = number(line, "Completed in ") {
            total = Some(total.unwrap_or(0) + count);
            running = None;
        } else if let Some(count) = number(line, "Iteration ") {
            running = Some(count);
        }
    }
    match (total, running) {
        (None, None) => None,
        (total, running) => Some(total.unwrap_or(0) + running.unwrap_or(0)),
    }
}

/// A path for messages: relative to the repository when it is in it.
pub(crate) fn shown_path(path: &Path) -> String {
    path.strip_prefix(tree::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_read_from_cargo_s_message() {
        let message = concat!(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///x#filch-loom-tests@0.1.0","#,
            r#""target":{"kind":["test"],"crate_types":["bin"],"name":"inbox","src_path":"/x.rs"},"#,
            r#""executable":"/t/inbox-12ab","fresh":false}"#
        );
        assert_eq!(executable(message), Some(("inbox".to_owned(), PathBuf::from("/t/inbox-12ab"))));
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"loom"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn executions_are_counted_over_all_models_of_a_test() {
        let log = "\
 INFO loom::model:  ================== Iteration 100 ==================
 INFO loom::model: Completed in 123 iterations
 INFO loom::model: Completed in 7 iterations
 INFO loom::model:  ================== Iteration 300 ==================
test result: ok. 1 passed; 0 failed";
        assert_eq!(executions(log), Some(430));
        assert_eq!(executions("test result: ok. 1 passed"), None);
    }

    #[test]
    fn boxes_shrink_when_the_budget_runs_short() {
        let limits = Limits { budget: Some(Duration::from_secs(240)), ..Limits::QUICK };
        assert_eq!(limits.seconds_now(Duration::ZERO, 10, 2), 20);
        assert_eq!(limits.seconds_now(Duration::ZERO, 60, 2), 8);
        assert_eq!(limits.seconds_now(Duration::from_secs(300), 5, 2), LEAST_SECONDS);
        assert_eq!(Limits::QUICK.seconds_now(Duration::from_secs(999), 99, 1), 20);
    }
}
