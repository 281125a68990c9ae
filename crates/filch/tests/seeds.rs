//! One thread: the order of tasks, kept or drawn from a seed (SEED-1 to SEED-4).

use filch::sync::{Barrier, Event, Lock, Queue, Semaphore};
use filch::time::{Duration, Instant, interval, settle, sleep, timeout};
use filch::{Handle, Runtime, spawn, task};
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

const MS: Duration = Duration::from_millis(1);

/// What happened, in its order.
#[derive(Clone)]
struct Trace {
    text: Arc<Mutex<String>>,
    start: Instant,
}

impl Trace {
    fn new() -> Self {
        Self { text: Arc::default(), start: Instant::now() }
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        let at = self.start.elapsed().as_millis();
        writeln!(self.text.lock().unwrap(), "{at} {what}").unwrap();
    }

    fn take(&self) -> String {
        std::mem::take(&mut self.text.lock().unwrap())
    }
}

/// Many tasks that meet at locks, queues, permits, an event and a barrier, under timeouts; some are cancelled.
async fn program() -> String {
    let trace = Trace::new();
    let lock = Arc::new(Lock::new(0u64));
    let permits = Arc::new(Semaphore::new(3));
    let barrier = Arc::new(Barrier::new(5));
    let go = Arc::new(Event::new());
    let items = Queue::bounded(4);
    let mut tasks = Vec::new();
    for number in 0..10u64 {
        let (trace, lock, permits) = (trace.clone(), lock.clone(), permits.clone());
        let (go, items) = (go.clone(), items.clone());
        tasks.push(spawn(async move {
            go.wait().await;
            for round in 0..4 {
                let _permit = permits.acquire().await;
                let wait = MS * (1 + (number * 3 + round) as u32 % 5);
                let locked = timeout(3 * MS, lock.lock()).await;
                trace.note(format_args!("{number}.{round} lock {}", locked.is_ok()));
                if let Ok(mut value) = locked {
                    *value += 1;
                    if (number + round) % 3 == 0 {
                        sleep(wait).await;
                    }
                    trace.note(format_args!("{number}.{round} value {}", *value));
                }
                let put = timeout(2 * MS, items.put((number, round))).await;
                trace.note(format_args!("{number}.{round} put {}", put.is_ok()));
            }
        }));
    }
    for getter in 0..2 {
        let (trace, items) = (trace.clone(), items.clone());
        tasks.push(spawn(async move {
            while let Ok(item) = items.get_raw().await {
                trace.note(format_args!("g{getter} got {item:?}"));
                sleep(MS).await;
            }
        }));
    }
    for party in 0..5 {
        let (trace, barrier, go) = (trace.clone(), barrier.clone(), go.clone());
        tasks.push(spawn(async move {
            for round in 0..2 {
                task::yield_now().await;
                let passed = barrier.wait().await;
                trace.note(format_args!("p{party}.{round} {passed:?}"));
            }
            go.set();
        }));
    }
    let ticker = {
        let trace = trace.clone();
        spawn(async move {
            let mut pace = interval(5 * MS);
            loop {
                let due = pace.tick().await;
                trace.note(format_args!("tick {}", (due - trace.start).as_millis()));
            }
        })
    };
    sleep(30 * MS).await;
    trace.note(format_args!("main"));
    tasks[3].cancel();
    let mut got = tasks.split_off(10);
    for task in tasks {
        let ended = task.await.is_ok();
        trace.note(format_args!("ended {ended}"));
    }
    items.shutdown();
    ticker.cancel();
    for task in got.drain(..) {
        trace.note(format_args!("ended {}", task.await.is_ok()));
    }
    settle().await;
    trace.note(format_args!("{}", *lock.lock().await));
    trace.take()
}

fn trace_of(seed: u64) -> String {
    Runtime::builder().seed(seed).virtual_time(true).run(program()).unwrap()
}

/// SEED-3, SEED-2.
#[test]
fn the_same_seed_gives_the_same_trace_and_others_give_others() {
    let mut traces = HashSet::new();
    for seed in 0..1_000 {
        let (first, second) = (trace_of(seed), trace_of(seed));
        assert!(first.lines().count() > 100, "it does something: {first}");
        assert!(first == second, "seed {seed}:\n{first}\n---\n{second}");
        traces.insert(first);
    }
    assert!(traces.len() > 990, "{} traces of 1,000 seeds", traces.len());
}

