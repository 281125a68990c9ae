//! Queues between threads.

use crate::kit::{Drops, Item};
use filch_sync::queue::PutErrorKind;
use filch_sync::{LifoQueue, PriorityQueue, Queue};
use filch_testkit::limits::watchdog;
use filch_testkit::{Random, exec};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

/// Polls once; gives up if that was not enough.
async fn try_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls until it has been woken once for nothing, at most, then gives up: so that what it was granted in
/// between has to go on.
async fn try_twice<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let first = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            thread::yield_now();
            try_once(future).await
        }
    }
}

/// Several threads put and get, and give up at random; every item comes out once.
fn storm(queue: &Queue<(u8, Item)>, items: usize) {
    let _watchdog = watchdog(120);
    let (seed, drops) = (Random::seed(), Arc::new(Drops::default()));
    println!("seed {seed}");
    let putter = |number: u64| {
        let (queue, drops) = (queue.clone(), drops.clone());
        move || {
            let mut random = Random::new(seed ^ number);
            exec::block_on(async {
                for _ in 0..items {
                    let mut item = Some((random.below(5) as u8, drops.item()));
                    while item.is_some() {
                        match random.below(4) {
                            0 => {
                                if let Some(slot) = try_twice(queue.reserve()).await {
                                    slot.unwrap().put(item.take().unwrap());
                                }
                            }
                            1 => {
                                if let Err(full) = queue.try_put(item.take().unwrap()) {
                                    assert_eq!(full.kind, PutErrorKind::Full);
                                    item = Some(full.item);
                                }
                            }
                            2 => drop(try_twice(queue.reserve()).await),
                            _ => queue.put(item.take().unwrap()).await.unwrap(),
                        }
                    }
                }
            });
        }
    };
    let getter = |number: u64| {
        let queue = queue.clone();
        move || {
            let mut random = Random::new(seed ^ (number << 32));
            let mut got = Vec::new();
            exec::block_on(async {
                loop {
                    match random.below(3) {
                        0 => match try_twice(queue.get()).await {
                            Some(Ok(lease)) => got.push(lease.1.number),
                            Some(Err(_)) => return,
                            None => {}
                        },
                        1 => got.extend(queue.try_get().map(|lease| lease.1.number)),
                        _ => match queue.get().await {
                            Ok(lease) => got.push(lease.1.number),
                            Err(_) => return,
                        },
                    }
                }
            });
            got
        }
    };
    let putters: Vec<_> = (1..=3).map(|number| thread::spawn(putter(number))).collect();
    let getters: Vec<_> = (1..=3).map(|number| thread::spawn(getter(number))).collect();
    putters.into_iter().for_each(|putter| putter.join().unwrap());
    queue.blocking_join();
    assert_eq!((queue.len(), queue.unfinished()), (0, 0), "seed {seed}");
    queue.shutdown();
    let mut all = BTreeSet::new();
    for getter in getters {
        for number in getter.join().unwrap() {
            assert!(all.insert(number), "seed {seed}: {number} twice");
        }
    }
    assert_eq!(all.len(), 3 * items, "seed {seed}");
    assert_eq!(drops.alive(), 0, "seed {seed}");
}

#[test]
fn every_item_comes_out_once() {
    for capacity in [1, 2, 64] {
        storm(&Queue::bounded(capacity), 600);
    }
    storm(&Queue::unbounded(), 600);
    storm(&LifoQueue::bounded(3), 600);
    storm(&PriorityQueue::bounded(3), 600);
}

/// What one producer puts comes out in order, whoever else puts.
#[test]
fn the_items_of_each_producer_keep_their_order() {
    let _watchdog = watchdog(120);
    let queue = Queue::bounded(3);
    let producers: Vec<_> = (0..3)
        .map(|producer| {
            let queue = queue.clone();
            thread::spawn(move || {
                (0..5_000).for_each(|n| queue.blocking_put((producer, n)).unwrap())
            })
        })
        .collect();
    let mut next = [0; 3];
    for _ in 0..15_000 {
        let (producer, number) = queue.blocking_get().unwrap().into_inner();
        assert_eq!(number, next[producer]);
        next[producer] += 1;
    }
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    queue.blocking_join();
}

/// A shutdown in the midst of it: what was put is got, what was not put is given back.
#[test]
fn a_shutdown_loses_nothing() {
    let _watchdog = watchdog(120);
    for round in 0..50 {
        let (queue, drops) = (Queue::bounded(2), Arc::new(Drops::default()));
        let putters: Vec<_> = (0..2)
            .map(|_| {
                let (queue, drops) = (queue.clone(), drops.clone());
                thread::spawn(move || {
                    let mut put = 0;
                    loop {
                        match queue.blocking_put(drops.item()) {
                            Ok(()) => put += 1,
                            Err(failed) => {
                                drop(failed.into_inner());
                                return put;
                            }
                        }
                    }
                })
            })
            .collect();
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || {
                    std::iter::from_fn(|| queue.blocking_get().ok().map(drop)).count()
                })
            })
            .collect();
        (0..round).for_each(|_| thread::yield_now());
        let at_once = round % 2 == 1;
        if at_once {
            queue.shutdown_now();
        } else {
            queue.shutdown();
        }
        queue.blocking_join();
        let put: usize = putters.into_iter().map(|putter| putter.join().unwrap()).sum();
        let got: usize = getters.into_iter().map(|getter| getter.join().unwrap()).sum();
        assert!(if at_once { got <= put } else { got == put }, "{put} put, {got} got");
        assert_eq!((queue.len(), queue.unfinished(), drops.alive()), (0, 0, 0));
    }
}

/// However they came in, they come out sorted.
#[test]
fn a_priority_queue_sorts_between_threads() {
    let _watchdog = watchdog(120);
    let queue = PriorityQueue::unbounded();
    let producers: Vec<_> = (0..3)
        .map(|producer| {
            let queue = queue.clone();
            thread::spawn(move || {
                (0..1_000).for_each(|n| queue.blocking_put(n * 3 + producer).unwrap())
            })
        })
        .collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let all: Vec<_> = std::iter::from_fn(|| queue.try_get_raw().ok()).collect();
    assert!(all.into_iter().eq(0..3_000));
}

/// Blocking calls are for threads.
#[test]
#[should_panic(expected = "await instead")]
fn a_task_is_not_blocked() {
    use filch_atomic::current::{WaitRecord, enter};
    let queue = Queue::<u32>::unbounded();
    let record = WaitRecord::new();
    let task = std::ptr::from_ref(&record).cast();
    // SAFETY: nobody asks for the task here but the queue, which only looks whether there is one.
    unsafe { enter(task, &record, || drop(queue.blocking_get())) };
}
