//! A runtime with nothing to do does nothing (S4). Counts, not times.

mod support;

use filch::net::TcpListener;
use filch::time::sleep;
use filch::{Handle, Runtime};
use filch_testkit::leaks::threads;
use filch_testkit::limits::alone;
use std::collections::BTreeMap;
use std::time::Duration;
use support::{PATIENCE, pair, runtime};

/// Everything that moves when a worker does something.
fn counts(handle: &Handle) -> (String, BTreeMap<i32, Vec<String>>) {
    let metrics = handle.metrics();
    (format!("{:#?}\n{:#?}", metrics.workers, metrics.rings), switches())
}

/// What a thread that sleeps does.
const SLEEPS: &str = "state S";

/// What each thread of the runtime does, how often it began to wait or was made to, and its processor time in ticks.
fn switches() -> BTreeMap<i32, Vec<String>> {
    let mut found = BTreeMap::new();
    // SAFETY: no pointers.
    let mine = unsafe { libc::gettid() };
    for id in threads("filch").into_keys().filter(|&id| id != mine) {
        let read = |file| std::fs::read_to_string(format!("/proc/self/task/{id}/{file}")).unwrap();
        let mut lines: Vec<_> = read("status")
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .map(str::to_owned)
            .collect();
        // After the name, which may have spaces: state is 1, utime 12 and stime 13.
        let stat = read("stat");
        let fields: Vec<_> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
        lines.push(format!("user {} system {}", fields[12], fields[13]));
        lines.push(format!("state {}", fields[1]));
        found.insert(id, lines);
    }
    found
}

/// Waits until everybody sleeps, and checks that they sleep on.
fn check(handle: &Handle) {
    let mut before = counts(handle);
    for _ in 0..1_000 {
        std::thread::sleep(Duration::from_millis(20));
        let now = counts(handle);
        // Who waits for a processor does not move either, for as long as others have them all.
        let all_sleep = now.1.values().all(|lines| lines.iter().any(|line| line == SLEEPS));
        let settled = now == before && all_sleep;
        before = now;
        if settled {
            std::thread::sleep(Duration::from_millis(300));
            let after = counts(handle);
            assert!(before == after, "it moved.\nBefore: {before:#?}\nAfter: {after:#?}");
            return;
        }
    }
    panic!("it never comes to rest: {before:#?}");
}

#[test]
fn a_new_runtime_does_nothing() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2, 4] {
        let runtime = runtime(workers);
        check(runtime.handle());
    }
}

#[test]
fn a_runtime_that_only_waits_does_nothing() {
    let _alone = alone(PATIENCE);
    for workers in [1, 2] {
        let runtime = runtime(workers);
        let peers = runtime.block_on(async {
            let mut peers = Vec::new();
            for _ in 0..10 {
                let (stream, peer) = pair();
                drop(filch::spawn(async move { stream.read(&mut [0; 10]).await.map(drop) }));
                peers.push(peer);
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            drop(filch::spawn(async move { listener.accept().await.map(drop) }));
            // Far from each other, so that they lie on several levels of the wheel.
            for minutes in [1, 10, 60, 1_000, 100_000] {
                drop(filch::spawn(sleep(Duration::from_secs(60 * minutes))));
            }
            drop(filch::spawn(std::future::pending::<()>()));
            filch::spawn_blocking(|| ()).await.unwrap();
            peers
        });
        check(runtime.handle());
        drop(peers);
    }
}

#[test]
fn main_that_waits_does_nothing() {
    let _alone = alone(PATIENCE);
    let builder = Runtime::builder().workers(2);
    builder
        .run(async {
            let handle = Handle::current();
            // Blocked on by a thread that is no worker. Worker 0 is this thread.
            filch::spawn_blocking(move || check(&handle)).await.unwrap();
        })
        .unwrap();
}

/// After a burst it comes to rest again.
#[test]
fn a_runtime_comes_to_rest_after_work() {
    let _alone = alone(PATIENCE);
    let runtime = runtime(2);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..1_000)
            .map(|number| {
                filch::spawn(async move {
                    for _ in 0..10 {
                        filch::task::yield_now().await;
                    }
                    sleep(Duration::from_micros(number)).await;
                    filch::fs::read("/proc/self/comm").await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    check(runtime.handle());
}
