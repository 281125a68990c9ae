//! Scopes that block: jobs x helper x whoever waits for them (`crates/structured/src/cpu/README.md`).
#![cfg(filch_loom)]

use filch_atomic::cell::UnsafeCell;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_structured::cpu::jobs::{Crew, Helper, Work};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;

/// A frame that jobs write to, each to a place of its own: by rule J nobody does when it is gone, and loom sees
/// whoever does without having been waited for.
struct Frame([UnsafeCell<u32>; 2]);

// SAFETY: each place is written by one job, and then by the one who waited for it: that is what the model is about.
unsafe impl Send for Frame {}
// SAFETY: as above.
unsafe impl Sync for Frame {}

impl Frame {
    fn new() -> Arc<Self> {
        Arc::new(Self([UnsafeCell::new(0), UnsafeCell::new(0)]))
    }

    fn write(&self, place: usize, value: u32) {
        // SAFETY: as above.
        self.0[place].with_mut(|place| unsafe { *place = value });
    }

    /// The end of the frame.
    fn end(&self) -> [u32; 2] {
        [0, 1].map(|place| {
            // SAFETY: as above.
            self.0[place].with_mut(|place| unsafe { std::mem::replace(&mut *place, 9) })
        })
    }
}

fn help(mut helper: Helper) {
    while let Some(job) = helper.take() {
        job.run();
    }
}

/// A crew of whoever waits and at most one helper, on a thread of its own. Under loom no two at a time.
fn crew() -> Arc<Crew> {
    Crew::new(1, |helper| drop(thread::spawn(move || help(helper))))
}

#[test]
fn all_are_over_before_the_frame_is() {
    loom::model(|| {
        let frame = Frame::new();
        let work = Work::new(crew(), None);
        for place in 0..2 {
            let frame = frame.clone();
            work.push(Box::new(move || frame.write(place, 1)));
        }
        work.wait();
        assert_eq!(frame.end(), [1, 1]);
    });
}

#[test]
fn a_job_that_panics_is_over_too() {
    loom::model(|| {
        let frame = Frame::new();
        let work = Work::new(crew(), None);
        let theirs = frame.clone();
        work.push(Box::new(move || {
            theirs.write(0, 1);
            std::panic::resume_unwind(Box::new("a payload"));
        }));
        work.wait();
        assert_eq!(frame.end(), [1, 0]);
        let payload = work.take_panic().expect("it panicked");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a payload"));
    });
}

#[test]
fn a_job_may_add_others_and_wait_for_its_own() {
    loom::model(|| {
        let frame = Frame::new();
        let crew = crew();
        let outer = Work::new(crew.clone(), None);
        let (theirs, within) = (frame.clone(), outer.clone());
        outer.push(Box::new(move || {
            let inner = Work::new(crew, Some(within));
            let to = theirs.clone();
            inner.push(Box::new(move || to.write(0, 1)));
            inner.wait();
            // That one is gone, whoever ran it.
            theirs.write(0, 2);
        }));
        outer.wait();
        assert_eq!(frame.end(), [2, 0]);
    });
}

loom::thread_local! {
    /// Whether this thread waits for an inner scope.
    static WAITS: Cell<bool> = Cell::new(false);
}

#[test]
fn who_waits_runs_none_but_its_own() {
    loom::model(|| {
        let strangers = Arc::new(Count::new(0));
        let crew = crew();
        let outer = Work::new(crew.clone(), None);
        let (count, within) = (strangers.clone(), outer.clone());
        outer.push(Box::new(move || {
            let inner = Work::new(crew, Some(within.clone()));
            inner.push(Box::new(|| ()));
            within.push(Box::new(move || {
                assert!(!WAITS.with(Cell::get), "it is not what that one waits for");
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }));
            WAITS.with(|waits| waits.set(true));
            inner.wait();
            WAITS.with(|waits| waits.set(false));
        }));
        outer.wait();
        assert!(outer.take_panic().is_none());
        assert_eq!(strangers.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}

#[test]
fn a_job_that_is_added_wakes_who_waits_for_it() {
    loom::model(|| {
        let frame = Frame::new();
        // A helper that goes after one job, as when its runtime ends: nobody comes again for what is added meanwhile.
        let crew = Crew::new(1, |mut helper| {
            thread::spawn(move || {
                if let Some(job) = helper.take() {
                    job.run();
                }
            });
        });
        let work = Work::new(crew, None);
        let (theirs, within) = (frame.clone(), work.clone());
        work.push(Box::new(move || {
            let to = theirs.clone();
            within.push(Box::new(move || to.write(1, 1)));
            theirs.write(0, 1);
        }));
        work.wait();
        assert_eq!(frame.end(), [1, 1]);
    });
}

#[test]
fn helpers_that_never_come_are_not_missed() {
    loom::model(|| {
        let called = Arc::new(AtomicUsize::new(0));
        let counts = called.clone();
        let crew = Crew::new(1, move |helper| {
            // Relaxed: one thread.
            counts.fetch_add(1, Ordering::Relaxed);
            // As by a runtime that has ended.
            drop(helper);
        });
        let work = Work::new(crew, None);
        let frame = Frame::new();
        for place in 0..2 {
            let frame = frame.clone();
            work.push(Box::new(move || frame.write(place, 1)));
        }
        work.wait();
        assert_eq!(frame.end(), [1, 1]);
        assert_eq!(called.load(Ordering::Relaxed), 2, "one that is gone makes room for another");
    });
}
