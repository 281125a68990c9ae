//! What a queue does when it is not shut down: QUEUE-1 to QUEUE-10.

use crate::kit::{Bell, Drops, poll, ready};
use filch_sync::queue::{DoneTooOften, PutErrorKind, TryGetError};
use filch_sync::{LifoQueue, PriorityQueue, Queue};
use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// QUEUE-1
#[test]
fn a_bound_is_kept_exactly() {
    let queue = Queue::bounded(2);
    assert_eq!((queue.capacity(), queue.len(), queue.is_empty()), (Some(2), 0, true));
    queue.try_put(1).unwrap();
    assert!(!queue.is_full());
    queue.try_put(2).unwrap();
    assert!(queue.is_full() && queue.len() == 2);
    let refused = queue.try_put(3).unwrap_err();
    assert_eq!((refused.kind, refused.into_inner()), (PutErrorKind::Full, 3));
    // An item that a getter was woken for takes room until that has it.
    let queue = Queue::bounded(1);
    let mut get = Box::pin(queue.get());
    assert!(poll(&mut get).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!((queue.len(), queue.try_put(2).unwrap_err().kind), (1, PutErrorKind::Full));
    assert_eq!(*ready(&mut get).unwrap(), 1);
    queue.try_put(2).unwrap();
}

/// QUEUE-1
#[test]
fn without_a_bound_there_is_always_room() {
    let queue = Queue::unbounded();
    (0..10_000).for_each(|item| ready(&mut Box::pin(queue.put(item))).unwrap());
    assert_eq!((queue.capacity(), queue.len(), queue.is_full()), (None, 10_000, false));
}

/// QUEUE-1
#[test]
#[should_panic(expected = "at least one")]
fn room_for_nothing_is_no_queue() {
    let _ = PriorityQueue::<u32>::bounded(0);
}

/// A large bound reserves no more than a sane part of its memory.
#[test]
fn a_bound_beyond_all_memory_is_just_a_bound() {
    let queue = Queue::bounded(usize::MAX / 2);
    queue.try_put([0_u64; 100]).unwrap();
    assert_eq!(LifoQueue::<u8>::bounded(1 << 60).capacity(), Some(1 << 60));
    assert_eq!(PriorityQueue::<()>::bounded(1 << 60).capacity(), Some(1 << 60));
}

/// QUEUE-3
#[test]
fn each_queue_has_its_order() {
    fn all(queue: &Queue<(i32, char)>) -> String {
        for item in [(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (3, 'e')] {
            queue.try_put(item).unwrap();
        }
        std::iter::from_fn(|| queue.try_get().ok()).map(|lease| lease.1).collect()
    }
    assert_eq!(all(&Queue::bounded(5)), "abcde");
    assert_eq!(all(&LifoQueue::bounded(5)), "edcba");
    assert_eq!(all(&PriorityQueue::bounded(5)), "bdace");
    assert_eq!(all(&PriorityQueue::unbounded().into()), "bdace");
}

/// QUEUE-3: equals, by what is compared, in the order in which they were put.
#[test]
fn a_priority_queue_is_stable() {
    #[derive(Debug)]
    struct Job(u32, usize);
    impl PartialEq for Job {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Job {}
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Job {
        fn cmp(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }
    }
    let queue = PriorityQueue::unbounded();
    (0..100).for_each(|number| queue.try_put(Job(number % 3, number as usize)).unwrap());
    let jobs: Vec<_> = std::iter::from_fn(|| queue.try_get_raw().ok()).collect();
    assert!(jobs.is_sorted_by_key(|job| (job.0, job.1)), "{jobs:?}");
    assert_eq!(jobs.len(), 100);
}

/// QUEUE-5: what is best when a getter runs, not when it was woken.
#[test]
fn a_woken_getter_takes_what_is_first_when_it_runs() {
    let queue = PriorityQueue::unbounded();
    let mut get = Box::pin(queue.get());
    assert!(poll(&mut get).is_pending());
    queue.try_put(5).unwrap();
    queue.try_put(1).unwrap();
    assert_eq!(*ready(&mut get).unwrap(), 1);
}

/// QUEUE-2, QUEUE-4
#[test]
fn getters_and_putters_are_served_in_order_and_nobody_gets_in_between() {
    let queue = Queue::bounded(1);
    let bells = [(); 3].map(|()| Bell::new());
    let mut gets = [(); 3].map(|()| Box::pin(queue.get()));
    for (get, bell) in gets.iter_mut().zip(&bells) {
        assert!(bell.poll(get).is_pending());
    }
    queue.try_put('a').unwrap();
    assert_eq!(bells.each_ref().map(|bell| bell.rung()), [1, 0, 0]);
    assert_eq!(queue.try_get().unwrap_err(), TryGetError::Empty, "it is the first getter's");
    assert!(poll(&mut Box::pin(queue.get())).is_pending());
    assert!(bells[1].poll(&mut gets[1]).is_pending());
    assert_eq!(*ready(&mut gets[0]).unwrap(), 'a');
    drop(gets);

    queue.try_put('b').unwrap();
    let mut puts = ['c', 'd', 'e'].map(|item| Box::pin(queue.put(item)));
    let bells = [(); 3].map(|()| Bell::new());
    for (put, bell) in puts.iter_mut().zip(&bells) {
        assert!(bell.poll(put).is_pending());
    }
    assert_eq!(queue.try_get_raw(), Ok('b'));
    assert_eq!(bells.each_ref().map(|bell| bell.rung()), [1, 0, 0]);
    assert_eq!(
        queue.try_put('x').unwrap_err().kind,
        PutErrorKind::Full,
        "it is the first putter's"
    );
    assert_eq!((queue.len(), queue.is_full()), (0, true));
    assert!(bells[1].poll(&mut puts[1]).is_pending());
    ready(&mut puts[0]).unwrap();
    assert_eq!(queue.try_get_raw(), Ok('c'));
    ready(&mut puts[1]).unwrap();
    assert_eq!(bells.each_ref().map(|bell| bell.rung()), [1, 1, 0]);
}

/// QUEUE-7
#[test]
fn a_put_that_fails_gives_its_item_back() {
    let drops = Arc::new(Drops::default());
    let queue = Queue::bounded(1);
    queue.try_put(drops.item()).unwrap();
    let mut put = Box::pin(queue.put(drops.item()));
    assert!(poll(&mut put).is_pending());
    let refused = queue.try_put(drops.item()).unwrap_err();
    assert_eq!((refused.kind, refused.item.number), (PutErrorKind::Full, 2));
    queue.shutdown();
    let failed = ready(&mut put).unwrap_err();
    assert_eq!((failed.kind, failed.item.number), (PutErrorKind::ShutDown, 1));
    assert_eq!(failed.to_string(), "the queue was shut down");
    assert_eq!(drops.alive(), 3);
    drop((put, failed, refused));
    drop(queue);
    assert_eq!(drops.alive(), 0);
}

/// QUEUE-8
#[test]
fn a_lease_declares_the_work_done_however_it_ends() {
    let queue = Queue::unbounded();
    (0..4).for_each(|item| queue.try_put(item).unwrap());
    assert_eq!(queue.unfinished(), 4);
    let mut lease = queue.try_get().unwrap();
    *lease += 10;
    assert_eq!((*lease, queue.unfinished(), format!("{lease:?} {lease}")), (10, 4, "10 10".into()));
    drop(lease);
    assert_eq!(queue.unfinished(), 3);
    assert_eq!(queue.try_get().unwrap().into_inner(), 1);
    assert_eq!(queue.unfinished(), 2, "what is the caller's own is done");
    let (item, duty) = queue.try_get().unwrap().split();
    assert_eq!((item, queue.unfinished()), (2, 2));
    drop(duty);
    assert_eq!(queue.unfinished(), 1);
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let _lease = queue.try_get().unwrap();
        panic!("as planned");
    }));
    assert!(failed.is_err());
    assert_eq!(queue.unfinished(), 0);
    ready(&mut Box::pin(queue.join()));
}