/// SEED-1: as asyncio has it.
#[test]
fn on_one_thread_tasks_run_in_the_order_in_which_they_were_woken() {
    let order = Runtime::builder().current_thread().run(async {
        assert_eq!(Handle::current().workers(), 1);
        let trace = Trace::new();
        let tasks: Vec<_> = (0..4)
            .map(|number| {
                let trace = trace.clone();
                spawn(async move {
                    for step in 0..3 {
                        trace.text.lock().unwrap().push_str(&format!("{number}{step} "));
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            trace.text.lock().unwrap().push_str("main ");
            task::yield_now().await;
        }
        trace.text.lock().unwrap().push_str("main ");
        for task in tasks {
            task.await.unwrap();
        }
        trace.take()
    });
    let expected = "main 00 10 20 30 main 01 11 21 31 main 02 12 22 32 ";
    assert_eq!(order.unwrap(), expected);
}

/// SEED-1: who wakes whom makes no difference.
#[test]
fn on_one_thread_the_one_who_was_woken_last_runs_last() {
    let order = Runtime::builder().current_thread().run(async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let go = Arc::new(Event::new());
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (order, go) = (order.clone(), go.clone());
                spawn(async move {
                    go.wait().await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        settle().await;
        go.set();
        for task in tasks {
            task.await.unwrap();
        }
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    });
    assert!(order.unwrap().into_iter().eq(0..20));
}

/// SEED-2: all orders come up, those of the main future too.
#[test]
fn every_order_is_drawn_sooner_or_later() {
    let mut orders = HashSet::new();
    for seed in 0..500 {
        let order = Runtime::builder().seed(seed).run(async {
            let order = Arc::new(Mutex::new(String::new()));
            for name in ["a", "b"] {
                let order = order.clone();
                drop(spawn(async move { order.lock().unwrap().push_str(name) }));
            }
            task::yield_now().await;
            order.lock().unwrap().push('m');
            settle().await;
            order.lock().unwrap().clone()
        });
        orders.insert(order.unwrap());
    }
    assert_eq!(orders.len(), 6, "{orders:?}");
}

/// SEED-2: timers that are due at the same moment.
#[test]
fn ties_of_timers_are_drawn() {
    let orders: HashSet<_> = (0..100)
        .map(|seed| {
            let order = Runtime::builder().seed(seed).virtual_time(true).run(async {
                let order = Arc::new(Mutex::new(Vec::new()));
                for number in 0..4 {
                    let order = order.clone();
                    drop(spawn(async move {
                        sleep(7 * MS).await;
                        order.lock().unwrap().push(number);
                    }));
                }
                sleep(8 * MS).await;
                order.lock().unwrap().clone()
            });
            order.unwrap()
        })
        .collect();
    assert!(orders.len() >= 20, "{} of 24", orders.len());
}

/// SEED-4: who waits in line is served in its order, whatever the seed.
#[test]
fn a_seed_changes_no_promise() {
    for seed in 0..50 {
        let served = Runtime::builder().seed(seed).run(async {
            let lock = Arc::new(Lock::new(Vec::new()));
            let line = Arc::new(Mutex::new(Vec::new()));
            let guard = lock.lock().await;
            let tasks: Vec<_> = (0..10)
                .map(|number| {
                    let (lock, line) = (lock.clone(), line.clone());
                    spawn(async move {
                        line.lock().unwrap().push(number);
                        lock.lock().await.push(number);
                    })
                })
                .collect();
            settle().await;
            drop(guard);
            for task in tasks {
                task.await.unwrap();
            }
            let line = line.lock().unwrap().clone();
            (line, lock.lock().await.clone())
        });
        let (line, served) = served.unwrap();
        assert_eq!(line, served);
    }
}

/// SEED-1, SEED-2: with other workers there is no order to keep.
#[test]
fn a_number_of_workers_takes_the_order_back() {
    let workers = |builder: filch::Builder| builder.run(async { Handle::current().workers() });
    assert_eq!(workers(Runtime::builder().seed(1)).unwrap(), 1);
    assert_eq!(workers(Runtime::builder().workers(3).current_thread()).unwrap(), 1);
    assert_eq!(workers(Runtime::builder().seed(1).workers(2)).unwrap(), 2);
}
