//! The programs: many tasks, one primitive each, and an outcome that no schedule changes.

use super::executor::{Executor, Task};
use filch_sync::queue::{PutErrorKind, ShutDown};
use filch_sync::{
    Abandoned, Barrier, Condition, Event, Lock, OnceCell, PriorityQueue, Queue, RecvError, RwLock,
    Semaphore, SendersGone, broadcast, promise, shared_promise, watch,
};
use filch_testkit::exec::yield_now;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

/// So many tasks; each is told its number.
fn tasks<E: Executor, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<Task<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    (0..count).map(|number| E::spawn(task(number))).collect()
}

async fn all<T>(tasks: Vec<Task<T>>) -> Vec<T> {
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await);
    }
    outputs
}

/// Polls once; true if that was all it took.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

pub(crate) async fn a_lock_excludes_and_some_give_up<E: Executor>() {
    let lock = Arc::new(Lock::new((0, 0)));
    let work = tasks::<E, _>(8, |number| {
        let lock = lock.clone();
        async move {
            for round in 0..50 {
                if (number + round) % 4 == 0 {
                    let mut given_up = pin!(lock.lock());
                    poll_once(given_up.as_mut()).await;
                }
                let mut value = lock.lock().await;
                value.0 += 1;
                if round % 5 == 0 {
                    yield_now().await;
                }
                value.1 += 1;
                assert_eq!(value.0, value.1, "LOCK-1");
            }
        }
    });
    all(work).await;
    assert_eq!(*lock.try_lock().expect("nobody has it"), (400, 400));
}

/// Each stands in line before the next one comes, and is then polled by a task of its own.
pub(crate) async fn a_lock_is_handed_over_in_order<E: Executor>() {
    let lock = Arc::new(Lock::new(Vec::new()));
    let held = lock.clone().lock_owned().await;
    let mut waits = Vec::new();
    for number in 0..20 {
        let mut wait = Box::pin(lock.clone().lock_owned());
        assert!(!poll_once(wait.as_mut()).await, "LOCK-1");
        waits.push(E::spawn(async move { wait.await.push(number) }));
    }
    drop(held);
    assert!(lock.try_lock().is_none_or(|order| order.len() == 20), "LOCK-4");
    all(waits).await;
    assert_eq!(*lock.lock().await, (0..20).collect::<Vec<_>>(), "LOCK-2");
}

pub(crate) async fn readers_share_and_writers_do_not<E: Executor>() {
    let lock = Arc::new(RwLock::new((0, 0)));
    let work = tasks::<E, _>(9, |number| {
        let lock = lock.clone();
        async move {
            for round in 0..40 {
                if number % 3 == 0 {
                    let mut value = lock.write().await;
                    value.0 += 1;
                    yield_now().await;
                    value.1 += 1;
                } else {
                    let value = lock.read().await;
                    let before = *value;
                    assert_eq!(before.0, before.1, "RW-1");
                    if round % 4 == 0 {
                        yield_now().await;
                    }
                    assert_eq!(*value, before, "RW-1");
                }
            }
        }
    });
    all(work).await;
    assert_eq!(*lock.read().await, (120, 120));
}

pub(crate) async fn a_semaphore_lets_in_so_many<E: Executor>() {
    let semaphore = Arc::new(Semaphore::new(3));
    let inside = Arc::new(AtomicUsize::new(0));
    let work = tasks::<E, _>(12, |number| {
        let (semaphore, inside) = (semaphore.clone(), inside.clone());
        async move {
            for _ in 0..20 {
                let weight = number % 3 + 1;
                let permit = semaphore.acquire_many(weight).await.expect("it is open");
                let before = inside.fetch_add(weight, Ordering::Relaxed);
                assert!(before + weight <= 3, "SEM-3");
                yield_now().await;
                inside.fetch_sub(weight, Ordering::Relaxed);
                drop(permit);
            }
        }
    });
    all(work).await;
    assert_eq!(semaphore.available_permits(), 3, "SEM-5");
}

pub(crate) async fn a_closed_semaphore_turns_all_away<E: Executor>() {
    let semaphore = Arc::new(Semaphore::new(0));
    let work = tasks::<E, _>(10, |_| {
        let semaphore = semaphore.clone();
        async move { semaphore.acquire().await.is_err() }
    });
    yield_now().await;
    semaphore.close();
    assert!(all(work).await.into_iter().all(|refused| refused), "SEM-8");
}

pub(crate) async fn an_event_releases_all_who_wait<E: Executor>() {
    for _ in 0..20 {
        let event = Arc::new(Event::new());
        let mut waits = Vec::new();
        for _ in 0..10 {
            let mut wait = Box::pin(event.clone().wait_owned());
            assert!(!poll_once(wait.as_mut()).await, "EVENT-1");
            waits.push(E::spawn(wait));
        }
        event.set();
        event.clear();
        all(waits).await;
        assert!(!event.is_set(), "EVENT-4");
    }
}

