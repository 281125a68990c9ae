//! One program, run step by step against the model.

use super::model::{Expected, Model};
use super::{Subject, Wait};
use filch_atomic::current;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// One step of a program. The numbers name waiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Polled with the waker of its last poll.
    Poll(usize),
    /// Polled with a waker that it has not seen.
    PollOther(usize),
    /// Polled by a task that has used up its turn.
    PollTired(usize),
    Drop(usize),
    Leak(usize),
    Grant,
    /// What the first who still has something got is dropped.
    GiveBack,
}

/// What can be done next.
#[derive(Debug, Default)]
pub(super) struct After {
    /// The waiters that are there, and whether they have been polled.
    pub(super) waiters: Vec<(usize, bool)>,
    /// Somebody has something.
    pub(super) held: bool,
    pub(super) grants: u32,
    pub(super) finished: bool,
}

/// Counts its wakes.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Relaxed, here and below: the harness joins every thread before it looks.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Waiter<'a, T> {
    wait: Option<Wait<'a, T>>,
    bell: Arc<Bell>,
    /// What was polled with before, and must be forgotten.
    old: Vec<Arc<Bell>>,
    polled: bool,
    leaked: bool,
    /// The last poll was by a task that had used up its turn: it may have woken itself.
    tired: bool,
    /// It left what was free to others, and comes with its next poll.
    gave_way: bool,
}

impl<T> Waiter<'_, T> {
    fn wakes(&self) -> u32 {
        self.bell.0.load(Ordering::Relaxed)
    }
}

/// Says which program it was if a check fails.
struct Tell<'a>(&'a [Step], &'a dyn fmt::Display);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("invariants: {} failed in the program {:?}", self.1, self.0);
        }
    }
}

struct Case<'a, S: Subject> {
    subject: &'a S,
    model: Model,
    waiters: Vec<Waiter<'a, S::Got<'a>>>,
    held: Vec<S::Got<'a>>,
    /// Polls and drops are made by another thread.
    moved: bool,
    grants: u32,
    finished: bool,
}

/// Runs one program over so many waiters, to its end and through the end.
pub(super) fn run<S: Subject>(program: &[Step], waiters: usize, moved: bool) -> After {
    let name = std::any::type_name::<S>();
    let _tell = Tell(program, &name);
    let subject = S::new();
    let mut leaked = false;
    let (after, free) = {
        // Made in the reverse order of their first polls, which alone counts (I5).
        let mut made: Vec<_> = (0..waiters).map(|_| Waiter::new(subject.wait())).collect();
        made.reverse();
        let mut case = Case {
            subject: &subject,
            model: Model::new(S::RULES),
            waiters: made,
            held: Vec::new(),
            moved,
            grants: 0,
            finished: false,
        };
        for step in program {
            case.step(*step);
            case.check();
            leaked |= matches!(step, Step::Leak(_));
        }
        let after = case.after();
        case.end(leaked);
        (after, case.model.free())
    };
    if !leaked {
        subject.at_rest(free);
    }
    after
}

impl<'a, T> Waiter<'a, T> {
    fn new(wait: Wait<'a, T>) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            wait: Some(wait),
            bell,
            old: Vec::new(),
            polled: false,
            leaked: false,
            tired: false,
            gave_way: false,
        }
    }
}

