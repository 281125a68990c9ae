//! The list of every task of a shard that is not over yet: through it shutdown reaches tasks that
//! nobody else can.
//!
//! A task that waits for nothing that will ever come is in no queue, and perhaps nobody has a waker
//! of it; its future, with whatever that holds, would never be dropped. So each task is in the
//! owned list of the shard that spawned it from its spawn to its end.
//!
//! # How the list is kept
//!
//! The links are in the headers, so a task costs no allocation here and leaves in constant time.
//! Four rules:
//!
//! 1. Links, head, length and the closed flag are touched only under the list's lock.
//! 2. A task that is in the list is alive: its life's reference is given up only after it left
//!    (`Cell::complete` removes it first). So pointers in the list are good, and whoever finds a
//!    task here, under the lock, may make a reference of its own.
//! 3. A task enters at most once, before anybody can run it, and a closed list takes nobody. The
//!    flag is under the same lock as the links: a spawn that races the closing is either in the
//!    list when it is emptied, or refused.
//! 4. No code of the user's runs under the lock: tasks are taken out in batches, and cancelled
//!    after it is released.
//!
//! Before they are ended, tasks are asked to end ([`ask_all`](OwnedTasks::ask_all)). The flag says so, and the list
//! is gone through, under one lock: a task that is not found there came after the flag, and is asked by its spawn. It is
//! gone through twice: all are marked before the first is told, so that one whose end another one sees is known
//! to that other one as ended by what is about to end it, too. That goes for all lists of a scheduler at once
//! ([`mark_all`](OwnedTasks::mark_all)), or one that is asked by its spawn would be told before its spawner is marked.
//!
//! Children are asked by those who made them ([`AskedBy`]), and marked only. That a child is nobody's any more is
//! said under the lock: either whoever goes through the list finds it so, or the flag is found there.

use super::header::{self, Header};
use super::join::cancel;
use super::report::{caught, drop_caught};
use super::{AskedBy, Name, Task, TaskId};
use filch_atomic::current::WaitKind;
use filch_atomic::sync::{Mutex, MutexGuard};
use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;

/// How many tasks shutdown takes out under one locking: few enough that nobody waits long for the
/// lock, and that they fit on the stack.
const BATCH: usize = 32;

/// Every task of one shard that is not over. One per worker, so that spawning and ending tasks,
/// which both take its lock, do not meet at one place.
///
/// The tasks hold the scheduler that holds this list: [`shutdown_all`](Self::shutdown_all) is what
/// ends that circle.
pub struct OwnedTasks {
    list: Mutex<List>,
}

struct List {
    head: Option<NonNull<Header>>,
    len: usize,
    stage: Stage,
}

/// How far the end of a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Tasks come and go.
    Open,
    /// Those that come are asked to end.
    Asked,
    /// Those that come are refused.
    Closed,
}

// SAFETY: the pointers are to headers that live (rule 2), and a header may be used from any thread.
unsafe impl Send for List {}

/// A task's neighbours in the list.
pub(super) struct Links {
    previous: Option<NonNull<Header>>,
    next: Option<NonNull<Header>>,
}

/// A task that is not over, as seen from outside at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// Its name.
    pub name: Option<Name>,
    /// Where it was spawned.
    pub location: &'static Location<'static>,
    /// Whether a worker is inside it.
    pub running: bool,
    /// What it waits for: the kind, which one, and where in the source.
    pub waits_for: Option<(WaitKind, usize, &'static Location<'static>)>,
}

impl OwnedTasks {
    /// An empty list, open.
    pub fn new() -> Self {
        Self { list: Mutex::new(List { head: None, len: 0, stage: Stage::Open }) }
    }

    /// How many tasks are not over.
    pub fn len(&self) -> usize {
        self.list.lock().len
    }

    /// Whether all tasks are over.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether new tasks are refused.
    pub fn is_closed(&self) -> bool {
        self.list.lock().stage == Stage::Closed
    }

    /// Refuses every task from now on.
    pub fn close(&self) {
        self.list.lock().stage = Stage::Closed;
    }

    /// Asks every task to end, as [`JoinHandle::cancel`](super::JoinHandle::cancel) does, and from now on each
    /// that is spawned; but for those that somebody else asks, or nobody ([`AskedBy`]).
    pub fn ask_all(&self) {
        Self::mark_all(std::iter::once(self)).into_iter().for_each(Marked::ask);
    }

    /// Asks every task that is here now.
    pub fn ask_those_here(&self) {
        let marked = self.list.lock().mark_those_here();
        marked.ask();
    }

