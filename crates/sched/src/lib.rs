//! The work-stealing scheduler of filch: tasks, per-core queues, timers and the blocking pool

pub mod blocking;
pub mod clock;
mod context;
pub mod task;
pub mod timer;
