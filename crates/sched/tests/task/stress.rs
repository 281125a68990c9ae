//! Everything at once, on several threads: for the sanitizers, and for what the models are too
//! small to hold.

use super::support::*;
use filch_sched::task::{AbortHandle, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn tasks_that_await_abort_and_drop_one_another() {
    const ROUNDS: usize = 300;
    const TASKS: usize = 20;
    let (bench, drops) = (Bench::new(), Drops::new());
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (bench, over) = (bench.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Acquire) {
                    if !bench.step() {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for round in 0..ROUNDS {
        let mut previous: Option<filch_sched::task::JoinHandle<usize>> = None;
        let mut aborts: Vec<AbortHandle> = Vec::new();
        for i in 0..TASKS {
            let (waited, counted) = (previous.take(), drops.counted());
            let handle = bench.spawn(async move {
                let _counted = counted;
                for _ in 0..i % 4 {
                    yield_now().await;
                }
                match waited {
                    Some(handle) if i % 7 == 3 => drop(handle),
                    Some(handle) => return handle.await.unwrap_or(0) + 1,
                    None => {}
                }
                i
            });
            if (round + i) % 5 == 0 {
                aborts.push(handle.abort_handle());
            }
            previous = Some(handle);
        }
        for abort in aborts {
            abort.abort();
        }
        let last = previous.unwrap();
        while !last.is_finished() {
            std::thread::yield_now();
        }
        drop(result(last));
    }
    while !bench.tasks().is_empty() {
        std::thread::yield_now();
    }
    over.store(true, Ordering::Release);
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(drops.count(), ROUNDS * TASKS, "each future was dropped exactly once");
    assert_eq!(bench.holders(), 1, "each cell was freed");
}
