//! Tasks that are waited for together, at a cost for each that does not grow with their number.

use filch_atomic::current::{WaitKind, note_wait, poll_proceed};
use filch_atomic::sync::Mutex;
use filch_sched::task::{JoinError, JoinHandle, TaskId};
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::panic::Location;
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
///
/// A task is over a moment before its place is told. Who has to know of all that are over asks those whose end has
/// [begun](Ending), and those that nobody says that of, one by one.
pub(crate) struct Members<T> {
    places: Vec<Option<Member<T>>>,
    /// Places that are free again.
    free: Vec<usize>,
    /// Places that have told, and were not looked at yet.
    told: VecDeque<usize>,
    /// Places of tasks that came as they are, with no [`Ending`].
    unannounced: Vec<usize>,
    bell: Arc<Bell>,
    /// How many there have been.
    count: u64,
    location: &'static Location<'static>,
    #[cfg(test)]
    looks: usize,
}

struct Member<T> {
    handle: JoinHandle<T>,
    number: u64,
    /// Where it is among the unannounced, if it is.
    unannounced: Option<usize>,
}

/// Where ends are told.
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    places: Vec<usize>,
    /// Those whose end has begun, and was not told yet.
    ending: Vec<Name>,
    /// Whoever waits for the next.
    waker: Option<Waker>,
}

/// A task, wherever it is now: places are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    place: usize,
    number: u64,
}

/// What the handle in one place wakes.
struct Ringer {
    name: Name,
    bell: Arc<Bell>,
}

