//! What the tests of whole schedulers share. Each test binary uses its own part of it.
#![allow(dead_code, unreachable_pub)]

use filch_sched::task::{JoinHandle, Meta};
use filch_sched::{Config, Scheduler, ThreadPark, run};
use std::future::Future;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub fn config(workers: usize) -> Config {
    Config { workers, ..Config::default() }
}

pub fn start(workers: usize) -> Scheduler {
    Scheduler::start(config(workers), |_| Ok(ThreadPark::new())).unwrap()
}

pub fn run_on<F: Future>(workers: usize, main: F) -> F::Output {
    run(config(workers), |_| Ok(ThreadPark::new()), main).unwrap()
}

pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    filch_sched::spawn(future, Meta::here())
}

/// Runs `check` on a thread and ends the process if it does not come back.
pub fn within_reason<R: Send + 'static>(check: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, wait) = mpsc::channel();
    let checking = thread::spawn(move || {
        let outcome = check();
        let _ = done.send(());
        outcome
    });
    if wait.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("a test hangs");
        std::process::abort();
    }
    checking.join().unwrap()
}
