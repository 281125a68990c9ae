//! The pool with real threads; where a thread refuses to come, with a spawner that says so.

use super::{BlockingPool, Config};
use crate::task::{ErrorHook, JoinError, JoinHandle, Meta};
use filch_atomic::sync::Mutex;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

fn pool(cap: usize) -> BlockingPool {
    BlockingPool::new(Config {
        cap,
        keep_alive: Duration::from_secs(3_600),
        hook: ErrorHook::new(|_| {}),
        ..Config::default()
    })
}

fn join<T>(handle: JoinHandle<T>) -> Result<T, JoinError> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut handle = pin!(handle);
    loop {
        match handle.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Waits until `condition` holds, which nothing but other threads' progress delays.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// A closure that runs until it is released, and how to wait for its beginning and release it.
fn busy(pool: &BlockingPool) -> (JoinHandle<()>, mpsc::Sender<()>) {
    let (began, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let handle = pool.spawn(move || {
        began.send(()).unwrap();
        let _ = released.recv();
    });
    has_begun.recv().unwrap();
    (handle.unwrap(), release)
}

#[test]
fn a_closure_runs_on_a_named_thread_and_gives_its_output() {
    let pool = pool(2);
    let name = join(pool.spawn(|| thread::current().name().map(str::to_owned)).unwrap()).unwrap();
    assert_eq!(name.as_deref(), Some("filch-blocking"));
    assert!(pool.shutdown(None).running.is_empty());
}

#[test]
fn ten_thousand_closures_all_run_and_never_more_than_the_cap_at_once() {
    let pool = pool(3);
    let (now, most, ran) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let handles: Vec<_> = (0..10_000)
        .map(|number| {
            let (now, most, ran) = (now.clone(), most.clone(), ran.clone());
            let closure = move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                ran.fetch_add(1, SeqCst);
                now.fetch_sub(1, SeqCst);
                number
            };
            pool.spawn(closure).unwrap()
        })
        .collect();
    for (number, handle) in handles.into_iter().enumerate() {
        assert_eq!(join(handle).unwrap(), number);
    }
    assert_eq!(ran.load(SeqCst), 10_000);
    assert!((1..=3).contains(&most.load(SeqCst)));
    assert!(pool.stats().threads <= 3);
    pool.shutdown(None);
    assert_eq!(pool.stats().threads, 0);
}

#[test]
fn as_many_run_at_once_as_the_cap_allows() {
    let pool = pool(4);
    let barrier = Arc::new(Barrier::new(4));
    let meet = || {
        let barrier = barrier.clone();
        pool.spawn(move || barrier.wait()).unwrap()
    };
    let handles = [meet(), meet(), meet(), meet()];
    for handle in handles {
        join(handle).unwrap();
    }
    assert_eq!(pool.stats().threads, 4);
}

#[test]
fn an_idle_thread_is_used_before_another_one_is_made() {
    let pool = pool(8);
    let first = join(pool.spawn(|| thread::current().id()).unwrap()).unwrap();
    for _ in 0..100 {
        until(|| pool.stats().idle == 1);
        assert_eq!(join(pool.spawn(|| thread::current().id()).unwrap()).unwrap(), first);
    }
    assert_eq!(pool.stats().threads, 1);
    // One idle thread is claimed once: the second closure gets a thread of its own.
    until(|| pool.stats().idle == 1);
    let (one, other) = (busy(&pool), busy(&pool));
    assert_eq!(pool.stats().threads, 2);
    drop((one.1, other.1));
}

#[test]
fn idle_threads_go_in_time_and_on_demand() {
    let short = BlockingPool::new(Config { keep_alive: Duration::ZERO, ..Config::default() });
    for number in 0..100 {
        assert_eq!(join(short.spawn(move || number).unwrap()).unwrap(), number);
    }
    until(|| short.stats().threads == 0);

    let pool = pool(8);
    let busy = busy(&pool);
    join(pool.spawn(|| ()).unwrap()).unwrap();
    until(|| pool.stats().idle == 1);
    pool.trim();
    until(|| pool.stats().threads == 1);
    drop(busy.1);
    join(busy.0).unwrap();
}

#[test]
fn spawners_and_expiring_threads_on_many_threads_lose_nothing() {
    let pool = BlockingPool::new(Config {
        cap: 2,
        keep_alive: Duration::from_micros(1),
        ..Config::default()
    });
    let ran = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let ran = ran.clone();
                    join(pool.spawn(move || ran.fetch_add(1, SeqCst)).unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(ran.load(SeqCst), 2_000);
}

/// A pool that gets threads only while the switch is on.
fn pool_at_the_mercy(allowed: &Arc<AtomicBool>, keep_alive: Duration) -> BlockingPool {
    let (config, allowed) = (Config::default(), allowed.clone());
    let spawn = config.spawn_thread.clone();
    BlockingPool::new(Config {
        keep_alive,
        spawn_thread: Arc::new(move |name, body| {
            if allowed.load(SeqCst) {
                spawn(name, body)
            } else {
                Err(io::Error::from_raw_os_error(11))
            }
        }),
        ..config
    })
}

#[test]
fn with_no_thread_a_refusal_is_an_error() {
    let allowed = Arc::new(AtomicBool::new(false));
    let pool = pool_at_the_mercy(&allowed, Duration::from_secs(3_600));
    let token = Arc::new(());
    let held = token.clone();
    let refused = pool.spawn(move || drop(held)).unwrap_err();
    assert_eq!(Arc::strong_count(&token), 1, "the closure has been dropped");
    assert_eq!(refused.error.kind(), io::ErrorKind::WouldBlock);
    assert!(refused.to_string().contains("the system refused a thread"), "{refused}");
    assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::WouldBlock);
    let stats = pool.stats();
    assert_eq!((stats.threads, stats.queued, stats.refused), (0, 0, 1));
    assert!(pool.tasks().is_empty());
    // It gets over it.
    allowed.store(true, SeqCst);
    assert_eq!(join(pool.spawn(|| 5).unwrap()).unwrap(), 5);
}

#[test]
fn with_a_busy_thread_a_refusal_makes_the_closure_wait_for_that() {
    let allowed = Arc::new(AtomicBool::new(true));
    let pool = pool_at_the_mercy(&allowed, Duration::ZERO);
    let (first, release) = busy(&pool);
    allowed.store(false, SeqCst);
    let second = pool.spawn(|| 6).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.threads, stats.queued, stats.refused), (1, 1, 1));
    drop(release);
    join(first).unwrap();
    assert_eq!(join(second).unwrap(), 6);
    until(|| pool.stats().threads == 0);
    assert!(pool.spawn(|| 7).is_err(), "with none left it is an error again");
}