pub(crate) async fn a_barrier_passes_all_of_a_generation<E: Executor>() {
    const PARTIES: usize = 4;
    const ROUNDS: usize = 10;
    let barrier = Arc::new(Barrier::new(PARTIES));
    let arrived = Arc::new(AtomicUsize::new(0));
    let work = tasks::<E, _>(PARTIES, |_| {
        let (barrier, arrived) = (barrier.clone(), arrived.clone());
        async move {
            let mut indices = Vec::new();
            for round in 1..=ROUNDS {
                arrived.fetch_add(1, Ordering::Relaxed);
                indices.push(barrier.wait().await.expect("nobody breaks it"));
                assert!(arrived.load(Ordering::Relaxed) >= round * PARTIES, "BARRIER-2");
            }
            indices
        }
    });
    let indices = all(work).await;
    for round in 0..ROUNDS {
        let mut of_round: Vec<_> = indices.iter().map(|own| own[round]).collect();
        of_round.sort_unstable();
        assert_eq!(of_round, [0, 1, 2, 3], "BARRIER-3");
    }
}

/// A bounded queue, as one would write it with a lock and two conditions.
pub(crate) async fn a_condition_makes_a_queue<E: Executor>() {
    const ROOM: usize = 2;
    const ITEMS: usize = 40;
    #[derive(Default)]
    struct Shared {
        queue: Lock<VecDeque<usize>>,
        room: Condition,
        items: Condition,
    }
    let shared = Arc::new(Shared::default());
    let putters = tasks::<E, _>(3, |number| {
        let shared = shared.clone();
        async move {
            for item in 0..ITEMS {
                let queue = shared.queue.lock().await;
                let mut queue = shared.room.wait_while(queue, |queue| queue.len() == ROOM).await;
                queue.push_back(number * ITEMS + item);
                shared.items.notify(&queue, 1);
            }
        }
    });
    let getters = tasks::<E, _>(2, |_| {
        let shared = shared.clone();
        async move {
            let mut got = Vec::new();
            for _ in 0..3 * ITEMS / 2 {
                let queue = shared.queue.lock().await;
                let mut queue = shared.items.wait_while(queue, |queue| queue.is_empty()).await;
                assert!(queue.len() <= ROOM);
                got.extend(queue.pop_front());
                shared.room.notify(&queue, 1);
            }
            got
        }
    });
    all(putters).await;
    let mut got = all(getters).await.concat();
    got.sort_unstable();
    assert_eq!(got, (0..3 * ITEMS).collect::<Vec<_>>(), "COND-4, COND-6");
}

pub(crate) async fn promises_are_kept_or_abandoned<E: Executor>() {
    let work = tasks::<E, _>(50, |number| async move {
        let (setter, promise) = promise();
        let giver = E::spawn(async move {
            if number % 2 == 0 {
                yield_now().await;
            }
            if number % 5 == 0 {
                return;
            }
            setter.set(number).expect("PROMISE-3");
        });
        let expected = if number % 5 == 0 { Err(Abandoned) } else { Ok(number) };
        assert_eq!(promise.await, expected, "PROMISE-1, PROMISE-2");
        giver.await;
        // The other way round: nobody waits any more.
        let (mut setter, promise) = filch_sync::promise();
        let taker = E::spawn(async move { drop(promise) });
        setter.closed().await;
        assert_eq!(setter.set(number).unwrap_err().into_inner(), number, "PROMISE-4");
        taker.await;
    });
    all(work).await;
}

pub(crate) async fn a_shared_promise_is_for_all<E: Executor>() {
    let (setter, promise) = shared_promise();
    let work = tasks::<E, _>(20, |number| {
        let promise = promise.clone();
        async move {
            if number % 4 == 0 {
                let mut given_up = pin!(promise.get());
                poll_once(given_up.as_mut()).await;
            }
            promise.get().await.cloned()
        }
    });
    yield_now().await;
    setter.set("value".to_owned()).expect("somebody has it");
    let all_same = all(work).await.into_iter().all(|got| got.as_deref() == Ok("value"));
    assert!(all_same, "PROMISE-5, PROMISE-6");
}

pub(crate) async fn a_watch_shows_the_last_value<E: Executor>() {
    let (sender, watch) = watch(0);
    let work = tasks::<E, _>(6, |_| {
        let mut watch = watch.clone();
        async move {
            let mut last = 0;
            while watch.changed().await.is_ok() {
                let value = *watch.borrow_and_update();
                assert!(value >= last, "WATCH-1");
                last = value;
            }
            last
        }
    });
    let half =
        E::spawn(async move { watch.clone().wait_for(|value| *value >= 25).await.map(|it| *it) });
    for value in 1..=50 {
        sender.send(value);
        if value % 7 == 0 {
            yield_now().await;
        }
    }
    drop(sender);
    assert_eq!(all(work).await, [50; 6], "WATCH-3, WATCH-5");
    assert!(half.await.is_ok_and(|value| value >= 25));
}