    /// Has each task that is spawned into one of `lists` from now on asked by its spawn, and notes in every task that
    /// is there now that it is to end. Tells none of these. At one moment: these may spawn into any of them.
    ///
    /// Holds the locks of all lists for one walk over all tasks, some 0.1 us each: with a million of them nobody can spawn
    /// or end one for a tenth of a second. That is once, at the end of a scheduler.
    pub fn mark_all<'a>(lists: impl Iterator<Item = &'a Self>) -> Vec<Marked> {
        // All locks at once, in their order.
        let mut held: Vec<_> = lists.map(|tasks| tasks.list.lock()).collect();
        let mark = |list: &mut MutexGuard<'_, List>| {
            list.ask_those_to_come();
            list.mark_those_here()
        };
        held.iter_mut().map(mark).collect()
    }

    /// Whether all tasks of all `lists` are over, at one moment.
    pub fn are_all_empty<'a>(lists: impl Iterator<Item = &'a Self>) -> bool {
        // All locks at once, in their order: a task of one list may spawn into another and end.
        let held: Vec<_> = lists.map(|tasks| tasks.list.lock()).collect();
        held.iter().all(|list| list.len == 0)
    }

    /// Closes the list and cancels every task in it.
    ///
    /// The future of an idle task is dropped here, under no lock. One that is in a queue is left to
    /// whoever has the queue and must [run](Task::run), [shut down](Task::shutdown) or drop what is
    /// in it; one that runs is cancelled by its worker when its poll returns. No task is waited
    /// for. May be called by several threads at once.
    pub fn shutdown_all(&self) {
        self.close();
        loop {
            let mut batch = [None; BATCH];
            {
                let mut list = self.list.lock();
                for place in &mut batch {
                    let Some(task) = list.head else { break };
                    // SAFETY: it is in the list, whose lock is held, so it is alive (rule 2).
                    unsafe {
                        list.unlink(task);
                        task.as_ref().state.retain();
                    }
                    *place = Some(task);
                }
            }
            if batch[0].is_none() {
                return;
            }
            for task in batch.into_iter().flatten() {
                // SAFETY: by the reference made above.
                if unsafe { task.as_ref() }.state.cancel(true) {
                    // SAFETY: `cancel` found the task idle and notified it, so its `Task` is ours.
                    unsafe { Task::from_raw(task) }.shutdown();
                }
                // SAFETY: the reference made above, used no more.
                unsafe { header::release(task) };
            }
        }
    }

    /// What every task is doing. Takes the list's lock for as long as that takes: for people, not
    /// for programs.
    pub fn snapshot(&self) -> Vec<TaskInfo> {
        let list = self.list.lock();
        let mut tasks = Vec::with_capacity(list.len);
        list.each(|_, header| tasks.push(TaskInfo::of(header)));
        tasks
    }

    /// Those of the tasks that were asked to end and are held up: by a shield, by clean-up, or by an operation
    /// that does not end.
    pub fn held_up(&self) -> Vec<TaskInfo> {
        let mut tasks = Vec::new();
        self.list.lock().each(|_, header| {
            if header.is_held_up() {
                tasks.push(TaskInfo::of(header));
            }
        });
        tasks
    }

    /// Holds the list as it is: no task that has not left it does so before the guard goes. For
    /// [`Polled::who`](super::Polled::who).
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.list.lock()
    }

    /// Takes a new task in. False if the list is closed.
    ///
    /// # Safety
    ///
    /// The task is alive, is and was in no list, and leaves this one ([`remove`](Self::remove))
    /// before its life's reference is given up.
    pub(super) unsafe fn bind(&self, task: NonNull<Header>) -> bool {
        let mut list = self.list.lock();
        if list.stage != Stage::Open {
            // SAFETY: by the caller's word.
            return unsafe { Self::bind_late(list, task) };
        }
        // SAFETY: the caller's word for the new one, rule 2 for the other.
        unsafe { list.link(task) };
        true
    }

    /// As [`bind`](Self::bind), when the tasks were asked to end, or the list is closed.
    ///
    /// # Safety
    ///
    /// As for `bind`.
    #[cold]
    unsafe fn bind_late(mut list: MutexGuard<'_, List>, task: NonNull<Header>) -> bool {
        if list.stage == Stage::Closed {
            return false;
        }
        // SAFETY: the caller's word for the new one, rule 2 for the other.
        unsafe { list.link(task) };
        drop(list);
        // SAFETY: alive by the caller's word.
        let header = unsafe { task.as_ref() };
        match header.asked_by() {
            // SAFETY: as above. It was never run: there is nobody in it to be told.
            AskedBy::Runtime => unsafe { cancel(task, true) },
            AskedBy::Parent => header.state.ask(true),
            AskedBy::ShieldedParent | AskedBy::Nobody => {}
        }
        true
    }

    /// Has the end of the runtime ask a task that was for its parent to ask, now if it has begun.
    ///
    /// # Safety
    ///
    /// The caller has a reference to the task, which is, or was, in this list.
    pub(super) unsafe fn disown(&self, task: NonNull<Header>) {
        let is_late = {
            let list = self.list.lock();
            // SAFETY: by the caller's reference.
            unsafe { task.as_ref() }.state.disown();
            list.stage == Stage::Asked
        };
        if is_late {
            // SAFETY: as above.
            unsafe { cancel(task, true) };
        }
    }

    /// Lets a task go, if it is still here.
    ///
    /// # Safety
    ///
    /// The task is alive, and is in this list or in none.
    pub(super) unsafe fn remove(&self, task: NonNull<Header>) {
        let mut list = self.list.lock();
        // SAFETY: the lock is held (rule 1), and the task alive.
        if unsafe { list.contains(task) } {
            // SAFETY: as above, and it is here.
            unsafe { list.unlink(task) };
        }
    }
}