#[test]
fn a_panic_goes_to_the_handle_and_the_thread_lives_on() {
    let pool = pool(1);
    let error = join::<()>(pool.spawn(|| panic!("bad")).unwrap()).unwrap_err();
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "bad");
    assert_eq!(join(pool.spawn(|| 8).unwrap()).unwrap(), 8);
    assert_eq!(pool.stats().threads, 1);
}

#[test]
fn a_panic_that_nobody_awaits_is_reported() {
    let (send, reports) = mpsc::channel();
    let send = Mutex::new(send);
    let hook = ErrorHook::new(move |report| send.lock().send(report.to_string()).unwrap());
    let pool = BlockingPool::new(Config { hook, ..Config::default() });
    let (go, wait) = mpsc::channel::<()>();
    let closure = move || {
        let _ = wait.recv();
        panic!("unheard")
    };
    drop(pool.spawn(closure).unwrap());
    drop(go);
    let report = reports.recv().unwrap();
    assert!(report.contains("unheard") && report.contains(file!()), "{report}");
}

#[test]
fn a_detached_closure_runs_all_the_same() {
    let pool = pool(1);
    let (send, receive) = mpsc::channel();
    drop(pool.spawn(move || send.send(9).unwrap()).unwrap());
    assert_eq!(receive.recv().unwrap(), 9);
}

#[test]
fn an_abort_stops_what_has_not_begun_only() {
    let pool = pool(1);
    let (first, release) = busy(&pool);
    let second = pool.spawn(|| panic!("it must not run")).unwrap();
    first.abort();
    second.abort();
    drop(release);
    join(first).unwrap();
    assert!(join::<()>(second).unwrap_err().is_cancelled());
}