/// QUEUE-8: the item's destructor is part of the work.
#[test]
fn an_item_is_gone_when_it_is_done() {
    struct Looks(Queue<Looks>);
    impl Drop for Looks {
        fn drop(&mut self) {
            assert_eq!(self.0.unfinished(), 1);
        }
    }
    let queue = Queue::unbounded();
    queue.try_put(Looks(queue.clone())).unwrap_or_else(|_| panic!("there is room"));
    drop(queue.try_get().map_err(|_| "there is one").unwrap());
    assert_eq!(queue.unfinished(), 0);
}

/// QUEUE-8: a lease borrows nothing.
#[test]
fn a_lease_goes_elsewhere_and_outlives_its_queue() {
    let queue = Queue::unbounded();
    queue.try_put(String::from("item")).unwrap();
    let lease = queue.try_get().unwrap();
    drop(queue);
    assert_eq!(std::thread::spawn(move || lease.len()).join().unwrap(), 4);
}

/// QUEUE-9
#[test]
fn join_waits_until_everything_is_done() {
    let queue = Queue::unbounded();
    ready(&mut Box::pin(queue.join()));
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let bell = Bell::new();
    let mut join = Box::pin(queue.join());
    assert!(bell.poll(&mut join).is_pending());
    let (first, second) = (queue.try_get().unwrap(), queue.try_get().unwrap());
    drop(first);
    assert!(bell.rung() == 0 && bell.poll(&mut join).is_pending());
    drop(second);
    assert_eq!(bell.rung(), 1);
    // It was so for a moment. Who comes after the next put waits for that.
    queue.try_put(3).unwrap();
    let mut late = Box::pin(queue.join());
    assert!(poll(&mut late).is_pending());
    ready(&mut join);
    assert!(poll(&mut late).is_pending());
    queue.try_get().unwrap().into_inner();
    ready(&mut late);
}