pub(crate) async fn a_broadcast_reaches_everybody<E: Executor>() {
    let (sender, first) = broadcast(8);
    let work = tasks::<E, _>(5, |_| {
        let mut receiver = first.resubscribe();
        async move {
            let (mut next, mut lost) = (0, 0);
            loop {
                match receiver.recv().await {
                    Ok(item) => {
                        assert_eq!(item, next, "BCAST-1");
                        next += 1;
                    }
                    Err(RecvError::Lagged(missed)) => {
                        lost += missed;
                        next += missed;
                    }
                    Err(RecvError::SendersGone) => return (next, lost),
                }
            }
        }
    });
    drop(first);
    for item in 0..100 {
        sender.send(item).expect("somebody receives");
        if item % 3 == 0 {
            yield_now().await;
        }
    }
    drop(sender);
    for (seen, lost) in all(work).await {
        assert_eq!(seen, 100, "BCAST-2, BCAST-4");
        assert!(lost <= 92, "there is room for eight");
    }
}

pub(crate) async fn a_once_cell_is_set_by_one<E: Executor>() {
    for _ in 0..10 {
        let cell = Arc::new(OnceCell::new());
        let made = Arc::new(AtomicUsize::new(0));
        let work = tasks::<E, _>(8, |number| {
            let (cell, made) = (cell.clone(), made.clone());
            async move {
                if number % 4 == 0 {
                    let failed = cell.get_or_try_init(async || {
                        yield_now().await;
                        Err(())
                    });
                    let _ = failed.await;
                }
                let init = async || {
                    yield_now().await;
                    made.fetch_add(1, Ordering::Relaxed)
                };
                if number % 4 == 1 {
                    let mut given_up = pin!(cell.get_or_init(&init));
                    poll_once(given_up.as_mut()).await;
                }
                *cell.get_or_init(&init).await
            }
        });
        assert_eq!(all(work).await, [0; 8], "ONCE-1, ONCE-3, ONCE-4");
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }
}

/// Many put, and many get; some of either give up, also when they were just woken. Who joins is the last.
pub(crate) async fn a_queue_feeds_workers_until_it_ends<E: Executor>() {
    let queue = Queue::bounded(2);
    let workers = tasks::<E, _>(4, |number| {
        let queue = queue.clone();
        async move {
            let mut sum = 0;
            loop {
                let mut get = pin!(queue.get());
                let first = poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx))).await;
                let got = match first {
                    Poll::Ready(got) => got,
                    Poll::Pending if number % 2 == 0 => get.await,
                    Poll::Pending => {
                        yield_now().await;
                        continue;
                    }
                };
                let Ok(lease) = got else { return sum };
                yield_now().await;
                sum += *lease;
            }
        }
    });
    let producers = tasks::<E, _>(3, |number| {
        let queue = queue.clone();
        async move {
            for item in 0..40 {
                let is_put = match (number + item) % 3 {
                    0 => poll_once(pin!(queue.put(item))).await,
                    1 => {
                        queue.reserve().await.expect("it is open").put(item);
                        true
                    }
                    _ => false,
                };
                if !is_put {
                    queue.put(item).await.expect("it is open");
                }
            }
        }
    });
    all(producers).await;
    queue.join().await;
    assert_eq!((queue.len(), queue.unfinished()), (0, 0), "QUEUE-9");
    queue.shutdown();
    let sums = all(workers).await;
    assert_eq!(sums.iter().sum::<usize>(), 3 * (0..40).sum::<usize>(), "QUEUE-5, QUEUE-6");
    let refused = queue.put(7).await.expect_err("it has ended");
    assert_eq!((refused.item, refused.kind), (7, PutErrorKind::ShutDown), "QUEUE-7, QUEUE-11");
}

/// What is left when it ends is still got, the smallest first.
pub(crate) async fn a_priority_queue_is_drained<E: Executor>() {
    let queue = PriorityQueue::unbounded();
    let producers = tasks::<E, _>(5, |number| {
        let queue = queue.clone();
        async move {
            for item in 0..20 {
                queue.put((item, number)).await.expect("it is open");
            }
        }
    });
    all(producers).await;
    queue.shutdown();
    let mut items = Vec::new();
    while let Ok(item) = queue.get_raw().await {
        queue.task_done().expect("it was put");
        items.push(item);
    }
    assert!(items.len() == 100 && items.is_sorted(), "QUEUE-3, QUEUE-11");
    assert!(queue.task_done().is_err(), "QUEUE-10");
    assert_eq!(queue.get().await.err(), Some(ShutDown));
}

/// A thread that belongs to no executor waits for what tasks do, and they for it.
pub(crate) async fn a_thread_outside_waits_for_tasks<E: Executor>() {
    let lock = Arc::new(Lock::new(0));
    let (sender, mut watch) = watch(0);
    let (setter, promise) = promise();
    let others = lock.clone();
    let outside = thread::spawn(move || {
        while watch.blocking_changed() != Err(SendersGone) {
            *others.blocking_lock() += 1;
        }
        setter.set("done").expect("somebody waits");
    });
    for value in 1..=5 {
        sender.send(value);
        *lock.lock().await += 1;
        yield_now().await;
    }
    drop(sender);
    assert_eq!(promise.await, Ok("done"));
    outside.join().expect("it comes to its end");
    let sum = *lock.lock().await;
    assert!((6..=10).contains(&sum), "{sum}");
}
