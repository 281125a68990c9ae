//! Where a scope that blocks is: in whose scope, and asked to end with whom.

use crate::kit::{HOUR, Log, run};
use crate::support::{PATIENCE, runtime};
use filch::time::{Duration, sleep, timeout};
use filch::{Runtime, cancellable, check_cancelled, cpu, group, is_cancelled};
use filch_testkit::limits::watchdog;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

/// Runs both on two threads: neither goes on without the other.
fn both<A: Send, B: Send>(first: impl FnOnce() -> A, second: impl FnOnce() -> B + Send) -> (A, B) {
    let barrier = Barrier::new(2);
    let (first, second) = cpu::join(
        || (barrier.wait(), thread::current().id(), first()),
        || (barrier.wait(), thread::current().id(), second()),
    );
    assert_ne!(first.1, second.1);
    (first.2, second.2)
}

/// CPU-5: in the first poll of a group's child, where only a helper asks.
#[test]
fn cpu_5_a_child_of_a_group_in_its_first_poll() {
    let log = Log::default();
    let _watchdog = watchdog(PATIENCE);
    // This thread is no worker: both of those are busy.
    let runtime = runtime(2);
    let ended = runtime.block_on(group(async |g| {
        let theirs = log.clone();
        g.spawn(async move {
            both(
                || (),
                || {
                    theirs.add("begun");
                    while check_cancelled().is_ok() {
                        thread::yield_now();
                    }
                },
            );
            theirs.add("over");
            Ok::<_, filch::task::BoxError>(())
        });
        while !log.has("begun") {
            thread::yield_now();
        }
        g.cancel();
        Ok(())
    }));
    assert!(ended.is_ok());
    assert_eq!(log.all(), ["begun", "over"]);
}

/// CPU-5: in a timeout whose time is over.
#[test]
fn cpu_5_a_timeout_that_is_over() {
    let seen = Arc::new(Mutex::new(None));
    run({
        let seen = seen.clone();
        async move {
            let work = async {
                assert!(cancellable(sleep(HOUR)).await.is_err());
                *seen.lock().unwrap() = Some(both(is_cancelled, is_cancelled));
            };
            let _ = timeout(Duration::from_millis(1), work).await;
        }
    });
    assert_eq!(*seen.lock().unwrap(), Some((true, true)));
}

/// CPU-4: a runtime that runs inside of a body or a job has its own workers help, as anywhere.
#[test]
fn cpu_4_a_runtime_within_helps() {
    let _watchdog = watchdog(PATIENCE);
    let two = || Runtime::builder().workers(2);
    let meet = async || {
        both(|| (), || ());
    };
    // In a body, and in a job, which has run there when the scope ends.
    cpu::scope(|_| two().run(meet()).unwrap());
    cpu::scope(|s| s.spawn(|| two().run(meet()).unwrap()));
    // What its tasks do is no part of it either.
    cpu::scope(|_| two().run(async { filch::spawn(meet()).await.unwrap() }).unwrap());
    let runtime = runtime(1);
    cpu::scope(|_| runtime.block_on(meet()));
    cpu::scope(|_| {
        let _enter = runtime.enter();
        both(|| (), || ());
    });
    // And behind it all is as it was: there is nobody to help.
    cpu::scope(|_| {
        runtime.block_on(meet());
        let here = thread::current().id();
        assert_eq!(cpu::join(|| thread::current().id(), || thread::current().id()), (here, here));
    });
}

/// CPU-4: all workers of a runtime that a worker of another one has entered.
#[test]
fn cpu_4_all_workers_of_another_runtime_help() {
    let other = runtime(1);
    run(async move {
        filch::spawn(async move {
            let entered = other.enter();
            both(|| (), || ());
            drop(entered);
            other
        })
        .await
        .unwrap()
    });
}