#[test]
fn shutdown_drops_what_has_not_begun_and_waits_for_what_has() {
    let pool = pool(1);
    let (first, release) = busy(&pool);
    let token = Arc::new(());
    let held = token.clone();
    let second = pool.spawn(move || drop(held)).unwrap();
    let stopper = {
        let pool = pool.clone();
        thread::spawn(move || pool.shutdown(None))
    };
    assert!(join(second).unwrap_err().is_shutdown());
    assert_eq!(Arc::strong_count(&token), 1);
    assert!(!first.is_finished() && !stopper.is_finished());
    drop(release);
    let report = stopper.join().unwrap();
    assert_eq!(report.cancelled, 1);
    assert!(report.running.is_empty());
    assert!(first.is_finished());
    join(first).unwrap();
    assert!(pool.tasks().is_empty());
}

#[test]
fn shutdown_names_what_runs_beyond_the_deadline_and_leaves_it_alone() {
    let pool = pool(2);
    let (first, release) = busy(&pool);
    let report = pool.shutdown(Some(Instant::now()));
    assert_eq!(report.cancelled, 0);
    let [stuck] = &report.running[..] else { panic!("{report:?}") };
    assert_eq!((stuck.id, stuck.location.file()), (first.id(), file!()));
    drop(release);
    join(first).unwrap();
    until(|| pool.stats().threads == 0);
    let again = pool.shutdown(None);
    assert!(again.running.is_empty());
}

#[test]
fn shutdown_of_idle_and_empty_pools_ends_at_once() {
    let empty = pool(2);
    assert_eq!(empty.shutdown(None).cancelled, 0);
    let idle = pool(2);
    join(idle.spawn(|| ()).unwrap()).unwrap();
    until(|| idle.stats().idle == 1);
    assert!(idle.shutdown(None).running.is_empty());
    for pool in [empty, idle] {
        assert_eq!(pool.stats().threads, 0);
        assert!(join(pool.spawn(|| ()).unwrap()).unwrap_err().is_shutdown());
        assert_eq!(pool.shutdown(None).cancelled, 0);
    }
}

#[test]
fn a_closure_may_shut_its_own_pool_down() {
    let pool = pool(2);
    let inner = pool.clone();
    let report = join(pool.spawn(move || inner.shutdown(None)).unwrap()).unwrap();
    assert!(report.running.is_empty());
    until(|| pool.stats().threads == 0);
}

#[test]
fn around_is_around_every_thread_and_its_panics_cost_that_thread_only() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let pool = BlockingPool::new(Config {
        around: Arc::new(move |body| {
            if count.fetch_add(1, SeqCst) == 0 {
                panic!("the first thread fails to enter the runtime");
            }
            body();
            count.fetch_add(100, SeqCst);
        }),
        ..Config::default()
    });
    assert!(join(pool.spawn(|| ()).unwrap()).unwrap_err().is_cancelled(), "not orphaned");
    until(|| pool.stats().threads == 0);
    assert_eq!(join(pool.spawn(|| 3).unwrap()).unwrap(), 3);
    assert!(pool.shutdown(None).running.is_empty());
    assert_eq!(calls.load(SeqCst), 102);
}

/// A line is emptied without a call within a call for each in it, where its pool takes nobody any more.
#[test]
fn a_line_is_given_up_one_after_the_other() {
    let pool = pool(1);
    let limiter = super::Limiter::new(1);
    let (release, released) = mpsc::channel::<()>();
    let first = pool.spawn_limited(move || _ = released.recv(), Meta::here(), &limiter).unwrap();
    let in_line: Vec<_> =
        (0..100_000).map(|_| pool.spawn_limited(|| (), Meta::here(), &limiter).unwrap()).collect();
    assert_eq!((limiter.in_use(), limiter.waiting()), (1, 100_000));
    // As a shutdown does, which comes to the line later.
    pool.close_for_tests();
    drop(release);
    join(first).unwrap();
    for closure in in_line {
        assert!(join(closure).unwrap_err().is_shutdown());
    }
    until(|| limiter.in_use() == 0);
    assert_eq!(limiter.waiting(), 0);
    pool.shutdown(None);
}
