//! The work-stealing scheduler of filch: tasks, per-core queues, timers and the blocking pool

pub mod task;
