//! How a blocking pool is to be.

use super::pool::run_to_its_end;
use crate::task::{ErrorHook, Task};
use filch_atomic::thread::JoinHandle;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How many threads a pool has at most unless it is told otherwise.
pub const DEFAULT_CAP: usize = 512;
/// How long an idle thread stays unless it is told otherwise.
pub const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Makes a thread of the given name that runs the given body. The body must be run or dropped, not kept.
pub type SpawnThread =
    dyn Fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> + Send + Sync;

/// Runs the body of a thread, once.
type Around = dyn Fn(&mut dyn FnMut()) + Send + Sync;

/// How a [`BlockingPool`](super::BlockingPool) is to be.
#[derive(Clone)]
pub struct Config {
    /// How many threads there are at most; 0 counts as 1.
    pub cap: usize,
    /// How long a thread with nothing to do stays.
    pub keep_alive: Duration,
    /// What the threads are called.
    pub thread_name: String,
    /// Is given the body of each thread and must call it: what it does before and after makes the thread
    /// part of its runtime.
    pub around: Arc<Around>,
    /// Makes the threads.
    pub spawn_thread: Arc<SpawnThread>,
    /// Where the panics of closures go that nobody awaits.
    pub hook: ErrorHook,
    /// Runs a task whose closure was cancelled before it had begun, so that this is dropped, elsewhere than on
    /// the thread that cancels it.
    pub dispose: Arc<dyn Fn(Task) + Send + Sync>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cap: DEFAULT_CAP,
            keep_alive: DEFAULT_KEEP_ALIVE,
            thread_name: "filch-blocking".to_owned(),
            around: Arc::new(|body| body()),
            spawn_thread: Arc::new(spawn_thread),
            hook: ErrorHook::default(),
            dispose: Arc::new(run_to_its_end),
        }
    }
}

#[cfg(not(any(filch_loom, filch_shuttle)))]
fn spawn_thread(name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

#[cfg(any(filch_loom, filch_shuttle))]
fn spawn_thread(_name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    Ok(filch_atomic::thread::spawn(body))
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cap", &self.cap)
            .field("keep_alive", &self.keep_alive)
            .field("thread_name", &self.thread_name)
            .finish_non_exhaustive()
    }
}
