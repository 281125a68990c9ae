//! Mutations: small patches that break a protocol, each of which a loom model has to notice.
//!
//! A model that passes says little unless it is known that it could fail. So each has at least
//! one patch in `loom-tests/mutations` that takes away something the protocol needs (a fence, an
//! ordering, a second look), and this runs the model on a copy of the tree with the patch in. It
//! fails when a mutation *survives* (the model still passes), no longer applies, does not compile
//! or hangs, and when a model has no mutation at all.
//!
//! The lines before the diff say what is expected:
//!
//! ```text
//! # model: idle
//! # test: local_push_wakes        (optional: this test, rather than any of the model's)
//! # why: without the fence the pusher misses the sleeper
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::loom::{self, End, Output, Place, Test};
use crate::steps::Done;
use crate::tree;

/// A mutated model may search this long; a model that needs more is too large.
const SECONDS: u64 = 60;

/// The same model is first run unbroken for this long: it must not fail by itself.
const BASELINE_SECONDS: u64 = 5;

/// The mutations are caught within the bound that `cargo xtask test` uses.
const PREEMPTIONS: u32 = 2;

/// One patch.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mutation {
    /// The file's name, without `.patch`.
    name: String,
    path: PathBuf,
    model: String,
    test: Option<String>,
    why: String,
}

/// What a lane does next.
#[derive(Debug)]
enum Job {
    /// Run a model as it is.
    Baseline(String),
    /// Run a model with a patch in.
    Mutate(Mutation),
}

/// One line of the table.
#[derive(Debug)]
struct Verdict {
    name: String,
    result: Result<String, String>,
    details: String,
}

/// Runs the mutations whose name contains one of `names`, or all.
pub(crate) fn run(names: &[String]) -> Result<Done, String> {
    let models = loom::models()?;
    let all = mutations()?;
    if models.is_empty() && all.is_empty() {
        return Ok(Done::Skipped("there are no models and no mutations yet".to_owned()));
    }
    let mut faults: Vec<String> = Vec::new();
    for mutation in all.iter().filter(|mutation| !models.contains(&mutation.model)) {
        faults.push(format!("{} names no model: `{}`", mutation.name, mutation.model));
    }
    for model in models.iter().filter(|model| !all.iter().any(|m| m.model == **model)) {
        faults.push(format!("the model `{model}` has no mutation"));
    }
    let wanted = |mutation: &&Mutation| {
        models.contains(&mutation.model)
            && (names.is_empty() || names.iter().any(|name| mutation.name.contains(name.as_str())))
    };
    let chosen: Vec<Mutation> = all.iter().filter(wanted).cloned().collect();
    if chosen.is_empty() && !names.is_empty() {
        return Err(format!("no mutation matches {}", names.join(", ")));
    }
    for verdict in judge(chosen)? {
        if let Err(reason) = &verdict.result {
            faults.push(format!("{}: {reason}", verdict.name));
        }
    }
    if faults.is_empty() { Ok(Done::Passed) } else { Err(faults.join("; ")) }
}

/// Runs the jobs side by side and prints the table.
fn judge(mutations: Vec<Mutation>) -> Result<Vec<Verdict>, String> {
    let files = tree::files()?;
    let baselines: BTreeSet<&str> = mutations.iter().map(|m| m.model.as_str()).collect();
    let baselines: Vec<String> = baselines.into_iter().map(str::to_owned).collect();
    let width = mutations.iter().map(|m| m.name.len()).max().unwrap_or(0);
    let queue: VecDeque<Job> = (baselines.into_iter().map(Job::Baseline))
        .chain(mutations.into_iter().map(Job::Mutate))
        .collect();
    let queue = Mutex::new(queue);
    let verdicts = Mutex::new(Vec::new());
    let work = |number: usize| -> Result<(), String> {
        let lane = Lane::new(number, &files)?;
        loop {
            let job = queue.lock().expect("no lane panics").pop_front();
            let Some(job) = job else { return Ok(()) };
            let verdict = lane.run(job)?;
            let (word, note) = match &verdict.result {
                Ok(note) => ("ok", note),
                Err(note) => ("FAILED", note),
            };
            let mut verdicts = verdicts.lock().expect("no lane panics");
            println!("{:width$}  {word:<6}  {note}", verdict.name);
            print!("{}", verdict.details);
            verdicts.push(verdict);
        }
    };
    let work = &work;
    thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..loom::jobs()).map(|number| scope.spawn(move || work(number))).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("no lane panics"))
    })?;
    Ok(verdicts.into_inner().expect("no lane panics"))
}