/// In a task's future, behind what it does: dropped before the task is over.
pub(crate) struct Ending(Ringer);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.bell.0.lock().ending.push(self.0.name);
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut rung = self.bell.0.lock();
            rung.places.push(self.name.place);
            rung.forget(self.name);
            rung.waker.take()
        };
        // Under no lock (D8).
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Rung {
    /// It was told, or will not be.
    fn forget(&mut self, name: Name) {
        // As many as there are threads that end one just now.
        if let Some(at) = self.ending.iter().position(|ending| *ending == name) {
            self.ending.swap_remove(at);
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
            unannounced: Vec::new(),
            bell: Arc::new(Bell(Mutex::default())),
            count: 0,
            location: Location::caller(),
            #[cfg(test)]
            looks: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Where they were first put together.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &JoinHandle<T>> {
        self.places.iter().flatten().map(|member| &member.handle)
    }

    /// Takes a task in. Returns its place: the first ones are 0, 1, 2, ..
    pub(crate) fn insert(&mut self, handle: JoinHandle<T>) -> usize {
        let name = self.next();
        self.put(name, handle, Some(self.unannounced.len()));
        self.unannounced.push(name.place);
        name.place
    }

    /// The same of one that is spawned with what it is given in its future.
    pub(crate) fn insert_announced(&mut self, spawn: impl FnOnce(Ending) -> JoinHandle<T>) {
        let name = self.next();
        let handle = spawn(Ending(Ringer { name, bell: self.bell.clone() }));
        self.put(name, handle, None);
    }

    /// For the next that is [put](Self::put), or comes to nothing: it is nobody else's.
    fn next(&mut self) -> Name {
        let place = self.free.last().copied().unwrap_or(self.places.len());
        let number = self.count;
        self.count += 1;
        Name { place, number }
    }

    fn put(&mut self, name: Name, mut handle: JoinHandle<T>, unannounced: Option<usize>) {
        if self.free.pop().is_none() {
            self.places.push(None);
        }
        let ringer = Waker::from(Arc::new(Ringer { name, bell: self.bell.clone() }));
        if handle.poll_finished(&mut Context::from_waker(&ringer)).is_ready() {
            self.told.push_back(name.place);
            self.bell.0.lock().forget(name);
        }
        self.places[name.place] = Some(Member { handle, number: name.number, unannounced });
    }

    /// The place of the next task that is over, to be [taken](Self::take) or [removed](Self::remove), in the order of
    /// their ends. `None` if there are none.
    ///
    /// For what holds up the code around it until all have ended: it has to hear of each end. Mostly it gives no error by
    /// which that code would go on; where it does (`results` of a gather: of a child that was ended with the runtime, as
    /// that code is about to be), it goes on to its next wait, and is cut there.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.poll_next_unless(cx, |_| false)
    }

    /// The same for who does give such errors: not of a task that is [withheld](JoinHandle::is_withheld).
    pub(crate) fn poll_next_to_give(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.poll_next_unless(cx, JoinHandle::is_withheld)
    }

    fn poll_next_unless(
        &mut self,
        cx: &mut Context<'_>,
        is_withheld: impl Fn(&JoinHandle<T>) -> bool,
    ) -> Poll<Option<usize>> {
        loop {
            if self.len() == 0 {
                return Poll::Ready(None);
            }
            while let Some(&place) = self.told.front() {
                // Places are used again, or gone: this may be of one who is not there any more.
                let there = self.places.get(place).and_then(Option::as_ref);
                if !there.is_some_and(|member| member.handle.is_finished()) {
                    self.told.pop_front();
                    continue;
                }
                if there.is_some_and(|member| is_withheld(&member.handle)) {
                    note_wait(WaitKind::Join, 0, self.location);
                    return Poll::Pending;
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

    /// Takes out all that are over now, told or not: first those that were, in the order of their ends.
    pub(crate) fn sweep(&mut self, each: impl FnMut(Finished<T>)) {
        self.sweep_unless(|_| false, each);
    }

    /// The same for who has waited, and so is not to go on with the error of one that is
    /// [withheld](JoinHandle::is_withheld): those stay.
    pub(crate) fn sweep_to_give(&mut self, each: impl FnMut(Finished<T>)) {
        self.sweep_unless(JoinHandle::is_withheld, each);
    }

    fn sweep_unless(
        &mut self,
        is_withheld: impl Fn(&JoinHandle<T>) -> bool,
        mut each: impl FnMut(Finished<T>),
    ) {
        let mut ending = Vec::new();
        {
            let mut rung = self.bell.0.lock();
            self.told.extend(rung.places.drain(..));
            rung.ending.retain(|name| {
                #[cfg(test)]
                (self.looks += 1);
                match self.places.get(name.place) {
                    Some(Some(member)) if member.number == name.number => {
                        let is_over = member.handle.is_finished();
                        ending.extend(is_over.then_some(name.place));
                        !is_over
                    }
                    _ => false,
                }
            });
        }
        for place in mem::take(&mut self.told).into_iter().chain(ending) {
            let there = self.if_over(place);
            if there.is_some_and(&is_withheld) {
                self.told.push_back(place);
            } else if there.is_some() {
                each(self.take(place));
            }
        }
        let mut at = 0;
        while let Some(&place) = self.unannounced.get(at) {
            if self.if_over(place).is_some_and(|handle| !is_withheld(handle)) {
                // Another one is in its place among these now.
                each(self.take(place));
            } else {
                at += 1;
            }
        }
    }

    /// Whoever is in this place, if he is over.
    fn if_over(&mut self, place: usize) -> Option<&JoinHandle<T>> {
        #[cfg(test)]
        (self.looks += 1);
        let there = self.places.get(place).and_then(Option::as_ref)?;
        there.handle.is_finished().then_some(&there.handle)
    }

    /// Takes all out, whether they are over or not.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = JoinHandle<T>> + use<T> {
        self.free.clear();
        self.told.clear();
        self.unannounced.clear();
        // Those who are told of no more ring the old one.
        self.bell = Arc::new(Bell(Mutex::default()));
        mem::take(&mut self.places).into_iter().flatten().map(|member| member.handle)
    }

    /// Takes one out that is over.
    pub(crate) fn take(&mut self, place: usize) -> Finished<T> {
        let mut handle = self.remove(place);
        let (id, location) = (handle.id(), handle.spawn_location());
        Finished { id, location, result: output(&mut handle) }
    }

    /// Takes one out as it is.
    pub(crate) fn remove(&mut self, place: usize) -> JoinHandle<T> {
        let member = self.places[place].take().expect("somebody is there");
        self.free.push(place);
        if let Some(at) = member.unannounced {
            self.unannounced.swap_remove(at);
            if let Some(&moved) = self.unannounced.get(at) {
                let moved = self.places[moved].as_mut().expect("they are taken out together");
                moved.unannounced = Some(at);
            }
        }
        member.handle
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
    handle.take_if_finished().expect("it is over")
}

impl<T> fmt::Debug for Members<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(JoinHandle::id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filch_sched::task::{Meta, yield_now};
    use filch_sched::{Config, ThreadPark};
    use std::future::pending;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn announced(members: &mut Members<()>, future: impl Future<Output = ()> + Send + 'static) {
        members.insert_announced(|ending| {
            let work = async move {
                let _ending = ending;
                future.await;
            };
            filch_sched::spawn(work, Meta::here())
        });
    }

    /// SET-1. Who asks again and again asks nobody who has not ended.
    #[test]
    fn looking_for_those_that_are_over_costs_what_they_are() {
        let main = async {
            let mut members = Members::new();
            for _ in 0..1_000 {
                announced(&mut members, pending());
            }
            for _ in 0..100 {
                members.sweep(|_| panic!("nobody is over"));
            }
            assert_eq!(members.looks, 0);
            for _ in 0..10 {
                announced(&mut members, async {});
            }
            while members.iter().filter(|handle| handle.is_finished()).count() < 10 {
                yield_now().await;
            }
            let mut over = 0;
            members.sweep(|_| over += 1);
            assert_eq!((over, members.len()), (10, 1_000));
            assert!(members.looks <= 20, "{}", members.looks);
            // Those that came as they are, are asked.
            members.looks = 0;
            let tasks: Vec<_> =
                (0..5).map(|_| filch_sched::spawn(pending(), Meta::here())).collect();
            for task in tasks {
                members.insert(task);
            }
            members.sweep(|_| panic!("nobody is over"));
            assert_eq!(members.looks, 5);
            // Those in between go, and the others are found.
            for handle in members.iter().skip(1_000).step_by(2) {
                handle.abort();
            }
            let mut gone = 0;
            while gone < 3 {
                yield_now().await;
                members.sweep(|_| gone += 1);
            }
            members.looks = 0;
            members.sweep(|_| panic!("nobody is over"));
            assert!(members.looks <= 2 + 3, "{}", members.looks);
        };
        let config = Config { workers: 1, ..Config::default() };
        filch_sched::run(config, |_| Ok(ThreadPark::new()), main).unwrap();
    }

    /// The name of one that could not be spawned is not that of the next.
    #[test]
    fn a_spawn_that_panics_leaves_nothing() {
        let main = async {
            let mut members: Members<()> = Members::new();
            for _ in 0..3 {
                let spawn = AssertUnwindSafe(|| members.insert_announced(|_ending| panic!("no")));
                assert!(catch_unwind(spawn).is_err());
            }
            announced(&mut members, pending());
            members.sweep(|_| panic!("nobody is over"));
            assert!(members.bell.0.lock().ending.is_empty());
            members.looks = 0;
            members.sweep(|_| panic!("nobody is over"));
            assert_eq!(members.looks, 0);
            members.drain().for_each(|handle| handle.abort());
        };
        let config = Config { workers: 1, ..Config::default() };
        filch_sched::run(config, |_| Ok(ThreadPark::new()), main).unwrap();
    }

    /// SET-4. One that is over and has not rung yet is found; one whose end has only begun is not.
    #[test]
    fn who_is_over_and_was_not_told_is_found() {
        let main = async {
            let mut members: Members<()> = Members::new();
            let mut kept = None;
            members.insert_announced(|ending| {
                kept = Some(ending);
                filch_sched::spawn(pending(), Meta::here())
            });
            drop(kept.take());
            members.sweep(|_| panic!("it is not over"));
            assert_eq!(members.bell.0.lock().ending.len(), 1);
            members.iter().for_each(JoinHandle::abort);
            while !members.iter().all(JoinHandle::is_finished) {
                yield_now().await;
            }
            // It has been told, too, by now or not: it comes once.
            let mut over = 0;
            members.sweep(|_| over += 1);
            members.sweep(|_| over += 1);
            assert_eq!(over, 1);
            assert!(members.bell.0.lock().ending.is_empty());
        };
        let config = Config { workers: 1, ..Config::default() };
        filch_sched::run(config, |_| Ok(ThreadPark::new()), main).unwrap();
    }
}
