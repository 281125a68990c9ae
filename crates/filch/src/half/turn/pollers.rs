//! Those who poll.

use super::Turn;
use filch_atomic::panics::{caught, drop_caught};
use filch_atomic::sync::Mutex;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::{mem, thread};

/// Which of those who poll it is: the last that read, or the last that wrote. One waker each is what the
/// poll-based traits promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Reads,
    Writes,
}

/// What came of a poll.
pub(crate) struct Polled<R> {
    pub(crate) poll: Poll<R>,
    /// What the other role waits for has ended, or is gone: it has to look again.
    pub(crate) disturbed: bool,
}

impl<R> From<Poll<R>> for Polled<R> {
    fn from(poll: Poll<R>) -> Self {
        Self { poll, disturbed: false }
    }
}

/// The wakers of those who poll and were told to wait.
///
/// A poller that finds the value taken is *turned away*: it leaves its waker, and tries once more. Whoever
/// gives the value back looks for wakers after that. Both go through the lock of the slot: if the look
/// comes first, then the value was free before the poller tried; if the waker comes first, the look finds
/// it (S2).
///
/// A poller that waits for an operation leaves its waker, too, before it gives the value back: a future
/// whose turn comes next may take the operation over, and with it the operation's only waker. When that
/// future is done, or dropped, all wakers that were left are woken, and whoever still waits for something
/// begins anew.
///
/// Where both roles wait for one operation, it is given a waker that wakes whoever has left one: the last that
/// polled may never come back, and the other has to hear of it all the same.
#[derive(Default)]
pub(super) struct Pollers {
    reads: Mutex<Slot>,
    writes: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    turned_away: bool,
}

impl Pollers {
    fn slot(&self, role: Role) -> &Mutex<Slot> {
        match role {
            Role::Reads => &self.reads,
            Role::Writes => &self.writes,
        }
    }

    /// Leaves a waker. If that takes the place of somebody else's who was turned away, gives that one, to
    /// be woken.
    fn leave(&self, role: Role, waker: &Waker, turned_away: bool) -> Option<Waker> {
        let mut slot = self.slot(role).lock();
        if slot.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            slot.turned_away = turned_away;
            return None;
        }
        // Cloned, and the old one dropped, without the lock (D8).
        drop(slot);
        let new = Slot { waker: Some(waker.clone()), turned_away };
        let old = mem::replace(&mut *self.slot(role).lock(), new);
        if old.turned_away { old.waker } else { None }
    }

    /// Takes the waker that was left.
    fn take(&self, role: Role) -> Option<Waker> {
        mem::take(&mut *self.slot(role).lock()).waker
    }

    /// Drops the waker of one who waits for nothing any more; not of one who was turned away since.
    fn forget(&self, role: Role) {
        let mut slot = self.slot(role).lock();
        let old = if slot.turned_away { None } else { slot.waker.take() };
        drop(slot);
        drop(old);
    }

    /// Takes the waker of one who was turned away.
    fn take_turned_away(&self, role: Role) -> Option<Waker> {
        let mut slot = self.slot(role).lock();
        if slot.turned_away { mem::take(&mut *slot).waker } else { None }
    }

    pub(super) fn wake_all(&self) {
        drop(BOTH.map(|role| Due(self.take(role))));
    }
}

const BOTH: [Role; 2] = [Role::Reads, Role::Writes];

/// A waker that is woken when this is dropped, whatever others before it have done: they are anybody's code, and
/// may panic.
pub(crate) struct Due(pub(crate) Option<Waker>);

impl Drop for Due {
    fn drop(&mut self) {
        let Some(waker) = self.0.take() else { return };
        if !thread::panicking() {
            waker.wake();
        } else if let Err(payload) = caught(|| waker.wake()) {
            // A second panic would end the process.
            drop_caught(payload);
        }
    }
}

impl Wake for Pollers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// When this is dropped, those who were turned away meanwhile are woken: a poll is over, or has panicked.
struct Over<'a>(&'a Pollers);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        drop(BOTH.map(|role| Due(self.0.take_turned_away(role))));
    }
}

impl<T> Turn<T> {
    /// Polls with the value, if nobody has it. `Pending` means that the role will be woken.
    pub(crate) fn poll<R>(
        &self,
        role: Role,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Polled<R>,
    ) -> Poll<R> {
        let taken = self.lock.try_lock().or_else(|| {
            drop(Due(self.pollers.leave(role, cx.waker(), true)));
            self.lock.try_lock()
        });
        let Some(value) = taken else { return Poll::Pending };
        // In this order, so that the value is given back first.
        let over = Over(&self.pollers);
        let mut value = value;
        let polled = poll(&mut value, cx);
        // Before the value is given back: whose turn is next looks for it afterwards.
        let replaced = match polled.poll {
            Poll::Pending => self.pollers.leave(role, cx.waker(), false),
            Poll::Ready(_) => {
                self.pollers.forget(role);
                None
            }
        };
        drop(value);
        let other = match role {
            Role::Reads => Role::Writes,
            Role::Writes => Role::Reads,
        };
        let is_news = polled.poll.is_ready() || polled.disturbed;
        let others = Due(if is_news { self.pollers.take(other) } else { None });
        drop((Due(replaced), others, over));
        polled.poll
    }

