//! Every future of a queue, dropped at every one of its polls: nothing is lost (C1, I1 to I3).

use crate::kit::{Drops, poll, ready};
use filch_sync::queue::{Get, Lease, TryGetError};
use filch_sync::{LifoQueue, Queue};
use filch_testkit::{DropAtEveryPoll, Summary, exec};
use futures_core::Stream;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// Runs both to their ends.
async fn both<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(output) = one.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = other.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.expect("it has ended"), second.expect("it has ended"))
}

/// Each poll made by a thread of its own.
fn elsewhere() -> DropAtEveryPoll {
    DropAtEveryPoll::polled_by(|job| std::thread::spawn(job).join().expect("it is polled"))
}

/// It was dropped before it was polled, while it waited, and when it was woken.
fn was_cut(summary: Summary) {
    assert!(summary.dropped >= 3, "{summary:?}");
}

#[test]
fn a_get_that_is_dropped_leaves_its_item() {
    for harness in [DropAtEveryPoll::new(), elsewhere()] {
        was_cut(exec::block_on(harness.run(|cut| async {
            let (queue, drops) = (Queue::bounded(1), Arc::new(Drops::default()));
            let getter = queue.clone();
            let get = cut.run(async move { getter.get().await.expect("it is open") });
            let put = async {
                exec::yield_now().await;
                queue.put(drops.item()).await.expect("it is open");
            };
            let (got, ()) = both(get, put).await;
            let item = got.unwrap_or_else(|| queue.try_get().expect("it stayed in the queue"));
            assert_eq!((item.number, queue.unfinished(), drops.alive()), (0, 1, 1));
            drop(item);
            assert_eq!((queue.unfinished(), drops.alive()), (0, 0));
            queue.try_put(drops.item()).expect("its room is free");
        })));
    }
}

#[test]
fn a_get_that_is_dropped_leaves_its_item_to_who_waits_behind() {
    was_cut(exec::block_on(DropAtEveryPoll::new().run(|cut| async {
        let queue = Queue::<u32>::bounded(2);
        let behind = async {
            exec::yield_now().await;
            queue.get().await.expect("one of two is there").into_inner()
        };
        let put = async {
            exec::yield_now().await;
            exec::yield_now().await;
            queue.try_put(1).expect("there is room");
            if queue.try_put(2).is_ok() {
                queue.shutdown();
            }
        };
        let get = cut.run_here(queue.get());
        let ((got, behind), ()) = both(both(get, behind), put).await;
        let got = got.map(|got| got.expect("one of two is there").into_inner());
        let mut all: Vec<_> = got.into_iter().chain([behind]).collect();
        all.extend(std::iter::from_fn(|| queue.try_get_raw().ok()));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    })));
}

#[test]
fn a_put_that_is_dropped_has_put_nothing() {
    for harness in [DropAtEveryPoll::new(), elsewhere()] {
        was_cut(exec::block_on(harness.run(|cut| async {
            let (queue, drops) = (Queue::bounded(1), Arc::new(Drops::default()));
            queue.try_put(drops.item()).expect("there is room");
            let (putter, item) = (queue.clone(), drops.item());
            let put = cut.run(async move { putter.put(item).await.expect("it is open") });
            let get = async {
                exec::yield_now().await;
                drop(queue.get().await.expect("it is there"));
            };
            let (put, ()) = both(put, get).await;
            match put {
                Some(()) => assert_eq!(queue.try_get().expect("it was put").number, 1),
                None => {
                    assert_eq!((queue.len(), drops.alive()), (0, 0), "its item went with it");
                    queue.try_put(drops.item()).expect("its room is free");
                }
            }
        })));
    }
}