/// Tasks that are to be asked to end.
#[must_use = "nobody asks them but this"]
pub struct Marked(Vec<NonNull<Header>>);

// SAFETY: it has a reference to each task, and a header may be used from any thread.
unsafe impl Send for Marked {}

impl Marked {
    /// Asks them, in the order in which they were spawned.
    pub fn ask(mut self) {
        while let Some(task) = self.0.pop() {
            // What panics is a waker; that has been said, and the task is asked all the same.
            // SAFETY: by the reference made in `mark_those_here`.
            if let Err(payload) = caught(|| unsafe { cancel(task, true) }) {
                drop_caught(payload);
            }
            // SAFETY: as above, and it is used no more.
            unsafe { header::release(task) };
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        for task in self.0.drain(..) {
            // SAFETY: the reference made in `mark_those_here`, used no more.
            unsafe { header::release(task) };
        }
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Marked").field(&self.0.len()).finish()
    }
}

impl TaskInfo {
    fn of(header: &Header) -> Self {
        Self {
            id: header.id,
            name: header.attached.name(),
            location: header.location,
            running: header.state.load().is_running(),
            waits_for: header.wait.get(),
        }
    }
}

impl List {
    /// Has each task that is spawned from now on asked by its spawn.
    fn ask_those_to_come(&mut self) {
        if self.stage == Stage::Open {
            self.stage = Stage::Asked;
        }
    }

    /// Notes in every task that is here now that it is to end, and tells none.
    fn mark_those_here(&mut self) -> Marked {
        let mut tasks = Vec::with_capacity(self.len);
        self.each(|task, header| match header.asked_by() {
            AskedBy::Runtime => {
                header.state.ask(true);
                header.state.retain();
                tasks.push(task);
            }
            AskedBy::Parent => header.state.ask(true),
            AskedBy::ShieldedParent | AskedBy::Nobody => {}
        });
        Marked(tasks)
    }

    /// Lends every task in turn, which is alive meanwhile (rule 2).
    fn each(&self, mut look: impl FnMut(NonNull<Header>, &Header)) {
        let mut next = self.head;
        while let Some(task) = next {
            // SAFETY: it is in the list, whose lock is held for `&self`, so it is alive (rule 2).
            let header = unsafe { task.as_ref() };
            look(task, header);
            // SAFETY: the lock is held (rule 1).
            next = header.links.with(|links| unsafe { (*links).next });
        }
    }

    /// Whether a task that is in this list or in none is in this one.
    ///
    /// # Safety
    ///
    /// The task is alive.
    unsafe fn contains(&self, task: NonNull<Header>) -> bool {
        // SAFETY: alive by the caller's word; the links are ours by `&self`, which is behind the
        // lock (rule 1).
        let previous = unsafe { task.as_ref() }.links.with(|links| unsafe { (*links).previous });
        previous.is_some() || self.head == Some(task)
    }

    /// Puts a task first.
    ///
    /// # Safety
    ///
    /// The task is alive and in no list.
    unsafe fn link(&mut self, task: NonNull<Header>) {
        let next = self.head.replace(task);
        // SAFETY: rules 1 and 2.
        unsafe { edit(task, |links| *links = Links { previous: None, next }) };
        if let Some(next) = next {
            // SAFETY: rules 1 and 2.
            unsafe { edit(next, |links| links.previous = Some(task)) };
        }
        self.len += 1;
    }

    /// Takes a task out.
    ///
    /// # Safety
    ///
    /// The task is in this list.
    unsafe fn unlink(&mut self, task: NonNull<Header>) {
        // SAFETY: rules 1 and 2.
        let Links { previous, next } =
            unsafe { edit(task, |links| std::mem::replace(links, Links::unlinked())) };
        match previous {
            // SAFETY: rules 1 and 2.
            Some(previous) => unsafe { edit(previous, |links| links.next = next) },
            None => self.head = next,
        }
        if let Some(next) = next {
            // SAFETY: rules 1 and 2.
            unsafe { edit(next, |links| links.previous = previous) };
        }
        self.len -= 1;
    }
}

/// Lends the links of a task to be changed.
///
/// # Safety
///
/// The task is alive, and the lock of the list it is in, or is about to be in, is held.
unsafe fn edit<R>(task: NonNull<Header>, change: impl FnOnce(&mut Links) -> R) -> R {
    // SAFETY: alive and locked by the caller's word; `change` reaches no other links.
    unsafe { task.as_ref() }.links.with_mut(|links| change(unsafe { &mut *links }))
}

impl Links {
    pub(super) const fn unlinked() -> Self {
        Self { previous: None, next: None }
    }
}

impl Default for OwnedTasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OwnedTasks {
    fn drop(&mut self) {
        debug_assert!(std::thread::panicking() || self.is_empty(), "tasks outlive their list");
    }
}

impl fmt::Debug for OwnedTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list.lock();
        f.debug_struct("OwnedTasks")
            .field("len", &list.len)
            .field("stage", &list.stage)
            .finish_non_exhaustive()
    }
}
