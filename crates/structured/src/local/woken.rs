//! Which of the futures of one task are to be polled.

use filch_atomic::sync::Mutex;
use filch_sched::wake_flag::WakeFlag;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::{fmt, mem};

/// The members that were woken, in order, and whom to tell.
pub(super) struct Woken(Mutex<State>);

#[derive(Default)]
struct State {
    list: VecDeque<Arc<Member>>,
    /// Woken in the midst of their own polls: they have had their turn.
    yielded: VecDeque<Arc<Member>>,
    /// There are members whom the poller has not seen yet.
    has_new: bool,
    /// The task that polls them all, while it does not: whom to wake.
    task: Option<Waker>,
    /// The same, while it does. It will see for itself, but for those that yield.
    present: Option<Waker>,
    /// The member that is being polled.
    polled: Option<Arc<Member>>,
    /// The scope is over.
    is_closed: bool,
}

/// What is to be done next.
pub(super) enum Next {
    /// There are members that were not seen yet.
    New,
    /// This one is to be polled.
    Poll(Arc<Member>),
    /// Nothing, until the task is woken. It was already, if some of them yielded.
    Nothing { has_yielded: bool },
}

/// A waker of one of the futures.
pub(super) struct Member {
    /// Where its future is; `None` for the body.
    pub(super) place: Option<usize>,
    /// Raised while it is in a list, and for good when it is over.
    flag: WakeFlag,
    woken: Arc<Woken>,
}

impl Woken {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// A new member, which is to be polled.
    pub(super) fn member(self: &Arc<Self>, place: Option<usize>) -> Arc<Member> {
        let member = Arc::new(Member { place, flag: WakeFlag::new(), woken: self.clone() });
        self.add(member.clone());
        member
    }

    /// Has the poller look for members whom it has not seen.
    pub(super) fn tell_of_new(&self) {
        let task = {
            let mut state = self.0.lock();
            state.has_new = true;
            state.task.take()
        };
        wake(task);
    }

    /// The task begins to poll its members. From here on nobody need wake it.
    pub(super) fn begin(&self, task: &Waker) {
        // A waker is anybody's code: neither cloned nor dropped under the lock (D8).
        let mut present = Some(task.clone());
        let former = {
            let mut state = self.0.lock();
            mem::swap(&mut state.present, &mut present);
            // Those that yielded have had to wait for this, also if the last poll stopped in the midst.
            let State { list, yielded, .. } = &mut *state;
            list.append(yielded);
            state.task.take()
        };
        drop((former, present));
    }

    /// What the task is to do next. With nothing, it is woken when there is something.
    pub(super) fn next(&self) -> Next {
        let mut state = self.0.lock();
        state.polled = None;
        if mem::take(&mut state.has_new) {
            return Next::New;
        }
        if let Some(member) = state.list.pop_front() {
            state.polled = Some(member.clone());
            drop(state);
            member.flag.lower();
            return Next::Poll(member);
        }
        // Of those that yielded the task was told.
        let State { list, yielded, .. } = &mut *state;
        let has_yielded = !yielded.is_empty();
        list.append(yielded);
        state.task = state.present.take();
        Next::Nothing { has_yielded }
    }

    /// The task stops, though there may be something to do: `task` is woken at once.
    pub(super) fn pause(&self, task: &Waker) {
        self.0.lock().polled = None;
        task.wake_by_ref();
    }

    fn add(&self, member: Arc<Member>) {
        let task = {
            let mut state = self.0.lock();
            if state.is_closed {
                None
            } else if state.polled.as_ref().is_some_and(|polled| Arc::ptr_eq(polled, &member)) {
                state.yielded.push_back(member);
                // At once: boundaries in it look whether there is to be another poll.
                state.present.take()
            } else {
                state.list.push_back(member);
                state.task.take()
            }
        };
        wake(task);
    }

    /// Nobody is polled any more.
    pub(super) fn close(&self) {
        let state = {
            let mut state = self.0.lock();
            mem::replace(&mut *state, State { is_closed: true, ..State::default() })
        };
        drop(state);
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

impl Member {
    /// It is over: nobody wakes it any more.
    pub(super) fn is_over(&self) {
        let _was_down = self.flag.raise();
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        if self.flag.raise() {
            let woken = self.woken.clone();
            woken.add(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.flag.raise() {
            self.woken.add(self.clone());
        }
    }
}

impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Woken").field("woken", &self.0.lock().list.len()).finish_non_exhaustive()
    }
}
