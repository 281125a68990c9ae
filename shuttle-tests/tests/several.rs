//! Programs of many tasks and several primitives.
#![cfg(filch_shuttle)]

use filch_shuttle_tests::explore::explore;
use filch_sync::{
    Barrier, Condition, Event, Lock, OnceCell, PriorityQueue, Queue, RecvError, RwLock, Semaphore,
    broadcast, promise, shared_promise, watch,
};
use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::thread;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Polls once, and then no more.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.expect("no task is cancelled"));
    }
    outputs
}

/// A pool of connections: permits say how many there may be, a lock guards those that are free, a cell makes
/// what they share, a promise carries the answer back. Some clients give up while they wait.
#[test]
fn a_pool_of_connections() {
    const MOST: usize = 2;
    struct Pool {
        permits: Semaphore,
        free: Lock<Vec<u32>>,
        made: AtomicUsize,
        address: OnceCell<u32>,
    }
    explore(|| {
        let pool = Arc::new(Pool {
            permits: Semaphore::new(MOST),
            free: Lock::new(Vec::new()),
            made: AtomicUsize::new(0),
            address: OnceCell::new(),
        });
        let clients = (0..4).map(|number| {
            let pool = pool.clone();
            spawn(async move {
                let address = *pool.address.get_or_init(async || 40).await;
                if number == 3 {
                    let mut given_up = pin!(pool.permits.acquire());
                    let _ = poll_once(given_up.as_mut()).await;
                }
                let _permit = pool.permits.acquire().await.expect("it is open");
                let free = pool.free.lock().await.pop();
                let connection = free.unwrap_or_else(|| {
                    assert!(pool.made.fetch_add(1, Ordering::Relaxed) < MOST);
                    address
                });
                let (setter, answer) = promise();
                let server = spawn(async move { setter.set(connection + 2) });
                assert_eq!(answer.await, Ok(42));
                assert_eq!(server.await.expect("it comes to its end"), Ok(()));
                pool.free.lock().await.push(connection);
            })
        });
        block_on(all(clients.collect()));
        let free = pool.free.try_lock().expect("nobody has it").len();
        assert_eq!(free, pool.made.load(Ordering::Relaxed));
        assert_eq!(pool.permits.available_permits(), MOST);
    });
}

/// Workers in stages: an event starts them, a barrier keeps them together, and a watch tells how far they are.
#[test]
fn stages_of_work() {
    const WORKERS: usize = 3;
    const STAGES: usize = 2;
    explore(|| {
        let (start, barrier) = (Arc::new(Event::new()), Arc::new(Barrier::new(WORKERS)));
        let (sender, mut progress) = watch(0);
        let workers = (0..WORKERS).map(|_| {
            let (start, barrier, sender) = (start.clone(), barrier.clone(), sender.clone());
            spawn(async move {
                start.wait().await;
                for stage in 1..=STAGES {
                    sender.send_modify(|done| *done += 1);
                    barrier.wait().await.expect("nobody breaks it");
                    assert!(*sender.borrow() >= stage * WORKERS, "somebody is a stage ahead");
                }
            })
        });
        let workers: Vec<_> = workers.collect();
        drop(sender);
        let observer = spawn(async move {
            let mut last = 0;
            while progress.changed().await.is_ok() {
                let now = *progress.borrow_and_update();
                assert!(now >= last);
                last = now;
            }
            last
        });
        // One more comes to the start, and gives up.
        block_on(async {
            let mut given_up = pin!(start.wait());
            let _ = poll_once(given_up.as_mut()).await;
        });
        start.set();
        block_on(all(workers));
        assert_eq!(block_on(observer).expect("it comes to its end"), WORKERS * STAGES);
    });
}

/// A queue out of a lock and a condition; some getters give up just as they are notified.
#[test]
fn a_queue_of_a_lock_and_a_condition() {
    const ITEMS: usize = 3;
    #[derive(Default)]
    struct Queue {
        items: Lock<Vec<usize>>,
        more: Condition,
    }
    explore(|| {
        let queue = Arc::new(Queue::default());
        let quitter = {
            let queue = queue.clone();
            spawn(async move {
                let items = queue.items.lock().await;
                let mut wait = pin!(queue.more.wait(items));
                let _ = poll_once(wait.as_mut()).await;
                yield_now().await;
            })
        };
        let getters = (0..2).map(|_| {
            let queue = queue.clone();
            spawn(async move {
                let mut got = Vec::new();
                loop {
                    let items = queue.items.lock().await;
                    let mut items = queue.more.wait_while(items, |items| items.is_empty()).await;
                    match items.pop() {
                        Some(usize::MAX) => return got,
                        item => got.extend(item),
                    }
                }
            })
        });
        let getters: Vec<_> = getters.collect();
        let putter = queue.clone();
        let putter = spawn(async move {
            for item in (0..ITEMS).chain([usize::MAX, usize::MAX]) {
                let mut items = putter.items.lock().await;
                items.insert(0, item);
                putter.more.notify(&items, 1);
            }
        });
        block_on(async {
            quitter.await.expect("it comes to its end");
            putter.await.expect("it comes to its end");
            let mut got = all(getters).await.concat();
            got.sort_unstable();
            assert_eq!(got, (0..ITEMS).collect::<Vec<_>>());
        });
    });
}

