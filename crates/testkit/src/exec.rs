//! An executor that is none of ours.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        // Release: pairs with the Acquire in `block_on`.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs a future on this thread, which belongs to no runtime and enters none.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(unpark.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        // Acquire: pairs with the Release in `wake`.
        while !unpark.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// Wakes its task and is pending once: everybody else who is ready gets a turn.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Both futures in one task, `first` polled first, until both are done.
pub async fn join<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut of_first, mut of_second) = (None, None);
    poll_fn(|cx| {
        if of_first.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(cx)
        {
            of_first = Some(output);
        }
        if of_second.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(cx)
        {
            of_second = Some(output);
        }
        match (of_first.take(), of_second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (first, second) => {
                (of_first, of_second) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// Runs `main` and all tasks that it [`spawn`]s on this thread, one at a time and in the order in which they
/// were woken, until `main` is done. What is left of the others is dropped.
///
/// # Panics
///
/// With the first panic of `main` or of a task.
pub fn run<F>(main: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let ready = Arc::new(Ready::default());
    let outside = READY.replace(Some(ready.clone()));
    let _leave = Leave(outside);
    let mut main = spawn(main);
    loop {
        if let Some(output) = main.take() {
            return output;
        }
        let task = ready.next();
        let waker = Waker::from(task.clone());
        // Relaxed: whoever wakes it from here on goes through the queue's lock.
        task.queued.store(false, Ordering::Relaxed);
        let mut future = unpoisoned(&task.future);
        if let Some(running) = &mut *future
            && running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            *future = None;
        }
    }
}

/// Makes `future` a task of the [`run`] that this thread is in. Dropping the handle lets the task go on.
///
/// # Panics
///
/// If this thread is in none.
pub fn spawn<F>(future: F) -> Spawned<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let ready = READY.with_borrow(|ready| ready.clone()).expect("on a thread that is in `run`");
    let outcome = Arc::new(Mutex::new(Outcome { output: None, waker: None }));
    let tell = outcome.clone();
    let future = async move {
        let output = future.await;
        let mut outcome = unpoisoned(&tell);
        outcome.output = Some(output);
        let waker = outcome.waker.take();
        drop(outcome);
        waker.into_iter().for_each(Waker::wake);
    };
    let future = Mutex::new(Some(Box::pin(future) as Pin<Box<_>>));
    Arc::new(Task { future, queued: AtomicBool::new(false), ready }).wake();
    Spawned { outcome }
}

thread_local! {
    /// What the `run` of this thread has to do.
    static READY: RefCell<Option<Arc<Ready>>> = const { RefCell::new(None) };
}

/// Leaves a `run`.
struct Leave(Option<Arc<Ready>>);

impl Drop for Leave {
    fn drop(&mut self) {
        READY.set(self.0.take());
    }
}

/// The tasks that can run.
#[derive(Default)]
struct Ready {
    tasks: Mutex<VecDeque<Arc<Task>>>,
    more: Condvar,
}

impl Ready {
    fn next(&self) -> Arc<Task> {
        let mut tasks = unpoisoned(&self.tasks);
        loop {
            if let Some(task) = tasks.pop_front() {
                return task;
            }
            tasks = self.more.wait(tasks).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

struct Task {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let ready = self.ready.clone();
        let mut tasks = unpoisoned(&ready.tasks);
        // Relaxed: under the queue's lock.
        if !self.queued.swap(true, Ordering::Relaxed) {
            tasks.push_back(self);
            ready.more.notify_one();
        }
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Outcome<T> {
    output: Option<T>,
    waker: Option<Waker>,
}

/// A task of [`run`]; awaiting it gives its output.
pub struct Spawned<T> {
    outcome: Arc<Mutex<Outcome<T>>>,
}

impl<T> Spawned<T> {
    fn take(&mut self) -> Option<T> {
        unpoisoned(&self.outcome).output.take()
    }
}

impl<T> Future for Spawned<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut outcome = unpoisoned(&self.outcome);
        match outcome.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                outcome.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for Spawned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_take_turns_and_a_wake_from_another_thread_comes_through() {
        let order = run(async {
            let order = Arc::new(Mutex::new(Vec::new()));
            let tasks = [1, 2].map(|number| {
                let order = order.clone();
                spawn(async move {
                    for turn in 0..2 {
                        order.lock().unwrap().push((turn, number));
                        yield_now().await;
                    }
                })
            });
            for task in tasks {
                task.await;
            }
            let mut waited = false;
            poll_fn(|cx| {
                let waker = cx.waker().clone();
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await;
            order.lock().unwrap().clone()
        });
        assert_eq!(order, [(0, 1), (0, 2), (1, 1), (1, 2)]);
    }

    #[test]
    #[should_panic(expected = "of a task")]
    fn the_panic_of_a_task_ends_the_run() {
        run(async { spawn(async { panic!("of a task") }).await });
    }
}
