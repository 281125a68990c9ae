//! What the tests of the primitives share.

use filch_atomic::current::{self, BUDGET, WaitRecord};
use filch_testkit::{DropAtEveryPoll, exec, limits};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How often it was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// How many wakers of it there are.
    pub(crate) fn wakers(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 1
    }
}

/// One poll, on behalf of `count`.
pub(crate) fn poll<F: Future>(future: &mut Pin<Box<F>>, count: &Arc<Count>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(&Waker::from(count.clone())))
}

/// The output of a poll that is to be the last.
#[track_caller]
pub(crate) fn ready<F: Future>(future: &mut Pin<Box<F>>) -> F::Output {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it has to wait"),
    }
}

/// `mem::forget` for a future, in memory that stays reachable: a leak checker need not hear of it.
pub(crate) fn forget<F>(future: Pin<Box<F>>) {
    static FORGOTTEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    // SAFETY: it is not moved: its memory is never used for anything else.
    let future = Box::into_raw(unsafe { Pin::into_inner_unchecked(future) });
    FORGOTTEN.lock().unwrap().push(future.expose_provenance());
}

/// A waker that panics when it is woken.
pub(crate) fn broken() -> Waker {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("this waker panics");
        }
    }
    Waker::from(Arc::new(Broken))
}

/// Runs `turn` as a task that has used up its budget.
pub(crate) fn without_budget<R>(turn: impl FnOnce() -> R) -> R {
    let record = WaitRecord::new();
    let used_up = || {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..BUDGET {
            assert!(current::poll_proceed(&mut cx).is_ready());
        }
        turn()
    };
    // SAFETY: null.
    unsafe { current::enter(std::ptr::null(), &record, used_up) }
}

/// What a wait of `future` is on record as: the line in the source.
pub(crate) fn recorded_line<F: Future>(future: &mut Pin<Box<F>>) -> u32 {
    let record = WaitRecord::new();
    let turn = || future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    // SAFETY: null.
    assert!(unsafe { current::enter(std::ptr::null(), &record, turn) });
    let (_, _, location) = record.get().expect("it waits");
    location.line()
}

/// Drops `tested` at each of its polls, while it waits for what `hold` holds and `behind` waits for the same:
/// wherever it is dropped, and also if it is not, the one behind gets what it waits for. Polls it on this
/// thread and on others.
pub(crate) fn drop_at_every_poll<G, F, B>(
    hold: impl Fn() -> G,
    tested: impl Fn() -> F,
    behind: impl Fn() -> B,
) where
    F: Future<Output: Send> + Send + 'static,
    B: Future,
{
    let _watchdog = limits::watchdog(60);
    let elsewhere = DropAtEveryPoll::polled_by(|job| std::thread::spawn(job).join().unwrap());
    for harness in [DropAtEveryPoll::new(), elsewhere] {
        let summary = exec::block_on(harness.run(async |cut| {
            let count = Count::new();
            let mut held = Some(hold());
            let mut next = None;
            let mut running = pin!(cut.run(tested()));
            poll_fn(|cx| {
                let polled = running.as_mut().poll(cx);
                next.get_or_insert_with(|| {
                    let mut next = Box::pin(behind());
                    assert!(poll(&mut next, &count).is_pending(), "it has to wait");
                    next
                });
                held = None;
                polled.map(drop)
            })
            .await;
            let mut next = next.expect("it was polled at least once");
            assert_eq!(count.wakes(), 1);
            drop(ready(&mut next));
            assert_eq!(count.wakers(), 0, "no waker stayed behind");
        }));
        assert!(summary.dropped >= 3, "never polled, waiting, and granted: {summary:?}");
    }
}