impl<S: Subject> Case<'_, S> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Poll(waiter) => self.poll(waiter, false),
            Step::PollOther(waiter) => {
                let it = &mut self.waiters[waiter];
                it.old.push(std::mem::take(&mut it.bell));
                self.poll(waiter, false);
            }
            Step::PollTired(waiter) => self.poll(waiter, true),
            Step::Drop(waiter) => {
                let wait = self.waiters[waiter].wait.take();
                self.away(|| drop(wait));
                self.model.left(waiter);
            }
            Step::Leak(waiter) => {
                let wait = self.waiters[waiter].wait.take().expect("it is there");
                leak(wait);
                self.waiters[waiter].leaked = true;
            }
            Step::Grant => {
                self.subject.grant();
                self.model.grant();
                self.grants += 1;
            }
            Step::GiveBack => {
                drop(self.held.remove(0));
                if S::RULES.returned {
                    self.model.grant();
                }
            }
        }
    }

    fn poll(&mut self, waiter: usize, tired: bool) {
        let gives_way = S::RULES.gives_way
            && tired
            && !self.waiters[waiter].polled
            && self.model.comes_and_gets(waiter);
        let mut expected = if gives_way { Expected::Pending } else { self.model.poll(waiter) };
        if tired && expected != Expected::Pending {
            // What it could have is kept for it, and it is woken by itself (I6).
            expected = if S::RULES.strict { Expected::Pending } else { Expected::Either };
        }
        let moved = self.moved;
        let it = &mut self.waiters[waiter];
        (it.polled, it.tired, it.gave_way) = (true, tired, gives_way);
        it.bell.0.store(0, Ordering::Relaxed);
        let waker = Waker::from(it.bell.clone());
        let wait = it.wait.as_mut().expect("it is there");
        let mut poll = || {
            let mut cx = Context::from_waker(&waker);
            if tired {
                exhausted(|cx| wait.as_mut().poll(cx), &mut cx)
            } else {
                wait.as_mut().poll(&mut cx)
            }
        };
        let polled = if moved {
            std::thread::scope(|scope| scope.spawn(poll).join().expect("the poll does not panic"))
        } else {
            poll()
        };
        drop(waker);
        match polled {
            Poll::Ready(got) => {
                assert_ne!(expected, Expected::Pending, "waiter {waiter} has what is not its own");
                let wait = it.wait.take();
                self.held.push(got);
                self.model.took(waiter);
                self.finished = true;
                drop(wait);
            }
            Poll::Pending => {
                assert_ne!(
                    expected,
                    Expected::Ready,
                    "waiter {waiter} waits for what it was granted"
                );
            }
        }
    }

    /// On another thread, if the program is to be run so.
    fn away(&self, act: impl FnOnce() + Send) {
        if self.moved {
            std::thread::scope(|scope| scope.spawn(act).join().expect("a drop does not panic"));
        } else {
            act();
        }
    }

    /// What holds after every step.
    fn check(&self) {
        let mut woken = 0;
        for (number, it) in self.waiters.iter().enumerate() {
            for old in &it.old {
                assert_eq!(Arc::strong_count(old), 1, "waiter {number} left a waker behind (I2)");
            }
            if it.wait.is_none() && !it.leaked {
                assert_eq!(Arc::strong_count(&it.bell), 1, "waiter {number} left its waker (I2)");
                continue;
            }
            let (wakes, granted) = (it.wakes(), self.model.is_granted(number));
            woken += usize::from(wakes > 0);
            if granted || it.gave_way {
                assert!(wakes > 0, "waiter {number} was granted something and not woken (I1, I3)");
            } else if S::RULES.strict && !it.tired {
                assert_eq!(wakes, 0, "waiter {number} was woken for nothing");
            }
        }
        assert!(
            S::RULES.strict || woken >= self.model.owed(),
            "{woken} were woken, and there is something for {} (I1)",
            self.model.owed()
        );
    }

    fn after(&self) -> After {
        let there =
            |(number, it): (usize, &Waiter<_>)| it.wait.as_ref().map(|_| (number, it.polled));
        After {
            waiters: self.waiters.iter().enumerate().filter_map(there).collect(),
            held: !self.held.is_empty(),
            grants: self.grants,
            finished: self.finished,
        }
    }

    /// Polls whoever was woken until nobody is, and then lets go of everything, looking each time.
    fn end(&mut self, leaked: bool) {
        while let Some(woken) =
            self.waiters.iter().position(|it| it.wait.is_some() && it.polled && it.wakes() > 0)
        {
            self.step(Step::Poll(woken));
            self.check();
        }
        let left = self.waiters.iter().filter(|it| it.wait.is_some() && it.polled).count();
        assert!(
            S::RULES.strict || leaked || left == 0 || self.model.free() == 0,
            "{left} wait, and there is something for {} (I1)",
            self.model.free()
        );
        for waiter in 0..self.waiters.len() {
            if self.waiters[waiter].wait.is_some() {
                self.step(Step::Drop(waiter));
                self.check();
            }
        }
        while !self.held.is_empty() {
            self.step(Step::GiveBack);
            self.check();
        }
    }
}

/// Polls as a task that may make no more progress in this poll.
fn exhausted<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>, cx: &mut Context<'_>) -> Poll<T> {
    let record = current::WaitRecord::new();
    let turn = || {
        let mut nobody = Context::from_waker(Waker::noop());
        while current::poll_proceed(&mut nobody).is_ready() {}
        poll(cx)
    };
    // SAFETY: null, which nobody takes for a task.
    unsafe { current::enter(std::ptr::null(), &record, turn) }
}

/// Keeps what nobody polls or drops any more in reach of a leak checker, which is to find other leaks.
fn leak<T>(wait: Wait<'_, T>) {
    struct Thin(#[expect(dead_code, reason = "kept, never read")] *const ());
    // SAFETY: an address that nobody follows.
    unsafe impl Send for Thin {}
    static LEAKED: Mutex<Vec<Thin>> = Mutex::new(Vec::new());
    // SAFETY: as a `Box` that is leaked: what is pinned in it is neither moved nor freed.
    let leaked = Box::into_raw(unsafe { std::pin::Pin::into_inner_unchecked(wait) });
    LEAKED.lock().expect("nobody panics with it").push(Thin(leaked.cast::<()>()));
}
