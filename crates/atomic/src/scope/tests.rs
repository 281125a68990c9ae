//! What one thread can tell of scopes; the model `scopes` has the rest.

use super::{Inside, Kind, Leaf, Region, Scope, current, enter, outside};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

/// One that does something when it is woken.
struct Does<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn does(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Does(f)))
}

/// One whose destructor panics.
fn sticky() -> Waker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |data| RawWaker::new(data, &TABLE),
        |_| {},
        |_| {},
        |data| {
            // Only what was cloned.
            assert!(data.is_null(), "not today");
        },
    );
    // SAFETY: none of its functions looks at what the pointer points to.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(1), &TABLE)) }
}

fn boundary(parent: &Arc<Scope>) -> Inside {
    Inside::new(Kind::Boundary, Some(parent.clone()), None)
}

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// However deep: neither a cancel nor the end of the last of them is by recursion. (By recursion each would take 16 bytes
/// at the least, for where to return to and the frame before: more than the stack has. Deeper shows nothing more, and takes
/// long, since who asks whether it is due asks all that are around it.)
#[test]
fn depth_takes_no_stack() {
    let small = thread::Builder::new().stack_size(64 * 1024);
    let ends = small.spawn(|| {
        let task = Scope::of_task();
        let mut all = vec![boundary(&task)];
        for at in 0..10_000 {
            all.push(boundary(all[at].scope()));
        }
        task.cancel();
        assert!(all.iter().all(|scope| scope.scope().is_due()));
        // The outermost first: the innermost keeps those around it.
        for scope in all {
            drop(scope);
        }
    });
    ends.unwrap().join().unwrap();
}

/// A hold ends with what holds, whatever wakers do.
#[test]
fn a_waker_that_panics_leaves_nobody_held_up() {
    let task = Scope::of_task();
    let outer = boundary(&task);
    let shield = Inside::new(Kind::Shield, Some(outer.scope().clone()), None);
    task.cancel();
    let (count, waker) = counting();
    task.register(&waker);
    outer.scope().register(&does(|| panic!("not today")));
    // Its own waker panics when it goes, and that of the first that it holds up when it is woken.
    let waker = sticky();
    shield.scope().register(&waker);
    std::mem::forget(waker);
    assert!(panics(|| drop(shield)));
    assert!(!outer.scope().is_held() && !task.is_held());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

/// Payloads may have destructors that panic in their turn.
#[test]
fn all_are_told_whatever_wakers_do() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("nor this");
        }
    }
    let task = Scope::of_task();
    let all: Vec<_> = (0..5).map(|_| boundary(&task)).collect();
    for scope in &all {
        scope.scope().register(&does(|| std::panic::panic_any(Bomb)));
    }
    let payload = catch_unwind(AssertUnwindSafe(|| task.cancel())).unwrap_err();
    std::mem::forget(payload);
    assert!(task.is_due() && all.iter().all(|scope| scope.scope().is_due()));
}

