//! What `--all` takes besides: visits to other parts of filch, and a look at what is left of them.

use super::leftovers::Holdings;
use super::parts::{BROKEN, Log, Places};
use super::units;
use filch::task::Report;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{env, fs, io, process};

/// How much more memory than after the warm-up is none, in bytes: what the allocator keeps is never quite the same.
const SLACK: u64 = 16 << 20;

/// So many laps are few: who has just begun takes more and more.
const FEW: usize = 4;

/// So many faults are told in full.
const TOLD: usize = 3;

/// What came of it.
#[derive(Debug)]
pub(crate) struct All {
    pub(crate) seed: u64,
    places: Places,
    _folder: Folder,
    pub(crate) log: Log,
    /// Before the first lap, and after each.
    holdings: Vec<Holdings>,
    /// When the runtime has ended: threads of its own, and descriptors.
    pub(crate) threads_left: usize,
    pub(crate) descriptors_left: usize,
}

impl All {
    /// # Errors
    ///
    /// If there is no place for temporary files.
    pub(crate) fn begin(seed: u64, echo: &[OsString]) -> io::Result<Self> {
        eprintln!("tour: --seed {seed}");
        let log = Log::default();
        let holdings = vec![Holdings::now()];
        let folder = Folder::new()?;
        let places = Places::new(&folder.0, echo);
        Ok(Self {
            seed,
            places,
            _folder: folder,
            log,
            holdings,
            threads_left: 0,
            descriptors_left: 0,
        })
    }

    pub(crate) fn places(&self) -> Places {
        self.places.clone()
    }

    /// Nothing is under way any more: what is there is left.
    pub(crate) async fn end_lap(&mut self, log: Log) {
        self.log.merge(log);
        self.holdings.push(Holdings::settled(self.holdings[0].descriptors).await);
    }

    /// What the process had when it was warm, and what it has at the end. None if the way was too short for that.
    pub(crate) fn warm_and_last(&self) -> Option<(Holdings, Holdings)> {
        let laps = self.holdings.len() - 1;
        (laps >= FEW).then(|| (self.holdings[1 + laps / 4], self.holdings[laps]))
    }

    /// What it took up in memory after each lap, in bytes.
    pub(crate) fn memory(&self) -> impl Iterator<Item = u64> {
        self.holdings.iter().skip(1).map(|it| it.memory)
    }

    /// Of each kind of fault a few words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = self.log.faults.iter().take(TOLD).cloned().collect();
        if self.log.faults.len() > TOLD {
            faults.push(format!("{} more", self.log.faults.len() - TOLD));
        }
        let (first, last) = (self.holdings[0], self.holdings[self.holdings.len() - 1]);
        let left = [
            (last.children, "child"),
            (last.descriptors.saturating_sub(first.descriptors), "descriptor"),
            (self.threads_left, "thread"),
            (self.descriptors_left, "descriptor of the runtime"),
        ];
        let left = left.into_iter().filter(|(count, _)| *count > 0);
        faults.extend(left.map(|(count, what)| format!("{count} left: {what}")));
        if let Some((warm, last)) = self.warm_and_last()
            && last.memory > warm.memory + warm.memory / 10 + SLACK
        {
            let [warm, last] = [warm, last].map(|it| units::bytes(it.memory));
            faults.push(format!("memory grew from {warm} to {last}"));
        }
        faults
    }
}

/// Where visitors may write. It goes with this.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        // An earlier tour that was killed may have left one, and had this process's number.
        for another in 0..1_000 {
            let path = env::temp_dir().join(format!("filch-tour-{}-{another}", process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("tour: {} stays: {error}", self.0.display());
        }
    }
}

/// What the runtime had to report, and should not have had to.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub(crate) fn add(&self, report: &Report) {
        let is_expected = match report {
            // What the hog is there for; and a machine may have other things to do.
            Report::TaskStuck { .. } | Report::WorkerStuck { .. } => true,
            // A group that is aborted leaves its children's errors to this.
            Report::TaskFailed { error, .. } => error == BROKEN,
            _ => false,
        };
        if !is_expected {
            self.0.lock().expect("nobody panics with it").push(report.to_string());
        }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}