    /// As [`poll`](Self::poll), of a value of which both roles may wait for the same operation.
    pub(crate) fn poll_common<R>(
        &self,
        role: Role,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T, &mut Context<'_>) -> Polled<R>,
    ) -> Poll<R> {
        let all = Waker::from(self.pollers.clone());
        let mut replaced = Due(None);
        self.poll(role, cx, |value, cx| {
            // Before the operation may wake it.
            replaced.0 = self.pollers.leave(role, cx.waker(), false);
            poll(value, &mut Context::from_waker(&all))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Poller;
    use super::{Polled, Role, Turn};
    use filch_testkit::Hooks;
    use std::panic::{AssertUnwindSafe, Location, catch_unwind};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    impl Poller {
        fn poll(&self, turn: &Turn<()>, role: Role, inner: impl FnOnce() -> Poll<()>) -> Poll<()> {
            turn.poll(role, &mut self.context(), |(), _| inner().into())
        }
    }

    const NEVER: fn() -> Poll<()> = || unreachable!("it is taken");

    #[test]
    fn who_is_turned_away_is_woken_whatever_came_of_the_other_poll() {
        for (own, others) in [(Role::Reads, Role::Writes), (Role::Reads, Role::Reads)] {
            for end in [Poll::Pending, Poll::Ready(())] {
                let (turn, one, other) = (Turn::new(()), Poller::new(), Poller::new());
                let polled = one.poll(&turn, own, || {
                    // As from another thread, meanwhile.
                    assert!(other.poll(&turn, others, NEVER).is_pending());
                    end
                });
                assert_eq!(polled, end);
                assert_eq!((one.woken(), other.woken()), (0, 1), "{own:?} {others:?} {end:?}");
            }
        }
    }

    /// What is polled clones wakers, and wakes them, and they are anybody's code.
    #[test]
    fn who_is_turned_away_is_woken_though_the_other_poll_or_a_waker_panics() {
        let (turn, one, other) = (Turn::new(()), Poller::new(), Poller::new());
        let panics = || {
            one.poll(&turn, Role::Reads, || {
                assert!(other.poll(&turn, Role::Writes, NEVER).is_pending());
                panic!("not today")
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(other.woken(), 1);
        let broken = Hooks::new().on_wake(|| panic!("not today, either")).waker();
        let mut cx = Context::from_waker(&broken);
        let ends = || {
            one.poll(&turn, Role::Reads, || {
                let turned_away = turn.poll(Role::Reads, &mut cx, |(), _| NEVER().into());
                assert!(turned_away.is_pending());
                assert!(other.poll(&turn, Role::Writes, NEVER).is_pending());
                Poll::Pending
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(ends)).is_err());
        assert_eq!(other.woken(), 1);
    }

    #[test]
    fn a_poll_wakes_the_other_role_when_it_changed_something() {
        let (turn, reader, writer) = (Turn::new(()), Poller::new(), Poller::new());
        assert!(reader.poll(&turn, Role::Reads, || Poll::Pending).is_pending());
        assert!(writer.poll(&turn, Role::Writes, || Poll::Pending).is_pending());
        assert_eq!((reader.woken(), writer.woken()), (0, 0), "nothing has happened");
        let mut cx = writer.context();
        let disturbing = |(): &mut (), _: &mut Context<'_>| Polled::<()> {
            poll: Poll::Pending,
            disturbed: true,
        };
        assert!(turn.poll(Role::Writes, &mut cx, disturbing).is_pending());
        assert_eq!((reader.woken(), writer.woken()), (1, 0));
        assert!(reader.poll(&turn, Role::Reads, || Poll::Pending).is_pending());
        assert!(writer.poll(&turn, Role::Writes, || Poll::Ready(())).is_ready());
        assert_eq!((reader.woken(), writer.woken()), (1, 0));
        // Who is done is not woken any more.
        assert!(reader.poll(&turn, Role::Reads, || Poll::Ready(())).is_ready());
        turn.pollers.wake_all();
        assert_eq!((reader.woken(), writer.woken()), (0, 0));
    }

    #[test]
    fn what_both_roles_wait_for_wakes_both() {
        let (turn, reader, writer) = (Turn::new(()), Poller::new(), Poller::new());
        let mut operation = Waker::noop().clone();
        for (poller, role) in
            [(&writer, Role::Writes), (&reader, Role::Reads), (&writer, Role::Writes)]
        {
            let polled = turn.poll_common(role, &mut poller.context(), |(), cx| {
                operation.clone_from(cx.waker());
                Polled::<()>::from(Poll::Pending)
            });
            assert!(polled.is_pending());
        }
        operation.wake_by_ref();
        assert_eq!((reader.woken(), writer.woken()), (1, 1), "whoever was the last to poll");
        // Done before the poll is over: the waker was left before.
        let mut cx = reader.context();
        let polled = turn.poll_common(Role::Reads, &mut cx, |(), cx| {
            cx.waker().wake_by_ref();
            Polled::<()>::from(Poll::Pending)
        });
        assert!(polled.is_pending());
        assert_eq!((reader.woken(), writer.woken()), (1, 0));
    }

    #[test]
    fn the_end_of_a_futures_turn_wakes_who_polls() {
        let (turn, reader, writer) = (Turn::new(()), Poller::new(), Poller::new());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(reader.poll(&turn, Role::Reads, || Poll::Pending).is_pending());
        let mut first = pin!(turn.lock_at(Location::caller()));
        let Poll::Ready(taken) = first.as_mut().poll(&mut cx) else { panic!("nobody has it") };
        assert!(writer.poll(&turn, Role::Writes, NEVER).is_pending());
        {
            let mut second = Box::pin(turn.lock_at(Location::caller()));
            assert!(second.as_mut().poll(&mut cx).is_pending());
            drop(taken);
            assert_eq!((reader.woken(), writer.woken()), (1, 1));
            // Handed on, and not picked up yet.
            assert!(writer.poll(&turn, Role::Writes, NEVER).is_pending());
            drop(second);
        }
        assert_eq!((reader.woken(), writer.woken()), (0, 1), "it was dropped with its turn");
        assert!(writer.poll(&turn, Role::Writes, || Poll::Ready(())).is_ready());
    }
}