/// A cancel from further out that finds another one at work does not run ahead of it.
#[test]
fn two_cancels_of_different_scopes() {
    let task = Scope::of_task();
    let inner = boundary(&task);
    let leaves: Vec<_> = enter(inner.scope(), || (0..3).map(|_| Leaf::here().unwrap()).collect());
    let due = Arc::new(Mutex::new(Vec::new()));
    let (outer, all, at) = (task.clone(), inner.scope().clone(), due.clone());
    // As from another thread, in the midst of the first.
    leaves[0].register(&does(move || {
        outer.cancel();
        at.lock().unwrap().push((outer.is_due(), all.is_due()));
    }));
    let (count, waker) = counting();
    leaves[2].register(&waker);
    inner.scope().cancel();
    assert_eq!(*due.lock().unwrap(), [(true, true)]);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

/// A leaf that asked for time has it until its operation is over, and may ask again.
#[test]
fn the_time_of_a_leaf_ends_with_its_operation() {
    let task = Scope::of_task();
    let around = boundary(&task);
    let mut leaf = enter(around.scope(), Leaf::here).unwrap();
    let (count, waker) = counting();
    leaf.register(&waker);
    let (outer, waits) = counting();
    around.scope().register(&waits);
    let before = around.scope().settled();
    assert!(before.is_some() && !around.scope().has_unheard());
    task.cancel();
    assert!(around.scope().has_unheard(), "it was not polled");
    leaf.register(&waker);
    around.scope().register(&waits);
    let over = leaf.end();
    assert!(around.scope().settled().is_none() && !around.scope().has_unheard());
    assert!(leaf.end().will_wake(&over) && leaf.is_ending());
    over.wake_by_ref();
    assert_eq!(count.0.load(Ordering::Relaxed), 2, "who waits for it");
    assert_eq!(outer.0.load(Ordering::Relaxed), 2, "and the boundary");
    let after = around.scope().settled();
    assert!(after.is_some() && after != before, "one has begun to end");
    over.wake_by_ref();
    assert_eq!(around.scope().settled(), after, "once");
    // Not over after all.
    leaf.end();
    assert!(around.scope().settled().is_none());
    drop(leaf);
    assert!(around.scope().settled().is_some());
    over.wake();
    assert!(around.scope().settled().is_some());
}

#[test]
fn who_was_refused_is_woken_where_it_may_begin() {
    let task = Scope::of_task();
    let around = boundary(&task);
    task.cancel();
    let leaf = enter(around.scope(), Leaf::refused_here).unwrap();
    let (count, waker) = counting();
    let woken = || count.0.swap(0, Ordering::Relaxed);
    leaf.register(&waker);
    assert!(!around.scope().has_unheard());
    let inner = boundary(around.scope());
    assert_eq!(woken(), 0);
    let shield = Inside::new(Kind::Shield, Some(inner.scope().clone()), None);
    assert_eq!(woken(), 1);
    leaf.register(&waker);
    drop(Inside::new(Kind::Shield, Some(shield.scope().clone()), None));
    assert_eq!(woken(), 0, "that is a shield's affair");
    around.vacate();
    assert_eq!(woken(), 1);
    leaf.register(&waker);
    drop(around);
    assert_eq!(woken(), 1);
}

/// What begins in a scope that is cancelled was told by nobody, and need not act.
#[test]
fn who_was_told_is_to_act() {
    let task = Scope::of_task();
    let told = boundary(&task);
    task.cancel();
    let born = boundary(&task);
    assert!(born.scope().is_due() && task.has_unheard());
    drop(told);
    assert!(!task.has_unheard());
    // Not for ever.
    let task = Scope::of_task();
    let _kept = boundary(&task);
    task.cancel();
    assert!((0..1_000).all(|_| task.has_unheard()) && !task.has_unheard());
    // Nor with one more leaf each time that begins only now, and ends.
    let task = Scope::of_task();
    let around = boundary(&task);
    let _kept = boundary(around.scope());
    task.cancel();
    let one_more = |_| {
        drop(enter(around.scope(), Leaf::here).unwrap().end());
        around.scope().has_unheard()
    };
    assert!((0..1_000).all(one_more) && !one_more(1_000));
}

#[test]
fn outside_is_outside() {
    let task = Scope::of_task();
    enter(&task, || {
        assert!(panics(|| outside(|| {
            assert!(current().is_none());
            panic!("not today");
        })));
        assert!(Arc::ptr_eq(&current().unwrap(), &task));
    });
}

/// A region that somebody keeps is not waited for: it does nothing by itself. Who is in it, is.
#[test]
fn of_a_region_those_inside_count() {
    let task = Scope::of_task();
    let around = boundary(&task);
    let mut region = Region::new();
    let made = enter(around.scope(), || {
        region.enter(&(), || super::around(|| unreachable!("the boundary is nearer"))).unwrap()
    });
    let inside = boundary(&made);
    task.cancel();
    assert!(around.scope().has_unheard(), "the one inside has not acted");
    drop(inside);
    assert!(!around.scope().has_unheard());
}
