//! Groups and gatherings that are carried out of the task in which they were first polled.

use crate::kit::{Log, builder};
use crate::support::PATIENCE;
use filch::time::{Duration, sleep};
use filch::{JoinHandle, Runtime, TaskGroup, cancellable, gather, group, is_cancelled, try_gather};
use filch_testkit::exec;
use filch_testkit::limits::watchdog;
use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

const MS: Duration = Duration::from_millis(1);

/// What was begun, on its way.
type Carried<F> = Pin<Box<F>>;

/// Polls it once, here.
async fn begun<F: Future>(future: F) -> (Carried<F>,) {
    let mut future = Box::pin(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    (future,)
}

/// Begins it in a task of that runtime, which ends with that.
fn begun_in<F: Future + Send + 'static>(runtime: &Runtime, future: F) -> Carried<F> {
    exec::block_on(runtime.handle().spawn(begun(future))).unwrap().0
}

/// Begins it in a task of a runtime that ends when it is polled elsewhere: on a thread, or in another runtime. What it comes
/// to there.
fn outlives<F>(make: impl Fn() -> F, check: impl Fn(Result<F::Output, Box<dyn Any + Send>>))
where
    F: Future<Output: Send> + Send + 'static,
{
    let _watchdog = watchdog(PATIENCE);
    for grace in [Duration::ZERO, 40 * MS] {
        for on_a_thread in [true, false] {
            let reports = Log::default();
            let runtime = builder(1, &reports).build().unwrap();
            let carried = begun_in(&runtime, make());
            let came_to = if on_a_thread {
                let waits = thread::spawn(move || exec::block_on(carried));
                runtime.shutdown_timeout(grace);
                waits.join()
            } else {
                let other = builder(1, &reports).build().unwrap();
                let waits = other.handle().spawn(carried);
                runtime.shutdown_timeout(grace);
                exec::block_on(waits).map_err(|error| error.into_panic())
            };
            check(came_to);
            // Nobody has asked them, and that is said.
            let said = reports.take();
            let left = said.iter().filter(|line| line.contains("did not stop")).count();
            assert_eq!(left, if grace.is_zero() { 0 } else { 2 }, "{said:?}");
        }
    }
}

async fn silent() -> Result<u32, String> {
    pending().await
}

/// RUN-12: a gathering whose children have ended with their runtime says so where it is polled then.
#[test]
fn run_12_a_gathering_that_outlives_its_runtime_panics() {
    fn panics<T>(came_to: Result<T, Box<dyn Any + Send>>) {
        let payload = came_to.err().expect("there are no outputs");
        let text = payload.downcast_ref::<&str>().unwrap();
        assert!(text.contains("its runtime has shut down"), "{text}");
    }
    outlives(|| gather((silent(), silent())), panics);
    outlives(|| gather([silent(), silent()]), panics);
    outlives(|| gather(vec![silent(), silent()]), panics);
    outlives(|| try_gather((silent(), silent())), panics);
    outlives(|| try_gather([silent(), silent()]), panics);
    outlives(|| try_gather(vec![silent(), silent()]).detach_rest(), panics);
}

/// RUN-12: results are there.
#[test]
fn run_12_a_gathering_that_outlives_its_runtime_has_results() {
    outlives(
        || gather((silent(), silent())).results(),
        |both| {
            let (one, other) = both.unwrap();
            assert!(one.unwrap_err().is_shutdown() && other.unwrap_err().is_shutdown());
        },
    );
    outlives(
        || gather(vec![silent(), silent()]).results(),
        |all| {
            for one in all.unwrap() {
                assert!(one.unwrap_err().is_shutdown());
            }
        },
    );
}

/// RUN-12: a group is ended, as by `cancel`.
#[test]
fn run_12_a_group_that_outlives_its_runtime_is_cancelled() {
    let make = || {
        group(async |g: TaskGroup| {
            drop(g.spawn(silent()));
            Ok(g.spawn(silent()).await)
        })
    };
    outlives(make, |came_to| assert!(came_to.unwrap().unwrap_err().is_cancelled()));
}

/// A child that takes its time to clean up.
async fn cleans_up(log: Log) {
    let clean_up = async || {
        log.until("go on").await;
        log.add("cleaned up");
    };
    let work = async {
        log.add("begun");
        pending::<()>().await;
    };
    cancellable(work).on_cancel(clean_up).await.unwrap_err();
}

