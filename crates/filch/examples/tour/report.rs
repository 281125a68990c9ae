//! What came of the tour, and what that means.

use super::all::All;
use super::skipped::Skipped;
use super::tally::Tally;
use super::units;
use super::workers::WorkerReport;
use std::path::PathBuf;
use std::time::Duration;

/// What came of the tour.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) path: PathBuf,
    pub(crate) clients: usize,
    /// Files that were read, hashed, and offered to the clients.
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    /// How long reading and hashing them took.
    pub(crate) reading: Duration,
    /// How long the clients were at it.
    pub(crate) serving: Duration,
    /// Files that were too large for what was left of the limit.
    pub(crate) too_large: usize,
    /// Whether there are files beyond the limit, which nobody looked at.
    pub(crate) is_cut: bool,
    /// Files that changed after they were found.
    pub(crate) changed: usize,
    /// What could not be read.
    pub(crate) skipped: Skipped,
    pub(crate) tally: Tally,
    pub(crate) workers: Vec<WorkerReport>,
    /// Tasks that should have ended and have not.
    pub(crate) tasks_left: usize,
    /// With `--all`.
    pub(crate) all: Option<All>,
}

impl Report {
    /// Whether nothing went wrong. Then, and only then, the tour ends with success.
    pub(crate) fn all_is_right(&self) -> bool {
        let Tally { wrong, failed, .. } = self.tally;
        (wrong, failed, self.tasks_left) == (0, 0, 0)
            && self.all.as_ref().is_none_or(|all| all.faults().is_empty())
    }

    /// What the tour has shown, in a sentence.
    pub(crate) fn verdict(&self) -> String {
        let tally = &self.tally;
        let mut faults = Vec::new();
        if tally.wrong > 0 {
            faults.push(units::things(tally.wrong, "wrong answer"));
        }
        if tally.failed > 0 {
            faults.push(units::things(tally.failed, "broken conversation"));
        }
        if self.tasks_left > 0 {
            faults.push(format!(
                "{} that did not end",
                units::things(self.tasks_left as u64, "task")
            ));
        }
        faults.extend(self.all.iter().flat_map(All::faults));
        if !faults.is_empty() {
            let example =
                tally.example.as_deref().map_or(String::new(), |e| format!(" For one, {e}."));
            return format!("SOMETHING IS WRONG: {}.{example}", faults.join(", "));
        }
        if tally.right == 0 {
            return "Nothing was shown: no answer could be checked.".to_owned();
        }
        let (answers, bytes) = (units::things(tally.right, "answer"), units::bytes(tally.bytes));
        format!("Every byte was right: {bytes} in {answers}, checked against the hashes.")
    }
}