/// A copy of the tree that is broken and mended again, so that only what a patch touches is
/// rebuilt. One per core, with a target folder of its own.
struct Lane {
    place: Place,
    files: Vec<PathBuf>,
}

impl Lane {
    fn new(number: usize, files: &[PathBuf]) -> Result<Self, String> {
        let folder = tree::target().join("mutate").join(format!("lane-{number}"));
        let place =
            Place { tree: folder.join("tree"), target: folder.join("target"), incremental: true };
        let lane = Self { place, files: files.to_vec() };
        lane.mend()?;
        Ok(lane)
    }

    /// Makes the copy equal to the repository again.
    fn mend(&self) -> Result<(), String> {
        tree::sync(&self.files, &self.place.tree)
    }

    fn run(&self, job: Job) -> Result<Verdict, String> {
        let (name, result) = match job {
            Job::Baseline(model) => (format!("{model} (unbroken)"), self.baseline(&model)),
            Job::Mutate(mutation) => {
                let result = self.mutate(&mutation);
                self.mend()?;
                (mutation.name, result)
            }
        };
        let (result, details) = match result {
            Ok(note) => (Ok(note), String::new()),
            Err(Fault { reason, details }) => (Err(reason), details),
        };
        Ok(Verdict { name, result, details })
    }

    fn baseline(&self, model: &str) -> Result<String, Fault> {
        for test in self.tests(model, None)? {
            let run = test.run(BASELINE_SECONDS, PREEMPTIONS)?;
            if !matches!(run.end, End::Exhausted | End::Cut) {
                let reason = format!("{} fails without any mutation", test.id);
                return Err(Fault { reason, details: run.shown_log() });
            }
        }
        Ok("passes, as it should".to_owned())
    }

    fn mutate(&self, mutation: &Mutation) -> Result<String, Fault> {
        apply(&mutation.path, &self.place.tree)?;
        let mut hung = Vec::new();
        let tests = self.tests(&mutation.model, mutation.test.as_deref())?;
        for test in tests {
            let run = test.run(SECONDS, PREEMPTIONS)?;
            match run.end {
                End::Failed if run.panicked() => {
                    return Ok(format!("caught by {}", test.id));
                }
                End::Failed => {
                    let reason = format!("{} died without a word", test.id);
                    return Err(Fault { reason, details: run.shown_log() });
                }
                End::TimedOut => hung.push(test.id),
                End::Exhausted | End::Cut => {}
            }
        }
        let reason = if hung.is_empty() {
            format!("SURVIVED ({})", mutation.why)
        } else {
            format!("timed out: {}", hung.join(", "))
        };
        Err(Fault::from(reason))
    }

    /// Builds a model and lists its tests, or the one named.
    fn tests(&self, model: &str, only: Option<&str>) -> Result<Vec<Test>, Fault> {
        let built = self.place.build(&[model.to_owned()], Output::Kept);
        let binaries = built.map_err(|details| Fault {
            reason: format!("does not compile in {}", loom::shown_path(&self.place.tree)),
            details,
        })?;
        let mut tests = Vec::new();
        for binary in binaries {
            for name in binary.tests()? {
                let last = name.rsplit("::").next().unwrap_or(&name);
                if only.is_none_or(|only| only == name || only == last) {
                    let id = format!("{}::{name}", binary.model);
                    tests.push(Test { binary: binary.clone(), name, id });
                }
            }
        }
        match only {
            Some(only) if tests.is_empty() => {
                Err(Fault::from(format!("the model `{model}` has no test `{only}`")))
            }
            _ => Ok(tests),
        }
    }
}

/// Why a job failed, and what to print below it.
#[derive(Debug)]
struct Fault {
    reason: String,
    details: String,
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self { reason, details: String::new() }
    }
}

