//! What there still is in a scheduler: for tests that want to leave nothing behind.

use crate::Handle;
use crate::task::TaskInfo;
use std::fmt;

/// What there still is in a scheduler.
#[derive(Debug, Default)]
pub struct Left {
    /// Tasks that are not over.
    pub tasks: Vec<TaskInfo>,
    /// Blocking closures that are not over.
    pub closures: Vec<TaskInfo>,
    /// How many sleeps wait, those of tasks included.
    pub timers: usize,
}

impl Handle {
    /// What there still is. Looks at every task: for people, not for programs.
    pub fn left(&self) -> Left {
        let workers = 0..self.workers();
        Left {
            tasks: workers.flat_map(|worker| self.shard(worker).tasks.snapshot()).collect(),
            closures: self.blocking().tasks().snapshot(),
            timers: self.shared().remotes.iter().map(|remote| remote.timers.len()).sum(),
        }
    }
}

impl Left {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.closures.is_empty() && self.timers == 0
    }
}

/// A line for each thing.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in &self.tasks {
            write!(f, "\n  task {}", task.id)?;
            origin(task, f)?;
            if let Some((kind, _, location)) = task.waits_for {
                write!(f, ", waits at {location} ({kind:?})")?;
            }
        }
        for closure in &self.closures {
            f.write_str("\n  a blocking closure")?;
            origin(closure, f)?;
        }
        match self.timers {
            0 => Ok(()),
            1 => f.write_str("\n  1 timer"),
            timers => write!(f, "\n  {timers} timers"),
        }
    }
}

fn origin(task: &TaskInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(name) = &task.name {
        write!(f, " `{name}`")?;
    }
    write!(f, ", spawned at {}", task.location)
}
