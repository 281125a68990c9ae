//! The scopes that block.

use super::current::{current, within};
use super::jobs::{AbortOnUnwind, Crew, Helper, Job, Work};
use filch_atomic::panics::{caught, drop_caught};
use filch_sched::scope::Witness;
use filch_sched::task::{Meta, yield_now};
use filch_sched::{Handle, deliberately};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;

/// Runs `body`, which may begin jobs that borrow from outside of it, on this worker and whichever others are free,
/// and returns when all of them are over.
///
/// For work that keeps a processor busy, and that nobody awaits: it blocks this poll, or thread. While it waits it
/// runs jobs of its own, and nothing else; tasks that are queued behind it, timers and completions of this worker
/// are seen to by the others, as for any poll that is long (S5). That it is meant to be long, nobody reports.
///
/// ```
/// # use filch_sched::{Config, ThreadPark, run};
/// # use filch_structured::cpu;
/// # run(Config::default(), |_worker| Ok(ThreadPark::new()), async {
/// let text = String::from("to be or not to be");
/// let (mut words, mut letters) = (0, 0);
/// cpu::scope(|s| {
///     s.spawn(|| words = text.split(' ').count());
///     letters = text.chars().filter(|c| c.is_alphabetic()).count();
/// });
/// assert_eq!((words, letters), (6, 13));
/// # }).unwrap();
/// ```
///
/// What a job borrows has to be older than the scope:
///
/// ```compile_fail,E0373
/// # use filch_structured::cpu;
/// cpu::scope(|s| {
///     let made_in_the_body = vec![1, 2, 3];
///     s.spawn(|| drop(made_in_the_body.len()));
/// });
/// ```
///
/// and may go to another thread:
///
/// ```compile_fail,E0277
/// # use filch_structured::cpu;
/// let here_only = std::rc::Rc::new(1);
/// cpu::scope(|s| s.spawn(|| drop(here_only.clone())));
/// ```
///
/// Jobs are begun in no particular order. With one worker, and outside a runtime, all run here. They may make scopes
/// of their own. [`is_cancelled`](filch_sched::scope::is_cancelled) is in a job what it is for the one who waits;
/// apart from that a job is not part of a task.
///
/// # Panics
///
/// With the panic of `body`, or else the first of a job, when all are over.
///
/// # Deadlocks
///
/// A job that waits for another one, or for a task, may wait for ever: there may be nobody to run that. So may one
/// that wants a lock that whoever waits for it has.
#[track_caller]
#[doc(alias = "rayon")]
#[doc(alias = "block_in_place")]
pub fn scope<'env, F, R>(body: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    match current() {
        Some(outer) => run(Work::new(outer.crew().clone(), Some(outer)), body),
        None => {
            let crew = crew(Location::caller());
            deliberately(|| run(Work::new(crew, None), body))
        }
    }
}

/// Those who work for an outermost scope that is made here.
fn crew(location: &'static Location<'static>) -> Arc<Crew> {
    let Some(handle) = Handle::try_current() else { return Crew::new(0, drop) };
    let witness = Arc::new(Witness::here());
    // Not this thread, if it is one of its workers.
    let most_helpers = handle.workers() - usize::from(handle.has_this_worker());
    Crew::new(most_helpers, move |helper| {
        let meta = Meta { location, ..Meta::here() };
        drop(handle.spawn_for_others(help(helper, witness.clone()), meta));
    })
}

/// A helper's task: a job at a time, with a turn for others in between (S6).
async fn help(mut helper: Helper, witness: Arc<Witness>) {
    while let Some(job) = helper.take() {
        deliberately(|| witness.enter(|| job.run()));
        yield_now().await;
    }
}

/// Rule J of the essay: neither returns nor unwinds before all jobs of `work` are over.
fn run<'env, F, R>(work: Arc<Work>, body: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let scope = Scope { work, scope: PhantomData, env: PhantomData };
    let work = &scope.work;
    let output = caught(|| within(work, || body(&scope)));
    let abort = AbortOnUnwind;
    work.wait();
    mem::forget(abort);
    // All are over: from here on this is code like any other.
    match (output, work.take_panic()) {
        (Ok(output), None) => output,
        (Ok(_), Some(payload)) => resume_unwind(payload),
        (Err(payload), of_a_job) => {
            // Not in the unwind: a destructor that panics there ends the process.
            drop_caught(of_a_job);
            resume_unwind(payload)
        }
    }
}

/// Runs both closures, the second one perhaps on another worker meanwhile, and returns what they do.
///
/// A [`scope`] with one job.
///
/// ```
/// # use filch_structured::cpu;
/// fn sum(of: &[u64]) -> u64 {
///     if of.len() < 1000 {
///         return of.iter().sum();
///     }
///     let (left, right) = of.split_at(of.len() / 2);
///     let (left, right) = cpu::join(|| sum(left), || sum(right));
///     left + right
/// }
/// assert_eq!(sum(&[1; 10_000]), 10_000);
/// ```
///
/// # Panics
///
/// With the panic of the first, or else of the second, when both are over.
///
/// # Deadlocks
///
/// As in a [`scope`].
#[track_caller]
pub fn join<A, B, RA, RB>(first: A, second: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB + Send,
    RB: Send,
{
    let mut of_second = None;
    let of_first = scope(|s| {
        s.spawn(|| of_second = Some(second()));
        first()
    });
    (of_first, of_second.expect("the scope returned, so it ran and did not panic"))
}

/// Calls `each` with every piece of so many items (the last may be shorter), on all workers that are free.
///
/// ```
/// # use filch_structured::cpu;
/// let mut numbers = vec![1; 10_000];
/// cpu::for_each_chunk(&mut numbers, 1000, |piece| piece.iter_mut().for_each(|number| *number += 1));
/// assert_eq!(numbers, [2; 10_000]);
/// ```
///
/// # Panics
///
/// If `size` is 0, and as [`scope`].
///
/// # Deadlocks
///
/// As in a [`scope`].
#[track_caller]
#[doc(alias = "par_chunks_mut")]
pub fn for_each_chunk<T: Send>(items: &mut [T], size: usize, each: impl Fn(&mut [T]) + Sync) {
    let each = &each;
    scope(|s| {
        for piece in items.chunks_mut(size) {
            s.spawn(move || each(piece));
        }
    });
}

/// Begins jobs of a [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    work: Arc<Work>,
    // Invariant, both: neither may be taken for a longer one, nor for a shorter.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Adds a job. It is begun when a worker is free, or when the body is over. Jobs may add others.
    pub fn spawn<F>(&'scope self, job: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        let job: Box<dyn FnOnce() + Send + 'scope> = Box::new(job);
        // SAFETY: the two types differ in the lifetime only. A job that borrows is called or dropped before that
        // ends: `run`, whose frame `'scope` outlasts, neither returns nor unwinds before the job is over (rule J
        // of the essay).
        let job = unsafe { mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Job>(job) };
        self.work.push(job);
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("cpu::Scope").field("work", &self.work).finish_non_exhaustive()
    }
}