/// Begins it in a task, and carries it to another one. Gives both when its two children have begun.
async fn in_two_tasks<F>(future: F, log: &Log) -> (JoinHandle<()>, JoinHandle<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    let (give, given) = mpsc::channel();
    let says = log.clone();
    let first = filch::spawn(async move {
        give.send(begun(future).await.0).unwrap();
        says.add("given");
        says.until("over").await;
        assert!(!is_cancelled());
    });
    log.until("given").await;
    let carried = given.recv().unwrap();
    let says = log.clone();
    let second = filch::spawn(async move {
        says.add("waits");
        let output = carried.await;
        assert!(!is_cancelled(), "nobody has cancelled this one");
        output
    });
    log.until("waits").await;
    while log.count("begun") < 2 {
        sleep(MS).await;
    }
    (first, second)
}

/// The task of its first poll is cancelled: it is asked, and ends when its children have. The other task goes on.
fn is_asked_with_the_first<F>(
    make: impl Fn(Log) -> F,
    check: impl Fn(Result<F::Output, Box<dyn Any + Send>>),
) where
    F: Future<Output: Send> + Send + 'static,
{
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let (first, second) = in_two_tasks(make(log.clone()), &log).await;
            first.cancel();
            sleep(2 * MS).await;
            assert!(!second.is_finished(), "it waits for the children");
            log.add("go on");
            check(second.await.map_err(|error| error.into_panic()));
            assert_eq!(log.count("cleaned up"), 2);
            assert!(first.await.unwrap_err().is_cancelled());
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// The task that polls it now is cancelled: it is dropped there, and its children end on their own.
fn is_dropped_with_the_second<F>(make: impl Fn(Log) -> F)
where
    F: Future<Output: Send> + Send + 'static,
{
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let (first, second) = in_two_tasks(make(log.clone()), &log).await;
            second.cancel();
            assert!(second.await.err().unwrap().is_cancelled());
            assert_eq!(log.count("cleaned up"), 0, "it was not held up");
            log.add("go on");
            while log.count("cleaned up") < 2 {
                sleep(MS).await;
            }
            log.add("over");
            first.await.unwrap();
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(reports.take(), [""; 0]);
    }
}

fn gathers(log: Log) -> impl Future<Output: Send> + Send + 'static {
    gather((cleans_up_for_ever(log.clone()), cleans_up_for_ever(log)))
}

/// The same, with nothing to give.
async fn cleans_up_for_ever(log: Log) {
    cleans_up(log).await;
    pending::<()>().await;
}

fn groups(log: Log) -> impl Future<Output = Result<(), filch::GroupError>> + Send + 'static {
    group(async move |g: TaskGroup| {
        g.spawn_ok(cleans_up(log.clone()));
        g.spawn_ok(cleans_up(log));
        pending::<()>().await;
        Ok(())
    })
}

/// CANCEL-15, GATHER-9, GROUP-17: it is in the scope of its first poll.
#[test]
fn cancel_15_what_is_carried_is_asked_with_the_task_of_its_first_poll() {
    is_asked_with_the_first(gathers, |came_to| {
        let payload = came_to.err().expect("there are no outputs");
        let text = payload.downcast_ref::<&str>().unwrap();
        assert!(text.contains("begun in a task that was cancelled"), "{text}");
    });
    let results = |log: Log| gather((cleans_up_for_ever(log.clone()), cleans_up(log))).results();
    is_asked_with_the_first(results, |came_to| {
        let (one, other) = came_to.unwrap();
        assert!(one.unwrap_err().is_cancelled() && other.is_ok());
    });
    // Outputs that are there all the same are given.
    let ends = |log: Log| gather((cleans_up(log.clone()), cleans_up(log)));
    is_asked_with_the_first(ends, |came_to| assert_eq!(came_to.unwrap(), ((), ())));
    is_asked_with_the_first(groups, |came_to| {
        assert!(came_to.unwrap().unwrap_err().is_cancelled());
    });
}

/// CANCEL-15, GATHER-7, GROUP-11: and not in that of the task that polls it.
#[test]
fn cancel_15_what_is_carried_is_dropped_with_the_task_that_polls_it() {
    is_dropped_with_the_second(gathers);
    is_dropped_with_the_second(groups);
}