/// Applies a patch to the copy. git looks for no repository above it: within one, it would leave
/// out what that repository ignores.
fn apply(patch: &Path, copy: &Path) -> Result<(), Fault> {
    let mut git = Command::new("git");
    git.args(["apply", "--recount", "--whitespace=nowarn"])
        .arg(patch)
        .current_dir(copy)
        .env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy))
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .stdin(Stdio::null());
    let output = git.output().map_err(|error| format!("cannot start git: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let details = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Fault { reason: "no longer applies".to_owned(), details })
}

/// All patches, by name.
fn mutations() -> Result<Vec<Mutation>, String> {
    let folder = tree::root().join("loom-tests/mutations");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            found.push(parse(path, &text)?);
        }
    }
    found.sort_by(|a, b| (&a.model, &a.name).cmp(&(&b.model, &b.name)));
    Ok(found)
}

/// Reads the lines before the diff.
fn parse(path: PathBuf, text: &str) -> Result<Mutation, String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (mut model, mut test, mut why) = (None, None, Vec::new());
    let is_diff = |line: &str| line.starts_with("diff ") || line.starts_with("--- ");
    for line in text.lines().take_while(|line| !is_diff(line)) {
        let Some(line) = line.strip_prefix('#').map(str::trim) else { continue };
        if let Some(value) = line.strip_prefix("model:") {
            model = Some(value.trim().to_owned());
        } else if let Some(value) = line.strip_prefix("test:") {
            test = Some(value.trim().to_owned());
        } else if let Some(value) = line.strip_prefix("why:") {
            why.push(value.trim().to_owned());
        } else if !why.is_empty() {
            why.push(line.to_owned());
        }
    }
    let model = model.ok_or_else(|| format!("{name}.patch has no `# model:` line"))?;
    if why.is_empty() {
        return Err(format!("{name}.patch has no `# why:` line"));
    }
    // A model that is changed itself shows nothing about the code.
    for line in text.lines().filter(|line| line.starts_with("+++ ")) {
        let file = line[4..].split('\t').next().unwrap_or_default().trim();
        if !file.starts_with("b/crates/") {
            return Err(format!("{name}.patch changes {file}, which is not in crates"));
        }
    }
    Ok(Mutation { name, path, model, test, why: why.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
# model: idle
# test: local_push_wakes
# why: without the fence
#      the pusher misses the sleeper
--- a/crates/sched/src/idle.rs
+++ b/crates/sched/src/idle.rs
@@ -1,2 +1,1 @@
-fence(SeqCst);
 look();
";

    fn parsed(text: &str) -> Result<Mutation, String> {
        parse(PathBuf::from("m/idle--no-fence.patch"), text)
    }

    #[test]
    fn the_header_says_which_model_and_why() {
        let mutation = parsed(PATCH).unwrap();
        assert_eq!(mutation.name, "idle--no-fence");
        assert_eq!(mutation.model, "idle");
        assert_eq!(mutation.test.as_deref(), Some("local_push_wakes"));
        assert_eq!(mutation.why, "without the fence the pusher misses the sleeper");
    }

    #[test]
    fn a_patch_without_a_model_or_a_reason_or_of_a_model_is_refused() {
        assert!(parsed(&PATCH.replace("# model: idle\n", "")).unwrap_err().contains("# model:"));
        assert!(parsed(&PATCH.replace("# why:", "# :")).unwrap_err().contains("# why:"));
        let of_model = PATCH.replace("crates/sched/src/idle.rs", "loom-tests/tests/idle.rs");
        assert!(parsed(&of_model).unwrap_err().contains("not in crates"));
    }

    #[test]
    fn a_patch_is_applied_to_a_copy_and_refused_when_it_no_longer_fits() {
        let copy = tree::target().join(format!("xtask-apply-{}", std::process::id()));
        let file = copy.join("crates/sched/src/idle.rs");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "fence(SeqCst);\nlook();\n").unwrap();
        let patch = copy.join("m.patch");
        fs::write(&patch, PATCH).unwrap();

        apply(&patch, &copy).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "look();\n");
        assert_eq!(apply(&patch, &copy).unwrap_err().reason, "no longer applies");
        fs::remove_dir_all(&copy).unwrap();
    }
}
