//! What a program needs of an executor.

use filch_testkit::exec;
use std::future::Future;
use std::pin::Pin;

/// The end of a task.
pub(crate) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs futures. The programs know no more of it.
pub(crate) trait Executor: 'static {
    /// Runs a program to its end.
    fn run<F: Future<Output = ()> + Send + 'static>(program: F);

    /// A task beside the others.
    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
}

/// filch, with workers that steal from each other.
pub(crate) struct Filch;

impl Executor for Filch {
    fn run<F: Future<Output = ()> + Send + 'static>(program: F) {
        filch::Runtime::builder().workers(3).run(program).expect("a runtime");
    }

    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = filch::spawn(task);
        Box::pin(async { task.await.expect("the task comes to its end") })
    }
}

/// filch, with one worker.
pub(crate) struct FilchOneWorker;

impl Executor for FilchOneWorker {
    fn run<F: Future<Output = ()> + Send + 'static>(program: F) {
        filch::Runtime::builder().workers(1).run(program).expect("a runtime");
    }

    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Filch::spawn(task)
    }
}

/// tokio, with threads that steal from each other.
pub(crate) struct Tokio;

impl Executor for Tokio {
    fn run<F: Future<Output = ()> + Send + 'static>(program: F) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build();
        runtime.expect("a runtime").block_on(program);
    }

    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(task);
        Box::pin(async { task.await.expect("the task comes to its end") })
    }
}

/// tokio, with one thread.
pub(crate) struct TokioOneThread;

impl Executor for TokioOneThread {
    fn run<F: Future<Output = ()> + Send + 'static>(program: F) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(program);
    }

    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Tokio::spawn(task)
    }
}

/// smol, with the threads that it chooses.
pub(crate) struct Smol;

impl Executor for Smol {
    fn run<F: Future<Output = ()> + Send + 'static>(program: F) {
        smol::block_on(program);
    }

    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Box::pin(smol::spawn(task))
    }
}

/// One thread, a queue, and nothing else.
pub(crate) struct Bare;

impl Executor for Bare {
    fn run<F: Future<Output = ()> + Send + 'static>(program: F) {
        exec::run(program);
    }

    fn spawn<F>(task: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Box::pin(exec::spawn(task))
    }
}