/// QUEUE-10
#[test]
fn what_was_not_put_cannot_be_done() {
    let queue = Queue::unbounded();
    assert_eq!(queue.task_done(), Err(DoneTooOften));
    queue.try_put(1).unwrap();
    assert_eq!(ready(&mut Box::pin(queue.get_raw())), Ok(1));
    assert_eq!(queue.unfinished(), 1);
    assert_eq!((queue.task_done(), queue.task_done()), (Ok(()), Err(DoneTooOften)));
    // Nor does it turn a lease's end into an error, or a count below 0.
    queue.try_put(2).unwrap();
    let lease = queue.try_get().unwrap();
    assert_eq!(queue.task_done(), Ok(()));
    drop(lease);
    let mut join = Box::pin(queue.join());
    ready(&mut join);
    queue.try_put(3).unwrap();
    let mut join = Box::pin(queue.join());
    assert!(poll(&mut join).is_pending());
    assert_eq!(queue.try_get_raw(), Ok(3));
    assert_eq!((queue.task_done(), queue.task_done()), (Ok(()), Err(DoneTooOften)));
    ready(&mut join);
}

/// I6: everything that can be had is had at once, whoever keeps what else.
#[test]
fn what_is_there_is_had_without_suspending() {
    let queue = Queue::bounded(2);
    let bell = Bell::new();
    assert!(bell.poll(&mut Box::pin(queue.put(1))).is_ready());
    assert!(bell.poll(&mut Box::pin(queue.reserve())).is_ready());
    assert!(bell.poll(&mut Box::pin(queue.get())).is_ready());
    assert!(bell.poll(&mut Box::pin(queue.join())).is_ready());
    assert_eq!(bell.rung(), 0);
}

/// QUEUE-6
#[test]
fn a_slot_is_room_for_one() {
    let queue = Queue::bounded(2);
    let (first, second) =
        (queue.try_reserve().unwrap(), ready(&mut Box::pin(queue.reserve())).unwrap());
    assert_eq!((queue.len(), queue.is_full()), (0, true));
    assert_eq!(queue.try_reserve().unwrap_err(), PutErrorKind::Full);
    let bell = Bell::new();
    let mut put = Box::pin(queue.put('b'));
    assert!(bell.poll(&mut put).is_pending());
    second.put('a');
    assert!(bell.rung() == 0 && bell.poll(&mut put).is_pending());
    drop(first);
    assert_eq!(bell.rung(), 1, "its room is the next putter's");
    ready(&mut put).unwrap();
    assert_eq!((queue.try_get_raw(), queue.try_get_raw()), (Ok('a'), Ok('b')));
}

thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

/// Cannot always be compared.
#[derive(Debug, PartialEq, Eq)]
struct Moody(u32);

impl PartialOrd for Moody {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moody {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(!PANICS.get(), "as planned");
        self.0.cmp(&other.0)
    }
}

/// I1, for items whose comparison panics.
#[test]
fn a_comparison_that_panics_loses_no_item_and_no_wake_up() {
    let queue = PriorityQueue::bounded(3);
    let fails = |act: &mut dyn FnMut()| {
        PANICS.set(true);
        let failed = catch_unwind(AssertUnwindSafe(act)).is_err();
        PANICS.set(false);
        assert!(failed);
    };
    let bells = [Bell::new(), Bell::new()];
    let mut gets = [queue.get(), queue.get()].map(Box::pin);
    for (get, bell) in gets.iter_mut().zip(&bells) {
        assert!(bell.poll(get).is_pending());
    }
    queue.try_put(Moody(1)).unwrap();
    fails(&mut || queue.try_put(Moody(2)).unwrap());
    assert_eq!((queue.len(), queue.unfinished()), (2, 2), "it was put");
    assert_eq!(bells[1].rung(), 1, "the second getter knows");
    queue.try_put(Moody(3)).unwrap();
    fails(&mut || drop(poll(&mut gets[0])));
    assert_eq!(queue.len(), 3, "nothing was taken");
    drop(gets);
    let mut rest: Vec<_> =
        std::iter::from_fn(|| queue.try_get_raw().ok()).map(|item| item.0).collect();
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 3]);
}

/// QUEUE-15
#[test]
fn handles_that_go_end_nothing() {
    let queue = Queue::unbounded();
    let other = queue.clone();
    let mut get = Box::pin(queue.get());
    assert!(poll(&mut get).is_pending());
    drop(other);
    assert!(poll(&mut get).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!(*ready(&mut get).unwrap(), 1);
}

/// Each item is dropped once, wherever it is when the queue goes.
#[test]
fn items_left_in_a_queue_go_with_it() {
    let drops = Arc::new(Drops::default());
    let queue = Queue::bounded(3);
    (0..3).for_each(|_| queue.try_put(drops.item()).unwrap());
    let mut put = Box::pin(queue.put(drops.item()));
    assert!(poll(&mut put).is_pending());
    let lease = queue.try_get().unwrap();
    let slot_taken = queue.try_reserve().is_ok();
    assert!(!slot_taken, "the room is the putter's");
    drop(put);
    queue.try_reserve().unwrap().put(drops.item());
    assert_eq!(drops.alive(), 4);
    drop(queue);
    assert_eq!(drops.alive(), 4, "the lease keeps the queue");
    drop(lease);
    assert_eq!(drops.alive(), 0);
}

/// What can be sent and shared, and what cannot.
#[test]
fn handles_and_futures_go_where_their_items_go() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    fn lasting<T: 'static>(_: &T) {}
    let drops = Arc::new(Drops::default());
    let queue = Queue::bounded(2);
    queue.try_put(drops.item()).unwrap();
    send(&queue);
    sync(&queue);
    send(&queue.put(drops.item()));
    send(&queue.get());
    send(&queue.join());
    let (lease, slot) = (queue.try_get().unwrap(), queue.try_reserve().unwrap());
    send(&lease);
    lasting(&lease);
    send(&slot);
    lasting(&slot);
    let stream = queue.into_stream();
    send(&stream);
    lasting(&stream);
}

#[test]
fn debug_forms_say_what_there_is() {
    let queue = PriorityQueue::bounded(2);
    queue.try_put(1).unwrap();
    let text = format!("{queue:?}");
    assert!(text.contains("len: 1") && text.contains("Some(2)"), "{text}");
    assert_eq!(format!("{:?}", queue.get()), "Get { waiter: idle, .. }");
    queue.try_put(1).unwrap();
    let text = format!("{:?}", queue.try_put(9).unwrap_err());
    assert_eq!(text, "PutError { kind: Full, .. }");
}
