//! The end of a queue: QUEUE-11 to QUEUE-14.

use crate::kit::{Bell, Drops, poll, ready};
use filch_sync::Queue;
use filch_sync::queue::{PutErrorKind, ShutDown, TryGetError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// QUEUE-11
#[test]
fn after_a_shutdown_puts_fail_and_gets_drain() {
    let queue = Queue::bounded(2);
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    let bells = [Bell::new(), Bell::new()];
    let (mut put, mut reserve) = (Box::pin(queue.put(3)), Box::pin(queue.reserve()));
    assert!(bells[0].poll(&mut put).is_pending());
    assert!(bells[1].poll(&mut reserve).is_pending());
    assert!(!queue.is_shut_down());
    queue.shutdown();
    assert!(queue.is_shut_down());
    assert_eq!(bells.each_ref().map(|bell| bell.rung()), [1, 1]);
    assert_eq!(ready(&mut put).unwrap_err().into_inner(), 3);
    assert_eq!(ready(&mut reserve).unwrap_err(), ShutDown);
    assert_eq!(queue.try_put(4).unwrap_err().kind, PutErrorKind::ShutDown);
    assert_eq!(queue.try_reserve().unwrap_err(), PutErrorKind::ShutDown);
    assert_eq!(queue.blocking_put(4).unwrap_err().kind, PutErrorKind::ShutDown);
    assert_eq!(*ready(&mut Box::pin(queue.get())).unwrap(), 1);
    assert_eq!(*queue.try_get().unwrap(), 2);
    assert_eq!(ready(&mut Box::pin(queue.get())).unwrap_err(), ShutDown);
    assert_eq!(queue.try_get().unwrap_err(), TryGetError::ShutDown);
    assert_eq!(queue.blocking_get().unwrap_err(), ShutDown);
    ready(&mut Box::pin(queue.join()));
}

/// QUEUE-11: also one that had been given room, and has not run.
#[test]
fn a_putter_that_was_woken_before_the_shutdown_fails() {
    let queue = Queue::bounded(1);
    queue.try_put(1).unwrap();
    let mut put = Box::pin(queue.put(2));
    assert!(poll(&mut put).is_pending());
    assert_eq!(queue.try_get_raw(), Ok(1));
    queue.shutdown();
    assert_eq!(ready(&mut put).unwrap_err().into_inner(), 2);
    drop(put);
    assert_eq!(queue.try_get_raw(), Err(TryGetError::ShutDown));
}

/// QUEUE-11: as many as wait.
#[test]
fn a_shutdown_releases_everybody_who_waits() {
    let queue = Queue::<u32>::bounded(1);
    let bells: Vec<_> = (0..100).map(|_| Bell::new()).collect();
    let mut gets: Vec<_> = bells.iter().map(|_| Box::pin(queue.get())).collect();
    for (get, bell) in gets.iter_mut().zip(&bells) {
        assert!(bell.poll(get).is_pending());
    }
    queue.shutdown();
    assert!(bells.iter().all(|bell| bell.rung() == 1));
    assert!(gets.iter_mut().all(|get| ready(get).is_err()));
}

/// QUEUE-11, I3: the end has come when nothing is left, not when everything is promised.
#[test]
fn while_an_item_may_come_back_getters_wait_for_it() {
    let queue = Queue::unbounded();
    let bell = Bell::new();
    let (mut first, mut second) = (Box::pin(queue.get()), Box::pin(queue.get()));
    assert!(poll(&mut first).is_pending());
    queue.try_put(1).unwrap();
    queue.shutdown();
    assert!(bell.poll(&mut second).is_pending());
    drop(first);
    assert_eq!(bell.rung(), 1);
    assert_eq!(*ready(&mut second).unwrap(), 1);

    let queue = Queue::unbounded();
    let (mut first, mut second) = (Box::pin(queue.get()), Box::pin(queue.get()));
    assert!(poll(&mut first).is_pending());
    queue.try_put(1).unwrap();
    queue.shutdown();
    assert!(bell.poll(&mut second).is_pending());
    assert_eq!(queue.try_get().unwrap_err(), TryGetError::Empty);
    assert_eq!(*ready(&mut first).unwrap(), 1);
    assert_eq!(bell.rung(), 2, "now nothing is left");
    assert!(ready(&mut second).is_err());
}

/// QUEUE-14: a slot cannot fail, so it may still be filled.
#[test]
fn a_slot_outlives_a_shutdown() {
    let queue = Queue::bounded(2);
    let (used, unused) = (queue.try_reserve().unwrap(), queue.try_reserve().unwrap());
    queue.shutdown();
    let bell = Bell::new();
    let mut get = Box::pin(queue.get());
    assert!(bell.poll(&mut get).is_pending());
    used.put(1);
    assert_eq!(bell.rung(), 1);
    assert_eq!(*ready(&mut get).unwrap(), 1);
    let mut get = Box::pin(queue.get());
    assert!(bell.poll(&mut get).is_pending());
    drop(unused);
    assert_eq!(bell.rung(), 2);
    assert!(ready(&mut get).is_err());
}

/// QUEUE-12
#[test]
fn a_shutdown_at_once_drops_what_is_left_and_declares_it_done() {
    let drops = Arc::new(Drops::default());
    let queue = Queue::bounded(3);
    (0..3).for_each(|_| queue.try_put(drops.item()).unwrap());
    let slot = {
        let lease = queue.try_get().unwrap();
        let slot = queue.try_reserve().unwrap();
        let bell = Bell::new();
        let (mut join, mut put) = (Box::pin(queue.join()), Box::pin(queue.put(drops.item())));
        assert!(bell.poll(&mut join).is_pending());
        assert!(poll(&mut put).is_pending());
        queue.shutdown_now();
        assert_eq!(drops.alive(), 2, "one on lease, one not put");
        assert_eq!((queue.len(), queue.unfinished(), bell.rung()), (0, 1, 0));
        assert_eq!(ready(&mut put).unwrap_err().item.number, 3);
        assert!(ready(&mut Box::pin(queue.get())).is_err());
        drop(lease);
        assert_eq!(bell.rung(), 1);
        ready(&mut join);
        slot
    };
    slot.put(drops.item());
    assert_eq!((drops.alive(), queue.unfinished(), queue.len()), (0, 0, 0));
}

/// QUEUE-12
#[test]
fn a_shutdown_at_once_ends_a_join() {
    let queue = Queue::unbounded();
    (0..3).for_each(|item| queue.try_put(item).unwrap());
    let bell = Bell::new();
    let mut join = Box::pin(queue.join());
    assert!(bell.poll(&mut join).is_pending());
    queue.shutdown_now();
    assert_eq!(bell.rung(), 1);
    ready(&mut join);
    // What was declared done before it was got is not done twice.
    let queue = Queue::unbounded();
    (0..3).for_each(|item| queue.try_put(item).unwrap());
    queue.task_done().unwrap();
    queue.shutdown_now();
    ready(&mut Box::pin(queue.join()));
}

/// QUEUE-12: also a getter that was woken for an item, and has not run.
#[test]
fn a_getter_that_was_woken_before_a_shutdown_at_once_fails() {
    let queue = Queue::unbounded();
    let (mut first, mut second) = (Box::pin(queue.get()), Box::pin(queue.get()));
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.shutdown_now();
    assert!(ready(&mut first).is_err());
    drop(second);
    assert!(queue.try_get().is_err());
}

/// QUEUE-13
#[test]
fn shutting_down_again_changes_nothing_but_may_go_further() {
    let queue = Queue::unbounded();
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.shutdown();
    queue.shutdown();
    assert_eq!(queue.try_get_raw(), Ok(1));
    queue.shutdown_now();
    assert_eq!((queue.try_get_raw(), queue.unfinished()), (Err(TryGetError::ShutDown), 1));
    queue.shutdown();
    queue.shutdown_now();
    assert_eq!((queue.try_get_raw(), queue.unfinished()), (Err(TryGetError::ShutDown), 1));
    queue.task_done().unwrap();
    ready(&mut Box::pin(queue.join()));
}

/// QUEUE-12, D8: an item's destructor may use the queue.
#[test]
fn items_are_dropped_under_no_lock() {
    struct Uses(Queue<Uses>);
    impl Drop for Uses {
        fn drop(&mut self) {
            assert_eq!(self.0.len(), 0);
            self.0.shutdown_now();
            let _ = poll(&mut Box::pin(self.0.join()));
        }
    }
    let queue = Queue::unbounded();
    for _ in 0..3 {
        queue.try_put(Uses(queue.clone())).unwrap_or_else(|_| panic!("there is room"));
    }
    queue.shutdown_now();
    assert_eq!(queue.unfinished(), 0);
}

/// QUEUE-12: whatever its destructor does, an item that was dropped is done.
#[test]
fn an_item_that_panics_when_dropped_is_done_and_so_are_the_others() {
    struct Bomb(bool, #[expect(dead_code, reason = "dropped")] crate::kit::Item);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "as planned");
        }
    }
    let drops = Arc::new(Drops::default());
    let queue = Queue::unbounded();
    for number in 0..5 {
        let bomb = Bomb(number == 1, drops.item());
        queue.try_put(bomb).unwrap_or_else(|_| panic!("there is room"));
    }
    let mut join = Box::pin(queue.join());
    assert!(poll(&mut join).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| queue.shutdown_now())).is_err());
    assert_eq!(drops.alive(), 0);
    ready(&mut join);
}