/// A configuration that is read often and changed at times; who changes it tells everybody; a promise that
/// is shared says when to stop. A thread outside takes part.
#[test]
fn a_configuration_and_its_news() {
    explore(|| {
        let config = Arc::new(RwLock::new((0, 0)));
        let (news, receiver) = broadcast(2);
        let (stop, stopped) = shared_promise();
        let readers = (0..2).map(|_| {
            let (config, mut news) = (config.clone(), receiver.resubscribe());
            let stopped = stopped.clone();
            spawn(async move {
                let mut last = 0;
                loop {
                    match news.recv().await {
                        Ok(version) => {
                            assert!(version > last);
                            last = version;
                            let config = config.read().await;
                            assert!(config.0 >= version && config.0 == config.1);
                        }
                        Err(RecvError::Lagged(missed)) => last += missed as u32,
                        Err(RecvError::SendersGone) => break,
                    }
                }
                *stopped.get().await.expect("it is kept") + last
            })
        });
        let readers: Vec<_> = readers.collect();
        drop(receiver);
        let writer = config.clone();
        let outside = thread::spawn(move || {
            for _ in 0..2 {
                let mut config = writer.blocking_write();
                config.0 += 1;
                thread::yield_now();
                config.1 += 1;
                let version = config.0;
                drop(config);
                news.send(version).expect("somebody receives");
            }
        });
        let write = config.clone();
        let quitter = spawn(async move {
            let mut given_up = pin!(write.write());
            let _ = poll_once(given_up.as_mut()).await;
        });
        outside.join().expect("it comes to its end");
        stop.set(10).expect("somebody waits");
        block_on(async {
            quitter.await.expect("it comes to its end");
            assert_eq!(all(readers).await, [12, 12]);
        });
    });
}

/// Whoever comes first makes the value; makers that fail and that go are among them, and so are threads.
#[test]
fn one_value_of_many_makers() {
    explore(|| {
        let cell = Arc::new(OnceCell::new());
        let (fails, goes, waits) = (cell.clone(), cell.clone(), cell.clone());
        let fails = spawn(async move {
            let outcome = fails.get_or_try_init(async || {
                yield_now().await;
                Err(())
            });
            let _ = outcome.await;
        });
        let goes = spawn(async move {
            let mut made = pin!(goes.get_or_init(async || {
                yield_now().await;
                unreachable!("it is polled once")
            }));
            let _ = poll_once(made.as_mut()).await;
            yield_now().await;
        });
        let makes = spawn(async move {
            *waits
                .get_or_init(async || {
                    yield_now().await;
                    1
                })
                .await
        });
        let outside = cell.clone();
        let outside = thread::spawn(move || *outside.blocking_get_or_init(|| 2));
        let value = outside.join().expect("it comes to its end");
        block_on(async {
            fails.await.expect("it comes to its end");
            goes.await.expect("it comes to its end");
            assert_eq!(makes.await.expect("it comes to its end"), value);
        });
        assert_eq!(cell.get(), Some(&value));
    });
}

/// Two queues with workers in between, of which one gives up at times, also when it was just woken. A thread
/// outside puts, one task keeps room and then does not need it, and whoever waits for the end of the work ends
/// the queues.
#[test]
fn a_line_of_queues() {
    const ITEMS: u32 = 2;
    explore(|| {
        let (raw, done) = (Queue::bounded(1), PriorityQueue::unbounded());
        let workers = (0..2).map(|number| {
            let (raw, done) = (raw.clone(), done.clone());
            spawn(async move {
                loop {
                    let mut get = pin!(raw.get());
                    let first = poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx))).await;
                    let got = match first {
                        Poll::Ready(got) => got,
                        Poll::Pending if number == 0 => get.await,
                        Poll::Pending => {
                            yield_now().await;
                            continue;
                        }
                    };
                    let Ok(lease) = got else { return };
                    done.put(*lease).await.expect("it is open");
                }
            })
        });
        let workers: Vec<_> = workers.collect();
        let outside = raw.clone();
        let outside = thread::spawn(move || {
            for item in 0..ITEMS {
                outside.blocking_put(item).expect("it is open");
            }
        });
        let keeps = raw.clone();
        let keeps = spawn(async move {
            let slot = keeps.reserve().await.expect("it is open");
            yield_now().await;
            drop(slot);
            let mut given_up = pin!(keeps.put(ITEMS));
            poll_once(given_up.as_mut()).await
        });
        let extra = block_on(keeps).expect("it comes to its end");
        outside.join().expect("it comes to its end");
        block_on(async {
            raw.join().await;
            raw.shutdown();
            all(workers).await;
            done.shutdown();
            for item in 0..ITEMS + u32::from(extra) {
                assert_eq!(done.get().await.as_deref(), Ok(&item));
            }
            assert!(done.get().await.is_err());
            done.join().await;
        });
    });
}
