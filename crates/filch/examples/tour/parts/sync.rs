//! Primitives: what goes into a queue comes out of it, permits come back, a value that changed is seen.

use super::visit::{Dice, Visit, ensure};
use super::{Fault, Outcome};
use filch::sync::{Lock, Queue, Semaphore, watch};
use filch::{group, task};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PERMITS: usize = 2;
const ITEMS: u64 = 100;
const PUTTERS: u64 = 3;
const GETTERS: usize = 3;

pub(super) async fn visit(mut visit: Visit) -> Outcome {
    a_queue_and_permits(&mut visit.dice).await?;
    a_value_that_changes(&mut visit.dice).await
}

/// What some tasks share.
struct Shared {
    queue: Queue<u64>,
    semaphore: Semaphore,
    /// So many have a permit.
    inside: AtomicUsize,
    sum: Lock<u64>,
}

async fn a_queue_and_permits(dice: &mut Dice) -> Outcome {
    let shared = Arc::new(Shared {
        queue: Queue::bounded(4),
        semaphore: Semaphore::new(PERMITS),
        inside: AtomicUsize::new(0),
        sum: Lock::new(0),
    });
    let getters = [(); GETTERS].map(|()| get(shared.clone(), dice.another()));
    let putters: Vec<_> =
        (0..PUTTERS).map(|number| put(shared.clone(), number * ITEMS, dice.another())).collect();
    let queue = shared.queue.clone();
    let grouped = group(async move |g| {
        for getter in getters {
            g.spawn_ok(getter);
        }
        let mut putting = Vec::new();
        for putter in putters {
            putting.push(g.spawn(putter));
        }
        for put in putting {
            put.await;
        }
        queue.shutdown();
        Ok(())
    });
    grouped.await?;
    let items = PUTTERS * ITEMS;
    let sum = *shared.sum.lock().await;
    ensure(sum == items * (items - 1) / 2, "a queue lost or doubled an item")
}

/// Gets what there is, until the queue is shut down and empty.
async fn get(shared: Arc<Shared>, mut dice: Dice) {
    while let Ok(item) = insist!(dice, shared.queue.get_raw()) {
        *insist!(dice, shared.sum.lock()) += item;
    }
}

/// Puts items, each with a permit.
async fn put(shared: Arc<Shared>, first: u64, mut dice: Dice) -> Result<(), Fault> {
    for item in first..first + ITEMS {
        let permit = insist!(dice, shared.semaphore.acquire())?;
        // SeqCst: they count each other.
        let others = shared.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(&shared.inside);
        let put = insist!(dice, shared.queue.put(item));
        task::yield_now().await;
        drop(inside);
        drop(permit);
        ensure(others < PERMITS, "there are more than there are permits")?;
        put?;
    }
    Ok(())
}

/// One who has a permit. If its task is cut it goes before the permit does.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // SeqCst: as where it is counted.
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn a_value_that_changes(dice: &mut Dice) -> Outcome {
    let (latest, mut watching) = watch(0);
    let changes = async {
        for value in 1..=ITEMS {
            latest.send(value);
            task::yield_now().await;
        }
    };
    let watches = async {
        while *watching.borrow_and_update() < ITEMS {
            insist!(dice, watching.changed())?;
        }
        Outcome::Ok(())
    };
    let ((), watched) = filch::join!(changes, watches);
    watched
}