#[test]
fn a_put_that_is_dropped_leaves_its_room_to_who_waits_behind() {
    was_cut(exec::block_on(DropAtEveryPoll::new().run(|cut| async {
        let queue = Queue::bounded(1);
        queue.try_put(0).expect("there is room");
        let behind = async {
            exec::yield_now().await;
            queue.put(2).await.expect("it is open");
        };
        let get = async {
            exec::yield_now().await;
            exec::yield_now().await;
            let mut all = vec![queue.get().await.expect("it is there").into_inner()];
            while all.last() != Some(&2) {
                all.push(queue.get().await.expect("it comes").into_inner());
            }
            all
        };
        let put = cut.run_here(queue.put(1));
        let ((put, ()), all) = both(both(put, behind), get).await;
        match put {
            Some(put) => assert_eq!((put, &*all), (Ok(()), &[0, 1, 2][..])),
            None => assert_eq!(all, [0, 2]),
        }
    })));
}

#[test]
fn a_reserve_that_is_dropped_keeps_no_room() {
    for harness in [DropAtEveryPoll::new(), elsewhere()] {
        was_cut(exec::block_on(harness.run(|cut| async {
            let queue = Queue::bounded(1);
            queue.try_put(0).expect("there is room");
            let reserver = queue.clone();
            let reserve = cut.run(async move { reserver.reserve().await.expect("it is open") });
            let get = async {
                exec::yield_now().await;
                drop(queue.get().await.expect("it is there"));
            };
            let (slot, ()) = both(reserve, get).await;
            assert_eq!(queue.is_full(), slot.is_some());
            drop(slot);
            queue.try_put(1).expect("its room is free");
        })));
    }
}

#[test]
fn a_join_that_is_dropped_disturbs_nobody() {
    was_cut(exec::block_on(DropAtEveryPoll::new().run(|cut| async {
        let queue = Queue::unbounded();
        queue.try_put(0).expect("there is room");
        let other = async {
            exec::yield_now().await;
            queue.join().await;
            assert_eq!(queue.unfinished(), 0);
        };
        let work = async {
            exec::yield_now().await;
            exec::yield_now().await;
            drop(queue.get().await);
        };
        both(both(cut.run_here(queue.join()), other), work).await;
        ready(&mut Box::pin(queue.join()));
    })));
}

/// The next lease of a stream.
async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

#[test]
fn a_next_that_is_dropped_loses_no_item() {
    was_cut(exec::block_on(DropAtEveryPoll::new().run(|cut| async {
        let queue = LifoQueue::bounded(1);
        let mut stream = queue.clone().into_stream();
        let put = async {
            exec::yield_now().await;
            queue.put(1).await.expect("it is open");
        };
        let (got, ()) = both(cut.run_here(next(&mut stream)), put).await;
        let got = match got {
            Some(got) => got,
            // The item is the stream's, which goes on.
            None => {
                if queue.try_get().is_ok() {
                    queue.put(1).await.expect("it is open");
                }
                next(&mut stream).await
            }
        };
        assert_eq!(got.map(Lease::into_inner), Some(1));
        queue.shutdown();
        assert!(next(&mut stream).await.is_none());
        assert!(next(&mut stream).await.is_none());
    })));
}

#[test]
fn a_stream_that_is_dropped_leaves_its_item_to_others() {
    let queue = Queue::unbounded();
    let mut stream = queue.clone().into_stream();
    assert!(poll(&mut Box::pin(next(&mut stream))).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!(queue.try_get().unwrap_err(), TryGetError::Empty);
    drop(stream);
    assert_eq!(*queue.try_get().unwrap(), 1);
}

/// Kept where a leak checker sees it, and neither polled nor dropped any more.
static LEAKED: Mutex<Vec<Pin<Box<Get<'static, u32>>>>> = Mutex::new(Vec::new());

#[test]
fn a_leaked_get_costs_an_item_and_no_memory_safety() {
    let queue: &'static Queue<u32> = Box::leak(Box::new(Queue::unbounded()));
    let mut get = Box::pin(queue.get());
    assert!(poll(&mut get).is_pending());
    LEAKED.lock().unwrap().push(get);
    let mut behind = Box::pin(queue.get());
    assert!(poll(&mut behind).is_pending());
    queue.try_put(1).unwrap();
    assert!(poll(&mut behind).is_pending(), "it is the leaked one's");
    queue.try_put(2).unwrap();
    assert!(poll(&mut behind).is_ready());
    assert_eq!(format!("{:?}", LEAKED.lock().unwrap()), "[Get { waiter: released, .. }]");
}
