//! Closures that block.

use crate::kit::{Log, builder};
use crate::support::PATIENCE;
use filch::task::{Builder, Limiter, name};
use filch::{ContextVar, Handle, JoinHandle, check_cancelled, spawn_blocking};
use filch_testkit::exec;
use filch_testkit::leaks::Before;
use filch_testkit::limits::alone;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// A closure that has begun, and runs until it is let go.
struct Held {
    let_go: mpsc::Sender<()>,
    handle: JoinHandle<()>,
}

fn held(handle: &Handle, limiter: &Limiter) -> Held {
    let _entered = handle.enter();
    let (let_go, held) = mpsc::channel();
    let (begun, is_begun) = mpsc::channel();
    let handle = Builder::new().limiter(limiter).spawn_blocking(move || {
        begun.send(()).unwrap();
        held.recv().unwrap();
    });
    is_begun.recv().unwrap();
    Held { let_go, handle }
}

/// BLOCKING-1.
#[test]
fn no_more_than_the_limit_run_at_a_time_in_order() {
    let _alone = alone(PATIENCE);
    let runtime = builder(2, &Log::default()).build().unwrap();
    let _entered = runtime.enter();
    for limit in [1, 3] {
        let limiter = Limiter::new(limit);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let order = Arc::new(AtomicUsize::new(0));
        let closures: Vec<_> = (0..50)
            .map(|number| {
                let (running, most, order) = (running.clone(), most.clone(), order.clone());
                Builder::new().limiter(&limiter).spawn_blocking(move || {
                    let place = order.fetch_add(1, Ordering::SeqCst);
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    (number, place)
                })
            })
            .collect();
        let ended: Vec<_> = closures.into_iter().map(|one| exec::block_on(one).unwrap()).collect();
        assert!(most.load(Ordering::SeqCst) <= limit);
        if limit == 1 {
            assert!(ended.iter().all(|(number, place)| number == place), "{ended:?}");
        }
        while limiter.in_use() > 0 {
            thread::yield_now();
        }
        assert_eq!((limiter.limit(), limiter.waiting()), (limit, 0));
    }
    assert!(std::panic::catch_unwind(|| Limiter::new(0)).is_err());
}

/// BLOCKING-2.
#[test]
fn a_closure_has_its_place_until_it_is_over() {
    let _alone = alone(PATIENCE);
    let runtime = builder(2, &Log::default()).build().unwrap();
    let limiter = Limiter::new(1);
    for way in 0..3 {
        let Held { let_go, handle } = held(runtime.handle(), &limiter);
        match way {
            0 => drop(handle),
            1 => handle.abort(),
            _ => handle.cancel(),
        }
        let _entered = runtime.enter();
        let (begun, is_begun) = mpsc::channel();
        let begins = move || begun.send(()).unwrap();
        let next = Builder::new().limiter(&limiter).spawn_blocking(begins);
        assert_eq!((limiter.in_use(), limiter.waiting()), (1, 1));
        assert!(is_begun.try_recv().is_err());
        let_go.send(()).unwrap();
        exec::block_on(next).unwrap();
    }
    // One that panics gives it back as well.
    let _entered = runtime.enter();
    let panics = Builder::new().limiter(&limiter).spawn_blocking(|| panic!("in there"));
    assert!(exec::block_on(panics).unwrap_err().is_panic());
    assert_eq!(exec::block_on(Builder::new().limiter(&limiter).spawn_blocking(|| 4)).unwrap(), 4);
}

