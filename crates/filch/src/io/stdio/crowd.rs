//! Those who poll.

use crate::half::Due;
use filch_atomic::sync::Mutex;
use std::mem;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// The wakers of those who poll a stream and were told to wait: any number, for it is the process's.
///
/// One that finds the stream taken is *turned away*: it leaves its waker, and tries once more. Whoever gives the stream
/// back looks for wakers after that. Both go through the lock of the list: if the look comes first, then the stream was
/// free before the other tried again; if the waker comes first, the look finds it (S2).
///
/// One that waits for an operation leaves its waker before it polls that, and polls it with the waker of this crowd. So
/// it does not matter who polls it last. Where a future takes an operation over, and with it that waker, the end of its
/// turn wakes everybody.
///
/// One that is ready takes its waker away. What is here waits for something, and goes when that comes, or a turn ends: also
/// the waker of one who has given up, of which nobody here is told.
///
/// A poll that only waits wakes none but those who were turned away, or two that wait would wake each other for ever.
///
/// Each poll looks through all of them, under the lock: that is for tens, not for thousands.
#[derive(Default)]
pub(super) struct Crowd(Mutex<Vec<Left>>);

struct Left {
    waker: Waker,
    turned_away: bool,
}

impl Crowd {
    /// Leaves a waker: false if it is there already.
    pub(super) fn leave(&self, waker: &Waker, turned_away: bool) -> bool {
        let mut all = self.0.lock();
        if let Some(left) = all.iter_mut().find(|left| left.waker.will_wake(waker)) {
            // Another handle of the same task may have been.
            left.turned_away |= turned_away;
            return false;
        }
        drop(all);
        // Without the lock (D8).
        let left = Left { waker: waker.clone(), turned_away };
        self.0.lock().push(left);
        true
    }

    /// Takes the waker of one who waits for nothing any more: a task that is over is not to be kept for as long as the
    /// process. It is woken if it may be there for somebody else in the same task, or was turned away since.
    pub(super) fn forget(&self, waker: &Waker, is_own: bool) {
        let mut all = self.0.lock();
        let place = all.iter().position(|left| left.waker.will_wake(waker));
        let left = place.map(|place| all.swap_remove(place));
        drop(all);
        drop(left.map(|left| Due((!is_own || left.turned_away).then_some(left.waker))));
    }

    pub(super) fn wake_all(&self) {
        let all = mem::take(&mut *self.0.lock());
        drop(all.into_iter().map(|left| Due(Some(left.waker))).collect::<Vec<_>>());
    }

    /// A poll: when it is over, or has panicked, those who were turned away meanwhile are woken.
    pub(super) fn turn(&self) -> Polls<'_> {
        Polls(self)
    }
}

/// All at once, whoever was the last to poll.
impl Wake for Crowd {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

pub(super) struct Polls<'a>(&'a Crowd);

impl Drop for Polls<'_> {
    fn drop(&mut self) {
        let due: Vec<_> = {
            let mut all = self.0.0.lock();
            all.extract_if(.., |left| left.turned_away).map(|left| Due(Some(left.waker))).collect()
        };
        drop(due);
    }
}

