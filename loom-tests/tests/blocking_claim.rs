//! The blocking pool's claim protocol: a spawner, a thread whose time is over, and shutdown meet, and no
//! closure is left without a thread.
//!
//! Nothing times out in a model, so a thread expires when `trim` tells it to, at any moment.
#![cfg(filch_loom)]

use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_loom_tests::check;
use filch_sched::blocking::{BlockingPool, Config};
use filch_sched::task::{ErrorHook, JoinHandle};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

fn pool(cap: usize) -> BlockingPool {
    BlockingPool::new(Config { cap, hook: ErrorHook::new(|_| {}), ..Config::default() })
}

/// Waits for a closure to be over; a closure that nobody comes for is a deadlock, which the model finds.
fn join<T>(handle: JoinHandle<T>) -> Option<T> {
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            *self.0.lock() = true;
            self.1.notify_one();
        }
    }
    let bell = std::sync::Arc::new(Bell(Mutex::new(false), Condvar::new()));
    let waker = Waker::from(bell.clone());
    let mut handle = pin!(handle);
    loop {
        if let Poll::Ready(output) = handle.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output.ok();
        }
        let mut rung = bell.0.lock();
        while !*rung {
            bell.1.wait(&mut rung);
        }
        *rung = false;
    }
}

/// A spawner counts on an idle thread just as that one's time is over.
#[test]
fn claim_and_expire() {
    check(2, || {
        let pool = pool(1);
        assert_eq!(join(pool.spawn(|| 1).unwrap()), Some(1));
        let trimmer = {
            let pool = pool.clone();
            thread::spawn(move || pool.trim())
        };
        assert_eq!(join(pool.spawn(|| 2).unwrap()), Some(2));
        trimmer.join().unwrap();
        pool.shutdown(None);
    });
}

/// A closure is run to its end or dropped, and its handle tells which, whenever shutdown comes.
#[test]
fn spawn_and_shutdown() {
    check(2, || {
        let pool = pool(1);
        let ran = Arc::new(AtomicUsize::new(0));
        let spawner = {
            let (pool, ran) = (pool.clone(), ran.clone());
            thread::spawn(move || {
                join(pool.spawn(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap()).is_some()
            })
        };
        let report = pool.shutdown(None);
        assert!(report.running.is_empty());
        let before = ran.load(Ordering::SeqCst);
        let has_run = spawner.join().unwrap();
        assert_eq!(usize::from(has_run), before, "nothing runs after shutdown has returned");
        assert_eq!(pool.stats().threads, 0);
    });
}

/// Two spawners, room for one thread: each closure is run.
#[test]
fn two_spawners_and_one_thread() {
    check(2, || {
        let pool = pool(1);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || join(pool.spawn(|| 1).unwrap()))
        };
        assert_eq!(join(pool.spawn(|| 2).unwrap()), Some(2));
        assert_eq!(other.join().unwrap(), Some(1));
        pool.shutdown(None);
    });
}

/// Two spawners, and a system that gives a thread to whoever asks first: neither closure is orphaned; each
/// is run or refused.
#[test]
fn a_refused_thread_orphans_nothing() {
    check(2, || {
        let given = AtomicUsize::new(0);
        let pool = BlockingPool::new(Config {
            cap: 2,
            hook: ErrorHook::new(|_| {}),
            spawn_thread: std::sync::Arc::new(move |_, body| {
                if given.fetch_add(1, Ordering::SeqCst) == 1 {
                    Ok(thread::spawn(body))
                } else {
                    Err(io::Error::from_raw_os_error(11))
                }
            }),
            ..Config::default()
        });
        let spawn_and_join = |pool: &BlockingPool| pool.spawn(|| 1).map(join);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || spawn_and_join(&pool).ok())
        };
        let outcomes = [spawn_and_join(&pool).ok(), other.join().unwrap()];
        assert!(outcomes.contains(&None), "the first to ask was refused");
        assert!(outcomes.contains(&Some(Some(1))), "the second got a thread, which ran it");
        pool.shutdown(None);
    });
}