/// BLOCKING-3: in the limiter's line, and in the pool's.
#[test]
fn one_that_is_cancelled_before_it_begins_leaves_the_line() {
    struct Gone(mpsc::Sender<thread::ThreadId>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    let _alone = alone(PATIENCE);
    let reports = Log::default();
    let runtime = builder(1, &reports).max_blocking_threads(1).build().unwrap();
    let (limiter, other) = (Limiter::new(1), Limiter::new(100));
    let holds = held(runtime.handle(), &limiter);
    let _entered = runtime.enter();
    for (abort, limiter) in
        [(false, Some(&limiter)), (true, Some(&limiter)), (false, Some(&other)), (true, None)]
    {
        let (gone, is_gone) = mpsc::channel();
        let gone = Gone(gone);
        let closure = move || {
            let _gone = gone;
            unreachable!("it never begins");
        };
        let queued: JoinHandle<()> = match limiter {
            Some(limiter) => Builder::new().limiter(limiter).spawn_blocking(closure),
            None => spawn_blocking(closure),
        };
        if abort {
            queued.abort();
        } else {
            queued.cancel();
        }
        // Though the place, and the thread, are not free.
        let error = exec::block_on(queued).unwrap_err();
        assert!(error.is_cancelled() && !error.is_shutdown(), "{error}");
        assert_ne!(is_gone.recv().unwrap(), thread::current().id(), "dropped by a worker");
    }
    assert_eq!((limiter.waiting(), other.in_use()), (0, 0));
    assert!(!holds.handle.is_finished());
    holds.let_go.send(()).unwrap();
    exec::block_on(holds.handle).unwrap();
    assert_eq!(reports.take(), [""; 0]);
}

/// BLOCKING-4.
#[test]
fn a_closure_has_the_context_of_its_spawner() {
    static NUMBER: ContextVar<u32> = ContextVar::new("number");
    let _alone = alone(PATIENCE);
    let runtime = builder(2, &Log::default()).build().unwrap();
    let limiter = Limiter::new(1);
    let task = async move {
        NUMBER.set(7);
        let look = || {
            let spawned = Handle::current().block_on(filch::spawn(async { NUMBER.get() }));
            (NUMBER.get(), name().map(|name| name.to_string()), spawned.unwrap())
        };
        let inherited = (7, Some("task".to_owned()), 7);
        assert_eq!(spawn_blocking(look).await.unwrap(), inherited);
        let limited = Builder::new().limiter(&limiter).spawn_blocking(look);
        assert_eq!(limited.await.unwrap(), inherited);
        let named = Builder::new().name("closure").spawn_blocking(look);
        assert_eq!(named.await.unwrap(), (7, Some("closure".to_owned()), 7));
    };
    let _entered = runtime.enter();
    exec::block_on(Builder::new().name("task").spawn(task)).unwrap();
}

/// BLOCKING-5.
#[test]
fn a_closure_that_runs_may_ask() {
    let _alone = alone(PATIENCE);
    let runtime = builder(1, &Log::default()).build().unwrap();
    let limiter = Limiter::new(1);
    let (begun, is_begun) = mpsc::channel();
    let asks = move || {
        assert!(check_cancelled().is_ok());
        begun.send(()).unwrap();
        while check_cancelled().is_ok() {
            thread::yield_now();
        }
        "asked"
    };
    let _entered = runtime.enter();
    let closure = Builder::new().limiter(&limiter).spawn_blocking(asks);
    is_begun.recv().unwrap();
    closure.cancel();
    assert_eq!(exec::block_on(closure).unwrap(), "asked");
}

/// BLOCKING-6.
#[test]
fn at_the_end_nobody_is_left_in_line() {
    let _alone = alone(PATIENCE);
    let before = Before::now("filch");
    for asked in [true, false] {
        let reports = Log::default();
        let runtime = builder(1, &reports).build().unwrap();
        let limiter = Limiter::new(1);
        let holds = held(runtime.handle(), &limiter);
        let waiting: Vec<_> = {
            let _entered = runtime.enter();
            let spawn = |_| {
                Builder::new().limiter(&limiter).spawn_blocking(|| unreachable!("it never begins"))
            };
            (0..10).map(spawn).collect()
        };
        let ends = thread::spawn(move || {
            let grace = if asked { crate::kit::HOUR } else { std::time::Duration::ZERO };
            runtime.shutdown_timeout(grace);
        });
        for waiting in waiting {
            let error = exec::block_on::<_>(waiting).unwrap_err();
            assert!(error.is_shutdown(), "{error}");
        }
        holds.let_go.send(()).unwrap();
        ends.join().unwrap();
        exec::block_on(holds.handle).unwrap();
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
        before.check();
    }
}
