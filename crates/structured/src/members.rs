//! Tasks that are waited for together, at a cost for each that does not grow with their number.

use filch_atomic::current::{WaitKind, note_wait, poll_proceed, unconstrained};
use filch_atomic::sync::Mutex;
use filch_sched::task::{JoinError, JoinHandle, TaskId};
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A task that is over.
#[derive(Debug)]
pub(crate) struct Finished<T> {
    pub(crate) id: TaskId,
    /// Where it was spawned.
    pub(crate) location: &'static Location<'static>,
    pub(crate) result: Result<T, JoinError>,
}

/// Handles of tasks, each in a numbered place. A task that ends tells its place, so nobody asks the others.
///
/// One allocation for each task: what its handle wakes.
pub(crate) struct Members<T> {
    places: Vec<Option<JoinHandle<T>>>,
    /// Places that are free again.
    free: Vec<usize>,
    /// Places that have told, and were not looked at yet.
    told: VecDeque<usize>,
    bell: Arc<Bell>,
    location: &'static Location<'static>,
}

/// Where ends are told.
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    places: Vec<usize>,
    /// Whoever waits for the next.
    waker: Option<Waker>,
}

/// What the handle in one place wakes.
struct Ringer {
    place: usize,
    bell: Arc<Bell>,
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut rung = self.bell.0.lock();
            rung.places.push(self.place);
            rung.waker.take()
        };
        // Under no lock (D8).
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Members<T> {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            told: VecDeque::new(),
            bell: Arc::new(Bell(Mutex::default())),
            location: Location::caller(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.places.iter().flatten()
    }

    /// Takes a task in. Returns its place: the first ones are 0, 1, 2, ..
    pub(crate) fn insert(&mut self, mut handle: JoinHandle<T>) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let ringer = Waker::from(Arc::new(Ringer { place, bell: self.bell.clone() }));
        if handle.poll_finished(&mut Context::from_waker(&ringer)).is_ready() {
            self.told.push_back(place);
        }
        self.places[place] = Some(handle);
        place
    }

    /// The place of the next task that is over, to be [taken](Self::take) or [removed](Self::remove), in the order of
    /// their ends. `None` if there are none.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        loop {
            if self.len() == 0 {
                return Poll::Ready(None);
            }
            while let Some(&place) = self.told.front() {
                // Places are used again, or gone: this may be of one who is not there any more.
                let there = self.places.get(place).and_then(Option::as_ref);
                if !there.is_some_and(JoinHandle::is_finished) {
                    self.told.pop_front();
                    continue;
                }
                // It stays in line if this is not the time.
                std::task::ready!(poll_proceed(cx));
                self.told.pop_front();
                return Poll::Ready(Some(place));
            }
            if self.listen(cx).is_pending() {
                note_wait(WaitKind::Join, 0, self.location);
                return Poll::Pending;
            }
        }
    }

    /// Takes out all that are over now, told or not.
    pub(crate) fn sweep(&mut self, mut each: impl FnMut(Finished<T>)) {
        for place in 0..self.places.len() {
            if self.places[place].as_ref().is_some_and(JoinHandle::is_finished) {
                each(self.take(place));
            }
        }
    }

    /// Takes all out, whether they are over or not.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = JoinHandle<T>> + use<T> {
        self.free.clear();
        self.told.clear();
        mem::take(&mut self.places).into_iter().flatten()
    }

    /// Takes one out that is over.
    pub(crate) fn take(&mut self, place: usize) -> Finished<T> {
        let mut handle = self.remove(place);
        let (id, location) = (handle.id(), handle.spawn_location());
        Finished { id, location, result: output(&mut handle) }
    }

    /// Takes one out as it is.
    pub(crate) fn remove(&mut self, place: usize) -> JoinHandle<T> {
        let handle = self.places[place].take().expect("somebody is there");
        self.free.push(place);
        handle
    }

    /// Fetches what was told. `Pending` if that is nothing: then the waker is there for the next.
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut fresh = None;
        loop {
            let mut rung = self.bell.0.lock();
            if !rung.places.is_empty() {
                self.told.extend(rung.places.drain(..));
                return Poll::Ready(());
            }
            if rung.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if let Some(waker) = fresh.take() {
                let former = rung.waker.replace(waker);
                drop(rung);
                drop(former);
                return Poll::Pending;
            }
            drop(rung);
            // Foreign code: under no lock (D8).
            fresh = Some(cx.waker().clone());
        }
    }
}

/// The output of a task that is over.
pub(crate) fn output<T>(handle: &mut JoinHandle<T>) -> Result<T, JoinError> {
    let mut cx = Context::from_waker(Waker::noop());
    match unconstrained(|| Pin::new(handle).poll(&mut cx)) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("it is over, and the budget no matter"),
    }
}

impl<T> fmt::Debug for Members<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(JoinHandle::id)).finish()
    }
}