/// When this is dropped, a future's turn may have ended: whoever waits looks again.
pub(super) struct Over(pub(super) &'static Crowd);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::Common;
    use crate::half::Poller;
    use filch_testkit::Hooks;
    use std::io;
    use std::panic::{AssertUnwindSafe, Location, catch_unwind};
    use std::pin::pin;
    use std::sync::LazyLock;
    use std::task::{Context, Poll, Waker};

    impl Poller {
        fn poll_common(
            &self,
            common: &Common<()>,
            inner: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<()>>,
        ) -> Poll<io::Result<()>> {
            common.poll(&mut self.context(), |(), cx| inner(cx))
        }
    }

    fn never(_: &mut Context<'_>) -> Poll<io::Result<()>> {
        unreachable!("it is taken")
    }

    #[test]
    fn who_is_turned_away_is_woken_whatever_came_of_the_other_poll() {
        for outcome in [None, Some(Ok(())), Some(Err(()))] {
            let (common, one, other) = (Common::new(()), Poller::new(), Poller::new());
            let polled = one.poll_common(&common, |_| {
                // As from another thread, meanwhile.
                assert!(other.poll_common(&common, never).is_pending());
                match outcome {
                    None => Poll::Pending,
                    Some(end) => Poll::Ready(end.map_err(|()| io::ErrorKind::Other.into())),
                }
            });
            assert_eq!(polled.is_pending(), outcome.is_none());
            assert_eq!(other.woken(), 1, "{outcome:?}");
        }
    }

    #[test]
    fn who_is_turned_away_is_woken_though_the_other_poll_or_a_waker_panics() {
        let (common, one, other) = (Common::new(()), Poller::new(), Poller::new());
        let broken = Hooks::new().on_wake(|| panic!("not today, either")).waker();
        let panics = || {
            one.poll_common(&common, |_| {
                let turned_away =
                    common.poll(&mut Context::from_waker(&broken), |(), cx| never(cx));
                assert!(turned_away.is_pending());
                assert!(other.poll_common(&common, never).is_pending());
                panic!("not today")
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(other.woken(), 1);
    }

    #[test]
    fn an_operation_wakes_all_who_wait_and_they_do_not_wake_each_other() {
        let (common, one, other) = (Common::new(()), Poller::new(), Poller::new());
        let mut operation = Waker::noop().clone();
        for poller in [&one, &other, &one] {
            let polled = poller.poll_common(&common, |cx| {
                operation.clone_from(cx.waker());
                Poll::Pending
            });
            assert!(polled.is_pending());
        }
        assert_eq!((one.woken(), other.woken()), (0, 0), "nothing has happened");
        operation.wake_by_ref();
        assert_eq!((one.woken(), other.woken()), (1, 1), "whoever was the last to poll");
        operation.wake_by_ref();
        assert_eq!((one.woken(), other.woken()), (0, 0), "once");
        // Who is done is not woken any more, nor kept; unless somebody else in the same task waits.
        assert!(one.poll_common(&common, |_| Poll::Ready(Ok(()))).is_ready());
        operation.wake_by_ref();
        assert_eq!((one.woken(), one.copies()), (0, 2));
        assert!(one.poll_common(&common, |_| Poll::Pending).is_pending());
        assert!(one.poll_common(&common, |_| Poll::Ready(Ok(()))).is_ready());
        assert_eq!((one.woken(), one.copies()), (1, 2));
        // Done before the poll is over: the waker was left before.
        let polled = one.poll_common(&common, |cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(one.woken(), 1);
        // What they wait for may have gone with an error.
        assert!(one.poll_common(&common, |_| Poll::Pending).is_pending());
        let error = || io::ErrorKind::Other.into();
        assert!(other.poll_common(&common, |_| Poll::Ready(Err(error()))).is_ready());
        assert_eq!(one.woken(), 1);
    }

    #[test]
    fn the_end_of_a_futures_turn_wakes_who_polls() {
        static COMMON: LazyLock<Common<()>> = LazyLock::new(|| Common::new(()));
        let common = &*COMMON;
        let (one, other) = (Poller::new(), Poller::new());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(one.poll_common(common, |_| Poll::Pending).is_pending());
        let mut first = pin!(common.lock_at(Location::caller()));
        let Poll::Ready(taken) = first.as_mut().poll(&mut cx) else { panic!("nobody has it") };
        assert!(other.poll_common(common, never).is_pending());
        {
            let mut second = Box::pin(common.lock_at(Location::caller()));
            assert!(second.as_mut().poll(&mut cx).is_pending());
            drop(taken);
            assert_eq!((one.woken(), other.woken()), (1, 1));
            // Handed on, and not picked up yet.
            assert!(other.poll_common(common, never).is_pending());
            drop(second);
        }
        assert_eq!((one.woken(), other.woken()), (0, 1), "it was dropped with its turn");
        assert!(other.poll_common(common, |_| Poll::Ready(Ok(()))).is_ready());
    }
}
